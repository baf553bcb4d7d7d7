#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/*
 * slice - a borrowed run of octets, passed by value.
 *
 *   Layer   base.
 *   Why     peers' octets are never NUL-terminated; a length that travels with the pointer can't be forgotten.
 *   Bounds  valid only as long as what it was cut from; copying a slice copies no octets.
 */
struct slice {
    const uint8_t *at;
    size_t len;
};

/* SLICE("text"): a string literal without its NUL. */
#define SLICE(literal) ((struct slice){(const uint8_t *)(literal), sizeof(literal) - 1})
#define SLICE_NONE     ((struct slice){NULL, 0})

/* printf's "%.*s" for a slice that is known to hold text of our own. */
#define SLICE_PRINTF(s) (int)(s).len, (const char *)(s).at

static inline struct slice slice_of(const void *at, size_t len)
{
    return (struct slice){(const uint8_t *)at, len};
}

static inline struct slice slice_text(const char *text)
{
    return (struct slice){(const uint8_t *)text, text ? strlen(text) : 0};
}

static inline bool slice_equal(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

static inline uint8_t octet_lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
}

/* ASCII only, as every name of HTTP is compared (RFC 9110 s.5.1). */
static inline bool slice_equal_nocase(struct slice a, struct slice b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (octet_lower(a.at[i]) != octet_lower(b.at[i]))
            return false;
    return true;
}

static inline struct slice slice_drop(struct slice s, size_t n)
{
    return n >= s.len ? slice_of(s.at + s.len, 0) : slice_of(s.at + n, s.len - n);
}

static inline struct slice slice_first(struct slice s, size_t n)
{
    return slice_of(s.at, n < s.len ? n : s.len);
}

static inline bool slice_starts(struct slice s, struct slice with)
{
    return s.len >= with.len && memcmp(s.at, with.at, with.len) == 0;
}

static inline bool slice_ends(struct slice s, struct slice with)
{
    return s.len >= with.len && memcmp(s.at + s.len - with.len, with.at, with.len) == 0;
}

/* The first ${c} in ${s}, as an offset; s.len where there is none. */
static inline size_t slice_find(struct slice s, uint8_t c)
{
    const uint8_t *hit = s.len ? memchr(s.at, c, s.len) : NULL;

    return hit ? (size_t)(hit - s.at) : s.len;
}

/* Spaces and tabs cut off both ends: the OWS of RFC 9110 s.5.6.3, and nothing else. */
static inline struct slice slice_trim(struct slice s)
{
    while (s.len && (s.at[0] == ' ' || s.at[0] == '\t'))
        s = slice_drop(s, 1);
    while (s.len && (s.at[s.len - 1] == ' ' || s.at[s.len - 1] == '\t'))
        s.len--;
    return s;
}

/*
 * slice_number(s, most, out): 1*DIGIT, nothing before or after it, at most ${most}.
 *   Gives   true and *out, or false and *out untouched. Never wraps.
 */
static inline bool slice_number(struct slice s, uint64_t most, uint64_t *out)
{
    uint64_t n = 0;

    if (s.len == 0 || s.len > 20)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        uint64_t digit = (uint64_t)s.at[i] - '0';

        if (digit > 9 || n > (UINT64_MAX - digit) / 10)
            return false;
        n = n * 10 + digit;
    }
    if (n > most)
        return false;
    *out = n;
    return true;
}

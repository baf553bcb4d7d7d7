#pragma once
#include "scrubref.h"
#include <check.h>

/*
 * scrubkit - sets of values, each with the reference for it, and text that is rich in what they look for.
 */
#define VALUE "sk-live_0123456789abcdef"
#define PEM   "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0B\nAQEFAASCBKcwggSj\nAg==\n-----END KEY-----"
#define LONG                                                              \
    "ghp_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz~" \
    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"                                \
    "abcdefghijklmnopqrstuvwxyz-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define VALUES 4

struct kit {
    const char *value[VALUES];
    struct scrubs *set;
    struct reference ref;
};

static struct kit kits[] = {
    {.value = {VALUE}},
    {.value = {"abababababababab", "ababababababababab", "aaaaaaaaaaaaaaaab", "babababababababac"}},
    {.value = {"p&ss \"w/rd\" <\xc3\xa9\\>~*'+", VALUE}},
    {.value = {LONG, "ghp_0123456789ABCDEF/other"}},
    {.value = {PEM, VALUE}},
    {.value = {"ab\nab\n\nab\r\nabababab", "ab\nab\nab\nab\nab\nab", "a\n\n\n\nb\n\n\n\n\r\n\r\nc\nabcdef"}},
};
#define KITS (sizeof kits / sizeof *kits)

/* No value of those before LINES has an end of a line in it. */
enum { PLAIN, PERIODIC, ESCAPED, LENGTHY, LINES, TANGLED };

static inline void kits_open(void)
{
    ck_assert_int_eq(secret_arena_open((size_t)1 << 22), FAULT_NONE);
    for (size_t k = 0; k < KITS; k++) {
        struct secret *secret[VALUES] = {0};
        size_t n = 0;

        for (; n < VALUES && kits[k].value[n]; n++) {
            ck_assert_int_eq(secret_new(slice_text(kits[k].value[n]), &secret[n]), FAULT_NONE);
            ref_add(&kits[k].ref, slice_text(kits[k].value[n]));
        }
        ck_assert_int_eq(scrubs_new((const struct secret *const *)secret, n, NULL, &kits[k].set), FAULT_NONE);
        ck_assert_uint_eq(scrubs_longest(kits[k].set), kits[k].ref.longest);
        while (n)
            secret_free(secret[--n]);
    }
}

static inline uint32_t turn(uint32_t below)
{
    static uint64_t state = 88172645463325252u;

    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 33) % below;
}

/* Text that is rich in beginnings and ends of patterns. */
static inline struct slice random_text(const struct kit *k, uint8_t *text, size_t most)
{
    static const char plain[] = "ab \n\r\n\t-\"\\";
    size_t n = 0;

    for (size_t parts = 1 + turn(8); parts; parts--) {
        struct slice pattern = k->ref.pattern[turn((uint32_t)k->ref.patterns)];
        size_t from = turn(3) ? 0 : turn((uint32_t)pattern.len), to = turn(2) ? pattern.len : from;

        if (to == from)
            to += turn((uint32_t)(pattern.len - from) + 1);
        if (n + pattern.len + 1 > most)
            break;
        memcpy(text + n, pattern.at + from, to - from);
        n += to - from;
        if (turn(2))
            text[n++] = (uint8_t)plain[turn(sizeof plain - 1)];
    }
    return slice_of(text, n);
}

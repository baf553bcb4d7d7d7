#include "spelling.h"
#include "escape.h"
#include <assert.h>
#include <sodium.h>

#define RESPELLED 8

/* What differs from the escape of escape.h. */
struct respelled {
    char octet;
    const char *text;
};

struct form {
    enum escape escape;
    const char *plain; /* octets that stay as they are */
    bool lower;        /* "%2f", not "%2F" */
    bool upper;        /* "\u001F", not "\u001f" */
    bool ascii;        /* what is beyond ASCII as "\uXXXX" */
    struct respelled other[RESPELLED];
};

static const struct form forms[] = {
    {ESCAPE_NONE, .plain = ""},

    /* JSON strings. */
    {ESCAPE_JSON, .plain = ""},
    {ESCAPE_JSON, .plain = "", .other = {{'/', "\\/"}}},
    {ESCAPE_JSON, .plain = "", .ascii = true},
    {ESCAPE_JSON, .plain = "", .ascii = true, .upper = true},
    {ESCAPE_JSON, .plain = "", .ascii = true, .other = {{'/', "\\/"}}},
    {ESCAPE_JSON, .plain = "", .other = {{'<', "\\u003c"}, {'>', "\\u003e"}, {'&', "\\u0026"}}},
    {ESCAPE_JSON, .plain = "", .ascii = true, .upper = true,
     .other = {{'"', "\\u0022"},
               {'&', "\\u0026"},
               {'\'', "\\u0027"},
               {'+', "\\u002B"},
               {'<', "\\u003C"},
               {'>', "\\u003E"},
               {'`', "\\u0060"}}},

    /* Percent-encoded: all but unreserved; Python's quote; encodeURIComponent; encodeURI; a segment of a path; forms. */
    {ESCAPE_PERCENT, .plain = ""},
    {ESCAPE_PERCENT, .plain = "", .lower = true},
    {ESCAPE_PERCENT, .plain = "", .other = {{' ', "+"}}},
    {ESCAPE_PERCENT, .plain = "", .lower = true, .other = {{' ', "+"}}},
    {ESCAPE_PERCENT, .plain = "/"},
    {ESCAPE_PERCENT, .plain = "/", .lower = true},
    {ESCAPE_PERCENT, .plain = "!'()*"},
    {ESCAPE_PERCENT, .plain = "!'()*", .other = {{' ', "+"}}},
    {ESCAPE_PERCENT, .plain = "!()*", .lower = true, .other = {{' ', "+"}, {'~', "%7e"}}},
    {ESCAPE_PERCENT, .plain = "!#$&'()*+,/:;=?@"},
    {ESCAPE_PERCENT, .plain = "$&+:=@"},
    {ESCAPE_PERCENT, .plain = "*", .other = {{' ', "+"}, {'~', "%7E"}}},

    /* XML and HTML. */
    {ESCAPE_XML, .plain = ""},
    {ESCAPE_XML, .plain = "\"'"},
    {ESCAPE_XML, .plain = "'"},
    {ESCAPE_XML, .plain = "", .other = {{'\'', "&apos;"}}},
    {ESCAPE_XML, .plain = "", .other = {{'\'', "&#x27;"}}},
    {ESCAPE_XML, .plain = "", .other = {{'\'', "&#039;"}}},
    {ESCAPE_XML, .plain = "", .other = {{'"', "&#34;"}}},
};

#define FORMS   (sizeof forms / sizeof *forms)
#define PHASES  3u /* where in its group of three octets a value begins */
#define LETTERS 64

static const char base64[2][LETTERS + 1] = {
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"};

static_assert(SPELLINGS == FORMS + 2 * PHASES, "the header says how many there are");

/* How one octet is spelled. */
struct letter {
    uint8_t text[SPELLING_MAX];
    size_t octets;
};

/* Escapes that differ only in the case of their hex digits. */
static void letter_case(const struct form *f, struct letter *l)
{
    if (f->lower && l->text[0] == '%')
        for (size_t i = 1; i < l->octets; i++)
            l->text[i] = octet_lower(l->text[i]);
    if (f->upper && l->octets == 6)
        for (size_t i = 2; i < l->octets; i++)
            if (l->text[i] >= 'a' && l->text[i] <= 'f')
                l->text[i] = (uint8_t)(l->text[i] & ~0x20u);
}

static void letter_of(const struct form *f, uint8_t c, struct letter *l)
{
    struct buf text = {.base = l->text, .cap = SPELLING_MAX};
    bool plain = c && strchr(f->plain, c);

    escape_pour(plain ? ESCAPE_NONE : f->escape, slice_of(&c, 1), &text);
    l->octets = buf_held(&text).len;
    letter_case(f, l);
    for (size_t i = 0; i < RESPELLED && f->other[i].text; i++)
        if (c == (uint8_t)f->other[i].octet) {
            l->octets = strlen(f->other[i].text);
            memcpy(l->text, f->other[i].text, l->octets);
        }
}

/* Where the spelling goes, or is only counted. */
struct pen {
    uint8_t *at;
    size_t octets;
};

static void pen_put(struct pen *p, const void *text, size_t octets)
{
    if (p->at)
        memcpy(p->at + p->octets, text, octets);
    p->octets += octets;
}

static void pen_unit(struct pen *p, uint32_t unit, bool upper)
{
    const char *digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";
    const char text[] = {'\\',
                         'u',
                         digits[unit >> 12 & 15],
                         digits[unit >> 8 & 15],
                         digits[unit >> 4 & 15],
                         digits[unit & 15]};

    pen_put(p, text, sizeof text);
}

/* The code point that ${s} begins with, beyond ASCII: its octets, or 0 where it is none (RFC 3629 s.4). */
static size_t code_point(struct slice s, uint32_t *out)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    uint8_t c = s.at[0];
    size_t octets = c >= 0xf0 && c < 0xf8 ? 4 : c >= 0xe0 && c < 0xf0 ? 3 : c >= 0xc0 && c < 0xe0 ? 2 : 0;

    if (octets == 0 || s.len < octets)
        return 0;
    *out = c & (0xffu >> (octets + 1));
    for (size_t i = 1; i < octets; i++) {
        if ((s.at[i] & 0xc0) != 0x80)
            return 0;
        *out = *out << 6 | (s.at[i] & 0x3fu);
    }
    return *out < least[octets] || *out > 0x10ffff || (*out >= 0xd800 && *out < 0xe000) ? 0 : octets;
}

/* Beyond the first plane in two units (RFC 8259 s.7). */
static size_t pen_point(struct pen *p, struct slice rest, bool upper)
{
    uint32_t point;
    size_t octets = code_point(rest, &point);

    if (octets == 4) {
        pen_unit(p, 0xd800 + ((point - 0x10000) >> 10), upper);
        pen_unit(p, 0xdc00 + ((point - 0x10000) & 0x3ff), upper);
    } else if (octets) {
        pen_unit(p, point, upper);
    }
    return octets;
}

static size_t form_write(const struct form *f, struct slice value, uint8_t *into)
{
    struct letter letters[256] = {0}; /* those that occur */
    struct pen pen = {into, 0};
    size_t octets = 1;

    for (; value.len && octets; value = slice_drop(value, octets)) {
        struct letter *l = &letters[value.at[0]];

        octets = 1;
        if (f->ascii && value.at[0] >= 0x80) {
            octets = pen_point(&pen, value, f->upper);
            continue;
        }
        if (l->octets == 0)
            letter_of(f, value.at[0], l);
        pen_put(&pen, l->text, l->octets);
    }
    sodium_memzero(letters, sizeof letters); /* they tell which octets the value has */
    return octets ? pen.octets : 0;
}

/* Characters whose six bits all are the value's: bit 6c of the text is bit 6c - 8 * phase of the value. */
static size_t base64_write(const char *letters, size_t phase, struct slice value, uint8_t *into)
{
    size_t from = (8 * phase + 5) / 6, to = 8 * (phase + value.len) / 6;

    for (size_t c = from; into && c < to; c++) {
        size_t bit = 6 * c - 8 * phase, at = bit / 8;
        unsigned next = at + 1 < value.len ? value.at[at + 1] : 0;
        unsigned both = (unsigned)value.at[at] << 8 | next;

        into[c - from] = (uint8_t)letters[both >> (10 - bit % 8) & (LETTERS - 1)];
    }
    return to > from ? to - from : 0;
}

size_t spelling_write(size_t i, struct slice value, uint8_t *into)
{
    if (i < FORMS)
        return form_write(&forms[i], value, into);
    i -= FORMS;
    return base64_write(base64[i / PHASES], i % PHASES, value, into);
}

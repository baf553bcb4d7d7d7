#include "escape.h"

#define BIT(c) (UINT64_C(1) << ((c)&63))
#define ALL    UINT64_MAX
#define TO(c)  (BIT(c) | (BIT(c) - 1)) /* this octet and those of its word below it */

/* The octets that can't stand as they are: a bit for each, 64 to a word. */
static const uint64_t escaped[][4] = {
    [ESCAPE_NONE] = {0},
    [ESCAPE_JSON] = {TO(0x1f) | BIT('"'), BIT('\\')},
    [ESCAPE_PERCENT] = {~((TO('9') & ~TO('/')) | BIT('-') | BIT('.')),
                        ~((TO('Z') & ~TO('@')) | (TO('z') & ~TO('`')) | BIT('_') | BIT('~')), ALL, ALL},
    [ESCAPE_XML] = {BIT('&') | BIT('<') | BIT('>') | BIT('"') | BIT('\'')},
};

static inline bool stands(enum escape how, uint8_t c)
{
    return !(escaped[how][c >> 6] >> (c & 63) & 1);
}

/* The octets at the front of ${value} that stand as they are. */
static size_t plain_run(enum escape how, struct slice value)
{
    size_t n = 0;

    if (how == ESCAPE_NONE)
        return value.len;
    while (n < value.len && stands(how, value.at[n]))
        n++;
    return n;
}

static struct slice json_write(uint8_t c, char *into)
{
    static const char digits[] = "0123456789abcdef", shorts[] = "btn\0fr"; /* from \b, 8, on; 11 has none */

    into[0] = '\\';
    if (c >= ' ' || (c >= '\b' && c <= '\r' && c != '\v')) {
        into[1] = c >= ' ' ? (char)c : shorts[c - '\b'];
        return slice_of(into, 2);
    }
    memcpy(into + 1, "u00", 3);
    into[4] = digits[c >> 4];
    into[5] = digits[c & 15];
    return slice_of(into, 6);
}

static struct slice percent_write(uint8_t c, char *into)
{
    static const char digits[] = "0123456789ABCDEF";

    into[0] = '%';
    into[1] = digits[c >> 4];
    into[2] = digits[c & 15];
    return slice_of(into, 3);
}

static struct slice xml_name(uint8_t c)
{
    switch (c) {
    case '&':
        return SLICE("&amp;");
    case '<':
        return SLICE("&lt;");
    case '>':
        return SLICE("&gt;");
    case '"':
        return SLICE("&quot;");
    default:
        return SLICE("&#39;");
    }
}

/* The escape of an octet that can't stand as it is; ESCAPE_MAX octets at ${into} may hold it. */
static struct slice octet_write(enum escape how, uint8_t c, char *into)
{
    if (how == ESCAPE_JSON)
        return json_write(c, into);
    return how == ESCAPE_PERCENT ? percent_write(c, into) : xml_name(c);
}

uint64_t escape_octets(enum escape how, struct slice value)
{
    char scratch[ESCAPE_MAX];
    uint64_t octets = value.len;

    for (size_t n = plain_run(how, value); n < value.len; n += 1 + plain_run(how, slice_drop(value, n + 1)))
        octets += octet_write(how, value.at[n], scratch).len - 1;
    return octets;
}

/* All of ${s} that there is room for: buf_some alone may stop early, before ${out} moves what it holds to its front. */
static size_t plain_pour(struct slice s, struct buf *out)
{
    size_t done = 0, n = 1;

    for (; done < s.len && n > 0; done += n)
        n = buf_some(out, slice_drop(s, done));
    return done;
}

size_t escape_pour(enum escape how, struct slice value, struct buf *out)
{
    char scratch[ESCAPE_MAX];
    size_t done = 0;

    while (done < value.len) {
        struct slice rest = slice_first(slice_drop(value, done), buf_free(out));

        done += plain_pour(slice_first(rest, plain_run(how, rest)), out);
        if (done == value.len || buf_free(out) == 0)
            break;
        if (buf_append(out, octet_write(how, value.at[done], scratch)) != FAULT_NONE)
            break;
        done++;
    }
    return done;
}

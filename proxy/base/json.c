#include "json.h"
#include "decimal.h"

/* Octets that stand for themselves in a text. */
static bool is_plain(uint8_t c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

static uint8_t *escape(uint8_t *to, uint8_t c)
{
    static const char hex[] = "0123456789abcdef";
    const char escaped[JSON_ESCAPED] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};

    memcpy(to, escaped, sizeof escaped);
    return to + sizeof escaped;
}

size_t json_octets(struct slice text)
{
    size_t n = text.len + 2;

    for (size_t i = 0; i < text.len; i++)
        n += is_plain(text.at[i]) ? 0 : JSON_ESCAPED - 1;
    return n;
}

/* Octet by octet, into room for the worst case: most texts are too short for anything cleverer. */
enum fault json_text(struct buf *out, struct slice text)
{
    size_t most = text.len * JSON_ESCAPED + 2;
    uint8_t *const from = buf_claim(out, most <= buf_free(out) ? most : json_octets(text));
    uint8_t *to = from;

    if (!to)
        return FAULT_FULL;
    *to++ = '"';
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.at[i];

        if (is_plain(c))
            *to++ = c;
        else
            to = escape(to, c);
    }
    *to++ = '"';
    buf_fill(out, (size_t)(to - from));
    return FAULT_NONE;
}

static enum fault member(struct buf *out, const char *name)
{
    struct slice held = buf_held(out);
    uint8_t last = held.len ? held.at[held.len - 1] : '{';
    size_t len = strlen(name);
    uint8_t *const from = buf_claim(out, len + 4);
    uint8_t *to = from;

    if (!to)
        return FAULT_FULL;
    if (last != '{' && last != '[')
        *to++ = ',';
    *to++ = '"';
    memcpy(to, name, len);
    memcpy(to + len, "\":", 2);
    buf_fill(out, (size_t)(to - from) + len + 2);
    return FAULT_NONE;
}

enum fault json_member_text(struct buf *out, const char *name, struct slice text)
{
    TRY(member(out, name));
    return json_text(out, text);
}

enum fault json_member_number(struct buf *out, const char *name, int64_t number)
{
    char text[1 + DECIMAL_MAX] = "-";
    size_t sign = number < 0;
    uint64_t size = sign ? 0 - (uint64_t)number : (uint64_t)number;

    TRY(member(out, name));
    return buf_append(out, slice_of(text, sign + decimal_put(size, text + sign)));
}

enum fault json_member_null(struct buf *out, const char *name)
{
    TRY(member(out, name));
    return buf_append(out, SLICE("null"));
}

#include "json.h"
#include "decimal.h"

enum fault json_text(struct buf *out, struct slice text)
{
    static const char hex[] = "0123456789abcdef";

    TRY(buf_append(out, SLICE("\"")));
    while (text.len) {
        size_t plain = 0;

        while (plain < text.len && text.at[plain] >= 0x20 && text.at[plain] < 0x7f && text.at[plain] != '"' &&
               text.at[plain] != '\\')
            plain++;
        TRY(buf_append(out, slice_first(text, plain)));
        text = slice_drop(text, plain);
        if (text.len == 0)
            break;
        uint8_t c = text.at[0];
        const char escaped[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};

        TRY(buf_append(out, slice_of(escaped, sizeof escaped)));
        text = slice_drop(text, 1);
    }
    return buf_append(out, SLICE("\""));
}

static enum fault member(struct buf *out, const char *name)
{
    struct slice held = buf_held(out);
    uint8_t last = held.len ? held.at[held.len - 1] : '{';

    if (last != '{' && last != '[')
        TRY(buf_append(out, SLICE(",")));
    TRY(buf_append(out, SLICE("\"")));
    TRY(buf_append(out, slice_text(name)));
    return buf_append(out, SLICE("\":"));
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

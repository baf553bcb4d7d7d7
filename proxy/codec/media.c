#include "media.h"

#define TEXT(text)                                \
    {                                             \
        (const uint8_t *)(text), sizeof(text) - 1 \
    }

enum fit { WHOLE, BEGIN, END };

/* The first that fits decides; lower case. Whether octets are text: contract, section 3. */
static const struct {
    enum fit fit;
    struct slice type;
    enum media media;
} types[] = {
    {WHOLE, TEXT("application/json"), MEDIA_JSON},            /* the most frequent one */
    {BEGIN, TEXT("application/grpc-web-text"), MEDIA_BINARY}, /* all of it in base64 */
    {BEGIN, TEXT("application/grpc"), MEDIA_GRPC},
    {BEGIN, TEXT("application/connect+"), MEDIA_GRPC},
    {BEGIN, TEXT("image/"), MEDIA_BINARY},
    {BEGIN, TEXT("audio/"), MEDIA_BINARY},
    {BEGIN, TEXT("video/"), MEDIA_BINARY},
    {BEGIN, TEXT("font/"), MEDIA_BINARY},
    {BEGIN, TEXT("multipart/"), MEDIA_MULTIPART},
    {WHOLE, TEXT("application/x-www-form-urlencoded"), MEDIA_FORM},
    {END, TEXT("+json"), MEDIA_JSON},
    {END, TEXT("+json-seq"), MEDIA_JSON},
    {END, TEXT("/json"), MEDIA_JSON},
    {END, TEXT("/x-json"), MEDIA_JSON},
    {END, TEXT("/json-seq"), MEDIA_JSON},
    {END, TEXT("/ndjson"), MEDIA_JSON},
    {END, TEXT("/x-ndjson"), MEDIA_JSON},
    {END, TEXT("/jsonl"), MEDIA_JSON},
    {END, TEXT("/x-jsonl"), MEDIA_JSON},
    {END, TEXT("/jsonlines"), MEDIA_JSON},
    {END, TEXT("/x-jsonlines"), MEDIA_JSON},
    {WHOLE, TEXT("application/json-rpc"), MEDIA_JSON},
    {WHOLE, TEXT("application/csp-report"), MEDIA_JSON},
    {BEGIN, TEXT("application/x-amz-json-"), MEDIA_JSON},
    {END, TEXT("+xml"), MEDIA_XML},
    {END, TEXT("/xml"), MEDIA_XML},
    {WHOLE, TEXT("text/html"), MEDIA_XML},
    {BEGIN, TEXT("application/octet-stream"), MEDIA_BINARY},
    {BEGIN, TEXT("application/zip"), MEDIA_BINARY},
    {BEGIN, TEXT("application/gzip"), MEDIA_BINARY},
    {BEGIN, TEXT("application/x-gzip"), MEDIA_BINARY},
    {BEGIN, TEXT("application/zstd"), MEDIA_BINARY},
    {BEGIN, TEXT("application/x-bzip"), MEDIA_BINARY},
    {BEGIN, TEXT("application/x-xz"), MEDIA_BINARY},
    {BEGIN, TEXT("application/x-7z-compressed"), MEDIA_BINARY},
    {BEGIN, TEXT("application/x-tar"), MEDIA_BINARY},
    {BEGIN, TEXT("application/x-git-"), MEDIA_BINARY}, /* packets begin with their length */
    {BEGIN, TEXT("application/pdf"), MEDIA_BINARY},
    {BEGIN, TEXT("application/protobuf"), MEDIA_BINARY},
    {BEGIN, TEXT("application/x-protobuf"), MEDIA_BINARY},
    {BEGIN, TEXT("application/x-google-protobuf"), MEDIA_BINARY},
    {BEGIN, TEXT("application/vnd.google.protobuf"), MEDIA_BINARY},
    {BEGIN, TEXT("application/proto"), MEDIA_BINARY},
    {BEGIN, TEXT("application/msgpack"), MEDIA_BINARY},
    {BEGIN, TEXT("application/x-msgpack"), MEDIA_BINARY},
    {BEGIN, TEXT("application/vnd.msgpack"), MEDIA_BINARY},
    {BEGIN, TEXT("application/cbor"), MEDIA_BINARY},
    {END, TEXT("+protobuf"), MEDIA_BINARY},
    {END, TEXT("+cbor"), MEDIA_BINARY},
    {END, TEXT("+gzip"), MEDIA_BINARY},
    {END, TEXT("+zip"), MEDIA_BINARY},
    {BEGIN, TEXT("application/wasm"), MEDIA_BINARY},
};

static bool type_fits(struct slice type, struct slice with, enum fit fit)
{
    if (type.len < with.len)
        return false;
    if (fit == BEGIN)
        type = slice_first(type, with.len);
    if (fit == END)
        type = slice_drop(type, type.len - with.len);
    return slice_equal_nocase(type, with);
}

enum media media_of(struct slice content_type)
{
    struct slice type = slice_trim(slice_first(content_type, slice_find(content_type, ';')));

    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (!type_fits(type, types[i].type, types[i].fit))
            continue;
        if (types[i].media == MEDIA_MULTIPART && media_boundary(content_type).len == 0)
            return MEDIA_TEXT;
        return types[i].media;
    }
    return MEDIA_TEXT;
}

static bool boundary_octet(uint8_t c)
{
    return (c >= '0' && c <= '9') || (octet_lower(c) >= 'a' && octet_lower(c) <= 'z') ||
           (c != 0 && strchr("'()+_,-./:=? ", c));
}

static bool boundary_valid(struct slice s)
{
    if (s.len == 0 || s.len > MEDIA_BOUNDARY_MAX || s.at[s.len - 1] == ' ')
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (!boundary_octet(s.at[i]))
            return false;
    return true;
}

/* Where a parameter's value ends: at a ';' that is in no quotes. A quote without its end: s.len + 1. */
static size_t value_end(struct slice s)
{
    bool quoted = false;

    for (size_t i = 0; i < s.len; i++) {
        if (s.at[i] == '"')
            quoted = !quoted;
        else if (quoted && s.at[i] == '\\')
            i++;
        else if (!quoted && s.at[i] == ';')
            return i;
    }
    return quoted ? s.len + 1 : s.len;
}

/* A quoted boundary without its quotes. Many write '/' or '=' unquoted, which no token has; but a blank ends one. */
static struct slice boundary_bare(struct slice value)
{
    if (value.len >= 2 && value.at[0] == '"' && value.at[value.len - 1] == '"')
        return slice_of(value.at + 1, value.len - 2);
    return slice_find(value, ' ') < value.len ? SLICE_NONE : value;
}

struct slice media_boundary(struct slice content_type)
{
    struct slice rest = slice_drop(content_type, slice_find(content_type, ';')), found = SLICE_NONE;
    unsigned count = 0;

    while (rest.len > 0) {
        rest = slice_drop(rest, 1);
        size_t end = value_end(rest);

        if (end > rest.len)
            return SLICE_NONE;
        struct slice parameter = slice_trim(slice_first(rest, end));
        size_t name = slice_find(parameter, '=');

        if (slice_equal_nocase(slice_first(parameter, name), SLICE("boundary"))) {
            found = boundary_bare(slice_drop(parameter, name + 1));
            count++;
        }
        rest = slice_drop(rest, end);
    }
    return count == 1 && boundary_valid(found) ? found : SLICE_NONE;
}

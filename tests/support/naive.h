#pragma once
#include "subst.h"
#include <ctype.h>
#include <stdio.h>

/*
 * naive - what standing, escape and subst are compared with: a whole body at once, an octet at a time, from its beginning
 * again for each question. Slow, and plain enough to be read as the rule itself.
 */
static inline bool naive_token(struct slice s)
{
    if (s.len < SUBST_TOKEN || !slice_starts(s, SLICE("osb_sealed_")))
        return false;
    for (size_t i = SUBST_MARK; i < SUBST_TOKEN; i++)
        if (!memchr("0123456789abcdef", s.at[i], 16))
            return false;
    return true;
}

/* One octet of a value: how it is written. */
static inline size_t naive_octet(enum escape how, uint8_t c, char *out)
{
    static const char *const json[] = {['"'] = "\\\"", ['\\'] = "\\\\", ['\b'] = "\\b", ['\t'] = "\\t",
                                       ['\n'] = "\\n", ['\f'] = "\\f",  ['\r'] = "\\r"};
    static const char *const xml[] = {
        ['&'] = "&amp;", ['<'] = "&lt;", ['>'] = "&gt;", ['"'] = "&quot;", ['\''] = "&#39;"};
    static const char unreserved[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";

    if (how == ESCAPE_JSON && c < sizeof json / sizeof *json && json[c])
        return (size_t)sprintf(out, "%s", json[c]);
    if (how == ESCAPE_JSON && c < 0x20)
        return (size_t)sprintf(out, "\\u%04x", c);
    if (how == ESCAPE_PERCENT && (c == 0 || !strchr(unreserved, c)))
        return (size_t)sprintf(out, "%%%02X", c);
    if (how == ESCAPE_XML && c < sizeof xml / sizeof *xml && xml[c])
        return (size_t)sprintf(out, "%s", xml[c]);
    *out = (char)c;
    return 1;
}

static inline size_t naive_escape(enum escape how, struct slice value, char *out)
{
    size_t n = 0;

    for (size_t i = 0; i < value.len; i++)
        n += naive_octet(how, value.at[i], out + n);
    return n;
}

/* --- one document: its token at ${at} ----------------------------------------------------------------------- */

static inline struct where naive_json(struct slice doc, size_t at)
{
    struct slice behind = slice_drop(doc, at + SUBST_TOKEN);
    bool inside = false, escaped = false, opened = false;

    for (size_t i = 0; i < at; i++) {
        bool quote = !escaped && doc.at[i] == '"';

        escaped = !escaped && doc.at[i] == '\\';
        inside = inside != quote;
        opened = inside && quote;
    }
    return (struct where){inside ? ESCAPE_JSON : ESCAPE_NONE, opened && slice_starts(behind, SLICE("\"")),
                          inside && escaped};
}

static inline struct where naive_form(struct slice doc, size_t at)
{
    size_t begin = at;

    while (begin > 0 && doc.at[begin - 1] != '&')
        begin--;
    struct slice pair = slice_drop(doc, begin);

    pair = slice_first(pair, slice_find(pair, '&'));
    struct slice name = slice_first(pair, slice_find(pair, '=')), value = slice_drop(pair, name.len + 1);

    return (struct where){ESCAPE_PERCENT,
                          (name.at == doc.at + at && name.len == SUBST_TOKEN) ||
                              (value.at == doc.at + at && value.len == SUBST_TOKEN),
                          false};
}

/* Does the start tag of an element end right before ${at}? */
static inline bool naive_start_tag(struct slice doc, size_t at)
{
    size_t tag = at;

    while (tag > 0 && doc.at[tag - 1] != '<')
        tag--;
    if (tag == 0 || tag >= at || doc.at[at - 1] != '>' || strchr("-/?]", doc.at[at - 2]))
        return false;
    return isalpha(doc.at[tag]) || doc.at[tag] == '_' || doc.at[tag] == ':' || doc.at[tag] >= 0x80;
}

static inline struct where naive_xml(struct slice doc, size_t at)
{
    struct slice behind = slice_drop(doc, at + SUBST_TOKEN);
    bool cdata = false, edge = at == 0 || naive_start_tag(doc, at);

    for (size_t i = 0; i < at;) {
        struct slice rest = slice_of(doc.at + i, at - i), border = cdata ? SLICE("]]>") : SLICE("<![CDATA[");
        bool here = slice_starts(rest, border);

        cdata = cdata != here;
        i += here ? border.len : 1;
    }
    return (struct where){cdata ? ESCAPE_NONE : ESCAPE_XML,
                          !cdata && edge && (behind.len == 0 || slice_starts(behind, SLICE("</"))), false};
}

static inline struct where naive_document(enum media media, struct slice doc, size_t at)
{
    switch (media) {
    case MEDIA_TEXT:
        return (struct where){.escape = ESCAPE_NONE};
    case MEDIA_JSON:
        return naive_json(doc, at);
    case MEDIA_FORM:
        return naive_form(doc, at);
    case MEDIA_XML:
        return naive_xml(doc, at);
    default:
        return (struct where){.barred = true};
    }
}

/* --- multipart ---------------------------------------------------------------------------------------------- */

static inline size_t naive_find(struct slice in, size_t from, struct slice text)
{
    while (from < in.len && !slice_starts(slice_drop(in, from), text))
        from++;
    return from;
}

/* One unfolded field of a part's head. False: it is none. */
static inline bool naive_field(struct slice field, unsigned *types, enum media *media)
{
    bool cut = field.len >= 256;

    field = slice_first(field, 256);
    size_t colon = slice_find(field, ':');
    struct slice name = slice_trim(slice_first(field, colon)),
                 value = slice_trim(slice_drop(field, colon + 1));

    if (slice_equal_nocase(name, SLICE("content-type"))) {
        if (*media != MEDIA_BINARY)
            *media = *types || cut ? MEDIA_BINARY : media_of(value);
        ++*types;
    }
    if (slice_equal_nocase(name, SLICE("content-transfer-encoding")) &&
        (cut || (!slice_equal_nocase(value, SLICE("7bit")) && !slice_equal_nocase(value, SLICE("8bit")) &&
                 !slice_equal_nocase(value, SLICE("binary")))))
        *media = MEDIA_BINARY;
    return colon < field.len;
}

/* The head that begins at ${from}: where its part's body begins; in.len + 1 when it is broken or has no end. */
static inline size_t naive_head(struct slice in, size_t from, enum media *media)
{
    uint8_t field[4096];
    size_t len = 0;
    unsigned types = 0;

    *media = MEDIA_TEXT;
    for (;;) {
        size_t end = naive_find(in, from, SLICE("\r\n"));
        struct slice line = slice_of(in.at + from, end - from);
        bool folded = line.len && (line.at[0] == ' ' || line.at[0] == '\t');

        if (end == in.len || memchr(line.at, '\r', line.len) || memchr(line.at, '\n', line.len))
            return in.len + 1;
        if (len && !folded) {
            if (!naive_field(slice_of(field, len), &types, media))
                return in.len + 1;
            len = 0;
        }
        from = end + 2;
        if (line.len == 0)
            return from;
        for (size_t i = 0; i < line.len && len < sizeof field; i++)
            field[len++] = line.at[i];
    }
}

/* Of ${in}, the body with a CRLF more in front: the part from ${from} to before the delimiter at ${to}. */
static inline struct where naive_part(enum media media, struct slice in, size_t from, size_t to,
                                      struct slice delimiter, size_t at)
{
    struct slice behind = slice_drop(in, to + delimiter.len);
    bool ends = to < in.len && (slice_starts(behind, SLICE("\r\n")) || slice_starts(behind, SLICE("--")));
    struct slice doc = slice_of(in.at + from, (ends ? to : in.len) - from);
    struct where w = naive_document(media == MEDIA_MULTIPART ? MEDIA_TEXT : media, doc, at - from);

    w.alone = w.alone || (ends && at == from && to - from == SUBST_TOKEN);
    return w;
}

static inline struct where naive_multipart(struct slice in, struct slice delimiter, size_t at)
{
    const struct where barred = {.barred = true};
    size_t from = naive_find(in, 0, delimiter);

    for (;;) {
        enum media media;

        for (from += delimiter.len; from < in.len && (in.at[from] == ' ' || in.at[from] == '\t'); from++)
            ;
        if (from >= in.len || !slice_starts(slice_drop(in, from), SLICE("\r\n")))
            return barred;
        from = naive_head(in, from + 2, &media);
        if (at < from)
            return barred;
        size_t to = naive_find(in, from - 2, delimiter);

        if (at < to)
            return naive_part(media, in, from, to, delimiter, at);
        if (to == in.len)
            return barred;
        from = to;
    }
}

/* Where the token at ${at} of a whole body stands. */
static inline struct where naive_where(enum media media, struct slice boundary, struct slice body, size_t at)
{
    static uint8_t in[1 << 20];
    uint8_t delimiter[4 + MEDIA_BOUNDARY_MAX];

    if (media != MEDIA_MULTIPART || body.len > sizeof in - 2)
        return naive_document(media, body, at);
    memcpy(in, "\r\n", 2);
    memcpy(in + 2, body.at, body.len);
    memcpy(delimiter, "\r\n--", 4);
    memcpy(delimiter + 4, boundary.at, boundary.len);
    return naive_multipart(slice_of(in, body.len + 2), slice_of(delimiter, boundary.len + 4), at + 2);
}

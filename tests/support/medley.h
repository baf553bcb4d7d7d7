#pragma once
#include "naive.h"

/*
 * medley - random bodies, rich in tokens, in parts of them, and in all that a media type's borders are made of.
 */
#define MEDLEY_TOKEN    "osb_sealed_0123456789abcdef0123456789abcdef"
#define MEDLEY_OTHER    "osb_sealed_ffffffffffffffffffffffffffffffff"
#define MEDLEY_BOUNDARY "b-osb_sealed_0123456789abcdef0123456789abcdef" /* the worst that can be chosen */

static inline unsigned medley_draw(uint64_t *seed, unsigned below)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(*seed >> 33) % below;
}

static const char *const medley_any[] = {MEDLEY_TOKEN, MEDLEY_TOKEN, MEDLEY_OTHER, "osb_sealed_", "o",
                                         "_",          "0123",       "plain; ",    "\r\n",        "\n"};
static const char *const medley_json[] = {"\"", "\"", "\\",       "\\\"",  "\\\\",
                                          "{",  ":",  "\"key\":", "\"\",", "\\u00"};
static const char *const medley_form[] = {"&", "=", "&", "=", "a=", "&b", "%26", ";", "+"};
static const char *const medley_xml[] = {"<",   ">",    "<![CDATA[", "]]>",     "]",    "]]",
                                         "<a>", "</a>", "<!",        "[CDATA[", "&lt;", "<!--"};
static const char *const medley_multi[] = {
    "\r\n--" MEDLEY_BOUNDARY "\r\n\r\n",
    "\r\n--" MEDLEY_BOUNDARY "\r\n\r\n",
    "\r\n--" MEDLEY_BOUNDARY "\r\n",
    "\r\n--" MEDLEY_BOUNDARY " \t\r\n\r\n",
    "\r\n--" MEDLEY_BOUNDARY "\r\ncontent-type: application/json\r\n\r\n",
    "\r\n--" MEDLEY_BOUNDARY "\r\nContent-Type:\r\n text/xml;a=b\r\nX: y\r\n\r\n",
    "\r\n--" MEDLEY_BOUNDARY "\r\nContent-Type: application/x-www-form-urlencoded\r\n\r\n",
    "\r\n--" MEDLEY_BOUNDARY "\r\nContent-Type: image/png\r\n\r\n",
    "\r\n--" MEDLEY_BOUNDARY "\r\nContent-Transfer-Encoding: base64\r\n\r\n",
    "\r\n--" MEDLEY_BOUNDARY "\r\nContent-Transfer-Encoding: 8bit\r\n\r\n",
    "\r\n--" MEDLEY_BOUNDARY "--",
    ("\r\n--" MEDLEY_BOUNDARY),
    "\r\n--b",
    "--",
    "\r",
    "Content-Type: text/json\r\n",
    "\r\n\r\n",
};

#define MEDLEY_OF(table) table, sizeof(table) / sizeof *(table)

static inline struct slice medley_part(uint64_t *seed, enum media media)
{
    static const struct {
        const char *const *parts;
        size_t n;
    } tables[] = {
        [MEDIA_TEXT] = {MEDLEY_OF(medley_any)},        [MEDIA_JSON] = {MEDLEY_OF(medley_json)},
        [MEDIA_FORM] = {MEDLEY_OF(medley_form)},       [MEDIA_XML] = {MEDLEY_OF(medley_xml)},
        [MEDIA_MULTIPART] = {MEDLEY_OF(medley_multi)}, [MEDIA_GRPC] = {MEDLEY_OF(medley_any)},
        [MEDIA_BINARY] = {MEDLEY_OF(medley_any)},
    };
    static const enum media inside[] = {MEDIA_MULTIPART, MEDIA_MULTIPART, MEDIA_JSON, MEDIA_FORM, MEDIA_XML};

    if (media == MEDIA_MULTIPART)
        media = inside[medley_draw(seed, 5)];
    if (medley_draw(seed, 2))
        media = MEDIA_TEXT;
    return slice_text(tables[media].parts[medley_draw(seed, (unsigned)tables[media].n)]);
}

/* medley(seed, media, into, room): up to ${room} octets of a body; gives how many. One part in sixteen is cut. */
static inline size_t medley(uint64_t *seed, enum media media, char *into, size_t room)
{
    size_t n = 0;

    for (;;) {
        struct slice part = medley_part(seed, media);

        if (medley_draw(seed, 16) == 0)
            part = slice_first(part, medley_draw(seed, (unsigned)part.len + 1));
        if (n + part.len > room)
            return n;
        memcpy(into + n, part.at, part.len);
        n += part.len;
    }
}

/* medley_from(steps, media, into, room): a body with one part for each octet of ${steps}, which says what part. */
static inline size_t medley_from(struct slice steps, enum media media, char *into, size_t room)
{
    size_t n = 0;

    for (size_t i = 0; i < steps.len; i++) {
        uint64_t seed = steps.at[i];
        struct slice part = medley_part(&seed, media);

        if (n + part.len > room)
            break;
        memcpy(into + n, part.at, part.len);
        n += part.len;
    }
    return n;
}

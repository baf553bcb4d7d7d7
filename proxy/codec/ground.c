#include "ground.h"
#include "seek.h"
#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* --- JSON ------------------------------------------------------------------------------------------------- */

#define STEP ((size_t)64) /* octets looked at as one: a bit for each */

#ifdef __SSE2__
static inline uint64_t equal_mask(const uint8_t *at, char c)
{
    uint64_t mask = 0;

    for (unsigned i = 0; i < STEP; i += 16) {
        __m128i octets = _mm_loadu_si128((const __m128i *)(const void *)(at + i));
        unsigned hits = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(octets, _mm_set1_epi8(c)));

        mask |= (uint64_t)hits << i;
    }
    return mask;
}
#else
static uint64_t equal_mask(const uint8_t *at, char c)
{
    uint64_t mask = 0;

    for (unsigned i = 0; i < STEP; i++)
        mask |= (uint64_t)(at[i] == (uint8_t)c) << i;
    return mask;
}
#endif

/* The octets behind a backslash that is none's octet itself, among ${octets}; *open: the last one's is still to come. */
static uint64_t escaped_mask(uint64_t slashes, size_t octets, bool *open)
{
    uint64_t escaped = *open;

    *open = false;
    for (slashes &= ~escaped; slashes; slashes &= slashes - 1) {
        unsigned at = (unsigned)__builtin_ctzll(slashes);

        escaped |= UINT64_C(2) << at;
        slashes &= ~(UINT64_C(2) << at);
        *open = at == octets - 1;
    }
    return escaped;
}

/* A backslash is taken to escape outside a string too, where JSON has none. */
static void json_pass(struct ground *g, struct slice octets)
{
    uint64_t turns = 0, quotes = 0;
    uint8_t padded[STEP];
    size_t n = STEP;

    for (; octets.len; octets = slice_drop(octets, n)) {
        const uint8_t *at = octets.at;

        if (octets.len < STEP) {
            n = octets.len;
            memset(padded, 0, STEP);
            at = memcpy(padded, octets.at, n);
        }
        uint64_t slashes = equal_mask(at, '\\');

        quotes = equal_mask(at, '"');
        if (slashes || g->escaped)
            quotes &= ~escaped_mask(slashes, n, &g->escaped);
        turns ^= quotes;
    }
    g->inside ^= __builtin_parityll(turns);
    g->edge = g->inside && quotes >> (n - 1) & 1;
}

/* --- form, XML -------------------------------------------------------------------------------------------- */

static void form_pass(struct ground *g, struct slice octets)
{
    const uint8_t *cut = memrchr(octets.at, '&', octets.len);
    struct slice pair = cut ? slice_drop(octets, (size_t)(cut - octets.at) + 1) : octets;

    if (cut)
        g->inside = false;
    g->edge = cut && pair.len == 0;
    if (g->inside || pair.len == 0)
        return;
    size_t equals = slice_find(pair, '=');

    g->inside = equals < pair.len;
    g->edge = equals == pair.len - 1;
}

/* In CDATA: behind its end, or all of ${octets}. */
static size_t cdata_pass(struct ground *g, struct slice octets)
{
    for (size_t i = 0; i < octets.len; i++) {
        uint8_t c = octets.at[i];

        if (c == '>' && g->matched == 2) {
            g->inside = false;
            g->matched = 0;
            return i + 1;
        }
        if (c != ']')
            g->matched = 0;
        else if (g->matched < 2)
            g->matched++;
    }
    return octets.len;
}

static bool begins_name(uint8_t c)
{
    return (octet_lower(c) >= 'a' && octet_lower(c) <= 'z') || c == '_' || c == ':' || c >= 0x80;
}

/* Is what went by last the '>' of an element's start? Not that of a comment, CDATA or "<?": text goes on behind those. */
static bool element_begun(struct ground *g, struct slice octets)
{
    const uint8_t *tag = memrchr(octets.at, '<', octets.len);
    uint8_t end = octets.at[octets.len - 1], before = octets.len > 1 ? octets.at[octets.len - 2] : g->end;

    if (tag)
        g->element = tag < octets.at + octets.len - 1 && begins_name(tag[1]);
    else if (g->end == '<')
        g->element = begins_name(octets.at[0]);
    g->end = end;
    return end == '>' && g->element && !strchr("/-]?", before);
}

static void xml_pass(struct ground *g, struct slice octets)
{
    const struct slice begin = SLICE("<![CDATA[");
    bool begun = element_begun(g, octets);

    while (octets.len) {
        if (g->inside) {
            octets = slice_drop(octets, cdata_pass(g, octets));
            continue;
        }
        octets = slice_drop(octets, seek_on(octets, begin, &g->matched));
        if (g->matched == begin.len) {
            g->inside = true;
            g->matched = 0;
        }
    }
    g->edge = !g->inside && begun;
}

/* --- all -------------------------------------------------------------------------------------------------- */

void ground_begin(struct ground *g, enum media media)
{
    *g = (struct ground){.media = media, .empty = true, .edge = media == MEDIA_FORM || media == MEDIA_XML};
}

void ground_pass(struct ground *g, struct slice octets)
{
    if (octets.len == 0)
        return;
    g->empty = false;
    if (g->media == MEDIA_JSON)
        json_pass(g, octets);
    if (g->media == MEDIA_FORM)
        form_pass(g, octets);
    if (g->media == MEDIA_XML)
        xml_pass(g, octets);
}

/* Does what is behind a token, an octet or the end, close what the token stands behind the edge of? */
static bool closes(const struct ground *g, struct slice behind)
{
    switch (g->media) {
    case MEDIA_JSON:
        return behind.len && behind.at[0] == '"';
    case MEDIA_FORM:
        return !behind.len || behind.at[0] == '&' || (behind.at[0] == '=' && !g->inside);
    default:
        return !behind.len || slice_starts(behind, SLICE("</"));
    }
}

enum fault ground_at(const struct ground *g, struct slice behind, bool last, struct where *out)
{
    *out = (struct where){.escape = ESCAPE_NONE};
    switch (g->media) {
    case MEDIA_TEXT:
        break;
    case MEDIA_JSON:
        out->escape = g->inside ? ESCAPE_JSON : ESCAPE_NONE;
        out->barred = g->inside && g->escaped;
        break;
    case MEDIA_FORM:
        out->escape = ESCAPE_PERCENT;
        break;
    case MEDIA_XML:
        out->escape = g->inside ? ESCAPE_NONE : ESCAPE_XML;
        break;
    default:
        out->barred = true;
    }
    if (!g->edge)
        return FAULT_NONE;
    if (!last && (behind.len == 0 || (g->media == MEDIA_XML && behind.len == 1 && behind.at[0] == '<')))
        return FAULT_AGAIN;
    out->alone = closes(g, behind);
    return FAULT_NONE;
}

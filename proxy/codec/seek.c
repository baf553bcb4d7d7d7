#include "seek.h"
#include <assert.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

size_t seek_plain(struct slice in, struct slice text)
{
    const uint8_t *hit = in.len ? memmem(in.at, in.len, text.at, text.len) : NULL;

    return hit ? (size_t)(hit - in.at) : in.len;
}

#ifdef __SSE2__
#define LANES ((size_t)16)

struct needle {
    struct slice text;
    __m128i first, last;
};

static inline __m128i lanes_equal(const uint8_t *at, __m128i octet)
{
    return _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)(const void *)at), octet);
}

/*
 * Of the LANES octets from ${at} on, those where a text may begin: a bit for each. First and last octet are compared: of the
 * mark, 'o' alone is frequent in text, 'o' with '_' ten octets later is not.
 */
static inline unsigned block_hits(const uint8_t *at, const struct needle *n)
{
    __m128i first = lanes_equal(at, n->first), last = lanes_equal(at + n->text.len - 1, n->last);

    return (unsigned)_mm_movemask_epi8(_mm_and_si128(first, last));
}

/* The first of ${hits} that is one; LANES where none is. */
static size_t block_first(const uint8_t *at, unsigned hits, struct slice text)
{
    for (; hits; hits &= hits - 1) {
        size_t hit = (size_t)__builtin_ctz(hits);

        if (memcmp(at + hit, text.at, text.len) == 0)
            return hit;
    }
    return LANES;
}

/* Less than a block: padded. Apart, so that no long search has to clear the room for it. */
__attribute__((noinline)) static size_t short_seek(struct slice in, const struct needle *n)
{
    uint8_t padded[LANES + SEEK_MOST - 1] = {0};

    memcpy(padded, in.at, in.len);
    size_t hit = block_first(padded, block_hits(padded, n), n->text);

    return hit < LANES ? hit : in.len;
}

/* Two blocks at a time, then one; the last overlaps the one before it. As many octets more than its LANES are read of a
 * block as the text has behind its first. */
size_t seek_first(struct slice in, struct slice text)
{
    size_t block = LANES + text.len - 1, at = 0, hit;

    assert(text.len >= 2 && text.len <= SEEK_MOST);
    if (in.len < text.len)
        return in.len;
    const struct needle n = {text, _mm_set1_epi8((char)text.at[0]),
                             _mm_set1_epi8((char)text.at[text.len - 1])};

    if (in.len < block)
        return short_seek(in, &n);
    for (; at + LANES + block <= in.len; at += 2 * LANES) {
        unsigned hits = block_hits(in.at + at, &n), more = block_hits(in.at + at + LANES, &n);

        if (!(hits | more))
            continue;
        hit = block_first(in.at + at, hits, text);
        if (hit == LANES)
            hit += block_first(in.at + at + LANES, more, text);
        if (hit < 2 * LANES)
            return at + hit;
    }
    for (; at + block < in.len + LANES; at += LANES) {
        if (at + block > in.len)
            at = in.len - block;
        hit = block_first(in.at + at, block_hits(in.at + at, &n), text);
        if (hit < LANES)
            return at + hit;
    }
    return in.len;
}
#else
size_t seek_first(struct slice in, struct slice text)
{
    return seek_plain(in, text);
}
#endif

size_t seek_begun(struct slice in, struct slice text)
{
    size_t len = in.len < text.len - 1 ? in.len : text.len - 1;
    const uint8_t *hit = len ? memrchr(in.at + in.len - len, text.at[0], len) : NULL;

    if (!hit)
        return in.len;
    len = (size_t)(in.at + in.len - hit);
    return memcmp(hit, text.at, len) == 0 ? in.len - len : in.len;
}

/* How many octets ${a} and ${b} have alike at their fronts. */
static size_t alike(struct slice a, struct slice b)
{
    size_t n = 0;

    while (n < a.len && n < b.len && a.at[n] == b.at[n])
        n++;
    return n;
}

size_t seek_on(struct slice in, struct slice text, size_t *matched)
{
    size_t from = 0;

    if (*matched) {
        from = alike(in, slice_drop(text, *matched));
        *matched += from;
        if (*matched == text.len || from == in.len)
            return from;
        *matched = 0; /* what was alike holds no first octet: the search goes on behind it */
    }
    size_t hit = from + seek_first(slice_drop(in, from), text);

    if (hit < in.len) {
        *matched = text.len;
        return hit + text.len;
    }
    *matched = in.len - from - seek_begun(slice_drop(in, from), text);
    return in.len;
}

#include "subst.h"
#ifdef __SSE2__
#include <emmintrin.h>
#endif

static const uint8_t mark[SUBST_MARK] = {'o', 's', 'b', '_', 's', 'e', 'a', 'l', 'e', 'd', '_'};

size_t subst_mark_plain(struct slice in)
{
    const uint8_t *hit = in.len ? memmem(in.at, in.len, mark, SUBST_MARK) : NULL;

    return hit ? (size_t)(hit - in.at) : in.len;
}

#ifdef __SSE2__
#define LANES ((size_t)16)
#define BLOCK (LANES + SUBST_MARK - 1)

static inline __m128i lanes_equal(const uint8_t *at, uint8_t c)
{
    return _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)(const void *)at), _mm_set1_epi8((char)c));
}

/*
 * The first mark that begins in the LANES octets from ${at} on, LANES where there is none; BLOCK octets are read.
 * First and last octet are compared at once: 'o' alone is frequent in text, 'o' with '_' ten octets later is not.
 */
static inline size_t block_mark(const uint8_t *at)
{
    __m128i first = lanes_equal(at, mark[0]), last = lanes_equal(at + SUBST_MARK - 1, mark[SUBST_MARK - 1]);
    unsigned hits = (unsigned)_mm_movemask_epi8(_mm_and_si128(first, last));

    for (; hits; hits &= hits - 1) {
        size_t hit = (size_t)__builtin_ctz(hits);

        if (memcmp(at + hit, mark, SUBST_MARK) == 0)
            return hit;
    }
    return LANES;
}

/* The last block overlaps the one before it, and a short run is padded: most header fields are short. */
size_t subst_mark_vector(struct slice in)
{
    uint8_t padded[BLOCK] = {0};
    size_t hit;

    if (in.len < SUBST_MARK)
        return in.len;
    if (in.len < BLOCK) {
        hit = block_mark(memcpy(padded, in.at, in.len));
        return hit < LANES ? hit : in.len;
    }
    for (size_t at = 0; at < in.len - BLOCK; at += LANES) {
        hit = block_mark(in.at + at);
        if (hit < LANES)
            return at + hit;
    }
    hit = block_mark(in.at + in.len - BLOCK);
    return hit < LANES ? in.len - BLOCK + hit : in.len;
}
#else
size_t subst_mark_vector(struct slice in)
{
    return subst_mark_plain(in);
}
#endif

static bool hex_digit(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

/* ${in} begins with the mark; is what follows, as far as it is here, that of a token? */
static bool digits_follow(struct slice in)
{
    size_t end = in.len < SUBST_TOKEN ? in.len : SUBST_TOKEN;

    for (size_t i = SUBST_MARK; i < end; i++)
        if (!hex_digit(in.at[i]))
            return false;
    return true;
}

/* Where a mark begins that the end of ${in} cuts off; in.len where there is none. Its first octet is its one 'o'. */
static size_t mark_begun(struct slice in)
{
    size_t len = in.len < SUBST_MARK - 1 ? in.len : SUBST_MARK - 1;
    const uint8_t *hit = memrchr(in.at + in.len - len, mark[0], len);

    if (!hit)
        return in.len;
    len = (size_t)(in.at + in.len - hit);
    return memcmp(hit, mark, len) == 0 ? in.len - len : in.len;
}

/* Linear: the mark's letters are no hex digits, so no two false starts look at the same octet as a digit. */
size_t subst_find(struct slice in)
{
    if (in.len == 0)
        return 0;
    for (size_t at = 0; at < in.len; at++) {
        at += subst_mark_vector(slice_drop(in, at));
        if (at < in.len && digits_follow(slice_drop(in, at)))
            return at;
    }
    return mark_begun(in);
}

/* All of ${s} that there is room for: buf_some alone may stop early, before ${out} moves what it holds to its front. */
static size_t pour(struct buf *out, struct slice s)
{
    size_t done = 0, n = 1;

    for (; done < s.len && n > 0; done += n)
        n = buf_some(out, slice_drop(s, done));
    return done;
}

struct emission {
    struct subst *subst;
    struct buf *out;
};

static enum fault emit(void *cookie, struct slice value)
{
    struct emission *e = cookie;

    e->subst->emitted += pour(e->out, slice_drop(value, e->subst->emitted));
    return e->subst->emitted == value.len ? FAULT_NONE : FAULT_FULL;
}

/* ${rest} begins with a token that was granted: its value, or what is left of it. */
static enum fault feed_value(struct subst *s, struct slice rest, struct buf *out, size_t *used)
{
    struct emission e = {s, out};

    if (rest.len < SUBST_TOKEN)
        return FAULT_AGAIN;
    TRY(secret_lend(s->value, emit, &e));
    s->value = NULL;
    *used += SUBST_TOKEN;
    return FAULT_NONE;
}

/* How many octets at the front of ${rest} can go on as they are. */
static size_t plain_run(const struct subst *s, struct slice rest, bool last)
{
    /* No token begins inside another, so one octet past the start of a refused one, the search is on plain ground. */
    size_t known = s->judged ? 1 : 0, plain = known + subst_find(slice_drop(rest, known));

    return last && rest.len - plain < SUBST_TOKEN ? rest.len : plain;
}

enum fault subst_feed(struct subst *s, struct slice in, bool last, struct buf *out, size_t *used)
{
    *used = 0;
    while (*used < in.len) {
        struct slice rest = slice_drop(in, *used);

        if (s->value) {
            TRY(feed_value(s, rest, out, used));
            continue;
        }
        /* Whether a token is cut off is judged right where it counts: what is beyond the room stays here anyway. */
        struct slice seen = slice_first(rest, buf_free(out) + SUBST_TOKEN);
        size_t plain = plain_run(s, seen, last);
        size_t poured = pour(out, slice_first(seen, plain));

        *used += poured;
        if (poured)
            s->judged = false;
        if (poured < plain)
            return FAULT_FULL;
        if (seen.len - plain < SUBST_TOKEN)
            return FAULT_NONE;
        s->value = s->grant(s->cookie, slice_of(seen.at + plain, SUBST_TOKEN));
        s->emitted = 0;
        s->judged = !s->value;
    }
    return FAULT_NONE;
}

uint64_t subst_measure(grant_fn *grant, void *cookie, struct slice all, bool *changed)
{
    uint64_t total = 0;

    *changed = false;
    while (all.len > 0) {
        size_t plain = subst_find(all);

        if (all.len - plain < SUBST_TOKEN)
            return total + all.len;
        const struct secret *value = grant(cookie, slice_of(all.at + plain, SUBST_TOKEN));

        total += plain + (value ? secret_len(value) : SUBST_TOKEN);
        *changed = *changed || value;
        all = slice_drop(all, plain + SUBST_TOKEN);
    }
    return total;
}

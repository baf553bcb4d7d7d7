#include "scrub.h"
#include "owner.h"
#include <sodium.h>

#define ENVELOPE 5 /* a flag, and the length */

/* The next octets of an envelope: how many of ${in} they are. The length is known when the last one is by. */
static size_t envelope_pass(struct scrub *s, struct slice in)
{
    size_t n = 0;

    for (; n < in.len && s->envelope < ENVELOPE; n++, s->envelope++)
        s->left = s->envelope ? s->left << 8 | in.at[n] : 0;
    return n;
}

/* The first ${n} octets of ${run} to ${out}, masked, without those that are out already. */
static void piece_write(struct scrub *s, struct slice run, size_t n, struct buf *out)
{
    /* What is beyond the longest pattern is none of these octets' business. */
    struct slice seen = slice_first(run, n + scrubs_longest(s->scrubs) - 1);
    uint8_t *into = buf_claim(out, n);
    size_t ahead = s->ahead < n ? s->ahead : n;

    memcpy(into, run.at, n);
    scrubs_paint(s->scrubs, seen, n, into, &s->paint);
    if (ahead) {
        memmove(into, into + ahead, n - ahead);
        sodium_memzero(into + n - ahead, ahead);
    }
    buf_fill(out, n - ahead);
    s->ahead -= ahead;
}

/* As much of them as there is room for; gives how many octets of ${run} that is. What is out already needs none. */
static size_t run_write(struct scrub *s, struct slice run, size_t n, struct buf *out)
{
    size_t at = 0;

    while (at < n && buf_free(out)) {
        size_t piece = n - at < buf_free(out) ? n - at : buf_free(out);

        piece_write(s, slice_drop(run, at), piece, out);
        at += piece;
    }
    return at;
}

/*
 * What need not wait any longer of the first ${n} octets of ${left}; false: there was no room for all of it. It is painted
 * again when it is fed: only then does it count.
 */
static bool let_go(struct scrub *s, struct slice left, size_t n, struct buf *out)
{
    struct scrubs_paint paint = s->paint;
    size_t ahead = s->ahead, most = scrubs_threat(s->scrubs, slice_first(left, n), ahead);

    if (most <= ahead)
        return true;
    n = run_write(s, left, most, out);
    s->paint = paint;
    s->ahead = n > ahead ? n : ahead;
    return n == most;
}

static void ease(struct filter *f, struct slice left, struct buf *out)
{
    (void)let_go(OWNER(f, struct scrub, filter), left, left.len, out);
}

/* Follow envelopes and messages in what of ${in} was not seen before, up to the last message that ends there. */
static void messages_follow(struct scrub *s, struct slice in)
{
    while (s->followed < in.len) {
        struct slice rest = slice_drop(in, s->followed);

        if (s->envelope < ENVELOPE) {
            s->followed += envelope_pass(s, rest);
        } else {
            rest = slice_first(rest, (size_t)s->left);
            s->followed += rest.len;
            s->left -= rest.len;
        }
        if (s->envelope == ENVELOPE && s->left == 0) {
            s->envelope = 0;
            s->ended = s->followed;
        }
    }
}

static enum fault feed(struct filter *f, struct slice in, bool last, struct buf *out, size_t *used)
{
    struct scrub *s = OWNER(f, struct scrub, filter);
    size_t settled = last ? in.len : scrubs_settled(s->scrubs, in);

    if (s->enveloped)
        messages_follow(s, in);
    *used = run_write(s, in, settled, out);
    s->hits = s->paint.masks;
    s->followed -= s->followed < *used ? s->followed : *used;
    s->ended -= s->ended < *used ? s->ended : *used;
    if (*used < settled)
        return FAULT_FULL;
    /* Who waits for a message has it. */
    return s->ended && !let_go(s, slice_drop(in, *used), s->ended, out) ? FAULT_FULL : FAULT_NONE;
}

void scrub_begin(struct scrub *s, const struct scrubs *set, enum media media)
{
    *s = (struct scrub){.filter = {.feed = feed, .hold = scrubs_longest(set) - 1, .ease = ease},
                        .scrubs = set,
                        .enveloped = media == MEDIA_GRPC};
}

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

/* ${run}: what is here of a message that is searched by itself; ${whole}: up to its end. */
static enum fault feed_run(struct scrub *s, struct slice run, bool whole, struct buf *out, size_t *used)
{
    size_t settled = whole ? run.len : scrubs_settled(s->scrubs, run);

    *used = run_write(s, run, settled, out);
    s->hits = s->paint.masks;
    return *used < settled ? FAULT_FULL : FAULT_NONE;
}

/* What is painted now is painted again when it is fed: only then does it count. */
static void ease(struct filter *f, struct slice left, struct buf *out)
{
    struct scrub *s = OWNER(f, struct scrub, filter);
    struct scrubs_paint paint = s->paint;
    size_t ahead = s->ahead, n;

    if (s->enveloped)
        return;
    n = run_write(s, left, scrubs_threat(s->scrubs, left), out);
    s->paint = paint;
    s->ahead = n > ahead ? n : ahead;
}

static enum fault feed_enveloped(struct scrub *s, struct slice in, bool last, struct buf *out, size_t *used)
{
    size_t n;

    *used = 0;
    while (*used < in.len) {
        struct slice rest = slice_drop(in, *used);

        if (s->envelope < ENVELOPE) {
            struct slice octets = slice_first(rest, buf_free(out));

            n = envelope_pass(s, octets);
            TRY(buf_append(out, slice_first(octets, n)));
            *used += n;
            if (n == 0)
                return FAULT_FULL;
        } else {
            bool whole = rest.len >= s->left;
            enum fault f = feed_run(s, slice_first(rest, (size_t)s->left), whole || last, out, &n);

            *used += n;
            s->left -= n;
            if (f != FAULT_NONE || s->left)
                return f;
        }
        if (s->envelope == ENVELOPE && s->left == 0) {
            s->envelope = 0;
            s->paint = (struct scrubs_paint){.masks = s->paint.masks};
        }
    }
    return FAULT_NONE;
}

static enum fault feed(struct filter *f, struct slice in, bool last, struct buf *out, size_t *used)
{
    struct scrub *s = OWNER(f, struct scrub, filter);

    return s->enveloped ? feed_enveloped(s, in, last, out, used) : feed_run(s, in, last, out, used);
}

void scrub_begin(struct scrub *s, const struct scrubs *set, enum media media)
{
    *s = (struct scrub){.filter = {.feed = feed, .hold = scrubs_longest(set) - 1, .ease = ease},
                        .scrubs = set,
                        .enveloped = media == MEDIA_GRPC};
}

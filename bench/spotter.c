#include "spotter.h"

/* Gives what is behind the last occurrence. */
static struct slice spotter_count(struct spotter *s, struct slice value, struct slice in)
{
    const uint8_t *hit;

    while (in.len >= value.len && (hit = memmem(in.at, in.len, value.at, value.len))) {
        s->seen++;
        in = slice_drop(in, (size_t)(hit - in.at) + value.len);
    }
    return in;
}

/* Remember the octets of ${last} that an occurrence could begin in. */
static void spotter_keep(struct spotter *s, size_t most, struct slice last)
{
    last = slice_drop(last, last.len > most ? last.len - most : 0);
    if (last.len)
        memmove(s->tail, last.at, last.len);
    s->kept = last.len;
}

void spotter_feed(struct spotter *s, struct slice value, struct slice in)
{
    if (value.len == 0 || in.len == 0)
        return;
    if (s->kept) { /* fewer octets than the value on either side of the seam: it is there once or not */
        size_t most = value.len - 1, more = in.len < most ? in.len : most;
        const uint8_t *hit;

        memcpy(s->tail + s->kept, in.at, more);
        hit = memmem(s->tail, s->kept + more, value.at, value.len);
        if (hit) {
            s->seen++;
            in = slice_drop(in, (size_t)(hit - s->tail) + value.len - s->kept);
        } else if (more == in.len) {
            spotter_keep(s, most, slice_of(s->tail, s->kept + more));
            return;
        }
    }
    spotter_keep(s, value.len - 1, spotter_count(s, value, in));
}

#include "tally.h"

#define SCRATCH_OCTETS 16384 /* a pooled size */

static struct tally *of(struct stream *s)
{
    return (struct tally *)(void *)s;
}

static enum fault tally_room(struct stream *stream, struct buf **out)
{
    struct tally *t = of(stream);

    if (t->octets >= t->until)
        return FAULT_FULL;
    *out = &t->scratch;
    return buf_open(&t->scratch, SCRATCH_OCTETS);
}

static void tally_wrote(struct stream *stream, size_t n)
{
    struct tally *t = of(stream);

    t->octets += n;
    buf_close(&t->scratch);
}

static const struct stream_ops tally_ops = {.room = tally_room, .wrote = tally_wrote};

void tally_open(struct tally *t)
{
    *t = (struct tally){.stream = {&tally_ops, "tally"}, .until = TALLY_TURN};
}

void tally_turn(struct tally *t)
{
    t->until = t->octets + TALLY_TURN;
}

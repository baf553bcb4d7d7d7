#include "websocket.h"
#include "wsframe.h"

/*
 * Octets that steer, then frames. Fed in two ways, they must become the same but for the masks; and where they were built to
 * be right, each message must be what its filter makes of it as a whole, in its order, with each control frame between.
 */
#define STEER 16
#define ROOM  (1 << 18)

static struct buf in, once, twice;

/* --- one stream of octets, two ways ----------------------------------------------------------------------- */

static enum fault feed(const uint8_t *steer, const struct cuts *cuts, struct slice octets, struct buf *got)
{
    static struct filter swap = {.feed = swap_feed, .hold = 1};
    struct websocket w;

    websocket_begin(&w, steer[0] & 1, steer[0] & 2 ? &swap : NULL, steer[0] & 4 ? &swap : NULL);
    buf_take(got, buf_held(got).len);
    enum fault why = frames_feed(&w.filter, octets, cuts, got);

    websocket_close(&w);
    return why;
}

/* Frame by frame, also where the last one is cut off. */
static void compare(bool masked)
{
    struct slice a = buf_held(&once), b = buf_held(&twice), of_a, of_b;
    uint8_t first_a, first_b;

    while (a.len > 0 && frame_take(&a, masked, &first_a, &of_a)) {
        frames_must(frame_take(&b, masked, &first_b, &of_b));
        frames_must(first_a == first_b && slice_equal(of_a, of_b));
    }
    frames_must(a.len == b.len);
}

/* --- messages that are right ------------------------------------------------------------------------------ */

/* What a message should become, all of it at once. */
struct expected {
    uint8_t opcode;
    uint8_t octets[4096];
    size_t len;
};

struct builder {
    struct slice from; /* what is left of the input */
    bool masked;
    struct expected message[64], open;
    size_t messages;
};

static uint8_t next(struct builder *b)
{
    uint8_t octet = b->from.len ? b->from.at[0] : 0;

    b->from = slice_drop(b->from, 1);
    return octet;
}

static struct slice payload(struct builder *b, size_t most)
{
    struct slice taken = slice_first(b->from, next(b) % (most + 1));

    b->from = slice_drop(b->from, taken.len);
    return taken;
}

static void expect(struct builder *b, uint8_t opcode, struct slice octets)
{
    struct expected *e = &b->message[b->messages++];

    e->opcode = opcode;
    e->len = octets.len;
    if (octets.len)
        memcpy(e->octets, octets.at, octets.len);
}

/* A control frame, or the next one of a message that is begun, goes on or ends. */
static void frame_build(struct builder *b, uint8_t how)
{
    struct expected *e = &b->open;

    if (how & 1) {
        uint8_t opcode = how & 2 ? 9 : 10;
        struct slice octets = payload(b, WEBSOCKET_CONTROL);

        frame_put(&in, 0x80 | opcode, b->masked, octets);
        expect(b, opcode, octets);
        return;
    }
    struct slice octets = payload(b, 255);
    bool begins = e->opcode == 0, ends = how & 4 || e->len + octets.len > sizeof e->octets - 256;

    if (begins)
        e->opcode = how & 2 ? 1 : 2;
    frame_put(&in, (uint8_t)((ends ? 0x80 : 0) | (begins ? e->opcode : 0)), b->masked, octets);
    if (octets.len)
        memcpy(e->octets + e->len, octets.at, octets.len);
    e->len += octets.len;
    if (ends) {
        expect(b, e->opcode, slice_of(e->octets, e->len));
        e->opcode = 0;
        e->len = 0;
    }
}

/* ${want} of the steering filters, all at once. */
static void filtered(const uint8_t *steer, const struct expected *want, struct buf *out)
{
    size_t used;

    if ((want->opcode == 1 && steer[0] & 2) || (want->opcode == 2 && steer[0] & 4))
        frames_must(swap_feed(NULL, slice_of(want->octets, want->len), true, out, &used) == FAULT_NONE);
    else
        frames_must(buf_append(out, slice_of(want->octets, want->len)) == FAULT_NONE);
}

static void messages_are(const uint8_t *steer, const struct builder *b)
{
    static uint8_t joined[1 << 16], made[1 << 16];
    struct buf want = {.base = made, .cap = sizeof made};
    struct slice all = buf_held(&once), octets;
    size_t len = 0, found = 0;
    uint8_t first, opcode = 0;

    while (all.len > 0) {
        frames_must(frame_take(&all, b->masked, &first, &octets));
        bool control = first & 8;

        if (!control) {
            frames_must(!(first & 15) == (opcode != 0));
            opcode |= first & 15;
            memcpy(joined + len, octets.at, octets.len);
            len += octets.len;
            octets = slice_of(joined, len);
        }
        if (!(first & 0x80))
            continue;
        frames_must(found < b->messages);
        buf_take(&want, buf_held(&want).len);
        filtered(steer, &b->message[found], &want);
        frames_must(b->message[found++].opcode == (control ? first & 15 : opcode) &&
                    slice_equal(buf_held(&want), octets));
        if (!control)
            opcode = 0, len = 0;
    }
    frames_must(found == b->messages);
}

static void build(const uint8_t *steer, struct slice from, struct builder *b)
{
    b->from = from;
    b->masked = steer[0] & 1;
    b->messages = b->open.len = b->open.opcode = 0;
    while (b->from.len > 0 && b->messages < sizeof b->message / sizeof *b->message)
        frame_build(b, next(b));
}

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t len)
{
    static const size_t whole[] = {ROOM};
    static struct builder b;
    size_t pieces[STEER - 2];

    if (!in.base && (buf_open(&in, ROOM) || buf_open(&once, 4 * ROOM) || buf_open(&twice, 4 * ROOM)))
        abort();
    if (len < STEER || len > ROOM / 8)
        return 0;
    struct slice from = slice_of(octets + STEER, len - STEER);
    bool right = octets[0] & 8;

    buf_take(&in, buf_held(&in).len);
    if (right)
        build(octets, from, &b);
    else
        frames_must(buf_append(&in, from) == FAULT_NONE);
    for (size_t i = 0; i < STEER - 2; i++)
        pieces[i] = 1u + octets[2 + i];

    enum fault why = feed(octets, &(struct cuts){whole, 1, ROOM}, buf_held(&in), &once);
    enum fault again = feed(octets, &(struct cuts){pieces, STEER - 2, WEBSOCKET_ROOM + 4u * octets[1]},
                            buf_held(&in), &twice);

    frames_must(why == again);
    frames_must(!right || why == FAULT_NONE || why == FAULT_TOKEN_DENIED);
    compare(octets[0] & 1);
    if (right && why == FAULT_NONE) {
        feed(octets, &(struct cuts){whole, 1, ROOM}, buf_held(&in), &once); /* compare took its masks off */
        messages_are(octets, &b);
    }
    return 0;
}

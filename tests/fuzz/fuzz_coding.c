#include "coding.h"
#include "packing.h"
#include <stdlib.h>

/*
 * Octets that steer, then octets that are coded, or that we code, and then perhaps spoil: cut anywhere and through any
 * buffer they become what they become in one piece, and never take more memory than the header says.
 */
#define STEER 16
#define TEXT  (256 * 1024) /* what is compared; a bomb may say more */

struct outcome {
    enum fault why;
    bool stopped; /* there was more */
    size_t len;
    uint8_t text[TEXT];
};

static void demand(bool held)
{
    if (!held)
        abort();
}

static size_t bounded(size_t n, size_t most)
{
    return n < most ? n : most;
}

static void decode(enum packing how, struct slice in, const uint8_t *cuts, size_t cap, struct outcome *o)
{
    struct purse purse = {.memory = packing_table[how].memory, .disk = 0};
    struct decoder *d;
    struct buf out = {0};
    unsigned turn = 0;
    size_t used;

    o->why = FAULT_NONE;
    o->stopped = false;
    o->len = 0;
    demand(buf_open(&out, cap) == FAULT_NONE);
    demand(decoder_new(packing_table[how].coding, &purse, &d) == FAULT_NONE);
    while (in.len || o->why == FAULT_FULL) {
        struct slice piece = cuts ? slice_first(in, 1u + cuts[turn++ % STEER]) : in;

        o->why = decoder_feed(d, piece, &out, &used);
        demand(used <= piece.len);
        demand(o->why == FAULT_NONE || o->why == FAULT_END || o->why == FAULT_FULL ||
               o->why == FAULT_INVALID);
        demand(used == piece.len || o->why == FAULT_FULL || o->why == FAULT_INVALID);
        demand(o->why != FAULT_FULL || buf_free(&out) == 0);
        in = slice_drop(in, used);
        used = buf_held(&out).len;
        memcpy(o->text + o->len, buf_held(&out).at, bounded(used, TEXT - o->len));
        o->len += bounded(used, TEXT - o->len);
        buf_take(&out, used);
        o->stopped = o->len == TEXT;
        if (o->why == FAULT_INVALID || o->stopped)
            break;
    }
    decoder_free(d);
    demand(purse.memory == packing_table[how].memory);
    buf_close(&out);
}

static void compare(enum packing how, struct slice in, const uint8_t *steer)
{
    static struct outcome whole, cut;

    decode(how, in, NULL, 65536, &whole);
    decode(how, in, steer, 1u + steer[0], &cut);
    demand(memcmp(whole.text, cut.text, bounded(whole.len, cut.len)) == 0);
    if (whole.stopped || cut.stopped)
        return;
    demand(whole.why == cut.why);
    demand(whole.len == cut.len || whole.why == FAULT_INVALID);
}

static void pack_and_compare(enum packing how, struct slice text, bool spoil, const uint8_t *steer)
{
    size_t room = pack_room(text.len), len;
    uint8_t *into = malloc(room);
    static struct outcome o;

    demand(into != NULL);
    len = pack(how, text, into, room);
    if (spoil) {
        into[(steer[1] + 256u * steer[2]) % len] ^= (uint8_t)(1u << steer[3] % 8);
        len -= steer[4] % 8 % len;
    } else {
        decode(how, slice_of(into, len), steer, 1u + steer[0], &o);
        demand(o.why == FAULT_END && slice_equal(text, slice_of(o.text, o.len)));
    }
    compare(how, slice_of(into, len), steer);
    free(into);
}

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t len)
{
    if (len < STEER)
        return 0;

    struct slice rest = slice_drop(slice_of(octets, len), STEER);
    enum packing how = (enum packing)(octets[5] % PACKINGS);

    switch (octets[6] % 3) {
    case 0:
        compare(how, rest, octets);
        return 0;
    case 1:
        pack_and_compare(how, slice_first(rest, TEXT - 1), false, octets);
        return 0;
    default:
        pack_and_compare(how, slice_first(rest, TEXT - 1), true, octets);
        return 0;
    }
}

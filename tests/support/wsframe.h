#pragma once
#include "filter.h"
#include <stdlib.h>

/*
 * Frames as text, and feeding them as relay does, for tests of websocket: "t+(Hel) p(x) m(lo)" is an unfinished text frame,
 * a ping, and the frame that goes on and ends it. b is binary, c close, o pong.
 */
#define FRAME_LETTERS "mtb?????cpo?????"

static inline void frames_must(bool held)
{
    if (!held)
        abort();
}

/* frame_put(out, first, masked, payload): one frame as a peer writes it, with a minimal length. */
static inline void frame_put(struct buf *out, uint8_t first, bool masked, struct slice payload)
{
    static uint8_t mask[4] = {0x37, 0xfa, 0x21, 0x3d};
    uint8_t head[14] = {first, masked ? 0x80 : 0};
    size_t more = payload.len < 126 ? 0 : payload.len < 65536 ? 2 : 8, n = 2;

    head[1] |= (uint8_t)(more == 8 ? 127 : more == 2 ? 126 : payload.len);
    for (; more > 0; more--)
        head[n++] = (uint8_t)((uint64_t)payload.len >> (8 * (more - 1)));
    for (size_t i = 0; masked && i < 4; i++)
        head[n++] = mask[i];
    frames_must(buf_append(out, slice_of(head, n)) == FAULT_NONE);
    for (size_t i = 0; i < payload.len; i++) {
        uint8_t c = payload.at[i] ^ (masked ? mask[i % 4] : 0);

        frames_must(buf_append(out, slice_of(&c, 1)) == FAULT_NONE);
    }
    mask[0]++;
}

/* frames_put(out, text, masked): frames written as above; a payload holds no ")". */
static inline void frames_put(struct buf *out, const char *text, bool masked)
{
    while (*text) {
        uint8_t first = (uint8_t)(strchr(FRAME_LETTERS, *text++) - FRAME_LETTERS);

        first |= *text == '+' ? 0 : 0x80;
        text += *text == '+';
        const char *end = strchr(text, ')');

        frame_put(out, first, masked, slice_of(text + 1, (size_t)(end - text) - 1));
        text = end + 1;
        text += *text == ' ';
    }
}

/* frame_take(in, masked, first, payload): the frame at the front of ${in}, unmasked where it stands; false: not one that
 * follows the rules of its direction. */
static inline bool frame_take(struct slice *in, bool masked, uint8_t *first, struct slice *payload)
{
    if (in->len < 2)
        return false;
    uint64_t length = in->at[1] & 127, least = length == 127 ? 65536 : 126;
    size_t more = length == 127 ? 8 : length == 126 ? 2 : 0, n = 2 + more + (masked ? 4 : 0);

    *first = in->at[0];
    if (!(in->at[1] & 128) == masked || in->len < n)
        return false;
    if (more)
        length = 0;
    for (size_t i = 0; i < more; i++)
        length = length << 8 | in->at[2 + i];
    if ((more && length < least) || length > in->len - n)
        return false;
    *payload = slice_of(in->at + n, (size_t)length);
    for (size_t i = 0; masked && i < length; i++)
        ((uint8_t *)(uintptr_t)payload->at)[i] ^= in->at[n - 4 + i % 4];
    *in = slice_drop(*in, n + (size_t)length);
    return true;
}

/* frames_text(in, masked, text, room): as frames_put reads them; "?" from where they are none. */
static inline void frames_text(struct slice in, bool masked, char *text, size_t room)
{
    struct slice payload;
    uint8_t first;

    *text = '\0';
    while (in.len > 0) {
        if (!frame_take(&in, masked, &first, &payload) || payload.len + 8 > room) {
            frames_must(room > 1);
            memcpy(text, "?", 2);
            return;
        }
        size_t n = 0;

        text[n++] = FRAME_LETTERS[first & 15];
        if (!(first & 0x80))
            text[n++] = '+';
        text[n++] = '(';
        memcpy(text + n, payload.at, payload.len);
        n += payload.len;
        text[n++] = ')';
        if (in.len > 0)
            text[n++] = ' ';
        text[n] = '\0';
        text += n;
        room -= n;
    }
}

/* swap: a filter that makes "XYZ" of "ab", refuses "!", and leaves an "a" at the end over. Writes as long as there is room
 * for the longest. */
static inline enum fault swap_feed(struct filter *f, struct slice in, bool last, struct buf *out,
                                   size_t *used)
{
    (void)f;
    for (*used = 0; *used < in.len;) {
        struct slice rest = slice_drop(in, *used);

        if (buf_free(out) < 3)
            return FAULT_FULL;
        if (slice_starts(rest, SLICE("!")))
            return FAULT_TOKEN_DENIED;
        if (!last && slice_equal(rest, SLICE("a")))
            return FAULT_NONE;
        bool hit = slice_starts(rest, SLICE("ab"));

        frames_must(buf_append(out, hit ? SLICE("XYZ") : slice_first(rest, 1)) == FAULT_NONE);
        *used += hit ? 2 : 1;
    }
    return FAULT_NONE;
}

/* How octets come and go: in pieces of these sizes in turn, and through a buffer that is drained when it is full. */
struct cuts {
    const size_t *pieces;
    size_t count, room;
};

/* frames_feed(f, all, cuts, got): ${all} through ${f}, then its end; what came of it is appended to ${got}. Aborts where
 * ${f} breaks filter.h's contract. */
static inline enum fault frames_feed(struct filter *f, struct slice all, const struct cuts *cuts,
                                     struct buf *got)
{
    struct buf out = {0};
    size_t at = 0, there = 0, used, turn = 0;
    enum fault why = FAULT_NONE;

    frames_must(buf_open(&out, cuts->room) == FAULT_NONE);
    while (why == FAULT_FULL || (why == FAULT_NONE && there < all.len)) {
        if (why == FAULT_NONE) {
            size_t piece = cuts->pieces[turn++ % cuts->count];

            there = all.len - there > piece ? there + piece : all.len;
        }
        why = f->feed(f, slice_drop(slice_first(all, there), at), false, &out, &used);
        at += used;
        frames_must(why != FAULT_FULL || at < there); /* an empty rest would not be fed again */
        frames_must(why != FAULT_NONE || there - at <= f->hold);
        frames_must(buf_append(got, buf_held(&out)) == FAULT_NONE);
        buf_take(&out, buf_held(&out).len);
    }
    if (why == FAULT_NONE)
        why = f->feed(f, slice_drop(all, at), true, &out, &used);
    frames_must(why != FAULT_NONE || (used == all.len - at && buf_held(&out).len == 0));
    buf_close(&out);
    return why;
}

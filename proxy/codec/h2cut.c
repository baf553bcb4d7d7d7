#include "h2cut.h"

static size_t lesser(size_t a, size_t b)
{
    return a < b ? a : b;
}

static bool type_of_block(uint8_t type)
{
    return type == H2_TYPE_HEADERS || type == H2_TYPE_CONTINUATION;
}

/* The head at ${head} is whole: how long is what it announces? */
static int head_read(struct h2_cut *c, const uint8_t *head)
{
    c->left = (size_t)head[0] << 16 | (size_t)head[1] << 8 | head[2];
    c->ends_block = type_of_block(head[3]) && head[4] & H2_END_HEADERS;
    c->in_block = c->in_block || type_of_block(head[3]);
    c->stream = (uint32_t)(head[5] & 0x7f) << 24 | (uint32_t)head[6] << 16 | (uint32_t)head[7] << 8 | head[8];
    c->held = 0;
    return head[3];
}

static size_t payload_take(struct h2_cut *c, size_t len)
{
    size_t n = lesser(c->left, len);

    c->left -= n;
    if (c->left == 0 && c->ends_block)
        c->in_block = false;
    return n;
}

/* Octets of a head that comes in pieces: gathered until it is whole. */
static size_t head_gather(struct h2_cut *c, struct slice in, struct slice *piece, int *type)
{
    size_t n = lesser(H2_FRAME_HEAD - c->held, in.len);

    memcpy(c->head + c->held, in.at, n);
    c->held += n;
    if (c->held == H2_FRAME_HEAD) {
        *piece = slice_of(c->head, H2_FRAME_HEAD);
        *type = head_read(c, c->head);
        payload_take(c, 0);
    }
    return n;
}

size_t h2_cut_next(struct h2_cut *c, struct slice in, struct slice *piece, int *type)
{
    size_t n;

    *type = -1;
    *piece = SLICE_NONE;
    if (c->preface > 0) {
        n = lesser(c->preface, in.len);
        c->preface -= n;
    } else if (c->left > 0) {
        n = payload_take(c, in.len);
    } else if (c->held > 0 || in.len < H2_FRAME_HEAD) {
        return head_gather(c, in, piece, type);
    } else {
        *type = head_read(c, in.at);
        n = H2_FRAME_HEAD + payload_take(c, in.len - H2_FRAME_HEAD);
    }
    *piece = slice_first(in, n);
    return n;
}

#pragma once
#include "fault.h"
#include "slice.h"
#include <assert.h>
#include <sys/uio.h>

/*
 * buf - an owned, linear run of octets of fixed size: filled at the tail, taken from the head.
 *
 *   Layer   base.
 *   Why     the fixed size is the backpressure: nothing reads what it has no room to hold.
 *   Bounds  cap octets. What it ever held is wiped, for it may have been a value: when it is closed, or, in a buffer of a
 *           pooled size, by the next buf_trim; not at every take, since a body passes through the same octets thousands
 *           of times. An idle connection holds no buffer.
 */
struct buf {
    uint8_t *base; /* NULL: closed, holds nothing, has no room */
    size_t cap, head, tail;
    size_t high; /* no octet from here on was ever written */
};

/*
 * buf_pool(octets, keep): buffers of this size are pooled, and so many free ones are kept. Up to BUF_POOLS sizes, each once,
 *   before the first buf_open of it.
 */
#define BUF_POOLS 2
void buf_pool(size_t octets, size_t keep);

/*
 * buf_open(b, cap): make ${b} an empty buffer of ${cap} octets.
 *   Takes   b   zeroed or closed.
 *   Fails   FAULT_NO_MEMORY.
 *   Costs   no system call for a pooled size while the pool has one.
 */
enum fault buf_open(struct buf *b, size_t cap) CHECKED;

/* buf_trim(): free buffers are wiped; those that nobody needed since the last call go back to the system. To be called about
 * once a second. */
void buf_trim(void);

/* buf_close(b): give it back. Harmless on a closed one. */
void buf_close(struct buf *b);

/*
 * buf_room(b): where to write next; then buf_fill(b, n). Moves what is held to the front when the space behind it
 *   is less than half of all that is free, so slices of ${b} are invalid after the call.
 */
struct iovec buf_room(struct buf *b);
static inline void buf_fill(struct buf *b, size_t n)
{
    assert(n <= b->cap - b->tail);
    b->tail += n;
    if (b->tail > b->high)
        b->high = b->tail;
}

/* buf_front(b): move what is held to the front of the buffer. buf_grow(b, cap): a larger buffer with what is held at its
 * front; FAULT_NO_MEMORY leaves it as it was. Slices of ${b} are invalid after both. */
void buf_front(struct buf *b);
enum fault buf_grow(struct buf *b, size_t cap) CHECKED;

/* How many octets could be appended (after moving to the front). */
static inline size_t buf_free(const struct buf *b)
{
    return b->cap - (b->tail - b->head);
}

/* What is held; borrowed until ${b} changes. */
static inline struct slice buf_held(const struct buf *b)
{
    return slice_of(b->base ? b->base + b->head : NULL, b->tail - b->head);
}

/* buf_take(b, n): forget the first ${n} octets. */
void buf_take(struct buf *b, size_t n);

/* buf_claim(b, n): where ${n} more octets can be written in one run, then to be buf_filled; NULL where there is less room.
 * Inline, as buf_append: texts are made of many short pieces. */
static inline uint8_t *buf_claim(struct buf *b, size_t n)
{
    if (!b->base || n > buf_free(b))
        return NULL;
    if (n > b->cap - b->tail)
        buf_front(b);
    return b->base + b->tail;
}

/* buf_append(b, s): all of ${s}, or FAULT_FULL and none of it. */
CHECKED static inline enum fault buf_append(struct buf *b, struct slice s)
{
    if (s.len == 0)
        return FAULT_NONE;
    uint8_t *into = buf_claim(b, s.len);

    if (!into)
        return FAULT_FULL;
    memcpy(into, s.at, s.len);
    buf_fill(b, s.len);
    return FAULT_NONE;
}

/* buf_some(b, s): as much of ${s} as there is room for; gives the number of octets. */
size_t buf_some(struct buf *b, struct slice s);

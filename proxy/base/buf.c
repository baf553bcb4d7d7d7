#include "buf.h"
#include <sodium.h>
#include <stdlib.h>

/* A free buffer's first octets hold the link to the next: the rest of it is wiped already. */
struct spare {
    struct spare *next;
};

static struct {
    size_t octets, keep, count;
    size_t least; /* the fewest there were since the last trim */
    struct spare *first;
} pool;

void buf_standard(size_t octets, size_t keep)
{
    assert(pool.first == NULL && octets >= sizeof(struct spare));
    pool.octets = octets;
    pool.keep = keep;
}

enum fault buf_open(struct buf *b, size_t cap)
{
    assert(b->base == NULL && cap > 0);
    *b = (struct buf){.cap = cap};
    if (cap == pool.octets && pool.first) {
        b->base = (uint8_t *)pool.first;
        pool.first = pool.first->next;
        pool.count--;
        if (pool.count < pool.least)
            pool.least = pool.count;
        return FAULT_NONE;
    }
    b->base = malloc(cap);
    if (b->base)
        return FAULT_NONE;
    b->cap = 0;
    return FAULT_NO_MEMORY;
}

void buf_close(struct buf *b)
{
    if (!b->base)
        return;
    sodium_memzero(b->base, b->high);
    if (b->cap == pool.octets && pool.count < pool.keep) {
        struct spare *s = (struct spare *)(void *)b->base;

        s->next = pool.first;
        pool.first = s;
        pool.count++;
    } else {
        free(b->base);
    }
    *b = (struct buf){0};
}

void buf_trim(void)
{
    for (; pool.least > 0; pool.least--) {
        struct spare *s = pool.first;

        pool.first = s->next;
        pool.count--;
        free(s);
    }
    pool.least = pool.count;
}

void buf_front(struct buf *b)
{
    size_t held = b->tail - b->head;

    memmove(b->base, b->base + b->head, held);
    b->head = 0;
    b->tail = held;
}

enum fault buf_grow(struct buf *b, size_t cap)
{
    struct buf larger = {0};

    if (cap <= b->cap)
        return FAULT_NONE;
    TRY(buf_open(&larger, cap));
    buf_some(&larger, buf_held(b));
    buf_close(b);
    *b = larger;
    return FAULT_NONE;
}

struct iovec buf_room(struct buf *b)
{
    if (b->head > 0 && b->cap - b->tail < buf_free(b) / 2)
        buf_front(b);
    return (struct iovec){b->base ? b->base + b->tail : NULL, b->cap - b->tail};
}

void buf_take(struct buf *b, size_t n)
{
    assert(n <= b->tail - b->head);
    b->head += n;
    if (b->head == b->tail)
        b->head = b->tail = 0;
}

size_t buf_some(struct buf *b, struct slice s)
{
    struct iovec room = buf_room(b);
    size_t n = s.len < room.iov_len ? s.len : room.iov_len;

    if (n) {
        memcpy(room.iov_base, s.at, n);
        buf_fill(b, n);
    }
    return n;
}

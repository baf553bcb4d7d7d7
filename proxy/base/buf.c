#include "buf.h"
#include <sodium.h>
#include <stdlib.h>

/* What a free buffer begins with: the rest of it is dirty up to ${high}, until it is trimmed. */
struct spare {
    struct spare *next;
    size_t high;
};

static struct pool {
    size_t octets, keep, count;
    size_t least; /* the fewest there were since the last trim */
    struct spare *first;
} pools[BUF_POOLS];

void buf_pool(size_t octets, size_t keep)
{
    struct pool *p = pools;

    while (p->octets)
        p++;
    assert(p < pools + BUF_POOLS && octets >= sizeof(struct spare));
    *p = (struct pool){.octets = octets, .keep = keep};
}

static struct pool *pool_of(size_t octets)
{
    for (struct pool *p = pools; p < pools + BUF_POOLS; p++)
        if (p->octets == octets)
            return p;
    return NULL;
}

enum fault buf_open(struct buf *b, size_t cap)
{
    struct pool *p = pool_of(cap);

    assert(b->base == NULL && cap > 0);
    *b = (struct buf){.cap = cap};
    if (p && p->first) {
        struct spare *s = p->first;

        b->base = (uint8_t *)s;
        b->high = s->high > sizeof *s ? s->high : sizeof *s;
        p->first = s->next;
        if (--p->count < p->least)
            p->least = p->count;
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
    struct pool *p = pool_of(b->cap);

    if (p && p->count < p->keep) {
        struct spare *s = (struct spare *)(void *)b->base;

        *s = (struct spare){p->first, b->high};
        p->first = s;
        p->count++;
    } else {
        sodium_memzero(b->base, b->high);
        free(b->base);
    }
    *b = (struct buf){0};
}

static void pool_trim(struct pool *p)
{
    for (struct spare *s = p->first; s; s = s->next) {
        if (s->high > sizeof *s)
            sodium_memzero(s + 1, s->high - sizeof *s);
        s->high = 0;
    }
    for (; p->least > 0; p->least--, p->count--) {
        struct spare *s = p->first;

        p->first = s->next;
        free(s);
    }
    p->least = p->count;
}

void buf_trim(void)
{
    for (size_t i = 0; i < BUF_POOLS; i++)
        pool_trim(&pools[i]);
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

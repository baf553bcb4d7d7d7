#include "secret.h"
#include <assert.h>
#include <sodium.h>
#include <sys/mman.h>
#include <sys/queue.h>
#include <sys/resource.h>

#define CHUNK_OCTETS ((size_t)256 * 1024)
#define GRAIN        ((size_t)32)

/*
 * The arena is one run of blocks without gaps. A block is free or used; neighbours that are free are joined at once,
 * so the run never holds two free blocks side by side. First fit: few, long-lived values.
 */
struct secret {
    size_t room; /* octets of value[]; a multiple of GRAIN less the header */
    size_t len;
    struct secret *before; /* the block that ends where this one begins */
    bool used;
    uint8_t value[] __attribute__((aligned(16)));
};

static struct {
    uint8_t *base;
    size_t reserved, locked, used;
    struct secret *first, *last, *rover;
} arena;

static size_t grain_up(size_t n, size_t grain)
{
    return (n + grain - 1) / grain * grain;
}

static struct secret *block_after(struct secret *s)
{
    uint8_t *end = s->value + s->room;

    return s == arena.last ? NULL : (struct secret *)(void *)end;
}

/* What may be locked beside what other parts of the process lock (OpenSSL's secure heap). */
static size_t lockable(size_t want)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return want;
    return want < limit.rlim_cur ? want : (size_t)limit.rlim_cur;
}

/* Lock one more chunk at the end of the run; it becomes, or joins, the last free block. */
static enum fault arena_grow(void)
{
    uint8_t *at = arena.base + arena.locked;

    if (arena.locked + CHUNK_OCTETS > arena.reserved)
        return FAULT_NO_MEMORY;
    if (mprotect(at, CHUNK_OCTETS, PROT_READ | PROT_WRITE) != 0 || sodium_mlock(at, CHUNK_OCTETS) != 0)
        return FAULT_NO_MEMORY;
    arena.locked += CHUNK_OCTETS;
    if (arena.last && !arena.last->used) {
        arena.last->room += CHUNK_OCTETS;
        return FAULT_NONE;
    }
    struct secret *s = (struct secret *)(void *)at;

    *s = (struct secret){.room = CHUNK_OCTETS - sizeof *s, .before = arena.last};
    arena.last = s;
    if (!arena.first)
        arena.first = s;
    return FAULT_NONE;
}

enum fault secret_arena_open(size_t octets)
{
    size_t size = lockable(grain_up(octets, CHUNK_OCTETS)) / CHUNK_OCTETS * CHUNK_OCTETS;

    if (size == 0 || sodium_init() < 0)
        return FAULT_NO_MEMORY;
    void *base = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (base == MAP_FAILED)
        return FAULT_NO_MEMORY;
    madvise(base, size, MADV_WIPEONFORK);
    memset(&arena, 0, sizeof arena);
    arena.base = base;
    arena.reserved = size;
    return arena_grow();
}

size_t secret_arena_locked(void)
{
    return arena.locked;
}

size_t secret_arena_used(void)
{
    return arena.used;
}

size_t secret_arena_most(void)
{
    return arena.reserved;
}

static struct secret *block_search(struct secret *from, const struct secret *end, size_t room)
{
    for (struct secret *s = from; s != end; s = block_after(s))
        if (!s->used && s->room >= room)
            return s;
    return NULL;
}

/* On from where the last one was found: with ten thousand sandboxes there are many used ones in front. */
static struct secret *block_find(size_t room)
{
    struct secret *from = arena.rover ? arena.rover : arena.first, *found = block_search(from, NULL, room);

    if (!found)
        found = block_search(arena.first, from, room);
    if (found)
        arena.rover = found;
    return found;
}

/* Cut what ${s} has beyond ${room} off as a free block of its own, where it is worth one. */
static void block_split(struct secret *s, size_t room)
{
    if (s->room - room < sizeof(struct secret) + GRAIN)
        return;
    struct secret *rest = (struct secret *)(void *)(s->value + room), *next = block_after(s);

    *rest = (struct secret){.room = s->room - room - sizeof *rest, .before = s};
    s->room = room;
    if (next)
        next->before = rest;
    else
        arena.last = rest;
}

static enum fault block_take(size_t len, struct secret **out)
{
    size_t room = grain_up(len + sizeof(struct secret), GRAIN) - sizeof(struct secret);
    struct secret *s;

    while (!(s = block_find(room))) {
        if (room > arena.reserved - arena.locked + (arena.last && !arena.last->used ? arena.last->room : 0))
            return FAULT_NO_MEMORY; /* without locking all there is in vain */
        TRY(arena_grow());
    }
    block_split(s, room);
    s->used = true;
    s->len = len;
    arena.used += s->room;
    *out = s;
    return FAULT_NONE;
}

enum fault secret_blank(size_t len, struct secret **out)
{
    return len > SECRET_OCTETS_MAX ? FAULT_INVALID : block_take(len, out);
}

enum fault secret_table(size_t len, struct secret **out)
{
    return len > SECRET_TABLE_MAX ? FAULT_NO_MEMORY : block_take(len, out);
}

enum fault secret_new(struct slice value, struct secret **out)
{
    TRY(secret_blank(value.len, out));
    if (value.len)
        memcpy((*out)->value, value.at, value.len);
    return FAULT_NONE;
}

enum fault secret_fill(struct secret *s, enum fault (*make)(void *cookie, uint8_t *into, size_t len),
                       void *cookie)
{
    return make(cookie, s->value, s->len);
}

/* ${s} swallows the free block behind it. */
static void block_join(struct secret *s)
{
    struct secret *next = block_after(s);

    s->room += sizeof *next + next->room;
    if (next == arena.rover)
        arena.rover = s;
    if (next == arena.last)
        arena.last = s;
    else
        block_after(s)->before = s;
    *next = (struct secret){0}; /* a free block holds zeroes */
}

void secret_free(struct secret *s)
{
    if (!s)
        return;
    assert(s->used);
    sodium_memzero(s->value, s->room);
    s->used = false;
    s->len = 0;
    arena.used -= s->room;

    struct secret *next = block_after(s), *before = s->before;

    if (next && !next->used)
        block_join(s);
    if (before && !before->used)
        block_join(before);
}

size_t secret_len(const struct secret *s)
{
    return s->len;
}

enum fault secret_lend(const struct secret *s, enum fault (*use)(void *cookie, struct slice value),
                       void *cookie)
{
    return use(cookie, slice_of(s->value, s->len));
}

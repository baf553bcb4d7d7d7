#include "tlsmem.h"
#include <malloc.h>
#include <openssl/crypto.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#ifdef __SANITIZE_ADDRESS__
#define SANITIZED true
#else
#define SANITIZED false
#endif

#define SLOT_LEAST  ((size_t)16384) /* smaller blocks are the heap's */
#define SLOT_OCTETS ((size_t)24576) /* of one slot, a multiple of a page */
#define COLOURS     16 /* slots begin at different lines of their page, or they would share cache lines */
#define COLOUR      ((size_t)128)
#define SLOT_MOST   (SLOT_OCTETS - COLOURS * COLOUR)

/* Free slots are a stack: the ones on top were used last and are warm, those below ${wiped} hold zeroes, those below
 * ${clean} no memory. */
static struct {
    uint8_t *base; /* NULL: not open */
    uint32_t free[TLSMEM_SLOTS];
    size_t count, least, wiped, clean;
} slots;

static bool fits(size_t octets)
{
    return octets >= SLOT_LEAST && octets <= SLOT_MOST;
}

static bool is_slot(const void *at)
{
    return (const uint8_t *)at >= slots.base && (const uint8_t *)at < slots.base + TLSMEM_SLOTS * SLOT_OCTETS;
}

static void *slot_take(void)
{
    if (slots.count == 0)
        return NULL;
    size_t slot = slots.free[--slots.count];

    if (slots.count < slots.least)
        slots.least = slots.count;
    if (slots.count < slots.wiped)
        slots.wiped = slots.count;
    if (slots.count < slots.clean)
        slots.clean = slots.count;
    return slots.base + slot * SLOT_OCTETS + slot % COLOURS * COLOUR;
}

static void slot_give(const void *at)
{
    slots.free[slots.count++] = (uint32_t)((size_t)((const uint8_t *)at - slots.base) / SLOT_OCTETS);
}

static void *take(size_t octets, const char *file, int line)
{
    void *slot = fits(octets) ? slot_take() : NULL;

    (void)file, (void)line;
    return slot ? slot : octets ? malloc(octets) : NULL;
}

static void give(void *at, const char *file, int line)
{
    size_t octets = at && !is_slot(at) ? malloc_usable_size(at) : 0;

    (void)file, (void)line;
    /* Record buffers that are in no slot: an upstream's is larger, and slots may run out. tlsmem_trim does not see them. */
    if (octets >= SLOT_LEAST)
        explicit_bzero(at, octets);
    if (at && is_slot(at))
        slot_give(at);
    else
        free(at);
}

static void *retake(void *at, size_t octets, const char *file, int line)
{
    bool was_slot = at && is_slot(at);

    if (!at || octets == 0) {
        give(at, file, line);
        return take(octets, file, line);
    }
    size_t held = was_slot ? SLOT_MOST : malloc_usable_size(at);

    if (was_slot && fits(octets))
        return at;
    if (!was_slot && !fits(octets) && held < SLOT_LEAST)
        return realloc(at, octets);
    void *other = take(octets, file, line);

    if (other) {
        memcpy(other, at, held < octets ? held : octets);
        give(at, file, line);
    }
    return other;
}

bool tlsmem_open(void)
{
    const size_t octets = TLSMEM_SLOTS * SLOT_OCTETS;
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;

    if (SANITIZED)
        return false;
    void *base = mmap(NULL, octets, PROT_READ | PROT_WRITE, flags, -1, 0);

    if (base == MAP_FAILED)
        return false;
    madvise(base, octets, MADV_DONTDUMP);
    if (CRYPTO_set_mem_functions(take, retake, give) != 1) {
        munmap(base, octets);
        return false;
    }
    slots.base = base;
    for (size_t i = 0; i < TLSMEM_SLOTS; i++)
        slots.free[i] = (uint32_t)(TLSMEM_SLOTS - 1 - i);
    slots.count = slots.least = slots.wiped = slots.clean = TLSMEM_SLOTS;
    return true;
}

bool tlsmem_wipes(void)
{
    return slots.base != NULL;
}

static void *free_slot(size_t at)
{
    return slots.base + slots.free[at] * SLOT_OCTETS;
}

void tlsmem_trim(void)
{
    for (; slots.clean < slots.least; slots.clean++)
        madvise(free_slot(slots.clean), SLOT_OCTETS, MADV_DONTNEED);
    if (slots.wiped < slots.clean)
        slots.wiped = slots.clean;
    for (; slots.wiped < slots.count; slots.wiped++)
        explicit_bzero(free_slot(slots.wiped), SLOT_OCTETS);
    slots.least = slots.count;
}

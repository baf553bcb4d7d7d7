#include "wiped.h"
#include <malloc.h>
#include <sodium.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define LARGE_OCTETS 65536

/* A body of a few octets can ask for a window of megabytes: to write it over would be the costliest part of such a body. */
static void wipe_large(uint8_t *at, size_t octets)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    size_t before = (size_t)(-(uintptr_t)at & (page - 1)), inside = (octets - before) & ~(page - 1);

    if (madvise(at + before, inside, MADV_DONTNEED) < 0) /* locked pages can't be given back */
        sodium_memzero(at + before, inside);
    sodium_memzero(at, before);
    sodium_memzero(at + before + inside, octets - before - inside);
}

void *wiped_malloc(size_t octets)
{
    return malloc(octets);
}

size_t wiped_octets(void *at)
{
    return malloc_usable_size(at);
}

void wiped_free(void *at)
{
    size_t octets = wiped_octets(at);

    if (octets >= LARGE_OCTETS)
        wipe_large(at, octets);
    else if (at)
        sodium_memzero(at, octets);
    free(at);
}

/* Never in place and never realloc itself, which may leave the old octets behind. */
void *wiped_realloc(void *at, size_t octets)
{
    size_t held = wiped_octets(at);
    void *larger = malloc(octets);

    if (!larger)
        return NULL;
    if (held > 0)
        memcpy(larger, at, held < octets ? held : octets);
    wiped_free(at);
    return larger;
}

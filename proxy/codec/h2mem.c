#include "h2mem.h"
#include <malloc.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

static void *wiped_malloc(size_t octets, void *cookie)
{
    (void)cookie;
    return malloc(octets);
}

static void wiped_free(void *at, void *cookie)
{
    (void)cookie;
    if (!at)
        return;
    sodium_memzero(at, malloc_usable_size(at));
    free(at);
}

static void *wiped_calloc(size_t count, size_t octets, void *cookie)
{
    (void)cookie;
    return calloc(count, octets);
}

/* Never in place and never realloc itself, which may leave the old octets behind. */
static void *wiped_realloc(void *at, size_t octets, void *cookie)
{
    size_t held = at ? malloc_usable_size(at) : 0;
    void *larger = malloc(octets);

    if (!larger)
        return NULL;
    if (held > 0)
        memcpy(larger, at, held < octets ? held : octets);
    wiped_free(at, cookie);
    return larger;
}

nghttp2_mem *h2mem(void)
{
    static nghttp2_mem wiping = {
        .malloc = wiped_malloc, .free = wiped_free, .calloc = wiped_calloc, .realloc = wiped_realloc};

    return &wiping;
}

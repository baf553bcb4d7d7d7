#include "h2mem.h"
#include "wiped.h"
#include <stdlib.h>

static void *wiping_malloc(size_t octets, void *cookie)
{
    (void)cookie;
    return wiped_malloc(octets);
}

static void wiping_free(void *at, void *cookie)
{
    (void)cookie;
    wiped_free(at);
}

static void *wiping_calloc(size_t count, size_t octets, void *cookie)
{
    (void)cookie;
    return calloc(count, octets);
}

static void *wiping_realloc(void *at, size_t octets, void *cookie)
{
    (void)cookie;
    return wiped_realloc(at, octets);
}

nghttp2_mem *h2mem(void)
{
    static nghttp2_mem wiping = {
        .malloc = wiping_malloc, .free = wiping_free, .calloc = wiping_calloc, .realloc = wiping_realloc};

    return &wiping;
}

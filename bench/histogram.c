#include "histogram.h"
#include <stddef.h>

static size_t histogram_bucket(uint64_t us)
{
    unsigned shift;

    if (us < (uint64_t)2 * HISTOGRAM_HALF)
        return (size_t)us;
    shift = 53u - (unsigned)__builtin_clzll(us); /* leaves eleven significant bits */
    return (size_t)shift * HISTOGRAM_HALF + (size_t)(us >> shift);
}

static uint64_t histogram_top(size_t bucket)
{
    size_t shift = bucket < (size_t)2 * HISTOGRAM_HALF ? 0 : bucket / HISTOGRAM_HALF - 1;

    return ((uint64_t)(bucket - shift * HISTOGRAM_HALF + 1) << shift) - 1;
}

void histogram_add(struct histogram *h, uint64_t us)
{
    if (us > HISTOGRAM_MOST)
        us = HISTOGRAM_MOST;
    if (h->count == 0 || us < h->min)
        h->min = us;
    if (h->count == 0 || us > h->max)
        h->max = us;
    h->count++;
    h->sum += us;
    h->buckets[histogram_bucket(us)]++;
}

uint64_t histogram_at(const struct histogram *h, uint64_t part, uint64_t whole)
{
    uint64_t rank = (uint64_t)(((unsigned __int128)h->count * part + whole - 1) / whole);
    uint64_t seen = 0;

    if (h->count == 0)
        return 0;
    if (rank == 0)
        return h->min;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += h->buckets[i];
        if (seen >= rank)
            return histogram_top(i) < h->max ? histogram_top(i) : h->max;
    }
    return h->max;
}

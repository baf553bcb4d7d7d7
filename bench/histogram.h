#pragma once
#include <stdint.h>

/*
 * histogram - counts of durations in log-linear buckets: exact below 2,048, within 0.1 % above.
 *
 *   Layer   program (osb-bench).
 *   Why     percentiles of millions of requests without keeping them, at a few cycles each.
 *   Bounds  HISTOGRAM_MOST microseconds (19 hours); what is longer is counted as that.
 */
#define HISTOGRAM_HALF    1024
#define HISTOGRAM_SHIFTS  26
#define HISTOGRAM_BUCKETS ((HISTOGRAM_SHIFTS + 2) * HISTOGRAM_HALF)
#define HISTOGRAM_MOST    (((uint64_t)2 * HISTOGRAM_HALF << HISTOGRAM_SHIFTS) - 1)

struct histogram {
    uint64_t count, sum, min, max; /* min and max mean nothing while count is 0 */
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *h, uint64_t us);

/*
 * histogram_at(h, part, whole): the duration that ${part} of ${whole} are not above: (999, 1000) is p99.9.
 *   Gives   the top of its bucket, never above the largest that was added; 0 for an empty one.
 */
uint64_t histogram_at(const struct histogram *h, uint64_t part, uint64_t whole);

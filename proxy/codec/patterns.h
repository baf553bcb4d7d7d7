#pragma once
#include "slice.h"

/*
 * patterns - the table in which scrubs looks patterns up, and the look-up.
 *
 *   Layer   codec; private to scrubs.
 *   Why     one run of memory with no pointer in it, so that all of it can lie in the locked arena.
 *   Bounds  at most 2^32 octets of patterns; every pattern has PATTERN_START octets or more.
 *   Costs   At every ninth position PATTERN_SAMPLE octets are folded into one number under a random key, and a filter says
 *           whether a pattern has them among its first PATTERN_START. Fewer octets of a pattern make no difference; what the
 *           filter lets pass in vain (one in some hundreds, at random) is found out by a few comparisons.
 *           Patterns that begin alike are found by halving. Only text that repeats PATTERN_START octets of a pattern or more
 *           costs more: a memcmp at each such place.
 */
#define PATTERN_START  16
#define PATTERN_SAMPLE 8
#define PATTERN_NONE   UINT32_MAX

/* parent: the longest other pattern that this one begins with, or PATTERN_NONE. Sorted as memcmp does, a parent before its
 * children. */
struct pattern {
    uint32_t at, octets, parent;
};

/* Patterns that begin alike; count 0: none. */
struct group {
    uint8_t start[PATTERN_START];
    uint32_t first, count;
};

/* The first ${at} octets of a pattern end in CR or LF, and are not all of it; the first ${sure} are to be compared, what
 * follows them only by where lines end. */
struct ending {
    uint32_t pattern, at, sure;
};

/* How large the parts of a table are. */
struct pattern_sizes {
    unsigned filter_bits,
        group_bits; /* log2 of the octets of the filter and of the groups there is room for */
    size_t patterns, endings, octets;
};

/* The parts of a table, borrowed as long as it is. */
struct patterns {
    uint64_t key;
    unsigned filter_shift, group_shift;
    size_t count, endings;
    uint8_t *filter;
    struct group *group;
    struct pattern *pattern;
    struct ending *ending;
    uint8_t *octets;
};

/* How many octets a table takes; where its parts are, aligned to 16 as ${table} is. */
size_t patterns_size(const struct pattern_sizes *sizes);
struct patterns patterns_at(const struct pattern_sizes *sizes, uint64_t key, const void *table);

/* patterns_group(p, first, count): ${count} sorted patterns from ${first} on begin alike, and no other does. */
void patterns_group(struct patterns *p, uint32_t first, uint32_t count);

/*
 * patterns_next(p, text, at, limit, octets): where from ${at} on, and before ${limit}, a whole pattern stands in ${text}.
 *   Gives   ${limit} where there is none; else its beginning, and *octets of the longest one there.
 */
size_t patterns_next(const struct patterns *p, struct slice text, size_t at, size_t limit, size_t *octets);

/*
 * patterns_begun(p, text, line): where the first pattern of several lines may have begun that the end of ${text} cuts off.
 *   Takes   line  where the last line of ${text} begins.
 *   Gives   ${line} where there is none.
 */
size_t patterns_begun(const struct patterns *p, struct slice text, size_t line);

/*
 * patterns_threat(p, text, ahead): where the first pattern may have begun that the end of ${text} cuts off, as far as whole
 *   steps tell: the first ends at PATTERN_STEP octets of a pattern, each other one PATTERN_STEPS_GROW times as far from its
 *   beginning as the one before.
 *   Takes   ahead  no pattern began in the first ${ahead} octets when they were looked at before, with less behind them.
 *                  More octets agree in no more steps, so only the last of them are looked at again: they had no step yet.
 *   Gives   text.len where there is none.
 *   Costs   a search by halving for each octet behind those: not for every run.
 */
#define PATTERN_STEP       8
#define PATTERN_STEPS_GROW 4
size_t patterns_threat(const struct patterns *p, struct slice text, size_t ahead);

static inline bool line_end(uint8_t c)
{
    return c == '\n' || c == '\r';
}

#include "patterns.h"

/* From one sample to the next: wherever a pattern begins, a whole sample of its first PATTERN_START octets is looked at. */
#define APART (PATTERN_START - PATTERN_SAMPLE + 1)
#define STEP  8 /* samples before the branch */

size_t patterns_size(const struct pattern_sizes *s)
{
    return ((size_t)1 << s->filter_bits) + (sizeof(struct group) << s->group_bits) +
           s->patterns * sizeof(struct pattern) + s->endings * sizeof(struct ending) + s->octets;
}

struct patterns patterns_at(const struct pattern_sizes *s, uint64_t key, const void *table)
{
    struct patterns p = {.key = key,
                         .filter_shift = 64 - 3 - s->filter_bits,
                         .group_shift = 64 - s->group_bits,
                         .count = s->patterns,
                         .endings = s->endings,
                         .filter = (uint8_t *)(uintptr_t)table};

    p.group = (struct group *)(void *)(p.filter + ((size_t)1 << s->filter_bits));
    p.pattern = (struct pattern *)(void *)(p.group + ((size_t)1 << s->group_bits));
    p.ending = (struct ending *)(void *)(p.pattern + s->patterns);
    p.octets = (uint8_t *)(void *)(p.ending + s->endings);
    return p;
}

static inline uint64_t load(const uint8_t *at)
{
    uint64_t n;

    memcpy(&n, at, sizeof n);
    return n;
}

/* PATTERN_SAMPLE octets in one number, of which the upper bits depend on all of them. */
static inline uint64_t fold(const struct patterns *p, const uint8_t *at)
{
    return load(at) * p->key;
}

/* The filter has a bit for each number; which octet it is in, and where there. */
static inline uint64_t filter_bit(const struct patterns *p, const uint8_t *at)
{
    return fold(p, at) >> p->filter_shift;
}

static inline unsigned filter_lets(const struct patterns *p, const uint8_t *at)
{
    uint64_t bit = filter_bit(p, at);

    return (unsigned)p->filter[bit >> 3] >> (bit & 7) & 1u;
}

/* The group that begins as ${at} does, or the empty one where it would be. Many may have their first octets in common. */
static struct group *group_of(const struct patterns *p, const uint8_t *at)
{
    size_t mask = ((size_t)1 << (64 - p->group_shift)) - 1;
    uint64_t start = (fold(p, at) ^ load(at + PATTERN_START - PATTERN_SAMPLE)) * p->key;
    size_t i = (size_t)(start >> p->group_shift);

    while (p->group[i].count && memcmp(p->group[i].start, at, PATTERN_START) != 0)
        i = (i + 1) & mask;
    return &p->group[i];
}

void patterns_group(struct patterns *p, uint32_t first, uint32_t count)
{
    const uint8_t *start = p->octets + p->pattern[first].at;
    struct group *g = group_of(p, start);

    memcpy(g->start, start, PATTERN_START);
    g->first = first;
    g->count = count;
    for (size_t i = 0; i < APART; i++)
        p->filter[filter_bit(p, start + i) >> 3] |= (uint8_t)(1u << (filter_bit(p, start + i) & 7));
}

/* The first sample that the filter lets pass, from ${at} on; ${end} or more where there is none before it. */
static size_t filter_next(const struct patterns *p, const uint8_t *text, size_t at, size_t end)
{
    for (; at + STEP * APART <= end; at += STEP * APART) {
        unsigned hits = 0;

#pragma GCC unroll 8
        for (size_t i = 0; i < STEP; i++)
            hits |= filter_lets(p, text + at + i * APART);
        if (hits)
            break;
    }
    while (at < end && !filter_lets(p, text + at))
        at += APART;
    return at;
}

static struct slice pattern_octets(const struct patterns *p, uint32_t i)
{
    return slice_of(p->octets + p->pattern[i].at, p->pattern[i].octets);
}

/* Is the pattern behind ${rest} in the order in which they are sorted? */
static bool pattern_behind(struct slice pattern, struct slice rest)
{
    int order = memcmp(pattern.at, rest.at, pattern.len < rest.len ? pattern.len : rest.len);

    return order > 0 || (order == 0 && pattern.len > rest.len);
}

/*
 * The longest pattern that ${rest} begins with; 0: none. What lies, in order, between it and ${rest} begins with it as
 * well, so it is the last pattern that is not behind ${rest}, or one that that begins with.
 */
static size_t pattern_longest(const struct patterns *p, struct slice rest)
{
    const struct group *g = group_of(p, rest.at);
    uint32_t low = g->first, high = g->first + g->count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (pattern_behind(pattern_octets(p, middle), rest))
            high = middle;
        else
            low = middle + 1;
    }
    uint32_t i = low == g->first ? PATTERN_NONE : low - 1;

    while (i != PATTERN_NONE && !slice_starts(rest, pattern_octets(p, i)))
        i = p->pattern[i].parent;
    return i == PATTERN_NONE ? 0 : p->pattern[i].octets;
}

size_t patterns_next(const struct patterns *p, struct slice text, size_t at, size_t limit, size_t *octets)
{
    size_t none = limit;

    if (text.len < PATTERN_START)
        return none;
    if (limit > text.len - PATTERN_START + 1)
        limit = text.len - PATTERN_START + 1;
    for (size_t sample = at; sample < limit + APART - 1; sample += APART) {
        sample = filter_next(p, text.at, sample, limit + APART - 1);
        for (size_t start = sample < at + APART ? at : sample - APART + 1; start <= sample && start < limit;
             start++) {
            *octets = pattern_longest(p, slice_drop(text, start));
            if (*octets)
                return start;
        }
    }
    return none;
}

static bool lines_alike(const uint8_t *a, const uint8_t *b, size_t octets)
{
    for (size_t i = 0; i < octets; i++)
        if (line_end(a[i]) != line_end(b[i]))
            return false;
    return true;
}

size_t patterns_begun(const struct patterns *p, struct slice text, size_t line)
{
    size_t first = line;

    for (size_t i = 0; i < p->endings; i++) {
        const struct ending *e = &p->ending[i];
        struct slice pattern = pattern_octets(p, e->pattern);

        if (e->at > line || line - e->at >= first)
            continue;
        struct slice rest = slice_drop(text, line - e->at);

        if (rest.len < pattern.len && memcmp(rest.at, pattern.at, e->sure) == 0 &&
            lines_alike(rest.at + e->sure, pattern.at + e->sure, rest.len - e->sure))
            first = line - e->at;
    }
    return first;
}

/* Does a pattern that is longer than ${rest} begin with its first ${n} octets? */
static bool pattern_goes_on(const struct patterns *p, struct slice rest, size_t n)
{
    size_t low = 0, high = p->count;

    while (low < high) { /* to the first one that is not before those octets */
        size_t middle = low + (high - low) / 2;
        struct slice pattern = pattern_octets(p, (uint32_t)middle);

        if (memcmp(pattern.at, rest.at, pattern.len < n ? pattern.len : n) < 0 ||
            (pattern.len < n && memcmp(pattern.at, rest.at, pattern.len) == 0))
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < p->count; low++) {
        struct slice pattern = pattern_octets(p, (uint32_t)low);

        if (pattern.len < n || memcmp(pattern.at, rest.at, n) != 0)
            return false;
        if (pattern.len > rest.len)
            return true;
    }
    return false;
}

/* The whole steps in ${octets}, which are one at least. */
static size_t steps_in(size_t octets)
{
    size_t n = PATTERN_STEP;

    while (n <= octets / PATTERN_STEPS_GROW)
        n *= PATTERN_STEPS_GROW;
    return n;
}

size_t patterns_threat(const struct patterns *p, struct slice text, size_t ahead)
{
    for (size_t start = ahead < PATTERN_STEP ? 0 : ahead - PATTERN_STEP + 1; start + PATTERN_STEP <= text.len;
         start++) {
        struct slice rest = slice_drop(text, start);

        if (pattern_goes_on(p, rest, steps_in(rest.len)))
            return start;
    }
    return text.len;
}

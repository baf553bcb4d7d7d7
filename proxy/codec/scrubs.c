#include "scrubs.h"
#include "patterns.h"
#include "spelling.h"
#include <assert.h>
#include <sodium.h>
#include <stdlib.h>

#define FILTER_LEAST 10u /* log2 of octets */
#define FILTER_MOST  17u
#define FILTER_ROOM  128 /* octets for each pattern, so that few samples pass in vain */

/* A piece may begin so many octets earlier than it would. */
#define PIECE_SHIFT 256

static_assert(PATTERN_START == SCRUB_LEAST, "every pattern has a start");

struct scrubs {
    unsigned holds;
    struct purse *purse;
    bool blanks; /* a pattern has SP or HTAB in it */
    size_t longest;
    uint64_t key;
    struct pattern_sizes sizes;
    struct secret *table;
};

/* --- build ------------------------------------------------------------------------------------------------- */

/*
 * All spellings of all values one behind the other in ${pool}; NULL: they are only measured. Each is written to ${scratch}
 * first, and kept unless one of the same value is equal: most values have few that differ.
 */
struct build {
    struct scrubs *scrubs;
    const struct secret *const *values;
    size_t n;
    uint8_t *scratch, *pool;
    size_t pooled;
    struct pattern *pattern;
    size_t count;
    uint8_t key[crypto_shorthash_KEYBYTES];
};

static bool line_ends_in(struct slice text)
{
    return memchr(text.at, '\n', text.len) || memchr(text.at, '\r', text.len);
}

/* Where piece ${i} of ${pieces} begins. Not shortly before the end of a line: many a line of other text would be held. */
static size_t piece_begin(struct slice text, size_t i, size_t pieces)
{
    size_t nominal = text.len * i / pieces;

    if (i == 0 || i == pieces)
        return nominal;
    for (size_t begin = nominal; begin > nominal - PIECE_SHIFT; begin--)
        if (!line_ends_in(slice_of(text.at + begin, SCRUB_LEAST)))
            return begin;
    return nominal;
}

static void build_cut(struct build *b, size_t octets)
{
    const size_t most = SCRUB_PIECE - PIECE_SHIFT;
    size_t pieces = (octets + most - 1) / most;

    for (size_t i = 0; b->pool && i < pieces; i++) {
        struct slice text = slice_of(b->pool + b->pooled, octets);
        size_t begin = piece_begin(text, i, pieces), end = piece_begin(text, i + 1, pieces);

        b->pattern[b->count + i] =
            (struct pattern){(uint32_t)(b->pooled + begin), (uint32_t)(end - begin), PATTERN_NONE};
    }
    b->pooled += octets;
    b->count += pieces;
}

/* ${value} without blanks and line ends around it, which many a reader cuts off; all of it where that leaves too little. */
static struct slice value_core(struct slice value)
{
    struct slice core = value;

    while (core.len && memchr(" \t\r\n", core.at[0], 4))
        core = slice_drop(core, 1);
    while (core.len && memchr(" \t\r\n", core.at[core.len - 1], 4))
        core.len--;
    return core.len < SCRUB_LEAST ? value : core;
}

static enum fault build_value(void *cookie, struct slice value)
{
    struct build *b = cookie;
    uint8_t sum[SPELLINGS][crypto_shorthash_BYTES];
    size_t sums = 0;

    value = value_core(value);
    for (size_t i = 0; value.len >= SCRUB_LEAST && i < SPELLINGS; i++) {
        size_t n = spelling_write(i, value, b->scratch), k = 0;

        crypto_shorthash(sum[sums], b->scratch, n, b->key);
        while (k < sums && memcmp(sum[k], sum[sums], sizeof *sum) != 0)
            k++;
        if (n == 0 || k < sums)
            continue;
        sums++;
        if (b->pool)
            memcpy(b->pool + b->pooled, b->scratch, n);
        build_cut(b, n);
    }
    return FAULT_NONE;
}

static enum fault build_values(struct build *b)
{
    b->pooled = b->count = 0;
    for (size_t i = 0; i < b->n; i++)
        TRY(secret_lend(b->values[i], build_value, b));
    return FAULT_NONE;
}

static struct slice pooled(const struct build *b, size_t i)
{
    return slice_of(b->pool + b->pattern[i].at, b->pattern[i].octets);
}

static int in_order(const void *left, const void *right, void *pool)
{
    const struct pattern *a = left, *b = right;
    int order = memcmp((uint8_t *)pool + a->at, (uint8_t *)pool + b->at,
                       a->octets < b->octets ? a->octets : b->octets);

    return order ? order : (a->octets > b->octets) - (a->octets < b->octets);
}

/* Sorted, equal ones once, and each knows its parent. */
static void build_sort(struct build *b)
{
    size_t kept = 0;

    qsort_r(b->pattern, b->count, sizeof *b->pattern, in_order, b->pool);
    for (size_t i = 0; i < b->count; i++) {
        if (kept && slice_equal(pooled(b, kept - 1), pooled(b, i)))
            continue;
        uint32_t parent = kept ? (uint32_t)(kept - 1) : PATTERN_NONE;

        while (parent != PATTERN_NONE && !slice_starts(pooled(b, i), pooled(b, parent)))
            parent = b->pattern[parent].parent;
        b->pattern[kept] = b->pattern[i];
        b->pattern[kept++].parent = parent;
    }
    b->count = kept;
}

/* Ends of lines within ${text}, which are steps in what can be held back; written to ${out} unless it is NULL. */
static size_t endings_of(struct slice text, uint32_t pattern, struct ending *out)
{
    size_t n = 0;
    uint32_t sure = 0;

    for (size_t at = 1; at < text.len; at++) {
        if (!line_end(text.at[at - 1]))
            continue;
        if (sure == 0 || at - sure >= SCRUB_LEAST)
            sure = (uint32_t)at;
        if (out)
            out[n] = (struct ending){pattern, (uint32_t)at, sure};
        n++;
    }
    return n;
}

static unsigned log2_up(size_t n)
{
    unsigned bits = 0;

    while ((size_t)1 << bits < n)
        bits++;
    return bits;
}

static void build_measure(struct build *b)
{
    struct scrubs *s = b->scrubs;
    unsigned bits = log2_up(b->count * FILTER_ROOM);

    s->sizes = (struct pattern_sizes){.patterns = b->count};
    s->sizes.filter_bits = bits < FILTER_LEAST ? FILTER_LEAST : bits > FILTER_MOST ? FILTER_MOST : bits;
    s->sizes.group_bits = log2_up(2 * b->count);
    for (size_t i = 0; i < b->count; i++) {
        struct slice text = pooled(b, i);

        s->sizes.octets += text.len;
        s->sizes.endings += endings_of(text, 0, NULL);
        s->blanks = s->blanks || memchr(text.at, ' ', text.len) || memchr(text.at, '\t', text.len);
        s->longest = text.len > s->longest ? text.len : s->longest;
    }
    randombytes_buf(&s->key, sizeof s->key);
    s->key |= 1;
}

static void table_groups(struct patterns *p)
{
    uint32_t first = 0;

    for (uint32_t i = 1; i <= p->count; i++) {
        if (i < p->count &&
            memcmp(p->octets + p->pattern[first].at, p->octets + p->pattern[i].at, PATTERN_START) == 0)
            continue;
        patterns_group(p, first, i - first);
        first = i;
    }
}

static enum fault table_make(void *cookie, uint8_t *into, size_t octets)
{
    struct build *b = cookie;
    struct patterns p = patterns_at(&b->scrubs->sizes, b->scrubs->key, into);
    uint32_t at = 0;
    size_t endings = 0;

    memset(into, 0, octets);
    for (uint32_t i = 0; i < b->count; i++) {
        struct slice text = pooled(b, i);

        memcpy(p.octets + at, text.at, text.len);
        p.pattern[i] = (struct pattern){at, (uint32_t)text.len, b->pattern[i].parent};
        endings += endings_of(text, i, p.ending + endings);
        at += (uint32_t)text.len;
    }
    table_groups(&p);
    return FAULT_NONE;
}

static enum fault table_open(struct build *b)
{
    struct scrubs *s = b->scrubs;
    size_t octets = patterns_size(&s->sizes);

    if (s->purse && !purse_take(&s->purse->locked, octets))
        return FAULT_NO_MEMORY;
    enum fault f = secret_table(octets, &s->table);

    if (f != FAULT_NONE && s->purse)
        purse_give(&s->purse->locked, octets);
    return f;
}

static enum fault pool_make(void *cookie, uint8_t *into, size_t octets)
{
    struct build *b = cookie;

    (void)octets;
    b->pool = into;
    TRY(build_values(b));
    build_sort(b);
    build_measure(b);
    TRY(table_open(b));
    return secret_fill(b->scrubs->table, table_make, b);
}

/* With a scratch for one spelling. */
static enum fault scratch_use(void *cookie, uint8_t *into, size_t octets)
{
    struct build *b = cookie;
    struct secret *pool;

    (void)octets;
    b->scratch = into;
    TRY(build_values(b));
    b->pattern = calloc(b->count, sizeof *b->pattern);
    if (!b->pattern)
        return FAULT_NO_MEMORY;
    TRY(secret_table(b->pooled, &pool));
    enum fault f = secret_fill(pool, pool_make, b);

    secret_free(pool);
    return f;
}

/* The octets of all values that are long enough, and of the longest. */
static size_t values_octets(const struct secret *const *values, size_t n, size_t *longest)
{
    size_t all = 0;

    *longest = 0;
    for (size_t i = 0; i < n; i++) {
        size_t octets = secret_len(values[i]);

        if (octets < SCRUB_LEAST)
            continue;
        all += octets;
        *longest = octets > *longest ? octets : *longest;
    }
    return all;
}

enum fault scrubs_new(const struct secret *const *values, size_t n, struct purse *purse, struct scrubs **out)
{
    struct build b = {.values = values, .n = n};
    struct secret *scratch;
    size_t longest, all = values_octets(values, n, &longest);
    enum fault f;

    *out = NULL;
    if (all == 0)
        return FAULT_NONE;
    if (all > SCRUBS_MOST)
        return FAULT_OVERLOADED;
    b.scrubs = calloc(1, sizeof *b.scrubs);
    if (!b.scrubs)
        return FAULT_NO_MEMORY;
    b.scrubs->holds = 1;
    b.scrubs->purse = purse;
    randombytes_buf(b.key, sizeof b.key);
    f = secret_table(longest * SPELLING_MAX, &scratch);
    if (f != FAULT_NONE)
        goto free_scrubs;
    f = secret_fill(scratch, scratch_use, &b);
    secret_free(scratch);
    free(b.pattern);
    if (f == FAULT_NONE) {
        *out = b.scrubs;
        return FAULT_NONE;
    }
free_scrubs:
    free(b.scrubs);
    return f;
}

struct scrubs *scrubs_hold(struct scrubs *s)
{
    if (s)
        s->holds++;
    return s;
}

void scrubs_drop(struct scrubs *s)
{
    if (!s || --s->holds)
        return;
    if (s->purse)
        purse_give(&s->purse->locked, secret_len(s->table));
    secret_free(s->table);
    free(s);
}

/* --- search ------------------------------------------------------------------------------------------------ */

/* What is asked of the table while it is lent. */
struct question {
    const struct scrubs *scrubs;
    struct slice text;
    size_t
        n; /* patterns that begin in the first ${n} octets; for settled, where the last line begins; for threat, ahead */
    uint8_t *into;
    struct scrubs_paint *paint;
    size_t answer;
};

static struct patterns patterns_lent(const struct scrubs *s, struct slice table)
{
    return patterns_at(&s->sizes, s->key, table.at);
}

size_t scrubs_longest(const struct scrubs *s)
{
    return s->longest;
}

static enum fault ask_seen(void *cookie, struct slice table)
{
    struct question *q = cookie;
    struct patterns p = patterns_lent(q->scrubs, table);
    size_t octets;

    q->answer = patterns_next(&p, q->text, 0, q->text.len, &octets);
    return FAULT_NONE;
}

bool scrubs_seen(const struct scrubs *s, struct slice text)
{
    struct question q = {.scrubs = s, .text = text};

    /* Most fields of a head are too short to ask for. */
    return s && text.len >= SCRUB_LEAST && secret_lend(s->table, ask_seen, &q) == FAULT_NONE &&
           q.answer < text.len;
}

static enum fault ask_begun(void *cookie, struct slice table)
{
    struct question *q = cookie;
    struct patterns p = patterns_lent(q->scrubs, table);

    q->answer = patterns_begun(&p, q->text, q->n);
    return FAULT_NONE;
}

/* What follows the last ${end} in ${text}, if that is behind ${at}; else ${at}. */
static size_t behind_last(struct slice text, size_t at, uint8_t end)
{
    const uint8_t *hit = at < text.len ? memrchr(text.at + at, end, text.len - at) : NULL;

    return hit ? (size_t)(hit - text.at) + 1 : at;
}

size_t scrubs_settled(const struct scrubs *s, struct slice text)
{
    size_t at = text.len < s->longest ? 0 : text.len - (s->longest - 1);
    struct question q = {.scrubs = s, .text = text};

    at = behind_last(text, at, '\n');
    at = behind_last(text, at, '\r');
    if (!s->blanks) {
        at = behind_last(text, at, ' ');
        at = behind_last(text, at, '\t');
    }
    q.n = at;
    if (s->sizes.endings == 0 || at == 0 || secret_lend(s->table, ask_begun, &q) != FAULT_NONE)
        return at;
    return q.answer;
}

static enum fault ask_threat(void *cookie, struct slice table)
{
    struct question *q = cookie;
    struct patterns p = patterns_lent(q->scrubs, table);

    q->answer = patterns_threat(&p, q->text, q->n);
    return FAULT_NONE;
}

size_t scrubs_threat(const struct scrubs *s, struct slice text, size_t ahead)
{
    struct question q = {.scrubs = s, .text = text, .n = ahead};

    return secret_lend(s->table, ask_threat, &q) == FAULT_NONE ? q.answer : 0;
}

/* The mask, on as many octets as the run that ends at ${end} still has in the first ${n}. */
static size_t paint_to(struct scrubs_paint *paint, uint8_t *into, size_t at, size_t end)
{
    static const char mask[] = "osb_redacted";

    for (; at < end; at++, paint->painted++)
        into[at] = paint->painted < sizeof mask - 1 ? (uint8_t)mask[paint->painted] : '*';
    return at;
}

/* Painting lags behind the search, by a run: where text is masked in place, what is searched is still as it was. */
static enum fault ask_paint(void *cookie, struct slice table)
{
    struct question *q = cookie;
    struct patterns p = patterns_lent(q->scrubs, table);
    struct scrubs_paint *paint = q->paint;
    size_t begin = 0, end = paint->covered, octets;
    bool run = paint->painted > 0;

    for (size_t at = 0; (at = patterns_next(&p, q->text, at, q->n, &octets)) < q->n; at++) {
        if (!run || at > end) {
            paint_to(paint, q->into, begin, end);
            paint->painted = 0;
            paint->masks++;
            begin = at;
            run = true;
        }
        end = at + octets > end ? at + octets : end;
    }
    paint_to(paint, q->into, begin, end < q->n ? end : q->n);
    paint->covered = end > q->n ? end - q->n : 0;
    if (end < q->n)
        paint->painted = 0;
    return FAULT_NONE;
}

void scrubs_paint(const struct scrubs *s, struct slice text, size_t n, uint8_t *into,
                  struct scrubs_paint *paint)
{
    struct question q = {.scrubs = s, .text = text, .n = n, .into = into, .paint = paint};
    enum fault f = n ? secret_lend(s->table, ask_paint, &q) : FAULT_NONE;

    assert(f == FAULT_NONE);
    (void)f;
}

size_t scrubs_mask(const struct scrubs *s, uint8_t *text, size_t octets)
{
    struct scrubs_paint paint = {0};

    if (s)
        scrubs_paint(s, slice_of(text, octets), octets, text, &paint);
    return (size_t)paint.masks;
}

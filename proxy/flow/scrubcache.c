#include "scrubcache.h"
#include "diag.h"
#include <stdlib.h>

struct scrubbing {
    struct secret_set set;
    struct scrubs *scrubs;
    uint64_t asked;
    int64_t failed_ms; /* 0: it was built */
};

static const struct secret_set no_secrets;

/* The secrets of ${given} whose stores let answers be scrubbed; their values, in order. */
static size_t values_of(const struct record *record, const struct secret_set *given,
                        const struct secret *values[static RECORD_SECRETS_MAX])
{
    size_t n = 0;

    for (size_t i = 0; i < record->secret_count; i++) {
        const struct record_secret *s = &record->secrets[i];

        if (given->bits[i / 64] >> i % 64 & 1 && s->store->scrub)
            values[n++] = s->value;
    }
    return n;
}

static bool set_equal(const struct secret_set *a, const struct secret_set *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

static struct scrubbing *set_find(const struct scrubcache *c, const struct secret_set *set)
{
    for (size_t i = 0; i < c->count; i++)
        if (set_equal(&c->sets[i].set, set))
            return &c->sets[i];
    return NULL;
}

/* The one that was not asked for longest goes; false: there was none. */
static bool set_evict(struct scrubcache *c)
{
    size_t oldest = 0;

    if (c->count == 0)
        return false;
    for (size_t i = 1; i < c->count; i++)
        if (c->sets[i].asked < c->sets[oldest].asked)
            oldest = i;
    scrubs_drop(c->sets[oldest].scrubs);
    c->sets[oldest] = c->sets[--c->count];
    return true;
}

static enum fault set_room(struct scrubcache *c)
{
    if (c->count == SCRUBCACHE_SETS)
        set_evict(c);
    if (c->count < c->room)
        return FAULT_NONE;
    size_t room = c->room ? 2 * c->room : 4;
    struct scrubbing *sets = realloc(c->sets, room * sizeof *sets);

    if (!sets)
        return FAULT_NO_MEMORY;
    c->sets = sets;
    c->room = room;
    return FAULT_NONE;
}

/* Others make room for it where they can. */
static enum fault set_build(struct scrubcache *c, const struct secret_set *given, struct purse *purse,
                            struct scrubs **out)
{
    const struct secret *values[RECORD_SECRETS_MAX];
    size_t n = values_of(c->record, given, values);
    enum fault why = scrubs_new(values, n, purse, out);

    /* Each try costs as much as the first: so twice as many go before each. */
    for (size_t go = 1; why == FAULT_NO_MEMORY && c->count; go *= 2) {
        for (size_t i = 0; i < go; i++)
            set_evict(c);
        why = scrubs_new(values, n, purse, out);
    }
    return why;
}

static enum fault set_add(struct scrubcache *c, const struct secret_set *given, struct purse *purse,
                          int64_t now_ms, struct scrubbing **out)
{
    struct scrubbing s = {.set = *given};
    enum fault why = set_build(c, given, purse, &s.scrubs);

    if (why != FAULT_NONE) {
        DIAG(ERROR,
             "answers of a host can't be scrubbed: its secrets are too much for one sandbox's locked memory",
             DIAG_TEXT("sandbox", slice_text(c->record->id)), DIAG_FAULT(why));
        s.failed_ms = now_ms;
    }
    why = set_room(c);
    if (why != FAULT_NONE) {
        scrubs_drop(s.scrubs);
        return why;
    }
    *out = &c->sets[c->count++];
    **out = s;
    return FAULT_NONE;
}

bool scrubcache_has(const struct scrubcache *c, const struct record *record, const struct secret_set *given)
{
    return set_equal(given, &no_secrets) || (c->record == record && set_find(c, given));
}

enum fault scrubcache_take(struct scrubcache *c, const struct record *record, const struct secret_set *given,
                           struct purse *purse, int64_t now_ms, struct scrubs **out)
{
    *out = NULL;
    if (set_equal(given, &no_secrets))
        return FAULT_NONE;
    if (c->record != record)
        scrubcache_clear(c);
    c->record = record;
    struct scrubbing *s = set_find(c, given);

    if (s && s->failed_ms && now_ms - s->failed_ms >= SCRUBCACHE_FAILED_MS) {
        *s = c->sets[--c->count];
        s = NULL;
    }
    if (!s)
        TRY(set_add(c, given, purse, now_ms, &s));
    s->asked = ++c->asked;
    if (s->failed_ms)
        return FAULT_OVERLOADED;
    *out = scrubs_hold(s->scrubs);
    return FAULT_NONE;
}

void scrubcache_clear(struct scrubcache *c)
{
    for (size_t i = 0; i < c->count; i++)
        scrubs_drop(c->sets[i].scrubs);
    free(c->sets);
    *c = (struct scrubcache){0};
}

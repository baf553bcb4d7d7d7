#include "scrubcache.h"

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

static struct scrubbing *set_find(struct scrubcache *c, const struct secret_set *set)
{
    for (size_t i = 0; i < c->count; i++)
        if (memcmp(&c->sets[i].set, set, sizeof *set) == 0)
            return &c->sets[i];
    return NULL;
}

static struct scrubbing *set_place(struct scrubcache *c)
{
    struct scrubbing *oldest = &c->sets[0];

    if (c->count < SCRUBCACHE_SETS)
        return &c->sets[c->count++];
    for (size_t i = 1; i < c->count; i++)
        if (c->sets[i].asked < oldest->asked)
            oldest = &c->sets[i];
    scrubs_drop(oldest->scrubs);
    return oldest;
}

static enum fault set_build(struct scrubcache *c, const struct secret_set *given, struct scrubbing **out)
{
    const struct secret *values[RECORD_SECRETS_MAX];
    size_t n = values_of(c->record, given, values);
    struct scrubs *scrubs = NULL;

    if (n)
        TRY(scrubs_new(values, n, &scrubs));
    *out = set_place(c);
    **out = (struct scrubbing){.set = *given, .scrubs = scrubs};
    return FAULT_NONE;
}

enum fault scrubcache_take(struct scrubcache *c, const struct record *record, const struct secret_set *given,
                           struct scrubs **out)
{
    static const struct secret_set none;

    *out = NULL;
    if (memcmp(given, &none, sizeof none) == 0)
        return FAULT_NONE;
    if (c->record != record)
        scrubcache_clear(c);
    c->record = record;
    struct scrubbing *s = set_find(c, given);

    if (!s)
        TRY(set_build(c, given, &s));
    s->asked = ++c->asked;
    *out = s->scrubs ? scrubs_hold(s->scrubs) : NULL;
    return FAULT_NONE;
}

void scrubcache_clear(struct scrubcache *c)
{
    for (size_t i = 0; i < c->count; i++)
        scrubs_drop(c->sets[i].scrubs);
    *c = (struct scrubcache){0};
}

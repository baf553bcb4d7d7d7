#include "spread.h"

struct spreading {
    const char *id; /* the store's */
    bool revoke;
    struct chest store; /* as it was after the batch's records were read */
    bool found;         /* there is a store */
    bool met, changed;  /* a record was there; one was changed */
};

static bool is_of(const json_t *object, const char *key, const char *id)
{
    return strcmp(json_text_of(object, key), id) == 0;
}

static bool member_copy(json_t *into, const json_t *from, const char *key)
{
    if (json_equal(json_object_get(into, key), json_object_get(from, key)))
        return false;
    json_object_set_new(into, key, json_deep_copy(json_object_get(from, key)));
    return true;
}

/* The list and the switches: of the store's entry in the record's policy. */
static bool list_carry(const struct chest *store, json_t *entry)
{
    bool name = member_copy(entry, store->policy, "name");
    bool egress = member_copy(entry, store->policy, "egress");
    bool scrub = member_copy(entry, store->policy, "scrub");

    return name || egress || scrub;
}

/* A secret's version tells whether the record has all of it: value, hosts and places. */
static enum outcome secret_carry(struct desk *d, const struct chest *store, const json_t *from,
                                 struct chest *c, json_t *into, bool *changed)
{
    struct secret *value;
    enum outcome o;

    if (json_number_of(from, "version") == json_number_of(into, "version"))
        return OUTCOME_DONE;
    STEP(chest_value_take(d, store, from, &value));
    member_copy(into, from, "hosts");
    member_copy(into, from, "places");
    member_copy(into, from, "version");
    *changed = true;
    o = chest_value_put(d, c, into, value);
    secret_free(value);
    return o;
}

/* ${store} is NULL where all that came from it goes. */
static enum outcome record_carry(struct desk *d, const struct spreading *s, const struct chest *store,
                                 struct chest *c, bool *changed)
{
    json_t *stores = json_object_get(c->policy, "stores"), *secrets = json_object_get(c->policy, "secrets");

    for (size_t i = json_array_size(secrets); i-- > 0;) {
        json_t *into = json_array_get(secrets, i);
        const json_t *from = store ? chest_secret(store, json_text_of(into, "name"), NULL) : NULL;

        if (!is_of(into, "store", s->id))
            continue;
        if (from) {
            STEP(secret_carry(d, store, from, c, into, changed));
        } else {
            chest_secret_drop(c, i);
            *changed = true;
        }
    }
    for (size_t i = json_array_size(stores); i-- > 0;) {
        json_t *entry = json_array_get(stores, i);

        if (!is_of(entry, "id", s->id))
            continue;
        if (store && list_carry(store, entry))
            *changed = true;
        if (!store) {
            json_array_remove(stores, i);
            *changed = true;
        }
    }
    return OUTCOME_DONE;
}

static void store_forget(struct spreading *s)
{
    if (s->found)
        chest_close(&s->store);
    s->found = false;
}

/*
 * The store is read after the sandboxes' records: whoever changes the store later spreads later too, and a write of ours on
 * an older record then fails.
 */
static enum outcome spread_begin(struct desk *d, void *cookie)
{
    struct spreading *s = cookie;
    enum outcome o;

    store_forget(s);
    if (s->revoke)
        return OUTCOME_DONE;
    o = chest_read(d, false, s->id, &s->store);
    s->found = o == OUTCOME_DONE;
    return o == OUTCOME_NOT_FOUND ? OUTCOME_DONE : o;
}

static enum outcome spread_edit(struct desk *d, void *cookie, struct chest *c, bool *changed)
{
    struct spreading *s = cookie;

    s->met = true;
    if (!s->found && !s->revoke)
        return OUTCOME_DONE;
    STEP(record_carry(d, s, s->found ? &s->store : NULL, c, changed));
    if (!*changed)
        return OUTCOME_DONE;
    s->changed = true;
    chest_touch(d, c->policy);
    return OUTCOME_DONE;
}

static enum outcome spread_ids(struct desk *d, struct spreading *s, const char *const *ids, size_t n,
                               const char *doing)
{
    const struct chest_work work = {
        .edit = spread_edit, .begin = spread_begin, .cookie = s, .doing = doing, .tell = true};
    enum outcome o = chest_each(d, true, ids, n, &work);

    store_forget(s);
    return o;
}

enum outcome spread_one(struct desk *d, const char *store, const char *id)
{
    struct spreading s = {.id = store};
    enum outcome o = spread_ids(d, &s, &id, 1, NULL);

    return o == OUTCOME_DONE && !s.met ? OUTCOME_NOT_FOUND : o;
}

/* One record that does not open must not keep a revoked value alive in all those behind it. */
enum outcome spread_all(struct desk *d, const char *store, bool revoke, const char *doing, bool *changed)
{
    struct key members = key_store_sandboxes(store);
    struct spreading s = {.id = store, .revoke = revoke};
    struct names ids;
    enum outcome o;

    STEP(nameset_tidy(d, KEY_SLICE(members)));
    STEP(nameset_list(d, KEY_SLICE(members), &ids));
    o = spread_ids(d, &s, ids.ids, ids.count, doing);
    names_free(&ids);
    if (changed && s.changed)
        *changed = true;
    return o;
}

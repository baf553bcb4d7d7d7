#include "spread.h"
#include <stdlib.h>

struct spreading {
    const char *store;
    bool revoke, changed;
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

        if (!is_of(into, "store", s->store))
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

        if (!is_of(entry, "id", s->store))
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

/*
 * The store is read after the sandbox's key is watched: whoever changes the store later spreads later too, and a
 * write of ours on older knowledge then fails.
 */
static enum outcome spread_edit(struct desk *d, void *cookie, struct chest *c, bool *changed)
{
    struct spreading *s = cookie;
    struct chest store;
    enum outcome o = s->revoke ? OUTCOME_NOT_FOUND : chest_read(d, false, s->store, &store);
    bool found = o == OUTCOME_DONE;

    if (o == OUTCOME_NOT_FOUND && !s->revoke)
        return OUTCOME_DONE;
    if (found || s->revoke)
        o = record_carry(d, s, found ? &store : NULL, c, changed);
    if (found)
        chest_close(&store);
    if (o != OUTCOME_DONE)
        return o;
    s->changed = *changed;
    if (*changed)
        chest_touch(d, c->policy);
    return OUTCOME_DONE;
}

enum outcome spread_one(struct desk *d, const char *store, const char *id, bool revoke, bool *changed)
{
    struct spreading s = {.store = store, .revoke = revoke};
    enum outcome o = chest_edit(d, true, id, spread_edit, &s);

    if (s.changed && changed)
        *changed = true;
    return o;
}

/* A sandbox that expired long ago left only its name in the sets. */
static enum outcome member_forget(struct desk *d, const char *store, const char *id)
{
    struct key record = key_sandbox(id), members = key_store_sandboxes(store);
    long long exists;
    bool done;

    STEP(db_watch(&d->db, KEY_SLICE(record)));
    STEP(db_number(&d->db, DB_WORDS(SLICE("EXISTS"), KEY_SLICE(record)), &exists));
    if (exists)
        return db_unwatch(&d->db);
    STEP(db_begin(&d->db));
    STEP(db_do(&d->db, DB_WORDS(SLICE("SREM"), KEY_SLICE(members), slice_text(id))));
    STEP(db_do(&d->db, DB_WORDS(SLICE("SREM"), DB_SANDBOXES, slice_text(id))));
    return db_commit(&d->db, &done);
}

static enum outcome member_spread(struct desk *d, const char *store, const redisReply *member, bool revoke,
                                  bool *changed)
{
    enum outcome o;

    if (!record_id_ok(reply_slice(member)))
        return OUTCOME_DONE;
    o = spread_one(d, store, member->str, revoke, changed);
    if (o == OUTCOME_NOT_FOUND)
        return member_forget(d, store, member->str);
    return o == OUTCOME_DONE ? db_tell_sandbox(&d->db, member->str) : o;
}

/* One record that does not open must not keep a revoked value alive in all those behind it. */
enum outcome spread_all(struct desk *d, const char *store, bool revoke, bool *changed)
{
    struct key members = key_store_sandboxes(store);
    redisReply *reply;
    enum outcome worst = OUTCOME_DONE;

    STEP(db_ask(&d->db, DB_WORDS(SLICE("SMEMBERS"), KEY_SLICE(members)), &reply));
    for (size_t i = 0; i < reply->elements; i++) {
        enum outcome o = member_spread(d, store, reply->element[i], revoke, changed);

        if (o != OUTCOME_DONE)
            worst = o;
        if (d->db.link->err)
            break;
    }
    freeReplyObject(reply);
    return worst;
}

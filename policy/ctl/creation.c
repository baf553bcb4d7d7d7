#include "creation.h"
#include "addresses.h"
#include "claim.h"
#include "entry.h"
#include "print.h"
#include "sandboxes.h"
#include "token.h"

/* --- what is asked for ---------------------------------------------------------------------------------- */

/* A store that is named again counts where it stands last. */
static enum outcome store_add(struct creation *k, const char *id)
{
    for (size_t i = 0; i < k->store_count; i++)
        if (strcmp(k->stores[i], id) == 0) {
            k->store_count--;
            memmove(k->stores[i], k->stores[i + 1], (k->store_count - i) * sizeof *k->stores);
            break;
        }
    if (k->store_count == RECORD_STORES_MAX)
        return outcome_say(OUTCOME_REFUSED, "a sandbox has at most %d stores", RECORD_STORES_MAX);
    snprintf(k->stores[k->store_count++], sizeof *k->stores, "%s", id);
    return OUTCOME_DONE;
}

static enum outcome stores_inherit(struct desk *d, struct creation *k)
{
    size_t i;
    json_t *entry;

    json_array_foreach (json_object_get(k->parent->policy, "stores"), i, entry) {
        const char *id = json_text_of(entry, "id");
        struct key key = key_store(id);
        long long exists;

        STEP(db_number(d->db, DB_WORDS(SLICE("EXISTS"), KEY_SLICE(key)), &exists));
        if (exists)
            STEP(store_add(k, id));
        else
            outcome_advise("store %s of sandbox %s was deleted: nothing of it is in sandbox %s",
                           json_text_of(entry, "name"), k->parent->id, k->id);
    }
    return OUTCOME_DONE;
}

static enum outcome stores_take(struct desk *d, struct creation *k)
{
    const char *word;

    for (size_t i = 0; (word = order_value(d->order, OPTION_STORE, i)); i++) {
        struct chest c;
        enum outcome o;

        STEP(storeindex_read(d, word, &c));
        o = store_add(k, c.id);
        chest_close(&c);
        STEP(o);
    }
    return OUTCOME_DONE;
}

enum outcome creation_take(struct desk *d, const char *id, const struct chest *parent, struct creation *out)
{
    uint64_t ttl_s = 0;

    *out = (struct creation){.id = id, .parent = parent};
    if (!record_id_ok(slice_text(id)))
        return outcome_say(OUTCOME_REFUSED,
                           "sandbox id %s: letters, digits, '.', '_' and '-' are allowed, at most %d", id,
                           RECORD_ID_MAX);
    STEP(addresses_take(d, out->addresses, &out->address_count));
    STEP(order_number(d->order, OPTION_TTL, (uint64_t)(SANDBOX_DAYS_MAX - 1) * DAY_S, &ttl_s));
    if (ttl_s)
        out->expires_ms = d->now_ms + (int64_t)ttl_s * 1000;
    STEP(envfile_paths_ok(d->order));
    if (parent)
        STEP(stores_inherit(d, out));
    STEP(stores_take(d, out));
    for (size_t i = 0; i < out->address_count; i++)
        STEP(claim_check(d, d->zone, out->addresses[i], id));
    chest_new(true, id, &out->chest);
    return OUTCOME_DONE;
}

/* --- the record ----------------------------------------------------------------------------------------- */

enum outcome creation_ca(struct desk *d, struct creation *k, const char *pem, const struct secret *key)
{
    struct buf box = {0};
    enum outcome o;

    json_object_set_new(k->chest.policy, "ca", json_string(pem));
    STEP(outcome_fault(buf_open(&box, secret_len(key) + SEAL_EXTRA), "the CA's key"));
    o = outcome_fault(store_ca_key_seal(d->keys, slice_text(k->id), slice_text(pem), key, &box),
                      "the CA's key");
    if (o == OUTCOME_DONE)
        o = chest_put(&k->chest, "ca", buf_held(&box));
    buf_close(&box);
    return o;
}

/* The parent's, whatever store its value comes from: it lies in the memory of the program that was cloned. */
static json_t *token_find(const struct creation *k, const char *name)
{
    const json_t *known = k->parent ? chest_secret(k->parent, name, NULL) : NULL;
    char token[TOKEN_LEN];

    if (known)
        return json_incref(json_object_get(known, "token"));
    token_draw(token);
    return json_stringn(token, TOKEN_LEN);
}

static enum outcome secret_join(struct desk *d, const struct chest *store, const json_t *from,
                                struct creation *k)
{
    json_t *secrets = json_object_get(k->chest.policy, "secrets"), *into;
    const char *name = json_text_of(from, "name");
    struct secret *value;
    size_t at;
    enum outcome o;

    if (chest_secret(&k->chest, name, &at))
        chest_secret_drop(&k->chest, at);
    if (json_array_size(secrets) >= RECORD_SECRETS_MAX)
        return outcome_say(OUTCOME_REFUSED, "a sandbox holds at most %d secrets", RECORD_SECRETS_MAX);
    into = json_pack("{s:s, s:o, s:s, s:O, s:O, s:O}", "name", name, "token", token_find(k, name), "store",
                     store->id, "hosts", json_object_get(from, "hosts"), "places",
                     json_object_get(from, "places"), "version", json_object_get(from, "version"));
    json_array_append_new(secrets, into);
    STEP(chest_value_take(d, store, from, &value));
    o = chest_value_put(d, &k->chest, into, value);
    secret_free(value);
    return o;
}

static enum outcome store_join(struct desk *d, const char *id, struct creation *k)
{
    struct chest store;
    json_t *from;
    size_t i;
    enum outcome o = chest_read(d, false, id, &store);

    if (o == OUTCOME_NOT_FOUND)
        return outcome_say(o, "store %s was deleted meanwhile", id);
    STEP(o);
    json_array_append_new(
        json_object_get(k->chest.policy, "stores"),
        json_pack("{s:s, s:O, s:O, s:O}", "id", id, "name", json_object_get(store.policy, "name"), "egress",
                  json_object_get(store.policy, "egress"), "scrub", json_object_get(store.policy, "scrub")));
    json_array_foreach (json_object_get(store.policy, "secrets"), i, from)
        if (o == OUTCOME_DONE)
            o = secret_join(d, &store, from, k);
    chest_close(&store);
    return o;
}

static enum outcome policy_draw(struct desk *d, struct creation *k)
{
    json_object_update_new(k->chest.policy,
                           json_pack("{s:s, s:s, s:o, s:I, s:I, s:[], s:[]}", "id", k->id, "zone", d->zone,
                                     "addresses", addresses_json(k->addresses, k->address_count), "createdAt",
                                     (json_int_t)d->now_ms, "expiresAt", (json_int_t)k->expires_ms, "stores",
                                     "secrets"));
    chest_touch(d, k->chest.policy);
    for (size_t i = 0; i < k->store_count; i++)
        STEP(store_join(d, k->stores[i], k));
    return OUTCOME_DONE;
}

enum outcome creation_end(struct desk *d, struct creation *k)
{
    struct envfile files;
    enum outcome o;

    STEP(policy_draw(d, k));
    STEP(envfile_write(d->order, &k->chest, &files));
    o = entry_make(d, &k->chest, true, &files);
    envfile_drop(&files);
    if (o == OUTCOME_DONE)
        print_made(d, sandbox_object(&k->chest));
    return o;
}

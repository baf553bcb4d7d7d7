#include "authority.h"
#include "claim.h"
#include "envfile.h"
#include "print.h"
#include "sandboxes.h"
#include "spread.h"
#include "storeindex.h"
#include "verbs.h"
#include <stdlib.h>

struct creation {
    const char *id;
    struct ip addresses[RECORD_ADDRESSES_MAX];
    size_t address_count;
    char stores[RECORD_STORES_MAX][UUID_LEN + 1]; /* in the order given: a later one wins a name */
    size_t store_count;
    uint64_t ttl_s; /* 0: no end */
    struct chest chest;
    struct envfile files;
};

/* --- what is asked for ---------------------------------------------------------------------------------- */

static enum outcome addresses_take(struct desk *d, struct creation *k)
{
    const char *text;

    for (size_t i = 0; (text = order_value(d->order, OPTION_IP, i)); i++) {
        struct ip ip;
        size_t at = 0;

        if (ip_parse(slice_text(text), &ip) != FAULT_NONE)
            return outcome_say(OUTCOME_REFUSED, "--ip %s is no address", text);
        while (at < k->address_count && !ip_equal(k->addresses[at], ip))
            at++;
        if (at < k->address_count)
            continue;
        if (at == RECORD_ADDRESSES_MAX)
            return outcome_say(OUTCOME_REFUSED, "a sandbox has at most %d addresses", RECORD_ADDRESSES_MAX);
        k->addresses[k->address_count++] = ip;
    }
    if (k->address_count == 0)
        return outcome_say(OUTCOME_USAGE, "--ip ADDRESS is needed");
    return OUTCOME_DONE;
}

/* A store that is named again counts where it stands last. */
static void store_forget(struct creation *k, const char *id)
{
    for (size_t i = 0; i < k->store_count; i++)
        if (strcmp(k->stores[i], id) == 0) {
            k->store_count--;
            memmove(k->stores[i], k->stores[i + 1], (k->store_count - i) * sizeof *k->stores);
            return;
        }
}

static enum outcome stores_take(struct desk *d, struct creation *k)
{
    const char *word;

    for (size_t i = 0; (word = order_value(d->order, OPTION_STORE, i)); i++) {
        struct chest c;

        STEP(storeindex_read(d, word, &c));
        store_forget(k, c.id);
        if (k->store_count < RECORD_STORES_MAX)
            memcpy(k->stores[k->store_count], c.id, sizeof *k->stores);
        chest_close(&c);
        if (k->store_count++ == RECORD_STORES_MAX)
            return outcome_say(OUTCOME_REFUSED, "a sandbox has at most %d stores", RECORD_STORES_MAX);
    }
    return OUTCOME_DONE;
}

static enum outcome creation_take(struct desk *d, struct creation *k)
{
    if (!record_id_ok(slice_text(k->id)))
        return outcome_say(OUTCOME_REFUSED,
                           "sandbox id %s: letters, digits, '.', '_' and '-' are allowed, at most %d", k->id,
                           RECORD_ID_MAX);
    STEP(addresses_take(d, k));
    STEP(order_number(d->order, OPTION_TTL, (uint64_t)(SANDBOX_DAYS_MAX - 1) * DAY_S, &k->ttl_s));
    STEP(envfile_paths_ok(d->order));
    STEP(stores_take(d, k));
    for (size_t i = 0; i < k->address_count; i++)
        STEP(claim_check(d, d->zone, k->addresses[i], k->id));
    return OUTCOME_DONE;
}

/* --- the record ----------------------------------------------------------------------------------------- */

static int64_t creation_expires_ms(const struct desk *d, const struct creation *k)
{
    return k->ttl_s ? d->now_ms + (int64_t)k->ttl_s * 1000 : 0;
}

static enum outcome ca_draw(struct desk *d, struct creation *k)
{
    unsigned days = k->ttl_s ? (unsigned)((k->ttl_s + DAY_S - 1) / DAY_S) + 1 : SANDBOX_DAYS_MAX;
    struct slice id = slice_text(k->id);
    struct secret *key;
    struct buf box = {0};
    char *pem;
    enum outcome o;

    STEP(outcome_fault(authority_new(id, d->now_ms, days, &pem, &key), "the sandbox's CA"));
    json_object_set_new(k->chest.policy, "ca", json_string(pem));
    o = outcome_fault(buf_open(&box, secret_len(key) + SEAL_EXTRA), "the CA's key");
    if (o == OUTCOME_DONE)
        o = outcome_fault(store_ca_key_seal(d->keys, id, slice_text(pem), key, &box), "the CA's key");
    if (o == OUTCOME_DONE)
        o = chest_put(&k->chest, "ca", buf_held(&box));
    buf_close(&box);
    secret_free(key);
    free(pem);
    return o;
}

static enum outcome secret_join(struct desk *d, const struct chest *store, const json_t *from,
                                struct chest *c)
{
    json_t *secrets = json_object_get(c->policy, "secrets"), *into;
    struct secret *value;
    char token[TOKEN_LEN];
    size_t at;
    enum outcome o;

    if (chest_secret(c, json_text_of(from, "name"), &at))
        chest_secret_drop(c, at);
    if (json_array_size(secrets) >= RECORD_SECRETS_MAX)
        return outcome_say(OUTCOME_REFUSED, "a sandbox holds at most %d secrets", RECORD_SECRETS_MAX);
    token_draw(token);
    into = json_pack("{s:s, s:s%, s:s, s:O, s:O, s:O}", "name", json_text_of(from, "name"), "token", token,
                     (size_t)TOKEN_LEN, "store", store->id, "hosts", json_object_get(from, "hosts"), "places",
                     json_object_get(from, "places"), "version", json_object_get(from, "version"));
    json_array_append_new(secrets, into);
    STEP(chest_value_take(d, store, from, &value));
    o = chest_value_put(d, c, into, value);
    secret_free(value);
    return o;
}

static enum outcome store_join(struct desk *d, const char *id, struct chest *c)
{
    struct chest store;
    json_t *from;
    size_t i;
    enum outcome o = chest_read(d, false, id, &store);

    if (o == OUTCOME_NOT_FOUND)
        return outcome_say(o, "store %s was deleted meanwhile", id);
    STEP(o);
    json_array_append_new(
        json_object_get(c->policy, "stores"),
        json_pack("{s:s, s:O, s:O, s:O}", "id", id, "name", json_object_get(store.policy, "name"), "egress",
                  json_object_get(store.policy, "egress"), "scrub", json_object_get(store.policy, "scrub")));
    json_array_foreach (json_object_get(store.policy, "secrets"), i, from)
        if (o == OUTCOME_DONE)
            o = secret_join(d, &store, from, c);
    chest_close(&store);
    return o;
}

static enum outcome creation_draw(struct desk *d, struct creation *k)
{
    json_t *addresses = json_array();
    char text[IP_TEXT];

    for (size_t i = 0; i < k->address_count; i++) {
        ip_text(k->addresses[i], text);
        json_array_append_new(addresses, json_string(text));
    }
    json_object_update_new(k->chest.policy,
                           json_pack("{s:s, s:s, s:o, s:I, s:I, s:[], s:[]}", "id", k->id, "zone", d->zone,
                                     "addresses", addresses, "createdAt", (json_int_t)d->now_ms, "expiresAt",
                                     (json_int_t)creation_expires_ms(d, k), "stores", "secrets"));
    chest_touch(d, k->chest.policy);
    STEP(ca_draw(d, k));
    for (size_t i = 0; i < k->store_count; i++)
        STEP(store_join(d, k->stores[i], &k->chest));
    return OUTCOME_DONE;
}

/* --- into Redis ----------------------------------------------------------------------------------------- */

/*
 * A record whose id is not in osb:sandboxes, which is written last, is what a command left that died half way: it has
 * told nobody its tokens, so it may be replaced. The set is watched too, lest that command is alive and finishes.
 */
static enum outcome place_check(struct desk *d, const char *id)
{
    struct key key = key_sandbox(id);
    long long exists, listed;

    STEP(db_watch(&d->db, KEY_SLICE(key)));
    STEP(db_number(&d->db, DB_WORDS(SLICE("EXISTS"), KEY_SLICE(key)), &exists));
    if (!exists)
        return OUTCOME_DONE;
    STEP(db_watch(&d->db, DB_SANDBOXES));
    STEP(db_number(&d->db, DB_WORDS(SLICE("SISMEMBER"), DB_SANDBOXES, slice_text(id)), &listed));
    if (!listed)
        return OUTCOME_DONE;
    STEP(db_unwatch(&d->db));
    return outcome_say(OUTCOME_REFUSED, "there is a sandbox %s already", id);
}

static enum outcome creation_write(struct desk *d, const struct creation *k)
{
    for (int i = 0; i < DB_ATTEMPTS; i++) {
        bool done = false;

        STEP(place_check(d, k->id));
        STEP(chest_write(d, &k->chest, &done));
        if (done)
            return OUTCOME_DONE;
    }
    return db_overtaken();
}

static enum outcome creation_index(struct desk *d, const struct creation *k)
{
    for (size_t i = 0; i < k->address_count; i++)
        STEP(claim_take(d, d->zone, k->addresses[i], k->id, creation_expires_ms(d, k)));
    for (size_t i = 0; i < k->store_count; i++) {
        struct key members = key_store_sandboxes(k->stores[i]);

        STEP(db_do(&d->db, DB_WORDS(SLICE("SADD"), KEY_SLICE(members), slice_text(k->id))));
    }
    return OUTCOME_DONE;
}

/*
 * Whoever changed a store between our reading it and our joining its set has not reached this record; now that later
 * changes do, what was missed is made good.
 */
static enum outcome creation_catch_up(struct desk *d, const struct creation *k)
{
    for (size_t i = 0; i < k->store_count; i++) {
        struct key key = key_store(k->stores[i]);
        enum outcome o = spread_one(d, k->stores[i], k->id, false, NULL);
        long long exists = 0;

        if (o == OUTCOME_DONE)
            o = db_number(&d->db, DB_WORDS(SLICE("EXISTS"), KEY_SLICE(key)), &exists);
        if (o == OUTCOME_NOT_FOUND)
            return outcome_say(OUTCOME_FAILED, "sandbox %s was deleted meanwhile", k->id);
        STEP(o);
        if (!exists)
            return outcome_say(OUTCOME_NOT_FOUND, "store %s was deleted meanwhile", k->stores[i]);
    }
    return OUTCOME_DONE;
}

/* Another command may have taken ours for dead and made the sandbox anew: then our tokens are nobody's. */
static enum outcome creation_mine(struct desk *d, const struct creation *k)
{
    struct chest now;
    bool mine;

    STEP(sandbox_read(d, k->id, &now));
    mine = strcmp(json_text_of(now.policy, "ca"), json_text_of(k->chest.policy, "ca")) == 0;
    chest_close(&now);
    if (mine)
        return OUTCOME_DONE;
    return outcome_say(OUTCOME_FAILED, "another command made sandbox %s meanwhile", k->id);
}

/* From here on the sandbox is there. */
static enum outcome creation_list(struct desk *d, const struct creation *k)
{
    struct key key = key_sandbox(k->id);

    for (int i = 0; i < DB_ATTEMPTS; i++) {
        bool done = false;

        STEP(db_watch(&d->db, KEY_SLICE(key)));
        STEP(creation_mine(d, k));
        STEP(db_begin(&d->db));
        STEP(db_do(&d->db, DB_WORDS(SLICE("SADD"), DB_SANDBOXES, slice_text(k->id))));
        STEP(db_commit(&d->db, &done));
        if (done)
            return db_tell_sandbox(&d->db, k->id);
    }
    return db_overtaken();
}

/* The files are put in place before the last write: a command that dies with neither done can be run again. */
static enum outcome creation_store(struct desk *d, struct creation *k)
{
    enum outcome o;

    STEP(creation_write(d, k));
    o = creation_index(d, k);
    if (o == OUTCOME_DONE)
        o = creation_catch_up(d, k);
    if (o == OUTCOME_REFUSED || o == OUTCOME_NOT_FOUND)
        STEP(sandbox_remove(d, k->id, k->chest.policy));
    STEP(o);
    STEP(creation_mine(d, k));
    o = envfile_commit(&k->files);
    if (o == OUTCOME_DONE)
        return creation_list(d, k);
    STEP(sandbox_remove(d, k->id, k->chest.policy));
    return o;
}

enum outcome sandbox_create(struct desk *d, const char *const *words)
{
    struct creation k = {.id = words[0]};
    enum outcome o = creation_take(d, &k);

    if (o != OUTCOME_DONE)
        return o;
    chest_new(true, k.id, &k.chest);
    o = creation_draw(d, &k);
    if (o == OUTCOME_DONE)
        o = envfile_write(d->order, &k.chest, &k.files);
    if (o == OUTCOME_DONE)
        o = creation_store(d, &k);
    envfile_drop(&k.files);
    if (o == OUTCOME_DONE)
        print_made(d, sandbox_object(&k.chest));
    chest_close(&k.chest);
    return o;
}

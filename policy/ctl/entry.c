#include "entry.h"
#include "claim.h"
#include "spread.h"
#include "storeindex.h"

bool entry_is_draft(const json_t *policy)
{
    return json_object_get(policy, "draft") != NULL;
}

/* --- names and addresses -------------------------------------------------------------------------------- */

enum outcome entry_name(struct desk *d, const struct chest *c)
{
    int64_t ends_ms = chest_ends_ms(c);
    size_t i;
    json_t *store;

    STEP(nameset_tidy(d, DB_SANDBOXES));
    STEP(nameset_add(d, DB_SANDBOXES, c->id, ends_ms));
    json_array_foreach (json_object_get(c->policy, "stores"), i, store) {
        struct key members = key_store_sandboxes(json_text_of(store, "id"));

        STEP(nameset_tidy(d, KEY_SLICE(members)));
        STEP(nameset_add(d, KEY_SLICE(members), c->id, ends_ms));
    }
    return OUTCOME_DONE;
}

enum outcome entry_claim(struct desk *d, const struct chest *c)
{
    struct ip list[RECORD_ADDRESSES_MAX];
    size_t n = claims_of(c->policy, list);

    for (size_t i = 0; i < n; i++)
        STEP(claim_take(d, json_text_of(c->policy, "zone"), list[i], c->id,
                        json_number_of(c->policy, "expiresAt")));
    return OUTCOME_DONE;
}

/* Once more where the record was written meanwhile: of two commands' ends and addresses those stand that the record has. */
enum outcome entry_affirm(struct desk *d, const char *id)
{
    uint8_t was[SEAL_EXTRA] = {0};

    for (int i = 0; i < DB_ATTEMPTS; i++) {
        struct chest c;
        bool again;
        enum outcome o = chest_read(d, true, id, &c);

        if (o == OUTCOME_NOT_FOUND)
            return OUTCOME_DONE;
        STEP(o);
        again = memcmp(was, c.was, sizeof was) != 0;
        memcpy(was, c.was, sizeof was);
        if (again)
            o = entry_name(d, &c);
        if (again && o == OUTCOME_DONE)
            o = entry_claim(d, &c);
        chest_close(&c);
        STEP(o);
        if (!again)
            return OUTCOME_DONE;
    }
    return db_overtaken();
}

static enum outcome names_drop(struct desk *d, const char *id, const json_t *policy)
{
    size_t i;
    json_t *store;

    json_array_foreach (json_object_get(policy, "stores"), i, store) {
        struct key members = key_store_sandboxes(json_text_of(store, "id"));

        STEP(nameset_drop(d, KEY_SLICE(members), id));
    }
    return nameset_drop(d, DB_SANDBOXES, id);
}

/* One that was made again while its names were missing was hidden from rotations. */
static enum outcome stores_carry(struct desk *d, const char *id)
{
    struct chest c;
    size_t i;
    json_t *store;
    enum outcome o = chest_read(d, true, id, &c);

    if (o == OUTCOME_NOT_FOUND)
        return OUTCOME_DONE;
    STEP(o);
    json_array_foreach (json_object_get(c.policy, "stores"), i, store)
        if (o == OUTCOME_DONE)
            o = spread_one(d, json_text_of(store, "id"), id);
    chest_close(&c);
    return o == OUTCOME_NOT_FOUND ? OUTCOME_DONE : o;
}

/* What a record that is gone leaves behind. */
static enum outcome rest_remove(struct desk *d, const char *id, const json_t *policy)
{
    struct ip list[RECORD_ADDRESSES_MAX];
    size_t n = claims_of(policy, list);

    for (size_t i = 0; i < n; i++)
        STEP(claim_release(d, json_text_of(policy, "zone"), list[i], id));
    STEP(names_drop(d, id, policy));
    STEP(entry_affirm(d, id));
    return stores_carry(d, id);
}

/* The proxies are told as soon as the record is gone: what follows only tidies up. */
enum outcome entry_remove(struct desk *d, const char *id, const json_t *policy)
{
    struct key record = key_sandbox(id);

    STEP(db_do(d->db, DB_WORDS(SLICE("DEL"), KEY_SLICE(record))));
    STEP(db_tell_sandbox(d->db, id));
    return rest_remove(d, id, policy);
}

/* --- a new one ------------------------------------------------------------------------------------------ */

/* May a record be written for ${c}? Only where there is none, or a draft. */
static enum outcome place_find(struct desk *d, struct chest *c)
{
    struct chest there;
    bool draft;
    enum outcome o = chest_read(d, true, c->id, &there);

    c->was_len = 0;
    if (o == OUTCOME_NOT_FOUND)
        return OUTCOME_DONE;
    STEP(o);
    memcpy(c->was, there.was, sizeof c->was);
    c->was_len = there.was_len;
    draft = entry_is_draft(there.policy);
    chest_close(&there);
    return draft ? OUTCOME_DONE : outcome_say(OUTCOME_REFUSED, "there is a sandbox %s already", c->id);
}

static enum outcome draft_write(struct desk *d, struct chest *c)
{
    for (int i = 0; i < DB_ATTEMPTS; i++) {
        bool done = false;

        STEP(place_find(d, c));
        STEP(chest_write(d, c, &done));
        if (done)
            return OUTCOME_DONE;
    }
    return db_overtaken();
}

static enum outcome deleted_meanwhile(const char *id)
{
    return outcome_say(OUTCOME_FAILED, "sandbox %s was deleted meanwhile", id);
}

/*
 * Whoever changed a store between our reading it and our joining its set has not reached this record; now that later
 * changes do, what was missed is made good.
 */
static enum outcome draft_catch_up(struct desk *d, const struct chest *c, bool stores_must_be)
{
    size_t i;
    json_t *store;

    json_array_foreach (json_object_get(c->policy, "stores"), i, store) {
        const char *id = json_text_of(store, "id");
        struct key key = key_store(id);
        enum outcome o = spread_one(d, id, c->id);
        long long exists = 1;

        if (o == OUTCOME_NOT_FOUND)
            return deleted_meanwhile(c->id);
        STEP(o);
        if (stores_must_be)
            STEP(db_number(d->db, DB_WORDS(SLICE("EXISTS"), KEY_SLICE(key)), &exists));
        if (!exists)
            return outcome_say(OUTCOME_NOT_FOUND, "store %s was deleted meanwhile",
                               json_text_of(store, "name"));
    }
    return OUTCOME_DONE;
}

static bool draft_is(const struct chest *c, const char *nonce)
{
    return strcmp(json_text_of(c->policy, "draft"), nonce) == 0;
}

/* Another command may have taken ours for dead and made the sandbox anew: then our tokens are nobody's. */
static enum outcome finish_edit(struct desk *d, void *cookie, struct chest *c, bool *changed)
{
    if (!draft_is(c, cookie))
        return outcome_say(OUTCOME_FAILED, "another command made sandbox %s meanwhile", c->id);
    json_object_del(c->policy, "draft");
    chest_touch(d, c->policy);
    *changed = true;
    return OUTCOME_DONE;
}

/* From here on the sandbox is there. Proxies that asked for its addresses before have heard that they are nobody's. */
static enum outcome draft_finish(struct desk *d, const struct chest *c, char *nonce)
{
    struct ip list[RECORD_ADDRESSES_MAX];
    size_t n = claims_of(c->policy, list);
    enum outcome o = chest_edit(d, true, c->id, finish_edit, nonce);

    if (o == OUTCOME_NOT_FOUND)
        return deleted_meanwhile(c->id);
    STEP(o);
    STEP(db_tell_sandbox(d->db, c->id));
    for (size_t i = 0; i < n; i++)
        STEP(db_tell_address(d->db, json_text_of(c->policy, "zone"), list[i]));
    return OUTCOME_DONE;
}

static enum outcome draft_drop(struct desk *d, const struct chest *c, const char *nonce)
{
    for (int i = 0; i < DB_ATTEMPTS; i++) {
        struct chest there;
        bool mine, done = false;
        enum outcome o = chest_read(d, true, c->id, &there);

        if (o == OUTCOME_NOT_FOUND)
            return rest_remove(d, c->id, c->policy);
        STEP(o);
        mine = draft_is(&there, nonce);
        if (mine)
            o = chest_drop(d, &there, &done);
        chest_close(&there);
        STEP(o);
        if (!mine)
            return entry_affirm(d, c->id); /* we may have claimed for a shorter time than its */
        if (done)
            return rest_remove(d, c->id, c->policy);
    }
    return db_overtaken();
}

static enum outcome draft_complete(struct desk *d, const struct chest *c, bool stores_must_be,
                                   struct envfile *files, char *nonce)
{
    STEP(entry_name(d, c));
    STEP(entry_claim(d, c));
    STEP(draft_catch_up(d, c, stores_must_be));
    if (files)
        STEP(envfile_commit(files));
    return draft_finish(d, c, nonce);
}

enum outcome entry_make(struct desk *d, struct chest *c, bool stores_must_be, struct envfile *files)
{
    char nonce[UUID_LEN + 1];
    enum outcome o, undone;

    uuid_draw(nonce);
    json_object_set_new(c->policy, "draft", json_string(nonce));
    STEP(draft_write(d, c));
    o = draft_complete(d, c, stores_must_be, files, nonce);
    if (o == OUTCOME_DONE || db_gone(d->db))
        return o;
    undone = draft_drop(d, c, nonce);
    return undone == OUTCOME_DONE ? o : undone;
}

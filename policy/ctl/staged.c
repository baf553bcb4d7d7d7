#include "staged.h"

#define DB_STAGED SLICE("osb:staged")
#define LABEL     SLICE("osb1 staged")

static enum fault staged_ad(const struct keyring *k, size_t sealer, struct seal_ad *ad)
{
    char id[SEAL_ID_TEXT];

    keyring_id(k, sealer, id);
    TRY(seal_ad_open(ad, LABEL.len + sizeof id + 2 * 8));
    TRY(seal_ad_add(ad, LABEL));
    return seal_ad_add(ad, slice_text(id));
}

static bool staged_opens(const struct keyring *k, size_t sealer, struct slice box)
{
    struct seal_ad ad;
    struct secret *nothing = NULL;
    enum fault f = staged_ad(k, sealer, &ad);

    if (f == FAULT_NONE)
        f = seal_open(k, &ad, box, &nothing);
    seal_ad_close(&ad);
    secret_free(nothing);
    return f == FAULT_NONE;
}

/* Where the staged key seals already, a rotation has begun: the one that sealed before it is another of the file. */
static bool staged_valid(const struct keyring *k, size_t key, struct slice box)
{
    if (key != 0)
        return staged_opens(k, 0, box);
    for (size_t i = 1; i < keyring_count(k); i++)
        if (staged_opens(k, i, box))
            return true;
    return false;
}

static enum outcome staged_find(const struct desk *d, struct slice box, size_t *key)
{
    char id[SEAL_ID_TEXT];
    size_t at;

    if (!seal_key_id(box, id))
        return outcome_say(OUTCOME_FAILED, "osb:staged in Redis was not written by osbctl: delete it there");
    at = keyring_find(d->keys, id);
    if (at == keyring_count(d->keys))
        return outcome_say(
            OUTCOME_FAILED,
            "key %s is staged, and %s does not hold it: copy the key file of the host where it "
            "was staged, or forget it by osbctl key drop %s",
            id, d->key_file, id);
    if (!staged_valid(d->keys, at, box))
        return outcome_say(
            OUTCOME_FAILED,
            "key %s, which osb:staged in Redis names, was not staged under the keys of %s: delete "
            "osb:staged there",
            id, d->key_file);
    *key = at;
    return OUTCOME_DONE;
}

enum outcome staged_read(struct desk *d, size_t *key)
{
    redisReply *reply;
    enum outcome o = OUTCOME_DONE;

    STEP(db_ask(d->db, DB_WORDS(SLICE("GET"), DB_STAGED), &reply));
    *key = keyring_count(d->keys);
    if (reply->type == REDIS_REPLY_STRING)
        o = staged_find(d, reply_slice(reply), key);
    freeReplyObject(reply);
    return o;
}

enum outcome staged_names(struct desk *d, const char *id, bool *yes)
{
    char named[SEAL_ID_TEXT];
    redisReply *reply;

    STEP(db_ask(d->db, DB_WORDS(SLICE("GET"), DB_STAGED), &reply));
    *yes = seal_key_id(reply_slice(reply), named) && strcmp(named, id) == 0;
    freeReplyObject(reply);
    return OUTCOME_DONE;
}

enum outcome staged_write(struct desk *d, size_t key, bool *done)
{
    struct seal_ad ad;
    struct buf box = {0};
    redisReply *reply = NULL;
    enum outcome o;

    STEP(outcome_fault(buf_open(&box, SEAL_EXTRA), "osb:staged"));
    o = outcome_fault(staged_ad(d->keys, 0, &ad), "osb:staged");
    if (o == OUTCOME_DONE)
        o = outcome_fault(seal_box_with(d->keys, key, &ad, SLICE_NONE, &box), "osb:staged");
    if (o == OUTCOME_DONE)
        o = db_ask(d->db, DB_WORDS(SLICE("SET"), DB_STAGED, buf_held(&box), SLICE("NX")), &reply);
    if (o == OUTCOME_DONE) {
        *done = reply->type != REDIS_REPLY_NIL;
        freeReplyObject(reply);
    }
    seal_ad_close(&ad);
    buf_close(&box);
    return o;
}

enum outcome staged_drop(struct desk *d)
{
    return db_do(d->db, DB_WORDS(SLICE("DEL"), DB_STAGED));
}

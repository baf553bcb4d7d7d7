#include "claim.h"
#include <stdio.h>

size_t claims_of(const json_t *policy, struct ip *out)
{
    json_t *addresses = json_object_get(policy, "addresses"), *text;
    size_t n = 0, i;

    json_array_foreach (addresses, i, text)
        if (n < RECORD_ADDRESSES_MAX && ip_parse(slice_text(json_string_value(text)), &out[n]) == FAULT_NONE)
            n++;
    return n;
}

static bool record_claims(const struct desk *d, const json_t *policy, const char *zone, struct ip ip)
{
    struct ip list[RECORD_ADDRESSES_MAX];
    int64_t expires_ms = json_number_of(policy, "expiresAt");
    size_t n = claims_of(policy, list);

    if (strcmp(json_text_of(policy, "zone"), zone) != 0 || (expires_ms && expires_ms <= d->now_ms))
        return false;
    for (size_t i = 0; i < n; i++)
        if (ip_equal(list[i], ip))
            return true;
    return false;
}

/* Is ${owner}, whom the index names, really the owner? */
static enum outcome owner_check(struct desk *d, const char *zone, struct ip ip, const char *owner)
{
    char text[IP_TEXT];
    struct chest c;
    bool claims;
    enum outcome o = chest_read(d, true, owner, &c);

    if (o == OUTCOME_NOT_FOUND)
        return OUTCOME_DONE;
    STEP(o);
    claims = record_claims(d, c.policy, zone, ip);
    chest_close(&c);
    if (!claims)
        return OUTCOME_DONE;
    ip_text(ip, text);
    return outcome_say(OUTCOME_REFUSED, "address %s is in use in zone %s, by sandbox %s", text, zone, owner);
}

enum outcome claim_check(struct desk *d, const char *zone, struct ip ip, const char *id)
{
    struct key key = key_address(zone, ip);
    redisReply *owner;
    enum outcome o = OUTCOME_DONE;

    STEP(db_ask(&d->db, DB_WORDS(SLICE("GET"), KEY_SLICE(key)), &owner));
    if (record_id_ok(reply_slice(owner)) && !slice_equal(reply_slice(owner), slice_text(id)))
        o = owner_check(d, zone, ip, owner->str);
    freeReplyObject(owner);
    return o;
}

static enum outcome claim_write(struct desk *d, const struct key *key, const char *id, int64_t expires_ms,
                                bool *done)
{
    char until[24];

    STEP(db_begin(&d->db));
    STEP(db_do(&d->db, DB_WORDS(SLICE("SET"), KEY_SLICE(*key), slice_text(id))));
    if (expires_ms) {
        snprintf(until, sizeof until, "%lld", (long long)(expires_ms + CHEST_GRACE_MS));
        STEP(db_do(&d->db, DB_WORDS(SLICE("PEXPIREAT"), KEY_SLICE(*key), slice_text(until))));
    }
    return db_commit(&d->db, done);
}

enum outcome claim_take(struct desk *d, const char *zone, struct ip ip, const char *id, int64_t expires_ms)
{
    struct key key = key_address(zone, ip);

    for (int i = 0; i < DB_ATTEMPTS; i++) {
        bool done = false;
        enum outcome o;

        STEP(db_watch(&d->db, KEY_SLICE(key)));
        o = claim_check(d, zone, ip, id);
        if (o != OUTCOME_DONE) {
            STEP(db_unwatch(&d->db));
            return o;
        }
        STEP(claim_write(d, &key, id, expires_ms, &done));
        if (done)
            return db_tell_address(&d->db, zone, ip);
    }
    return db_overtaken();
}

enum outcome claim_release(struct desk *d, const char *zone, struct ip ip, const char *id)
{
    struct key key = key_address(zone, ip);
    redisReply *owner;
    bool mine, done = true;

    STEP(db_watch(&d->db, KEY_SLICE(key)));
    STEP(db_ask(&d->db, DB_WORDS(SLICE("GET"), KEY_SLICE(key)), &owner));
    mine = slice_equal(reply_slice(owner), slice_text(id));
    freeReplyObject(owner);
    if (!mine)
        return db_unwatch(&d->db);
    STEP(db_begin(&d->db));
    STEP(db_do(&d->db, DB_WORDS(SLICE("DEL"), KEY_SLICE(key))));
    STEP(db_commit(&d->db, &done)); /* overtaken: another has it now */
    return db_tell_address(&d->db, zone, ip);
}

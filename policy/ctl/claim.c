#include "claim.h"
#include "entry.h"
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

/* Is it somebody else than ${id} whom the index names, and really the owner? */
static enum outcome holder_check(struct desk *d, const char *zone, struct ip ip, const char *id,
                                 struct slice holder)
{
    char text[IP_TEXT], owner[RECORD_ID_MAX + 1];
    struct chest c;
    bool claims, draft;
    enum outcome o;

    if (!record_id_ok(holder) || slice_equal(holder, slice_text(id)))
        return OUTCOME_DONE;
    snprintf(owner, sizeof owner, "%.*s", SLICE_PRINTF(holder));
    o = chest_read(d, true, owner, &c);
    if (o == OUTCOME_NOT_FOUND)
        return OUTCOME_DONE;
    STEP(o);
    claims = record_claims(d, c.policy, zone, ip);
    draft = entry_is_draft(c.policy);
    chest_close(&c);
    if (!claims)
        return OUTCOME_DONE;
    ip_text(ip, text);
    return outcome_say(
        OUTCOME_REFUSED, "address %s is in use in zone %s, by sandbox %s%s", text, zone, owner,
        draft ? ", which a command has begun to make: run that again, or osbctl sandbox delete it" : "");
}

/* What the index says now, the caller's; where that is another's who really has it: OUTCOME_REFUSED. */
static enum outcome holder_read(struct desk *d, const char *zone, struct ip ip, const char *id,
                                redisReply **out)
{
    struct key key = key_address(zone, ip);
    enum outcome o;

    STEP(db_ask(d->db, DB_WORDS(SLICE("GET"), KEY_SLICE(key)), out));
    o = holder_check(d, zone, ip, id, reply_slice(*out));
    if (o != OUTCOME_DONE)
        freeReplyObject(*out);
    return o;
}

enum outcome claim_check(struct desk *d, const char *zone, struct ip ip, const char *id)
{
    redisReply *holder;

    STEP(holder_read(d, zone, ip, id, &holder));
    freeReplyObject(holder);
    return OUTCOME_DONE;
}

/* KEYS[1]; ARGV: what must be there ("": nothing), what comes there ("": nothing), when it ends ("": never). */
#define SWAP_SCRIPT                                                             \
    SLICE("if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end " \
          "if ARGV[2] == '' then redis.call('DEL', KEYS[1]) "                   \
          "elseif ARGV[3] == '' then redis.call('SET', KEYS[1], ARGV[2]) "      \
          "else redis.call('SET', KEYS[1], ARGV[2], 'PXAT', ARGV[3]) end "      \
          "return 1")

static enum outcome holder_swap(struct desk *d, const struct key *key, struct slice from, struct slice to,
                                int64_t ends_ms, bool *done)
{
    char until[24] = "";
    long long written;

    if (ends_ms)
        snprintf(until, sizeof until, "%lld", (long long)ends_ms);
    STEP(db_number(
        d->db, DB_WORDS(SLICE("EVAL"), SWAP_SCRIPT, SLICE("1"), KEY_SLICE(*key), from, to, slice_text(until)),
        &written));
    *done = written == 1;
    return OUTCOME_DONE;
}

/* The one before us may have been extended after we looked at its record: then it is still its. */
static enum outcome holder_regret(struct desk *d, const char *zone, struct ip ip, const char *id,
                                  struct slice before)
{
    struct key key = key_address(zone, ip);
    bool done;
    enum outcome o = holder_check(d, zone, ip, id, before);

    if (o == OUTCOME_REFUSED)
        STEP(holder_swap(d, &key, slice_text(id), before, 0, &done));
    return o;
}

enum outcome claim_take(struct desk *d, const char *zone, struct ip ip, const char *id, int64_t expires_ms)
{
    struct key key = key_address(zone, ip);
    int64_t ends_ms = expires_ms ? expires_ms + CHEST_GRACE_MS : 0;

    for (int i = 0; i < DB_ATTEMPTS; i++) {
        redisReply *holder;
        bool done = false;
        enum outcome o;

        STEP(holder_read(d, zone, ip, id, &holder));
        o = holder_swap(d, &key, reply_slice(holder), slice_text(id), ends_ms, &done);
        if (o == OUTCOME_DONE && done)
            o = holder_regret(d, zone, ip, id, reply_slice(holder));
        freeReplyObject(holder);
        STEP(o);
        if (done)
            return db_tell_address(d->db, zone, ip);
    }
    return db_overtaken();
}

/* Overtaken: another has it now. */
enum outcome claim_release(struct desk *d, const char *zone, struct ip ip, const char *id)
{
    struct key key = key_address(zone, ip);
    bool done;

    STEP(holder_swap(d, &key, slice_text(id), SLICE_NONE, 0, &done));
    return done ? db_tell_address(d->db, zone, ip) : OUTCOME_DONE;
}

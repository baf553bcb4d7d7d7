#include "storeindex.h"
#include <sodium.h>
#include <stdio.h>

/* RFC 9562 s.5.4: version 4. */
void uuid_draw(char *out)
{
    uint8_t b[16];

    randombytes_buf(b, sizeof b);
    b[6] = (uint8_t)((b[6] & 0x0f) | 0x40);
    b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
    snprintf(out, UUID_LEN + 1, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0],
             b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
}

/* In lower case, as records have it. */
static bool uuid_take(struct slice text, char *out)
{
    if (text.len != UUID_LEN)
        return false;
    for (size_t i = 0; i < UUID_LEN; i++) {
        uint8_t c = octet_lower(text.at[i]);
        bool hyphen = i == 8 || i == 13 || i == 18 || i == 23;

        if (hyphen ? c != '-' : !((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
            return false;
        out[i] = (char)c;
    }
    out[UUID_LEN] = 0;
    return true;
}

static enum outcome not_found(const char *word)
{
    return outcome_say(OUTCOME_NOT_FOUND, "there is no store %s", word);
}

enum outcome storeindex_id(struct desk *d, const char *word, char *out)
{
    redisReply *reply;
    bool found;

    if (uuid_take(slice_text(word), out))
        return OUTCOME_DONE;
    STEP(db_ask(&d->db, DB_WORDS(SLICE("HGET"), DB_STORES, slice_text(word)), &reply));
    found = uuid_take(reply_slice(reply), out);
    freeReplyObject(reply);
    return found ? OUTCOME_DONE : not_found(word);
}

enum outcome storeindex_read(struct desk *d, const char *word, struct chest *out)
{
    char id[UUID_LEN + 1];
    const char *name;
    enum outcome o;

    STEP(storeindex_id(d, word, id));
    o = chest_read(d, false, id, out);
    if (o == OUTCOME_NOT_FOUND)
        return not_found(word);
    STEP(o);
    name = json_text_of(out->policy, "name");
    if (uuid_take(slice_text(word), id) || strcmp(name, word) == 0)
        return OUTCOME_DONE;
    o = outcome_say(OUTCOME_FAILED,
                    "the index says %s, the record says %s; osbctl store update %s --name NAME mends it",
                    word, name, out->id);
    chest_close(out);
    return o;
}

/* Is there a store behind this entry of the index, other than ${id}? */
static enum outcome entry_taken(struct desk *d, struct slice entry, const char *id, bool *taken)
{
    char owner[UUID_LEN + 1];
    long long exists = 0;

    if (uuid_take(entry, owner) && strcmp(owner, id) != 0) {
        struct key key = key_store(owner);

        STEP(db_number(&d->db, DB_WORDS(SLICE("EXISTS"), KEY_SLICE(key)), &exists));
    }
    *taken = exists != 0;
    return OUTCOME_DONE;
}

enum outcome storeindex_name_ok(struct desk *d, const char *name, const char *id)
{
    char uuid[UUID_LEN + 1];
    redisReply *reply;
    bool taken;
    enum outcome o;

    if (!record_id_ok(slice_text(name)) || uuid_take(slice_text(name), uuid))
        return outcome_say(
            OUTCOME_REFUSED,
            "store name %s: letters, digits, '.', '_' and '-' are allowed, and not the form of an id", name);
    STEP(db_ask(&d->db, DB_WORDS(SLICE("HGET"), DB_STORES, slice_text(name)), &reply));
    o = entry_taken(d, reply_slice(reply), id, &taken);
    freeReplyObject(reply);
    if (o == OUTCOME_DONE && taken)
        return outcome_say(OUTCOME_REFUSED, "there is a store %s already", name);
    return o;
}

/* One attempt, under WATCH; ${name} NULL: only drop. */
static enum outcome index_write(struct desk *d, const char *name, const char *id, bool *done)
{
    redisReply *all;
    enum outcome o;

    STEP(db_ask(&d->db, DB_WORDS(SLICE("HGETALL"), DB_STORES), &all));
    o = db_begin(&d->db);
    for (size_t i = 0; o == OUTCOME_DONE && i + 1 < all->elements; i += 2)
        if (slice_equal(reply_slice(all->element[i + 1]), slice_text(id)))
            o = db_do(&d->db, DB_WORDS(SLICE("HDEL"), DB_STORES, reply_slice(all->element[i])));
    freeReplyObject(all);
    STEP(o);
    if (name)
        STEP(db_do(&d->db, DB_WORDS(SLICE("HSET"), DB_STORES, slice_text(name), slice_text(id))));
    return db_commit(&d->db, done);
}

static enum outcome index_change(struct desk *d, const char *name, const char *id)
{
    for (int i = 0; i < DB_ATTEMPTS; i++) {
        bool done = false;

        STEP(db_watch(&d->db, DB_STORES));
        if (name)
            STEP(storeindex_name_ok(d, name, id));
        STEP(index_write(d, name, id, &done));
        if (done)
            return OUTCOME_DONE;
    }
    return db_overtaken();
}

enum outcome storeindex_set(struct desk *d, const char *name, const char *id)
{
    return index_change(d, name, id);
}

enum outcome storeindex_drop(struct desk *d, const char *id)
{
    return index_change(d, NULL, id);
}

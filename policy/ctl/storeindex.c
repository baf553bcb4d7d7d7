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
    STEP(db_ask(d->db, DB_WORDS(SLICE("HGET"), DB_STORES, slice_text(word)), &reply));
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

        STEP(db_number(d->db, DB_WORDS(SLICE("EXISTS"), KEY_SLICE(key)), &exists));
    }
    *taken = exists != 0;
    return OUTCOME_DONE;
}

/* Where ${id} may have the name: *entry is what stands there now; the caller's. */
static enum outcome entry_read(struct desk *d, const char *name, const char *id, redisReply **entry)
{
    bool taken;
    enum outcome o;

    STEP(db_ask(d->db, DB_WORDS(SLICE("HGET"), DB_STORES, slice_text(name)), entry));
    o = entry_taken(d, reply_slice(*entry), id, &taken);
    if (o == OUTCOME_DONE && taken)
        o = outcome_say(OUTCOME_REFUSED, "there is a store %s already", name);
    if (o != OUTCOME_DONE)
        freeReplyObject(*entry);
    return o;
}

static enum outcome name_form(const char *name)
{
    char uuid[UUID_LEN + 1];

    if (record_id_ok(slice_text(name)) && !uuid_take(slice_text(name), uuid))
        return OUTCOME_DONE;
    return outcome_say(
        OUTCOME_REFUSED,
        "store name %s: letters, digits, '.', '_' and '-' are allowed, and not the form of an id", name);
}

enum outcome storeindex_name_ok(struct desk *d, const char *name, const char *id)
{
    redisReply *entry;

    STEP(name_form(name));
    STEP(entry_read(d, name, id, &entry));
    freeReplyObject(entry);
    return OUTCOME_DONE;
}

/* KEYS[1]; ARGV: field, what must be there ("": nothing), what comes there ("": nothing). */
#define SWAP_SCRIPT                                                                       \
    SLICE("if (redis.call('HGET', KEYS[1], ARGV[1]) or '') ~= ARGV[2] then return 0 end " \
          "if ARGV[3] == '' then redis.call('HDEL', KEYS[1], ARGV[1]) "                   \
          "else redis.call('HSET', KEYS[1], ARGV[1], ARGV[3]) end "                       \
          "return 1")

static enum outcome entry_swap(struct desk *d, struct slice name, struct slice from, struct slice to,
                               bool *done)
{
    long long written;

    STEP(db_number(d->db, DB_WORDS(SLICE("EVAL"), SWAP_SCRIPT, SLICE("1"), DB_STORES, name, from, to),
                   &written));
    *done = written == 1;
    return OUTCOME_DONE;
}

enum outcome storeindex_claim(struct desk *d, const char *name, const char *id)
{
    STEP(name_form(name));
    for (int i = 0; i < DB_ATTEMPTS; i++) {
        redisReply *entry;
        bool done;
        enum outcome o;

        STEP(entry_read(d, name, id, &entry));
        o = entry_swap(d, slice_text(name), reply_slice(entry), slice_text(id), &done);
        freeReplyObject(entry);
        STEP(o);
        if (done)
            return OUTCOME_DONE;
    }
    return db_overtaken();
}

/* What the record is called now; "" where there is none. */
static enum outcome name_now(struct desk *d, const char *id, char *out)
{
    struct chest c;
    enum outcome o = chest_read(d, false, id, &c);

    *out = 0;
    if (o == OUTCOME_NOT_FOUND)
        return OUTCOME_DONE;
    STEP(o);
    snprintf(out, RECORD_ID_MAX + 1, "%s", json_text_of(c.policy, "name"));
    chest_close(&c);
    return OUTCOME_DONE;
}

static enum outcome others_drop(struct desk *d, const char *name, const char *id)
{
    redisReply *all;
    enum outcome o = OUTCOME_DONE;

    STEP(db_ask(d->db, DB_WORDS(SLICE("HGETALL"), DB_STORES), &all));
    for (size_t i = 0; o == OUTCOME_DONE && i + 1 < all->elements; i += 2) {
        struct slice entry = reply_slice(all->element[i]), leads = reply_slice(all->element[i + 1]);
        bool done;

        if (slice_equal(leads, slice_text(id)) && !slice_equal(entry, slice_text(name)))
            o = entry_swap(d, entry, leads, SLICE_NONE, &done); /* not done: another's already */
    }
    freeReplyObject(all);
    return o;
}

/* Of two commands that rename one store, the index follows the record: until it has kept its name from end to end. */
enum outcome storeindex_tidy(struct desk *d, const char *id)
{
    char name[RECORD_ID_MAX + 1], after[RECORD_ID_MAX + 1];

    STEP(name_now(d, id, name));
    for (int i = 0; i < DB_ATTEMPTS; i++) {
        if (*name)
            STEP(storeindex_claim(d, name, id));
        STEP(others_drop(d, name, id));
        STEP(name_now(d, id, after));
        if (strcmp(name, after) == 0)
            return OUTCOME_DONE;
        memcpy(name, after, sizeof name);
    }
    return db_overtaken();
}

enum outcome storeindex_set(struct desk *d, const char *name, const char *id)
{
    STEP(storeindex_claim(d, name, id));
    return storeindex_tidy(d, id);
}

enum outcome storeindex_list(struct desk *d, struct names *out)
{
    redisReply *all;
    enum outcome o = OUTCOME_DONE;

    *out = (struct names){0};
    STEP(db_ask(d->db, DB_WORDS(SLICE("HVALS"), DB_STORES), &all));
    for (size_t i = 0; o == OUTCOME_DONE && i < all->elements; i++) {
        char id[UUID_LEN + 1];

        if (uuid_take(reply_slice(all->element[i]), id))
            o = names_add(out, slice_text(id));
    }
    freeReplyObject(all);
    names_sort(out);
    if (o != OUTCOME_DONE)
        names_free(out);
    return o;
}

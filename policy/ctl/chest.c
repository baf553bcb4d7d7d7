#include "chest.h"
#include "places.h"
#include <stdio.h>
#include <stdlib.h>

#define FIELD_MAX (sizeof("value:") + RECORD_NAME_MAX)

static struct key chest_key(bool sandbox, const char *id)
{
    return sandbox ? key_sandbox(id) : key_store(id);
}

static const char *chest_kind(const struct chest *c)
{
    return c->sandbox ? "sandbox" : "store";
}

void chest_new(bool sandbox, const char *id, struct chest *out)
{
    *out = (struct chest){.sandbox = sandbox, .policy = json_object()};
    snprintf(out->id, sizeof out->id, "%s", id);
}

static void box_free(struct chest_box *b)
{
    free(b->field);
    free(b->at);
}

void chest_close(struct chest *c)
{
    for (size_t i = 0; i < c->box_count; i++)
        box_free(&c->boxes[i]);
    json_decref(c->policy);
    *c = (struct chest){0};
}

static size_t box_find(const struct chest *c, const char *field)
{
    size_t i = 0;

    while (i < c->box_count && strcmp(c->boxes[i].field, field) != 0)
        i++;
    return i;
}

static void box_drop(struct chest *c, size_t at)
{
    if (at >= c->box_count)
        return;
    box_free(&c->boxes[at]);
    c->boxes[at] = c->boxes[--c->box_count];
}

enum outcome chest_put(struct chest *c, const char *field, struct slice octets)
{
    size_t field_octets = strlen(field) + 1;

    box_drop(c, box_find(c, field));
    if (c->box_count == CHEST_BOXES_MAX)
        return outcome_say(OUTCOME_REFUSED, "more than %d secrets", RECORD_SECRETS_MAX);
    struct chest_box *b = &c->boxes[c->box_count++];

    *b = (struct chest_box){demand(field_octets), demand(octets.len), octets.len};
    memcpy(b->field, field, field_octets);
    if (octets.len)
        memcpy(b->at, octets.at, octets.len);
    return OUTCOME_DONE;
}

struct slice chest_get(const struct chest *c, const char *field)
{
    size_t i = box_find(c, field);

    return i < c->box_count ? slice_of(c->boxes[i].at, c->boxes[i].len) : SLICE_NONE;
}

const char *json_text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "";
}

int64_t json_number_of(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

void chest_touch(const struct desk *d, json_t *object)
{
    uint64_t stored = (uint64_t)json_number_of(object, "version");

    json_object_set_new(object, "version", json_integer((json_int_t)store_version_next(stored, d->now_ms)));
}

/* Sort the hash's fields into the chest; the policy and its tag are handed out. */
static enum outcome fields_take(const redisReply *reply, struct chest *out, struct slice *policy,
                                struct slice *tag)
{
    char field[FIELD_MAX];

    for (size_t i = 0; i + 1 < reply->elements; i += 2) {
        struct slice name = reply_slice(reply->element[i]), octets = reply_slice(reply->element[i + 1]);

        if (slice_equal(name, SLICE("policy"))) {
            *policy = octets;
        } else if (slice_equal(name, SLICE("tag"))) {
            *tag = octets;
        } else if (name.len < sizeof field && slice_find(name, 0) == name.len) {
            snprintf(field, sizeof field, "%.*s", SLICE_PRINTF(name));
            STEP(chest_put(out, field, octets));
        } else {
            return outcome_say(OUTCOME_FAILED, "%s %s: not in the form of a record", chest_kind(out),
                               out->id);
        }
    }
    return OUTCOME_DONE;
}

static enum outcome chest_locked(struct desk *d, const struct chest *c, struct slice tag, enum fault f)
{
    char key[SEAL_ID_TEXT];

    if (f != FAULT_KEY_UNKNOWN || !seal_key_id(tag, key))
        return outcome_say(OUTCOME_FAILED, "%s %s: %s", chest_kind(c), c->id, fault_table[f].meaning);
    return outcome_say(OUTCOME_FAILED, "%s %s: sealed under key %s, which %s does not hold", chest_kind(c),
                       c->id, key, d->key_file);
}

static enum outcome chest_fill(struct desk *d, const redisReply *reply, struct chest *out)
{
    struct slice policy = SLICE_NONE, tag = SLICE_NONE;
    json_t *opened;
    enum fault f;

    STEP(fields_take(reply, out, &policy, &tag));
    f = policy_open(d->keys, out->sandbox, policy, tag, &opened);
    if (f == FAULT_KEY_UNKNOWN && desk_keys_again(d))
        f = policy_open(d->keys, out->sandbox, policy, tag, &opened);
    if (f != FAULT_NONE)
        return chest_locked(d, out, tag, f);
    json_decref(out->policy);
    out->policy = opened;
    memcpy(out->was, tag.at, tag.len); /* SEAL_EXTRA, or it would not have opened */
    out->was_len = tag.len;
    /* The tag says that we wrote it, not that we wrote it here. */
    if (strcmp(json_text_of(opened, "id"), out->id) != 0)
        return outcome_say(OUTCOME_FAILED, "%s %s: the record in its place is another's", chest_kind(out),
                           out->id);
    return OUTCOME_DONE;
}

enum outcome chest_ask(struct desk *d, bool sandbox, const char *id)
{
    struct key key = chest_key(sandbox, id);

    return db_send(d->db, DB_WORDS(SLICE("HGETALL"), KEY_SLICE(key)));
}

enum outcome chest_take(struct desk *d, bool sandbox, const char *id, struct chest *out)
{
    redisReply *reply;
    enum outcome o;

    chest_new(sandbox, id, out);
    o = db_take(d->db, &reply);
    if (o == OUTCOME_DONE) {
        o = reply->elements == 0 ? OUTCOME_NOT_FOUND : chest_fill(d, reply, out);
        freeReplyObject(reply);
    }
    if (o != OUTCOME_DONE)
        chest_close(out);
    return o;
}

enum outcome chest_read(struct desk *d, bool sandbox, const char *id, struct chest *out)
{
    *out = (struct chest){0};
    STEP(chest_ask(d, sandbox, id));
    return chest_take(d, sandbox, id, out);
}

int64_t chest_ends_ms(const struct chest *c)
{
    int64_t expires_ms = json_number_of(c->policy, "expiresAt");

    return expires_ms ? expires_ms + CHEST_GRACE_MS : NAMESET_NEVER;
}

/*
 * KEYS[1]; ARGV: the tag that must be there ("": no record), when it ends ("": never), fields and values. The key is there
 * all the while: were it deleted first, a Cluster's node would refuse the rest where its slot is moving, and the record
 * be lost.
 */
#define SWAP_SCRIPT                                                                                        \
    SLICE("local held = redis.call('HGET', KEYS[1], 'tag') or redis.call('EXISTS', KEYS[1]) == 1 and '?' " \
          "or '' "                                                                                         \
          "if held ~= ARGV[1] then return 0 end "                                                          \
          "redis.call('HSET', KEYS[1], unpack(ARGV, 3)) "                                                  \
          "local stays = {} "                                                                              \
          "for i = 3, #ARGV, 2 do stays[ARGV[i]] = true end "                                              \
          "for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do "                                       \
          "if not stays[field] then redis.call('HDEL', KEYS[1], field) end end "                           \
          "if ARGV[2] == '' then redis.call('PERSIST', KEYS[1]) "                                          \
          "else redis.call('PEXPIREAT', KEYS[1], ARGV[2]) end "                                            \
          "return 1")
#define SWAP_WORDS 6 /* in front of the fields */

static enum outcome swap_send(struct desk *d, const struct chest *c, struct slice policy, struct slice tag)
{
    struct slice words[SWAP_WORDS + 2 * (2 + CHEST_BOXES_MAX)];
    struct key key = chest_key(c->sandbox, c->id);
    int64_t ends_ms = chest_ends_ms(c);
    size_t n = 0;
    char until[24] = "";

    if (ends_ms != NAMESET_NEVER)
        snprintf(until, sizeof until, "%lld", (long long)ends_ms);
    words[n++] = SLICE("EVAL");
    words[n++] = SWAP_SCRIPT;
    words[n++] = SLICE("1");
    words[n++] = KEY_SLICE(key);
    words[n++] = slice_of(c->was, c->was_len);
    words[n++] = slice_text(until);
    words[n++] = SLICE("policy");
    words[n++] = policy;
    words[n++] = SLICE("tag");
    words[n++] = tag;
    for (size_t i = 0; i < c->box_count; i++) {
        words[n++] = slice_text(c->boxes[i].field);
        words[n++] = slice_of(c->boxes[i].at, c->boxes[i].len);
    }
    return db_send(d->db, words, n);
}

size_t chest_octets(const struct chest *c)
{
    size_t octets = 0;

    for (size_t i = 0; i < c->box_count; i++)
        octets += strlen(c->boxes[i].field) + c->boxes[i].len;
    return octets;
}

static enum outcome octets_check(const struct chest *c, size_t policy)
{
    if (policy + chest_octets(c) <= CHEST_OCTETS_MAX)
        return OUTCOME_DONE;
    return outcome_say(OUTCOME_REFUSED, "%s %s would hold more than %zu MiB", chest_kind(c), c->id,
                       CHEST_OCTETS_MAX >> 20);
}

enum outcome chest_swap(struct desk *d, struct chest *c)
{
    char *policy = json_dumps(c->policy, JSON_COMPACT);
    struct buf tag = {0};
    enum outcome o = octets_check(c, strlen(policy));

    if (o == OUTCOME_DONE)
        o = outcome_fault(buf_open(&tag, SEAL_EXTRA), "the tag");
    if (o == OUTCOME_DONE)
        o = outcome_fault(policy_tag(d->keys, c->sandbox, slice_text(policy), &tag), "the tag");
    if (o == OUTCOME_DONE)
        o = swap_send(d, c, slice_text(policy), buf_held(&tag));
    if (o == OUTCOME_DONE) {
        c->was_len = buf_held(&tag).len;
        memcpy(c->was, buf_held(&tag).at, c->was_len);
    }
    buf_close(&tag);
    free(policy);
    return o;
}

enum outcome chest_swapped(struct desk *d, bool *done)
{
    redisReply *reply;

    STEP(db_take(d->db, &reply));
    *done = reply->type == REDIS_REPLY_INTEGER && reply->integer == 1;
    freeReplyObject(reply);
    return OUTCOME_DONE;
}

enum outcome chest_write(struct desk *d, struct chest *c, bool *done)
{
    STEP(chest_swap(d, c));
    return chest_swapped(d, done);
}

/* KEYS[1]; ARGV: the tag that must be there. */
#define DROP_SCRIPT                                                                                      \
    SLICE("if redis.call('HGET', KEYS[1], 'tag') ~= ARGV[1] then return 0 end return redis.call('DEL', " \
          "KEYS[1])")

enum outcome chest_drop(struct desk *d, const struct chest *c, bool *done)
{
    struct key key = chest_key(c->sandbox, c->id);
    long long gone;

    STEP(db_number(
        d->db, DB_WORDS(SLICE("EVAL"), DROP_SCRIPT, SLICE("1"), KEY_SLICE(key), slice_of(c->was, c->was_len)),
        &gone));
    *done = gone == 1;
    return OUTCOME_DONE;
}

json_t *chest_secret(const struct chest *c, const char *name, size_t *at)
{
    size_t i;
    json_t *secret;

    json_array_foreach (json_object_get(c->policy, "secrets"), i, secret) {
        if (strcmp(json_text_of(secret, "name"), name) != 0)
            continue;
        if (at)
            *at = i;
        return secret;
    }
    return NULL;
}

static void value_field(const json_t *secret, char *out)
{
    snprintf(out, FIELD_MAX, "value:%s", json_text_of(secret, "name"));
}

void chest_secret_drop(struct chest *c, size_t at)
{
    json_t *secrets = json_object_get(c->policy, "secrets");
    char field[FIELD_MAX];

    value_field(json_array_get(secrets, at), field);
    box_drop(c, box_find(c, field));
    json_array_remove(secrets, at);
}

static struct value_binding secret_binding(const struct chest *c, const json_t *secret)
{
    return (struct value_binding){
        .sandbox = c->sandbox,
        .owner = slice_text(c->id),
        .name = slice_text(json_text_of(secret, "name")),
        .token = slice_text(json_text_of(secret, "token")),
        .hosts = json_object_get(secret, "hosts"),
        .places = places_of_json(json_object_get(secret, "places")),
        .version = (uint64_t)json_number_of(secret, "version"),
    };
}

enum outcome chest_value_put(struct desk *d, struct chest *c, const json_t *secret,
                             const struct secret *value)
{
    struct value_binding b = secret_binding(c, secret);
    struct buf box = {0};
    char field[FIELD_MAX];
    enum outcome o;

    value_field(secret, field);
    STEP(outcome_fault(buf_open(&box, secret_len(value) + SEAL_EXTRA), field));
    o = outcome_fault(value_seal(d->keys, &b, value, &box), field);
    if (o == OUTCOME_DONE)
        o = chest_put(c, field, buf_held(&box));
    buf_close(&box);
    return o;
}

enum outcome chest_value_take(struct desk *d, const struct chest *c, const json_t *secret,
                              struct secret **out)
{
    struct value_binding b = secret_binding(c, secret);
    char field[FIELD_MAX];

    value_field(secret, field);
    return outcome_fault(value_open(d->keys, &b, chest_get(c, field), out), field);
}

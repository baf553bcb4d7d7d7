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

static enum outcome chest_fill(struct desk *d, const redisReply *reply, struct chest *out)
{
    struct slice policy = SLICE_NONE, tag = SLICE_NONE;
    json_t *opened;
    enum fault f;

    STEP(fields_take(reply, out, &policy, &tag));
    f = policy_open(d->keys, out->sandbox, policy, tag, &opened);
    if (f != FAULT_NONE)
        return outcome_say(OUTCOME_FAILED, "%s %s: %s", chest_kind(out), out->id, fault_table[f].meaning);
    json_decref(out->policy);
    out->policy = opened;
    /* The tag says that we wrote it, not that we wrote it here. */
    if (strcmp(json_text_of(opened, "id"), out->id) != 0)
        return outcome_say(OUTCOME_FAILED, "%s %s: the record in its place is another's", chest_kind(out),
                           out->id);
    return OUTCOME_DONE;
}

enum outcome chest_read(struct desk *d, bool sandbox, const char *id, struct chest *out)
{
    struct key key = chest_key(sandbox, id);
    redisReply *reply;
    enum outcome o;

    chest_new(sandbox, id, out);
    o = db_ask(&d->db, DB_WORDS(SLICE("HGETALL"), KEY_SLICE(key)), &reply);
    if (o == OUTCOME_DONE) {
        o = reply->elements == 0 ? OUTCOME_NOT_FOUND : chest_fill(d, reply, out);
        freeReplyObject(reply);
    }
    if (o != OUTCOME_DONE)
        chest_close(out);
    return o;
}

/* DEL, HSET with every field, and the end that Redis itself sees to. */
static enum outcome fields_write(struct desk *d, const struct chest *c, struct slice policy, struct slice tag)
{
    struct slice words[2 + 2 * (2 + CHEST_BOXES_MAX)];
    struct key key = chest_key(c->sandbox, c->id);
    int64_t expires_ms = json_number_of(c->policy, "expiresAt");
    size_t n = 0;
    char until[24];

    words[n++] = SLICE("HSET");
    words[n++] = KEY_SLICE(key);
    words[n++] = SLICE("policy");
    words[n++] = policy;
    words[n++] = SLICE("tag");
    words[n++] = tag;
    for (size_t i = 0; i < c->box_count; i++) {
        words[n++] = slice_text(c->boxes[i].field);
        words[n++] = slice_of(c->boxes[i].at, c->boxes[i].len);
    }
    STEP(db_do(&d->db, DB_WORDS(SLICE("DEL"), KEY_SLICE(key))));
    STEP(db_do(&d->db, words, n));
    if (expires_ms == 0)
        return OUTCOME_DONE;
    snprintf(until, sizeof until, "%lld", (long long)(expires_ms + CHEST_GRACE_MS));
    return db_do(&d->db, DB_WORDS(SLICE("PEXPIREAT"), KEY_SLICE(key), slice_text(until)));
}

enum outcome chest_write(struct desk *d, const struct chest *c, bool *done)
{
    char *policy = json_dumps(c->policy, JSON_COMPACT);
    size_t octets = strlen(policy);
    struct buf tag = {0};
    enum outcome o;

    for (size_t i = 0; i < c->box_count; i++)
        octets += strlen(c->boxes[i].field) + c->boxes[i].len;
    if (octets > CHEST_OCTETS_MAX) {
        free(policy);
        return outcome_say(OUTCOME_REFUSED, "%s %s would hold more than %zu MiB", chest_kind(c), c->id,
                           CHEST_OCTETS_MAX >> 20);
    }
    o = outcome_fault(buf_open(&tag, SEAL_EXTRA), "the tag");
    if (o == OUTCOME_DONE)
        o = outcome_fault(policy_tag(d->keys, c->sandbox, slice_text(policy), &tag), "the tag");
    if (o == OUTCOME_DONE)
        o = db_begin(&d->db);
    if (o == OUTCOME_DONE)
        o = fields_write(d, c, slice_text(policy), buf_held(&tag));
    if (o == OUTCOME_DONE)
        o = db_commit(&d->db, done);
    buf_close(&tag);
    free(policy);
    return o;
}

static enum outcome edit_once(struct desk *d, struct chest *c, edit_fn *edit, void *cookie, bool *done)
{
    bool changed = false;

    STEP(edit(d, cookie, c, &changed));
    if (changed)
        return chest_write(d, c, done);
    *done = true;
    return db_unwatch(&d->db);
}

enum outcome chest_edit(struct desk *d, bool sandbox, const char *id, edit_fn *edit, void *cookie)
{
    struct key key = chest_key(sandbox, id);

    for (int i = 0; i < DB_ATTEMPTS; i++) {
        struct chest c;
        bool done = false;
        enum outcome o;

        STEP(db_watch(&d->db, KEY_SLICE(key)));
        o = chest_read(d, sandbox, id, &c);
        if (o == OUTCOME_NOT_FOUND) {
            STEP(db_unwatch(&d->db));
            return o;
        }
        if (o == OUTCOME_DONE) {
            o = edit_once(d, &c, edit, cookie, &done);
            chest_close(&c);
        }
        if (o != OUTCOME_DONE || done)
            return o;
    }
    return db_overtaken();
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

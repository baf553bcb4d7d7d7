#include "envfile.h"
#include "places.h"
#include "print.h"
#include "spread.h"
#include "storeindex.h"
#include "value.h"
#include "verbs.h"

static json_t *secret_object(const struct chest *c, const json_t *secret)
{
    return json_pack("{s:s, s:s, s:s, s:O, s:O, s:o, s:o}", "id", json_text_of(secret, "id"), "storeId",
                     c->id, "name", json_text_of(secret, "name"), "allowedHosts",
                     json_object_get(secret, "hosts"), "places", json_object_get(secret, "places"),
                     "createdAt", print_time(json_number_of(secret, "createdAt")), "updatedAt",
                     print_time(json_number_of(secret, "updatedAt")));
}

struct setting {
    const char *name;
    struct secret *value;
    json_t *hosts; /* NULL: as they are */
    unsigned places;
    json_t *result;
    bool is_new;
};

static enum outcome set_edit(struct desk *d, void *cookie, struct chest *c, bool *changed)
{
    struct setting *s = cookie;
    json_t *secret = chest_secret(c, s->name, NULL), *secrets = json_object_get(c->policy, "secrets");
    char id[UUID_LEN + 1];

    s->is_new = !secret;
    if (!secret) {
        if (json_array_size(secrets) >= RECORD_SECRETS_MAX)
            return outcome_say(OUTCOME_REFUSED, "a store holds at most %d secrets", RECORD_SECRETS_MAX);
        uuid_draw(id);
        secret = json_pack("{s:s, s:s, s:[], s:o, s:I}", "id", id, "name", s->name, "hosts", "places",
                           places_json(PLACES_DEFAULT), "createdAt", (json_int_t)d->now_ms);
        json_array_append_new(secrets, secret);
    }
    if (s->hosts)
        json_object_set(secret, "hosts", s->hosts);
    if (s->places)
        json_object_set_new(secret, "places", places_json(s->places));
    json_object_set_new(secret, "updatedAt", json_integer((json_int_t)d->now_ms));
    chest_touch(d, secret);
    json_object_set_new(c->policy, "updatedAt", json_integer((json_int_t)d->now_ms));
    chest_touch(d, c->policy);
    STEP(chest_value_put(d, c, secret, s->value));
    json_decref(s->result);
    s->result = secret_object(c, secret);
    *changed = true;
    return OUTCOME_DONE;
}

static void set_advise(const struct setting *s)
{
    value_advise(s->name, s->value, places_of_json(json_object_get(s->result, "places")));
    if (s->is_new && !s->places)
        outcome_advise(
            "hosts that store or repeat what they are sent should get %s only with --in header or --in "
            "field",
            s->name);
}

static enum outcome set_store(struct desk *d, const char *word, struct setting *s)
{
    struct chest c;
    char id[UUID_LEN + 1];
    enum outcome o;

    STEP(storeindex_read(d, word, &c));
    memcpy(id, c.id, sizeof id);
    chest_close(&c);
    o = chest_edit(d, false, id, set_edit, s);
    if (o == OUTCOME_NOT_FOUND)
        return outcome_say(o, "there is no store %s", word);
    STEP(o);
    return spread_all(d, id, false, "rotating", NULL);
}

static enum outcome set_take(struct desk *d, const char *name, struct setting *s)
{
    const char *path = order_value(d->order, OPTION_VALUE_FILE, 0);

    if (!path)
        return outcome_say(OUTCOME_USAGE, "--value-file FILE is needed, or --value-file - for stdin");
    if (order_has(d->order, OPTION_ALLOW_HOST) && order_has(d->order, OPTION_ANY_HOST))
        return outcome_say(OUTCOME_USAGE, "--allow-host and --any-host exclude each other");
    if (!record_name_ok(slice_text(name)))
        return outcome_say(OUTCOME_REFUSED, "secret name %s: [A-Za-z_][A-Za-z0-9_]* is needed", name);
    if (envfile_reserves(name))
        return outcome_say(OUTCOME_REFUSED,
                           "secret name %s: this variable steers programs and is not for secrets", name);
    STEP(places_take(d->order, &s->places));
    if (d->order->given & (OPT(ALLOW_HOST) | OPT(ANY_HOST)))
        STEP(hosts_take(d->order, OPTION_ALLOW_HOST, &s->hosts));
    return value_read(path, &s->value);
}

enum outcome secret_set(struct desk *d, const char *const *words)
{
    struct setting s = {.name = words[1]};
    enum outcome o = set_take(d, words[1], &s);

    if (o == OUTCOME_DONE)
        o = set_store(d, words[0], &s);
    if (o == OUTCOME_DONE) {
        set_advise(&s);
        print_made(d, json_incref(s.result));
    }
    secret_free(s.value);
    json_decref(s.hosts);
    json_decref(s.result);
    return o;
}

enum outcome secret_list(struct desk *d, const char *const *words)
{
    static const char *const columns[] = {"name", "id", "allowedHosts", "places", "updatedAt", NULL};
    json_t *list, *secret;
    struct chest c;
    size_t i;

    STEP(storeindex_read(d, words[0], &c));
    list = json_array();
    json_array_foreach (json_object_get(c.policy, "secrets"), i, secret) {
        json_array_append_new(list, secret_object(&c, secret));
    }
    print_list(d, list, columns);
    chest_close(&c);
    return OUTCOME_DONE;
}

static enum outcome no_secret(const char *const *words)
{
    return outcome_say(OUTCOME_NOT_FOUND, "store %s has no secret %s", words[0], words[1]);
}

enum outcome secret_get(struct desk *d, const char *const *words)
{
    struct chest c;
    json_t *secret;

    STEP(storeindex_read(d, words[0], &c));
    secret = chest_secret(&c, words[1], NULL);
    if (secret)
        print_one(d, secret_object(&c, secret));
    chest_close(&c);
    return secret ? OUTCOME_DONE : no_secret(words);
}

struct dropping {
    const char *name;
    json_t *result;
};

static enum outcome drop_edit(struct desk *d, void *cookie, struct chest *c, bool *changed)
{
    struct dropping *s = cookie;
    size_t at;
    json_t *secret = chest_secret(c, s->name, &at);

    if (!secret)
        return OUTCOME_DONE;
    json_decref(s->result);
    s->result = json_pack("{s:s, s:s}", "id", json_text_of(secret, "id"), "name", s->name);
    chest_secret_drop(c, at);
    json_object_set_new(c->policy, "updatedAt", json_integer((json_int_t)d->now_ms));
    chest_touch(d, c->policy);
    *changed = true;
    return OUTCOME_DONE;
}

/* Spread also where the store has no such secret: a command that died before it may have left it in records. */
enum outcome secret_delete(struct desk *d, const char *const *words)
{
    struct dropping s = {.name = words[1]};
    struct chest c;
    char id[UUID_LEN + 1];
    bool changed = false;
    enum outcome o;

    STEP(storeindex_read(d, words[0], &c));
    memcpy(id, c.id, sizeof id);
    chest_close(&c);
    o = chest_edit(d, false, id, drop_edit, &s);
    if (o == OUTCOME_NOT_FOUND)
        return outcome_say(o, "there is no store %s", words[0]);
    if (o == OUTCOME_DONE)
        o = spread_all(d, id, false, "revoking", &changed);
    if (o == OUTCOME_DONE && !s.result && !changed)
        o = no_secret(words);
    if (o == OUTCOME_DONE)
        print_quiet(d, s.result ? json_incref(s.result) : json_pack("{s:s}", "name", words[1]));
    json_decref(s.result);
    return o;
}

#include "places.h"
#include "print.h"
#include "spread.h"
#include "storeindex.h"
#include "verbs.h"

static json_t *store_object(const struct chest *c)
{
    return json_pack("{s:s, s:s, s:O, s:o, s:o, s:O}", "id", c->id, "name", json_text_of(c->policy, "name"),
                     "egressAllowlist", json_object_get(c->policy, "egress"), "createdAt",
                     print_time(json_number_of(c->policy, "createdAt")), "updatedAt",
                     print_time(json_number_of(c->policy, "updatedAt")), "scrub",
                     json_object_get(c->policy, "scrub"));
}

/* --scrub on|off; *out stays where it is not given. */
static enum outcome scrub_take(const struct order *order, bool *out)
{
    const char *text = order_value(order, OPTION_SCRUB, 0);

    if (!text)
        return OUTCOME_DONE;
    if (strcmp(text, "on") != 0 && strcmp(text, "off") != 0)
        return outcome_say(OUTCOME_REFUSED, "--scrub %s: on or off is needed", text);
    *out = strcmp(text, "on") == 0;
    return OUTCOME_DONE;
}

static enum outcome egress_take(const struct order *order, json_t **out)
{
    if (order_has(order, OPTION_EGRESS_ALLOW) && order_has(order, OPTION_EGRESS_ANY))
        return outcome_say(OUTCOME_USAGE, "--egress-allow and --egress-any exclude each other");
    return hosts_take(order, OPTION_EGRESS_ALLOW, out);
}

/* Nothing leads to a record before its name does, so until a replica has it, the command can be run again. */
static enum outcome store_write(struct desk *d, const char *name, struct chest *c)
{
    bool done = false;
    enum outcome o;

    STEP(storeindex_name_ok(d, name, c->id)); /* early: most often nothing has to be undone */
    STEP(chest_write(d, c, &done));
    if (!done)
        return db_overtaken();
    o = db_settle(d->db);
    if (o == OUTCOME_DONE)
        o = storeindex_claim(d, name, c->id);
    if (o != OUTCOME_DONE && !db_gone(d->db)) /* no replica has it, or another took the name meanwhile */
        STEP(chest_drop(d, c, &done));
    return o;
}

enum outcome store_create(struct desk *d, const char *const *words)
{
    char id[UUID_LEN + 1];
    struct chest c;
    json_t *egress;
    bool scrub = true;
    enum outcome o;

    STEP(scrub_take(d->order, &scrub));
    STEP(egress_take(d->order, &egress));
    uuid_draw(id);
    chest_new(false, id, &c);
    json_object_update_new(c.policy,
                           json_pack("{s:s, s:s, s:o, s:I, s:I, s:b, s:[]}", "id", id, "name", words[0],
                                     "egress", egress, "createdAt", (json_int_t)d->now_ms, "updatedAt",
                                     (json_int_t)d->now_ms, "scrub", scrub, "secrets"));
    chest_touch(d, c.policy);
    o = store_write(d, words[0], &c);
    if (o == OUTCOME_DONE) {
        if (!order_has(d->order, OPTION_EGRESS_ALLOW) && !order_has(d->order, OPTION_EGRESS_ANY))
            outcome_advise("store %s has no --egress-allow: its sandboxes may reach any host", words[0]);
        print_made(d, store_object(&c));
    }
    chest_close(&c);
    return o;
}

static enum outcome store_shown(struct desk *d, void *cookie, struct chest *c)
{
    (void)d;
    json_array_append_new(cookie, store_object(c));
    return OUTCOME_DONE;
}

/* What does not open is said, and does not hide the rest. */
enum outcome store_list(struct desk *d, const char *const *words)
{
    static const char *const columns[] = {"name", "id", "egressAllowlist", "updatedAt", NULL};
    struct names ids;
    json_t *list;
    enum outcome o;

    (void)words;
    STEP(storeindex_list(d, &ids));
    list = json_array();
    o = chest_show(d, false, ids.ids, ids.count, store_shown, list);
    names_free(&ids);
    print_list(d, list, columns);
    return o;
}

enum outcome store_get(struct desk *d, const char *const *words)
{
    struct chest c;

    STEP(storeindex_read(d, words[0], &c));
    print_one(d, store_object(&c));
    chest_close(&c);
    return OUTCOME_DONE;
}

struct store_change {
    const char *name; /* NULL: as it is */
    json_t *egress;
    json_t *result;
};

static enum outcome change_edit(struct desk *d, void *cookie, struct chest *c, bool *changed)
{
    struct store_change *s = cookie;
    bool scrub = json_is_true(json_object_get(c->policy, "scrub"));

    STEP(scrub_take(d->order, &scrub));
    if (s->name)
        json_object_set_new(c->policy, "name", json_string(s->name));
    if (s->egress)
        json_object_set(c->policy, "egress", s->egress);
    json_object_set_new(c->policy, "scrub", json_boolean(scrub));
    json_object_set_new(c->policy, "updatedAt", json_integer((json_int_t)d->now_ms));
    chest_touch(d, c->policy);
    json_decref(s->result);
    s->result = store_object(c);
    *changed = true;
    return OUTCOME_DONE;
}

static enum outcome change_make(struct desk *d, const char *word, const char *id, struct store_change *s)
{
    enum outcome o;

    if (s->name)
        STEP(storeindex_claim(d, s->name, id)); /* before anything is changed: it may be another's */
    o = chest_edit(d, false, id, change_edit, s);
    if (s->name && (o == OUTCOME_NOT_FOUND || o == OUTCOME_REFUSED))
        STEP(storeindex_tidy(d, id)); /* nothing is called so */
    if (o == OUTCOME_NOT_FOUND)
        return outcome_say(o, "there is no store %s", word);
    STEP(o);
    if (s->name)
        STEP(storeindex_tidy(d, id));
    return spread_all(d, id, false, "updating", NULL);
}

enum outcome store_update(struct desk *d, const char *const *words)
{
    struct store_change s = {.name = order_value(d->order, OPTION_NAME, 0)};
    char id[UUID_LEN + 1];
    json_t *egress;
    enum outcome o;

    if (!(d->order->given & (OPT(NAME) | OPT(EGRESS_ALLOW) | OPT(EGRESS_ANY) | OPT(SCRUB))))
        return outcome_say(OUTCOME_USAGE,
                           "nothing to change: say --name, --egress-allow, --egress-any or --scrub");
    STEP(egress_take(d->order, &egress));
    if (d->order->given & (OPT(EGRESS_ALLOW) | OPT(EGRESS_ANY)))
        s.egress = egress;
    o = storeindex_id(d, words[0], id);
    if (o == OUTCOME_DONE)
        o = change_make(d, words[0], id, &s);
    if (o == OUTCOME_DONE)
        print_quiet(d, s.result);
    else
        json_decref(s.result);
    json_decref(egress);
    return o;
}

/* The record goes first and the name last, so that the command can be run again until all of it is done. */
enum outcome store_delete(struct desk *d, const char *const *words)
{
    bool revoke = order_has(d->order, OPTION_REVOKE), changed = false;
    char id[UUID_LEN + 1];
    long long gone;

    STEP(storeindex_id(d, words[0], id));
    struct key record = key_store(id), members = key_store_sandboxes(id);

    STEP(db_number(d->db, DB_WORDS(SLICE("DEL"), KEY_SLICE(record)), &gone));
    if (revoke) {
        STEP(spread_all(d, id, true, "revoking", &changed));
        STEP(db_do(d->db, DB_WORDS(SLICE("DEL"), KEY_SLICE(members))));
    }
    STEP(storeindex_tidy(d, id));
    if (!gone && !changed && strcmp(words[0], id) == 0)
        return outcome_say(OUTCOME_NOT_FOUND, "there is no store %s", words[0]);
    print_quiet(d, json_pack("{s:s}", "id", id));
    return OUTCOME_DONE;
}

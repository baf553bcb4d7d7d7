#include "sandboxes.h"
#include "claim.h"
#include "envfile.h"
#include "print.h"
#include "verbs.h"
#include <openssl/pem.h>
#include <stdlib.h>
#include <time.h>

json_t *sandbox_object(const struct chest *c)
{
    json_t *secrets = json_array(), *stores = json_array(), *entry;
    size_t i;

    json_array_foreach (json_object_get(c->policy, "secrets"), i, entry)
        json_array_append_new(secrets, json_pack("{s:s, s:s}", "name", json_text_of(entry, "name"), "token",
                                                 json_text_of(entry, "token")));
    json_array_foreach (json_object_get(c->policy, "stores"), i, entry)
        json_array_append(stores, json_object_get(entry, "name"));
    return json_pack("{s:s, s:O, s:o, s:o, s:o, s:o}", "id", c->id, "addresses",
                     json_object_get(c->policy, "addresses"), "stores", stores, "secrets", secrets,
                     "createdAt", print_time(json_number_of(c->policy, "createdAt")), "expiresAt",
                     print_time(json_number_of(c->policy, "expiresAt")));
}

static enum outcome no_sandbox(const char *id)
{
    return outcome_say(OUTCOME_NOT_FOUND, "there is no sandbox %s", id);
}

enum outcome sandbox_read(struct desk *d, const char *id, struct chest *out)
{
    enum outcome o = record_id_ok(slice_text(id)) ? chest_read(d, true, id, out) : OUTCOME_NOT_FOUND;

    return o == OUTCOME_NOT_FOUND ? no_sandbox(id) : o;
}

/* What does not open is said, and does not hide the rest. */
enum outcome sandbox_list(struct desk *d, const char *const *words)
{
    static const char *const columns[] = {"id", "addresses", "stores", "expiresAt", NULL};
    json_t *list = json_array();
    redisReply *all;
    enum outcome o, worst = OUTCOME_DONE;

    (void)words;
    STEP(db_ask(&d->db, DB_WORDS(SLICE("SMEMBERS"), DB_SANDBOXES), &all));
    for (size_t i = 0; i < all->elements && d->db.link->err == 0; i++) {
        struct chest c;

        if (!record_id_ok(reply_slice(all->element[i])))
            continue;
        o = chest_read(d, true, all->element[i]->str, &c);
        if (o == OUTCOME_DONE) {
            json_array_append_new(list, sandbox_object(&c));
            chest_close(&c);
        } else if (o != OUTCOME_NOT_FOUND) {
            worst = o;
        }
    }
    freeReplyObject(all);
    print_list(d, list, columns);
    return worst;
}

enum outcome sandbox_get(struct desk *d, const char *const *words)
{
    struct chest c;

    STEP(sandbox_read(d, words[0], &c));
    print_one(d, sandbox_object(&c));
    chest_close(&c);
    return OUTCOME_DONE;
}

enum outcome sandbox_env(struct desk *d, const char *const *words)
{
    struct chest c;
    char *text;

    STEP(envfile_paths_ok(d->order));
    STEP(sandbox_read(d, words[0], &c));
    if (d->json) {
        print_quiet(d, envfile_json(d->order, &c));
    } else {
        text = envfile_text(d->order, &c);
        print_text(d, "env", text);
        free(text);
    }
    chest_close(&c);
    return OUTCOME_DONE;
}

enum outcome sandbox_ca(struct desk *d, const char *const *words)
{
    struct chest c;

    STEP(sandbox_read(d, words[0], &c));
    print_text(d, "ca", json_text_of(c.policy, "ca"));
    chest_close(&c);
    return OUTCOME_DONE;
}

/* --- the end -------------------------------------------------------------------------------------------- */

static enum outcome sets_leave(struct desk *d, const char *id, const json_t *policy)
{
    size_t i;
    json_t *store;

    json_array_foreach (json_object_get(policy, "stores"), i, store) {
        struct key members = key_store_sandboxes(json_text_of(store, "id"));

        STEP(db_do(&d->db, DB_WORDS(SLICE("SREM"), KEY_SLICE(members), slice_text(id))));
    }
    return db_do(&d->db, DB_WORDS(SLICE("SREM"), DB_SANDBOXES, slice_text(id)));
}

/* The proxies are told as soon as the record is gone: what follows only tidies up. */
enum outcome sandbox_remove(struct desk *d, const char *id, const json_t *policy)
{
    struct key record = key_sandbox(id);
    struct ip list[RECORD_ADDRESSES_MAX];
    size_t n = claims_of(policy, list);

    d->db.changed = true;
    STEP(db_do(&d->db, DB_WORDS(SLICE("DEL"), KEY_SLICE(record))));
    STEP(db_tell_sandbox(&d->db, id));
    for (size_t i = 0; i < n; i++)
        STEP(claim_release(d, json_text_of(policy, "zone"), list[i], id));
    return sets_leave(d, id, policy);
}

/* A record that does not open can be deleted all the same: its addresses are unknown, so their keys stay behind. */
enum outcome sandbox_delete(struct desk *d, const char *const *words)
{
    const char *id = words[0];
    struct chest c = {0};
    long long listed = 1;
    enum outcome o = record_id_ok(slice_text(id)) ? chest_read(d, true, id, &c) : OUTCOME_NOT_FOUND;

    if (o == OUTCOME_FAILED && d->db.link->err)
        return o;
    if (o == OUTCOME_NOT_FOUND)
        STEP(db_number(&d->db, DB_WORDS(SLICE("SISMEMBER"), DB_SANDBOXES, slice_text(id)), &listed));
    if (!listed)
        return no_sandbox(id);
    o = sandbox_remove(d, id, c.policy);
    chest_close(&c);
    if (o == OUTCOME_DONE)
        print_quiet(d, json_pack("{s:s}", "id", id));
    return o;
}

/* --- a later end ---------------------------------------------------------------------------------------- */

static int64_t ca_end_ms(const char *pem)
{
    BIO *in = BIO_new_mem_buf(pem, -1);
    X509 *cert = in ? PEM_read_bio_X509(in, NULL, NULL, NULL) : NULL;
    struct tm end;
    int64_t end_ms = 0;

    if (cert && ASN1_TIME_to_tm(X509_get0_notAfter(cert), &end) == 1)
        end_ms = (int64_t)timegm(&end) * 1000;
    X509_free(cert);
    BIO_free(in);
    return end_ms;
}

struct extending {
    int64_t expires_ms;
    json_t *result;
};

static enum outcome extend_edit(struct desk *d, void *cookie, struct chest *c, bool *changed)
{
    struct extending *e = cookie;

    json_object_set_new(c->policy, "expiresAt", json_integer((json_int_t)e->expires_ms));
    chest_touch(d, c->policy);
    json_decref(e->result);
    e->result = sandbox_object(c);
    *changed = true;
    return OUTCOME_DONE;
}

/* An expired sandbox may have lost its addresses to another: they are claimed first. */
static enum outcome extend_claim(struct desk *d, const struct chest *c, int64_t expires_ms)
{
    struct ip list[RECORD_ADDRESSES_MAX];
    size_t n = claims_of(c->policy, list);

    if (expires_ms > ca_end_ms(json_text_of(c->policy, "ca")))
        return outcome_say(OUTCOME_REFUSED,
                           "sandbox %s: its CA would end before it does; its certificate can't be extended",
                           c->id);
    for (size_t i = 0; i < n; i++)
        STEP(claim_take(d, json_text_of(c->policy, "zone"), list[i], c->id, expires_ms));
    return OUTCOME_DONE;
}

enum outcome sandbox_extend(struct desk *d, const char *const *words)
{
    struct extending e = {0};
    uint64_t ttl_s = 0;
    struct chest c;
    enum outcome o;

    STEP(order_number(d->order, OPTION_TTL, (uint64_t)SANDBOX_DAYS_MAX * DAY_S, &ttl_s));
    if (ttl_s == 0)
        return outcome_say(OUTCOME_USAGE, "--ttl SECONDS is needed");
    e.expires_ms = d->now_ms + (int64_t)ttl_s * 1000;
    STEP(sandbox_read(d, words[0], &c));
    o = extend_claim(d, &c, e.expires_ms);
    chest_close(&c);
    STEP(o);
    o = chest_edit(d, true, words[0], extend_edit, &e);
    if (o == OUTCOME_NOT_FOUND)
        o = no_sandbox(words[0]);
    if (o == OUTCOME_DONE)
        o = db_tell_sandbox(&d->db, words[0]);
    if (o == OUTCOME_DONE)
        print_quiet(d, e.result);
    else
        json_decref(e.result);
    return o;
}

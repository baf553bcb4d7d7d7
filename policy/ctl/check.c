#include "places.h"
#include "print.h"
#include "sandboxes.h"
#include "verbs.h"
#include "verdict.h"
#include <stdio.h>

struct question {
    struct host host;
    const char *secret; /* NULL: none is asked for */
    unsigned places;    /* any of these */
};

static enum outcome question_take(const struct order *order, struct question *q)
{
    const char *host = order_value(order, OPTION_HOST, 0);

    if (!order_has(order, OPTION_SANDBOX) || !host)
        return outcome_say(OUTCOME_USAGE, "--sandbox ID and --host HOST are needed");
    if (order_has(order, OPTION_IN) && !order_has(order, OPTION_SECRET))
        return outcome_say(OUTCOME_USAGE, "--in needs --secret");
    if (host_canonical(slice_text(host), &q->host) != FAULT_NONE &&
        host_literal(slice_text(host), &q->host) != FAULT_NONE)
        return outcome_say(OUTCOME_REFUSED, "--host %s is no host's name", host);
    q->secret = order_value(order, OPTION_SECRET, 0);
    return places_take(order, &q->places);
}

static const struct record_secret *secret_named(const struct record *r, const char *name)
{
    for (size_t i = 0; i < r->secret_count; i++)
        if (strcmp(r->secrets[i].name, name) == 0)
            return &r->secrets[i];
    return NULL;
}

/* The same questions, in the same order, as the proxy asks. */
static enum outcome question_answer(const struct desk *d, const struct record *r, const struct question *q,
                                    const char **why)
{
    const struct record_secret *s;

    *why = "allowed";
    if (r->expires_ms && r->expires_ms <= d->now_ms) {
        *why = "the sandbox has expired";
    } else if (verdict_host(r, &q->host) != FAULT_NONE) {
        *why = "the egress allowlist does not include this host";
    } else if (q->secret) {
        s = secret_named(r, q->secret);
        if (!s)
            return outcome_say(OUTCOME_NOT_FOUND, "sandbox %s has no secret %s", r->id, q->secret);
        if (!verdict_secret(s, &q->host))
            *why = "the secret is not for this host";
        else if (q->places && q->places & ~s->places)
            *why = "the secret is not for this place";
    }
    return strcmp(*why, "allowed") == 0 ? OUTCOME_DONE : OUTCOME_REFUSED;
}

static enum outcome record_read(struct desk *d, const char *id, struct record **out)
{
    struct key key = key_sandbox(id);
    struct record_part parts[RECORD_SECRETS_MAX + 4];
    redisReply *reply;
    size_t n = 0;
    enum fault f;

    STEP(db_ask(&d->db, DB_WORDS(SLICE("HGETALL"), KEY_SLICE(key)), &reply));
    for (size_t i = 0; i + 1 < reply->elements && n < sizeof parts / sizeof *parts; i += 2)
        parts[n++] = (struct record_part){reply_slice(reply->element[i]), reply_slice(reply->element[i + 1])};
    f = record_open(d->keys, slice_text(id), parts, n, out);
    freeReplyObject(reply);
    if (f == FAULT_NOT_FOUND)
        return outcome_say(OUTCOME_NOT_FOUND, "there is no sandbox %s", id);
    return outcome_fault(f, id);
}

enum outcome sandbox_check(struct desk *d, const char *const *words)
{
    const char *id = order_value(d->order, OPTION_SANDBOX, 0), *why;
    struct question q = {0};
    struct record *r;
    enum outcome o;

    (void)words;
    STEP(question_take(d->order, &q));
    if (!record_id_ok(slice_text(id)))
        return outcome_say(OUTCOME_NOT_FOUND, "there is no sandbox %s", id);
    STEP(record_read(d, id, &r));
    o = question_answer(d, r, &q, &why);
    if (o == OUTCOME_REFUSED)
        outcome_advise("%s", why);
    if (o == OUTCOME_DONE && !d->json)
        puts(why);
    if (o != OUTCOME_NOT_FOUND)
        print_quiet(d, json_pack("{s:b, s:s}", "allowed", o == OUTCOME_DONE, "reason", why));
    record_drop(r);
    return o;
}

#include "places.h"
#include "print.h"
#include "sandboxes.h"
#include "verbs.h"
#include "verdict.h"
#include <stdarg.h>
#include <stdio.h>

#define REASON_OCTETS 900

struct question {
    struct host host;
    const char *secret; /* NULL: none is asked for */
    unsigned places;    /* all of these */
};

/* What the proxy would do, and the one rule that decides it. */
struct finding {
    bool allowed;
    char reason[REASON_OCTETS];
    const char *decided_by;           /* expiry, store, egress, hosts or place */
    const struct record_store *store; /* whose list decides; NULL: no one store's */
    const struct record_secret *secret;
    char pattern[HOSTPAT_TEXT]; /* "": none covers the host, or the list is empty */
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

/* --- sentences ------------------------------------------------------------------------------------------ */

/* One more part of the reason; what finds no room is cut. */
__attribute__((format(printf, 2, 3))) static void reason_add(struct finding *f, const char *format, ...)
{
    size_t n = strlen(f->reason);
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(f->reason + n, sizeof f->reason - n, format, arguments);
    va_end(arguments);
}

static void stores_add(struct finding *f, const struct record *r)
{
    for (size_t i = 0; i < r->store_count; i++)
        reason_add(f, "%s%s", i ? ", " : "", r->stores[i].name);
}

static void places_add(struct finding *f, unsigned places)
{
    const char *between = "";

    for (enum place p = 0; p < PLACE_COUNT; p++)
        if (places & 1u << p) {
            reason_add(f, "%s%s", between, place_name(p));
            between = ", ";
        }
}

static const char *literal_rule(const struct host *h)
{
    return h->literal ? " (an address only if it stands there itself)" : "";
}

/* --- rules, in the order in which the proxy asks -------------------------------------------------------- */

static bool expiry_allows(const struct desk *d, const struct record *r, struct finding *f)
{
    json_t *time = print_time(r->expires_ms);

    if (r->expires_ms && r->expires_ms <= d->now_ms) {
        f->decided_by = "expiry";
        reason_add(f, "the sandbox has expired at %s", json_string_value(time));
    }
    json_decref(time);
    return !f->decided_by;
}

/* Lists are united, and an empty one adds nothing: the first that covers the host decides. */
static bool host_allows(const struct record *r, const struct host *h, struct finding *f)
{
    f->decided_by = r->store_count ? "egress" : "store";
    if (r->store_count == 0) {
        reason_add(f, "the sandbox has no store, and may reach nothing");
        return false;
    }
    for (size_t i = 0; i < r->store_count && !f->store; i++)
        if (hostlist_rule(r->stores[i].egress, h, f->pattern))
            f->store = &r->stores[i];
    if (f->store)
        reason_add(f, "%s in the egress list of store %s", f->pattern, f->store->name);
    else if (verdict_host(r, h) == FAULT_NONE)
        reason_add(f, "every name, since these stores have an empty egress list: ");
    else
        reason_add(f, "%s is in no egress list of the sandbox' stores%s: ", h->name, literal_rule(h));
    if (!f->store)
        stores_add(f, r);
    return verdict_host(r, h) == FAULT_NONE;
}

static bool secret_allows(const struct record_secret *s, const struct host *h, struct finding *f)
{
    bool own = hostlist_count(s->hosts) > 0, allowed = verdict_secret(s, h);

    f->decided_by = "hosts";
    f->store = own ? NULL : s->store;
    *f->pattern = 0;
    hostlist_rule(own ? s->hosts : s->store->egress, h, f->pattern);
    if (!allowed)
        *f->reason = 0;
    reason_add(f, "%s%s %s %s (", allowed ? "; " : "", s->name, allowed ? "goes to" : "does not go to",
               *f->pattern ? f->pattern : h->name);
    if (own)
        reason_add(f, "its own hosts)");
    else
        reason_add(f, "it has no hosts of its own: %s egress list of store %s)",
                   hostlist_count(s->store->egress) ? "the" : "the empty", s->store->name);
    if (!allowed)
        reason_add(f, "%s", literal_rule(h));
    return allowed;
}

static bool places_allow(const struct record_secret *s, unsigned asked, struct finding *f)
{
    unsigned missing = asked & ~s->places;

    if (missing) {
        *f->reason = *f->pattern = 0;
        f->store = NULL;
        f->decided_by = "place";
        reason_add(f, "%s is not put into ", s->name);
        places_add(f, missing);
        reason_add(f, ": its places are ");
    } else {
        reason_add(f, " in ");
    }
    places_add(f, missing || !asked ? s->places : asked);
    return !missing;
}

static void question_answer(const struct desk *d, const struct record *r, const struct question *q,
                            struct finding *f)
{
    f->allowed = expiry_allows(d, r, f) && host_allows(r, &q->host, f);
    if (f->allowed && f->secret)
        f->allowed = secret_allows(f->secret, &q->host, f) && places_allow(f->secret, q->places, f);
}

/* --- the verb ------------------------------------------------------------------------------------------- */

/* As the proxies open it. What does not open is read once more in the way that says why. */
static enum outcome record_read(struct desk *d, const char *id, struct record **out)
{
    struct key key = key_sandbox(id);
    struct record_part parts[RECORD_SECRETS_MAX + 4];
    struct chest c;
    redisReply *reply;
    size_t n = 0;
    enum fault f;

    STEP(db_ask(d->db, DB_WORDS(SLICE("HGETALL"), KEY_SLICE(key)), &reply));
    for (size_t i = 0; i + 1 < reply->elements && n < sizeof parts / sizeof *parts; i += 2)
        parts[n++] = (struct record_part){reply_slice(reply->element[i]), reply_slice(reply->element[i + 1])};
    f = record_open(d->keys, slice_text(id), parts, n, out);
    freeReplyObject(reply);
    if (f == FAULT_NONE)
        return OUTCOME_DONE;
    STEP(sandbox_read(d, id, &c));
    chest_close(&c);
    return outcome_fault(f, id);
}

static json_t *finding_json(const struct finding *f)
{
    json_t *rule = json_pack("{s:s, s:s?, s:s?, s:s?}", "decidedBy", f->decided_by, "store",
                             f->store ? f->store->name : NULL, "pattern", *f->pattern ? f->pattern : NULL,
                             "secret", f->secret ? f->secret->name : NULL);

    json_object_set_new(rule, "places", f->secret ? places_json(f->secret->places) : json_null());
    return json_pack("{s:b, s:s, s:o}", "allowed", f->allowed, "reason", f->reason, "rule", rule);
}

static enum outcome finding_print(const struct desk *d, const struct finding *f)
{
    if (f->allowed && !d->json)
        printf("allowed: %s\n", f->reason);
    print_quiet(d, finding_json(f));
    return f->allowed ? OUTCOME_DONE : outcome_say(OUTCOME_REFUSED, "not allowed: %s", f->reason);
}

enum outcome sandbox_check(struct desk *d, const char *const *words)
{
    const char *id = order_value(d->order, OPTION_SANDBOX, 0);
    struct question q = {0};
    struct finding f = {0};
    struct record *r;
    enum outcome o;

    (void)words;
    STEP(question_take(d->order, &q));
    if (!record_id_ok(slice_text(id)))
        return sandbox_missing(id);
    STEP(record_read(d, id, &r));
    f.secret = q.secret ? secret_named(r, q.secret) : NULL;
    if (q.secret && !f.secret) {
        o = outcome_say(OUTCOME_NOT_FOUND, "sandbox %s has no secret %s", r->id, q.secret);
    } else {
        question_answer(d, r, &q, &f);
        o = finding_print(d, &f);
    }
    record_drop(r);
    return o;
}

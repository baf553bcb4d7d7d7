#include "exchange.h"
#include "clock.h"
#include "decimal.h"
#include "judge.h"
#include "metric.h"
#include "owner.h"
#include <assert.h>
#include <sodium.h>
#include <stdlib.h>

#define INTERIM_MAX    8
#define GOODBYES_MAX   4               /* connections that close just before one request */
#define NOT_ASKED      FAULT_NOT_FOUND /* of x->opened: what the state waits for has not been begun */
#define AUTHORITY_TEXT (HOST_MAX + sizeof "[]:65535")
#define SPARE_MAX      256

static TAILQ_HEAD(, exchange) spare = TAILQ_HEAD_INITIALIZER(spare);
static size_t spare_count, spare_least; /* now, and the fewest since the last trim */

static void client_woken(struct who_wait *wait, enum fault why, struct sandbox *s)
{
    struct exchange *x = OWNER(wait, struct exchange, wait);

    (void)s;
    x->opened = why;
    x->client.wake(x->client.cookie);
}

static void upstream_opened(void *cookie, enum fault why, const char *detail)
{
    struct exchange *x = cookie;

    x->opened = why;
    x->detail = detail;
    x->client.wake(x->client.cookie);
}

static void upstream_woken(void *cookie)
{
    struct exchange *x = cookie;

    x->client.wake(x->client.cookie);
}

static size_t text_keep(char *to, size_t room, struct slice from)
{
    size_t n = from.len < room ? from.len : room;

    if (n)
        memcpy(to, from.at, n);
    return n;
}

struct exchange *exchange_begin(struct worker *w, const struct exchange_client *client,
                                const struct head *request)
{
    struct exchange *x = TAILQ_FIRST(&spare);

    if (x) {
        TAILQ_REMOVE(&spare, x, list);
        if (--spare_count < spare_least)
            spare_least = spare_count;
    } else if (!(x = malloc(sizeof *x))) {
        return NULL;
    }
    memset(x, 0, offsetof(struct exchange, method));
    head_copy(&x->request, request);
    x->method_len = text_keep(x->method, sizeof x->method, request->method);
    x->path_len =
        text_keep(x->path, sizeof x->path, slice_first(request->target, slice_find(request->target, '?')));
    x->style = (struct answer_to){.fault = FAULT_NONE};
    answer_style(request, &x->style);
    x->worker = w;
    x->client = *client;
    lease_begin(&x->lease, (struct lease_user){upstream_opened, upstream_woken, x});
    x->id = worker_request_id(w);
    x->wait.fn = client_woken;
    x->opened = NOT_ASKED;
    x->close = request->close;
    x->head_only = slice_equal(request->method, SLICE("HEAD"));
    x->began_us = clock_mono_us();
    x->upstream_us = -1;
    sandbox_hold(client->sandbox);
    return x;
}

/* --- FRESH: is the record that we are about to decide on the one in Redis? ------------------------------ */

static enum fault exchange_FRESH(struct exchange *x)
{
    if (x->opened == NOT_ASKED)
        x->opened = who_fresh(x->client.sandbox, x->client.from.ip, &x->wait);
    TRY(x->opened);
    x->record = record_hold(x->client.sandbox->record);
    x->state = EXCHANGE_JUDGE;
    return FAULT_NONE;
}

/* --- JUDGE: the head, before anything leaves this house ------------------------------------------------- */

static enum fault exchange_JUDGE(struct exchange *x)
{
    TRY(judge_request(x));
    x->up.from = x->client.stream;
    x->state = x->plan == PLAN_COUNT ? EXCHANGE_HOLD : EXCHANGE_CONNECT;
    x->opened = NOT_ASKED;
    return FAULT_NONE;
}

/* --- HOLD: the length after substitution stands in the head, so the body comes first -------------------- */

static enum fault interim_continue(struct exchange *x)
{
    struct head go HEAD_UNSET;

    if (!x->request.expect_continue)
        return FAULT_NONE;
    head_begin(&go);
    go.status = 100;
    go.reason = SLICE("Continue");
    TRY(x->client.stream->ops->write_head(x->client.stream, &go));
    x->request.expect_continue = false;
    return FAULT_NONE;
}

/* Read to its end beside its head, and then from its beginning again, where it stands in one run. */
static enum fault hold_beside_head(struct exchange *x, struct slice *whole)
{
    struct stream *client = x->client.stream;
    enum fault why;

    while ((why = client->ops->body(client, whole)) == FAULT_NONE) {
        x->progress += whole->len;
        client->ops->took(client, whole->len);
    }
    if (why != FAULT_END)
        return why;
    return client->ops->rewind(client) ? client->ops->body(client, whole) : FAULT_SYSTEM;
}

/* Where the whole body stands; AGAIN until it does. */
static enum fault hold_body(struct exchange *x, struct slice *whole)
{
    const struct stream_ops *client = x->client.stream->ops;
    struct slice run = SLICE_NONE;

    if (!x->held.base && x->request.length <= client->keeps(x->client.stream))
        return hold_beside_head(x, whole);
    if (!x->held.base) {
        TRY(head_save(&x->request, &x->saved));
        TRY(buf_open(&x->held, x->request.length));
    }
    for (;;) {
        enum fault why = client->body(x->client.stream, &run);

        if (why == FAULT_END) {
            *whole = buf_held(&x->held);
            x->up.held = &x->held;
            return FAULT_NONE;
        }
        TRY(why);
        TRY(buf_append(&x->held, run));
        x->progress += run.len;
        client->took(x->client.stream, run.len);
    }
}

static enum fault exchange_HOLD(struct exchange *x)
{
    struct slice whole = SLICE_NONE;
    bool changed;

    TRY(interim_continue(x));
    TRY(hold_body(x, &whole));
    x->grants.place = PLACE_BODY;
    x->request.length = subst_measure(grants_token, &x->grants, whole, &changed);
    x->grants.silent = true; /* counted: what follows writes the same tokens */
    TRY(x->grants.why);
    if (changed)
        head_remove(&x->request, TRAIT_DIGEST);
    x->state = EXCHANGE_CONNECT;
    return FAULT_NONE;
}

/* --- CONNECT -------------------------------------------------------------------------------------------- */

static enum fault connect_ask(struct exchange *x)
{
    const struct config *config = x->worker->config;
    bool secure = x->client.host || config->http == HTTP_UPGRADE;
    struct upstream_target target = {
        .host = &x->host,
        .port = x->client.host ? x->client.port
                : secure       ? 443
                               : 80,
        .secure = secure,
        .original = config->upstream_original && x->client.host && x->client.original.port
                        ? &x->client.original
                        : NULL,
    };

    return route_take(x->client.sandbox, &target, x->retries > 0, &x->lease, &x->detail);
}

static enum fault exchange_CONNECT(struct exchange *x)
{
    if (x->opened == NOT_ASKED)
        x->opened = connect_ask(x);
    TRY(x->opened);
    x->up.to = x->down.from = x->lease.stream;
    x->down.to = x->client.stream;
    if (x->plan == PLAN_STREAM || x->plan == PLAN_COUNT) {
        x->subst = (struct subst){.grant = grants_token, .cookie = &x->grants};
        x->grants.place = PLACE_BODY;
        x->up.subst = &x->subst;
    }
    x->state = EXCHANGE_RELAY;
    return FAULT_NONE;
}

/* --- RELAY: the request up ------------------------------------------------------------------------------ */

/* "host", "host:port" or "[v6]": what Host says to the upstream. */
static struct slice authority_text(const struct exchange *x, char out[static AUTHORITY_TEXT])
{
    bool secure = x->lease.upstream->secure, v6 = x->host.literal && strchr(x->host.name, ':');
    uint16_t port = x->client.host ? x->client.port : secure ? 443 : 80;
    size_t n = 0;

    if (v6)
        out[n++] = '[';
    memcpy(out + n, x->host.name, x->host.len);
    n += x->host.len;
    if (v6)
        out[n++] = ']';
    if (port != (secure ? 443 : 80)) {
        out[n++] = ':';
        n += decimal_put(port, out + n);
    }
    return slice_of(out, n);
}

static enum fault up_head(struct exchange *x)
{
    char authority[AUTHORITY_TEXT];
    struct slice as_sent = x->request.authority;
    bool as_said = x->request.close;

    if (x->plan == PLAN_STREAM)
        head_remove(&x->request, TRAIT_DIGEST); /* by the time a token is seen the head has gone */
    x->request.authority = authority_text(x, authority);
    x->request.close = false; /* how long the client's connection lives is no matter of the upstream's */

    enum fault why = x->up.to->ops->write_head(x->up.to, &x->request);

    x->request.authority = as_sent;
    x->request.close = as_said;
    TRY(why);
    x->upstream_proto = x->up.to->proto;
    x->sent_us = clock_mono_us();
    metric_time(METRIC_ADDED_SECONDS, (uint64_t)(x->sent_us - x->began_us));
    x->up_at = WRITE_BODY;
    return FAULT_NONE;
}

static enum fault up_end(struct exchange *x)
{
    struct head trailers HEAD_UNSET;
    struct buf filled = {0};

    head_begin(&trailers);
    if (!x->up.held) /* a body with a length has none, and to ask twice (a retry) is a fault */
        TRY(x->up.from->ops->trailers(x->up.from, &trailers));
    x->grants.silent = false;

    enum fault why = x->client.host
                         ? grants_fill(&x->grants, &trailers, &filled, x->worker->config->head_octets)
                         : FAULT_NONE;

    if (why == FAULT_NONE)
        why = x->up.to->ops->write_end(x->up.to, &trailers);
    buf_close(&filled);
    TRY(why);
    x->up_at = WRITE_DONE;
    return FAULT_NONE;
}

static enum fault exchange_up(struct exchange *x)
{
    uint64_t before = x->up.octets;

    if (x->up_at == WRITE_HEAD)
        TRY(up_head(x));
    if (x->up_at == WRITE_BODY) {
        enum fault why = relay_body(&x->up);

        x->progress += x->up.octets - before;
        TRY(x->grants.why);
        if (why != FAULT_END)
            return why;
        x->up_at = WRITE_END;
    }
    return x->up_at == WRITE_END ? up_end(x) : FAULT_NONE;
}

/* --- RELAY: the response down --------------------------------------------------------------------------- */

/* 1xx that help the client are passed on, a few of them; others end here. */
static enum fault down_interim(struct exchange *x, const struct head *h)
{
    if (x->interim == INTERIM_MAX)
        return FAULT_UPSTREAM_PROTOCOL;
    if ((h->status == 100 || h->status == 103) && x->request.minor > 0)
        TRY(x->down.to->ops->write_head(x->down.to, h));
    x->interim++;
    x->down.from->ops->commit(x->down.from);
    return FAULT_NONE;
}

static enum fault down_head(struct exchange *x)
{
    struct head h HEAD_UNSET;

    do {
        TRY(x->down.from->ops->head(x->down.from, &h));
        /* Something was answered: from here on the request is not sent again. */
        x->up.from->ops->commit(x->up.from);
        if (h.status < 200)
            TRY(down_interim(x, &h));
    } while (h.status < 200);
    if (x->upstream_us < 0)
        x->upstream_us = clock_mono_us() - x->sent_us;
    x->upstream_close = h.close;
    /* To a 1.0 client a body without a length ends with the connection. */
    x->close = x->close || x->worker->draining || (x->request.minor == 0 && h.body == BODY_STREAM);
    h.close = x->close;
    head_remove(&h, TRAIT_DETOUR);
    TRY(x->down.to->ops->write_head(x->down.to, &h));
    x->status = h.status;
    x->answered = true;
    x->down.from->ops->commit(x->down.from);
    x->down_at = WRITE_BODY;
    return FAULT_NONE;
}

static enum fault down_end(struct exchange *x)
{
    struct head trailers HEAD_UNSET;

    head_begin(&trailers);
    TRY(x->down.from->ops->trailers(x->down.from, &trailers));
    TRY(x->down.to->ops->write_end(x->down.to, &trailers));
    x->down.from->ops->commit(x->down.from);
    x->down_at = WRITE_DONE;
    return FAULT_NONE;
}

static enum fault exchange_down(struct exchange *x)
{
    uint64_t before = x->down.octets;

    if (x->up_at == WRITE_HEAD)
        return FAULT_AGAIN;
    if (x->down_at == WRITE_HEAD)
        TRY(down_head(x));
    if (x->down_at == WRITE_BODY) {
        enum fault why = relay_body(&x->down);

        x->progress += x->down.octets - before;
        if (why != FAULT_END)
            return why;
        x->down_at = WRITE_END;
    }
    return x->down_at == WRITE_END ? down_end(x) : FAULT_NONE;
}

/* --- RELAY: both at once -------------------------------------------------------------------------------- */

static bool waits(enum fault why)
{
    return why == FAULT_AGAIN || why == FAULT_FULL;
}

static bool idempotent(struct slice method)
{
    static const char *const names[] = {"GET", "HEAD", "OPTIONS", "PUT", "DELETE"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (slice_equal(method, slice_text(names[i])))
            return true;
    return false;
}

/*
 * The request is sent once more, over another connection or stream, when nothing of it was answered, it can be read again,
 * and doing it twice does no harm: the host refused it unseen, or a connection that others used before was closed just when
 * we used it (RFC 9110 s.9.2.2, RFC 9113 s.8.7). A busy host says goodbye to each connection after so many requests (nginx:
 * 1000), so one request may meet that more than once.
 */
static bool exchange_retry(struct exchange *x, enum fault why)
{
    bool unseen = why == FAULT_UPSTREAM_REFUSED;

    if (x->interim || x->answered || x->retries >= (unseen && lease_leaving(&x->lease) ? GOODBYES_MAX : 1))
        return false;
    if (!unseen && (why != FAULT_UPSTREAM_GONE || !lease_stale(&x->lease) ||
                    !idempotent(slice_of(x->method, x->method_len))))
        return false;
    if (!x->up.held && !x->client.stream->ops->rewind(x->client.stream))
        return false;
    route_give(&x->lease, false);
    x->up = (struct relay){.from = x->client.stream, .held = x->up.held};
    x->up_at = WRITE_HEAD;
    x->grants.silent = x->plan == PLAN_COUNT; /* what streams goes on with octets that nobody has seen */
    x->retries++;
    x->opened = NOT_ASKED;
    x->state = EXCHANGE_CONNECT;
    return true;
}

static enum fault exchange_RELAY(struct exchange *x)
{
    size_t in = lease_read(&x->lease);
    enum fault up = x->up_at == WRITE_DONE ? FAULT_NONE : exchange_up(x);

    metric_add(METRIC_BYTES_UPSTREAM_IN, in);
    if (up != FAULT_NONE && !waits(up))
        return exchange_retry(x, up)
                   ? FAULT_NONE
                   : up; /* before what was made of it is written: a denied token must not leave */
    size_t out = lease_write(&x->lease);
    enum fault down = exchange_down(x);

    metric_add(METRIC_BYTES_UPSTREAM_OUT, out);
    x->progress += in + out;
    if (down == FAULT_NONE) { /* answered; a request that is not whole yet has nowhere to go any more */
        x->close = x->close || x->up_at != WRITE_DONE;
        route_give(&x->lease, x->up_at == WRITE_DONE && !x->upstream_close && lease_clean(&x->lease));
        x->state = EXCHANGE_DONE;
        return FAULT_NONE;
    }
    if (!waits(down))
        return exchange_retry(x, down) ? FAULT_NONE : down;
    lease_wait(&x->lease);
    return FAULT_AGAIN;
}

static enum fault exchange_DONE(struct exchange *x)
{
    (void)x;
    return FAULT_NONE;
}

static enum fault (*const exchange_steps[EXCHANGE_STATES])(struct exchange *x) = {
#define STATE(name, meaning) [EXCHANGE_##name] = exchange_##name,
#include "exchange_states.def"
#undef STATE
};

enum fault exchange_step(struct exchange *x)
{
    enum fault why = FAULT_NONE;

    while (why == FAULT_NONE && x->state != EXCHANGE_DONE)
        why = exchange_steps[x->state](x);
    return why == FAULT_FULL ? FAULT_AGAIN : why;
}

enum fault exchange_late(const struct exchange *x)
{
    bool client_owes = x->state == EXCHANGE_HOLD ||
                       (x->state == EXCHANGE_RELAY && x->up_at != WRITE_DONE && !lease_unsent(&x->lease));

    return client_owes ? FAULT_REQUEST_TIMEOUT : FAULT_UPSTREAM_TIMEOUT;
}

/* --- the end -------------------------------------------------------------------------------------------- */

static void exchange_audit(const struct exchange *x, enum fault why, int status)
{
    char id[REQUEST_ID];
    int64_t took_us = clock_mono_us() - x->began_us;
    struct audit_entry e = {
        .request_id = request_id_text(x->id, id),
        .sandbox = slice_text(x->client.sandbox->id),
        .client = x->client.from,
        .original = x->client.original,
        .host = host_name(x->host.len      ? &x->host
                          : x->client.host ? x->client.host
                                           : &x->host),
        .method = slice_of(x->method, x->method_len),
        .path = slice_of(x->path, x->path_len),
        .proto = x->client.stream->proto,
        .upstream_proto = x->upstream_proto,
        .status = status,
        .reason = why,
        .secret_count = x->grants.used_count,
        .denied_count = x->grants.denied_count,
        .bytes_in = x->up.octets,
        .bytes_out = x->down.octets,
        .ms = took_us / 1000,
        .upstream_ms = x->upstream_us < 0 ? -1 : x->upstream_us / 1000,
    };

    for (size_t i = 0; i < e.secret_count; i++)
        e.secrets[i] = slice_text(x->grants.used[i]);
    for (size_t i = 0; i < e.denied_count; i++)
        e.denied[i] = slice_text(x->grants.denied[i]);
    audit_write(x->worker->audit, &e);
    metric_time(METRIC_REQUEST_SECONDS, (uint64_t)took_us);
    metric_add(why == FAULT_NONE ? METRIC_REQUESTS_FORWARD
               : fault_table[why].blame == BLAME_POLICY || fault_table[why].blame == BLAME_CLIENT
                   ? METRIC_REQUESTS_BLOCK
                   : METRIC_REQUESTS_ERROR,
               1);
    if (why != FAULT_NONE)
        metric_fault(why);
}

void exchange_end(struct exchange *x, enum fault why, int status)
{
    exchange_audit(x, why, status);
    who_cancel(&x->wait);
    route_give(&x->lease, false);
    relay_wipe(&x->up);
    relay_wipe(&x->down);
    buf_close(&x->filled);
    buf_close(&x->held);
    buf_close(&x->saved);
    record_drop(x->record);
    sandbox_drop(x->client.sandbox);
    if (spare_count >= SPARE_MAX) {
        free(x);
        return;
    }
    TAILQ_INSERT_HEAD(&spare, x, list);
    spare_count++;
}

void exchange_trim(bool all)
{
    for (size_t n = all ? spare_count : spare_least; n > 0; n--) {
        struct exchange *x = TAILQ_FIRST(&spare);

        TAILQ_REMOVE(&spare, x, list);
        spare_count--;
        free(x);
    }
    spare_least = spare_count;
}

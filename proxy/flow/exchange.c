#include "exchange.h"
#include "clock.h"
#include "frames.h"
#include "judge.h"
#include "metric.h"
#include "owner.h"
#include "request.h"
#include "response.h"
#include <stdlib.h>

#define GOODBYES_MAX 4               /* connections that close just before one request */
#define NOT_ASKED    FAULT_NOT_FOUND /* of x->opened: what the state waits for has not been begun */
#define SPARE_MAX    256

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

static void down_eased(struct ease *e)
{
    struct exchange *x = OWNER(e, struct exchange, ease);

    x->eased = true;
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
    x->ease.due = down_eased;
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
    x->source = x->client.stream;
    x->opened = NOT_ASKED;
    if (x->plan == PLAN_COUNT || x->plan == PLAN_OPEN) {
        x->state = EXCHANGE_HOLD;
        return FAULT_NONE;
    }
    x->state = EXCHANGE_CONNECT;
    return grants_fill(&x->grants, &x->request, x->fills, &x->filled);
}

/* --- HOLD: the length after substitution stands in the head, so the body comes first -------------------- */

static enum fault exchange_HOLD(struct exchange *x)
{
    TRY(request_hold(x)); /* for hours, perhaps: the head's values come last */
    TRY(grants_fill(&x->grants, &x->request, x->fills, &x->filled));
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
        .h1 = x->request.websocket,
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
    TRY(request_begin(x));
    x->down = (struct relay){.from = x->lease.stream, .to = x->client.stream};
    x->state = EXCHANGE_RELAY;
    return FAULT_NONE;
}

/* --- RELAY: both ways at once ---------------------------------------------------------------------------- */

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
    if (!request_rewind(x))
        return false;
    route_give(&x->lease, false);
    x->retries++;
    x->opened = NOT_ASKED;
    x->state = EXCHANGE_CONNECT;
    return true;
}

/* A WebSocket is over when both have said goodbye, or ended their halves; anything else when it is answered: a request that
 * is not whole yet has nowhere to go any more. */
static bool exchange_over(const struct exchange *x, enum fault down)
{
    if (x->frames)
        return frames_over(x) || (down == FAULT_NONE && x->up_at == WRITE_DONE);
    return down == FAULT_NONE;
}

/* A WebSocket may go on for days: it ends when its host may not have any more what it began with. */
static enum fault tunnel_judge(const struct exchange *x)
{
    return !x->frames || verdict_same(x->record, x->client.sandbox->record, &x->host) ? FAULT_NONE
                                                                                      : FAULT_REVOKED;
}

static enum fault exchange_RELAY(struct exchange *x)
{
    TRY(tunnel_judge(x));
    size_t in = lease_read(&x->lease);
    enum fault up = x->up_at == WRITE_DONE ? FAULT_NONE : request_send(x);

    metric_add(METRIC_BYTES_UPSTREAM_IN, in);
    if (up != FAULT_NONE && !waits(up))
        return exchange_retry(x, up)
                   ? FAULT_NONE
                   : up; /* before what was made of it is written: a denied token must not leave */
    size_t out = lease_write(&x->lease);
    enum fault down = response_pass(x);

    metric_add(METRIC_BYTES_UPSTREAM_OUT, out);
    x->progress += in + out;
    if (exchange_over(x, down)) {
        x->close = x->close || x->up_at != WRITE_DONE;
        route_give(&x->lease, x->up_at == WRITE_DONE && !x->upstream_close && lease_clean(&x->lease));
        x->state = EXCHANGE_DONE;
        return FAULT_NONE;
    }
    if (down != FAULT_NONE && !waits(down))
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

void exchange_scrubbed(struct exchange *x, uint64_t hits)
{
    hits += x->scrub.hits - x->scrub_seen;
    if (hits == 0)
        return;
    x->scrub_seen = x->scrub.hits;
    x->scrubbed += hits;
    metric_add(METRIC_SCRUBS, hits);
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
        .scrubbed = x->scrubbed,
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
    metric_add(why == FAULT_NONE   ? METRIC_REQUESTS_FORWARD
               : fault_blocks(why) ? METRIC_REQUESTS_BLOCK
                                   : METRIC_REQUESTS_ERROR,
               1);
    sandbox_count(x->client.sandbox, why, e.bytes_in, e.bytes_out);
    if (why != FAULT_NONE)
        metric_fault(why);
}

void exchange_end(struct exchange *x, enum fault why, int status)
{
    exchange_audit(x, why, status);
    who_cancel(&x->wait);
    route_give(&x->lease, false);
    request_close(x);
    response_close(x);
    frames_close(x);
    record_drop(x->record);
    record_drop(x->grants.counted);
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

#include "request.h"
#include "clock.h"
#include "decimal.h"
#include "metric.h"

#define AUTHORITY_TEXT (HOST_MAX + sizeof "[]:65535")
#define RATIO_MOST     200 /* a coded body may say so many times what it has octets; text seldom goes beyond 20 */

/* No stream gives this one, so it is known from a fault of what the body came in. */
#define NOT_OF_ITS_CODING FAULT_INVALID

/* --- the body is counted first -------------------------------------------------------------------------- */

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

/* Beside its head, where the client's stream can read it again, or in a spool; then the head is saved from the stream. */
static enum fault source_open(struct exchange *x)
{
    const struct config *config = x->worker->config;
    struct stream *client = x->client.stream;

    if (x->request.body == BODY_LENGTH && x->request.length <= client->ops->keeps(client))
        return FAULT_NONE;
    TRY(head_save(&x->request, &x->saved));
    spool_open(&x->spool, client, config->body_memory_octets, config->body_spool_octets,
               &x->client.sandbox->purse);
    x->source = &x->spool.stream;
    return FAULT_NONE;
}

/* A coded body is opened in front of the filter. */
static enum fault body_open(struct exchange *x)
{
    const struct unpack_caps caps = {x->worker->config->body_spool_octets, RATIO_MOST};

    if (x->plan != PLAN_OPEN)
        return FAULT_NONE;
    TRY(unpack_open(&x->unpacked, x->source, x->coding, caps, NOT_OF_ITS_CODING, &x->client.sandbox->purse));
    x->up.from = &x->unpacked.stream;
    return FAULT_NONE;
}

/* The filter that puts values into the body, from its first octet on. */
static void filter_begin(struct exchange *x, bool silent)
{
    struct slice boundary = SLICE_NONE;

    if (x->media == MEDIA_MULTIPART)
        boundary = media_boundary(head_value(&x->request, FIELD_CONTENT_TYPE));
    grants_again(&x->grants, silent);
    standing_begin(&x->standing, x->media, boundary);
    subst_begin(&x->subst, grants_token, &x->grants, &x->standing);
    x->up.filter = &x->subst.filter;
}

static enum fault count_begin(struct exchange *x)
{
    x->grants.used_count = x->used_by_head;
    x->up = (struct relay){.from = x->source, .to = &x->tally.stream};
    TRY(body_open(x));
    filter_begin(x, false);
    tally_open(&x->tally);
    return FAULT_NONE;
}

static enum fault hold_begin(struct exchange *x)
{
    x->coding = head_coding(&x->request);
    TRY(source_open(x));
    x->used_by_head = x->grants.used_count;
    TRY(count_begin(x));
    x->held = true;
    return FAULT_NONE;
}

/* Whatever was done to count it is undone, and its first octet is the next. */
static enum fault hold_end(struct exchange *x)
{
    relay_close(&x->up);
    unpack_close(&x->unpacked);
    if (x->source == &x->spool.stream)
        return spool_again(&x->spool);
    return x->source->ops->rewind(x->source) ? FAULT_NONE : FAULT_SYSTEM;
}

/* A coded body that is not what its coding says, or that says too much, is none that a value is put into. */
static bool hold_gives_up(const struct exchange *x, enum fault why)
{
    return x->plan == PLAN_OPEN && (why == NOT_OF_ITS_CODING || why == FAULT_BODY_TOO_LARGE);
}

/* The body is whole, and what its tokens stand for was counted. */
static void hold_settle(struct exchange *x)
{
    if (x->grants.put == 0) {
        x->plan = PLAN_VERBATIM;
        return;
    }
    if (x->plan == PLAN_OPEN)
        head_remove(&x->request, TRAIT_CODING);
    head_remove(&x->request, TRAIT_DIGEST);
    if (x->request.body == BODY_LENGTH)
        x->request.length = x->tally.octets;
}

/* Nothing is put into it after all. */
static void hold_drop(struct exchange *x)
{
    x->plan = PLAN_VERBATIM;
    x->grants.used_count = x->used_by_head;
}

/* A body may take hours to come, and what was counted be taken back meanwhile. */
static bool count_outdated(const struct exchange *x)
{
    return (x->fills > 0 || x->grants.put > 0) && x->grants.counted != x->client.sandbox->record;
}

static enum fault count_again(struct exchange *x)
{
    record_drop(x->grants.counted);
    x->grants.counted = record_hold(x->client.sandbox->record);
    x->grants.used_count = 0;
    x->grants.silent = false;
    TRY(grants_measure(&x->grants, &x->request, x->worker->config->head_octets, &x->fills));
    x->used_by_head = x->grants.used_count;
    TRY(hold_end(x));
    TRY(count_begin(x));
    x->progress++;
    return FAULT_FULL; /* again, when the others had their turn */
}

enum fault request_hold(struct exchange *x)
{
    TRY(interim_continue(x));
    if (!x->held)
        TRY(hold_begin(x));

    tally_turn(&x->tally);
    /* A coded body may come for long before it says anything. */
    uint64_t before = x->tally.octets + x->unpacked.came;
    enum fault why = relay_body(&x->up);

    x->progress += x->tally.octets + x->unpacked.came - before;
    TRY(x->grants.why);
    if (why != FAULT_END && !hold_gives_up(x, why))
        return why;
    if (count_outdated(x))
        return count_again(x);
    if (why == FAULT_END)
        hold_settle(x);
    else
        hold_drop(x);
    return hold_end(x);
}

/* --- to the host ---------------------------------------------------------------------------------------- */

enum fault request_begin(struct exchange *x)
{
    x->up = (struct relay){.from = x->source, .to = x->lease.stream};
    x->up_at = WRITE_HEAD;
    if (x->plan != PLAN_STREAM && x->plan != PLAN_COUNT && x->plan != PLAN_OPEN)
        return FAULT_NONE;
    TRY(body_open(x));
    /* What was counted is not counted again; what streams goes on with octets that nobody has seen. */
    filter_begin(x, x->plan != PLAN_STREAM);
    return FAULT_NONE;
}

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

static enum fault send_head(struct exchange *x)
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

static enum fault send_end(struct exchange *x)
{
    struct head trailers HEAD_UNSET;
    struct buf filled = {0};
    uint64_t values = 0;

    head_begin(&trailers);
    TRY(x->source->ops->trailers(x->source, &trailers));
    if (x->up.filter && x->grants.put > 0)
        head_remove(&trailers, TRAIT_DIGEST);
    x->grants.silent = false;

    if (x->client.host)
        TRY(grants_measure(&x->grants, &trailers, x->worker->config->head_octets, &values));
    enum fault why = grants_fill(&x->grants, &trailers, values, &filled);

    if (why == FAULT_NONE)
        why = x->up.to->ops->write_end(x->up.to, &trailers);
    buf_close(&filled);
    TRY(why);
    x->up_at = WRITE_DONE;
    return FAULT_NONE;
}

enum fault request_send(struct exchange *x)
{
    uint64_t before = x->up.octets;

    if (x->up_at == WRITE_HEAD)
        TRY(send_head(x));
    if (x->up_at == WRITE_BODY) {
        enum fault why = relay_body(&x->up);

        x->progress += x->up.octets - before;
        TRY(x->grants.why);
        if (why != FAULT_END)
            return why;
        x->up_at = WRITE_END;
    }
    return x->up_at == WRITE_END ? send_end(x) : FAULT_NONE;
}

bool request_rewind(struct exchange *x)
{
    unpack_close(&x->unpacked);
    relay_close(&x->up);
    return x->source->ops->rewind(x->source);
}

void request_close(struct exchange *x)
{
    relay_close(&x->up);
    unpack_close(&x->unpacked);
    spool_close(&x->spool);
    buf_close(&x->filled);
    buf_close(&x->saved);
}

#include "judge.h"
#include "plan.h"
#include "quota.h"
#include "roll.h"

/* On plain HTTP the request itself says which host it is for. */
static enum fault judge_plain_host(struct exchange *x)
{
    struct slice authority = x->request.authority, name = authority;
    size_t colon = slice_find(authority, ':');

    if (authority.len && authority.at[0] == '[')
        name = slice_first(authority, slice_find(authority, ']') + 1);
    else
        name = slice_first(authority, colon);
    if (host_canonical(name, &x->host) == FAULT_NONE || host_literal(name, &x->host) == FAULT_NONE)
        return FAULT_NONE;
    return authority.len ? FAULT_HOST_NOT_ALLOWED : FAULT_BAD_REQUEST;
}

static enum fault judge_host(struct exchange *x)
{
    if (x->client.host)
        host_copy(&x->host, x->client.host);
    else
        TRY(judge_plain_host(x));
    TRY(verdict_host(x->record, &x->host));
    if (x->request.authority.len == 0)
        return FAULT_HOST_MISMATCH;
    TRY(verdict_authority(x->request.authority, &x->host, x->client.port));
    if (x->request.scheme.len &&
        !slice_equal_nocase(x->request.scheme, x->client.host ? SLICE("https") : SLICE("http")))
        return FAULT_HOST_MISMATCH;
    return FAULT_NONE;
}

static enum fault judge_rate(struct exchange *x)
{
    uint64_t per_s = x->worker->config->sandbox_requests_per_s;

    if (per_s == 0)
        return FAULT_NONE;
    x->retry_after_ms = quota_take(x->client.sandbox->quota, QUOTA_REQUEST, (struct quota_rate){per_s, per_s},
                                   worker_now_ms(x->worker));
    return x->retry_after_ms ? FAULT_TOO_MANY_REQUESTS : FAULT_NONE;
}

/* Where locked memory is short, sandboxes that nobody speaks for give theirs up, and it is tried once more. */
static enum fault judge_scrubs(struct exchange *x, const struct secret_set *given)
{
    struct sandbox *s = x->client.sandbox;
    int64_t now_ms = worker_now_ms(x->worker);
    bool had = scrubcache_has(&s->scrubs, x->record, given);
    enum fault why = scrubcache_take(&s->scrubs, x->record, given, &s->purse, now_ms, &x->scrubs);

    if (why != FAULT_OVERLOADED || had || secret_arena_used() < secret_arena_most() / 2 ||
        !s->roll->make_room(s->roll, s))
        return why;
    scrubcache_clear(&s->scrubs);
    return scrubcache_take(&s->scrubs, x->record, given, &s->purse, now_ms, &x->scrubs);
}

/* A host that may have values is asked for the whole answer as it is, so that they are found in it. */
static enum fault judge_answer(struct exchange *x, const struct secret_set *given)
{
    static const struct quota_rate builds = {128, 4}; /* one may cost as much as 70 ms */
    struct sandbox *s = x->client.sandbox;

    if (!x->worker->config->scrub)
        return FAULT_NONE;
    if (!scrubcache_has(&s->scrubs, x->record, given))
        x->retry_after_ms = quota_take(s->quota, QUOTA_SCRUBS, builds, worker_now_ms(x->worker));
    if (x->retry_after_ms)
        return FAULT_TOO_MANY_REQUESTS;
    TRY(judge_scrubs(x, given));
    if (!x->scrubs)
        return FAULT_NONE;
    head_remove(&x->request, TRAIT_PART);
    for (size_t i = 0; i < x->request.fields; i++)
        if (field_table[x->request.field[i].id].traits & TRAIT_ACCEPTS)
            x->request.field[i].value = SLICE("identity");
    return FAULT_NONE;
}

static enum fault judge_tokens(struct exchange *x)
{
    const struct config *config = x->worker->config;
    bool secure = x->client.host != NULL;
    struct secret_set given;
    unsigned places = verdict_places(x->record, &x->host, &given);
    bool block = secure && config->denied_token_block;

    if (!secure) /* no secret goes out in the clear; what comes in may have been heard elsewhere */
        places = 0;
    x->grants = (struct grants){.record = x->record,
                                .now = &x->client.sandbox->record,
                                .counted = record_hold(x->record),
                                .host = &x->host,
                                .block = block,
                                .grows = config->body_spool_octets};
    if (secure)
        TRY(grants_measure(&x->grants, &x->request, config->head_octets, &x->fills));
    TRY(judge_answer(x, &given));
    x->looks = block || places & (1u << PLACE_BODY | 1u << PLACE_FIELD);
    x->media = head_count(&x->request, FIELD_CONTENT_TYPE) > 1 /* readers may differ */
                   ? MEDIA_BINARY
                   : media_of(head_value(&x->request, FIELD_CONTENT_TYPE));
    x->plan = plan_body(&x->request, x->media, x->looks, config->body_spool_octets);
    return FAULT_NONE;
}

enum fault judge_request(struct exchange *x)
{
    TRY(judge_host(x));
    TRY(judge_rate(x));
    if (!x->client.host && x->worker->config->http == HTTP_DENY)
        return FAULT_PLAIN_HTTP_DENIED;
    return judge_tokens(x);
}

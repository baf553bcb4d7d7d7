#include "redishosts.h"
#include "clock.h"
#include <netdb.h>
#include <stdlib.h>
#include <sys/queue.h>

#define NAMES_MAX 64   /* that the servers themselves said */
#define LEARN_MS  5000 /* for the names of the configuration at the start */

struct redisname {
    struct redishosts *of;
    struct host host;
    struct ip ip[REDISHOSTS_ADDRESSES];
    size_t count;
    bool kept; /* the configuration's own */
    struct resolve_wait *asking;
    TAILQ_ENTRY(redisname) list;
};

struct redishosts {
    struct ev_loop *loop;
    struct resolver *resolver; /* NULL: no name was asked for yet */
    TAILQ_HEAD(, redisname) names;
    size_t passing; /* those that are not kept */
    int64_t learnt_ms;
};

static void name_drop(struct redisname *n)
{
    if (n->asking)
        resolve_cancel(n->asking);
    TAILQ_REMOVE(&n->of->names, n, list);
    n->of->passing -= !n->kept;
    free(n);
}

static void name_make_room(struct redishosts *h)
{
    struct redisname *n;

    if (h->passing < NAMES_MAX)
        return;
    TAILQ_FOREACH (n, &h->names, list)
        if (!n->kept) {
            name_drop(n);
            return;
        }
}

/* The entry of ${host}, made where there is none; NULL: no memory. */
static struct redisname *name_of(struct redishosts *h, const struct host *host, bool kept)
{
    struct redisname *n;

    TAILQ_FOREACH (n, &h->names, list)
        if (slice_equal(host_name(&n->host), host_name(host)))
            return n;
    if (!kept)
        name_make_room(h);
    if (!(n = calloc(1, sizeof *n)))
        return NULL;
    n->of = h;
    n->kept = kept;
    host_copy(&n->host, host);
    TAILQ_INSERT_TAIL(&h->names, n, list);
    h->passing += !kept;
    return n;
}

static void answer_take(struct redisname *n, const struct resolve_answer *answer)
{
    n->count = answer->count < REDISHOSTS_ADDRESSES ? answer->count : REDISHOSTS_ADDRESSES;
    memcpy(n->ip, answer->ip, n->count * sizeof *n->ip);
}

static void answer_came(void *cookie, enum fault why, const struct resolve_answer *answer)
{
    struct redisname *n = cookie;

    n->asking = NULL;
    if (why == FAULT_NONE)
        answer_take(n, answer);
}

static void name_ask(struct redisname *n)
{
    struct redishosts *h = n->of;
    struct resolve_answer answer;

    if (n->asking)
        return;
    /* The system's servers, for these are the operator's names; those of the configuration are for the sandboxes'. */
    if (!h->resolver && resolver_new(h->loop, NULL, 0, &h->resolver) != FAULT_NONE)
        return;
    if (resolve_name(h->resolver, &n->host, &answer, answer_came, n, &n->asking) == FAULT_NONE)
        answer_take(n, &answer);
}

/* --- for others ----------------------------------------------------------------------------------------- */

enum fault redishosts_new(struct ev_loop *loop, struct redishosts **out)
{
    struct redishosts *h = calloc(1, sizeof *h);

    if (!h)
        return FAULT_NO_MEMORY;
    h->loop = loop;
    TAILQ_INIT(&h->names);
    *out = h;
    return FAULT_NONE;
}

void redishosts_free(struct redishosts *h)
{
    struct redisname *n;

    if (!h)
        return;
    while ((n = TAILQ_FIRST(&h->names)))
        name_drop(n);
    resolver_free(h->resolver);
    free(h);
}

static void name_learn(struct redisname *n)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    struct endpoint e;

    if (getaddrinfo(n->host.name, NULL, &hints, &found) != 0)
        return;
    for (struct addrinfo *a = found; a && n->count < REDISHOSTS_ADDRESSES; a = a->ai_next)
        if (endpoint_of(a->ai_addr, &e) == FAULT_NONE)
            n->ip[n->count++] = e.ip;
    freeaddrinfo(found);
}

void redishosts_learn(struct redishosts *h, const struct redis_url *url)
{
    struct redisname *n;
    struct host host;

    for (size_t i = 0; i < url->place_count; i++) {
        if (host_canonical(slice_text(url->places[i].host), &host) != FAULT_NONE)
            continue;
        int64_t begun_ms = clock_mono_ms();

        if (!(n = name_of(h, &host, true)) || n->count || h->learnt_ms >= LEARN_MS)
            continue;
        name_learn(n);
        h->learnt_ms += clock_mono_ms() - begun_ms;
    }
}

size_t redishosts_find(struct redishosts *h, const char *name, struct ip *out)
{
    struct redisname *n;
    struct host host;

    if (ip_parse(slice_text(name), out) == FAULT_NONE)
        return 1;
    if (host_canonical(slice_text(name), &host) != FAULT_NONE || !(n = name_of(h, &host, false)))
        return 0;
    if (n->count == 0)
        name_ask(n);
    memcpy(out, n->ip, n->count * sizeof *out);
    return n->count;
}

void redishosts_doubt(struct redishosts *h, const char *name)
{
    struct redisname *n;
    struct host host;

    if (host_canonical(slice_text(name), &host) == FAULT_NONE && (n = name_of(h, &host, false)))
        name_ask(n);
}

#include "route.h"
#include "decimal.h"
#include "h2up.h"
#include "owner.h"
#include <stdlib.h>

#define KEY_OCTETS (HOST_MAX + 16)

/* A host that takes no further connection is asked again after this; meanwhile those that there are must do. */
#define REDIAL_MS 1000

enum speaks { SPEAKS_UNKNOWN, SPEAKS_H1, SPEAKS_H2 };

TAILQ_HEAD(upstreams, upstream);

struct route {
    char key[KEY_OCTETS];    /* how, port, name */
    struct sandbox *sandbox; /* NULL: it has ended; freed with the last lease */
    struct member member;
    enum speaks speaks; /* what its host chose last */
    bool h1_only;       /* h2 is not offered, or not any more */
    struct upstreams idle, opening;
    struct upstreams shared; /* over h2; also those that are idle, or say goodbye */
    unsigned idle_count, opening_count;
    struct leases line; /* those that wait for a connection, the oldest first */
    unsigned line_count;
    unsigned leases;          /* on connections and in line */
    uint64_t number;          /* of who came last into the line */
    struct deadline patience; /* while those in line wait for a stream, and for no connection */
    struct soon again;        /* someone left while others wait */
    int64_t redial_ms;        /* over h2: no further connection before this */
    SSL_SESSION *session;
    UT_hash_handle hh;
};

static void upstream_unpool(struct upstream *u)
{
    struct route *r = u->owner;

    TAILQ_REMOVE(&r->idle, u, list);
    r->idle_count--;
    r->sandbox->idle_upstreams--;
}

static void shared_remove(struct upstream *u)
{
    struct route *r = u->owner;

    TAILQ_REMOVE(&r->shared, u, list);
    if (u->state == UPSTREAM_IDLE)
        r->sandbox->idle_upstreams--;
}

static void opening_remove(struct upstream *u)
{
    TAILQ_REMOVE(&u->owner->opening, u, list);
    u->owner->opening_count--;
}

/* Nobody may be left who comes back to it. */
static void route_free(struct route *r)
{
    if (r->sandbox || r->leases)
        return;
    SSL_SESSION_free(r->session);
    free(r);
}

static void route_close(struct route *r)
{
    struct upstream *u;

    while ((u = TAILQ_FIRST(&r->idle))) {
        upstream_unpool(u);
        upstream_drop(u);
    }
    while ((u = TAILQ_FIRST(&r->opening))) {
        opening_remove(u);
        upstream_drop(u);
    }
    while ((u = TAILQ_FIRST(&r->shared))) {
        shared_remove(u);
        if (TAILQ_EMPTY(&u->leases))
            upstream_drop(u);
    }
    deadline_close(&r->patience);
    turn_forget(&r->sandbox->worker->turn, &r->again);
    HASH_DEL(r->sandbox->routes, r);
    sandbox_leave(r->sandbox, &r->member);
    r->sandbox = NULL;
    route_free(r);
}

static void route_end(struct member *m, enum fault why)
{
    (void)why;
    route_close(OWNER(m, struct route, member));
}

/* An idle connection has something to say, or has idled long enough: either way it is not used again. */
static void route_idle(struct upstream *u)
{
    if (u->many) {
        shared_remove(u);
        upstream_drop(u);
        return;
    }
    /* A session ticket after the handshake is no answer: read it and go on waiting. */
    if (u->link.secure && u->deadline.at_ms != 0 && link_read(&u->link) == 0 && !u->link.eof &&
        !u->link.broken) {
        link_arm(&u->link, true);
        return;
    }
    upstream_unpool(u);
    upstream_drop(u);
}

int route_session_keep(SSL *ssl, SSL_SESSION *session)
{
    struct upstream *u = tlsio_owner(ssl);
    struct route *r = u ? u->owner : NULL;

    if (!r || !r->sandbox)
        return 0;
    SSL_SESSION_free(r->session);
    r->session = session;
    return 1;
}

/* Make room by closing a route that nobody uses. */
static bool route_evict(struct sandbox *s)
{
    struct route *r, *next;

    HASH_ITER (hh, s->routes, r, next) {
        if (!r->leases) {
            route_close(r);
            return true;
        }
    }
    return false;
}

/* "s443/api.test", or "h443/..." apart from it over http/1.1 alone; by hand, since it is per request. Gives its length. */
static size_t key_write(const struct upstream_target *t, char key[static KEY_OCTETS])
{
    size_t n = 0;

    key[n++] = !t->secure ? 'p' : t->h1 ? 'h' : 's';
    n += decimal_put(t->port, key + n);
    key[n++] = '/';
    memcpy(key + n, t->host->name, t->host->len + 1u);
    return n + t->host->len;
}

static void line_late(struct deadline *d);
static void route_turn(struct soon *s);

static enum fault route_find(struct sandbox *s, const struct upstream_target *t, struct route **out)
{
    char key[KEY_OCTETS];
    size_t n = key_write(t, key);
    struct route *r;

    HASH_FIND(hh, s->routes, key, (unsigned)n, r);
    if (!r) {
        if (HASH_COUNT(s->routes) >= ROUTES_MAX && !route_evict(s))
            return FAULT_OVERLOADED;
        r = calloc(1, sizeof *r);
        if (!r)
            return FAULT_NO_MEMORY;
        memcpy(r->key, key, n + 1);
        r->sandbox = s;
        r->member.end = route_end;
        r->h1_only = t->h1 || !t->secure;
        r->speaks = r->h1_only ? SPEAKS_H1 : SPEAKS_UNKNOWN;
        deadline_open(&r->patience, s->worker->loop, line_late);
        r->again.run = route_turn;
        TAILQ_INIT(&r->idle);
        TAILQ_INIT(&r->shared);
        TAILQ_INIT(&r->opening);
        TAILQ_INIT(&r->line);
        HASH_ADD(hh, s->routes, key[0], (unsigned)n, r);
        sandbox_join(s, &r->member);
    }
    *out = r;
    return FAULT_NONE;
}

/* --- on a connection ------------------------------------------------------------------------------------- */

/* The connection used last: the others may grow old and be closed. */
static struct upstream *idle_take(struct route *r)
{
    struct upstream *u;

    while ((u = TAILQ_FIRST(&r->idle))) {
        upstream_unpool(u);
        if (upstream_still_open(u)) {
            upstream_lend(u);
            return u;
        }
        upstream_drop(u);
    }
    return NULL;
}

/* A connection that nobody is on: kept for the next, or closed. */
static void idle_keep(struct route *r, struct upstream *u, bool clean)
{
    if (!r->sandbox || !clean || r->idle_count >= ROUTE_IDLE_MAX ||
        r->sandbox->idle_upstreams >= SANDBOX_IDLE_MAX || u->worker->draining) {
        upstream_drop(u);
        u->owner = NULL;
        return;
    }
    upstream_rest(u);
    deadline_in(&u->deadline, ROUTE_IDLE_MS);
    TAILQ_INSERT_HEAD(&r->idle, u, list);
    r->idle_count++;
    r->sandbox->idle_upstreams++;
}

/* The same of one that many may be on. */
static void shared_keep(struct route *r, struct upstream *u)
{
    if (!TAILQ_EMPTY(&u->leases))
        return;
    if (!r->sandbox || !h2up_usable(u->many) || r->sandbox->idle_upstreams >= SANDBOX_IDLE_MAX ||
        u->worker->draining) {
        if (r->sandbox)
            shared_remove(u);
        upstream_drop(u);
        u->owner = NULL;
        return;
    }
    upstream_rest(u);
    deadline_in(&u->deadline, ROUTE_IDLE_MS);
    r->sandbox->idle_upstreams++;
}

/* One that has idled may have been told to end: look before a request is sent. */
static void shared_look(struct route *r)
{
    struct upstream *u, *next;

    for (u = TAILQ_FIRST(&r->shared); u; u = next) {
        next = TAILQ_NEXT(u, list);
        if (u->state == UPSTREAM_IDLE && !upstream_still_open(u))
            h2up_event(u->many);
    }
}

/* The fullest that has a stream left: the others may grow old and be closed. */
static struct upstream *shared_find(struct route *r)
{
    struct upstream *u, *found = NULL;

    TAILQ_FOREACH (u, &r->shared, list)
        if (h2up_slots(u->many) > 0 && (!found || h2up_slots(u->many) < h2up_slots(found->many)))
            found = u;
    return found;
}

static enum fault shared_join(struct route *r, struct upstream *u, struct lease *l)
{
    if (u->state == UPSTREAM_IDLE) {
        upstream_lend(u);
        r->sandbox->idle_upstreams--;
    }
    enum fault why = lease_join(l, u);

    if (why != FAULT_NONE)
        shared_keep(r, u);
    return why;
}

/* --- in line --------------------------------------------------------------------------------------------- */

static void line_join(struct route *r, const struct upstream_target *target, struct lease *l)
{
    l->route = r;
    l->target = *target;
    l->number = ++r->number;
    l->since_ms = worker_now_ms(r->sandbox->worker);
    TAILQ_INSERT_TAIL(&r->line, l, list);
    r->line_count++;
    r->leases++;
}

static void line_leave(struct route *r, struct lease *l)
{
    TAILQ_REMOVE(&r->line, l, list);
    r->line_count--;
}

/* The first in line has waited in vain. */
static void line_tell(struct route *r, enum fault why, const char *detail)
{
    struct lease *l = TAILQ_FIRST(&r->line);

    line_leave(r, l);
    l->route = NULL;
    r->leases--;
    l->user.opened(l->user.cookie, why, detail);
}

/* The first in line gets a place on ${u}. */
static void line_serve(struct route *r, struct upstream *u)
{
    struct lease *l = TAILQ_FIRST(&r->line);

    line_leave(r, l);

    enum fault why = u->many ? shared_join(r, u, l) : lease_join(l, u);

    if (why != FAULT_NONE) {
        l->route = NULL;
        r->leases--;
    }
    l->user.opened(l->user.cookie, why, NULL);
}

/* As many as there are streams for. */
static void line_share(struct route *r)
{
    struct upstream *u;

    while (r->line_count && (u = shared_find(r)))
        line_serve(r, u);
}

static bool shared_usable(const struct route *r)
{
    const struct upstream *u;

    TAILQ_FOREACH (u, &r->shared, list)
        if (h2up_usable(u->many))
            return true;
    return false;
}

/* A connection could not be had. Where others are, a stream of theirs will be free some time. Over h1 each in line has
 * one of his own; else they all would have met the same (but not who comes while they are told). */
static void line_fail(struct route *r, enum fault why, const char *detail)
{
    uint64_t last = r->number;
    bool all = r->speaks != SPEAKS_H1;

    if (all && shared_usable(r)) {
        r->redial_ms = worker_now_ms(r->sandbox->worker) + REDIAL_MS;
        return;
    }
    while (TAILQ_FIRST(&r->line) && TAILQ_FIRST(&r->line)->number <= last) {
        line_tell(r, why, detail);
        if (!all)
            return;
    }
}

/* Who waits for a stream waits as long as for a connection. */
static void line_watch(struct route *r)
{
    const struct lease *l = TAILQ_FIRST(&r->line);
    int64_t most_ms = r->sandbox ? (int64_t)r->sandbox->worker->config->connect_timeout_ms : 0;

    if (!l || r->opening_count || r->patience.at_ms || !most_ms)
        return;
    int64_t left_ms = l->since_ms + most_ms - worker_now_ms(r->sandbox->worker);

    deadline_in(&r->patience, left_ms > 0 ? (uint64_t)left_ms : 1);
}

static void line_late(struct deadline *d)
{
    struct route *r = OWNER(d, struct route, patience);
    const struct worker *w = r->sandbox->worker;
    int64_t before_ms = worker_now_ms(w) - (int64_t)w->config->connect_timeout_ms;

    r->leases++;
    while (!r->opening_count && r->line_count && TAILQ_FIRST(&r->line)->since_ms <= before_ms)
        line_tell(r, FAULT_UPSTREAM_TIMEOUT, "it had no stream free in time");
    line_watch(r);
    r->leases--;
    route_free(r);
}

/* --- connections that open ------------------------------------------------------------------------------- */

/* One more that many may share: not while one has room, or is about to tell how much. */
static bool shared_missing(const struct route *r)
{
    const struct upstream *u;
    unsigned count = 0;

    TAILQ_FOREACH (u, &r->shared, list) {
        if (!h2up_usable(u->many))
            continue;
        if (!h2up_greeted(u->many) || h2up_slots(u->many) > 0)
            return false;
        count++;
    }
    return r->opening_count == 0 && count < ROUTE_SHARED_MAX &&
           worker_now_ms(r->sandbox->worker) >= r->redial_ms;
}

/* Over h1 each in line needs a connection of its own; else one may do for all. */
static bool dial_missing(const struct route *r)
{
    if (!r->sandbox || !r->line_count)
        return false;
    return r->speaks == SPEAKS_H1 ? r->opening_count < r->line_count : shared_missing(r);
}

static void route_opened(struct upstream *u, enum fault why, const char *detail);
static void route_room(struct upstream *u);
static const struct upstream_owner upstream_told = {route_opened, route_idle, route_room};

/* Who came last into the line says to where. */
static enum fault route_dial(struct route *r, const char **detail)
{
    const struct lease *l = TAILQ_LAST(&r->line, leases);
    struct upstream *u;

    TRY(upstream_open(r->sandbox->worker, &l->target, !r->h1_only, r->session, r, &upstream_told, &u,
                      detail));
    TAILQ_INSERT_TAIL(&r->opening, u, list);
    r->opening_count++;
    return FAULT_NONE;
}

static void line_dial(struct route *r)
{
    const char *detail = NULL;

    while (dial_missing(r)) {
        enum fault why = route_dial(r, &detail);

        if (why != FAULT_NONE)
            line_fail(r, why, detail);
    }
    line_watch(r);
}

/* Those in line get what there is, and what is missing is asked for. */
static void route_serve(struct route *r)
{
    r->leases++; /* it stays while we tell */
    line_share(r);
    line_dial(r);
    r->leases--;
    route_free(r);
}

static void route_room(struct upstream *u)
{
    if (u->owner->line_count)
        route_serve(u->owner);
}

static void route_turn(struct soon *s)
{
    route_serve(OWNER(s, struct route, again));
}

static void h1_opened(struct route *r, struct upstream *u)
{
    r->speaks = SPEAKS_H1;
    if (r->line_count)
        line_serve(r, u);
    else
        idle_keep(r, u, true);
}

static void h2_opened(struct route *r, struct upstream *u)
{
    if (r->h1_only) { /* since it was dialled */
        upstream_drop(u);
        u->owner = NULL;
        return;
    }
    r->speaks = SPEAKS_H2;
    TAILQ_INSERT_HEAD(&r->shared, u, list);
    if (r->line_count)
        line_serve(r, u);
    else
        shared_keep(r, u);
}

/* The first in line need not be who asked for this connection. */
static void route_opened(struct upstream *u, enum fault why, const char *detail)
{
    struct route *r = u->owner;

    opening_remove(u);
    r->leases++;
    if (why != FAULT_NONE)
        line_fail(r, why, detail);
    else if (u->many)
        h2_opened(r, u);
    else
        h1_opened(r, u);
    r->leases--;
    route_serve(r);
}

/* --- what the exchange asks ------------------------------------------------------------------------------ */

/* On a connection that is open, if there is one. */
static enum fault route_join(struct route *r, bool fresh, struct lease *l)
{
    struct upstream *u = fresh ? NULL : idle_take(r);
    enum fault why;

    l->route = r;
    r->leases++;
    if (u) {
        why = lease_join(l, u);
    } else {
        shared_look(r);
        u = r->line_count ? NULL : shared_find(r); /* those in line come first */
        why = u ? shared_join(r, u, l) : FAULT_AGAIN;
    }
    if (why != FAULT_NONE) {
        l->route = NULL;
        r->leases--;
    }
    return why;
}

enum fault route_take(struct sandbox *s, const struct upstream_target *target, bool fresh, struct lease *l,
                      const char **detail)
{
    struct route *r;

    TRY(route_find(s, target, &r));
    enum fault why = route_join(r, fresh, l);

    if (why != FAULT_AGAIN)
        return why;
    line_join(r, target, l);
    why = dial_missing(r) ? route_dial(r, detail) : FAULT_NONE;
    if (why == FAULT_NONE) {
        line_watch(r);
        return FAULT_AGAIN;
    }
    line_leave(r, l);
    l->route = NULL;
    r->leases--;
    return why;
}

/* One less in line: a connection that nobody waits for is not made, over h1. Else the next one will want it. */
static void line_give(struct route *r, struct lease *l)
{
    line_leave(r, l);
    if (r->speaks == SPEAKS_H1 && r->opening_count > r->line_count) {
        struct upstream *u = TAILQ_LAST(&r->opening, upstreams);

        opening_remove(u);
        upstream_drop(u);
    }
}

/* This request is one for http/1.1: then all of them are. */
static void route_downgrade(struct route *r)
{
    struct upstream *u;

    r->h1_only = true;
    r->speaks = SPEAKS_H1;
    TAILQ_FOREACH (u, &r->shared, list)
        h2up_avoid(u->many);
}

void route_give(struct lease *l, bool clean)
{
    struct route *r = l->route;
    struct upstream *u = l->upstream;

    if (!r)
        return;
    l->route = NULL;
    r->leases--;
    if (!u) {
        line_give(r, l);
    } else {
        if (lease_h1_wanted(l))
            route_downgrade(r);
        lease_leave(l);
        if (u->many)
            shared_keep(r, u);
        else
            idle_keep(r, u, clean);
    }
    /* The place that is free now is for those in line; and if it was their last hope, they need another connection. */
    if (r->sandbox && r->line_count)
        turn_soon(&r->sandbox->worker->turn, &r->again);
    route_free(r);
}

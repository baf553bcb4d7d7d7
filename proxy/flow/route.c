#include "route.h"
#include "decimal.h"
#include "owner.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#define KEY_OCTETS (HOST_MAX + 16)

/* After this long without use a peer may just be closing: look before a request that can't be repeated is sent. */
#define TRUSTED_IDLE_MS 1000

struct route {
    char key[KEY_OCTETS];    /* scheme, port, name */
    struct sandbox *sandbox; /* NULL: it has ended; freed with the last connection in use */
    struct member member;
    TAILQ_HEAD(, upstream) idle;
    unsigned idle_count, in_use;
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

static void route_close(struct route *r)
{
    struct upstream *u;

    while ((u = TAILQ_FIRST(&r->idle))) {
        upstream_unpool(u);
        upstream_drop(u);
    }
    if (r->sandbox) {
        HASH_DEL(r->sandbox->routes, r);
        sandbox_leave(r->sandbox, &r->member);
        r->sandbox = NULL;
    }
    if (r->in_use)
        return;
    SSL_SESSION_free(r->session);
    free(r);
}

static void route_end(struct member *m, enum fault why)
{
    (void)why;
    route_close(OWNER(m, struct route, member));
}

/* An idle connection has something to say, or has idled long enough: either way it is not used again. */
static void idle_event(struct upstream *u)
{
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
        if (!r->in_use) {
            route_close(r);
            return true;
        }
    }
    return false;
}

/* "s443/api.test"; by hand, since it is written per request. Gives its length. */
static size_t key_write(const struct upstream_target *t, char key[static KEY_OCTETS])
{
    size_t n = 0;

    key[n++] = t->secure ? 's' : 'p';
    n += decimal_put(t->port, key + n);
    key[n++] = '/';
    memcpy(key + n, t->host->name, t->host->len + 1u);
    return n + t->host->len;
}

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
        TAILQ_INIT(&r->idle);
        HASH_ADD(hh, s->routes, key[0], (unsigned)n, r);
        sandbox_join(s, &r->member);
    }
    *out = r;
    return FAULT_NONE;
}

/* Nothing has come on it, and no end: as far as can be known before the next request is sent. */
static bool still_open(const struct upstream *u)
{
    uint8_t octet;

    if (worker_now_ms(u->worker) - u->idle_since_ms < TRUSTED_IDLE_MS)
        return true;
    return recv(u->link.fd, &octet, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

enum fault route_take(struct sandbox *s, const struct upstream_target *target, bool fresh,
                      struct upstream_user user, struct upstream **out, const char **detail)
{
    struct route *r;
    struct upstream *u;

    TRY(route_find(s, target, &r));
    /* The connection used last: the others may grow old and be closed. */
    while (!fresh && (u = TAILQ_FIRST(&r->idle))) {
        upstream_unpool(u);
        if (!still_open(u)) {
            upstream_drop(u);
            continue;
        }
        upstream_lend(u, user);
        r->in_use++;
        *out = u;
        return FAULT_NONE;
    }
    TRY(upstream_open(s->worker, target, r->session, user, &u, detail));
    u->owner = r;
    u->on_idle_event = idle_event;
    r->in_use++;
    *out = u;
    return FAULT_AGAIN;
}

void route_give(struct upstream *u, bool clean)
{
    struct route *r = u->owner;

    r->in_use--;
    if (r->sandbox && clean && r->idle_count < ROUTE_IDLE_MAX &&
        r->sandbox->idle_upstreams < SANDBOX_IDLE_MAX && !u->worker->draining) {
        upstream_rest(u);
        deadline_in(&u->deadline, ROUTE_IDLE_MS);
        TAILQ_INSERT_HEAD(&r->idle, u, list);
        r->idle_count++;
        r->sandbox->idle_upstreams++;
        return;
    }
    upstream_drop(u);
    u->owner = NULL;
    if (!r->sandbox && !r->in_use)
        route_close(r);
}

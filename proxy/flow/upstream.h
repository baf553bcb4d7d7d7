#pragma once
#include "deadline.h"
#include "grave.h"
#include "h1stream.h"
#include "house.h"

/*
 * upstream - one connection to a host: resolve, check the address, dial, verify, and then a stream.
 *
 *   Layer   flow.
 *   Why     only a checked address of the canonical name is ever dialled, and nothing is sent before the certificate has
 *           proved that name.
 *   Bounds  RESOLVE_ADDRESSES dials, one after another: each may take DIAL_MS while others are left, all together
 *           connect_timeout; a handshake may take connect_timeout.
 */
enum upstream_state {
#define STATE(name, edges, meaning) UPSTREAM_##name,
#include "upstream_states.def"
#undef STATE
    UPSTREAM_STATES
};

struct upstream_target {
    const struct host *host; /* SNI, certificate, pool */
    uint16_t port;
    bool secure;
    const struct endpoint *original; /* dial this instead of what the name resolves to; checked alike */
};

struct upstream;

/* Who uses the connection. opened: once, NONE or why not (the upstream is then gone). event: octets came or can go, or
 * link.broken or link.eof say that it ended. */
struct upstream_user {
    void (*opened)(void *cookie, enum fault why, const char *detail);
    void (*event)(void *cookie);
    void *cookie;
};

struct upstream {
    struct worker *worker;
    enum upstream_state state;
    struct link link;
    struct h1stream stream;
    struct deadline deadline;
    struct upstream_user user;
    struct host host;
    uint16_t port;
    bool secure, exempt, reused;
    struct resolve_wait *resolving;
    struct resolve_answer answer;
    size_t next; /* of answer: the one to dial */
    const char *detail;
    SSL_SESSION *session;                                       /* to resume */
    void (*on_session)(struct upstream *u, SSL_SESSION *fresh); /* takes the reference over */
    void (*on_idle_event)(struct upstream *u); /* nobody uses it, and the peer says something */
    void *owner;                               /* the route */
    int64_t began_ms, idle_since_ms;
    TAILQ_ENTRY(upstream) list;
    struct buried buried;
};

/*
 * upstream_open(w, target, session, user, out): begin. ${session} is borrowed, may be NULL.
 *   Gives   *out; user.opened is called later, never from inside this call.
 *   Fails   FAULT_NO_MEMORY, FAULT_OVERLOADED, what resolve_name says at once, FAULT_ADDRESS_NOT_ALLOWED,
 *           FAULT_UPSTREAM_UNREACHABLE with *detail.
 */
enum fault upstream_open(struct worker *w, const struct upstream_target *target, SSL_SESSION *session,
                         struct upstream_user user, struct upstream **out, const char **detail) CHECKED;

/* upstream_lend(u, user): an idle one is busy for ${user}. upstream_rest(u): nobody uses it; on_idle_event hears of it. */
void upstream_lend(struct upstream *u, struct upstream_user user);
void upstream_rest(struct upstream *u);

/* upstream_reusable(u): did its last exchange end cleanly, and is nothing left over? */
bool upstream_reusable(const struct upstream *u);

/* upstream_drop(u): close and forget, from anywhere, also twice. The user is not called any more. */
void upstream_drop(struct upstream *u);

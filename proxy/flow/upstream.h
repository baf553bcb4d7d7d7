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
    bool h1;                         /* over http/1.1, whatever else the host speaks: h2 is not offered */
    const struct endpoint *original; /* dial this instead of what the name resolves to; checked alike */
};

struct route;
struct upstream;
struct h2up;
struct lease;
TAILQ_HEAD(leases, lease);

/*
 * What the owner of connections is told. opened: once, never from inside upstream_open: NONE, or why not (the connection is
 * then gone). idle: nobody uses it, and the peer says something or has been silent for long. room: over h2, there may be
 * place for more exchanges than before, or for none.
 */
struct upstream_owner {
    void (*opened)(struct upstream *u, enum fault why, const char *detail);
    void (*idle)(struct upstream *u);
    void (*room)(struct upstream *u);
};

struct upstream {
    struct worker *worker;
    enum upstream_state state;
    struct link link;
    struct h1stream stream;
    struct h2up *many; /* NULL: it speaks h1, and has one user at a time */
    struct deadline deadline;
    const struct upstream_owner *told;
    struct route *owner;
    struct leases leases; /* who uses it */
    struct host host;
    uint16_t port;
    bool secure, exempt;
    bool h2;     /* is offered */
    bool reused; /* the next exchange is not its first */
    struct resolve_wait *resolving;
    struct resolve_answer answer;
    size_t next; /* of answer: the one to dial */
    const char *detail;
    SSL_SESSION *session; /* to resume */
    int64_t began_ms, idle_since_ms;
    TAILQ_ENTRY(upstream) list;
    struct buried buried;
};

/*
 * upstream_open(w, target, h2, session, owner, told, out, detail): begin.
 *   Takes   h2       offer it.
 *           session  borrowed, may be NULL.
 *   Gives   *out; told->opened is called later, never from inside this call.
 *   Fails   FAULT_NO_MEMORY, FAULT_OVERLOADED, what resolve_name says at once, FAULT_ADDRESS_NOT_ALLOWED,
 *           FAULT_UPSTREAM_UNREACHABLE with *detail.
 */
enum fault upstream_open(struct worker *w, const struct upstream_target *target, bool h2,
                         SSL_SESSION *session, struct route *owner, const struct upstream_owner *told,
                         struct upstream **out, const char **detail) CHECKED;

/* upstream_lend(u): an idle one is busy. upstream_rest(u): nobody uses it; told->idle hears of it. */
void upstream_lend(struct upstream *u);
void upstream_rest(struct upstream *u);

/* upstream_still_open(u): nothing has come on an idle one, and no end, as far as can be known before a request is sent. */
bool upstream_still_open(const struct upstream *u);

/* upstream_reusable(u): did its last exchange end cleanly, and is nothing left over? */
bool upstream_reusable(const struct upstream *u);

/* upstream_drop(u): close and forget, from anywhere, also twice. The owner is not called any more. */
void upstream_drop(struct upstream *u);

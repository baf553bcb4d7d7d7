#pragma once
#include "lease.h"
#include "sandbox.h"

/*
 * route - one sandbox' connections to one host and port: idle ones, shared ones, those that open, and who waits for them.
 *
 *   Layer   flow.
 *   Why     a pool belongs to one sandbox and one verified name: an answer left over on a connection, or an
 *           identity bound to it, can't reach another sandbox.
 *           Which protocol a host speaks is learned with its first connection, which all wait for: a burst to an h2 host is
 *           one connection. Over h1 each in line has a connection of its own on the way.
 *   Bounds  ROUTES_MAX of a sandbox, ROUTE_IDLE_MAX idle connections each, for at most ROUTE_IDLE_MS; over h2
 *           ROUTE_SHARED_MAX, with as many streams as the host takes; in line for connect_timeout.
 */
#define ROUTES_MAX       256
#define ROUTE_IDLE_MAX   128
#define SANDBOX_IDLE_MAX 512 /* over all its routes */
#define ROUTE_IDLE_MS    60000
#define ROUTE_SHARED_MAX 8

/*
 * route_take(s, target, fresh, l, detail): a place on a connection for one exchange.
 *   Takes   target  what it points to stays there while ${l} is in line.
 *           fresh   not on an idle connection (a retry).
 *           l       begun.
 *   Gives   FAULT_NONE: ${l} is on an open connection. FAULT_AGAIN: it is in line, l->user.opened follows.
 *   Fails   as upstream_open; FAULT_OVERLOADED with ROUTES_MAX routes in use.
 */
enum fault route_take(struct sandbox *s, const struct upstream_target *target, bool fresh, struct lease *l,
                      const char **detail) CHECKED;

/* route_give(l, clean): the exchange is over, or gives up waiting; harmless twice. ${clean}: over h1, framed to its end on
 * both sides, and the peer keeps the connection open. */
void route_give(struct lease *l, bool clean);

/* route_session_keep(ssl, session): for tlsio_on_session. */
int route_session_keep(SSL *ssl, SSL_SESSION *session);

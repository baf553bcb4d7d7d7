#pragma once
#include "sandbox.h"
#include "upstream.h"

/*
 * route - one sandbox' connections to one host and port: the idle ones, and the TLS session to resume.
 *
 *   Layer   flow.
 *   Why     a pool belongs to one sandbox and one verified name: an answer left over on a connection, or an
 *           identity bound to it, can't reach another sandbox.
 *   Bounds  ROUTES_MAX of a sandbox, ROUTE_IDLE_MAX idle connections each, for at most ROUTE_IDLE_MS.
 */
#define ROUTES_MAX       256
#define ROUTE_IDLE_MAX   128
#define SANDBOX_IDLE_MAX 512 /* over all its routes */
#define ROUTE_IDLE_MS    60000

/*
 * route_take(s, target, fresh, user, out): a connection for one exchange.
 *   Takes   fresh   do not reuse an idle one (a retry).
 *   Gives   FAULT_NONE: *out is open and lent. FAULT_AGAIN: *out is opening, user.opened follows.
 *   Fails   as upstream_open; FAULT_OVERLOADED with ROUTES_MAX routes in use.
 */
enum fault route_take(struct sandbox *s, const struct upstream_target *target, bool fresh,
                      struct upstream_user user, struct upstream **out, const char **detail) CHECKED;

/* route_give(u, clean): the exchange is over. ${clean}: framed to its end on both sides, and the peer keeps it open. */
void route_give(struct upstream *u, bool clean);

/* route_session_keep(ssl, session): for tlsio_on_session. */
int route_session_keep(SSL *ssl, SSL_SESSION *session);

#pragma once
#include "connect.h"
#include "exchange.h"

/*
 * conn - a client's connection: who, handshake, then request after request, or many at once (h2client).
 *
 *   Layer   flow.
 *   Why     one driver (conn_run) for every event, one writer of the state, one end (conn_drop): what a connection can do is
 *           in conn_states.def, on one screen.
 *   Bounds  a deadline in every state; while idle no buffer, only OpenSSL's own memory and this struct.
 */
enum conn_state {
#define STATE(name, deadline, late, edges, meaning) CONN_##name,
#include "conn_states.def"
#undef STATE
    CONN_STATES
};

struct conn {
    enum conn_state state;
    struct worker *worker;
    enum listener_kind kind;
    struct link link;
    struct h1stream stream;
    struct deadline deadline;
    struct endpoint client, original; /* original.port 0: unknown */
    struct connect connect;           /* of connect_listen */
    struct who_wait wait;
    struct member member;
    struct sandbox *sandbox; /* held; NULL until it is known */
    struct h2client *many;   /* HTTP/2; NULL: one exchange at a time */
    struct exchange *exchange;
    uint64_t progress;  /* of the exchange, when last looked */
    enum fault refused; /* NONE, or what every request here is told */
    bool counted;       /* in the sandbox' quota */
    bool served;        /* a request was read */
    size_t lingered;    /* octets thrown away after the end */
    struct host *host;  /* of the handshake or the CONNECT; NULL until then */
    TAILQ_ENTRY(conn) list;
    struct buried buried;
};

/* conn_open(w, fd, from, kind): a connection was accepted; ${fd} is taken over, whatever happens. */
void conn_open(struct worker *w, int fd, struct endpoint from, enum listener_kind kind);

/* conn_client(c, stream, wake, cookie): what an exchange on ${stream} of this connection is told of its client. */
struct exchange_client conn_client(const struct conn *c, struct stream *stream, void (*wake)(void *cookie),
                                   void *cookie);

/* conn_drain(c): the worker drains: close it as soon as nothing is going on, but not without a first request's chance. */
void conn_drain(struct conn *c);

/* conn_drop(c, why): the end, from anywhere, also twice; the memory lives until the loop's turn ends. */
void conn_drop(struct conn *c, enum fault why);

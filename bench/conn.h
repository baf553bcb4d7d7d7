#pragma once
#include "caller.h"
#include "framing.h"
#include "tally.h"
#include <ev.h>

/*
 * conn - one client connection: dial, ask for a tunnel if wanted, shake hands, send a request, read its answer, again.
 *
 *   Layer   program (osb-bench).
 *   Why     what happens on one connection is here, what the run wants of all is in load.
 *   Bounds  reads through one buffer of the process; an idle connection holds OpenSSL's only.
 */
enum conn_state { CONN_CLOSED, CONN_DIALLING, CONN_ASKING, CONN_SHAKING, CONN_IDLE, CONN_BUSY, CONN_STATES };

struct conn;

/* Told by a connection; each may call conn_send or conn_close, and conn_open only later. */
struct conn_owner {
    void (*ready)(struct conn *c);                                      /* the handshake is done */
    void (*answered)(struct conn *c);                                   /* one whole answer */
    void (*failed)(struct conn *c, enum trouble what, const char *why); /* closed already */
    void (*ended)(struct conn *c); /* closed by the other side while idle */
    struct ev_loop *loop;
    struct tally *tally;
    const struct loadplan *plan;
    void *cookie;
};

struct conn {
    const struct conn_owner *owner;
    struct caller *caller;
    enum conn_state state;
    ev_io io;
    SSL *ssl;
    SSL_SESSION *session; /* to resume: a ticket is good for one connection, RFC 8446 s.C.4 */
    struct framing answer;
    uint64_t sent;    /* octets of the request */
    int64_t since_us; /* dialling or sending began */
    int64_t due_us;   /* of the request that it carries or will carry; 0: none */
    size_t idle_at;   /* load's own, as the next */
    bool opening;
    bool answering; /* the first octet was seen */
    bool unclean;   /* OpenSSL must not be called for a goodbye */
};

/* conn_open(c): from CONN_CLOSED. conn_send(c): from CONN_IDLE; c->due_us is set. */
void conn_open(struct conn *c);
void conn_send(struct conn *c);

/* conn_close(c): harmless on a closed one. */
void conn_close(struct conn *c);

/* conn_fail(c, what, why): close, then tell the owner. */
void conn_fail(struct conn *c, enum trouble what, const char *why);

/* conn_remember(tls): each connection keeps the last session that it can resume. conn_forget(c): lets go of it. */
void conn_remember(SSL_CTX *tls);
void conn_forget(struct conn *c);

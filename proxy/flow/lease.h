#pragma once
#include "h2stream.h"
#include "upstream.h"

/*
 * lease - one exchange's place on an upstream connection, or in line for one.
 *
 *   Layer   flow.
 *   Why     the exchange need not know whether it has the connection for itself (h1: it drives the socket) or is one of many
 *           on it (h2: the connection drives itself, once a turn for all of them).
 *   Bounds  a struct in its exchange; owns no memory of its own while it has no stream.
 */
struct route;

/* Who has it. opened: once, unless the lease was had at once: NONE, or why there is no connection. event: octets came or
 * can go, or the connection ended. */
struct lease_user {
    void (*opened)(void *cookie, enum fault why, const char *detail);
    void (*event)(void *cookie);
    void *cookie;
};

struct lease {
    struct lease_user user;
    struct route *route;       /* NULL: neither on a connection nor in line */
    struct upstream *upstream; /* NULL: in line */
    struct stream *stream;     /* of ${upstream} */
    bool reused;               /* others used the connection before: it may have been closed just now */

    /* route's own, while in line */
    struct upstream_target target; /* what it points to is the user's */
    uint64_t number;
    int64_t since_ms;
    TAILQ_ENTRY(lease) list; /* of the line, then of the connection */

    /* over h2; unset else */
    struct h2stream own;
    int64_t joined_ms;
};

/* lease_begin(l, user): neither on a connection nor in line. */
void lease_begin(struct lease *l, struct lease_user user);

/* lease_join(l, u): onto ${u}, which is open and has room. lease_leave(l): from it: an h2 stream ends, cancelled where it is
 * not whole; an h1 connection is as the exchange left it. */
enum fault lease_join(struct lease *l, struct upstream *u) CHECKED;
void lease_leave(struct lease *l);

/* lease_stale(l): the connection was used before, and ended: as likely as not for that, and not for this request. */
bool lease_stale(const struct lease *l);

/* lease_leaving(l): the host has said goodbye to the connection, and takes nothing more on it. */
bool lease_leaving(const struct lease *l);

/* lease_h1_wanted(l): did the host say that it takes this request over http/1.1 only, or do we not understand its h2? */
bool lease_h1_wanted(const struct lease *l);

/*
 * lease_read(l) / lease_write(l): move octets between the connection and its peer, now or (h2) before the loop sleeps.
 *   Gives   octets moved for this exchange alone.
 */
size_t lease_read(struct lease *l);
size_t lease_write(struct lease *l);

/* lease_wait(l): the exchange can't go on: user.event when it may. */
void lease_wait(struct lease *l);

/* lease_unsent(l): what the exchange wrote has not all gone to the kernel. */
bool lease_unsent(const struct lease *l);

/* lease_clean(l): nothing is left of this exchange on the connection: the next one may have it. */
bool lease_clean(const struct lease *l);

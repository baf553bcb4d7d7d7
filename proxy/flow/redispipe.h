#pragma once
#include "buf.h"
#include "tlsio.h"
#include <sys/socket.h>

/*
 * redispipe - octets to and from one Redis: a socket, or TLS over one.
 *
 *   Layer   flow.
 *   Why     hiredis 0.14 knows no TLS; its reader takes octets from anywhere, so they come from here.
 *   Bounds  nothing blocks; one read of the socket a call, so that a server that says much does not keep the loop.
 */
struct redispipe {
    int fd; /* -1: closed */
    bool connected, secure;
    bool drunk;   /* the socket was read in this call */
    bool brimful; /* and gave all that was asked for: it may have more */
    struct tlsio tls;
};

#define REDISPIPE_CLOSED ((struct redispipe){.fd = -1})

/*
 * redispipe_open(p, to, len, tls, host): begin to connect.
 *   Takes   p     closed; it stays at its place until redispipe_close.
 *           tls   NULL: in the clear. Else the server's certificate must prove ${host}, a name or an address.
 *   Gives   NULL, or a static sentence that says why not; ${p} is then to be closed.
 */
const char *redispipe_open(struct redispipe *p, const struct sockaddr_storage *to, socklen_t len,
                           SSL_CTX *tls, const char *host);

/*
 * redispipe_ready(p, why): go on connecting.
 *   Fails   FAULT_AGAIN: when the socket can do what redispipe_wants says. FAULT_STORE_UNAVAILABLE: *why, a static
 *           sentence, says why.
 */
enum fault redispipe_ready(struct redispipe *p, const char **why) CHECKED;

/*
 * redispipe_read(p, room, n): what is there.
 *   Gives   *n octets, also together with a fault.
 *   Fails   FAULT_AGAIN: nothing more now. FAULT_END: the server has ended it. FAULT_STORE_UNAVAILABLE: it broke.
 *           FAULT_NONE: there may be more.
 */
enum fault redispipe_read(struct redispipe *p, struct iovec room, size_t *n) CHECKED;

/* redispipe_pending(p): there is more for which no event will come. */
bool redispipe_pending(const struct redispipe *p);

/* redispipe_write(p, out): as much of ${out} as goes now, taken off it. Fails FAULT_STORE_UNAVAILABLE. */
enum fault redispipe_write(struct redispipe *p, struct buf *out) CHECKED;

/* redispipe_wants(p, more): which events to wait for, EV_READ | EV_WRITE. more: there is something to write. */
int redispipe_wants(const struct redispipe *p, bool more);

/* redispipe_close(p): harmless on a closed one. */
void redispipe_close(struct redispipe *p);

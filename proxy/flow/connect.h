#pragma once
#include "link.h"
#include "verdict.h"

/*
 * connect - a client's CONNECT on a connection to connect_listen, and what it binds the TLS behind it to.
 *
 *   Layer   flow.  Uses: tunnel, verdict.
 *   Why     once it is granted the connection is like any other, but for its port, and that its server name is given.
 *   Bounds  nothing of its own.
 */
struct connect {
    size_t looked; /* tunnel_read's */
    uint16_t port; /* that is dialled; 0: not known yet */
};

/*
 * connect_read(k, l, record, host): the request, out of ${l}, which is not secure yet; and may this sandbox reach its host?
 *   Gives   *host  canonical, host_keep'd, as soon as it is known; what was there before is freed. k->port. ${l}'s ${in} is
 *                  closed then.
 *   Fails   as tunnel_read; FAULT_BAD_REQUEST also where its HOST:PORT is none; FAULT_HOST_NOT_ALLOWED; FAULT_END the client
 *           closed without a word, FAULT_CLIENT_GONE in the middle of one; FAULT_NO_MEMORY.
 */
enum fault connect_read(struct connect *k, struct link *l, const struct record *record,
                        struct host **host) CHECKED;

/* connect_grant(l): say 200; what comes next is the client's TLS. Fails FAULT_CLIENT_GONE, FAULT_NO_MEMORY. */
enum fault connect_grant(struct link *l) CHECKED;

/* connect_hello(asked, name, out): the host of a ClientHello with this server name behind a CONNECT for ${asked}: the same,
 * or FAULT_NAME_REFUSED. Only an address can do without a server name. */
enum fault connect_hello(const struct host *asked, struct slice name, struct host *out) CHECKED;

#pragma once
#include "redisurl.h"
#include "resolve.h"

/*
 * redishosts - the addresses of Redis' servers by name.
 *
 *   Layer   flow.
 *   Why     a link that looks for its server must not wait for a name: it takes the addresses that are known, and asks for
 *           newer ones behind its back when those led nowhere (where a failover changes the name's address).
 *   Bounds  REDISHOSTS_ADDRESSES of a name; 64 names besides the configuration's own, the oldest forgotten first.
 */
#define REDISHOSTS_ADDRESSES 8

struct redishosts;

/* redishosts_new(loop, out): Fails FAULT_NO_MEMORY. */
enum fault redishosts_new(struct ev_loop *loop, struct redishosts **out) CHECKED;
void redishosts_free(struct redishosts *h);

/*
 * redishosts_learn(h, url): look the names of ${url} up, by all that the system knows (also search domains), and keep them.
 *   Costs   it blocks: for the start only. Once 5 s are spent on it, names are left for later.
 */
void redishosts_learn(struct redishosts *h, const struct redis_url *url);

/* redishosts_find(h, host, out): up to REDISHOSTS_ADDRESSES of them; those of a literal are itself. None: they are being
 * asked for; try again in a while. */
size_t redishosts_find(struct redishosts *h, const char *host, struct ip *out);

/* redishosts_doubt(h, host): its addresses led nowhere: ask the name servers again. A failure leaves them as they are. */
void redishosts_doubt(struct redishosts *h, const char *host);

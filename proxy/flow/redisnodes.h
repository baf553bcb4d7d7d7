#pragma once
#include "redislink.h"
#include "redisslot.h"

/*
 * redisnodes - the nodes of a Redis Cluster, as far as its redirections have named them.
 *
 *   Layer   flow.  Used by: redishub.
 *   Why     who has which slot is learned from MOVED alone: no command that lists a cluster, and nothing to keep fresh.
 *   Bounds  REDISNODES_MAX links, made on demand; the one that was used longest ago, with nothing on its way, makes room.
 */
#define REDISNODES_MAX 32

struct redisnodes;

struct redisnode {
    struct redisnodes *of;
    struct redis_url url; /* with the credentials of the url that led here */
    struct redislink *link;
    bool told;        /* it was up, or could not come up: nobody need wait to learn which */
    unsigned errands; /* the user's count of what is on its way there: such a node stays */
    uint64_t used;
};

typedef void redisnode_fn(void *cookie, struct redisnode *node);

/* redisnodes_new(loop, aim, state, cookie, out): ${aim}: of the links, but for its urls. state: told when a node came up,
 * went down, or could not come up. Fails FAULT_NO_MEMORY. */
enum fault redisnodes_new(struct ev_loop *loop, const struct redislink_aim *aim, redisnode_fn *state,
                          void *cookie, struct redisnodes **out) CHECKED;

/* redisnodes_free(n): state is not told of it. May be called from inside it. */
void redisnodes_free(struct redisnodes *n);

/* redisnodes_find(n, place, like): the node at ${place}, reached as ${like} says; made where it is new. NULL: no memory, or
 * all are at work. */
struct redisnode *redisnodes_find(struct redisnodes *n, const struct redis_place *place,
                                  const struct redis_url *like);

/* redisnodes_assign(n, slot, node): MOVED said so. What was there and is down has been replaced in the cluster, and is
 * forgotten. redisnodes_at(n, slot): NULL: not known. */
void redisnodes_assign(struct redisnodes *n, unsigned slot, struct redisnode *node);
struct redisnode *redisnodes_at(const struct redisnodes *n, unsigned slot);

/* redisnodes_any(n): one that is up; NULL: none. */
struct redisnode *redisnodes_any(const struct redisnodes *n);

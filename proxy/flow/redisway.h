#pragma once
#include "redishosts.h"

/*
 * redisway - where a link goes next, until it has found its master.
 *
 *   Layer   flow.
 *   Why     several addresses, several sentinels, and several addresses of a name are one list to be gone through.
 *   Bounds  a round ends: each address once, and behind each sentinel the addresses of the one master that it names.
 */
struct redisstop {
    const struct redis_url *url;
    bool sentinel;            /* to be asked for its master, or listened to */
    struct redis_place place; /* host "": a unix socket */
    struct sockaddr_storage address;
    socklen_t len;
};

struct redisway {
    const struct redis_url *urls; /* borrowed */
    size_t count;
    struct redishosts *hosts;

    /* redisway's own */
    size_t url, place, address;
    size_t first[REDIS_URLS_MAX]; /* the sentinel that led there last is asked first */
    bool named;                   /* the master of the sentinel is next */
    struct redis_place master;    /* the last that was named in this round */
};

/* redisway_begin(w): a new round. */
void redisway_begin(struct redisway *w);

/* redisway_next(w, out): false: the round is over. */
bool redisway_next(struct redisway *w, struct redisstop *out);

/* redisway_named(w, master): the sentinel of the last stop named it: it is next, unless another sentinel of this round has
 * named the same, and it was nothing. */
void redisway_named(struct redisway *w, const struct redis_place *master);

/* redisway_arrived(w): the last stop was good. */
void redisway_arrived(struct redisway *w);

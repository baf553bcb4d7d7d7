#pragma once
#include "redisway.h"
#include <hiredis/hiredis.h>
#include <openssl/ssl.h>

/*
 * redislink - one connection to Redis that finds its own way, and finds it again.
 *
 *   Layer   flow.  Used by: redishub.
 *   Why     hiredis 0.14's async context has no deadline per command, no TLS, and frees itself under its user; its reader is
 *           good. What is around it is ours.
 *   Bounds  a deadline for every command, and for each step of the search; replies above 8 MiB, or with an array of over
 *           128 Ki elements, end the connection; a round through all places without luck is followed by one after 50 ms,
 *           doubling to 500 ms, with jitter; a link for commands asks each second whether its server is still a master and
 *           not cut off from its cluster, else it looks for another one; commands are refused at once while the link is
 *           down.
 *   Costs   what is sent in one turn of the loop leaves in one system call.
 */
#define REDISLINK_WAITING 1280 /* commands in flight */

struct redislink;

/* reply: what Redis said, an error too; borrowed for the call; NULL when why != FAULT_NONE. FAULT_STORE_UNAVAILABLE: timed
 * out, or the connection was lost. */
typedef void redislink_fn(void *cookie, enum fault why, const redisReply *reply);

/* Where it goes, and for what; what is pointed to is borrowed for the link's life. */
struct redislink_aim {
    const char *name;             /* for messages: "commands" */
    const struct redis_url *urls; /* the first that leads to a writable master wins */
    size_t count;
    const char *channel; /* not NULL: the link subscribes to it and takes no commands */
    bool sentinels;      /* it subscribes at the urls' sentinels themselves */
    struct redishosts *hosts;
    SSL_CTX *tls; /* for urls that have it; else NULL */
    uint64_t timeout_ms;
};

/* message: one on the subscribed channel, borrowed. state: the link came up (subscribed, where it subscribes),
 * went down, or could not come up at first. */
struct redislink_events {
    void (*message)(void *cookie, struct slice payload);
    void (*state)(void *cookie, bool up);
    void *cookie;
};

/* redislink_new(loop, aim, events, out): connect and stay connected; nothing is told from inside this call. Fails
 * FAULT_NO_MEMORY. */
enum fault redislink_new(struct ev_loop *loop, const struct redislink_aim *aim,
                         struct redislink_events events, struct redislink **out) CHECKED;

/* redislink_free(l): those who wait are told FAULT_STORE_UNAVAILABLE. May be called from inside any callback. */
void redislink_free(struct redislink *l);

/* redislink_seek(l, why): leave this server, if there is one, and begin a round at once. Those who wait are told as by
 * redislink_free. */
void redislink_seek(struct redislink *l, const char *why);

/* redislink_stop(l): where it is up; NULL where it is down. */
const struct redisstop *redislink_stop(const struct redislink *l);

static inline bool redislink_up(const struct redislink *l)
{
    return redislink_stop(l) != NULL;
}

/*
 * redislink_command(l, argv, argc, fn, cookie): send; ${fn} is called exactly once, never from inside this call. NULL: the
 *   answer is not needed.
 *   Fails   FAULT_STORE_UNAVAILABLE (down: fn is not called), FAULT_OVERLOADED (REDISLINK_WAITING in flight, or 1 MiB
 *           unsent), FAULT_INVALID (no argument).
 */
enum fault redislink_command(struct redislink *l, const struct slice *argv, size_t argc, redislink_fn *fn,
                             void *cookie) CHECKED;

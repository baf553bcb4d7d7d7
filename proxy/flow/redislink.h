#pragma once
#include "config.h"
#include <ev.h>
#include <hiredis/hiredis.h>

/*
 * redislink - one connection to Redis on the loop.
 *
 *   Layer   flow.
 *   Why     hiredis 0.14's async context has no deadline per command and frees itself under its user; its reader and
 *           formatter are good. The transport between them is ours.
 *   Bounds  a deadline for every command; replies above 8 MiB, or with an array of over 128 Ki elements, end the connection;
 *           reconnects after 50 ms, doubling to 2 s, with jitter; commands are refused at once while the link is down.
 */
#define REDISLINK_ARGUMENTS 64

struct redislink;

/* reply: borrowed for the call, NULL when why != FAULT_NONE. FAULT_STORE_UNAVAILABLE: timed out, link lost, or Redis said
 * an error (which is written to diag; an error never looks like an absent key, nor does an array that holds one). */
typedef void redis_fn(void *cookie, enum fault why, const redisReply *reply);

/* message: one on the subscribed channel, borrowed. state: the link came up (subscribed, where it subscribes),
 * went down, or could not come up at first. */
struct redislink_events {
    void (*message)(void *cookie, struct slice payload);
    void (*state)(void *cookie, bool up);
    void *cookie;
};

/*
 * redislink_new(loop, where, timeout_ms, channel, events, out): connect and stay connected. AUTH and SELECT as
 * ${where} asks.
 *   Takes   channel  not NULL: the link subscribes to it and takes no commands.
 *   Fails   FAULT_NO_MEMORY. A Redis that is away is no failure: the link keeps trying. A host name is resolved once at the
 *           start, blocking, by getaddrinfo: the operator's own name. Only one that had no address then is asked again, with
 *           each attempt.
 *   Needs   of Redis' access list, besides the caller's commands: ping, and select or subscribe where used.
 */
enum fault redislink_new(struct ev_loop *loop, const struct config_redis *where, uint64_t timeout_ms,
                         const char *channel, struct redislink_events events, struct redislink **out) CHECKED;

/* redislink_free(l): those who wait are told FAULT_STORE_UNAVAILABLE. May be called from inside any callback. */
void redislink_free(struct redislink *l);

bool redislink_up(const struct redislink *l);

/*
 * redislink_command(l, argv, argc, fn, cookie): send; ${fn} is called exactly once, never from inside this call.
 *   Fails   FAULT_STORE_UNAVAILABLE (down: fn is not called), FAULT_NO_MEMORY, FAULT_OVERLOADED (over 1,024 in flight, or
 *           1 MiB unsent), FAULT_INVALID (no argument, or more than REDISLINK_ARGUMENTS).
 */
enum fault redislink_command(struct redislink *l, const struct slice *argv, size_t argc, redis_fn *fn,
                             void *cookie) CHECKED;

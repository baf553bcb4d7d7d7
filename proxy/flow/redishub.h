#pragma once
#include "config.h"
#include <ev.h>
#include <hiredis/hiredis.h>

/*
 * redishub - Redis as the rest of the proxy sees it: one store, whatever it is made of.
 *
 *   Layer   flow.
 *   Why     one server, several of which one is the master, Sentinel and Cluster differ in who is to be asked, and in
 *           nothing that a caller must know.
 *   Bounds  a command is answered, or has failed, within store_timeout, however often it was sent on (at most 5 times);
 *           1,024 in flight; one link for commands, one for changes, one at a sentinel of each sentinel:// url, 32 at nodes
 *           of a cluster. Nothing blocks the loop but the look-up of the configuration's own host names in redishub_new.
 *   Source  contract section 8; Redis' "Sentinel client spec" and "Cluster specification".
 *   Needs   of Redis' access list, besides the callers' commands: get, ping, role, readwrite, asking, select and subscribe.
 */
struct redishub;

/* reply: borrowed for the call, NULL when why != FAULT_NONE. FAULT_STORE_UNAVAILABLE: timed out, nobody to ask, or Redis
 * said an error (which is written to diag; an error never looks like an absent key, nor does an array that holds one). */
typedef void redis_fn(void *cookie, enum fault why, const redisReply *reply);

/*
 * message: one on osb:changes, borrowed. commands: the store can be asked, can't any more, or could not at first. changes:
 * up: messages come from now on, and some may have been missed before. None is called from inside redishub_new. NULL: not
 * told.
 */
struct redishub_events {
    void (*message)(void *cookie, struct slice payload);
    void (*commands)(void *cookie, bool up);
    void (*changes)(void *cookie, bool up);
    void *cookie;
};

/*
 * redishub_new(loop, config, events, out): find the store and stay connected.
 *   Takes   config  of it: the urls, redis_ca_file, store_timeout. Nothing of it is kept.
 *   Fails   FAULT_NO_MEMORY; FAULT_INVALID, FAULT_SYSTEM: no TLS for rediss:// (said in diag). A Redis that is away is no
 *           failure: it is looked for again and again.
 */
enum fault redishub_new(struct ev_loop *loop, const struct config *config, struct redishub_events events,
                        struct redishub **out) CHECKED;

/* redishub_free(h): those who wait are told FAULT_STORE_UNAVAILABLE. May be called from inside any callback. */
void redishub_free(struct redishub *h);

/* redishub_up(h): a command would be sent now. */
bool redishub_up(const struct redishub *h);

/*
 * redishub_command(h, key, argv, argc, fn, cookie): ask; ${fn} is called exactly once, never from inside this call.
 *   Takes   key   decides the node of a cluster. ${argv}: a command that only reads: it may be sent again.
 *   Fails   (fn is not called) FAULT_STORE_UNAVAILABLE: nobody is up. FAULT_OVERLOADED: 1,024 are in flight, or
 *           1 MiB is unsent: try again when one of them was answered. FAULT_NO_MEMORY. FAULT_INVALID: no argument, or more
 *           than REDISHUB_ARGUMENTS.
 */
#define REDISHUB_ARGUMENTS 64
enum fault redishub_command(struct redishub *h, struct slice key, const struct slice *argv, size_t argc,
                            redis_fn *fn, void *cookie) CHECKED;

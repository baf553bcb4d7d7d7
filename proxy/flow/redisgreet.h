#pragma once
#include "buf.h"
#include "redisurl.h"
#include <hiredis/hiredis.h>

/*
 * redisgreet - what is said first on a connection, and whether the answers are a writable master's.
 *
 *   Layer   flow: replies in, octets out; no socket, no clock.
 *   Why     a server that was a master yesterday still answers; so each is asked for its role before anything else.
 *   Bounds  at most REDISGREET_STEPS commands.
 *   Source  Redis' "Sentinel client spec"; commands AUTH, SELECT, PING, ROLE, GET, READWRITE, SUBSCRIBE.
 *
 *   A server:   [AUTH] [SELECT] PING ROLE GET, and as a replica READWRITE, which only a node of a cluster grants (it knows
 *               who has what); then [SUBSCRIBE].
 *   A sentinel: SUBSCRIBE, or SENTINEL get-master-addr-by-name; asked for a password: AUTH, and again.
 */
#define REDISGREET_STEPS 8

enum greeting {
    GREETING_AUTH,
    GREETING_SELECT,
    GREETING_PING,
    GREETING_ROLE,
    GREETING_PROBE,
    GREETING_READWRITE,
    GREETING_SUBSCRIBE,
    GREETING_MASTER,
    GREETING_COUNT
};

struct redisgreet {
    const struct redis_url *url; /* borrowed */
    const char *channel;         /* to subscribe to; NULL: none */
    bool sentinel;
    enum greeting said[REDISGREET_STEPS];
    size_t count, answered;
    bool cluster;              /* it is a node of one, at least while it is a replica */
    struct redis_place master; /* port not 0: what the sentinel named */
};

/* redisgreet_begin(g, url, sentinel, channel, out): the first commands into ${out}. Fails FAULT_FULL. */
enum fault redisgreet_begin(struct redisgreet *g, const struct redis_url *url, bool sentinel,
                            const char *channel, struct buf *out) CHECKED;

/*
 * redisgreet_take(g, reply, out, why): the next answer.
 *   Gives   FAULT_NONE: all is said. FAULT_AGAIN: answers are missing; more may have been written to ${out}.
 *   Fails   FAULT_STORE_UNAVAILABLE: not one to stay with; *why, a static sentence, says why. FAULT_FULL.
 */
enum fault redisgreet_take(struct redisgreet *g, const redisReply *reply, struct buf *out,
                           const char **why) CHECKED;

/* A node that is cut off from its cluster says of a key that the cluster is down, and all else as if it were whole: what is
 * published elsewhere does not come to it, and it has no answer for anybody. Any other answer is good. */
#define REDISGREET_PROBE                  \
    {                                     \
        SLICE("GET"), SLICE("osb:staged") \
    }
#define REDISGREET_CUT_OFF "its cluster is down, or it is cut off from it"
bool redisgreet_cut_off(const redisReply *reply);

/* redisgreet_word(g): the command to which the next answer belongs. */
const char *redisgreet_word(const struct redisgreet *g);

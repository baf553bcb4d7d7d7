#pragma once
#include "house.h"
#include "record.h"
#include "redishub.h"

/*
 * asks - what a worker asks of Redis: whose an address is, and what the record of a sandbox says.
 *
 *   Layer   flow.
 *   Why     when thousands of records change at once, each of them can be asked for; who finds no room waits, and what
 *           somebody waits for goes first.
 *   Bounds  ASKS_MOST in flight, ASKS_IDLE of them that nobody waits for: few enough that a worker which opens them one
 *           after the other is through before the last is called late. A question that waits lies in the one who asks.
 *   Source  contract section 8: the keys.
 */
#define ASKS_MOST 256
#define ASKS_IDLE 64

struct asks;

struct ask {        /* zeroed before first use; lives until fn was called */
    const char *id; /* of the sandbox whose record is asked for; NULL: whose is ${ip}? */
    struct ip ip;
    redis_fn *fn;
    void *cookie;

    /* asks.c's own */
    enum { ASK_NOT, ASK_QUEUED, ASK_SENT } state;
    bool urgent;
    int64_t sent_ms;
    struct asks *asks;
    TAILQ_ENTRY(ask) list;
};

/* asks_new(w, events, out): looks for Redis. Fails as redishub_new; no event comes from inside this call. */
enum fault asks_new(struct worker *w, struct redishub_events events, struct asks **out) CHECKED;

/* asks_free(q): who has asked is told FAULT_STORE_UNAVAILABLE. */
void asks_free(struct asks *q);

bool asks_up(const struct asks *q);

/*
 * asks_put(q, a, urgent): ask; a->fn is called exactly once, never from inside this call.
 *   Takes   a  which is not being asked. urgent: somebody waits for it.
 *   Fails   FAULT_STORE_UNAVAILABLE: Redis is away, fn is not called. FAULT_NO_MEMORY.
 */
enum fault asks_put(struct asks *q, struct ask *a, bool urgent) CHECKED;

/* asks_hurry(a): somebody waits for it now. */
void asks_hurry(struct ask *a);

/* ask_count(a, why): what came of the answer goes into the metrics. */
void ask_count(const struct ask *a, enum fault why);

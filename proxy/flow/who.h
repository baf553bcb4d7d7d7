#pragma once
#include "sandbox.h"

/*
 * who - from a source address to its sandbox.
 *
 *   Layer   flow.
 *   Why     identity is the first question of every connection, and Redis must not be asked it every time.
 *   Bounds  one fetch at a time for an address or a sandbox, however many wait; "nobody" is remembered for a second;
 *           a record is checked again before it is cache_ttl old, serves at most cache_stale while Redis is away,
 *           and at once not at all when a change was announced and can't be read.
 *   Source  contract section 8.
 */
struct who_wait; /* lies in the one who waits; zeroed before first use */
typedef void who_fn(struct who_wait *wait, enum fault why, struct sandbox *s);

struct who_wait {
    who_fn *fn;
    TAILQ_ENTRY(who_wait) list;
    struct who_waits *on; /* NULL: nothing is awaited */
    struct ip from;       /* who.c's own: for whom it is asked */
};

/* who_new(w, out): opens the links to Redis. */
enum fault who_new(struct worker *w, struct who **out) CHECKED;
void who_free(struct who *who);

/*
 * who_ask(who, from, wait, out): whose address is ${from}?
 *   Gives   FAULT_NONE and *out (hold it to keep it), or FAULT_AGAIN: wait->fn is called once, later.
 *   Fails   at once or through fn: FAULT_UNKNOWN_SOURCE, FAULT_REVOKED, FAULT_STORE_UNAVAILABLE, FAULT_NO_MEMORY.
 */
enum fault who_ask(struct who *who, struct ip from, struct who_wait *wait, struct sandbox **out) CHECKED;

/*
 * who_fresh(s, from, wait): may a live connection of ${s} from ${from} go on deciding on its record? As who_ask, for each
 *   request; the common answer costs two comparisons.
 */
enum fault who_fresh(struct sandbox *s, struct ip from, struct who_wait *wait) CHECKED;

/* who_cancel(wait): fn will not be called. Harmless when nothing is awaited. */
void who_cancel(struct who_wait *wait);

/* who_tell(who, from): may one more refusal of this unknown source be written to the audit log? Once a second. */
bool who_tell(struct who *who, struct ip from);

/* who_ready(who): Redis answers, or a record is held that still serves. */
bool who_ready(const struct who *who);

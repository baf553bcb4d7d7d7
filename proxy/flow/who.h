#pragma once
#include "sandbox.h"
#include "waits.h"

/*
 * who - from a source address to its sandbox.
 *
 *   Layer   flow.
 *   Why     identity is the first question of every connection, and Redis must not be asked it every time.
 *   Bounds  one fetch at a time for an address or a sandbox, however many wait, each at most store_timeout; "nobody" is
 *           remembered for a second. How long a record serves: fresh.h.
 *   Source  contract section 8.
 */

/* who_new(w, out): looks for Redis. */
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
 *   request; the common answer costs a few comparisons.
 */
enum fault who_fresh(struct sandbox *s, struct ip from, struct who_wait *wait) CHECKED;

/* who_cancel(wait): fn will not be called. Harmless when nothing is awaited. */
void who_cancel(struct who_wait *wait);

/* who_tell(who, from): may one more refusal of this unknown source be written to the audit log? Once a second. */
bool who_tell(struct who *who, struct ip from);

/* who_ready(who): Redis answers, or a record is held that still serves. */
bool who_ready(const struct who *who);

#pragma once
#include "scrub.h"
#include "verdict.h"

/*
 * scrubcache - the pattern sets of one sandbox: one for each set of secrets that some host may have.
 *
 *   Layer   flow.
 *   Why     to build one costs more than to answer a request: it is built once, and hosts with the same secrets share it.
 *   Bounds  SCRUBCACHE_SETS, and the purse's locked memory; the one that was not asked for longest goes. Exchanges hold
 *           their own references. A set that can't be built is not tried again for SCRUBCACHE_FAILED_MS.
 */
#define SCRUBCACHE_SETS      64
#define SCRUBCACHE_FAILED_MS 5000

/* Zeroed, it is empty. */
struct scrubcache {
    const struct record *record; /* whose secrets they are */
    struct scrubbing *sets;
    size_t count, room;
    uint64_t asked;
};

/* scrubcache_has(c, record, given): would take give it at once? */
bool scrubcache_has(const struct scrubcache *c, const struct record *record, const struct secret_set *given);

/*
 * scrubcache_take(c, record, given, purse, now_ms, out): what answers of a host are scrubbed of that may have the secrets
 *   ${given}.
 *   Takes   now_ms  of a clock that never goes back.
 *   Gives   *out a reference, the caller's; NULL where there is nothing to be scrubbed: no value is long enough, or their
 *           stores say so.
 *   Fails   FAULT_OVERLOADED, FAULT_NO_MEMORY: it can't be built; the answer must not be passed on.
 *   Costs   a look at a few sets; once for each, what scrubs_new costs.
 */
enum fault scrubcache_take(struct scrubcache *c, const struct record *record, const struct secret_set *given,
                           struct purse *purse, int64_t now_ms, struct scrubs **out) CHECKED;

/* scrubcache_clear(c): for another record, or the end. */
void scrubcache_clear(struct scrubcache *c);

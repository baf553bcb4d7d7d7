#pragma once
#include "scrub.h"
#include "verdict.h"

/*
 * scrubcache - the pattern sets of one sandbox: one for each set of secrets that some host may have.
 *
 *   Layer   flow.
 *   Why     to build one costs more than to answer a request: it is built once, and hosts with the same secrets share it.
 *   Bounds  SCRUBCACHE_SETS; the one that was not asked for longest goes. Exchanges hold their own references.
 */
#define SCRUBCACHE_SETS 16

/* Zeroed, it is empty. */
struct scrubcache {
    const struct record *record; /* whose secrets they are */
    struct scrubbing {
        struct secret_set set;
        struct scrubs *scrubs;
        uint64_t asked;
    } sets[SCRUBCACHE_SETS];
    size_t count;
    uint64_t asked;
};

/*
 * scrubcache_take(c, record, given, out): what answers of a host are scrubbed of that may have the secrets ${given}.
 *   Gives   *out a reference, the caller's; NULL where there is nothing to be scrubbed: no value is long enough, or their
 *           stores say so.
 *   Fails   FAULT_NO_MEMORY: the answer must not be passed on.
 *   Costs   a look at a few sets; once for each, what scrubs_new costs.
 */
enum fault scrubcache_take(struct scrubcache *c, const struct record *record, const struct secret_set *given,
                           struct scrubs **out) CHECKED;

/* scrubcache_clear(c): for another record, or the end. */
void scrubcache_clear(struct scrubcache *c);

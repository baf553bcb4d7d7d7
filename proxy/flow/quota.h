#pragma once
#include "fault.h"
#include "slice.h"

/*
 * quota - a sandbox's connections, requests, leaf mints, reset streams and sets of patterns, counted over all workers.
 *
 *   Layer   flow.
 *   Why     the kernel spreads a sandbox's connections over the workers unevenly, so a share for each would refuse too
 *           early. Workers count in a shared page; no locks.
 *   Bounds  QUOTA_SLOTS slots, picked by a keyed hash of the sandbox' id: two sandboxes in one slot share its limits, which
 *           is rare and errs on the strict side. Each worker has a row, which dies with it.
 */
#define QUOTA_SLOTS 16384

/* quota_open(rows): once, before the first fork. quota_row_free(row): the worker of this row has ended. */
enum fault quota_open(unsigned rows) CHECKED;
void quota_row_free(unsigned row);

/* quota_row_take(row): this process counts in row ${row}. */
void quota_row_take(unsigned row);

/* quota_slot(id): which slot a sandbox has. */
unsigned quota_slot(struct slice id);

/* quota_connection(slot): one more; gives how many there are now, over all workers. quota_connection_end: one less. */
unsigned quota_connection(unsigned slot);
void quota_connection_end(unsigned slot);

enum quota_kind {
    QUOTA_REQUEST,
    QUOTA_MINT_ALLOWED,
    QUOTA_MINT_DENIED,
    QUOTA_RESET,
    QUOTA_SCRUBS,
    QUOTA_KINDS
};

struct quota_rate {
    uint64_t burst, per_s; /* both at least 1 */
};

/*
 * quota_take(slot, kind, rate, now_ms): may this sandbox do one more of these? ${burst} at once, then ${per_s}.
 *   Takes   now_ms  of a clock that never goes back.
 *   Gives   0: yes, and it is counted. Else in how many milliseconds to try again.
 */
unsigned quota_take(unsigned slot, enum quota_kind kind, struct quota_rate rate, int64_t now_ms);

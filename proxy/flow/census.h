#pragma once
#include "buf.h"

/*
 * census - what each sandbox did, counted over all workers; the master shows it (/sandboxes).
 *
 *   Layer   flow.  Used by: sandbox, exchange, conn, tell; admin reads.
 *   Why     an operator asks which sandbox is busy; a metric's label must not name one.
 *   Bounds  CENSUS_SLOTS sandboxes in a shared page. One that finds no slot takes that of a sandbox that was quiet for
 *           CENSUS_QUIET_MS; where there is none, it is not counted. Counts begin anew with the slot, and are gone with the
 *           master. No token, host or value.
 *   Costs   a lookup when a worker meets a sandbox; then a few relaxed adds a request.
 */
#define CENSUS_SLOTS    32768
#define CENSUS_QUIET_MS ((int64_t)3600 * 1000)
#define CENSUS_LINE     512 /* octets of a sandbox' object, at most */

/* Where a sandbox is counted; kept by it. */
struct census {
    unsigned slot; /* CENSUS_SLOTS: nowhere */
    uint64_t who;  /* whose the slot was: others may have taken it since */
};

/* census_open(): the shared page. Once, before the first fork. */
enum fault census_open(void) CHECKED;

/* census_join(id, now_ms): ${id}'s slot. now_ms: of the clock that never goes back, here and below. */
struct census census_join(const char *id, int64_t now_ms);

/* census_connection(c, id, now_ms): one more connection was let in. */
void census_connection(struct census *c, const char *id, int64_t now_ms);

/* census_request(c, id, now_ms, why, in, out): one more request has ended, or was refused; octets of its messages. */
void census_request(struct census *c, const char *id, int64_t now_ms, enum fault why, uint64_t in,
                    uint64_t out);

/*
 * census_octets(): what census_text needs at most.
 * census_text(out): a JSON array, in no order, of objects: id connections requests blocked errors bytesIn bytesOut.
 *   Fails   FAULT_FULL.
 */
size_t census_octets(void);
enum fault census_text(struct buf *out) CHECKED;

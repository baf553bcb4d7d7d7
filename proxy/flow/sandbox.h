#pragma once
#include "house.h"
#include "leafcache.h"
#include "purse.h"
#include "record.h"
#include "scrubcache.h"
#include "table.h"

/*
 * sandbox - what a worker knows of a sandbox while it serves it: record, TLS context, leaves, upstream routes.
 *
 *   Layer   flow.
 *   Why     everything that belongs to one sandbox hangs on one object, so that nothing of it can meet another sandbox'
 *           and all of it ends together.
 *   Bounds  made at the first connection, freed when it has served nobody for a while (who.c).
 */
struct route;
TAILQ_HEAD(who_waits, who_wait);

/* What ends with its sandbox: a connection from one of its addresses, or a route to a host. */
struct member {
    void (*end)(struct member *m, enum fault why); /* takes itself off the list */
    const struct ip *from; /* ends also when this address is no longer the sandbox'; NULL: never for that */
    TAILQ_ENTRY(member) list;
};

struct sandbox {
    struct worker *worker;
    unsigned references;
    struct record *record;
    struct authority authority;
    struct leafcache *leaves;
    SSL_CTX *server_ctx;
    struct route *routes; /* table: pools of upstream connections (route.c) */
    struct scrubcache scrubs;
    struct purse purse; /* what its bodies and codings may hold */
    TAILQ_HEAD(, member) members;
    unsigned conns,
        streams; /* client connections open now, on this worker; streams of those that speak HTTP/2 */
    unsigned idle_upstreams;
    unsigned quota; /* slot */
    bool ended;     /* deleted or expired: serves nobody any more */

    /* who.c's own */
    char id[RECORD_ID_MAX + 1];
    int64_t checked_ms; /* when the record was last seen to be the one in Redis */
    int64_t used_ms;
    unsigned changes_told,
        changes_read; /* announced, and covered by what was read: apart, the record is not to be used */
    unsigned fetch_covers;
    int64_t
        doubt_ms; /* since then announcements may have been missed; 0: none. Read again, else it is as a stale one */
    int64_t asked_ms;
    bool fetching;
    bool refused; /* what Redis holds now does not open: nothing is decided on the old record any more */
    struct who_waits waits;
    UT_hash_handle hh;
};

/* sandbox_new(w, record, out): takes the caller's reference of ${record} over, also on failure.
 *   Fails   FAULT_INVALID, FAULT_SYSTEM, FAULT_NO_MEMORY. Costs half a millisecond, once. */
enum fault sandbox_new(struct worker *w, struct record *record, struct sandbox **out) CHECKED;

/* sandbox_update(s, record): the record's newer version; takes its reference over. A new CA ends all connections.
 *   Fails   as sandbox_new, the sandbox then goes on as it was. */
enum fault sandbox_update(struct sandbox *s, struct record *record) CHECKED;

/* sandbox_end(s): it was deleted, has expired or lost its rights: every connection ends now. */
void sandbox_end(struct sandbox *s);

void sandbox_join(struct sandbox *s, struct member *m);
void sandbox_leave(struct sandbox *s, struct member *m);

struct sandbox *sandbox_hold(struct sandbox *s);
void sandbox_drop(struct sandbox *s);

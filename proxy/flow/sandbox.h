#pragma once
#include "census.h"
#include "fresh.h"
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
struct roll;
struct route;

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
    struct census census;
    bool ended; /* deleted or expired: serves nobody any more */

    char id[RECORD_ID_MAX + 1];
    struct roll *roll;
    struct fresh fresh;
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

/* sandbox_count(s, why, in, out): one of its requests has ended, or was refused. */
static inline void sandbox_count(struct sandbox *s, enum fault why, uint64_t in, uint64_t out)
{
    census_request(&s->census, s->id, worker_now_ms(s->worker), why, in, out);
}

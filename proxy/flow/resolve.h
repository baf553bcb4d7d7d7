#pragma once
#include "hostpat.h"
#include "ip.h"
#include <ev.h>

/*
 * resolve - names to addresses, on the loop.
 *
 *   Layer   flow.
 *   Why     the proxy resolves the canonical name itself, never by a call that blocks, without search domains; a sandbox's
 *           own idea of an address is not asked.
 *   Bounds  RESOLVE_ADDRESSES of an answer; a cache of RESOLVE_NAMES names, kept for the answer's TTL (1 s to 60 s; failures
 *           1 s); one query per name at a time, however many wait; an answer within 5 s or FAULT_UPSTREAM_TIMEOUT.
 */
#define RESOLVE_ADDRESSES 16
#define RESOLVE_NAMES     4096

struct resolver;
struct resolve_wait; /* one who waits */

struct resolve_answer {
    struct ip ip[RESOLVE_ADDRESSES];
    size_t count;
};

typedef void resolve_fn(void *cookie, enum fault why, const struct resolve_answer *answer);

/*
 * resolver_new(loop, servers, n, out): servers from the configuration, or (n = 0) the system's; /etc/hosts counts only then.
 *   Fails   FAULT_SYSTEM, FAULT_NO_MEMORY.
 */
enum fault resolver_new(struct ev_loop *loop, const struct endpoint *servers, size_t n,
                        struct resolver **out) CHECKED;

/* resolver_free(r): those who wait are told FAULT_UPSTREAM_TIMEOUT. May be called from inside their callbacks. */
void resolver_free(struct resolver *r);

/*
 * resolve_name(r, name, answer, fn, cookie, wait): the addresses of ${name}, v4 and v6.
 *   Gives   FAULT_NONE and *answer at once (cache), or FAULT_AGAIN and *wait: ${fn} is called later, once, never from inside
 *           this call. Other faults at once: FAULT_UPSTREAM_UNREACHABLE (no such name, no addresses, server failure),
 *           FAULT_UPSTREAM_TIMEOUT, FAULT_NO_MEMORY (also: RESOLVE_NAMES names are being asked
 *           for). A literal is answered at once, by itself.
 */
enum fault resolve_name(struct resolver *r, const struct host *name, struct resolve_answer *answer,
                        resolve_fn *fn, void *cookie, struct resolve_wait **wait) CHECKED;

/* resolve_cancel(w): ${fn} will not be called. Only before it was. */
void resolve_cancel(struct resolve_wait *w);

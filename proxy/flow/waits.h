#pragma once
#include "fault.h"
#include "ip.h"
#include <ev.h>
#include <sys/queue.h>

/*
 * waits - those who wait for a record, none longer than store_timeout.
 *
 *   Layer   flow.
 *   Why     what is waited for may take longer than one command: it waits for room, is sent on to another server, or is read
 *           again because it changed meanwhile.
 *   Bounds  one timer; all have the same patience, so the one who came first is late first.
 */
struct sandbox;
struct who_wait;
typedef void who_fn(struct who_wait *wait, enum fault why, struct sandbox *s);
TAILQ_HEAD(who_waits, who_wait);

struct who_wait { /* lies in the one who waits; zeroed before first use */
    who_fn *fn;

    /* waits.c's own */
    TAILQ_ENTRY(who_wait) list; /* of those who wait for the same */
    TAILQ_ENTRY(who_wait) turn; /* of all */
    struct who_waits *on;       /* NULL: nothing is awaited */
    struct waitroom *room;
    struct sandbox *sandbox; /* whose record is awaited; NULL: an address' of which nothing is known */
    struct ip from;          /* for whom it is asked */
    int64_t late_ms;
};

struct waitroom {
    struct ev_loop *loop;
    int64_t most_ms;
    void (*late)(struct who_wait *wait); /* it waits no more; to be told */
    struct who_waits all;
    ev_timer alarm;
};

void waitroom_open(struct waitroom *r, struct ev_loop *loop, uint64_t most_ms,
                   void (*late)(struct who_wait *wait));
void waitroom_close(struct waitroom *r); /* when nobody waits any more, or never will be told */

/* waits_begin(wait, r, on, s, from): wait->fn will be called once, unless waits_cancel comes first. */
void waits_begin(struct who_wait *wait, struct waitroom *r, struct who_waits *on, struct sandbox *s,
                 struct ip from);

/* waits_cancel(wait): harmless when nothing is awaited. */
void waits_cancel(struct who_wait *wait);

/* waits_tell(wait, why, s): the answer; FAULT_NONE is judged by what the record of ${s} says now, since it may have changed
 * while they waited. waits_tell_all: to all. */
void waits_tell(struct who_wait *wait, enum fault why, struct sandbox *s);
void waits_tell_all(struct who_waits *waits, enum fault why, struct sandbox *s);

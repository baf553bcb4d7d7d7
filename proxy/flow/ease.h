#pragma once
#include <ev.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

/*
 * ease - who waits with octets held back, until nothing more has come for a moment.
 *
 *   Layer   flow.
 *   Why     a host that talks in turns, and does not end its lines, would otherwise wait for an answer to what is held here.
 *   Bounds  one timer a worker, stopped when nobody waits; each call costs a list's step.
 */
#define EASE_MS 200

struct ease {
    void (*due)(struct ease *e); /* off the list before it is called */
    int64_t since_ms;
    bool waits;
    TAILQ_ENTRY(ease) list;
};

struct eases {
    struct ev_loop *loop;
    ev_timer timer;
    TAILQ_HEAD(, ease) waiting; /* who waits longest, first */
};

void eases_open(struct eases *all, struct ev_loop *loop);
void eases_close(struct eases *all);

/* ease_wait(all, e): due in EASE_MS from now, whatever was said before. ease_cancel(all, e): harmless twice. */
void ease_wait(struct eases *all, struct ease *e);
void ease_cancel(struct eases *all, struct ease *e);

#pragma once
#include <ev.h>
#include <stdbool.h>
#include <sys/queue.h>

/*
 * turn - things to do once before the loop sleeps, however often they were asked for.
 *
 *   Layer   flow.
 *   Why     a connection that carries many exchanges is woken by each of them; what they all wrote leaves in one run, and in
 *           one system call.
 *   Bounds  each thing runs at most once a turn: what is asked for meanwhile has its turn behind the next look at sockets.
 */
struct soon {
    void (*run)(struct soon *s);
    bool queued;
    TAILQ_ENTRY(soon) list;
};

struct turn {
    struct ev_loop *loop;
    ev_prepare last; /* of a turn, before the grave's */
    ev_idle awake;   /* while something is left, the loop does not sleep */
    unsigned count;
    TAILQ_HEAD(, soon) soons;
};

void turn_open(struct turn *t, struct ev_loop *loop);
void turn_close(struct turn *t);

/* turn_soon(t, s): run ${s} before the loop sleeps. turn_forget(t, s): not any more. Both harmless twice. */
void turn_soon(struct turn *t, struct soon *s);
void turn_forget(struct turn *t, struct soon *s);

#pragma once
#include "fault.h"
#include <ev.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * row - a place for one worker process, from its birth to its death.
 *
 *   Layer   program.  Used by: master.
 *   Bounds  START 60 s from fork to the first octet of its voice. A worker that dies young is born again at
 *           once the first time, then after 100 ms, doubling to 5 s.
 */
enum row_state { ROW_FREE, ROW_STARTING, ROW_UP, ROW_WAITING, ROW_ENDING };

struct row;

struct row_events {
    /* In the new process: writes an octet to ${voice} once it serves, and exits. */
    void (*live)(struct row *r, int voice);
    void (*up)(struct row *r);
    void (*died)(struct row *r); /* as it was; answered by row_wait or row_free */
};

struct row {
    enum row_state state;
    unsigned number; /* as in the shared pages */
    const struct row_events *events;
    struct ev_loop *loop;
    void *cookie;

    struct generation *generation; /* the owner's; NULL when free or ending */
    unsigned seat;

    pid_t pid;      /* 0: no process */
    ev_io voice;    /* its fd is -1 when closed */
    ev_timer timer; /* starting, ending: how long at most; waiting: until its next birth */
    int64_t born_ms;
    unsigned pause_ms;
};

void row_init(struct row *r, unsigned number, struct ev_loop *loop, const struct row_events *events,
              void *cookie);

/* row_fork(r): FREE or WAITING to STARTING. Fails FAULT_SYSTEM (diag has said why): the row is as it was. */
enum fault row_fork(struct row *r) CHECKED;

/* row_wait(r): its process is gone; it is forked again when its pause is over. */
void row_wait(struct row *r);
void row_free(struct row *r);

/* row_end(r, drain_ms): SIGTERM, and SIGKILL 5 s after ${drain_ms} (0: never). Harmless when free or
 * ending. */
void row_end(struct row *r, uint64_t drain_ms);

/* row_reap(r, status): waitpid() gave its pid. */
void row_reap(struct row *r, int status);

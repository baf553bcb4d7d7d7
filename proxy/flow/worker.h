#pragma once
#include "config.h"
#include <ev.h>

/*
 * worker - one process' whole data path: its loop, links, caches and connections.
 *
 *   Layer   flow.
 *   Why     processes share nothing but the pages of counters; a crash costs one worker's connections.
 */
enum listener_kind { LISTENER_REDIRECT, LISTENER_DIRECT, LISTENER_HTTP, LISTENER_CONNECT };

struct listener {
    int fd; /* bound and listening, non-blocking, close-on-exec */
    enum listener_kind kind;
};

/* What the master gives a worker at its birth. */
struct worker_seat {
    unsigned row; /* of the shared pages, below WORKER_ROWS */
    const struct listener
        *listeners; /* borrowed for worker_new; their descriptors are the worker's from then on */
    size_t listener_count;
    uint8_t ticket_root[32]; /* of this boot: workers of one master take each other's tickets */
};
#define WORKER_ROWS 128

struct worker;

/*
 * worker_pages_open(): the pages that all workers share. Once, in the master, before the first fork.
 * worker_pages_free_row(row): the worker of this row has ended: what it held is no longer counted.
 */
enum fault worker_pages_open(void) CHECKED;
void worker_pages_free_row(unsigned row);

/*
 * worker_new(config, seat, out): in the worker's process, with the rights it was started with: opens the arena, the key
 *   file, the audit log and the upstream roots.
 *   Fails   any fault; diag has said what and where.
 */
enum fault worker_new(const struct config *config, const struct worker_seat *seat,
                      struct worker **out) CHECKED;

/*
 * worker_run(w): serve until SIGTERM, then drain: stop accepting, close idle connections, let requests end, at most
 *   drain_timeout. Gives the exit code. METRIC_WORKER_READY of its row is 1 while it can serve.
 */
int worker_run(struct worker *w);

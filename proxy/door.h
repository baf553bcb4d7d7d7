#pragma once
#include "worker.h"

/*
 * door - the listening sockets of one generation of workers.
 *
 *   Layer   program.  Used by: master.
 *   Why     each worker has its own socket for each address (SO_REUSEPORT), so its own queue; the master
 *           keeps every socket open, so a queue outlives the worker that dies and a reload that leaves its
 *           address as it is.
 *   Bounds  a wildcard and one of its addresses can't share a port: the kernel's refusal stands.
 */
struct door {
    struct endpoint at;
    enum listener_kind kind;
    unsigned index; /* at this address; worker ${seat} has those with index % workers == seat */
    int fd;
};

struct doors {
    struct door *row;
    size_t count;
};

/*
 * doors_open(config, workers, before, out): a socket at each address for each worker.
 *   Takes   before  the generation that serves now, or NULL. At an address that it has, its sockets are used
 *                   again (the same queues under new descriptors), all of them even if there are fewer
 *                   workers now.
 *   Fails   FAULT_SYSTEM, FAULT_INVALID (an address twice), FAULT_NO_MEMORY: diag has said where, nothing is
 *           open.
 */
enum fault doors_open(const struct config *config, unsigned workers, const struct doors *before,
                      struct doors *out) CHECKED;
void doors_close(struct doors *d);

/*
 * doors_seat(d, seat, workers, out, count): in the worker's process: the listeners of that seat; the others
 * are closed.
 *   Owns    *out is the caller's, to be freed; the descriptors stay open.
 */
enum fault doors_seat(struct doors *d, unsigned seat, unsigned workers, struct listener **out,
                      size_t *count) CHECKED;

#pragma once
#include "config.h"

/*
 * master - opens the listeners, keeps the workers alive, reloads, ends.
 *
 *   Layer   program.  Used by: main.
 *   Why     what meets hostile octets may die; what starts it again meets none of them.
 *   Bounds  WORKER_ROWS workers of all generations, half of it in one. A generation comes up as a whole
 *           within 60 s or is taken back as a whole. A worker that dies young is started again after 100 ms,
 *           doubling to 5 s.
 *   Source  contract section 6: signals, max_connections.
 */
struct master_source { /* where the configuration is read again */
    const char *path;
    const char *const *sets;
    size_t set_count;
};

/*
 * master_run(config, source): serve until SIGTERM or SIGINT. Gives the exit code.
 *   Takes   config  as read from ${source}; wiped once it is taken over.
 */
int master_run(struct config *config, const struct master_source *source);

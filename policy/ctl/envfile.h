#pragma once
#include "chest.h"
#include "outfile.h"

/*
 * envfile - what a sandbox is given: its environment, its CA, its bundle of roots.
 *
 *   Layer   program (osbctl).
 *   Source  contract, section 5.
 */
struct envfile {
    struct outfile env, ca, bundle;
};

/* envfile_reserves(name): is the variable ${name} one that steers programs, and so none for a secret? */
bool envfile_reserves(const char *name);

/* envfile_paths_ok(order): do --ca-path and --bundle-path fit into a line of the file? Fails OUTCOME_REFUSED. */
enum outcome envfile_paths_ok(const struct order *order) CHECKED;

/* envfile_text(order, sandbox): the lines; free them. */
char *envfile_text(const struct order *order, const struct chest *sandbox);

/* envfile_json(order, sandbox): the same as an object. */
json_t *envfile_json(const struct order *order, const struct chest *sandbox);

/* envfile_write(order, sandbox, out): what --env-file, --ca-file and --bundle-file ask for, not yet in place. */
enum outcome envfile_write(const struct order *order, const struct chest *sandbox,
                           struct envfile *out) CHECKED;
enum outcome envfile_commit(struct envfile *f) CHECKED;
void envfile_drop(struct envfile *f);

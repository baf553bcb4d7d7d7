#pragma once
#include "chest.h"

/*
 * sandboxes - what the verbs for sandboxes have in common.
 *
 *   Layer   program (osbctl).
 */

/* sandbox_object(c): as the SDK has it. */
json_t *sandbox_object(const struct chest *c);

/* sandbox_read(d, id, out): Fails OUTCOME_NOT_FOUND, said; also for a draft (see entry.h). */
enum outcome sandbox_read(struct desk *d, const char *id, struct chest *out) CHECKED;

/* sandbox_missing(id): says so; OUTCOME_NOT_FOUND. */
enum outcome sandbox_missing(const char *id) CHECKED;

/* sandbox_ca_lasts(c, until_ms): is its CA's certificate good for a sandbox with this end? */
bool sandbox_ca_lasts(const struct chest *c, int64_t until_ms);

#define SANDBOX_DAYS_MAX 3650
#define DAY_S            86400

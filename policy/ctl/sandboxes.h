#pragma once
#include "chest.h"

/*
 * sandboxes - what create, and the verbs that only look or end, have in common.
 *
 *   Layer   program (osbctl).
 */

/* sandbox_object(c): as the SDK has it. */
json_t *sandbox_object(const struct chest *c);

/* sandbox_read(d, id, out): Fails OUTCOME_NOT_FOUND, said. */
enum outcome sandbox_read(struct desk *d, const char *id, struct chest *out) CHECKED;

/* sandbox_remove(d, id, policy): record, index, sets; the proxies are told. ${policy} NULL: not readable. */
enum outcome sandbox_remove(struct desk *d, const char *id, const json_t *policy) CHECKED;

#define SANDBOX_DAYS_MAX 3650
#define DAY_S            86400

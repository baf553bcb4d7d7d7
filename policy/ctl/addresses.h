#pragma once
#include "desk.h"
#include "record.h"
#include <jansson.h>

/*
 * addresses - what --ip asks for.
 *
 *   Layer   program (osbctl).
 */

/* addresses_take(d, out, n): each once, in their order; room for RECORD_ADDRESSES_MAX. Fails OUTCOME_USAGE where there are
 * none, OUTCOME_REFUSED. */
enum outcome addresses_take(const struct desk *d, struct ip *out, size_t *n) CHECKED;

bool addresses_have(const struct ip *list, size_t n, struct ip ip);

/* addresses_json(list, n): as a policy has them. */
json_t *addresses_json(const struct ip *list, size_t n);

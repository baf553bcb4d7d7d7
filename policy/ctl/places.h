#pragma once
#include "order.h"
#include "record.h"
#include <jansson.h>

/*
 * places - from an operator's words to what a policy says: hosts and places, checked and in canonical form.
 *
 *   Layer   program (osbctl).
 */

/* hosts_take(order, option, out): every pattern given for ${option}, once; warnings are said. Fails OUTCOME_REFUSED. */
enum outcome hosts_take(const struct order *order, enum option option, json_t **out) CHECKED;

/* places_take(order, out): the bits of every --in; *out stays where there is none. Fails OUTCOME_REFUSED. */
enum outcome places_take(const struct order *order, unsigned *out) CHECKED;

json_t *places_json(unsigned places);
unsigned places_of_json(const json_t *places);

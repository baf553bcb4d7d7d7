#pragma once
#include "outcome.h"
#include "secret.h"

/*
 * value - a secret's value, from a file or stdin straight into the arena.
 *
 *   Layer   program (osbctl).
 *   Why     the octets are read into locked memory and are nowhere else in the process.
 */

/*
 * value_read(path, out): the exact octets of ${path} ("-": stdin); one final LF is dropped if it is the only one.
 *   Fails   OUTCOME_FAILED, not readable; OUTCOME_REFUSED, empty or longer than SECRET_OCTETS_MAX.
 */
enum outcome value_read(const char *path, struct secret **out) CHECKED;

/* value_advise(name, value, places): what the operator should know about it, on stderr; nothing of it. */
void value_advise(const char *name, const struct secret *value, unsigned places);

#pragma once
#include "slice.h"

/*
 * spotter - counts how often a value stands in octets that arrive in pieces.
 *
 *   Layer   program (osb-bench).
 *   Bounds  values of 1 to SPOTTER_MAX octets; keeps fewer octets than the value has.
 */
#define SPOTTER_MAX 4096

struct spotter {
    uint64_t seen;
    size_t kept;
    uint8_t *tail; /* room for 2 * (value.len - 1), the caller's */
};

/* spotter_feed(s, value, in): the next octets. Overlapping occurrences count as one. */
void spotter_feed(struct spotter *s, struct slice value, struct slice in);

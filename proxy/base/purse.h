#pragma once
#include "fault.h"
#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * purse - what one sandbox may still hold of this worker's memory, disk and locked memory.
 *
 *   Layer   base.  Used by: coding, spool, scrubs.
 *   Why     one sandbox that opens many large bodies at once must not take the room of the others.
 *   Bounds  three numbers, set by the owner; it outlives all that was taken from it.
 */
struct purse {
    uint64_t memory, disk; /* octets left: of bodies and codings */
    uint64_t locked;       /* of the arena, for what is made of values */
};

/* purse_take(left, octets): true, or false and nothing taken. purse_give(left, octets): what was taken is free again. */
static inline bool purse_take(uint64_t *left, uint64_t octets)
{
    if (octets > *left)
        return false;
    *left -= octets;
    return true;
}

static inline void purse_give(uint64_t *left, uint64_t octets)
{
    assert(octets <= UINT64_MAX - *left);
    *left += octets;
}

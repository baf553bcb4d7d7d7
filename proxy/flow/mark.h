#pragma once
#include "fault.h"
#include "slice.h"
#include <stdint.h>

/*
 * mark - the highest version that any worker of this master has seen of a sandbox' record.
 *
 *   Layer   flow.
 *   Why     whoever can write to Redis could bring an older record back: a wider list, a value that was rotated
 *           away. A worker that is born later (reload, crash) must know what the others knew.
 *   Bounds  MARK_SLOTS sandboxes; one that finds no slot has only its worker's own memory. Gone with the master.
 *   Source  contract section 8.
 */
#define MARK_SLOTS 65536

/* mark_open(): the shared page. Once, before the first fork. */
enum fault mark_open(void) CHECKED;

/*
 * mark_raise(id, version): an authentic record of ${id} has ${version}.
 *   Gives   true, and the mark is at least ${version}; false: a newer one was seen before.
 */
bool mark_raise(struct slice id, uint64_t version);

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
 *   Bounds  MARK_SLOTS sandboxes; where there is no room for one, the mark of the record that was written longest ago goes.
 *           Gone with the master.
 *   Source  contract section 8.
 */
#define MARK_SLOTS 65536

/* mark_open(): the shared page. Once, before the first fork. */
enum fault mark_open(void) CHECKED;

/*
 * mark_raise(id, version): an authentic record of ${id} has ${version}.
 *   Gives   the highest that was seen, this one included: above ${version}, what was read is an older one, brought back.
 */
uint64_t mark_raise(struct slice id, uint64_t version);

/* mark_seen(id): the highest so far; 0: none. */
uint64_t mark_seen(struct slice id);

#pragma once
#include "buf.h"

/*
 * respwrite - commands as Redis reads them: arrays of bulk strings (RESP2).
 *
 *   Layer   flow.
 *   Why     straight into the buffer that is sent and wiped: hiredis' formatter would leave a copy in the common heap.
 */

/* respwrite_command(out, argv, argc): append one. Fails FAULT_FULL, and none of it is in ${out}. */
enum fault respwrite_command(struct buf *out, const struct slice *argv, size_t argc) CHECKED;

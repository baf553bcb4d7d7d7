#pragma once
#include "exchange.h"

/*
 * response - the way down of one exchange: head, body and trailers to the client, without the values that went up.
 *
 *   Layer   flow.
 *   Why     a host that repeats what it was sent must not hand a value to the sandbox.
 *   Source  contract section 3.
 */

/* response_pass(x): go on as far as possible. FAULT_NONE: the whole answer is in the client's stream. */
enum fault response_pass(struct exchange *x) CHECKED;

/* response_close(x): what was held back is dropped and wiped. */
void response_close(struct exchange *x);

#pragma once
#include "exchange.h"

/*
 * request - the way up of one exchange: its body counted where its length may change, then head, body and trailers to the
 *   host.
 *
 *   Layer   flow.
 *   Source  contract section 3.
 */

/*
 * request_hold(x): a body whose new length must be known first (PLAN_COUNT, PLAN_OPEN) is collected, and counted as it
 *   comes.
 *   Gives   FAULT_NONE: it is whole, x->request says its length, x->plan what is left to be done with it.
 *   Fails   FAULT_AGAIN, FAULT_FULL (the client must be told to go on, and there is no room to), what the body's tokens
 *           forbid, FAULT_OVERLOADED, FAULT_SYSTEM, any fault of the client's stream.
 */
enum fault request_hold(struct exchange *x) CHECKED;

/* request_begin(x): the lease has a stream: the way up begins, or begins anew. Fails FAULT_NO_MEMORY. */
enum fault request_begin(struct exchange *x) CHECKED;

/* request_send(x): go on as far as possible. FAULT_NONE: all of it is in the host's stream. */
enum fault request_send(struct exchange *x) CHECKED;

/* request_rewind(x): can it be sent once more? */
bool request_rewind(struct exchange *x);

/* request_close(x): what was held is wiped. */
void request_close(struct exchange *x);

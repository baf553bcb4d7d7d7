#pragma once
#include "buf.h"
#include "fault.h"
#include "slice.h"

/*
 * filter - what changes octets on their way from one stream to another.
 *
 *   Layer   codec: the interface; subst, scrub and websocket are filters.
 *   Why     relay moves a body and need not know what is done to it.
 *   Bounds  a filter keeps none of its input: what it can't judge yet is left over, and is fed again in front of what
 *           follows, as one run.
 */
struct filter {
    /*
     * feed(f, in, last, out, used): append what becomes of ${in} to ${out}.
     *   Takes   last  nothing follows, so that nothing need be left over.
     *   Gives   *used octets of ${in} dealt with; feed the rest again, with more.
     *   Fails   FAULT_NONE is given with at most ${hold} octets left over, with none when ${last}. FAULT_FULL: ${out} has no
     *           room: drain it, call again with the rest. FAULT_AGAIN: what is half out goes on with more octets only. Any
     *           other fault ends the exchange.
     */
    enum fault (*feed)(struct filter *f, struct slice in, bool last, struct buf *out, size_t *used) CHECKED;
    size_t hold; /* the most octets that are ever left over */

    /*
     * ease(f, left, out): nothing has come for a while; append what of ${left}, all that is left over, need not wait any
     *   longer, as much as there is room for. It is fed again all the same, in front of what follows, and only what is not
     *   yet out is appended then. NULL: what is left over waits.
     */
    void (*ease)(struct filter *f, struct slice left, struct buf *out);
};

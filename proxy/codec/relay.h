#pragma once
#include "filter.h"
#include "stream.h"

/*
 * relay - the body of one message, from one stream to another, in one direction of an exchange.
 *
 *   Layer   codec.
 *   Why     a body is moved, filtered and framed anew in one pass, whatever protocols the two streams speak.
 *   Bounds  holds nothing back but what the filter leaves over, over the cuts between runs (chunks, frames, records), and
 *           has memory only while it does: RELAY_CARRY octets, or twice filter->hold where that is more.
 */
#define RELAY_CARRY 16384 /* a pooled size */

struct relay {
    struct stream *from, *to;
    struct filter *filter; /* NULL: verbatim */
    struct buf carry;      /* left over at the end of a run */
    bool stuck;            /* ${to} had no room for what is carried: it can go on without more octets */
    uint64_t came;         /* octets of ${from} taken so far */
    uint64_t octets;       /* written so far */
};

/*
 * relay_body(r): move what can be moved.
 *   Fails   FAULT_END    the body is whole and all of it is written; trailers and write_end are next.
 *           FAULT_AGAIN  ${from} has no more now. FAULT_FULL: ${to} has no room now. Any fault of the two streams or of the
 *           filter.
 */
enum fault relay_body(struct relay *r) CHECKED;

/* relay_ease(r): nothing has come for a while: the filter may let go of what it left over. Fails FAULT_FULL: ${to} had no
 * room for all of it: again when it has. */
enum fault relay_ease(struct relay *r) CHECKED;

/* relay_close(r): what was held back is dropped and wiped. Harmless on a zeroed one. */
void relay_close(struct relay *r);

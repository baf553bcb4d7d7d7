#pragma once
#include "stream.h"
#include "subst.h"

/*
 * relay - the body of one message, from one stream to another, in one direction of an exchange.
 *
 *   Layer   codec.
 *   Why     a body is moved, substituted and framed anew in one pass, whatever protocols the two streams speak.
 *   Bounds  holds nothing back but what may be the start of a token, over the cuts between runs (chunks, frames, records).
 */
struct relay {
    struct stream *from, *to;
    struct subst *subst; /* NULL: verbatim */
    struct buf
        *held; /* the body's octets that were collected before; read instead of ${from}'s. NULL: none were */
    size_t held_at;
    uint8_t carry[SUBST_HOLD + SUBST_TOKEN]; /* held back at the end of a run */
    size_t carried;
    uint64_t octets; /* written so far */
};

/*
 * relay_body(r): move what can be moved.
 *   Fails   FAULT_END    the body is whole and all of it is written; trailers and write_end are next.
 *           FAULT_AGAIN  ${from} has no more now. FAULT_FULL: ${to} has no room now. Any fault of the two streams.
 */
enum fault relay_body(struct relay *r) CHECKED;

/* relay_wipe(r): what was held back is wiped. */
void relay_wipe(struct relay *r);

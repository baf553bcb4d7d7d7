#pragma once
#include "stream.h"

/*
 * tally - a stream that counts the body written to it and keeps none of it.
 *
 *   Layer   codec.
 *   Why     how long a body becomes is found by the very code that will write it, so the two can't differ.
 *   Bounds  a pooled buffer while octets are being written.
 */
struct tally {
    struct stream stream; /* first; room and wrote only */
    struct buf scratch;
    uint64_t octets;
};

void tally_open(struct tally *t);

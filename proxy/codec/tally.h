#pragma once
#include "stream.h"

/*
 * tally - a stream that counts the body written to it and keeps none of it.
 *
 *   Layer   codec.
 *   Why     how long a body becomes is found by the very code that will write it, so the two can't differ.
 *   Bounds  a pooled buffer while octets are being written; TALLY_TURN octets, then FULL until the next turn: a body that
 *           grows much is not counted in one go, while all others wait.
 */
#define TALLY_TURN (1024 * 1024)

struct tally {
    struct stream stream; /* first; room and wrote only */
    struct buf scratch;
    uint64_t octets, until;
};

void tally_open(struct tally *t);

/* tally_turn(t): the next TALLY_TURN octets may come. */
void tally_turn(struct tally *t);

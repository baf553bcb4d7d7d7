#pragma once
#include "fault.h"
#include "slice.h"

/*
 * chunk - reads the chunked coding, strictly.
 *
 *   Layer   codec.
 *   Why     the coding's corners (sizes with signs, LF alone, octets behind the data) are where framings diverge.
 *   Bounds  extensions are dropped: at most 1 KiB a chunk, 16 KiB a body. Sizes up to 2^62.
 *   Source  RFC 9112 s.7.1.
 */
enum chunk_state {
    CHUNK_SIZE,
    CHUNK_EXTENSION,
    CHUNK_SIZE_LF,
    CHUNK_DATA,
    CHUNK_DATA_CR,
    CHUNK_DATA_LF,
    CHUNK_LAST
};

struct chunk {
    enum chunk_state state;
    unsigned digits;     /* of the size read so far */
    uint64_t left;       /* octets of the chunk's data still to come */
    unsigned extension;  /* octets of this chunk's extension */
    unsigned extensions; /* of all */
};

void chunk_begin(struct chunk *c);

/*
 * chunk_next(c, in, skip, run): what comes next in ${in}?
 *   Gives   *skip  octets of framing to take off the front of ${in} first.
 *           *run   then a run of body octets, as long as ${in} has them; the caller says by chunk_took how many it used.
 *   Fails   FAULT_AGAIN        nothing but framing in ${in} (take *skip off, come back with more).
 *           FAULT_END          the last chunk's line is read; the trailer section begins behind *skip.
 *           FAULT_BAD_REQUEST  outside the grammar.
 */
enum fault chunk_next(struct chunk *c, struct slice in, size_t *skip, struct slice *run) CHECKED;
void chunk_took(struct chunk *c, size_t n);

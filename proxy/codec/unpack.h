#pragma once
#include "coding.h"
#include "stream.h"

/*
 * unpack - a stream whose body is another stream's body, decoded.
 *
 *   Layer   codec.  Uses: coding.
 *   Why     who looks into a body need not know that it was packed.
 *   Bounds  a decoder's memory, and UNPACK_OCTETS while decoded octets are there. A body that grows beyond its caps, or
 *           that says nothing for UNPACK_BARREN octets, is refused: a bomb costs what the caps allow and no more.
 */
#define UNPACK_OCTETS 16384         /* made at once: a pooled size */
#define UNPACK_FREE   65536         /* made before the ratio counts: a short body of blanks is no bomb */
#define UNPACK_BARREN (1024 * 1024) /* read in a row without an octet made */

/* What a decoded body may come to; 0: any. */
struct unpack_caps {
    uint64_t octets; /* in all */
    uint64_t ratio;  /* for each octet that came */
};

struct unpack {
    struct stream stream; /* first; it has no head, and nothing is written to it */
    struct stream *from;
    enum coding coding;
    struct unpack_caps caps;
    enum fault bad;
    struct purse *purse;
    struct decoder *decoder; /* NULL behind the end, and after a fault */
    struct buf out;
    uint64_t came, made;
    uint64_t barren;  /* of came, since the last octet was made */
    bool pending;     /* the decoder has more to give than there was room for */
    bool whole;       /* ${from} may end here */
    enum fault ended; /* END, or the fault that ended it; NONE while it goes on */
};

/*
 * unpack_open(u, from, coding, caps, bad, purse): read ${from}'s body as if it were not coded.
 *   Takes   from   its head was read, of its body nothing; outlives ${u}.
 *           bad    the fault that body gives for what is not of this coding or is cut short; one over its caps is
 *                  FAULT_BODY_TOO_LARGE.
 *           purse  for the decoder; may be NULL.
 *   Gives   a stream: body, took, trailers and commit as of ${from}; a body without an octet is an empty one. rewind is
 *           ${from}'s, and begins to decode anew.
 *   Fails   FAULT_NO_MEMORY.
 */
enum fault unpack_open(struct unpack *u, struct stream *from, enum coding coding, struct unpack_caps caps,
                       enum fault bad, struct purse *purse) CHECKED;

/* unpack_close(u): wiped, the purse repaid. Harmless twice, and on a zeroed one. ${from} stays as it is. */
void unpack_close(struct unpack *u);

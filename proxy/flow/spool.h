#pragma once
#include "purse.h"
#include "stream.h"

/*
 * spool - a body that is kept while it is read for the first time, so that it can be read again.
 *
 *   Layer   flow.
 *   Why     a length that changes must be known before the first octet goes; the body says what it will be.
 *   Bounds  ${memory} octets in memory; beyond that all of it in a file that never has a name (O_TMPFILE in $TMPDIR, else
 *           /var/tmp, else /tmp) and SPOOL_RUN in memory. It only sees what the sandbox sent: sealed tokens, never a value.
 *           The file's reads and writes block, in pieces of SPOOL_RUN.
 */
#define SPOOL_RUN 65536 /* the longest run out of the file, and of the first pass: a pooled size */

struct spool {
    struct stream stream; /* first; it has no head, and nothing is written to it */
    struct stream *from;
    size_t memory;
    uint64_t most;
    struct purse *purse;
    uint64_t memory_taken, disk_taken; /* from the purse */
    struct buf held;                   /* the body; of one with a file, the octets from ${window} on */
    int file;                          /* 0: none; else the descriptor and one */
    uint64_t octets, filed;            /* kept; of them in the file */
    uint64_t at, window;               /* read so far */
    bool keeping;                      /* what is read is kept */
    bool whole;                        /* ${from} said END */
    bool beyond;                       /* something was read that was not kept: no way back */
    bool committed;
    bool trailed;          /* ${from} gave its trailers, which it does once */
    struct head *trailers; /* them; NULL: none */
};

/*
 * spool_open(s, from, memory, most, purse): a stream whose body is ${from}'s. Each octet is kept before it is given, and
 *   the first pass gives it as soon as it came.
 *   Takes   from    its head was read, of its body nothing; its head's slices end with the first octet (keep a copy).
 *                   Outlives ${s}.
 *           memory  0: none of the body is ever in memory alone.  purse  NULL: not accounted.
 *   Fails   nothing; but in the first pass body can give, beside ${from}'s faults:
 *           FAULT_BODY_TOO_LARGE  it is longer than ${most}: what there is can be read again, the rest is still ${from}'s.
 *           FAULT_OVERLOADED      the purse is empty, or the disk is full. FAULT_SYSTEM: the disk fails. FAULT_NO_MEMORY.
 *   rewind is spool_again until commit, or until something was read that was not kept. Trailers are given as often as asked.
 */
void spool_open(struct spool *s, struct stream *from, size_t memory, uint64_t most, struct purse *purse);

/*
 * spool_again(s): read from the first octet again. Where the first pass did not come to the end, what is kept is followed by
 *   what ${from} still brings, and that is not kept.
 *   Fails   of the disk and the purse as in the first pass.
 */
enum fault spool_again(struct spool *s) CHECKED;

/* spool_close(s): memory wiped, file gone, purse repaid. Harmless twice, and on a zeroed one. ${from} stays as it is. */
void spool_close(struct spool *s);

#pragma once
#include "filter.h"
#include "media.h"
#include "scrubs.h"

/*
 * scrub - masks the values of a set that come back in one stream of octets.
 *
 *   Layer   codec: octets in, octets out.
 *   Why     a host may repeat what it was sent; the sandbox must not learn a value by that.
 *   Bounds  equal length: a mask is "osb_redacted" and as many "*" as it takes. Holds back less than the longest pattern
 *           (SCRUB_PIECE at most); allocates nothing; linear.
 *
 * What is held back. No octet may go out that a pattern not yet complete may begin at. But if octets were held because they
 * look like the beginning of a value, a sandbox that has its guesses repeated to it would see by the delay which is
 * right, and so learn a value octet by octet. Therefore:
 *
 *   1. Octets are held by where words end: all that stands behind the last word end, whatever it is, but never more than the
 *      longest pattern less one octet. A word ends in CR or LF; also in SP or HTAB when no pattern of the set has either.
 *      No pattern without CR and LF can go on over the end of a word: so what is before it is settled, and a line, an
 *      event or a record of NDJSON goes out with the octet that ends it.
 *   2. A pattern of several lines (a PEM key) can. So what may be its beginning up to that last CR or LF is held too. Here a
 *      comparison can't be avoided: without it every line of every stream would be late. It is made of whole lines, in
 *      steps: the first line, then SCRUB_LEAST octets or more at once; lines between two steps are compared by their
 *      length alone. All that can be asked by the delay is whether a whole step is right.
 *   3. A host that talks in turns need not end its lines, and waits while octets are held here. So after a silence they are
 *      let go (ease), again whatever they say, but for what agrees with a pattern in whole steps: its first PATTERN_STEP
 *      octets, then four times as many, and so on. All that can be asked by this delay is whether eight octets are right
 *      at once, then whether 24 more are. Equal steps would not do: the spellings of one value cut it at different places,
 *      so that each asks only for what lies between its cut and the cut before, and long values would be told in parts.
 *      Less than PATTERN_STEP octets of a value can get out so, where the host itself falls silent in the middle of it; the
 *      rest is masked when it comes.
 *   4. Who waits for a gRPC message (MEDIA_GRPC: a flag octet, a length of four, the message) waits for its end, and that is
 *      no word end. So what is left over up to the end of a message is let go with its last octet, by the steps of rule 3:
 *      nothing can be asked by it that can't be asked by a silence. Else the octets are searched as one stream, envelopes
 *      and all: a label may be wrong, and whoever chooses where messages end does not cut a value in two by that, but for
 *      the less than PATTERN_STEP octets that get out in front of a silence, too.
 *
 * An exchange that is cut off: what was left over is dropped with it, since it may be most of a value.
 */
struct scrub {
    struct filter filter;
    const struct scrubs *scrubs;
    uint64_t hits; /* masks begun */
    /* private */
    struct scrubs_paint paint;
    bool enveloped;   /* MEDIA_GRPC */
    uint8_t envelope; /* octets of the envelope that went by */
    uint64_t left;    /* octets of the message that are still to come */
    /* octets at the front of what comes next: */
    size_t followed; /* in which messages were followed */
    size_t ended;    /* up to the last end of a message; 0: none */
    size_t ahead;    /* that were let go */
};

/*
 * scrub_begin(s, set, media): a filter at the beginning of a stream; to begin another stream, begin again.
 *   Takes   set    not NULL; outlives the filter.
 *   Costs   feed copies once and reads twice; where messages end, what is left over (SCRUB_PIECE at most) once more. It
 *           never gives FAULT_AGAIN.
 */
void scrub_begin(struct scrub *s, const struct scrubs *set, enum media media);

#pragma once
#include "slice.h"

/*
 * seek - a text of our own in octets that come in pieces.
 *
 *   Layer   codec. Used by subst, ground and standing.
 *   Bounds  the text: 2 to SEEK_MOST octets without NUL, and its first octet is in it once, so that no two beginnings of it
 *           overlap: a piece's end cuts off at most one, and no hostile input makes the search more than linear.
 */
#define SEEK_MOST 96

/* seek_first(in, text): the offset of the first whole ${text} in ${in}; in.len where there is none. A vector search. */
size_t seek_first(struct slice in, struct slice text);

/* seek_begun(in, text): the offset of a ${text} that the end of ${in} cuts off; in.len where there is none. */
size_t seek_begun(struct slice in, struct slice text);

/*
 * seek_on(in, text, matched): search on through the next piece.
 *   Takes   *matched  octets of ${text} that the pieces before ended with; kept for the next one.
 *   Gives   the offset behind ${text}, with *matched its length; in.len and less where it is not, or not yet, whole. Set
 *           *matched to nothing before searching on behind it.
 */
size_t seek_on(struct slice in, struct slice text, size_t *matched);

/* seek_plain(in, text): seek_first where the machine has no SSE2; here for their test alone. */
size_t seek_plain(struct slice in, struct slice text);

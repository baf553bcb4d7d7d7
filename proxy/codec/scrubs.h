#pragma once
#include "fault.h"
#include "purse.h"
#include "secret.h"
#include "slice.h"

/*
 * scrubs - the patterns of one set of values, and the search for them.
 *
 *   Layer   codec: octets in, octets out.
 *   Why     a value that comes back from a host is overwritten: as it is, and in the spellings of spelling.h. Built once for
 *           a sandbox and a host, not for each request.
 *   Bounds  all that is made of values lies in the locked arena. A value is searched without the blanks and line ends around
 *           it, with or without which it may come back. A pattern has SCRUB_LEAST to SCRUB_PIECE octets: what is longer
 *           is cut into pieces of nearly half of that at least, each a pattern of its own, so a guess still has to be
 *           right in thousands of octets at once, while what is held back stays small however long a value is.
 *   Costs   the search does the same work for every octet until eight in a row are those of a pattern: its time says
 *           nothing of a shorter guess, and text full of false starts costs little more than any text. The number of
 *           patterns hardly matters. Only a value that repeats itself costs more, where it is repeated: a memcmp at
 *           each of its octets.
 */
#define SCRUB_LEAST 16
#define SCRUB_PIECE 8192
#define SCRUBS_MOST ((size_t)512 << 10) /* octets of all values of a set: more would stop the loop for long */

struct scrubs;

/*
 * scrubs_new(values, n, purse, out): the set of ${n} values.
 *   Takes   values  those shorter than SCRUB_LEAST are passed over; they aren't needed afterwards.
 *           purse   for the locked memory, repaid by the last scrubs_drop, which it outlives; NULL: not accounted.
 *   Gives   *out    held once; NULL when no value is left.
 *   Fails   FAULT_NO_MEMORY: the arena is full, or the purse empty. FAULT_OVERLOADED: more than SCRUBS_MOST.
 *   Costs   about 30 us for a value of 40 octets, 70 ms for SCRUBS_MOST.
 */
enum fault scrubs_new(const struct secret *const *values, size_t n, struct purse *purse,
                      struct scrubs **out) CHECKED;

/* scrubs_hold(s): ${s}, held once more. scrubs_drop(s): once less; the last one wipes it. NULL is harmless to both. */
struct scrubs *scrubs_hold(struct scrubs *s);
void scrubs_drop(struct scrubs *s);

/* scrubs_seen(s, text): is a whole pattern in ${text}? NULL: no. */
bool scrubs_seen(const struct scrubs *s, struct slice text);

/* scrubs_mask(s, text, octets): overwrite in place, by a mask of equal length, what whole patterns cover of ${text}; gives
 * the number of masks. For text that is all there, as the fields of a head. NULL: nothing. */
size_t scrubs_mask(const struct scrubs *s, uint8_t *text, size_t octets);

/* The octets of the longest pattern. */
size_t scrubs_longest(const struct scrubs *s);

/*
 * scrubs_settled(s, text): how many octets at the front of ${text} no whole pattern can begin in that what follows would
 *   complete. The rule of what is held back, see scrub.h.
 */
size_t scrubs_settled(const struct scrubs *s, struct slice text);

/*
 * scrubs_threat(s, text, ahead): when nothing has come for a while: where in ${text}, which is not settled, a pattern may
 *   have begun, as far as whole steps of some octets tell; text.len: nowhere.
 *   Takes   ahead  octets at its front that were let go by an earlier answer. Nothing begins there but in the last few: it
 *                  may be less than ${ahead}.
 */
size_t scrubs_threat(const struct scrubs *s, struct slice text, size_t ahead);

/* Where painting stands between two runs of one stream; zeroed: at its beginning. */
struct scrubs_paint {
    size_t covered; /* octets at the front of what follows that a pattern covers which began earlier */
    size_t painted; /* octets of the mask that are out; 0: the octet before is none of a mask */
    uint64_t masks; /* begun so far */
};

/*
 * scrubs_paint(s, text, n, into, paint): put masks where patterns that begin in the first ${n} octets of ${text} stand.
 *   Takes   n     settled; what is behind them is looked at, no more.
 *           into  a copy of those ${n} octets, or they themselves.
 *   Gives   patterns that overlap or touch are covered by one mask.
 */
void scrubs_paint(const struct scrubs *s, struct slice text, size_t n, uint8_t *into,
                  struct scrubs_paint *paint);

#pragma once
#include "slice.h"

/*
 * framing - finds where an HTTP/1 message ends, and the few words of its head that matter here.
 *
 *   Layer   program (osb-bench): octets in, pieces out; no socket.
 *   Why     both ends of a measurement need it, and neither may share the code that is measured. It is cheap rather
 *           than strict: what it can't read is FRAMING_BROKEN, what it needn't read is passed over.
 *   Bounds  keeps FRAMING_LINE octets of a line and drops the rest, so an idle connection costs no buffer.
 *   Source  RFC 9112 s.6.3, s.7.1.
 */
#define FRAMING_LINE 200

enum framing_end { FRAMING_MORE, FRAMING_DONE, FRAMING_BROKEN };

struct framing {
    bool request;  /* else an answer */
    bool bodiless; /* set by the caller: an answer to HEAD */

    unsigned status; /* of an answer */
    bool close;      /* the sender will close */
    char first[FRAMING_LINE + 1];

    uint64_t left; /* of the body or the chunk; framing's own, as all below */
    bool chunked, sized;
    unsigned state;
    size_t line_len;
    char line[FRAMING_LINE];
};

/* framing_start(f, request): before each message; bodiless is forgotten. */
void framing_start(struct framing *f, bool request);

/*
 * framing_feed(f, in, used, body): the next step of one message; call again with the rest while there is one.
 *   Gives   *used  octets of ${in} dealt with.  *body  those of them that were body, one piece; else empty.
 */
enum framing_end framing_feed(struct framing *f, struct slice in, size_t *used, struct slice *body);

/* framing_close(f): the sender closed; an answer may end so. */
enum framing_end framing_close(const struct framing *f);

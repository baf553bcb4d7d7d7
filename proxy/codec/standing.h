#pragma once
#include "ground.h"

/*
 * standing - where in a body an octet stands.
 *
 *   Layer   codec: told what goes by, asked at a token; subst asks.
 *   Why     how a value is escaped, and whether it may be put there at all, depends on it.
 *   Bounds  constant memory, linear, whatever the cuts. A multipart body that two readers could cut differently (a
 *           boundary with more behind it, bare CR or LF in a part's head) is barred from there to its end.
 *   Source  RFC 2046 s.5.1.1.
 */
#define STANDING_AHEAD     (STANDING_DELIMITER + 2) /* octets behind a token that may have to be seen */
#define STANDING_DELIMITER (4 + MEDIA_BOUNDARY_MAX) /* CRLF, two dashes, the boundary */
#define STANDING_FIELD     ((size_t)256)            /* octets of a part's head field that are looked at */

struct standing {
    struct ground ground; /* of the body, or of the part that it is in */
    enum {
        STANDING_WHOLE,
        STANDING_PREAMBLE,
        STANDING_LINE,
        STANDING_HEAD,
        STANDING_PART,
        STANDING_LOST
    } state;
    uint8_t delimiter[STANDING_DELIMITER];
    size_t delimiter_octets, matched; /* so much of it went by */
    uint8_t field[STANDING_FIELD];    /* of a part's head, unfolded */
    size_t field_octets;
    bool line_begun, cr; /* of the line that it is in; its last octet is a CR */
    bool typed;          /* the part has said its Content-Type */
    enum media part;
};

/*
 * standing_begin(s, media, boundary): at the first octet of a body.
 *   Takes   boundary  media_boundary's, copied; needed for MEDIA_MULTIPART only.
 */
void standing_begin(struct standing *s, enum media media, struct slice boundary);

/* standing_pass(s, octets): these octets of the body went by, before anything is put in; a token as itself. */
void standing_pass(struct standing *s, struct slice octets);

/*
 * standing_at(s, rest, last, out): where what comes next stands.
 *   Takes   rest  begins with a token. last: the body ends with ${rest}.
 *   Gives   *out, as ground_at; in a multipart by the part's own type (a multipart in it: as text). Barred: all that is
 *           not a part's body, and a part that is binary or has a transfer encoding.
 *   Fails   FAULT_AGAIN: more octets behind the token decide, at most STANDING_AHEAD.
 */
enum fault standing_at(const struct standing *s, struct slice rest, bool last, struct where *out) CHECKED;

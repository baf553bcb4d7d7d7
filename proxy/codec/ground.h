#pragma once
#include "escape.h"
#include "fault.h"
#include "media.h"

/*
 * ground - where the octets of one document, of one media type, stand.
 *
 *   Layer   codec: told what goes by, asked at a token. Used by standing, for a whole body or for one part of it.
 *   Bounds  no memory but its own few octets; linear, whatever the cuts.
 */
struct where {
    enum escape escape;
    bool alone;  /* the token is the whole JSON string, form name or value, XML text or multipart part */
    bool barred; /* nothing may be put here */
};

struct ground {
    enum media media;
    bool empty;     /* nothing went by yet */
    bool inside;    /* JSON: in a string. FORM: behind the '=' of a pair. XML: in CDATA */
    bool escaped;   /* JSON: a backslash waits for its octet */
    bool edge;      /* what went by last is what a token that is alone stands behind */
    size_t matched; /* XML: octets of the next border of CDATA that went by */
    bool element;   /* XML: the last '<' begins an element; */
    uint8_t end;    /* the octet that went by last */
};

void ground_begin(struct ground *g, enum media media);

/* ground_pass(g, octets): these went by. */
void ground_pass(struct ground *g, struct slice octets);

/*
 * ground_at(g, behind, last, out): where a token that comes next stands.
 *   Takes   behind  what follows the token. last: the document ends with ${behind}.
 *   Gives   *out. MEDIA_TEXT: never alone. MEDIA_MULTIPART, MEDIA_GRPC and MEDIA_BINARY: barred, as is what a JSON
 *           string's backslash stands before.
 *           XML is looked at for CDATA and for nothing else: in a comment, or in a script of HTML, a value is escaped too.
 *   Fails   FAULT_AGAIN: the octet behind the token decides, and is not there.
 */
enum fault ground_at(const struct ground *g, struct slice behind, bool last, struct where *out) CHECKED;

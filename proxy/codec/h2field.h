#pragma once
#include "buf.h"
#include "h1.h"

/*
 * h2field - the fields of one HTTP/2 header block, collected one by one, then made one head.
 *
 *   Layer   codec.  Uses: hop (the rules that h1 has too).  Used by: h2, h2stream.
 *   Why     nghttp2 screens most of this; a second reader, which knows nothing of the first, decides what is forwarded, and
 *           it gives what h1's reader gives, so that nothing behind it knows which protocol a client speaks.
 *   Bounds  holds at most limits->head_octets of fields, in buffers of its own that grow with what comes. What is over
 *           the limits, or behind the first fault, is counted and dropped: the decompressor must go on, memory need not.
 *   Source  RFC 9113 s.8.2, s.8.3.
 */
enum h2_section { H2_REQUEST, H2_RESPONSE, H2_TRAILERS };

/* One block. Zeroed or wiped it holds nothing. */
struct h2_fields {
    enum h2_section section;
    enum fault why;    /* the first thing that was wrong */
    bool regular;      /* the pseudo-fields are over */
    bool crumbs;       /* a cookie has come */
    size_t count;      /* of all fields that came but pseudo-fields, the dropped ones too */
    size_t weight;     /* of all: name + value + 4 each, as on a line of HTTP/1.1 */
    unsigned seen;     /* pseudo-fields, as bits */
    struct buf octets; /* what is kept, one behind the other */
    struct buf cookie; /* the crumbs, joined */
};

/* h2_fields_begin(f, section): a new block; what ${f} held of another is wiped. */
void h2_fields_begin(struct h2_fields *f, enum h2_section section);

/*
 * h2_fields_add(f, limits, name, value): one field, in the order of the block, pseudo-fields too.
 *   Owns   nothing: copied.
 *   Fails  never; what is wrong with it is what h2_fields_head will say.
 */
void h2_fields_add(struct h2_fields *f, const struct h1_limits *limits, struct slice name,
                   struct slice value);

/* h2_fields_bomb(f, limits): so much more than the limits allow has come that the connection should end, not the stream. */
bool h2_fields_bomb(const struct h2_fields *f, const struct h1_limits *limits);

/*
 * h2_fields_head(f, ended, head_only, out): the head of a whole block; may be asked again.
 *   Takes   ended      END_STREAM stood on its HEADERS.
 *           head_only  a response to HEAD.
 *   Gives   *out       as h1_read_request, h1_read_response and h1_trailers give it: end-to-end fields, the rest in members.
 *                      minor is 1. Crumbs of a request's cookie are one field, joined with "; ", where the first one stood
 *                      (RFC 9113 s.8.2.3). Borrowed from ${f}.
 *                      Without END_STREAM and content-length the body is BODY_STREAM; with END_STREAM BODY_NONE, or
 *                      BODY_LENGTH of 0. A response to HEAD and a 304 keep their length, though no body follows.
 *   Fails   a request: FAULT_BAD_REQUEST, FAULT_METHOD_NOT_ALLOWED, FAULT_TARGET_TOO_LARGE, FAULT_HEAD_TOO_LARGE,
 *           FAULT_HOST_MISMATCH (host is not :authority). A response: FAULT_UPSTREAM_PROTOCOL. Trailers, of either
 *           role: FAULT_BAD_REQUEST, FAULT_HEAD_TOO_LARGE. All: FAULT_NO_MEMORY.
 */
enum fault h2_fields_head(const struct h2_fields *f, bool ended, bool head_only, struct head *out) CHECKED;

/* h2_fields_for_head(f): a request by HEAD, however wrong the rest of it is: what it is told has no body either. */
bool h2_fields_for_head(const struct h2_fields *f);

/* h2_fields_wipe(f): give back what it holds. */
void h2_fields_wipe(struct h2_fields *f);

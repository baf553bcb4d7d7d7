#pragma once
#include "buf.h"
#include "chunk.h"
#include "msg.h"

/*
 * h1 - HTTP/1.1: octets to msg and back, for both roles.
 *
 *   Layer   codec.  Uses: h1lex (screens), llhttp (parses heads), hop (fields of the hop), chunk (bodies).
 *   Why     what upstream reads is what policy read: nothing of a client's head is ever forwarded as it came.
 *   Bounds  no memory of its own; a head is read whole, out of the caller's buffer.
 *   Source  RFC 9112, RFC 9110.
 */
struct h1_limits {
    size_t head_octets, fields; /* contract: head_bytes, head_fields (fields <= MSG_FIELDS_MAX) */
};

/* One direction's reader. Zeroed, it awaits a head. */
struct h1_reader {
    size_t looked;       /* h1lex_end's offset */
    enum body_kind body; /* of the message that is being read */
    bool chunked, until_close, ended;
    uint64_t left; /* BODY_LENGTH: octets to come */
    struct chunk chunk;
};

/*
 * h1_read_request(r, limits, in, out, used): the next request's head.
 *   Takes   in     what is held, from the end of the message before. One empty line before the request-line is skipped
 *                  (RFC 9112 s.2.2).
 *   Gives   *out   borrowed from ${in}. *used: octets of the head; take them off when the slices are no longer needed.
 *   Fails   FAULT_AGAIN            not whole yet.
 *           FAULT_BAD_REQUEST      outside the grammar; Host missing or twice (HTTP/1.1: exactly one; 1.0: at most one);
 *                                  Content-Length with Transfer-Encoding, twice, or not canonical 1*DIGIT < 2^62; a coding
 *                                  other than exactly "chunked"; Transfer-Encoding under 1.0; an Expect that is not
 *                                  100-continue once; blanks around the values of Host, Content-Length and
 *                                  Transfer-Encoding but one SP in front; Connection naming a guarded field, or
 *                                  more than 16 that are not of the hop; a target neither origin-form,
 *                                  absolute-form nor "*" with OPTIONS; userinfo in an authority.
 *           FAULT_METHOD_NOT_ALLOWED  CONNECT, TRACE, TRACK.
 *           FAULT_TARGET_TOO_LARGE, FAULT_HEAD_TOO_LARGE.
 *   A request for a WebSocket in all that RFC 6455 s.4.1 says has out->websocket, and its Sec-WebSocket-Extensions are taken
 *   out. Any other Upgrade is left out, and the request goes on without it (RFC 9110 s.7.8).
 *   An absolute-form target gives scheme and authority from the target, and *out's target in origin-form; its Host field
 *   must be the same text in any case (else FAULT_HOST_MISMATCH).
 */
enum fault h1_read_request(struct h1_reader *r, const struct h1_limits *limits, struct slice in,
                           struct head *out, size_t *used) CHECKED;

/* What a response answers. HEAD: no body follows, whatever the fields say. WEBSOCKET: it may be a 101. */
enum h1_asked { H1_ASKED, H1_ASKED_HEAD, H1_ASKED_WEBSOCKET };

/*
 * h1_read_response(r, limits, in, asked, out, used): the next response's head, a 1xx included (then read on; a 101, which
 *   has out->websocket, is the last).
 *   Fails   FAULT_AGAIN; FAULT_UPSTREAM_PROTOCOL for all that is outside the grammar: framing faults as for requests
 *           (equal Content-Lengths too), a status outside 100 to 599, a 101 that was not asked for or is of another
 *           protocol, Content-Length or Transfer-Encoding on 1xx and 204 (but "0" on a 204 says nothing new and is let
 *           pass; 304 and HEAD may carry them: *out then keeps the length, h1_body ends at once), a coding other than
 *           "chunked", too large.
 *   A response without framing is BODY_STREAM until close.
 */
enum fault h1_read_response(struct h1_reader *r, const struct h1_limits *limits, struct slice in,
                            enum h1_asked asked, struct head *out, size_t *used) CHECKED;

/*
 * h1_body(r, in, eof, skip, run): the next run of body octets.
 *   Takes   in    what is held behind the head. eof: the peer has ended, cleanly, behind ${in}.
 *   Gives   *skip framing octets to take off first; *run then a run borrowed from ${in}: h1_took says how many were used.
 *   Fails   FAULT_AGAIN; FAULT_END: the body is whole, and for a chunked one the trailer section is next (h1_trailers);
 *           FAULT_BAD_REQUEST (either role); FAULT_CLIENT_GONE when eof cuts the body short.
 */
enum fault h1_body(struct h1_reader *r, struct slice in, bool eof, size_t *skip, struct slice *run) CHECKED;
void h1_took(struct h1_reader *r, size_t n);

/*
 * h1_trailers(r, limits, in, out, used): after FAULT_END, once: the trailer fields (none where the body was not chunked).
 *   Gives   out->field and out->fields only; fields with TRAIT_HOP are dropped. Afterwards ${r} awaits a head.
 *   Fails   FAULT_AGAIN, FAULT_BAD_REQUEST (grammar, or a field with TRAIT_NO_TRAILER), FAULT_HEAD_TOO_LARGE.
 */
enum fault h1_trailers(struct h1_reader *r, const struct h1_limits *limits, struct slice in, struct head *out,
                       size_t *used) CHECKED;

/* How the writer frames a body. */
struct h1_writer {
    bool chunked, until_close;
    bool overrun;  /* more was given than was promised: the excess was dropped, the end will refuse */
    uint64_t left; /* of a length: octets that must still be written */
};

/*
 * h1_write_request(w, head, host, out): a request's head.
 *   Takes   host   what the Host field says. head->body and head->length decide the framing: BODY_STREAM is chunked;
 *                  BODY_NONE writes no framing field, but "Content-Length: 0" for POST, PUT and PATCH. With
 *                  head->websocket it asks for the upgrade, and has no TE.
 *   Fails   FAULT_FULL: nothing was written.
 */
enum fault h1_write_request(struct h1_writer *w, const struct head *head, struct slice host,
                            struct buf *out) CHECKED;

/*
 * h1_write_response(w, head, minor, head_only, out): a response's head.
 *   Takes   minor  the client's version: to a 1.0 client BODY_STREAM is ended by close instead of chunked.
 *           head->close adds "Connection: close" (and for a 1.0 client that keeps alive, "Connection: keep-alive").
 *           A 1xx has no framing. A response to HEAD and a 304 keep the length that head says (head->length when
 *           head->body is BODY_LENGTH).
 *   Fails   FAULT_FULL: nothing was written.
 */
enum fault h1_write_response(struct h1_writer *w, const struct head *head, uint8_t minor, bool head_only,
                             struct buf *out) CHECKED;

/*
 * Body octets. With a length they are appended as they are, and h1_chunk_close counts them; more than was promised is
 * taken back. In chunked framing a chunk is opened in ${out}, filled by the caller through buf_room/buf_fill or
 * buf_append, and closed:
 *
 *   h1_chunk_open(w, out, mark)    reserves the size line; mark is where it stands. FAULT_FULL: less room than
 *                                  H1_CHUNK_ROOM.  Without chunked framing nothing is reserved.
 *   h1_chunk_close(w, out, mark, n) the ${n} octets behind the mark are the chunk; 0 takes the reservation back.
 * Between the two nothing may be taken from ${out}. The caller leaves H1_CHUNK_TAIL octets free.
 */
#define H1_CHUNK_TAIL 2
#define H1_CHUNK_ROOM (8 + 2 + 16 + H1_CHUNK_TAIL)
enum fault h1_chunk_open(const struct h1_writer *w, struct buf *out, size_t *mark) CHECKED;
void h1_chunk_close(struct h1_writer *w, struct buf *out, size_t mark, size_t n);

/*
 * h1_write_end(w, trailers, out): the end of the body: in chunked framing the last chunk and ${trailers} (may be NULL).
 *   Fails   FAULT_FULL; FAULT_SYSTEM when a length was promised and not written (the caller must abort instead).
 */
enum fault h1_write_end(struct h1_writer *w, const struct head *trailers, struct buf *out) CHECKED;

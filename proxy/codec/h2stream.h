#pragma once
#include "h2.h"
#include "h2field.h"
#include "stream.h"

/*
 * h2stream - one stream of an HTTP/2 connection: one request and its response.
 *
 *   Layer   codec: struct stream over h2.
 *   Why     credit is given for what the other side took, so a slow one stops its own sender and nobody else; a head is on
 *           its way to the link when write_head returns, so nghttp2 never holds a value.
 *   Bounds  in: the stream's window, and H2_KEEP_OCTETS while a rewind is possible. out: H2_OUT_OCTETS. Both closed while
 *           empty. H2_HEADS_MAX heads that were not read yet.
 *   Source  RFC 9113 s.5, s.8.
 *
 * An announced length is kept exactly: what is beyond it is dropped, and if octets are missing or were dropped write_end
 * fails FAULT_SYSTEM: no END_STREAM goes, and the caller closes with H2_INTERNAL_ERROR.
 */
#define H2_KEEP_OCTETS 65536
#define H2_OUT_OCTETS  16384
#define H2_HEADS_MAX   10

struct h2_block {
    struct h2_fields fields;
    bool whole; /* its last octet came */
    bool ended; /* END_STREAM stood on it */
    bool read;  /* commit forgets it */
    TAILQ_ENTRY(h2_block) list;
};

TAILQ_HEAD(h2_blocks, h2_block);

struct h2stream {
    struct stream stream; /* first */
    struct h2 *h2;        /* NULL: its connection is closed */
    enum h2_role role;    /* ours, on it */
    int32_t id;           /* 0: nothing was sent yet */
    bool linked;          /* in the connection's list */
    bool ready, starved;  /* in its line of those */
    TAILQ_ENTRY(h2stream) list, line;

    struct h2_blocks blocks; /* of fields, as they came */
    size_t unread;
    struct buf in;
    size_t cursor;      /* octets of ${in} that were taken and are kept for a rewind */
    size_t credited;    /* octets of ${in} that the peer may send again */
    size_t ran, window; /* octets since the window grew; its size */
    bool keeping;
    bool head_only;     /* the exchange is a HEAD */
    bool informational; /* the last response was a 1xx: another head follows */
    bool whole_in;      /* END_STREAM came */

    struct buf out, kept; /* body; trailers, which wait for its end */
    size_t trailers;
    uint64_t left; /* of a promised length */
    bool counted, overrun;
    bool head_out, head_lost; /* the last HEADERS: gone, or never to go */
    bool live;                /* client: the peer counts the stream */
    bool end_out;             /* nothing follows what is in ${out} */
    bool deferred;            /* nghttp2 waits for us */
    bool sent;                /* END_STREAM has gone */

    bool closed;
    bool by_peer;   /* it was the peer who reset it */
    uint32_t code;  /* why (RFC 9113 s.7) */
    enum fault why; /* we refused what came */
};

/* h2stream_open(s, h): client role: a place on ${h}; the request's id comes with write_head. Fails FAULT_UPSTREAM_REFUSED:
 * no slot is left. write_head fails with it too when the peer said goodbye meanwhile: nothing of the request has gone. */
enum fault h2stream_open(struct h2stream *s, struct h2 *h) CHECKED;

/*
 * h2stream_close(s, code): the end, whatever it is in the middle of: reset with ${code} unless both sides are done, octets
 *   that were not drained are lost (h2stream_sent), buffers are wiped. Harmless twice, on a zeroed one, and after h2_close.
 */
void h2stream_close(struct h2stream *s, uint32_t code);

/*
 * h2stream_sent(s): END_STREAM was drained. A server that answered a request which is not whole waits for this (the stream
 *   is ready then), and closes with H2_NO_ERROR (RFC 9113 s.8.1).
 */
static inline bool h2stream_sent(const struct h2stream *s)
{
    return s->sent;
}

/* h2stream_unsent(s): octets of a body that were not drained yet? */
static inline bool h2stream_unsent(const struct h2stream *s)
{
    return buf_held(&s->out).len > 0;
}

/*
 * h2stream_closed(s): over before both sides were done: reset by either end, or the connection has gone.
 * h2stream_gone(s): what the exchange is to be told then: CLIENT_GONE, or BAD_REQUEST where what came was wrong;
 *   UPSTREAM_REFUSED where the request was not looked at, UPSTREAM_PROTOCOL, UPSTREAM_GONE.
 */
static inline bool h2stream_closed(const struct h2stream *s)
{
    return s->closed && !(s->sent && s->whole_in);
}
enum fault h2stream_gone(const struct h2stream *s);

/* h2stream_code(s): the code that it was closed with; H2_HTTP_1_1_REQUIRED also where the whole connection was told so. */
static inline uint32_t h2stream_code(const struct h2stream *s)
{
    return s->code;
}
enum {
    H2_NO_ERROR = 0,
    H2_PROTOCOL_ERROR = 1,
    H2_INTERNAL_ERROR = 2,
    H2_REFUSED_STREAM = 7,
    H2_CANCEL = 8,
    H2_ENHANCE_YOUR_CALM = 11,
    H2_HTTP_1_1_REQUIRED = 13
};

/* --- for h2 alone: what it notes ----------------------------------------------------------------------------- */

/* h2stream_begin(s, h, id): server role: a request begins on ${s}, whatever it holds. */
void h2stream_begin(struct h2stream *s, struct h2 *h, int32_t id);

/* A block of fields: false: too many, or no memory. Then its fields, then its end. */
bool h2stream_block(struct h2stream *s, enum h2_section section);
struct h2_fields *h2stream_fields(struct h2stream *s);
void h2stream_block_end(struct h2stream *s, bool ended);

/* Octets of the body; false: no memory. */
bool h2stream_octets(struct h2stream *s, struct slice octets);

/* h2stream_detach(s): its connection is gone. */
void h2stream_detach(struct h2stream *s);

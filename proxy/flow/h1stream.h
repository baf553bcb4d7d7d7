#pragma once
#include "h1.h"
#include "link.h"
#include "stream.h"

/*
 * h1stream - the one stream of an HTTP/1.1 connection, message after message.
 *
 *   Layer   flow: the h1 codec over a link.
 *   Bounds  a head larger than the link's buffer makes that buffer grow, once, to head_octets; trailers that find no room
 *           in it likewise. Once it is a tunnel it is one for good: no message, and no other exchange, follows.
 */
struct h1stream {
    struct stream stream; /* first */
    struct link *link;
    const struct h1_limits *limits;
    bool server; /* we answer here: requests are read; else responses are */
    struct h1_reader reader, behind_head;
    struct h1_writer writer;
    size_t cursor;   /* octets of link->in that were read and are kept for a rewind */
    size_t head_len; /* of these, the head's */
    bool keeping;
    bool head_only; /* the exchange is a HEAD: its response has no body */
    bool websocket; /* it asks for a WebSocket: its response may be a 101 */
    bool tunnelled;
    uint8_t minor; /* of the request: what the response may use */
    size_t mark;   /* the open run's place in link->out */
};

void h1stream_open(struct h1stream *s, struct link *link, const struct h1_limits *limits, bool server);

/* h1stream_begin(s): await the next message; what was kept of the last one is dropped. */
void h1stream_begin(struct h1stream *s);

/* h1stream_idle(s): between two messages, with nothing of the next one there? */
bool h1stream_idle(const struct h1stream *s);

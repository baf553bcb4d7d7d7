#pragma once
#include "filter.h"
#include "msg.h"

/*
 * websocket - the handshake's rules, and the frames of one direction behind it, as a filter.
 *
 *   Layer   codec.  Uses: hop (lists). Used by: h1 (which requests ask for it), exchange.
 *   Why     a 101 opens a connection that speaks anything. What goes through it are frames that we read and write anew, so
 *           that values travel in them under the same rules as in a body, and nothing else can be said.
 *   Bounds  two buffers, held only while a message that has a filter of its own is under way: 16 KiB each, or more where
 *           that filter leaves over more. A frame of any length passes through them; an idle WebSocket has none.
 *   Source  RFC 6455. No extension is ever agreed (s.9.1), so all three RSV bits are 0.
 */
#define WEBSOCKET_FRAME   16384 /* longer ones with a filter are cut into fragments (s.5.4) */
#define WEBSOCKET_CONTROL 125   /* octets of a control frame's payload, at most (s.5.5) */
#define WEBSOCKET_ROOM    (2 + 4 + WEBSOCKET_CONTROL) /* that a drained ${out} must have, at least */

/*
 * websocket_asked(h): does the request ask for a WebSocket, as far as its end-to-end fields tell (s.4.1)? GET without a
 *   body, version 13 once, a key of 16 octets in base64 once. (Upgrade and Connection are hop's to judge; what it offers in
 *   the way of extensions is taken out by the reader: TRAIT_EXTENDS.)
 */
bool websocket_asked(const struct head *h);

/* websocket_accepts(key, accept): is ${accept} what a host must answer to ${key} (s.4.2.2)? */
bool websocket_accepts(struct slice key, struct slice accept);

/*
 * websocket_answer_ok(request, response): may this 101 open the tunnel (s.4.1)?
 *   Takes   request  as it was sent to the host, values put in: before the client's stream commits it.
 *   Gives   false: Sec-WebSocket-Accept missing, twice or wrong; any extension; a protocol that was not asked for, or two.
 */
bool websocket_answer_ok(const struct head *request, const struct head *response);

/* One direction. */
struct websocket {
    struct filter filter; /* first */

    /*
     * The owner's, to be set behind websocket_begin; each may be NULL.
     *   begins   a message with a filter of its own begins: it must be as new. ${first}: what is there of the message's
     *            octets, one at least unless it is empty.
     *   control  a whole payload of ping, pong or close goes by, and can be written over in place.
     */
    void (*begins)(void *cookie, struct slice first);
    void (*control)(void *cookie, uint8_t *payload, size_t octets);
    void *cookie;

    bool closed; /* the close frame went by: whoever then ends, however, has ended cleanly */

    /* websocket's own */
    struct filter *text, *binary;
    struct filter *inside;    /* of the message that is under way; NULL: it passes as it is */
    struct buf payload, made; /* unmasked: before the filter, and behind it */
    enum { POUR_NOTHING, POUR_HEAD, POUR_REST } pour; /* of ${made}, as a frame */
    uint64_t left;                                    /* octets of the frame that must still come */
    uint8_t mask[4]; /* the peer's; over what passes, the peer's and ours in one */
    uint8_t phase;   /* the octet of it that is next */
    uint8_t message; /* opcode of the message that is under way; 0: none */
    uint8_t opcode;  /* of our next frame of it: 0 behind the first */
    bool from_client;
    bool framed, final; /* a frame is under way; it is its message's last */
    bool begun;         /* the message's filter is */
    bool sealed;        /* the frame that pours is the message's last */
    bool owed; /* the last octet was dealt with, but given back: an empty rest would not be fed again */
};

/*
 * websocket_begin(w, from_client, text, binary): frames from a client (masked) or from a host (not masked), each message
 *   through a filter of its own.
 *   Takes   text, binary  may be the same, or NULL: that kind of message passes as it is, frame by frame. What they are
 *                         is looked at behind ${begins}.
 *   The filter's faults: FAULT_BAD_REQUEST or FAULT_UPSTREAM_PROTOCOL, whose direction it is, for what is outside RFC 6455:
 *   RSV bits, unknown opcodes, a mask that is missing or too much, a length that is not minimal or beyond 2^63 - 1, a
 *   control frame that is fragmented or long, a close of one octet, a continuation of nothing, a new message inside another,
 *   anything behind a close. FAULT_CLIENT_GONE or FAULT_UPSTREAM_GONE: ended inside a frame. FAULT_NO_MEMORY; FAULT_SYSTEM:
 *   a filter that does not go on; else what the text's or binary's filter says.
 *   Costs   what passes is copied once, what is filtered thrice. A fresh mask for each frame of a client's (s.5.3).
 * What a filter leaves over at the end of a fragment goes out with the next one; there is no ease, since a message is read
 * when it is whole. When the direction ends inside a message it is dropped.
 */
void websocket_begin(struct websocket *w, bool from_client, struct filter *text, struct filter *binary);

/* websocket_close(w): what was under way is dropped and wiped. Harmless twice and on a zeroed one. */
void websocket_close(struct websocket *w);

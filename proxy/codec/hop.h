#pragma once
#include "msg.h"

/*
 * hop - what a message's fields say about this hop and about the message itself: framing, host, expectation.
 *
 *   Layer   codec.  Used by: h1, h2field.
 *   Why     these rules are RFC 9110's, so HTTP/1.1 and HTTP/2 share them: written twice they would be read in two ways.
 *   Bounds  no memory of its own; slices are borrowed from the head.
 */
#define HOP_OPTIONS_MAX 16 /* names of fields that one head's Connection may nominate */

/* A field that may stand once. */
struct single {
    struct slice name, value; /* of the last one */
    unsigned count;
};

struct hop {
    struct single host, length, coding, expect, upgrade;
    struct slice option[HOP_OPTIONS_MAX];
    size_t options;
    bool close, keep_alive, upgrades; /* Connection names them */
};

/* hop_list_next(list, element): the next element of a list, taken off its front; empty ones are passed over (RFC 9110
 * s.5.6.1.2). False: none is left. */
bool hop_list_next(struct slice *list, struct slice *element);

/*
 * hop_fields(hop, h): raw names and values of ${h} become identified end-to-end fields; what the others said is in ${hop}
 *   and in members of ${h}.
 *   Fails   FAULT_BAD_REQUEST: Connection names a guarded field, what is no name, or more than HOP_OPTIONS_MAX.
 */
enum fault hop_fields(struct hop *hop, struct head *h) CHECKED;

/*
 * hop_framing(hop, h): ${h}'s body by its framing fields (RFC 9112 s.6.3); BODY_NONE where there are none.
 *   Fails   FAULT_BAD_REQUEST where there is more than one reading: two equal lengths are legal to repair, but upstream
 *           might not; a coding besides chunked would have to be undone to be scanned.
 */
enum fault hop_framing(const struct hop *hop, struct head *h) CHECKED;

/* hop_websocket(hop): Upgrade names websocket, once and nothing else, and Connection names upgrade (RFC 6455 s.4). */
bool hop_websocket(const struct hop *hop);

/* hop_expect(hop, h): once ${h}'s body is known. Fails FAULT_BAD_REQUEST: an expectation that we don't know can't be passed
 * on, since nobody here would wait for what it promises. */
enum fault hop_expect(const struct hop *hop, struct head *h) CHECKED;

/* hop_host(hop, h): the Host field, if any, is ${h}'s authority, or says the same in any case. Fails FAULT_BAD_REQUEST,
 * FAULT_HOST_MISMATCH. */
enum fault hop_host(const struct hop *hop, struct head *h) CHECKED;

/*
 * hop_status(h, head_only, bodiless): what a response's status allows, once its framing fields are read.
 *   Gives   *bodiless  no octet of a body follows, whatever ${h}'s body says.
 *   Takes   h  a 101 that is a WebSocket's has h->websocket already.
 *   Fails   FAULT_BAD_REQUEST: outside 100 to 599, any other 101, framing where no body can be.
 */
enum fault hop_status(struct head *h, bool head_only, bool *bodiless) CHECKED;

/* hop_trailer(f, out): identify ${f} and append it to ${out}, unless it is of the hop. Fails FAULT_BAD_REQUEST: it may not
 * stand there; FAULT_HEAD_TOO_LARGE. */
enum fault hop_trailer(struct field f, struct head *out) CHECKED;

/* hop_method_refused(method): CONNECT, TRACE or TRACK. hop_target_ok: "/path", or "*" for OPTIONS. hop_scheme_ok: http or
 * https. */
bool hop_method_refused(struct slice method);
bool hop_target_ok(struct slice method, struct slice target);
bool hop_scheme_ok(struct slice scheme);

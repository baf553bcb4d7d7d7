#pragma once
#include "buf.h"
#include "msg.h"

/*
 * answer - what the proxy itself says to a sandbox: one sentence, in the shape that its client prints.
 *
 *   Layer   codec.
 *   Why     people and agents act on the text: status, X-Osb-Error, Proxy-Status, reason phrase and body agree.
 *   Bounds  no text of a peer but the canonical host; never a value, a token, or whether a token exists.
 *   Source  contract section 4; RFC 9209.
 */
struct answer_to {
    enum fault fault;
    struct slice host; /* canonical; empty: not known */
    struct slice request_id;
    const char *detail;     /* static; which check failed; NULL: none */
    unsigned retry_after_s; /* 0: none */
    bool plain;             /* text/plain: the client is git, or accepts text/plain before JSON */
    bool grpc;              /* trailers-only: status 200, grpc-status, grpc-message, no body */
    bool head_only;         /* answer to HEAD: no body, its length all the same */
};

/* answer_style(request, to): set plain and grpc from the request's Accept, User-Agent and Content-Type. */
void answer_style(const struct head *request, struct answer_to *to);

/*
 * answer_make(to, text, out, body): the response.
 *   Gives   out   a head with body length, for gRPC without a body; its slices and *body lie in ${text} (at least
 *                 ANSWER_OCTETS, empty at first).
 *                 out->close where the client is to blame: where its next request begins is not known.
 *                 X-Should-Retry: false for what policy refused, unless retry_after_s says when to try again.
 *   Fails   FAULT_FULL never, with ANSWER_OCTETS of room.
 */
#define ANSWER_OCTETS 4096
enum fault answer_make(const struct answer_to *to, struct buf *text, struct head *out,
                       struct slice *body) CHECKED;

#pragma once
#include "fault.h"
#include "slice.h"

/*
 * tunnel - the CONNECT request with which a client of an explicit proxy begins.
 *
 *   Layer   codec.  Uses: h1lex.
 *   Why     this head is asked of us and not of a host: it names where the TLS inside goes; nothing else of it is used, and
 *           nothing passed on.
 *   Bounds  a head of TUNNEL_OCTETS; no memory.
 *   Source  RFC 9110 s.9.3.6, RFC 9112 s.3.2.3.
 */
#define TUNNEL_OCTETS 8192

/* What says yes to it. */
#define TUNNEL_GRANTED SLICE("HTTP/1.1 200 Connection established\r\n\r\n")

/*
 * tunnel_read(in, looked, target): the request, which is all that a client may say before it is answered.
 *   Takes   in       what is held, from the first octet on.
 *           *looked  0 at first; kept by the caller.
 *   Gives   *target  HOST:PORT as sent, borrowed from ${in}; neither part is checked yet.
 *   Fails   FAULT_AGAIN               not whole yet.
 *           FAULT_BAD_REQUEST         outside the grammar (as h1); an authority without ":"; Host missing (HTTP/1.1) or
 *                                     twice, or neither the authority nor its host alone, in any case; Content-Length or
 *                                     Transfer-Encoding; octets behind the head: they can't be handed to TLS any more.
 *           FAULT_METHOD_NOT_ALLOWED  another method than CONNECT.
 *           FAULT_HEAD_TOO_LARGE.
 *   Proxy-Authorization is passed over: identity never comes from inside a connection.
 */
enum fault tunnel_read(struct slice in, size_t *looked, struct slice *target) CHECKED;

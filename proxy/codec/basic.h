#pragma once
#include "buf.h"

/*
 * basic - the Basic authentication scheme: credentials out of a field value, and back into one.
 *
 *   Layer   codec.
 *   Why     git, npm and pip send a token inside base64, where a search for it finds nothing.
 *   Source  RFC 7617, RFC 4648 s.4.
 */

/*
 * basic_open(value, credentials): "Basic" (any case), one SP, base64 with its padding.
 *   Gives   credentials  closed before; opened and filled with the decoded octets. The caller closes it: they are wiped.
 *   Fails   FAULT_NOT_FOUND: another scheme, or not canonical base64: the value is to go on as it is. FAULT_NO_MEMORY.
 */
enum fault basic_open(struct slice value, struct buf *credentials) CHECKED;

/* basic_octets(n): how long the field value for ${n} octets of credentials is. */
size_t basic_octets(size_t n);

/* basic_write(credentials, out): append the field value. Fails FAULT_FULL. */
enum fault basic_write(struct slice credentials, struct buf *out) CHECKED;

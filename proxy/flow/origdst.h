#pragma once
#include "ip.h"

/*
 * origdst - where a redirected connection was going.
 *
 *   Layer   flow.
 *   Source  netfilter's SO_ORIGINAL_DST and IP6T_SO_ORIGINAL_DST.
 */

/*
 * origdst_get(fd, out): the destination before the redirect.
 *   Fails   FAULT_NOT_REDIRECTED: the kernel knows no other destination than our own end (the answer for a connection that
 *           came straight to the listener is the listener's own address, or an error).
 */
enum fault origdst_get(int fd, struct endpoint *out) CHECKED;

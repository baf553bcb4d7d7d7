#pragma once
#include "exchange.h"

/*
 * frames - an exchange whose host switched to WebSocket: both directions are frames from here on.
 *
 *   Layer   flow.
 *   Why     messages are bodies: text that goes up has its tokens replaced, what comes down is scrubbed.
 *   Bounds  as websocket. A message that begins with "{" or "[" is taken for JSON.
 *   Source  contract section 3, RFC 6455.
 */

/* frames_open(x): what the two directions need. Fails FAULT_NO_MEMORY. */
enum fault frames_open(struct exchange *x) CHECKED;

/* frames_begin(x): the 101 is in the client's stream: both streams are tunnels now, and their bodies messages. */
void frames_begin(struct exchange *x);

/* frames_over(x): both have said goodbye (RFC 6455 s.7.1.4), however their connections end. */
bool frames_over(const struct exchange *x);

/* frames_close(x): harmless where there are none. */
void frames_close(struct exchange *x);

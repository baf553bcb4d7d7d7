#pragma once
#include "h2.h"
#include "lease.h"

/*
 * h2up - an upstream connection that speaks HTTP/2: the exchanges on it, and the octets of them all.
 *
 *   Layer   flow.  Uses: h2, turn.  Used by: upstream, lease, route.
 *   Why     the connection drives itself: what comes wakes those it is for, and what they all wrote goes out once before the
 *           loop sleeps.
 *   Bounds  the streams that the peer allows, H2UP_STREAMS at most; the link's two buffers.
 *   Source  RFC 9113 s.5.1.2 (concurrency), s.6.8 (GOAWAY).
 */
#define H2UP_STREAMS 100

/* h2up_new(u): the handshake of ${u} chose h2. NULL: out of memory. h2up_free(m): the memory; harmless with NULL. */
struct h2up *h2up_new(struct upstream *u);
void h2up_free(struct h2up *m);

/* h2up_close(m): goodbye into link.out, and nothing more: every exchange must have left. */
void h2up_close(struct h2up *m);

/*
 * h2up_slots(m): how many exchanges may join now; one at a time until the peer has told its limits (h2up_greeted).
 * h2up_usable(m): may any join, now or later? h2up_avoid(m): none may from now on.
 * h2up_ended(m): the peer has closed it, or broke a rule. h2up_strange(m): it broke one before any answer was whole: this
 *   end does not understand that host's h2.
 */
unsigned h2up_slots(const struct h2up *m);
bool h2up_greeted(const struct h2up *m);
bool h2up_usable(const struct h2up *m);
void h2up_avoid(struct h2up *m);
bool h2up_ended(const struct h2up *m);
bool h2up_strange(const struct h2up *m);

/* h2up_join(m, l): a stream for ${l}. h2up_leave(m, l): its end; cancelled where something is left of it. */
enum fault h2up_join(struct h2up *m, struct lease *l) CHECKED;
void h2up_leave(struct h2up *m, struct lease *l);

/* h2up_event(m): the socket has something. h2up_soon(m): a stream has something to send. */
void h2up_event(struct h2up *m);
void h2up_soon(struct h2up *m);

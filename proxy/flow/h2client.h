#pragma once
#include "fault.h"
#include <stdbool.h>

/*
 * h2client - a client's HTTP/2 connection: many exchanges at once, one for each of its streams.
 *
 *   Layer   flow: part of conn, which owns the link and the state.
 *   Why     what all streams of a connection have to say leaves together: one feed, the exchanges, one drain, one write.
 *   Bounds  H2CLIENT_STREAMS at once, and a sandbox' streams together (four for each connection that it may have); a
 *           stream holds at most its window (64 KiB) and one buffer of what goes out; each has a deadline of its own.
 *           Floods: codec/h2flood. While no stream is open: one session, no buffer.
 *   Source  RFC 9113; contract section 4.
 */
#define H2CLIENT_STREAMS 100

struct conn;
struct h2client;

enum fault h2client_open(struct h2client **out, struct conn *c) CHECKED;

/*
 * h2client_step(m): take what is in link.in, go on with each exchange, put what they said into link.out. The connection's
 *   deadline is set by what it waits for.
 *   Gives   FAULT_AGAIN  waits for an event.
 *           FAULT_NONE   over: no exchange is left, and the last frame is in link.out.
 */
enum fault h2client_step(struct h2client *m) CHECKED;

/* h2client_reads(m): may more be read? Not while the client does not take what is written. */
bool h2client_reads(const struct h2client *m);

/* h2client_late(m): the deadline of the connection has passed; step again. */
void h2client_late(struct h2client *m);

/* h2client_close(m, why): every exchange ends with ${why}; the memory lives until the loop's turn ends. */
void h2client_close(struct h2client *m, enum fault why);

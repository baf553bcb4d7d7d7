#pragma once
#include "buf.h"
#include "h1.h"
#include "h2cut.h"
#include "h2flood.h"
#include <sys/queue.h>

/*
 * h2 - one HTTP/2 connection, of either role: octets in, octets out, and the streams between.
 *
 *   Layer   codec.  Uses: nghttp2 (frames, HPACK, flow control), h2cut, h2flood.  h2stream is one of its streams.
 *   Why     nghttp2's callbacks only take notes: nothing of ours runs below it, so nothing of it is ever pulled away from
 *           under it. What there is to do is told by h2_next_ready.
 *   Bounds  a session (some 13 KiB), and for each stream its window (64 KiB; towards upstreams it doubles while the
 *           octets are taken as fast as they come, to H2_WINDOW_MAX, all streams together by H2_GROWN_MAX) and a buffer of
 *           what goes out. limits->head bounds heads, and four times as much ends the connection. Frames that ask for
 *           nothing: h2flood; the library's own limits stay under them.
 *           No clock, no socket: the same two calls join two of them in a test.
 *   Source  RFC 9113, RFC 7541.
 */
#define H2_STREAM_WINDOW 65535
#define H2_WINDOW_MAX    (4 << 20)
#define H2_GROWN_MAX     (16 << 20)
#define H2_DATA_ROOM     1024 /* with less no DATA is begun */

enum h2_role { H2_SERVER, H2_CLIENT };

struct h2_limits {
    const struct h1_limits *head; /* the caller's, for as long as the connection lives */
    uint32_t streams;             /* at once: what we allow the client, or ask of the upstream at most */
};

struct h2stream;

struct h2_owner {
    void *cookie;
    /* A request begins: memory for its stream, NULL: it is told REFUSED_STREAM. Runs below nghttp2: must not touch ${h2}.
     * The stream comes to h2_next_ready when its head is whole, or it was reset before. */
    struct h2stream *(*opened)(void *cookie);
    /* Where heads are serialised to: the buffer that h2_drain is given, open. FULL: too much waits in it already. */
    enum fault (*room)(void *cookie, struct buf **out);
    /* The sandbox' own budget of resets, beside the connection's; below nghttp2. NULL: none. */
    bool (*reset_granted)(void *cookie);
};

TAILQ_HEAD(h2_streams, h2stream);

struct nghttp2_session;

struct h2 {
    enum h2_role role;
    struct h2_limits limits;
    struct h2_owner owner;
    struct nghttp2_session *session;
    struct h2_cut cut;
    struct h2_flood flood;
    int64_t now_ms;            /* of the last feed */
    struct h2_streams streams; /* all that are open here */
    struct h2_streams ready, starved;
    uint32_t newest;       /* server: of the client's streams ... */
    uint64_t begun;        /* ... and which of it and the 63 before it were begun, it as the lowest bit */
    uint32_t live, joined; /* client: requests that the peer counts, and those that have not been sent yet */
    size_t grown;          /* octets of windows beyond H2_STREAM_WINDOW */
    enum fault why;        /* the connection must end; NONE: it need not */
    uint32_t goaway_code;  /* the peer's */
    bool greeted;          /* the peer's SETTINGS came: its limits are known */
    bool draining;         /* either end said goodbye: no new streams */
    bool deaf, mute;       /* nothing may be fed, nothing drained any more */
    bool ending;           /* our last GOAWAY is under way */
    /* of the drain that runs */
    struct buf *out;
    bool heads_only, full;
};

/* h2_open(h, role, limits, owner, now_ms): the first thing to drain is our SETTINGS. Fails FAULT_NO_MEMORY. */
enum fault h2_open(struct h2 *h, enum h2_role role, const struct h2_limits *limits,
                   const struct h2_owner *owner, int64_t now_ms) CHECKED;

/*
 * h2_feed(h, in, now_ms): what the peer sent; all of it is taken.
 *   Fails   FAULT_BAD_REQUEST, FAULT_CLIENT_FLOOD (server), FAULT_UPSTREAM_PROTOCOL (client), FAULT_NO_MEMORY: the
 *           connection is at its end; drain once more, which says so to the peer, and close.
 */
enum fault h2_feed(struct h2 *h, struct slice in, int64_t now_ms) CHECKED;

/*
 * h2_drain(h, out): append to ${out} (open) what there is to send. Heads make it grow, bodies don't.
 *   Fails   FAULT_FULL: more waits than there was room for. FAULT_NO_MEMORY.
 */
enum fault h2_drain(struct h2 *h, struct buf *out) CHECKED;

/* h2_next_ready(h): a stream on which something happened: octets, room, an end, a reset. NULL: none. */
struct h2stream *h2_next_ready(struct h2 *h);

/* h2_over(h): nothing will be read or written any more: send what was drained, close. h2_why says why: NONE after a
 * goodbye, BAD_REQUEST or UPSTREAM_PROTOCOL where frames were wrong. */
bool h2_over(const struct h2 *h);
enum fault h2_why(const struct h2 *h);

/* h2_slots(h): client role: how many more streams can be opened now: the peer's limit and ours; 0 after a goodbye. */
uint32_t h2_slots(const struct h2 *h);

/* h2_draining(h): either end said goodbye: streams that are open go on, there will be no new ones. */
static inline bool h2_draining(const struct h2 *h)
{
    return h->draining;
}

/* h2_mid_head(h): a block of fields has begun and is not whole. */
static inline bool h2_mid_head(const struct h2 *h)
{
    return h->cut.in_block;
}

/*
 * h2_goaway(h, notice): goodbye. ${notice} (server): only that it will come; streams that are on the way are still taken.
 *   Without: those that are open go on, h2_over is true behind the last one.
 */
void h2_goaway(struct h2 *h, bool notice);

/* h2_end(h, why): goodbye at once, no stream goes on; drain once, then close. FAULT_CLIENT_FLOOD: ENHANCE_YOUR_CALM. */
void h2_end(struct h2 *h, enum fault why);

/* h2_close(h): everything freed. Streams that are still open are closed, but each is still to be h2stream_close'd. Never
 * from below h2_feed or h2_drain. Harmless twice. */
void h2_close(struct h2 *h);

/* --- for h2stream alone ------------------------------------------------------------------------------------ */

/* h2_ready(h, s): it comes up in h2_next_ready. h2_forget(h, s): not any more. */
void h2_ready(struct h2 *h, struct h2stream *s);
void h2_forget(struct h2 *h, struct h2stream *s);

/* h2_room(h, s, out): where a head can be written. FULL: ${s} is ready when there is room. */
enum fault h2_room(struct h2 *h, struct h2stream *s, struct buf **out) CHECKED;

/* h2_mute(h, why): nothing is written any more: what waits in nghttp2 may point to what is gone. */
void h2_mute(struct h2 *h, enum fault why);

/* h2_write_heads(h, out): all frames but DATA, now: what the heads' fields point to lives no longer than the call. */
enum fault h2_write_heads(struct h2 *h, struct buf *out) CHECKED;

/* Who a stream's user data is after h2stream_close: nobody. */
extern struct h2stream h2_dismissed;

#pragma once
#include "buf.h"
#include "msg.h"

/*
 * stream - one exchange's place on a connection: a message is read from it, and a message is written to it.
 *
 *   Layer   codec: the interface; each protocol brings its own.
 *   Why     exchange joins two streams and knows neither how many of them a connection carries nor how they are framed.
 *   Bounds  nothing here waits: FAULT_AGAIN means that octets must come first, FAULT_FULL that octets must go first.
 *
 * Read a message: head until NONE; body until END, took after each run; trailers once.
 * Write one: write_head; room and wrote for each run of body; write_end.
 * Faults of a client's stream blame the client, those of an upstream's the upstream.
 */
struct stream;

struct stream_ops {
    /* The head; its slices live until commit, and until then it can be asked for again. END:
     * the peer ended before the first octet of one. */
    enum fault (*head)(struct stream *s, struct head *out) CHECKED;

    /* The next run of body octets, borrowed until took or the next event. END: the body is whole. */
    enum fault (*body)(struct stream *s, struct slice *run) CHECKED;
    void (*took)(struct stream *s, size_t n);

    /* The trailer section, after END; borrowed like the head. */
    enum fault (*trailers)(struct stream *s, struct head *out) CHECKED;

    /* commit: what was read so far will not be read again; its slices end. rewind: read the message again from behind its
     * head, whose slices are valid still; false: too much was read, it is committed. */
    void (*commit)(struct stream *s);
    bool (*rewind)(struct stream *s);

    /* How many octets of body could be held for a rewind beside the head. */
    size_t (*keeps)(const struct stream *s);

    enum fault (*write_head)(struct stream *s, const struct head *head) CHECKED;

    /* room: *out takes body octets, appended, until wrote says how many they were. */
    enum fault (*room)(struct stream *s, struct buf **out) CHECKED;
    void (*wrote)(struct stream *s, size_t n);
    enum fault (*write_end)(struct stream *s, const struct head *trailers) CHECKED;

    /* NULL where the protocol has no such thing. Behind a 101, with both bodies at their end: from now on body gives every
     * octet that comes until the peer's clean end, and room, wrote and write_end write unframed ones and our clean end. No
     * message is read any more. */
    void (*tunnel)(struct stream *s);
};

struct stream {
    const struct stream_ops *ops;
    const char *proto; /* "h1", "h2": for the audit */
};

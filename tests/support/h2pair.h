#pragma once
#include "h2.h"
#include "h2stream.h"
#include <check.h>
#include <nghttp2/nghttp2.h>
#include <stdlib.h>

/*
 * h2pair - a client's and a server's end of HTTP/2, joined in memory; or one, and a test that writes the other's frames.
 *
 *   Why     no sockets, no clock: each test says in which pieces the octets move, and when.
 */
#define STREAMS_MAX 400
#define OUT_OCTETS  65536
#define EACH(table) for (size_t i = 0; i < sizeof table / sizeof *table; i++)

struct end {
    struct h2 h2;
    struct buf out;
    size_t room_most; /* with more in ${out} there is no room for a head */
    bool refuse, no_resets;
    struct h2stream stream[STREAMS_MAX];
    size_t streams;
};

struct pair {
    struct end client, server;
    size_t step; /* octets that move at once */
};

static const struct h1_limits head_limits = {16384, 64};
static int64_t now_ms = 1000;

static inline struct h2stream *end_opened(void *cookie)
{
    struct end *e = cookie;

    return e->refuse || e->streams == STREAMS_MAX ? NULL : &e->stream[e->streams++];
}

static inline enum fault end_room(void *cookie, struct buf **out)
{
    struct end *e = cookie;

    *out = &e->out;
    return buf_held(&e->out).len > e->room_most ? FAULT_FULL : FAULT_NONE;
}

static inline bool end_granted(void *cookie)
{
    return !((struct end *)cookie)->no_resets;
}

static inline void end_open(struct end *e, enum h2_role role, uint32_t streams)
{
    const struct h2_limits limits = {&head_limits, streams};
    const struct h2_owner owner = {e, end_opened, end_room, role == H2_SERVER ? end_granted : NULL};

    ck_assert_int_eq(h2_open(&e->h2, role, &limits, &owner, now_ms), FAULT_NONE);
    ck_assert_int_eq(buf_open(&e->out, OUT_OCTETS), FAULT_NONE);
    e->room_most = OUT_OCTETS;
}

static inline void end_close(struct end *e)
{
    h2_close(&e->h2);
    for (size_t i = 0; i < e->streams; i++)
        h2stream_close(&e->stream[i], H2_CANCEL);
    buf_close(&e->out);
}

static inline void out_empty(struct end *e)
{
    buf_take(&e->out, buf_held(&e->out).len);
}

/* What ${from} has to say goes to ${to}. Gives how many octets. */
static inline size_t octets_move(struct end *from, struct end *to, size_t step)
{
    enum fault why = h2_drain(&from->h2, &from->out);
    size_t moved = buf_held(&from->out).len;

    ck_assert_msg(why == FAULT_NONE || why == FAULT_FULL, "drain: %s", fault_table[why].name);
    while (buf_held(&from->out).len) {
        struct slice piece = slice_first(buf_held(&from->out), step);

        (void)!h2_feed(&to->h2, piece, now_ms);
        buf_take(&from->out, piece.len);
    }
    return moved;
}

/* Until neither end has more to say. */
static inline void pair_settle(struct pair *p)
{
    while (octets_move(&p->client, &p->server, p->step) + octets_move(&p->server, &p->client, p->step))
        ;
}

static inline struct pair *pair_new(size_t step)
{
    struct pair *p = calloc(1, sizeof *p);

    p->step = step;
    end_open(&p->client, H2_CLIENT, 100);
    end_open(&p->server, H2_SERVER, 100);
    pair_settle(p);
    return p;
}

static inline void pair_drop(struct pair *p)
{
    end_close(&p->client);
    end_close(&p->server);
    free(p);
}

/* --- messages ------------------------------------------------------------------------------------------------ */

static inline struct head request_of(const char *method, enum body_kind body, uint64_t length)
{
    struct head h;

    head_begin(&h);
    h.method = slice_text(method);
    h.target = SLICE("/a?b");
    h.authority = SLICE("api.test");
    h.body = body;
    h.length = length;
    return h;
}

static inline struct head response_of(int status, enum body_kind body, uint64_t length)
{
    struct head h;

    head_begin(&h);
    h.status = status;
    h.body = body;
    h.length = length;
    return h;
}

static inline void field_add(struct head *h, const char *name, const char *value)
{
    h->field[h->fields++] = (struct field){
        .name = slice_text(name), .value = slice_text(value), .id = field_identify(slice_text(name))};
}

/* A new stream of the client's. */
static inline struct h2stream *client_open(struct pair *p)
{
    struct h2stream *s = &p->client.stream[p->client.streams++];

    ck_assert_int_eq(h2stream_open(s, &p->client.h2), FAULT_NONE);
    return s;
}

static inline struct h2stream *client_send(struct pair *p, const struct head *h)
{
    struct h2stream *s = client_open(p);
    enum fault why = s->stream.ops->write_head(&s->stream, h);

    ck_assert_msg(why == FAULT_NONE, "request: %s", fault_table[why].name);
    return s;
}

/* The server's last stream, its head read. */
static inline struct h2stream *server_take(struct pair *p, struct head *h)
{
    ck_assert_uint_gt(p->server.streams, 0);
    struct h2stream *s = &p->server.stream[p->server.streams - 1];
    enum fault why = s->stream.ops->head(&s->stream, h);

    ck_assert_msg(why == FAULT_NONE, "head: %s", fault_table[why].name);
    return s;
}

/* A request without a body that has reached the server. */
static inline struct h2stream *request_pass(struct pair *p, struct h2stream **server)
{
    struct head h = request_of("GET", BODY_NONE, 0), got;
    struct h2stream *s = client_send(p, &h);

    pair_settle(p);
    *server = server_take(p, &got);
    return s;
}

/* As much of ${octets} as goes in. */
static inline size_t body_write(struct h2stream *s, struct slice octets)
{
    struct buf *out;
    enum fault why = s->stream.ops->room(&s->stream, &out);

    if (why == FAULT_FULL)
        return 0;
    ck_assert_msg(why == FAULT_NONE, "room: %s", fault_table[why].name);
    size_t n = buf_some(out, octets);

    s->stream.ops->wrote(&s->stream, n);
    return n;
}

/* What has come, at most ${most} octets, appended to ${into} (NULL: thrown away); gives what stopped it. */
static inline enum fault body_read(struct h2stream *s, struct buf *into, size_t most)
{
    struct slice run;
    enum fault why = FAULT_NONE;

    while (most > 0 && (why = s->stream.ops->body(&s->stream, &run)) == FAULT_NONE) {
        run = slice_first(run, most);
        if (into)
            ck_assert_int_eq(buf_append(into, run), FAULT_NONE);
        most -= run.len;
        s->stream.ops->took(&s->stream, run.len);
    }
    return why;
}

/* --- one end, and frames written by hand ------------------------------------------------------------------------ */

/* A frame behind what ${b} holds. */
static inline void frame_put(struct buf *b, uint8_t type, uint8_t flags, uint32_t id, struct slice payload)
{
    const uint8_t head[H2_FRAME_HEAD] = {
        (uint8_t)(payload.len >> 16), (uint8_t)(payload.len >> 8), (uint8_t)payload.len, type,       flags,
        (uint8_t)(id >> 24),          (uint8_t)(id >> 16),         (uint8_t)(id >> 8),   (uint8_t)id};

    ck_assert_int_eq(buf_append(b, slice_of(head, sizeof head)), FAULT_NONE);
    ck_assert_int_eq(buf_append(b, payload), FAULT_NONE);
}

#define FRAME(type, flags, id, payload)                     \
    {                                                       \
        type, flags, id,                                    \
        {                                                   \
            (const uint8_t *)(payload), sizeof(payload) - 1 \
        }                                                   \
    }
#define NOTHING FRAME(0, 0, 0, "") /* ends a list */
#define HEADERS 1
#define ENDS    5 /* END_HEADERS, END_STREAM */

struct frame {
    uint8_t type, flags;
    uint32_t id;
    struct slice payload;
};

static inline void frames_put(struct buf *b, const struct frame *f)
{
    for (; f->type || f->flags || f->id || f->payload.len; f++)
        frame_put(b, f->type, f->flags, f->id, f->payload);
}

#define LITERAL(name_len, name, value_len, value) "\x00" name_len name value_len value

/* HPACK: GET https://api.test/; POST; with more behind it. */
#define GET_BLOCK          \
    "\x82\x87\x84\x41\x08" \
    "api.test"
#define POST_BLOCK         \
    "\x83\x87\x84\x41\x08" \
    "api.test"
#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

/* All of ${b} is fed; gives what h2_feed said. */
static inline enum fault end_feed(struct end *e, struct buf *b)
{
    enum fault why = h2_feed(&e->h2, buf_held(b), now_ms);

    buf_take(b, buf_held(b).len);
    return why;
}

/* A server whose client has said hello: preface and empty SETTINGS, and the ack of ours. */
static inline struct end *server_alone(struct buf *b)
{
    struct end *e = calloc(1, sizeof *e);

    end_open(e, H2_SERVER, 100);
    ck_assert_int_eq(buf_open(b, 1 << 20), FAULT_NONE);
    ck_assert_int_eq(buf_append(b, SLICE(PREFACE)), FAULT_NONE);
    frame_put(b, NGHTTP2_SETTINGS, 0, 0, SLICE_NONE);
    frame_put(b, NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, 0, SLICE_NONE);
    ck_assert_int_eq(h2_drain(&e->h2, &e->out), FAULT_NONE);
    ck_assert_int_eq(end_feed(e, b), FAULT_NONE);
    ck_assert_int_eq(h2_drain(&e->h2, &e->out), FAULT_NONE);
    out_empty(e);
    return e;
}

/* A client that has asked for something, and whose server has said hello. */
static inline struct end *client_alone(struct buf *b, struct h2stream **asked)
{
    struct end *e = calloc(1, sizeof *e);
    struct head h = request_of("GET", BODY_NONE, 0);

    end_open(e, H2_CLIENT, 100);
    ck_assert_int_eq(buf_open(b, 1 << 20), FAULT_NONE);
    frame_put(b, NGHTTP2_SETTINGS, 0, 0, SLICE_NONE);
    ck_assert_int_eq(end_feed(e, b), FAULT_NONE);
    *asked = &e->stream[e->streams++];
    ck_assert_int_eq(h2stream_open(*asked, &e->h2), FAULT_NONE);
    ck_assert_int_eq((*asked)->stream.ops->write_head(&(*asked)->stream, &h), FAULT_NONE);
    frame_put(b, NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, 0, SLICE_NONE);
    ck_assert_int_eq(h2_drain(&e->h2, &e->out), FAULT_NONE);
    ck_assert_int_eq(end_feed(e, b), FAULT_NONE);
    out_empty(e);
    return e;
}

static inline void alone_drop(struct end *e, struct buf *b)
{
    end_close(e);
    buf_close(b);
    free(e);
}

static inline uint32_t number_at(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* Drains, and looks for the last frame of this type (and stream, unless -1): its payload, or nothing (at is NULL). */
static inline struct slice frame_find(struct end *e, uint8_t type, int32_t id)
{
    struct slice all, found = SLICE_NONE;
    enum fault why = h2_drain(&e->h2, &e->out);

    ck_assert_msg(why == FAULT_NONE || why == FAULT_FULL, "drain: %s", fault_table[why].name);
    for (all = buf_held(&e->out); all.len >= H2_FRAME_HEAD;) {
        size_t len = (size_t)all.at[0] << 16 | (size_t)all.at[1] << 8 | all.at[2];

        if (all.at[3] == type && (id < 0 || number_at(all.at + 5) == (uint32_t)id))
            found = slice_of(all.at + H2_FRAME_HEAD, len);
        all = slice_drop(all, H2_FRAME_HEAD + len);
    }
    return found;
}

/* The code of the GOAWAY or RST_STREAM that was sent; -1: none was. */
static inline int64_t goaway_code(struct end *e)
{
    struct slice s = frame_find(e, NGHTTP2_GOAWAY, 0);

    return s.at ? (int64_t)number_at(s.at + 4) : -1;
}

static inline int64_t reset_code(struct end *e, int32_t id)
{
    struct slice s = frame_find(e, NGHTTP2_RST_STREAM, id);

    return s.at ? (int64_t)number_at(s.at) : -1;
}

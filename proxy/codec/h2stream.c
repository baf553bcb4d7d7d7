#include "h2stream.h"
#include "h2nv.h"
#include <assert.h>
#include <sodium.h>
#include <stdlib.h>

static struct h2_nv scratch; /* borrows, for the length of one call */

static struct h2stream *of(struct stream *s)
{
    return (struct h2stream *)(void *)s;
}

static bool serves(const struct h2stream *s)
{
    return s->role == H2_SERVER;
}

enum fault h2stream_gone(const struct h2stream *s)
{
    if (s->why != FAULT_NONE)
        return s->why;
    if (serves(s))
        return s->by_peer ? FAULT_CLIENT_GONE : FAULT_BAD_REQUEST;
    switch (s->code) {
    case NGHTTP2_REFUSED_STREAM:
    case NGHTTP2_HTTP_1_1_REQUIRED:
        return FAULT_UPSTREAM_REFUSED;
    case NGHTTP2_PROTOCOL_ERROR:
    case NGHTTP2_FLOW_CONTROL_ERROR:
    case NGHTTP2_STREAM_CLOSED:
    case NGHTTP2_FRAME_SIZE_ERROR:
    case NGHTTP2_COMPRESSION_ERROR:
        return FAULT_UPSTREAM_PROTOCOL;
    default:
        return FAULT_UPSTREAM_GONE;
    }
}

/* More must come first: AGAIN, or why it never will. */
static enum fault awaited(const struct h2stream *s)
{
    return s->closed ? h2stream_gone(s) : FAULT_AGAIN;
}

static enum fault blamed(const struct h2stream *s, enum fault why)
{
    if (serves(s) || (why != FAULT_BAD_REQUEST && why != FAULT_HEAD_TOO_LARGE))
        return why;
    return FAULT_UPSTREAM_PROTOCOL;
}

/* --- what comes: notes of h2 ---------------------------------------------------------------------------- */

bool h2stream_block(struct h2stream *s, enum h2_section section)
{
    struct h2_block *b = s->unread < H2_HEADS_MAX ? calloc(1, sizeof *b) : NULL;

    if (!b) {
        s->why = s->unread < H2_HEADS_MAX ? FAULT_NO_MEMORY
                 : serves(s)              ? FAULT_BAD_REQUEST
                                          : FAULT_UPSTREAM_PROTOCOL;
        return false;
    }
    h2_fields_begin(&b->fields, section);
    TAILQ_INSERT_TAIL(&s->blocks, b, list);
    s->unread++;
    return true;
}

static struct h2_block *last_block(const struct h2stream *s)
{
    return TAILQ_LAST(&s->blocks, h2_blocks);
}

struct h2_fields *h2stream_fields(struct h2stream *s)
{
    struct h2_block *b = last_block(s);

    return b && !b->whole ? &b->fields : NULL;
}

void h2stream_block_end(struct h2stream *s, bool ended)
{
    struct h2_block *b = last_block(s);

    b->whole = true;
    b->ended = ended;
}

/* Room for ${n} more: two sizes that are pooled, then doubled, never far beyond what the window lets in. */
static enum fault in_widen(struct buf *in, size_t n)
{
    size_t need = buf_held(in).len + n, cap = need <= H2_OUT_OCTETS ? H2_OUT_OCTETS : H2_KEEP_OCTETS;

    while (cap < need)
        cap *= 2;
    return in->base ? buf_grow(in, cap) : buf_open(in, cap);
}

bool h2stream_octets(struct h2stream *s, struct slice octets)
{
    enum fault why = in_widen(&s->in, octets.len);

    if (why == FAULT_NONE)
        why = buf_append(&s->in, octets);
    if (why != FAULT_NONE)
        s->why = FAULT_NO_MEMORY;
    return why == FAULT_NONE;
}

/* --- reading: the ops ----------------------------------------------------------------------------------- */

/* Whoever took a whole window's worth, and left nothing behind, waits for the wire: a larger window shortens that. */
static void window_grow(struct h2stream *s)
{
    if (serves(s) || s->ran < s->window || 2 * s->window > H2_WINDOW_MAX ||
        s->h2->grown + s->window > H2_GROWN_MAX)
        return;
    if (nghttp2_session_set_local_window_size(s->h2->session, NGHTTP2_FLAG_NONE, s->id,
                                              (int32_t)(2 * s->window)) != 0)
        return;
    s->h2->grown += s->window;
    s->window *= 2;
    s->ran = 0;
}

/* The peer may send as much again as was taken; once for each octet, though it may be read twice. */
static void credit_give(struct h2stream *s)
{
    size_t n = s->cursor > s->credited ? s->cursor - s->credited : 0;

    if (n == 0)
        return;
    s->credited = s->cursor;
    if (!s->h2 || s->closed || s->whole_in)
        return;
    (void)nghttp2_session_consume_stream(s->h2->session, s->id, n); /* fails for a stream that is closing */
    s->ran += n;
    if (s->cursor == buf_held(&s->in).len)
        window_grow(s);
}

/* What was taken is not read again. */
static void taken_drop(struct h2stream *s)
{
    s->keeping = false;
    if (!s->in.base)
        return;
    buf_take(&s->in, s->cursor);
    s->credited -= s->cursor;
    s->cursor = 0;
    if (buf_held(&s->in).len == 0)
        buf_close(&s->in);
}

static enum fault h2_head(struct stream *stream, struct head *out)
{
    struct h2stream *s = of(stream);
    struct h2_block *b = TAILQ_FIRST(&s->blocks);

    if (!b || !b->whole || b->fields.section == H2_TRAILERS)
        return awaited(s);
    if (serves(s))
        s->head_only = h2_fields_for_head(&b->fields);
    TRY(blamed(s, h2_fields_head(&b->fields, b->ended, s->head_only, out)));
    s->unread -= !b->read;
    b->read = true;
    s->keeping = true;
    s->cursor = 0;
    return FAULT_NONE;
}

static enum fault h2_body(struct stream *stream, struct slice *run)
{
    struct h2stream *s = of(stream);

    *run = s->in.base ? slice_drop(buf_held(&s->in), s->cursor) : SLICE_NONE;
    if (run->len)
        return FAULT_NONE;
    return s->whole_in ? FAULT_END : awaited(s);
}

static void h2_took(struct stream *stream, size_t n)
{
    struct h2stream *s = of(stream);

    s->cursor += n;
    credit_give(s);
    if (!s->keeping || s->cursor > H2_KEEP_OCTETS)
        taken_drop(s);
}

static enum fault h2_trailers(struct stream *stream, struct head *out)
{
    struct h2stream *s = of(stream);
    struct h2_block *b = last_block(s);

    head_begin(out);
    if (!b || !b->whole || b->fields.section != H2_TRAILERS)
        return FAULT_NONE;
    TRY(blamed(s, h2_fields_head(&b->fields, true, false, out)));
    s->unread -= !b->read;
    b->read = true;
    return FAULT_NONE;
}

static void block_free(struct h2stream *s)
{
    struct h2_block *b = TAILQ_FIRST(&s->blocks);

    TAILQ_REMOVE(&s->blocks, b, list);
    h2_fields_wipe(&b->fields);
    free(b);
}

static void h2_commit(struct stream *stream)
{
    struct h2stream *s = of(stream);

    while (!TAILQ_EMPTY(&s->blocks) && TAILQ_FIRST(&s->blocks)->read)
        block_free(s);
    if (s->keeping)
        taken_drop(s);
}

static bool h2_rewind(struct stream *stream)
{
    struct h2stream *s = of(stream);

    if (s->keeping)
        s->cursor = 0;
    return s->keeping;
}

static size_t h2_keeps(const struct stream *stream)
{
    return ((const struct h2stream *)(const void *)stream)->keeping ? H2_KEEP_OCTETS : 0;
}

/* --- writing: the ops ----------------------------------------------------------------------------------- */

/* Nobody takes what is written. An upstream may have answered all the same, or says with the answer why there is none:
 * what could not be written is no fault then. */
static enum fault writable(const struct h2stream *s)
{
    if (!s->closed)
        return FAULT_NONE;
    return serves(s) ? h2stream_gone(s) : FAULT_FULL;
}

/* Octets of the body for one DATA frame: how many, and whether they are the last; h2's send_data moves them. */
static ssize_t octets_ask(nghttp2_session *session, int32_t id, uint8_t *at, size_t most, uint32_t *flags,
                          nghttp2_data_source *source, void *cookie)
{
    struct h2 *h = cookie;
    struct h2stream *s = nghttp2_session_get_stream_user_data(session, id);

    (void)at;
    (void)source;
    if (!s || s == &h2_dismissed)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    if (h->heads_only)
        return NGHTTP2_ERR_PAUSE;
    if (buf_free(h->out) < H2_DATA_ROOM) {
        h->full = true;
        return NGHTTP2_ERR_PAUSE;
    }
    size_t held = buf_held(&s->out).len, room = buf_free(h->out) - H2_FRAME_HEAD;
    size_t n = held < most ? held : most;

    n = n < room ? n : room;
    if (held == 0 && !s->end_out) {
        s->deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    if (n > 0)
        *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (n < held || !s->end_out)
        return (ssize_t)n;
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (s->trailers > 0) { /* not before now: they would overtake the body */
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        if (nghttp2_submit_trailer(session, id, h2_nv_kept(&s->kept), s->trailers) != 0)
            return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
    return (ssize_t)n;
}

static const nghttp2_data_provider octets_of_it = {.read_callback = octets_ask};

/* How the body that follows ${head} is kept to what was said. */
static void promise(struct h2stream *s, const struct head *head)
{
    bool none = head->body == BODY_NONE || (head->body == BODY_LENGTH && head->length == 0);

    if (serves(s))
        none = none || s->head_only || head->status == 204 || head->status == 304;
    s->end_out = none;
    s->counted = none || head->body == BODY_LENGTH;
    s->left = none || head->body != BODY_LENGTH ? 0 : head->length;
    s->overrun = false;
}

/* HEADERS must have gone by now, or never go: what ${scratch} points to is about to end. */
static enum fault sent_at_once(struct h2stream *s, struct buf *out)
{
    TRY(h2_write_heads(s->h2, out));
    if (s->head_out)
        return FAULT_NONE;
    if (s->closed && serves(s)) /* a reset that waited went first */
        return h2stream_gone(s);
    if (!s->head_lost && !s->closed) {
        h2_mute(s->h2, FAULT_SYSTEM);
        return FAULT_SYSTEM;
    }
    return serves(s) ? FAULT_CLIENT_GONE : FAULT_UPSTREAM_REFUSED;
}

static enum fault response_write(struct h2stream *s, const struct head *head, struct buf *out)
{
    nghttp2_session *session = s->h2->session;
    size_t n = h2_nv_response(head, &scratch);
    int err;

    if (head->status >= 200)
        promise(s, head);
    if (head->status < 200)
        err = nghttp2_submit_headers(session, NGHTTP2_FLAG_NONE, s->id, NULL, scratch.at, n, NULL);
    else
        err = nghttp2_submit_response(session, s->id, scratch.at, n, s->end_out ? NULL : &octets_of_it);
    if (err != 0)
        return err == NGHTTP2_ERR_NOMEM ? FAULT_NO_MEMORY : FAULT_CLIENT_GONE;
    return sent_at_once(s, out);
}

static enum fault request_write(struct h2stream *s, const struct head *head, struct buf *out)
{
    struct h2 *h = s->h2;
    size_t n = h2_nv_request(head, &scratch);

    s->head_only = slice_equal(head->method, SLICE("HEAD"));
    promise(s, head);
    h->joined--; /* its own place */
    int32_t id = h2_slots(h) == 0 ? NGHTTP2_ERR_STREAM_ID_NOT_AVAILABLE
                                  : nghttp2_submit_request(h->session, NULL, scratch.at, n,
                                                           s->end_out ? NULL : &octets_of_it, s);

    if (id < 0) {
        h->joined++;
        return id == NGHTTP2_ERR_NOMEM ? FAULT_NO_MEMORY : FAULT_UPSTREAM_REFUSED;
    }
    s->id = id;
    return sent_at_once(s, out);
}

static enum fault h2_write_head(struct stream *stream, const struct head *head)
{
    struct h2stream *s = of(stream);
    struct buf *out;

    if (serves(s))
        TRY(writable(s));
    else if (s->closed || s->h2->draining)
        return FAULT_UPSTREAM_REFUSED;
    TRY(h2_room(s->h2, s, &out));
    s->head_out = s->head_lost = false;
    return serves(s) ? response_write(s, head, out) : request_write(s, head, out);
}

static void resume(struct h2stream *s)
{
    if (!s->deferred)
        return;
    s->deferred = false;
    (void)nghttp2_session_resume_data(s->h2->session, s->id); /* fails for a stream that is closing */
}

static enum fault h2_body_room(struct stream *stream, struct buf **out)
{
    struct h2stream *s = of(stream);

    if (!serves(s) || !s->head_only) /* else what is written goes nowhere */
        TRY(writable(s));
    if (!s->out.base)
        TRY(buf_open(&s->out, H2_OUT_OCTETS));
    *out = &s->out;
    return buf_free(*out) ? FAULT_NONE : FAULT_FULL;
}

static void h2_wrote(struct stream *stream, size_t n)
{
    struct h2stream *s = of(stream);
    size_t over = s->counted && n > s->left ? n - (size_t)s->left : 0;

    if (over && serves(s) && s->head_only) { /* what a HEAD is told has a length, and no body */
        s->out.tail -= over;
        return;
    }
    if (over) { /* it would make the message a false one: dropped, and the end refuses */
        s->out.tail -= over;
        sodium_memzero(s->out.base + s->out.tail, over);
        s->overrun = true;
    }
    if (s->counted)
        s->left -= n - over;
    if (n > over)
        resume(s);
}

static enum fault h2_write_end(struct stream *stream, const struct head *trailers)
{
    struct h2stream *s = of(stream);

    if (s->end_out && !s->overrun) /* END_STREAM stood on the head */
        return FAULT_NONE;
    TRY(writable(s));
    if (s->counted && (s->left > 0 || s->overrun))
        return FAULT_SYSTEM;
    if (trailers)
        TRY(h2_nv_trailers(trailers, &s->kept, &s->trailers));
    s->end_out = true;
    resume(s);
    return FAULT_NONE;
}

static const struct stream_ops h2_ops = {
    .head = h2_head,
    .body = h2_body,
    .took = h2_took,
    .trailers = h2_trailers,
    .commit = h2_commit,
    .rewind = h2_rewind,
    .keeps = h2_keeps,
    .write_head = h2_write_head,
    .room = h2_body_room,
    .wrote = h2_wrote,
    .write_end = h2_write_end,
};

/* --- its beginning and its end -------------------------------------------------------------------------- */

void h2stream_begin(struct h2stream *s, struct h2 *h, int32_t id)
{
    *s = (struct h2stream){.stream = {&h2_ops, "h2"},
                           .h2 = h,
                           .role = h->role,
                           .id = id,
                           .window = H2_STREAM_WINDOW,
                           .linked = true};
    TAILQ_INIT(&s->blocks);
    TAILQ_INSERT_TAIL(&h->streams, s, list);
}

enum fault h2stream_open(struct h2stream *s, struct h2 *h)
{
    if (h2_slots(h) == 0)
        return FAULT_UPSTREAM_REFUSED;
    h2stream_begin(s, h, 0);
    h->joined++;
    return FAULT_NONE;
}

static void unlink_it(struct h2stream *s)
{
    struct h2 *h = s->h2;

    h2_forget(h, s);
    TAILQ_REMOVE(&h->streams, s, list);
    h->joined -= s->role == H2_CLIENT && s->id == 0;
    h->grown -= s->window - H2_STREAM_WINDOW;
    s->window = H2_STREAM_WINDOW;
    s->linked = false;
}

void h2stream_detach(struct h2stream *s)
{
    unlink_it(s);
    if (!s->closed) {
        s->closed = s->by_peer = true;
        s->code = s->h2->why == FAULT_UPSTREAM_PROTOCOL ? NGHTTP2_PROTOCOL_ERROR : NGHTTP2_INTERNAL_ERROR;
    }
    s->h2 = NULL;
}

static void dismiss(struct h2stream *s, uint32_t code)
{
    nghttp2_session *session = s->h2->session;

    if (s->id != 0 && !s->closed) {
        if (!(s->whole_in && s->sent))
            (void)nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, s->id, code);
        (void)nghttp2_session_set_stream_user_data(session, s->id, &h2_dismissed);
    }
    unlink_it(s);
}

void h2stream_close(struct h2stream *s, uint32_t code)
{
    if (!s->stream.ops)
        return;
    if (s->h2)
        dismiss(s, code);
    while (!TAILQ_EMPTY(&s->blocks))
        block_free(s);
    buf_close(&s->in);
    buf_close(&s->out);
    buf_close(&s->kept);
    *s = (struct h2stream){0};
}

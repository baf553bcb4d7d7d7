#include "h1stream.h"

static struct h1stream *of(struct stream *s)
{
    return (struct h1stream *)(void *)s;
}

/* What the codec found, in the words of this end. */
static enum fault blamed(const struct h1stream *s, enum fault why)
{
    if (s->server)
        return why;
    switch (why) {
    case FAULT_CLIENT_GONE:
        return FAULT_UPSTREAM_GONE;
    case FAULT_BAD_REQUEST:
    case FAULT_HEAD_TOO_LARGE:
        return FAULT_UPSTREAM_PROTOCOL;
    default:
        return why;
    }
}

/* The link can't bring more: AGAIN would wait for ever. */
static enum fault starved(const struct h1stream *s)
{
    return s->link->broken || s->link->eof ? blamed(s, s->link->broken ? s->link->broken : FAULT_CLIENT_GONE)
                                           : FAULT_AGAIN;
}

static struct slice ahead(const struct h1stream *s)
{
    return slice_drop(buf_held(&s->link->in), s->cursor);
}

/* Octets are read for good, or kept. */
static void pass(struct h1stream *s, size_t n)
{
    if (s->keeping)
        s->cursor += n;
    else
        buf_take(&s->link->in, n);
}

static enum h1_asked asked(const struct h1stream *s)
{
    return s->head_only ? H1_ASKED_HEAD : s->websocket ? H1_ASKED_WEBSOCKET : H1_ASKED;
}

static enum fault h1_head(struct stream *stream, struct head *out)
{
    struct h1stream *s = of(stream);
    struct buf *in = &s->link->in;
    size_t used = 0;
    enum fault why;

    if (s->tunnelled)
        return s->server ? FAULT_END : FAULT_UPSTREAM_GONE;
    if (s->keeping) { /* the same head again: there was no room to write it */
        s->keeping = false;
        s->cursor = s->head_len = 0;
        s->reader = (struct h1_reader){0};
    }
    /* From here on nothing moves what the head's slices point to: it stands at the front of its buffer. */
    if (in->base && in->head > 0)
        buf_front(in);
    why = s->server ? h1_read_request(&s->reader, s->limits, buf_held(in), out, &used)
                    : h1_read_response(&s->reader, s->limits, buf_held(in), asked(s), out, &used);
    if (why == FAULT_AGAIN) {
        if (buf_held(in).len == 0 && s->link->eof)
            return s->server ? FAULT_END : FAULT_UPSTREAM_GONE;
        if (in->base && buf_free(in) == 0)
            TRY(buf_grow(in, s->limits->head_octets + LINK_OCTETS));
        return starved(s);
    }
    TRY(blamed(s, why));
    if (s->server) {
        s->minor = out->minor;
        s->head_only = slice_equal(out->method, SLICE("HEAD"));
    }
    s->keeping = true;
    s->cursor = s->head_len = used;
    s->behind_head = s->reader;
    return FAULT_NONE;
}

static void h1_commit(struct stream *stream)
{
    struct h1stream *s = of(stream);

    if (!s->keeping)
        return;
    s->keeping = false;
    buf_take(&s->link->in, s->cursor);
    s->cursor = s->head_len = 0;
}

static bool h1_rewind(struct stream *stream)
{
    struct h1stream *s = of(stream);

    /* Trailers are kept too; then the head, and what was behind it, may have gone long before. */
    if (!s->keeping || s->head_len == 0)
        return false;
    s->cursor = s->head_len;
    s->reader = s->behind_head;
    return true;
}

static size_t h1_keeps(const struct stream *stream)
{
    const struct h1stream *s = (const void *)stream;

    return s->keeping ? s->link->in.cap - s->head_len : 0;
}

static enum fault h1_stream_body(struct stream *stream, struct slice *run)
{
    struct h1stream *s = of(stream);
    size_t skip = 0;
    enum fault why = h1_body(&s->reader, ahead(s), s->link->eof, &skip, run);

    if (why == FAULT_NONE || why == FAULT_AGAIN || why == FAULT_END)
        pass(s, skip);
    if (why == FAULT_AGAIN && s->keeping && buf_free(&s->link->in) == 0) {
        h1_commit(stream); /* no rewind any more, but room for what comes */
        return FAULT_AGAIN;
    }
    return why == FAULT_AGAIN ? starved(s) : blamed(s, why);
}

static void h1_stream_took(struct stream *stream, size_t n)
{
    struct h1stream *s = of(stream);

    h1_took(&s->reader, n);
    pass(s, n);
}

static enum fault h1_stream_trailers(struct stream *stream, struct head *out)
{
    struct h1stream *s = of(stream);
    size_t used = 0;
    enum fault why = h1_trailers(&s->reader, s->limits, ahead(s), out, &used);

    if (why == FAULT_AGAIN) {
        if (s->keeping && buf_free(&s->link->in) == 0)
            h1_commit(stream);
        else if (s->link->in.base && buf_free(&s->link->in) == 0)
            TRY(buf_grow(&s->link->in, s->limits->head_octets + LINK_OCTETS));
        return starved(s);
    }
    TRY(blamed(s, why));
    /* The trailers' slices must outlive this call: kept like a head until commit or the next message. */
    if (!s->keeping) {
        s->keeping = true;
        s->cursor = 0;
    }
    s->cursor += used;
    return FAULT_NONE;
}

static enum fault h1_write_head(struct stream *stream, const struct head *head)
{
    struct h1stream *s = of(stream);
    enum fault why;

    if (!s->server) {
        s->head_only = slice_equal(head->method, SLICE("HEAD"));
        s->websocket = head->websocket;
    }
    TRY(link_room(s->link));
    why = s->server ? h1_write_response(&s->writer, head, s->minor, s->head_only, &s->link->out)
                    : h1_write_request(&s->writer, head, head->authority, &s->link->out);
    if (why != FAULT_FULL || buf_held(&s->link->out).len)
        return why;
    /* An empty buffer is too small for this head: it gets one that is not. */
    TRY(buf_grow(&s->link->out, 2 * s->limits->head_octets + LINK_OCTETS));
    return s->server ? h1_write_response(&s->writer, head, s->minor, s->head_only, &s->link->out)
                     : h1_write_request(&s->writer, head, head->authority, &s->link->out);
}

static enum fault h1_room(struct stream *stream, struct buf **out)
{
    struct h1stream *s = of(stream);

    TRY(link_room(s->link));
    TRY(h1_chunk_open(&s->writer, &s->link->out, &s->mark));
    /* The run may not use the room that closing it needs. */
    if (s->writer.chunked)
        s->link->out.cap -= H1_CHUNK_TAIL;
    *out = &s->link->out;
    return buf_free(*out) ? FAULT_NONE : FAULT_FULL;
}

static void h1_wrote(struct stream *stream, size_t n)
{
    struct h1stream *s = of(stream);

    if (s->writer.chunked)
        s->link->out.cap += H1_CHUNK_TAIL;
    h1_chunk_close(&s->writer, &s->link->out, s->mark, n);
}

static enum fault h1_stream_end(struct stream *stream, const struct head *trailers)
{
    struct h1stream *s = of(stream);
    struct buf *out = &s->link->out;

    if (s->tunnelled) {
        link_last(s->link);
        return FAULT_NONE;
    }
    TRY(link_room(s->link));
    enum fault why = h1_write_end(&s->writer, trailers, out);

    if (why != FAULT_FULL)
        return why;
    /* Trailers are read once, so FULL would lose them: room is made for the most that they can be. */
    TRY(buf_grow(out, out->cap + 2 * s->limits->head_octets + H1_CHUNK_ROOM));
    return h1_write_end(&s->writer, trailers, out);
}

/* To reader and writer, a body that ends with the connection. */
static void h1_tunnel(struct stream *stream)
{
    struct h1stream *s = of(stream);

    h1_commit(stream);
    s->tunnelled = true;
    s->reader = (struct h1_reader){.body = BODY_STREAM, .until_close = true};
    s->writer = (struct h1_writer){.until_close = true};
}

static const struct stream_ops h1_ops = {
    .head = h1_head,
    .body = h1_stream_body,
    .took = h1_stream_took,
    .trailers = h1_stream_trailers,
    .commit = h1_commit,
    .rewind = h1_rewind,
    .keeps = h1_keeps,
    .write_head = h1_write_head,
    .room = h1_room,
    .wrote = h1_wrote,
    .write_end = h1_stream_end,
    .tunnel = h1_tunnel,
};

void h1stream_open(struct h1stream *s, struct link *link, const struct h1_limits *limits, bool server)
{
    *s = (struct h1stream){
        .stream = {&h1_ops, "h1"}, .link = link, .limits = limits, .server = server, .minor = 1};
}

void h1stream_begin(struct h1stream *s)
{
    h1_commit(&s->stream);
    s->reader = (struct h1_reader){0};
    s->writer = (struct h1_writer){0};
    s->head_only = s->websocket = false;
}

bool h1stream_idle(const struct h1stream *s)
{
    return !s->tunnelled && !s->keeping && buf_held(&s->link->in).len == 0;
}

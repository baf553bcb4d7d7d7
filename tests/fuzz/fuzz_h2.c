#include "h2.h"
#include "h2stream.h"
#include <stdlib.h>

/*
 * A connection of either role, fed with anything: what is read is whole and clean, nothing is held beyond its bound, and
 * what goes out is frames.
 * Input: an octet of flags (1: client; 2: the preface and SETTINGS are put in front; 4: streams are not read; 8: each stream
 * is closed when it was looked at; 16: the connection goes before its streams), an octet of how much is fed at once, then
 * the peer's octets.
 */
#define STREAMS_MAX 64
#define OUT_OCTETS  65536

static const struct h1_limits head_limits = {8192, 32};

struct end {
    struct h2 h2;
    struct buf out;
    struct h2_cut cut; /* of what goes out */
    struct h2stream stream[STREAMS_MAX];
    size_t streams;
    unsigned flags;
};

static void must(bool held)
{
    if (!held)
        abort();
}

static struct h2stream *opened(void *cookie)
{
    struct end *e = cookie;

    return e->streams == STREAMS_MAX ? NULL : &e->stream[e->streams++];
}

static enum fault room(void *cookie, struct buf **out)
{
    struct end *e = cookie;

    *out = &e->out;
    return buf_held(&e->out).len > OUT_OCTETS / 2 ? FAULT_FULL : FAULT_NONE;
}

static void head_must(const struct head *h)
{
    must(h->fields <= head_limits.fields + 1);
    for (size_t i = 0; i < h->fields; i++)
        must(field_name_ok(h->field[i].name) && field_value_ok(h->field[i].value));
    must(octets_are(h->method, OCTET_TCHAR) && octets_are(h->target, OCTET_TARGET));
    must(octets_are(h->authority, OCTET_AUTHORITY));
}

/* Everything that can be read is read, and written back. */
static void stream_look(struct end *e, struct h2stream *s)
{
    const struct stream_ops *ops = s->stream.ops;
    struct head h HEAD_UNSET, answer HEAD_UNSET;
    enum fault why = ops->head(&s->stream, &h);
    struct slice run;
    struct buf *out;

    must(buf_held(&s->in).len <= H2_KEEP_OCTETS + s->window);
    if (why == FAULT_NONE) {
        head_must(&h);
        head_begin(&answer);
        answer.status = 200;
        answer.body = BODY_STREAM;
        if (s->role == H2_SERVER && !s->head_out)
            (void)!ops->write_head(&s->stream, &answer);
        else
            ops->commit(&s->stream);
    }
    while (!(e->flags & 4) && s->head_out && ops->body(&s->stream, &run) == FAULT_NONE &&
           ops->room(&s->stream, &out) == FAULT_NONE) {
        size_t n = buf_some(out, run);

        ops->wrote(&s->stream, n);
        ops->took(&s->stream, n);
    }
    if (ops->body(&s->stream, &run) == FAULT_END && ops->trailers(&s->stream, &h) == FAULT_NONE) {
        head_must(&h);
        if (s->head_out && !s->end_out)
            (void)!ops->write_end(&s->stream, &h);
    }
    if (e->flags & 8)
        h2stream_close(s, H2_CANCEL);
}

static void out_take(struct end *e)
{
    enum fault why = h2_drain(&e->h2, &e->out);

    must(why == FAULT_NONE || why == FAULT_FULL);
    for (struct slice in = buf_held(&e->out); in.len;) {
        struct slice piece;
        int type;

        in = slice_drop(in, h2_cut_next(&e->cut, in, &piece, &type));
        must(type <= 9 && e->cut.left <= 16384);
    }
    must(e->cut.left == 0 && e->cut.held == 0); /* whole frames only */
    buf_take(&e->out, buf_held(&e->out).len);
}

static void end_open(struct end *e)
{
    enum h2_role role = e->flags & 1 ? H2_CLIENT : H2_SERVER;
    const struct h2_limits limits = {&head_limits, 32};
    const struct h2_owner owner = {e, opened, room, NULL};
    struct head h HEAD_UNSET;

    must(h2_open(&e->h2, role, &limits, &owner, 0) == FAULT_NONE);
    must(buf_open(&e->out, OUT_OCTETS) == FAULT_NONE);
    e->cut.preface = role == H2_CLIENT ? H2_PREFACE : 0;
    head_begin(&h);
    h.method = SLICE("POST");
    h.target = SLICE("/");
    h.authority = SLICE("a.test");
    for (; role == H2_CLIENT && e->streams < 3; e->streams++) {
        struct h2stream *s = &e->stream[e->streams];

        h.body = e->streams ? BODY_STREAM : BODY_NONE;
        must(h2stream_open(s, &e->h2) == FAULT_NONE);
        must(s->stream.ops->write_head(&s->stream, &h) == FAULT_NONE);
    }
    if (!(e->flags & 2))
        return;
    if (role == H2_SERVER)
        must(h2_feed(&e->h2, SLICE("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 0) == FAULT_NONE);
    must(h2_feed(&e->h2, SLICE("\0\0\0\4\0\0\0\0\0"), 0) == FAULT_NONE);
}

static void end_close(struct end *e)
{
    if (e->flags & 16)
        h2_close(&e->h2);
    for (size_t i = 0; i < e->streams; i++)
        h2stream_close(&e->stream[i], H2_CANCEL);
    h2_close(&e->h2);
    buf_close(&e->out);
    must(e->h2.joined == 0 && e->h2.grown == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len)
{
    static struct end e;
    struct h2stream *s;
    struct slice in = slice_of(at, len);

    if (len < 2 || len > 1 << 16)
        return 0;
    e = (struct end){.flags = at[0]};
    end_open(&e);
    size_t step = at[1] ? at[1] : SIZE_MAX;

    for (in = slice_drop(in, 2); in.len; in = slice_drop(in, step)) {
        enum fault why = h2_feed(&e.h2, slice_first(in, step), (int64_t)in.len);

        while ((s = h2_next_ready(&e.h2)))
            stream_look(&e, s);
        out_take(&e);
        if (why != FAULT_NONE || h2_over(&e.h2)) {
            must(h2_over(&e.h2));
            break;
        }
    }
    end_close(&e);
    return 0;
}

#include "decimal.h"
#include "h1.h"
#include <assert.h>
#include <sodium.h>

/* Writes into room that was measured before, so a head is out whole or not at all. */
struct pen {
    uint8_t *at;
};

static void pen_put(struct pen *p, struct slice s)
{
    if (s.len > 0)
        memcpy(p->at, s.at, s.len);
    p->at += s.len;
}

static void pen_field(struct pen *p, struct slice name, struct slice value)
{
    pen_put(p, name);
    pen_put(p, SLICE(": "));
    pen_put(p, value);
    pen_put(p, SLICE("\r\n"));
}

static size_t field_octets(struct slice name, struct slice value)
{
    return name.len + 2 + value.len + 2;
}

/* What belongs to the hop is written from members alone: a stray field can't frame a body a second time. */
static bool field_written(const struct field *f, unsigned never)
{
    return !(field_table[f->id].traits & never);
}

static size_t fields_octets(const struct head *h, unsigned never)
{
    size_t n = 0;

    for (size_t i = 0; i < h->fields; i++)
        if (field_written(&h->field[i], never))
            n += field_octets(h->field[i].name, h->field[i].value);
    return n;
}

static void pen_fields(struct pen *p, const struct head *h, unsigned never)
{
    for (size_t i = 0; i < h->fields; i++)
        if (field_written(&h->field[i], never))
            pen_field(p, h->field[i].name, h->field[i].value);
}

/* Room for ${n} octets in one run. */
static enum fault pen_open(struct pen *p, struct buf *out, size_t n)
{
    struct iovec room = buf_room(out);

    if (n > buf_free(out))
        return FAULT_FULL;
    if (room.iov_len < n) {
        buf_front(out);
        room = buf_room(out);
    }
    p->at = room.iov_base;
    return FAULT_NONE;
}

static void buf_untail(struct buf *b, size_t n)
{
    b->tail -= n;
    sodium_memzero(b->base + b->tail, n);
}

struct number {
    char digits[DECIMAL_MAX];
};

static struct slice number_text(struct number *n, uint64_t value)
{
    return slice_of(n->digits, decimal_put(value, n->digits));
}

/* --- heads ---------------------------------------------------------------------------------------------- */

/* The lines behind the end-to-end fields: few, fixed, each there or not. */
struct ending {
    struct slice line[4];
    size_t lines;
    struct number number;
    struct slice length; /* digits; empty: no Content-Length */
};

static void ending_add(struct ending *e, struct slice line)
{
    e->line[e->lines++] = line;
}

static size_t ending_octets(const struct ending *e)
{
    size_t n = e->length.len ? field_octets(SLICE("Content-Length"), e->length) : 0;

    for (size_t i = 0; i < e->lines; i++)
        n += e->line[i].len;
    return n + 2;
}

static void pen_ending(struct pen *p, const struct ending *e)
{
    for (size_t i = 0; i < e->lines; i++)
        pen_put(p, e->line[i]);
    if (e->length.len)
        pen_field(p, SLICE("Content-Length"), e->length);
    pen_put(p, SLICE("\r\n"));
}

#define CHUNKED_LINE  SLICE("Transfer-Encoding: chunked\r\n")
#define UPGRADE_LINES SLICE("Upgrade: websocket\r\nConnection: Upgrade\r\n")

static bool method_means_body(struct slice method)
{
    return slice_equal(method, SLICE("POST")) || slice_equal(method, SLICE("PUT")) ||
           slice_equal(method, SLICE("PATCH"));
}

/* The framing of a body that will be written; ${zero}: one that is not is said to be empty. */
static void framing_choose(struct h1_writer *w, struct ending *e, const struct head *head, bool zero)
{
    *w = (struct h1_writer){.chunked = head->body == BODY_STREAM,
                            .left = head->body == BODY_LENGTH ? head->length : 0};
    if (w->chunked)
        ending_add(e, CHUNKED_LINE);
    else if (head->body == BODY_LENGTH || zero)
        e->length = number_text(&e->number, w->left);
}

enum fault h1_write_request(struct h1_writer *w, const struct head *head, struct slice host, struct buf *out)
{
    const struct slice version = SLICE(" HTTP/1.1\r\n");
    struct h1_writer framing;
    struct ending e;
    struct pen p;
    size_t n;

    e.lines = 0;
    e.length = SLICE_NONE;
    framing_choose(&framing, &e, head, method_means_body(head->method));
    if (head->expect_continue)
        ending_add(&e, SLICE("Expect: 100-continue\r\n"));
    if (head->websocket)
        ending_add(&e, UPGRADE_LINES);
    else if (head->te_trailers)
        ending_add(&e, SLICE("TE: trailers\r\nConnection: TE\r\n"));
    n = head->method.len + 1 + head->target.len + version.len + field_octets(SLICE("Host"), host) +
        fields_octets(head, TRAIT_HOP | TRAIT_MEMBER) + ending_octets(&e);
    TRY(pen_open(&p, out, n));
    pen_put(&p, head->method);
    pen_put(&p, SLICE(" "));
    pen_put(&p, head->target);
    pen_put(&p, version);
    pen_field(&p, SLICE("Host"), host);
    pen_fields(&p, head, TRAIT_HOP | TRAIT_MEMBER);
    pen_ending(&p, &e);
    buf_fill(out, n);
    *w = framing;
    return FAULT_NONE;
}

/* RFC 9112 s.6.3, s.9.3: no framing where no body can be, close where the client can't read chunks. */
static void response_framing(struct h1_writer *w, struct ending *e, const struct head *head, uint8_t minor,
                             bool head_only)
{
    *w = (struct h1_writer){0};
    if (head->websocket)
        ending_add(e, UPGRADE_LINES);
    if (head->status < 200)
        return;
    if (head_only || head->status == 204 || head->status == 304) {
        if (head->body == BODY_LENGTH && head->status != 204)
            e->length = number_text(&e->number, head->length);
    } else if (head->body == BODY_STREAM && minor == 0) {
        w->until_close = true;
    } else {
        framing_choose(w, e, head, true);
    }
    if (head->close || w->until_close)
        ending_add(e, SLICE("Connection: close\r\n"));
    else if (minor == 0)
        ending_add(e, SLICE("Connection: keep-alive\r\n"));
}

enum fault h1_write_response(struct h1_writer *w, const struct head *head, uint8_t minor, bool head_only,
                             struct buf *out)
{
    const struct slice version = SLICE("HTTP/1.1 ");
    struct h1_writer framing;
    struct number number;
    struct slice status = number_text(&number, (uint64_t)head->status);
    struct ending e;
    struct pen p;
    size_t n;

    e.lines = 0;
    e.length = SLICE_NONE;
    response_framing(&framing, &e, head, minor, head_only);
    n = version.len + status.len + 1 + head->reason.len + 2 + fields_octets(head, TRAIT_HOP | TRAIT_MEMBER) +
        ending_octets(&e);
    TRY(pen_open(&p, out, n));
    pen_put(&p, version);
    pen_put(&p, status);
    pen_put(&p, SLICE(" "));
    pen_put(&p, head->reason);
    pen_put(&p, SLICE("\r\n"));
    pen_fields(&p, head, TRAIT_HOP | TRAIT_MEMBER);
    pen_ending(&p, &e);
    buf_fill(out, n);
    *w = framing;
    return FAULT_NONE;
}

/* --- bodies --------------------------------------------------------------------------------------------- */

/* Hex digits of every length that can stand in ${out}: known before the chunk is filled. */
static size_t size_digits(const struct buf *out)
{
    size_t n = 1;

    while (n < 2 * sizeof out->cap && out->cap >> (4 * n) > 0)
        n++;
    return n;
}

enum fault h1_chunk_open(const struct h1_writer *w, struct buf *out, size_t *mark)
{
    size_t line = size_digits(out) + 2;

    *mark = buf_held(out).len;
    if (!w->chunked)
        return FAULT_NONE;
    if (buf_free(out) < H1_CHUNK_ROOM || buf_free(out) <= line + H1_CHUNK_TAIL)
        return FAULT_FULL;
    return buf_append(out, slice_first(SLICE("0000000000000000\r\n"), line));
}

/* What goes beyond the promised length would be read as the next message: it is taken back, the end refuses. */
static void length_count(struct h1_writer *w, struct buf *out, size_t n)
{
    size_t counted = n < w->left ? n : (size_t)w->left;

    w->left -= counted;
    if (counted < n) {
        buf_untail(out, n - counted);
        w->overrun = true;
    }
}

void h1_chunk_close(struct h1_writer *w, struct buf *out, size_t mark, size_t n)
{
    size_t digits = size_digits(out);
    uint8_t *at = out->base + out->head + mark;
    enum fault why;

    if (!w->chunked) {
        if (!w->until_close)
            length_count(w, out, n);
        return;
    }
    assert(buf_held(out).len == mark + digits + 2 + n);
    if (n == 0) {
        buf_untail(out, digits + 2);
        return;
    }
    for (size_t i = 0; i < digits; i++)
        at[i] = (uint8_t) "0123456789abcdef"[n >> (4 * (digits - 1 - i)) & 15];
    memcpy(at + digits, "\r\n", 2);
    why = buf_append(out, SLICE("\r\n"));
    assert(why == FAULT_NONE);
    (void)why;
}

enum fault h1_write_end(struct h1_writer *w, const struct head *trailers, struct buf *out)
{
    const unsigned never = TRAIT_HOP | TRAIT_MEMBER | TRAIT_NO_TRAILER;
    struct pen p;
    size_t n;

    if (!w->chunked)
        return w->left == 0 && !w->overrun ? FAULT_NONE : FAULT_SYSTEM;
    n = 3 + (trailers ? fields_octets(trailers, never) : 0) + 2;
    TRY(pen_open(&p, out, n));
    pen_put(&p, SLICE("0\r\n"));
    if (trailers)
        pen_fields(&p, trailers, never);
    pen_put(&p, SLICE("\r\n"));
    buf_fill(out, n);
    return FAULT_NONE;
}

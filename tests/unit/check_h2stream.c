#include "h2pair.h"

static uint8_t big[1 << 20];

static const struct {
    const char *method;
    int status;
    enum body_kind body;
    uint64_t length;
    const char *in, *trailer;
} messages[] = {
    {"GET", 200, BODY_NONE, 0, "", NULL},
    {"POST", 200, BODY_LENGTH, 5, "hello", NULL},
    {"PUT", 404, BODY_STREAM, 0, "hello", NULL},
    {"POST", 200, BODY_STREAM, 0, "hello", "grpc-status"},
    {"POST", 200, BODY_LENGTH, 5, "hello", "x-sum"},
    {"POST", 500, BODY_STREAM, 0, "", "x-sum"},
    {"POST", 201, BODY_LENGTH, 0, "", NULL},
    {"PATCH", 200, BODY_STREAM, 0, "", NULL},
};

static void message_write(struct h2stream *s, size_t i)
{
    struct head trailers;

    head_begin(&trailers);
    if (messages[i].trailer)
        field_add(&trailers, messages[i].trailer, "17");
    if (messages[i].in[0])
        ck_assert_uint_eq(body_write(s, slice_text(messages[i].in)), strlen(messages[i].in));
    ck_assert_int_eq(s->stream.ops->write_end(&s->stream, &trailers), FAULT_NONE);
}

static void message_is(struct h2stream *s, const struct head *h, size_t i, size_t step)
{
    struct buf got = {0};
    struct head trailers;
    enum fault why;

    ck_assert_uint_eq(head_count(h, FIELD_OTHER), 1);
    ck_assert(slice_equal(h->field[0].name, SLICE("x-a")) && slice_equal(h->field[0].value, SLICE("b c")));
    ck_assert_int_eq(h->body, messages[i].body);
    ck_assert_uint_eq(h->length, messages[i].length);
    ck_assert_int_eq(buf_open(&got, 64), FAULT_NONE);
    why = body_read(s, &got, 64);
    ck_assert_msg(why == FAULT_END, "row %zu step %zu: body %s", i, step, fault_table[why].name);
    ck_assert_msg(slice_equal(buf_held(&got), slice_text(messages[i].in)), "row %zu step %zu: %.*s", i, step,
                  SLICE_PRINTF(buf_held(&got)));
    ck_assert_int_eq(s->stream.ops->trailers(&s->stream, &trailers), FAULT_NONE);
    ck_assert_uint_eq(trailers.fields, messages[i].trailer ? 1 : 0);
    if (messages[i].trailer) {
        ck_assert(slice_equal(trailers.field[0].name, slice_text(messages[i].trailer)));
        ck_assert(slice_equal(trailers.field[0].value, SLICE("17")));
    }
    buf_close(&got);
}

/* A stream has no preferred cut: pieces of any size give the same messages. */
START_TEST(a_message_passes_both_ways_in_pieces_of_any_size)
{
    for (size_t step = 1; step < 80; step++) {
        struct pair *p = pair_new(step);

        EACH(messages)
        {
            struct head h = request_of(messages[i].method, messages[i].body, messages[i].length), got;

            field_add(&h, "X-A", "b c");
            struct h2stream *c = client_send(p, &h);

            message_write(c, i);
            pair_settle(p);
            struct h2stream *s = server_take(p, &got);

            ck_assert(slice_equal(got.method, h.method) && slice_equal(got.target, h.target));
            ck_assert(slice_equal(got.authority, h.authority));
            message_is(s, &got, i, step);
            h = response_of(messages[i].status, messages[i].body, messages[i].length);
            field_add(&h, "X-A", "b c");
            ck_assert_int_eq(s->stream.ops->write_head(&s->stream, &h), FAULT_NONE);
            message_write(s, i);
            pair_settle(p);
            ck_assert_int_eq(c->stream.ops->head(&c->stream, &got), FAULT_NONE);
            ck_assert_int_eq(got.status, messages[i].status);
            message_is(c, &got, i, step);
            ck_assert(c->closed && s->closed && !h2stream_closed(c) && !h2stream_closed(s));
            ck_assert_uint_eq(h2stream_code(c), H2_NO_ERROR);
        }
        ck_assert_uint_eq(h2_slots(&p->client.h2), 100);
        pair_drop(p);
    }
}
END_TEST

static void windows_set(struct end *e, uint32_t octets)
{
    const nghttp2_settings_entry iv = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, octets};

    ck_assert_int_eq(nghttp2_submit_settings(e->h2.session, NGHTTP2_FLAG_NONE, &iv, 1), 0);
}

static const struct {
    uint32_t window;
    size_t pass; /* what comes though nobody takes it */
} windows[] = {{0, 0}, {1, 1}, {1000, 1000}, {65535, 65535}, {0x7fffffff, sizeof big}};

START_TEST(what_is_sent_keeps_to_the_window)
{
    EACH(windows)
    {
        struct pair *p = pair_new(SIZE_MAX);
        struct head h = request_of("POST", BODY_STREAM, 0), got;
        size_t sent = 0, n;

        windows_set(&p->server, windows[i].window);
        pair_settle(p);
        struct h2stream *c = client_send(p, &h);

        do {
            n = body_write(c, slice_of(big + sent, sizeof big - sent));
            sent += n;
            pair_settle(p);
        } while (n > 0 && sent < sizeof big);
        struct h2stream *s = server_take(p, &got);

        ck_assert_msg(buf_held(&s->in).len == windows[i].pass, "row %zu: %zu octets came", i,
                      buf_held(&s->in).len);
        ck_assert_uint_le(sent, windows[i].pass + H2_OUT_OCTETS);
        windows_set(&p->server, 65535); /* a window that shrinks below what was used is no fault */
        pair_settle(p);
        ck_assert_int_eq(h2_why(&p->server.h2), FAULT_NONE);
        pair_drop(p);
    }
}
END_TEST

/* Moves a body of ${len} octets from ${from} to ${to}, which takes ${most} at a time. */
static void body_pass(struct pair *p, struct h2stream *from, struct h2stream *to, size_t len, size_t most)
{
    struct slice run;

    for (size_t sent = 0, left = len; left > 0;) {
        sent += body_write(from, slice_first(slice_of(big, sizeof big), len - sent));
        pair_settle(p);
        if (to->stream.ops->body(&to->stream, &run) != FAULT_NONE)
            continue;
        ck_assert_uint_le(run.len, to->window);
        run = slice_first(run, most < left ? most : left);
        to->stream.ops->took(&to->stream, run.len);
        left -= run.len;
    }
}

START_TEST(the_window_grows_for_who_takes_what_comes_and_not_for_who_does_not)
{
    struct pair *p = pair_new(SIZE_MAX);
    struct h2stream *c, *s;
    struct head h = response_of(200, BODY_STREAM, 0), got;

    c = request_pass(p, &s);
    ck_assert_int_eq(s->stream.ops->write_head(&s->stream, &h), FAULT_NONE);
    pair_settle(p);
    ck_assert_int_eq(c->stream.ops->head(&c->stream, &got), FAULT_NONE);
    c->stream.ops->commit(&c->stream);
    body_pass(p, s, c, 60000, SIZE_MAX);
    ck_assert_uint_eq(c->window, H2_STREAM_WINDOW);
    for (int i = 0; i < 12; i++)
        body_pass(p, s, c, sizeof big, SIZE_MAX);
    ck_assert_uint_gt(c->window, H2_WINDOW_MAX / 2);
    ck_assert_uint_le(c->window, H2_WINDOW_MAX);
    ck_assert_uint_eq(p->client.h2.grown, c->window - H2_STREAM_WINDOW);
    h2stream_close(c, H2_CANCEL);
    ck_assert_uint_eq(p->client.h2.grown, 0);

    /* Something is always left behind. */
    c = request_pass(p, &s);
    ck_assert_int_eq(s->stream.ops->write_head(&s->stream, &h), FAULT_NONE);
    pair_settle(p);
    ck_assert_int_eq(c->stream.ops->head(&c->stream, &got), FAULT_NONE);
    c->stream.ops->commit(&c->stream);
    for (size_t sent = 0, n = 1; n > 0; sent += n) {
        n = body_write(s, slice_of(big, sizeof big));
        pair_settle(p);
    }
    body_pass(p, s, c, sizeof big, 4096);
    ck_assert_uint_eq(c->window, H2_STREAM_WINDOW);
    pair_drop(p);
}
END_TEST

START_TEST(a_stream_that_is_not_read_stops_its_sender_and_no_other)
{
    struct pair *p = pair_new(SIZE_MAX);
    struct h2stream *c[2], *s[2];
    struct head h = response_of(200, BODY_STREAM, 0), got;
    size_t n;

    for (int i = 0; i < 2; i++) {
        c[i] = request_pass(p, &s[i]);
        ck_assert_int_eq(s[i]->stream.ops->write_head(&s[i]->stream, &h), FAULT_NONE);
        pair_settle(p);
        ck_assert_int_eq(c[i]->stream.ops->head(&c[i]->stream, &got), FAULT_NONE);
    }
    do {
        n = body_write(s[0], slice_of(big, sizeof big));
        pair_settle(p);
    } while (n > 0);
    ck_assert_uint_eq(buf_held(&c[0]->in).len, H2_STREAM_WINDOW);
    for (int i = 0; i < 40; i++) /* more than the connection's window */
        body_pass(p, s[1], c[1], sizeof big, SIZE_MAX);
    ck_assert_uint_eq(buf_held(&c[0]->in).len, H2_STREAM_WINDOW);
    ck_assert(h2stream_unsent(s[0]));
    body_read(c[0], NULL, H2_STREAM_WINDOW);
    pair_settle(p);
    ck_assert(!h2stream_unsent(s[0]));
    pair_drop(p);
}
END_TEST

START_TEST(a_head_may_be_asked_again_and_its_body_read_again_until_commit)
{
    struct pair *p = pair_new(SIZE_MAX);
    struct head h = request_of("POST", BODY_STREAM, 0), got;
    struct h2stream *c = client_send(p, &h);
    struct slice run;

    ck_assert_uint_eq(body_write(c, SLICE("hello")), 5);
    pair_settle(p);
    struct h2stream *s = server_take(p, &got);
    const struct stream_ops *ops = s->stream.ops;

    ck_assert_uint_eq(ops->keeps(&s->stream), H2_KEEP_OCTETS);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(body_read(s, NULL, 3), FAULT_NONE);
        ck_assert_int_eq(ops->body(&s->stream, &run), FAULT_NONE);
        ck_assert(slice_equal(run, SLICE("lo")));
        if (i == 1)
            ck_assert(ops->rewind(&s->stream));
        else
            ck_assert_int_eq(ops->head(&s->stream, &got), FAULT_NONE);
        ck_assert(slice_equal(got.target, SLICE("/a?b")));
        ck_assert_int_eq(ops->body(&s->stream, &run), FAULT_NONE);
        ck_assert(slice_equal(run, SLICE("hello")));
    }
    body_read(s, NULL, 3);
    ops->commit(&s->stream);
    ck_assert(!ops->rewind(&s->stream));
    ck_assert_uint_eq(ops->keeps(&s->stream), 0);
    ck_assert_int_eq(ops->body(&s->stream, &run), FAULT_NONE);
    ck_assert(slice_equal(run, SLICE("lo")));
    pair_drop(p);
}
END_TEST

START_TEST(a_body_is_kept_up_to_a_bound_and_stands_in_one_run)
{
    static const struct {
        size_t len;
        bool kept;
    } rows[] = {{1, true}, {H2_KEEP_OCTETS, true}, {H2_KEEP_OCTETS + 1, false}, {4 * H2_KEEP_OCTETS, false}};

    EACH(rows)
    {
        struct pair *p = pair_new(SIZE_MAX);
        struct head h = request_of("POST", BODY_LENGTH, rows[i].len), got;
        struct h2stream *c = client_send(p, &h);
        struct slice run;

        pair_settle(p);
        struct h2stream *s = server_take(p, &got);

        body_pass(p, c, s, rows[i].len, SIZE_MAX);
        ck_assert_int_eq(c->stream.ops->write_end(&c->stream, NULL), FAULT_NONE);
        pair_settle(p);
        ck_assert_int_eq(s->stream.ops->body(&s->stream, &run), FAULT_END);
        ck_assert_msg(s->stream.ops->rewind(&s->stream) == rows[i].kept, "row %zu", i);
        if (rows[i].kept) {
            ck_assert_int_eq(s->stream.ops->body(&s->stream, &run), FAULT_NONE);
            ck_assert_uint_eq(run.len, rows[i].len);
            s->stream.ops->took(&s->stream, run.len);
            ck_assert_int_eq(s->stream.ops->body(&s->stream, &run), FAULT_END);
        }
        pair_drop(p);
    }
}
END_TEST

START_TEST(a_promised_length_is_kept_to_the_octet)
{
    for (size_t given = 0; given <= 8; given++) {
        struct pair *p = pair_new(SIZE_MAX);
        struct head h = request_of("POST", BODY_LENGTH, 5), got;
        struct h2stream *c = client_send(p, &h);

        ck_assert_uint_eq(body_write(c, slice_first(SLICE("01234567"), given)), given);
        enum fault why = c->stream.ops->write_end(&c->stream, NULL);

        ck_assert_int_eq(why, given == 5 ? FAULT_NONE : FAULT_SYSTEM);
        pair_settle(p);
        struct h2stream *s = server_take(p, &got);

        why = body_read(s, NULL, 5);
        ck_assert_uint_le(buf_held(&s->in).len, 5);
        ck_assert_msg(body_read(s, NULL, 5) == (given == 5 ? FAULT_END : FAULT_AGAIN), "given %zu", given);
        h2stream_close(c, H2_INTERNAL_ERROR);
        pair_settle(p);
        ck_assert_msg(body_read(s, NULL, 5) == (given == 5 ? FAULT_END : FAULT_CLIENT_GONE), "given %zu",
                      given);
        pair_drop(p);
    }
}
END_TEST

static const struct {
    const char *method;
    int status;
    enum body_kind body;
} bodyless[] = {{"HEAD", 200, BODY_LENGTH},
                {"HEAD", 200, BODY_STREAM},
                {"GET", 204, BODY_NONE},
                {"GET", 304, BODY_LENGTH}};

START_TEST(a_response_that_has_no_body_ends_with_its_head)
{
    EACH(bodyless)
    {
        struct pair *p = pair_new(SIZE_MAX);
        struct head h = request_of(bodyless[i].method, BODY_NONE, 0), got;
        struct h2stream *c = client_send(p, &h), *s;
        struct slice run;

        pair_settle(p);
        s = server_take(p, &got);
        h = response_of(bodyless[i].status, bodyless[i].body, 7);
        ck_assert_int_eq(s->stream.ops->write_head(&s->stream, &h), FAULT_NONE);
        ck_assert_int_eq(s->stream.ops->write_end(&s->stream, NULL), FAULT_NONE);
        ck_assert(s->closed && !h2stream_closed(s)); /* done, and not broken off */
        pair_settle(p);
        ck_assert_int_eq(c->stream.ops->head(&c->stream, &got), FAULT_NONE);
        ck_assert_msg(c->stream.ops->body(&c->stream, &run) == FAULT_END, "row %zu", i);
        if (bodyless[i].body == BODY_LENGTH)
            ck_assert_uint_eq(got.length, 7);
        pair_drop(p);
    }
}
END_TEST

/* --- ends that come too early ------------------------------------------------------------------------------- */

enum moment { BEFORE_HEAD, BEHIND_HEAD, IN_BODY, BEHIND_BODY, MOMENTS };

/* A POST that has come so far. */
static struct h2stream *request_until(struct pair *p, enum moment m)
{
    struct head h = request_of("POST", BODY_STREAM, 0);
    struct h2stream *c = client_open(p);

    if (m >= BEHIND_HEAD)
        ck_assert_int_eq(c->stream.ops->write_head(&c->stream, &h), FAULT_NONE);
    if (m >= IN_BODY)
        ck_assert_uint_eq(body_write(c, SLICE("hello")), 5);
    if (m >= BEHIND_BODY)
        ck_assert_int_eq(c->stream.ops->write_end(&c->stream, NULL), FAULT_NONE);
    pair_settle(p);
    return c;
}

START_TEST(a_client_that_resets_is_gone_at_every_moment)
{
    for (enum moment m = BEFORE_HEAD; m < MOMENTS; m++) {
        struct pair *p = pair_new(SIZE_MAX);
        struct h2stream *c = request_until(p, m), *s = &p->server.stream[0];
        struct head h = response_of(200, BODY_STREAM, 0), got;
        struct buf *out;

        h2stream_close(c, H2_CANCEL);
        pair_settle(p);
        ck_assert_uint_eq(h2_slots(&p->client.h2), 100);
        ck_assert_uint_eq(p->server.streams, m == BEFORE_HEAD ? 0 : 1);
        if (m != BEFORE_HEAD) {
            ck_assert(h2stream_closed(s) && h2stream_code(s) == H2_CANCEL);
            ck_assert_ptr_eq(h2_next_ready(&p->server.h2), s);
            ck_assert_int_eq(s->stream.ops->head(&s->stream, &got), FAULT_NONE); /* it came before */
            ck_assert_int_eq(body_read(s, NULL, 99), m == BEHIND_BODY ? FAULT_END : FAULT_CLIENT_GONE);
            ck_assert_int_eq(s->stream.ops->room(&s->stream, &out), FAULT_CLIENT_GONE);
            ck_assert_int_eq(s->stream.ops->write_end(&s->stream, NULL), FAULT_CLIENT_GONE);
            ck_assert_int_eq(s->stream.ops->write_head(&s->stream, &h), FAULT_CLIENT_GONE);
        }
        pair_drop(p);
    }
}
END_TEST

static const struct {
    uint32_t code;
    enum fault why;
} codes[] = {
    {H2_NO_ERROR, FAULT_UPSTREAM_GONE},
    {H2_PROTOCOL_ERROR, FAULT_UPSTREAM_PROTOCOL},
    {H2_INTERNAL_ERROR, FAULT_UPSTREAM_GONE},
    {3, FAULT_UPSTREAM_PROTOCOL},
    {5, FAULT_UPSTREAM_PROTOCOL},
    {H2_REFUSED_STREAM, FAULT_UPSTREAM_REFUSED},
    {H2_CANCEL, FAULT_UPSTREAM_GONE},
    {9, FAULT_UPSTREAM_PROTOCOL},
    {H2_ENHANCE_YOUR_CALM, FAULT_UPSTREAM_GONE},
    {H2_HTTP_1_1_REQUIRED, FAULT_UPSTREAM_REFUSED},
    {0xffffffff, FAULT_UPSTREAM_GONE},
};

START_TEST(why_an_upstream_reset_is_told_with_the_answer_and_never_while_writing)
{
    EACH(codes)
    {
        for (enum moment m = BEHIND_HEAD; m < MOMENTS; m++) {
            struct pair *p = pair_new(SIZE_MAX);
            struct h2stream *c = request_until(p, m), *s = &p->server.stream[0];
            struct head got;
            struct buf *out;

            h2stream_close(s, codes[i].code);
            pair_settle(p);
            enum fault why = c->stream.ops->head(&c->stream, &got);

            ck_assert_msg(why == codes[i].why, "code %u: %s", codes[i].code, fault_table[why].name);
            ck_assert_uint_eq(h2stream_code(c), codes[i].code);
            ck_assert_int_eq(c->stream.ops->room(&c->stream, &out), FAULT_FULL);
            if (m != BEHIND_BODY)
                ck_assert_int_eq(c->stream.ops->write_end(&c->stream, NULL), FAULT_FULL);
            ck_assert_uint_eq(h2_slots(&p->client.h2), 100);
            pair_drop(p);
        }
    }
}
END_TEST

START_TEST(an_answer_that_comes_before_the_request_is_whole_is_whole_itself)
{
    struct pair *p = pair_new(SIZE_MAX);
    struct h2stream *c = request_until(p, IN_BODY), *s;
    struct head h = response_of(413, BODY_LENGTH, 3), got;
    struct slice run;
    struct buf *out;

    s = server_take(p, &got);
    ck_assert_int_eq(s->stream.ops->write_head(&s->stream, &h), FAULT_NONE);
    ck_assert_uint_eq(body_write(s, SLICE("no!")), 3);
    ck_assert_int_eq(s->stream.ops->write_end(&s->stream, NULL), FAULT_NONE);
    ck_assert(!h2stream_sent(s));
    while (h2_next_ready(&p->server.h2))
        ;
    pair_settle(p);
    ck_assert(h2stream_sent(s));
    ck_assert_ptr_eq(h2_next_ready(&p->server.h2), s);
    h2stream_close(s, H2_NO_ERROR);
    pair_settle(p);
    ck_assert(h2stream_closed(c));
    ck_assert_int_eq(c->stream.ops->room(&c->stream, &out), FAULT_FULL);
    ck_assert_int_eq(c->stream.ops->head(&c->stream, &got), FAULT_NONE);
    ck_assert_int_eq(got.status, 413);
    ck_assert_int_eq(c->stream.ops->body(&c->stream, &run), FAULT_NONE);
    ck_assert(slice_equal(run, SLICE("no!")));
    c->stream.ops->took(&c->stream, 3);
    ck_assert_int_eq(c->stream.ops->body(&c->stream, &run), FAULT_END);
    pair_drop(p);
}
END_TEST

START_TEST(interim_heads_come_in_order_and_only_so_many)
{
    for (int n = 0; n < 2 * H2_HEADS_MAX; n++) {
        struct pair *p = pair_new(SIZE_MAX);
        struct h2stream *c, *s;
        struct head h, got;

        c = request_pass(p, &s);
        for (int i = 0; i < n; i++) {
            h = response_of(i % 2 ? 103 : 100, BODY_NONE, 0);
            ck_assert_int_eq(s->stream.ops->write_head(&s->stream, &h), FAULT_NONE);
        }
        h = response_of(200, BODY_STREAM, 0);
        ck_assert_int_eq(s->stream.ops->write_head(&s->stream, &h), FAULT_NONE);
        message_write(s, 3);
        pair_settle(p);
        for (int i = 0; i < n && i < H2_HEADS_MAX; i++) {
            ck_assert_int_eq(c->stream.ops->head(&c->stream, &got), FAULT_NONE);
            ck_assert_int_eq(got.status, i % 2 ? 103 : 100);
            c->stream.ops->commit(&c->stream);
        }
        enum fault why = c->stream.ops->head(&c->stream, &got);

        if (n > H2_HEADS_MAX - 2) { /* 200 and the trailers wait too */
            ck_assert_msg(why == FAULT_UPSTREAM_PROTOCOL || n < H2_HEADS_MAX, "%d: %s", n,
                          fault_table[why].name);
            ck_assert_int_eq(h2stream_gone(c), FAULT_UPSTREAM_PROTOCOL);
        } else {
            ck_assert_msg(why == FAULT_NONE && got.status == 200, "%d: %s", n, fault_table[why].name);
            ck_assert_int_eq(body_read(c, NULL, 99), FAULT_END);
            ck_assert_int_eq(c->stream.ops->trailers(&c->stream, &got), FAULT_NONE);
            ck_assert_uint_eq(got.fields, 1);
        }
        pair_drop(p);
    }
}
END_TEST

START_TEST(trailers_outlive_a_commit_that_came_before_they_were_read)
{
    struct pair *p = pair_new(SIZE_MAX);
    struct head h = request_of("POST", BODY_STREAM, 0), got;
    struct h2stream *c = client_send(p, &h), *s;

    message_write(c, 3);
    pair_settle(p);
    s = server_take(p, &got);
    s->stream.ops->commit(&s->stream);
    s->stream.ops->commit(&s->stream);
    ck_assert_int_eq(body_read(s, NULL, 99), FAULT_END);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(s->stream.ops->trailers(&s->stream, &got), FAULT_NONE);
        ck_assert_uint_eq(got.fields, 1);
    }
    s->stream.ops->commit(&s->stream);
    ck_assert_int_eq(s->stream.ops->trailers(&s->stream, &got), FAULT_NONE);
    ck_assert_uint_eq(got.fields, 0);
    pair_drop(p);
}
END_TEST

START_TEST(a_head_that_finds_no_room_comes_up_when_there_is_some)
{
    struct pair *p = pair_new(SIZE_MAX);
    struct head h = request_of("GET", BODY_NONE, 0);
    struct h2stream *c = client_open(p);

    ck_assert_int_eq(buf_append(&p->client.out, SLICE("x")), FAULT_NONE);
    p->client.room_most = 0;
    ck_assert_int_eq(c->stream.ops->write_head(&c->stream, &h), FAULT_FULL);
    ck_assert_ptr_null(h2_next_ready(&p->client.h2));
    out_empty(&p->client);
    ck_assert_ptr_eq(h2_next_ready(&p->client.h2), c);
    ck_assert_ptr_null(h2_next_ready(&p->client.h2));
    ck_assert_int_eq(c->stream.ops->write_head(&c->stream, &h), FAULT_NONE);
    ck_assert_uint_gt(buf_held(&p->client.out).len, 0);
    pair_drop(p);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("h2stream");
    TCase *t = tcase_create("h2stream");
    SRunner *r;
    int failed;

    tcase_set_timeout(t, 120);
    tcase_add_test(t, a_client_that_resets_is_gone_at_every_moment);
    tcase_add_test(t, why_an_upstream_reset_is_told_with_the_answer_and_never_while_writing);
    tcase_add_test(t, a_promised_length_is_kept_to_the_octet);
    tcase_add_test(t, interim_heads_come_in_order_and_only_so_many);
    tcase_add_test(t, a_message_passes_both_ways_in_pieces_of_any_size);
    tcase_add_test(t, what_is_sent_keeps_to_the_window);
    tcase_add_test(t, the_window_grows_for_who_takes_what_comes_and_not_for_who_does_not);
    tcase_add_test(t, a_stream_that_is_not_read_stops_its_sender_and_no_other);
    tcase_add_test(t, a_head_may_be_asked_again_and_its_body_read_again_until_commit);
    tcase_add_test(t, a_body_is_kept_up_to_a_bound_and_stands_in_one_run);
    tcase_add_test(t, a_response_that_has_no_body_ends_with_its_head);
    tcase_add_test(t, an_answer_that_comes_before_the_request_is_whole_is_whole_itself);
    tcase_add_test(t, trailers_outlive_a_commit_that_came_before_they_were_read);
    tcase_add_test(t, a_head_that_finds_no_room_comes_up_when_there_is_some);
    suite_add_tcase(s, t);
    r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

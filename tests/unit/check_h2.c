#include "h2pair.h"

static uint8_t zeroes[20000];

/* --- what must be refused --------------------------------------------------------------------------------------- */

static const struct {
    const char *what;
    struct frame frame[4];
    int64_t code;
} fatal[] = {
    {"DATA on stream 0", {FRAME(0, 0, 0, "x")}, 1},
    {"DATA on an idle stream", {FRAME(0, 0, 1, "x")}, 1},
    {"DATA padded beyond its end", {FRAME(HEADERS, 4, 1, POST_BLOCK), FRAME(0, 8, 1, "\x05xx")}, 1},
    {"DATA behind END_STREAM", {FRAME(HEADERS, ENDS, 1, GET_BLOCK), FRAME(0, 0, 1, "x")}, 5},
    {"HEADERS on stream 0", {FRAME(HEADERS, ENDS, 0, GET_BLOCK)}, 1},
    {"HEADERS on an even stream", {FRAME(HEADERS, ENDS, 2, GET_BLOCK)}, 1},
    {"HEADERS that depend on themselves", {FRAME(HEADERS, ENDS | 8, 1, "\xff" GET_BLOCK)}, 1},
    {"HEADERS behind END_STREAM", {FRAME(HEADERS, ENDS, 1, GET_BLOCK), FRAME(HEADERS, ENDS, 1, "\x82")}, 5},
    {"a block that is no HPACK", {FRAME(HEADERS, ENDS, 1, "\x80")}, 9},
    {"an index without an entry", {FRAME(HEADERS, ENDS, 1, "\xfe")}, 9},
    {"a table larger than allowed", {FRAME(HEADERS, ENDS, 1, "\x3f\xff\x7f")}, 9},
    {"a block in the middle of another",
     {FRAME(HEADERS, 1, 1, GET_BLOCK), FRAME(HEADERS, ENDS, 3, GET_BLOCK)},
     1},
    {"a PING in the middle of a block", {FRAME(HEADERS, 1, 1, GET_BLOCK), FRAME(6, 0, 0, "12345678")}, 1},
    {"CONTINUATION of nothing", {FRAME(9, 4, 1, GET_BLOCK)}, 1},
    {"CONTINUATION of another stream", {FRAME(HEADERS, 1, 1, "\x82"), FRAME(9, 4, 3, "\x87")}, 1},
    {"HEADERS on a stream that was passed over",
     {FRAME(HEADERS, ENDS, 5, GET_BLOCK), FRAME(HEADERS, ENDS, 3, GET_BLOCK)},
     1},
    {"PRIORITY on stream 0", {FRAME(2, 0, 0, "\0\0\0\1\0")}, 1},
    {"RST_STREAM on stream 0", {FRAME(3, 0, 0, "\0\0\0\x08")}, 1},
    {"RST_STREAM of an idle stream", {FRAME(3, 0, 1, "\0\0\0\x08")}, 1},
    {"RST_STREAM of three octets", {FRAME(HEADERS, 4, 1, POST_BLOCK), FRAME(3, 0, 1, "\0\0\0")}, 6},
    {"SETTINGS on a stream", {FRAME(4, 0, 1, "")}, 1},
    {"SETTINGS of five octets", {FRAME(4, 0, 0, "\0\1\0\0\0")}, 6},
    {"an acknowledgement that says more", {FRAME(4, 1, 0, "\0\1\0\0\0\0")}, 6},
    {"an acknowledgement of nothing", {FRAME(4, 1, 0, "")}, 1},
    {"ENABLE_PUSH of two", {FRAME(4, 0, 0, "\0\2\0\0\0\2")}, 1},
    {"INITIAL_WINDOW_SIZE over 2^31-1", {FRAME(4, 0, 0, "\0\4\x80\0\0\0")}, 3},
    {"MAX_FRAME_SIZE under 2^14", {FRAME(4, 0, 0, "\0\5\0\0\x3f\xff")}, 1},
    {"PUSH_PROMISE from a client",
     {FRAME(HEADERS, 4, 1, POST_BLOCK), FRAME(5, 4, 1, "\0\0\0\2" GET_BLOCK)},
     1},
    {"PING on a stream", {FRAME(6, 0, 1, "12345678")}, 1},
    {"PING of seven octets", {FRAME(6, 0, 0, "1234567")}, 6},
    {"GOAWAY on a stream", {FRAME(7, 0, 1, "\0\0\0\0\0\0\0\0")}, 1},
    {"GOAWAY of seven octets", {FRAME(7, 0, 0, "\0\0\0\0\0\0\0")}, 6},
    {"WINDOW_UPDATE of three octets", {FRAME(8, 0, 0, "\0\0\1")}, 6},
    {"WINDOW_UPDATE by nothing", {FRAME(8, 0, 0, "\0\0\0\0")}, 1},
    {"WINDOW_UPDATE of a stream by nothing",
     {FRAME(HEADERS, 4, 1, POST_BLOCK), FRAME(8, 0, 1, "\0\0\0\0")},
     1},
    {"WINDOW_UPDATE over 2^31-1", {FRAME(8, 0, 0, "\x7f\xff\xff\xff")}, 3},
    {"WINDOW_UPDATE of an idle stream", {FRAME(8, 0, 1, "\0\0\0\1")}, 1},
};

START_TEST(wrong_frames_end_the_connection)
{
    struct buf b = {0};

    EACH(fatal)
    {
        struct end *e = server_alone(&b);
        enum fault why;

        frames_put(&b, fatal[i].frame);
        (void)!end_feed(e, &b);
        int64_t code = goaway_code(e);

        why = h2_why(&e->h2);
        ck_assert_msg(code == fatal[i].code, "%s: GOAWAY %lld", fatal[i].what, (long long)code);
        ck_assert_msg(why == FAULT_BAD_REQUEST, "%s: %s", fatal[i].what, fault_table[why].name);
        ck_assert_msg(h2_over(&e->h2), "%s: goes on", fatal[i].what);
        frame_put(&b, HEADERS, ENDS, 101, SLICE(GET_BLOCK));
        (void)!end_feed(e, &b);
        ck_assert_uint_le(e->streams, 1);
        alone_drop(e, &b);
    }
}
END_TEST

START_TEST(what_does_not_begin_as_http_2_ends)
{
    static const char *const first[] = {"GET / HTTP/1.1\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\rX",
                                        PREFACE "\0\0\0\6\0\0\0\0\0", "\x16\x03\x01\x02"};

    EACH(first)
    {
        struct end *e = calloc(1, sizeof *e);

        end_open(e, H2_SERVER, 100);
        (void)!h2_feed(&e->h2, slice_of(first[i], i == 2 ? H2_PREFACE + H2_FRAME_HEAD : strlen(first[i])),
                       now_ms);
        ck_assert_msg(goaway_code(e) == 1, "row %zu", i);
        ck_assert_int_eq(h2_why(&e->h2), FAULT_BAD_REQUEST);
        ck_assert(h2_over(&e->h2));
        end_close(e);
        free(e);
    }
}
END_TEST

static const struct {
    const char *what;
    struct frame frame[4];
    int64_t code;
} wrong[] = {
    {"WINDOW_UPDATE over 2^31-1", {FRAME(HEADERS, 4, 1, POST_BLOCK), FRAME(8, 0, 1, "\x7f\xff\xff\xff")}, 3},
    {"more than content-length",
     {FRAME(HEADERS, 4, 1, POST_BLOCK LITERAL("\x0e", "content-length", "\1", "5")),
      FRAME(0, 0, 1, "123456")},
     1},
    {"less than content-length",
     {FRAME(HEADERS, 4, 1, POST_BLOCK LITERAL("\x0e", "content-length", "\1", "5")), FRAME(0, 1, 1, "1234")},
     1},
    {"content-length and no body",
     {FRAME(HEADERS, 5, 1, POST_BLOCK LITERAL("\x0e", "content-length", "\1", "5"))},
     1},
    {"trailers that do not end it",
     {FRAME(HEADERS, 4, 1, POST_BLOCK), FRAME(HEADERS, 4, 1, LITERAL("\1", "a", "\1", "b"))},
     1},
    {"a pseudo-field in trailers", {FRAME(HEADERS, 4, 1, POST_BLOCK), FRAME(HEADERS, 5, 1, "\x82")}, 1},
    {"upper case", {FRAME(HEADERS, ENDS, 1, GET_BLOCK LITERAL("\1", "A", "\1", "b"))}, 1},
    {"a name with a blank", {FRAME(HEADERS, ENDS, 1, GET_BLOCK LITERAL("\3", "a b", "\1", "b"))}, 1},
    {"a value with a line end", {FRAME(HEADERS, ENDS, 1, GET_BLOCK LITERAL("\1", "a", "\3", "b\nc"))}, 1},
    {"a value with NUL", {FRAME(HEADERS, ENDS, 1, GET_BLOCK LITERAL("\1", "a", "\3", "b\0c"))}, 1},
    {"a value that begins with a blank",
     {FRAME(HEADERS, ENDS, 1, GET_BLOCK LITERAL("\1", "a", "\2", " b"))},
     1},
    {"connection", {FRAME(HEADERS, ENDS, 1, GET_BLOCK LITERAL("\x0a", "connection", "\5", "close"))}, 1},
    {"transfer-encoding",
     {FRAME(HEADERS, ENDS, 1, GET_BLOCK LITERAL("\x11", "transfer-encoding", "\7", "chunked"))},
     1},
    {"te: gzip", {FRAME(HEADERS, ENDS, 1, GET_BLOCK LITERAL("\2", "te", "\4", "gzip"))}, 1},
    {"two methods", {FRAME(HEADERS, ENDS, 1, "\x82" GET_BLOCK)}, 1},
    {"no path", {FRAME(HEADERS, ENDS, 1, "\x82\x87\x41\1a")}, 1},
    {"an unknown pseudo-field", {FRAME(HEADERS, ENDS, 1, GET_BLOCK LITERAL("\2", ":a", "\1", "b"))}, 1},
    {"a response's pseudo-field", {FRAME(HEADERS, ENDS, 1, GET_BLOCK "\x88")}, 1},
    {"a pseudo-field behind others",
     {FRAME(HEADERS, ENDS, 1, "\x82\x87\x84" LITERAL("\1", "a", "\1", "b") "\x41\1a")},
     1},
};

START_TEST(a_wrong_stream_is_reset_and_the_connection_goes_on)
{
    struct buf b = {0};

    EACH(wrong)
    {
        struct end *e = server_alone(&b);

        frames_put(&b, wrong[i].frame);
        ck_assert_msg(end_feed(e, &b) == FAULT_NONE, "%s", wrong[i].what);
        int64_t code = reset_code(e, 1);

        ck_assert_msg(code >= 0, "%s: no RST_STREAM", wrong[i].what);
        ck_assert_msg(code == wrong[i].code || code == 2, "%s: %lld", wrong[i].what, (long long)code);
        ck_assert_uint_eq(e->streams, 1);
        ck_assert_msg(h2stream_closed(&e->stream[0]), "%s: open", wrong[i].what);
        ck_assert_int_eq(h2stream_gone(&e->stream[0]), FAULT_BAD_REQUEST);
        ck_assert_ptr_eq(h2_next_ready(&e->h2), &e->stream[0]);
        frame_put(&b, HEADERS, ENDS, 3, SLICE(GET_BLOCK));
        ck_assert_int_eq(end_feed(e, &b), FAULT_NONE);
        ck_assert_ptr_eq(h2_next_ready(&e->h2), &e->stream[1]);
        ck_assert_int_eq(goaway_code(e), -1);
        alone_drop(e, &b);
    }
}
END_TEST

/* --- an upstream, by hand ------------------------------------------------------------------------------------------- */

/* A table of no octets was asked for: each first block says that it has none (RFC 7541 s.4.2). */
#define NO_TABLE "\x20"
#define OK_BLOCK NO_TABLE "\x88"

static const struct {
    const char *what;
    struct frame frame[4];
    enum fault connection, stream;
} answers[] = {
    {"PUSH_PROMISE", {FRAME(5, 4, 1, "\0\0\0\2" GET_BLOCK)}, FAULT_UPSTREAM_PROTOCOL, FAULT_AGAIN},
    {"DATA before HEADERS", {FRAME(0, 0, 1, "x")}, FAULT_UPSTREAM_PROTOCOL, FAULT_AGAIN},
    {"no status",
     {FRAME(HEADERS, ENDS, 1, NO_TABLE LITERAL("\1", "a", "\1", "b"))},
     FAULT_NONE,
     FAULT_UPSTREAM_PROTOCOL},
    {"status 101",
     {FRAME(HEADERS, 4, 1,
            NO_TABLE "\x08\x03"
                     "101")},
     FAULT_NONE,
     FAULT_UPSTREAM_PROTOCOL},
    {"an interim answer that ends",
     {FRAME(HEADERS, 5, 1,
            NO_TABLE "\x08\x03"
                     "103")},
     FAULT_NONE,
     FAULT_UPSTREAM_PROTOCOL},
    {"less than content-length",
     {FRAME(HEADERS, 5, 1,
            OK_BLOCK "\x0f\x0d\1"
                     "5")},
     FAULT_NONE,
     FAULT_UPSTREAM_PROTOCOL},
    {"a table that was not allowed",
     {FRAME(HEADERS, ENDS, 1, "\x3f\xe1\x1f\x88")},
     FAULT_UPSTREAM_PROTOCOL,
     FAULT_AGAIN},
    {"GOAWAY that includes it", {FRAME(7, 0, 0, "\0\0\0\1\0\0\0\0")}, FAULT_NONE, FAULT_AGAIN},
    {"GOAWAY that does not", {FRAME(7, 0, 0, "\0\0\0\0\0\0\0\0")}, FAULT_NONE, FAULT_UPSTREAM_REFUSED},
    {"GOAWAY for HTTP/1.1", {FRAME(7, 0, 0, "\0\0\0\0\0\0\0\x0d")}, FAULT_NONE, FAULT_UPSTREAM_REFUSED},
    {"an answer", {FRAME(HEADERS, ENDS, 1, OK_BLOCK)}, FAULT_NONE, FAULT_NONE},
    {"ALTSVC and ORIGIN",
     {FRAME(10, 0, 0, "\0\1ah2=\":1\""), FRAME(12, 0, 0, "\0\1a"), FRAME(HEADERS, ENDS, 1, OK_BLOCK)},
     FAULT_NONE,
     FAULT_NONE},
};

START_TEST(what_an_upstream_may_not_say)
{
    EACH(answers)
    {
        struct buf b = {0};
        struct h2stream *s;
        struct end *e = client_alone(&b, &s);
        struct head h;

        frames_put(&b, answers[i].frame);
        (void)!end_feed(e, &b);
        int64_t code = goaway_code(e);
        enum fault why = h2_why(&e->h2);

        ck_assert_msg(why == answers[i].connection, "%s: %s %lld", answers[i].what, fault_table[why].name,
                      (long long)code);
        ck_assert_msg((code > 0) == (answers[i].connection != FAULT_NONE), "%s: GOAWAY", answers[i].what);
        why = s->stream.ops->head(&s->stream, &h);
        if (why == FAULT_NONE &&
            answers[i].stream != FAULT_NONE) /* the head came before the rest was wrong */
            why = h2stream_gone(s);
        ck_assert_msg(why == answers[i].stream, "%s: %s %lld", answers[i].what, fault_table[why].name,
                      (long long)code);
        if (i == 9)
            ck_assert_uint_eq(h2stream_code(s), H2_HTTP_1_1_REQUIRED);
        if (answers[i].frame[0].type == NGHTTP2_GOAWAY)
            ck_assert_uint_eq(h2_slots(&e->h2), 0);
        h2_close(&e->h2);
        ck_assert(s->closed);
        alone_drop(e, &b);
    }
}
END_TEST

static void streams_allow(struct pair *p, uint32_t n)
{
    const nghttp2_settings_entry iv = {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, n};

    ck_assert_int_eq(nghttp2_submit_settings(p->server.h2.session, NGHTTP2_FLAG_NONE, &iv, 1), 0);
    pair_settle(p);
}

START_TEST(no_more_streams_are_opened_than_the_upstream_allows)
{
    struct pair *p = pair_new(SIZE_MAX);
    struct h2stream *c[3], late, *s;
    struct head h = request_of("GET", BODY_NONE, 0);

    ck_assert_uint_eq(h2_slots(&p->client.h2), 100);
    c[0] = request_pass(p, &s);
    c[1] = client_open(p);
    ck_assert_uint_eq(h2_slots(&p->client.h2), 98);
    streams_allow(p, 1);
    ck_assert_uint_eq(h2_slots(&p->client.h2), 0);
    ck_assert_int_eq(h2stream_open(&late, &p->client.h2), FAULT_UPSTREAM_REFUSED);
    ck_assert_int_eq(c[1]->stream.ops->write_head(&c[1]->stream, &h), FAULT_UPSTREAM_REFUSED);
    h2stream_close(c[1], H2_CANCEL);
    streams_allow(p, 0);
    ck_assert_uint_eq(h2_slots(&p->client.h2), 0);
    streams_allow(p, 3);
    ck_assert_uint_eq(h2_slots(&p->client.h2), 2);
    c[2] = client_send(p, &h);
    h2stream_close(c[2], H2_CANCEL);
    ck_assert_uint_eq(h2_slots(&p->client.h2), 1); /* until its end has gone */
    pair_settle(p);
    ck_assert_uint_eq(h2_slots(&p->client.h2), 2);
    h2stream_close(c[0], H2_CANCEL);
    pair_settle(p);
    ck_assert_uint_eq(h2_slots(&p->client.h2), 3);
    pair_drop(p);
}
END_TEST

START_TEST(a_refused_request_can_go_elsewhere)
{
    struct pair *p = pair_new(SIZE_MAX);
    struct head h = request_of("POST", BODY_STREAM, 0);

    p->server.refuse = true;
    for (int i = 0; i < 1000; i++) {
        struct h2stream *c = client_send(p, &h);

        pair_settle(p);
        ck_assert_int_eq(c->stream.ops->head(&c->stream, &h), FAULT_UPSTREAM_REFUSED);
        ck_assert_int_eq(h2_why(&p->server.h2), FAULT_NONE); /* no flood: it was not let in */
        h2stream_close(c, H2_CANCEL);
        p->client.streams = 0;
        now_ms += 10;
    }
    pair_drop(p);
}
END_TEST

START_TEST(a_goodbye_lets_open_streams_end_and_no_other_begin)
{
    struct pair *p = pair_new(SIZE_MAX);
    struct h2stream *c, *s, late = {0};
    struct head h = response_of(200, BODY_STREAM, 0);

    c = request_pass(p, &s);
    h2_goaway(&p->server.h2, true);
    pair_settle(p);
    ck_assert(h2_draining(&p->client.h2) && !h2_draining(&p->server.h2));
    ck_assert_int_eq(h2stream_open(&late, &p->client.h2), FAULT_UPSTREAM_REFUSED);
    h2_goaway(&p->server.h2, false);
    pair_settle(p);
    ck_assert(!h2_over(&p->server.h2) && !h2_over(&p->client.h2));
    ck_assert_int_eq(s->stream.ops->write_head(&s->stream, &h), FAULT_NONE);
    ck_assert_uint_eq(body_write(s, SLICE("last")), 4);
    ck_assert_int_eq(s->stream.ops->write_end(&s->stream, NULL), FAULT_NONE);
    pair_settle(p);
    ck_assert_int_eq(body_read(c, NULL, 4), FAULT_NONE);
    ck_assert_int_eq(body_read(c, NULL, 4), FAULT_END);
    ck_assert(h2_over(&p->server.h2) && h2_over(&p->client.h2));
    ck_assert_int_eq(h2_why(&p->server.h2), FAULT_NONE);
    pair_drop(p);
}
END_TEST

START_TEST(a_place_that_was_not_used_before_a_goodbye_is_refused)
{
    struct pair *p = pair_new(SIZE_MAX);
    struct h2stream *c = client_open(p);
    struct head h = request_of("GET", BODY_NONE, 0);

    h2_goaway(&p->server.h2, false);
    pair_settle(p);
    ck_assert_int_eq(c->stream.ops->write_head(&c->stream, &h), FAULT_UPSTREAM_REFUSED);
    ck_assert(h2_over(&p->client.h2));
    pair_drop(p);
}
END_TEST

START_TEST(streams_outlive_their_connection_and_say_that_it_is_gone)
{
    struct pair *p = pair_new(SIZE_MAX);
    struct h2stream *c[3], *s;
    struct head h = request_of("POST", BODY_STREAM, 0), got;
    struct buf *out;

    c[0] = request_pass(p, &s);
    c[1] = client_send(p, &h);
    c[2] = client_open(p);
    pair_settle(p);
    h2_close(&p->client.h2);
    h2_close(&p->server.h2);
    ck_assert_int_eq(c[0]->stream.ops->head(&c[0]->stream, &got), FAULT_UPSTREAM_GONE);
    ck_assert_int_eq(c[1]->stream.ops->head(&c[1]->stream, &got), FAULT_UPSTREAM_GONE);
    ck_assert_int_eq(c[1]->stream.ops->room(&c[1]->stream, &out), FAULT_FULL);
    ck_assert_int_eq(c[2]->stream.ops->write_head(&c[2]->stream, &h), FAULT_UPSTREAM_REFUSED);
    ck_assert_int_eq(s->stream.ops->room(&s->stream, &out), FAULT_CLIENT_GONE);
    ck_assert(h2_over(&p->client.h2));
    pair_drop(p);
}
END_TEST

/* --- octets --------------------------------------------------------------------------------------------------------- */

START_TEST(a_head_of_any_size_leaves_at_once_and_a_body_keeps_to_the_room)
{
    static char value[12001];
    struct pair *p = pair_new(SIZE_MAX);
    struct head h = request_of("POST", BODY_STREAM, 0), got;
    struct h2stream *c;

    memset(value, '{', sizeof value - 1); /* 15 bits each in Huffman's code: sent as it is */
    field_add(&h, "x-long", value);
    buf_close(&p->client.out);
    ck_assert_int_eq(buf_open(&p->client.out, 2048), FAULT_NONE);
    c = client_send(p, &h);
    ck_assert_uint_gt(buf_held(&p->client.out).len, 12000);
    struct buf small = {0};

    ck_assert_int_eq(buf_open(&small, 2048), FAULT_NONE);
    ck_assert_uint_eq(body_write(c, slice_of(zeroes, 5000)), 5000);
    ck_assert_int_eq(h2_drain(&p->client.h2, &small), FAULT_FULL);
    ck_assert_uint_le(buf_held(&small).len, 2048);
    ck_assert_uint_gt(buf_held(&small).len, 1024);
    ck_assert_uint_eq(small.cap, 2048);
    ck_assert_int_eq(h2_feed(&p->server.h2, buf_held(&p->client.out), now_ms), FAULT_NONE);
    out_empty(&p->client);
    ck_assert_int_eq(h2_feed(&p->server.h2, buf_held(&small), now_ms), FAULT_NONE);
    buf_close(&small);
    pair_settle(p);
    struct h2stream *s = server_take(p, &got);

    ck_assert(slice_equal(got.field[0].value, slice_text(value)));
    ck_assert_uint_eq(buf_held(&s->in).len, 5000);
    pair_drop(p);
}
END_TEST

/* nghttp2 resets the stream for a frame that came in the same octets, and we answer it before that is written. */
START_TEST(an_answer_that_a_waiting_reset_overtakes_costs_its_own_stream_alone)
{
    struct buf b = {0};
    struct end *e = server_alone(&b);
    struct head head;

    frame_put(&b, HEADERS, 4, 1, SLICE(POST_BLOCK));
    frame_put(&b, HEADERS, ENDS, 3, SLICE(GET_BLOCK));
    frame_put(&b, NGHTTP2_WINDOW_UPDATE, 0, 1, SLICE("\x7f\xff\xff\xff"));
    ck_assert_int_eq(end_feed(e, &b), FAULT_NONE);
    head_begin(&head);
    head.status = 403;
    ck_assert_int_eq(e->stream[0].stream.ops->write_head(&e->stream[0].stream, &head), FAULT_BAD_REQUEST);
    ck_assert(h2stream_closed(&e->stream[0]));
    ck_assert_int_eq(h2_why(&e->h2), FAULT_NONE);
    head.status = 200;
    ck_assert_int_eq(e->stream[1].stream.ops->write_head(&e->stream[1].stream, &head), FAULT_NONE);
    ck_assert(!h2_over(&e->h2));
    alone_drop(e, &b);
}
END_TEST

START_TEST(what_a_head_request_is_told_has_no_octets_even_when_it_is_refused)
{
    struct buf b = {0}, *out;
    struct end *e = server_alone(&b);
    struct stream *s;
    struct head head;

    frame_put(&b, HEADERS, ENDS, 1,
              SLICE(LITERAL("\7", ":method", "\4", "HEAD") "\x87\x84" LITERAL("\x0a", ":authority", "\1", "a")
                        LITERAL("\4", "host", "\1", "b")));
    ck_assert_int_eq(end_feed(e, &b), FAULT_NONE);
    s = &e->stream[0].stream;
    ck_assert_int_eq(s->ops->head(s, &head), FAULT_HOST_MISMATCH);
    head_begin(&head);
    head.status = 421;
    head.body = BODY_LENGTH;
    head.length = 5;
    ck_assert_int_eq(s->ops->write_head(s, &head), FAULT_NONE);
    ck_assert_int_eq(s->ops->room(s, &out), FAULT_NONE);
    s->ops->wrote(s, buf_some(out, SLICE("12345")));
    ck_assert_int_eq(s->ops->write_end(s, NULL), FAULT_NONE);
    ck_assert_int_eq(h2_drain(&e->h2, &e->out), FAULT_NONE);
    ck_assert(memmem(buf_held(&e->out).at, buf_held(&e->out).len, "12345", 5) == NULL);
    ck_assert(h2stream_sent(&e->stream[0]));
    alone_drop(e, &b);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("h2");
    TCase *t = tcase_create("h2");
    SRunner *r;
    int failed;

    tcase_set_timeout(t, 120);
    tcase_add_test(t, wrong_frames_end_the_connection);
    tcase_add_test(t, what_does_not_begin_as_http_2_ends);
    tcase_add_test(t, a_wrong_stream_is_reset_and_the_connection_goes_on);
    tcase_add_test(t, what_an_upstream_may_not_say);
    tcase_add_test(t, no_more_streams_are_opened_than_the_upstream_allows);
    tcase_add_test(t, a_refused_request_can_go_elsewhere);
    tcase_add_test(t, a_goodbye_lets_open_streams_end_and_no_other_begin);
    tcase_add_test(t, a_place_that_was_not_used_before_a_goodbye_is_refused);
    tcase_add_test(t, streams_outlive_their_connection_and_say_that_it_is_gone);
    tcase_add_test(t, a_head_of_any_size_leaves_at_once_and_a_body_keeps_to_the_room);
    tcase_add_test(t, an_answer_that_a_waiting_reset_overtakes_costs_its_own_stream_alone);
    tcase_add_test(t, what_a_head_request_is_told_has_no_octets_even_when_it_is_refused);
    suite_add_tcase(s, t);
    r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

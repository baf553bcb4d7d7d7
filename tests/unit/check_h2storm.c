#include "h2pair.h"

/* What is sent again and again; each function makes the ${n}th turn. */
static void turn_reset(struct buf *b, uint32_t n)
{
    frame_put(b, HEADERS, ENDS, 2 * n + 1, SLICE(GET_BLOCK));
    frame_put(b, NGHTTP2_RST_STREAM, 0, 2 * n + 1, SLICE("\0\0\0\x08"));
}

static void turn_made_you_reset(struct buf *b, uint32_t n)
{
    frame_put(b, HEADERS, ENDS, 2 * n + 1, SLICE(GET_BLOCK));
    frame_put(b, NGHTTP2_WINDOW_UPDATE, 0, 2 * n + 1, SLICE("\x7f\xff\xff\xff"));
}

static void turn_bad_field(struct buf *b, uint32_t n)
{
    frame_put(b, HEADERS, ENDS, 2 * n + 1, SLICE(GET_BLOCK LITERAL("\1", "A", "\1", "b")));
}

static void turn_continuation(struct buf *b, uint32_t n)
{
    frame_put(b, n ? NGHTTP2_CONTINUATION : HEADERS, 0, 1, n ? SLICE_NONE : SLICE(GET_BLOCK));
}

static void turn_ping(struct buf *b, uint32_t n)
{
    (void)n;
    frame_put(b, NGHTTP2_PING, 0, 0, SLICE("12345678"));
}

static void turn_ping_ack(struct buf *b, uint32_t n)
{
    (void)n;
    frame_put(b, NGHTTP2_PING, NGHTTP2_FLAG_ACK, 0, SLICE("12345678"));
}

static void turn_settings(struct buf *b, uint32_t n)
{
    (void)n;
    frame_put(b, NGHTTP2_SETTINGS, 0, 0, SLICE("\0\4\0\0\xff\xff"));
}

static void turn_priority(struct buf *b, uint32_t n)
{
    frame_put(b, NGHTTP2_PRIORITY, 0, 2 * n + 1, SLICE("\0\0\0\0\x10"));
}

static void turn_window(struct buf *b, uint32_t n)
{
    (void)n;
    frame_put(b, NGHTTP2_WINDOW_UPDATE, 0, 0, SLICE("\0\0\0\1"));
}

static void turn_unknown(struct buf *b, uint32_t n)
{
    frame_put(b, 0xee, 0xff, n, SLICE("whatever"));
}

static void turn_empty_data(struct buf *b, uint32_t n)
{
    frame_put(b, n ? NGHTTP2_DATA : HEADERS, n ? 0 : 4, 1, n ? SLICE_NONE : SLICE(POST_BLOCK));
}

static void turn_padded_data(struct buf *b, uint32_t n)
{
    frame_put(b, n ? NGHTTP2_DATA : HEADERS, n ? 8 : 4, 1, n ? SLICE("\3\0\0\0") : SLICE(POST_BLOCK));
}

static void turn_data_of_no_stream(struct buf *b, uint32_t n)
{
    if (n == 0) {
        frame_put(b, HEADERS, 4, 1, SLICE(POST_BLOCK));
        frame_put(b, NGHTTP2_RST_STREAM, 0, 1, SLICE("\0\0\0\x08"));
    } else {
        frame_put(b, NGHTTP2_DATA, 0, 1, SLICE("x"));
    }
}

static void turn_too_many(struct buf *b, uint32_t n)
{
    frame_put(b, HEADERS, 4, 2 * n + 1, SLICE(POST_BLOCK));
}

/* An entry of the table, named again and again by one octet each. */
static void turn_bomb(struct buf *b, uint32_t n)
{
    static const char first[] = GET_BLOCK "\x40\1a\1b";
    uint8_t block[4096];

    (void)n;
    memset(block, 0xbe, sizeof block);
    memcpy(block, first, sizeof first - 1);
    frame_put(b, HEADERS, ENDS, 1, slice_of(block, sizeof block));
}

static const struct {
    const char *what;
    void (*turn)(struct buf *b, uint32_t n);
    uint32_t least, most; /* so many are let pass, at so many it ends */
    bool drained;         /* the client reads what it is sent */
    enum fault why;
    int64_t code;
} floods[] = {
    {"rapid reset", turn_reset, 200, 200, true, FAULT_CLIENT_FLOOD, 11},
    {"rapid reset, unread", turn_reset, 200, 200, false, FAULT_CLIENT_FLOOD, 11},
    {"resets that the client provokes", turn_made_you_reset, 200, 201, true, FAULT_CLIENT_FLOOD, 11},
    {"wrong requests", turn_bad_field, 100, 201, true, FAULT_CLIENT_FLOOD, 11},
    {"CONTINUATION", turn_continuation, 8, 9, true, FAULT_CLIENT_FLOOD, 11},
    {"PING", turn_ping, 980, 1000, true, FAULT_CLIENT_FLOOD, 11},
    {"PING, unread", turn_ping, 90, 110, false, FAULT_CLIENT_FLOOD, 11},
    {"acknowledgements", turn_ping_ack, 980, 1000, true, FAULT_CLIENT_FLOOD, 11},
    {"SETTINGS", turn_settings, 120, 125, true, FAULT_CLIENT_FLOOD, 11},
    {"PRIORITY", turn_priority, 980, 1000, true, FAULT_CLIENT_FLOOD, 11},
    {"WINDOW_UPDATE", turn_window, 980, 1000, true, FAULT_CLIENT_FLOOD, 11},
    {"unknown frames", turn_unknown, 980, 1000, true, FAULT_CLIENT_FLOOD, 11},
    {"empty DATA", turn_empty_data, 980, 1020, true, FAULT_CLIENT_FLOOD, 11},
    {"DATA of padding", turn_padded_data, 980, 1020, true, FAULT_CLIENT_FLOOD, 11},
    {"DATA of no stream", turn_data_of_no_stream, 980, 1020, true, FAULT_CLIENT_FLOOD, 11},
    {"more streams than allowed", turn_too_many, 100, 100, true, FAULT_BAD_REQUEST, 1},
    {"a block that unfolds", turn_bomb, 0, 0, true, FAULT_CLIENT_FLOOD, 11},
};

START_TEST(frames_that_ask_for_nothing_are_an_end_after_a_while)
{
    EACH(floods)
    {
        struct buf b = {0};
        struct end *e = server_alone(&b);
        uint32_t n = 0;
        enum fault why = FAULT_NONE;

        for (; why == FAULT_NONE && n < 10000; n++) {
            floods[i].turn(&b, n);
            why = end_feed(e, &b);
            if (floods[i].drained && why == FAULT_NONE) {
                ck_assert_int_eq(h2_drain(&e->h2, &e->out), FAULT_NONE);
                why = h2_why(&e->h2);
                if (why == FAULT_NONE)
                    out_empty(e);
            }
            if (why == FAULT_NONE && e->streams > 300) { /* the guests of streams that are gone leave */
                for (size_t k = 0; k < e->streams; k++)
                    h2stream_close(&e->stream[k], H2_CANCEL);
                e->streams = 0;
            }
        }
        n--;
        ck_assert_msg(why == floods[i].why, "%s: %s after %u", floods[i].what, fault_table[why].name, n);
        ck_assert_msg(n >= floods[i].least && n <= floods[i].most, "%s: ended at %u", floods[i].what, n);
        int64_t code = goaway_code(e);

        ck_assert_msg(code == floods[i].code, "%s: GOAWAY %lld", floods[i].what, (long long)code);
        ck_assert(h2_over(&e->h2));
        alone_drop(e, &b);
    }
}
END_TEST

START_TEST(resets_that_the_sandbox_may_not_make_end_the_connection)
{
    struct buf b = {0};
    struct end *e = server_alone(&b);

    turn_reset(&b, 0);
    ck_assert_int_eq(end_feed(e, &b), FAULT_NONE);
    e->no_resets = true;
    turn_reset(&b, 1);
    ck_assert_int_eq(end_feed(e, &b), FAULT_CLIENT_FLOOD);
    ck_assert_int_eq(goaway_code(e), 11);
    alone_drop(e, &b);
}
END_TEST

START_TEST(a_client_that_asks_for_much_is_no_flood)
{
    struct pair *p = pair_new(SIZE_MAX);
    struct h2stream *c, *s;
    struct head h = request_of("POST", BODY_STREAM, 0), r = response_of(200, BODY_NONE, 0);

    for (int i = 0; i < 20000; i++) {
        c = request_pass(p, &s);
        ck_assert_int_eq(s->stream.ops->write_head(&s->stream, &r), FAULT_NONE);
        pair_settle(p);
        ck_assert_msg(h2_why(&p->server.h2) == FAULT_NONE && h2_why(&p->client.h2) == FAULT_NONE,
                      "request %d", i);
        h2stream_close(c, H2_CANCEL);
        h2stream_close(s, H2_CANCEL);
        p->client.streams = p->server.streams = 0;
    }
    c = client_send(p, &h);
    for (int i = 0; i < 20000; i++) { /* octet by octet, with a PING for each: as a gRPC client may */
        ck_assert_uint_eq(body_write(c, SLICE("x")), 1);
        nghttp2_submit_ping(p->client.h2.session, NGHTTP2_FLAG_NONE, NULL);
        pair_settle(p);
        body_read(&p->server.stream[0], NULL, 1);
        ck_assert_msg(h2_why(&p->server.h2) == FAULT_NONE, "octet %d", i);
    }
    pair_drop(p);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("h2storm");
    TCase *t = tcase_create("h2storm");
    SRunner *r;
    int failed;

    tcase_set_timeout(t, 120);
    tcase_add_test(t, frames_that_ask_for_nothing_are_an_end_after_a_while);
    tcase_add_test(t, resets_that_the_sandbox_may_not_make_end_the_connection);
    tcase_add_test(t, a_client_that_asks_for_much_is_no_flood);
    suite_add_tcase(s, t);
    r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

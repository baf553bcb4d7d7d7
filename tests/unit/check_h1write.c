#include "h1.h"
#include <check.h>
#include <stdlib.h>

#define EACH(table) for (size_t i = 0; i < sizeof table / sizeof *table; i++)

static const struct h1_limits limits = {65536, 128};
static struct head head, again;
static struct buf out;

static enum fault request(struct slice in)
{
    struct h1_reader r = {0};
    size_t used;

    return h1_read_request(&r, &limits, in, &head, &used);
}

static enum fault response(struct slice in, bool head_only)
{
    struct h1_reader r = {0};
    size_t used;

    return h1_read_response(&r, &limits, in, head_only, &head, &used);
}

static void held_is(const char *want, const char *what, size_t i)
{
    struct slice got = buf_held(&out);

    ck_assert_msg(slice_equal(got, slice_text(want)), "%s row %zu: %.*s", what, i, SLICE_PRINTF(got));
    buf_take(&out, got.len);
}

static const struct {
    const char *in, *want;
} rewritten[] = {
    {"GET https://api.test HTTP/1.1\r\nA-b: c\r\nHost: api.test\r\nConnection: close, X\r\nX: "
     "1\r\nB:\r\n\r\n",
     "GET / HTTP/1.1\r\nHost: up.test\r\nA-b: c\r\nB: \r\n\r\n"},
    {"PATCH /a HTTP/1.1\r\nHost: a\r\n\r\n",
     "PATCH /a HTTP/1.1\r\nHost: up.test\r\nContent-Length: 0\r\n\r\n"},
    {"POST / HTTP/1.1\r\nHost: a\r\nX: y\r\nContent-Length: 12\r\nexpect: 100-continue\r\n\r\n",
     "POST / HTTP/1.1\r\nHost: up.test\r\nX: y\r\nExpect: 100-continue\r\nContent-Length: 12\r\n\r\n"},
    {"GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\ntransfer-encoding: chunked\r\nAuthorization: x\r\n\r\n",
     "GET / HTTP/1.1\r\nHost: up.test\r\nAuthorization: x\r\nTransfer-Encoding: chunked\r\nTE: "
     "trailers\r\nConnection: TE\r\n\r\n"},
};

START_TEST(a_request_is_written_anew)
{
    struct h1_writer w;

    EACH(rewritten)
    {
        ck_assert_int_eq(request(slice_text(rewritten[i].in)), FAULT_NONE);
        ck_assert_int_eq(h1_write_request(&w, &head, SLICE("up.test"), &out), FAULT_NONE);
        held_is(rewritten[i].want, "request", i);
    }
    /* A stray field can't frame the body a second time. */
    head_begin(&head);
    head.method = SLICE("GET");
    head.target = SLICE("/");
    ck_assert_int_eq(head_add(&head, FIELD_CONTENT_LENGTH, SLICE("5")), FAULT_NONE);
    ck_assert_int_eq(head_add(&head, FIELD_TRANSFER_ENCODING, SLICE("chunked")), FAULT_NONE);
    ck_assert_int_eq(head_add(&head, FIELD_HOST, SLICE("evil")), FAULT_NONE);
    ck_assert_int_eq(h1_write_request(&w, &head, SLICE("a"), &out), FAULT_NONE);
    held_is("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "stray", 0);
}
END_TEST

static const struct {
    const char *in;
    uint8_t minor;
    bool head_only;
    const char *want;
    bool until_close;
} answered[] = {
    {"HTTP/1.1 200 OK\r\nX: y\r\nContent-Length: 5\r\n\r\n", 1, false,
     "HTTP/1.1 200 OK\r\nX: y\r\nContent-Length: 5\r\n\r\n", false},
    {"HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n", 1, false,
     "HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n", false},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 0, false,
     "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", true},
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 0, false,
     "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\n", false},
    {"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", 1, false,
     "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\n", false},
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 1, true, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
     false},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 1, true, "HTTP/1.1 200 OK\r\n\r\n", false},
    {"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", 1, false,
     "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", false},
    {"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", 1, false, "HTTP/1.1 204 No Content\r\n\r\n",
     false},
    {"HTTP/1.1 103 Early Hints\r\nLink: x\r\nConnection: close\r\n\r\n", 1, false,
     "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", false},
};

START_TEST(a_response_is_written_anew)
{
    EACH(answered)
    {
        struct h1_writer w;

        ck_assert_int_eq(response(slice_text(answered[i].in), answered[i].head_only), FAULT_NONE);
        ck_assert_int_eq(h1_write_response(&w, &head, answered[i].minor, answered[i].head_only, &out),
                         FAULT_NONE);
        held_is(answered[i].want, "response", i);
        ck_assert_int_eq(w.until_close, answered[i].until_close);
    }
}
END_TEST

START_TEST(a_head_that_has_no_room_is_not_begun)
{
    struct buf small = {0};
    struct h1_writer w;

    ck_assert_int_eq(buf_open(&small, 64), FAULT_NONE);
    ck_assert_int_eq(request(SLICE("GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n")), FAULT_NONE);
    for (size_t held = 0; held <= 64; held++)
        for (size_t gone = 0; gone <= held; gone += 13) {
            enum fault want = held - gone + 33 <= 64 ? FAULT_NONE : FAULT_FULL;

            memset(buf_room(&small).iov_base, 'x', held);
            buf_fill(&small, held);
            buf_take(&small, gone);
            ck_assert_int_eq(h1_write_request(&w, &head, SLICE("a"), &small), want);
            ck_assert_uint_eq(buf_held(&small).len, held - gone + (want ? 0 : 33));
            ck_assert(want || slice_ends(buf_held(&small), SLICE("\r\nX: y\r\n\r\n")));
            buf_take(&small, buf_held(&small).len);
        }
    buf_close(&small);
}
END_TEST

START_TEST(a_chunked_body_is_written_in_whole_chunks)
{
    const size_t caps[] = {64, 255, 256, 4096, 65536, 1 << 20};

    EACH(caps)
    {
        struct buf b = {0};
        struct h1_writer w = {.chunked = true};
        struct h1_reader r = {.chunked = true, .body = BODY_STREAM};
        struct slice run;
        size_t mark, skip, used, got = 0, n, sent = 0;

        ck_assert_int_eq(buf_open(&b, caps[i]), FAULT_NONE);
        for (n = 1; h1_chunk_open(&w, &b, &mark) == FAULT_NONE; n = n * 3 + 1) {
            size_t room = buf_free(&b) - H1_CHUNK_TAIL, len = n < room ? n : room;

            memset(buf_room(&b).iov_base, 'z', len);
            buf_fill(&b, len);
            h1_chunk_close(&w, &b, mark, len);
            sent += len;
        }
        n = buf_held(&b).len;
        ck_assert_uint_lt(buf_free(&b), H1_CHUNK_ROOM);
        while (h1_body(&r, buf_held(&b), false, &skip, &run) == FAULT_NONE) {
            ck_assert_uint_eq(run.at[0], 'z');
            got += run.len;
            h1_took(&r, run.len);
            buf_take(&b, skip + run.len);
        }
        buf_take(&b, skip);
        ck_assert_uint_eq(got, sent);
        /* An empty chunk would end the body: the reservation goes. */
        ck_assert_int_eq(h1_chunk_open(&w, &b, &mark), FAULT_NONE);
        h1_chunk_close(&w, &b, mark, 0);
        ck_assert_uint_eq(buf_held(&b).len, 0);
        head_begin(&again);
        ck_assert_int_eq(head_add(&again, FIELD_DIGEST, SLICE("x")), FAULT_NONE);
        ck_assert_int_eq(head_add(&again, FIELD_CONTENT_LENGTH, SLICE("5")), FAULT_NONE);
        ck_assert_int_eq(h1_write_end(&w, &again, &b), FAULT_NONE);
        ck_assert(slice_equal(buf_held(&b), SLICE("0\r\ndigest: x\r\n\r\n")));
        ck_assert_int_eq(h1_body(&r, buf_held(&b), false, &skip, &run), FAULT_END);
        ck_assert_int_eq(h1_trailers(&r, &limits, slice_drop(buf_held(&b), skip), &head, &used), FAULT_NONE);
        ck_assert_uint_eq(head.fields, 1);
        buf_close(&b);
    }
}
END_TEST

START_TEST(a_promised_length_is_kept_to_the_octet)
{
    for (size_t given = 0; given <= 8; given++) {
        struct h1_writer w = {.left = 5};
        size_t mark;

        ck_assert_int_eq(h1_chunk_open(&w, &out, &mark), FAULT_NONE);
        ck_assert_int_eq(buf_append(&out, slice_first(SLICE("01234567"), given)), FAULT_NONE);
        h1_chunk_close(&w, &out, mark, given);
        ck_assert_uint_eq(buf_held(&out).len, given < 5 ? given : 5);
        ck_assert_int_eq(h1_write_end(&w, NULL, &out), given == 5 ? FAULT_NONE : FAULT_SYSTEM);
        buf_take(&out, buf_held(&out).len);
    }
}
END_TEST

static void out_open(void)
{
    ck_assert_int_eq(buf_open(&out, 4096), FAULT_NONE);
}

static void out_close(void)
{
    buf_close(&out);
}

int main(void)
{
    Suite *s = suite_create("h1write");
    TCase *t = tcase_create("h1write");
    SRunner *r;
    int failed;

    tcase_add_checked_fixture(t, out_open, out_close);
    tcase_add_test(t, a_request_is_written_anew);
    tcase_add_test(t, a_response_is_written_anew);
    tcase_add_test(t, a_head_that_has_no_room_is_not_begun);
    tcase_add_test(t, a_chunked_body_is_written_in_whole_chunks);
    tcase_add_test(t, a_promised_length_is_kept_to_the_octet);
    suite_add_tcase(s, t);
    r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

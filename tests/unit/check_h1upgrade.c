#include "h1.h"
#include "websocket.h"
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

/* The handshake of a WebSocket: who asks for one, what answers it, and how both are written (RFC 6455 s.4). */
#define EACH(table) for (size_t i = 0; i < sizeof table / sizeof *table; i++)

#define GET     "GET /chat HTTP/1.1\r\nHost: a\r\n"
#define UPGRADE "Upgrade: websocket\r\n"
#define CONNECT "Connection: Upgrade\r\n"
#define KEY     "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define VERSION "Sec-WebSocket-Version: 13\r\n"
#define SWITCH  "HTTP/1.1 101 Switching Protocols\r\n"
#define ACCEPT  "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"

static const struct h1_limits limits = {65536, 128};
static struct head head, request;
static struct buf out;

static enum fault request_read(const char *text, struct head *into)
{
    struct h1_reader r = {0};
    size_t used = 0;
    enum fault why = h1_read_request(&r, &limits, slice_text(text), into, &used);

    ck_assert(why != FAULT_NONE || used == strlen(text));
    return why;
}

static enum fault response_read(const char *text, enum h1_asked asked, size_t *used)
{
    struct h1_reader r = {0};

    return h1_read_response(&r, &limits, slice_text(text), asked, &head, used);
}

static void held_is(const char *want, const char *what, size_t i)
{
    struct slice got = buf_held(&out);

    ck_assert_msg(slice_equal(got, slice_text(want)), "%s row %zu: %.*s", what, i, SLICE_PRINTF(got));
    buf_take(&out, got.len);
}

/* They all go on as requests without an upgrade. */
static const char *const not_asked[] = {
    GET KEY VERSION "\r\n",
    GET UPGRADE KEY VERSION "\r\n",
    GET CONNECT KEY VERSION "\r\n",
    GET UPGRADE "Connection: keep-alive\r\n" KEY VERSION "\r\n",
    GET UPGRADE UPGRADE CONNECT KEY VERSION "\r\n",
    GET UPGRADE "Upgrade: h2c\r\n" CONNECT KEY VERSION "\r\n",
    GET "Upgrade: websocket, h2c\r\n" CONNECT KEY VERSION "\r\n",
    GET "Upgrade: h2c, websocket\r\n" CONNECT KEY VERSION "\r\n",
    GET "Upgrade: websocket/13\r\n" CONNECT KEY VERSION "\r\n",
    GET "Upgrade: h2c\r\n" CONNECT KEY VERSION "\r\n",
    GET "Upgrade:\r\n" CONNECT KEY VERSION "\r\n",
    GET UPGRADE CONNECT VERSION "\r\n",
    GET UPGRADE CONNECT KEY "\r\n",
    GET UPGRADE CONNECT KEY KEY VERSION "\r\n",
    GET UPGRADE CONNECT KEY VERSION VERSION "\r\n",
    GET UPGRADE CONNECT KEY "Sec-WebSocket-Version: 8\r\n\r\n",
    GET UPGRADE CONNECT KEY "Sec-WebSocket-Version: 13, 8\r\n\r\n",
    GET UPGRADE CONNECT KEY "Sec-WebSocket-Version: 013\r\n\r\n",
    GET UPGRADE CONNECT "Sec-WebSocket-Key:\r\n" VERSION "\r\n",
    GET UPGRADE CONNECT "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ\r\n" VERSION "\r\n",
    GET UPGRADE CONNECT "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZR==\r\n" VERSION "\r\n",
    GET UPGRADE CONNECT "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j====\r\n" VERSION "\r\n",
    GET UPGRADE CONNECT "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZTEy\r\n" VERSION "\r\n",
    GET UPGRADE CONNECT "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j-_==\r\n" VERSION "\r\n",
    GET UPGRADE "Connection: Upgrade, Sec-WebSocket-Key\r\n" KEY VERSION "\r\n",
    "get /chat HTTP/1.1\r\nHost: a\r\n" UPGRADE CONNECT KEY VERSION "\r\n",
    "POST /chat HTTP/1.1\r\nHost: a\r\n" UPGRADE CONNECT KEY VERSION "\r\n",
    "GET /chat HTTP/1.0\r\nHost: a\r\n" UPGRADE CONNECT KEY VERSION "\r\n",
    GET UPGRADE CONNECT KEY VERSION "Content-Length: 0\r\n\r\n",
    GET UPGRADE CONNECT KEY VERSION "Transfer-Encoding: chunked\r\n\r\n",
};

START_TEST(a_websocket_is_not_asked_for_by_halves)
{
    EACH(not_asked)
    {
        enum fault why = request_read(not_asked[i], &head);

        /* Method names are llhttp's: "get" is no request at all. */
        ck_assert_msg(why == FAULT_NONE || not_asked[i][0] == 'g', "row %zu: %s", i, fault_table[why].name);
        ck_assert_msg(why != FAULT_NONE || !head.websocket, "row %zu: %s", i, not_asked[i]);
    }
}
END_TEST

static const char *const asked[] = {
    GET UPGRADE CONNECT KEY VERSION "\r\n",
    GET "UPGRADE: WebSocket\r\nConnection: keep-alive, upgrade\r\n" KEY VERSION "\r\n",
    GET "Connection: keep-alive\r\n" UPGRADE CONNECT KEY "Sec-WebSocket-Version:\t13 \r\n\r\n",
    GET UPGRADE CONNECT KEY VERSION "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
                                    "sec-websocket-extensions: x\r\n\r\n",
};

START_TEST(a_request_that_asks_for_a_websocket_is_written_without_extensions)
{
    EACH(asked)
    {
        struct h1_writer w;

        ck_assert_int_eq(request_read(asked[i], &head), FAULT_NONE);
        ck_assert_msg(head.websocket, "row %zu: %s", i, asked[i]);
        head.te_trailers = true; /* would be a second Connection */
        ck_assert_int_eq(h1_write_request(&w, &head, SLICE("up"), &out), FAULT_NONE);
        held_is("GET /chat HTTP/1.1\r\nHost: up\r\n" KEY VERSION UPGRADE CONNECT "\r\n", "asked", i);
    }
    ck_assert_int_eq(request_read(not_asked[5], &head), FAULT_NONE);
    struct h1_writer w;

    ck_assert_int_eq(h1_write_request(&w, &head, SLICE("up"), &out), FAULT_NONE);
    held_is("GET /chat HTTP/1.1\r\nHost: up\r\n" KEY VERSION "\r\n", "not asked", 5);
}
END_TEST

static const char *const not_answers[] = {
    SWITCH ACCEPT "\r\n",
    SWITCH UPGRADE ACCEPT "\r\n",
    SWITCH CONNECT ACCEPT "\r\n",
    SWITCH "Upgrade: h2c\r\n" CONNECT ACCEPT "\r\n",
    SWITCH "Upgrade: websocket, h2c\r\n" CONNECT ACCEPT "\r\n",
    SWITCH UPGRADE UPGRADE CONNECT ACCEPT "\r\n",
    SWITCH UPGRADE CONNECT ACCEPT "Content-Length: 0\r\n\r\n",
    SWITCH UPGRADE CONNECT ACCEPT "Transfer-Encoding: chunked\r\n\r\n",
};

START_TEST(a_101_of_anything_else_is_refused)
{
    const char *good = SWITCH UPGRADE CONNECT ACCEPT "\r\n";
    size_t used;

    EACH(not_answers)
    {
        enum fault why = response_read(not_answers[i], H1_ASKED_WEBSOCKET, &used);

        ck_assert_msg(why == FAULT_UPSTREAM_PROTOCOL, "row %zu: %s", i, fault_table[why].name);
    }
    ck_assert_int_eq(response_read(good, H1_ASKED, &used), FAULT_UPSTREAM_PROTOCOL);
    ck_assert_int_eq(response_read(good, H1_ASKED_HEAD, &used), FAULT_UPSTREAM_PROTOCOL);
}
END_TEST

START_TEST(a_101_that_was_asked_for_is_read_and_written)
{
    const char *text = SWITCH "Upgrade: WEBSOCKET\r\nConnection: upgrade\r\n" ACCEPT "\r\n\x81\x05hello";
    struct h1_writer w;
    size_t used = 0;

    ck_assert_int_eq(response_read(text, H1_ASKED_WEBSOCKET, &used), FAULT_NONE);
    ck_assert_uint_eq(used, strlen(text) - 7);
    ck_assert(head.websocket && head.body == BODY_NONE && !head.close);
    ck_assert_int_eq(h1_write_response(&w, &head, 1, false, &out), FAULT_NONE);
    held_is(SWITCH ACCEPT UPGRADE CONNECT "\r\n", "answer", 0);
    /* Whoever asks may also be answered as any request is. */
    ck_assert_int_eq(response_read("HTTP/1.1 426 Upgrade Required\r\n" UPGRADE CONNECT
                                   "Sec-WebSocket-Version: 13\r\nContent-Length: 2\r\n\r\nno",
                                   H1_ASKED_WEBSOCKET, &used),
                     FAULT_NONE);
    ck_assert(!head.websocket && head.body == BODY_LENGTH);
}
END_TEST

static const struct {
    const char *request, *response; /* further fields */
    bool ok;
} answers[] = {
    {"", ACCEPT, true},
    {"", "Sec-WebSocket-Accept: \ts3pPLMBiTxaQ9kYGzzhZRbK+xOo= \r\n", true},
    {"", "", false},
    {"", ACCEPT ACCEPT, false},
    {"", "Sec-WebSocket-Accept: S3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n", false},
    {"", "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo\r\n", false},
    {"", "Sec-WebSocket-Accept: dGhlIHNhbXBsZSBub25jZQ==\r\n", false},
    {"", "Sec-WebSocket-Accept:\r\n", false},
    {"", ACCEPT "Sec-WebSocket-Extensions: permessage-deflate\r\n", false},
    {"Sec-WebSocket-Extensions: permessage-deflate\r\n",
     ACCEPT "Sec-WebSocket-Extensions: permessage-deflate\r\n", false},
    {"", ACCEPT "Sec-WebSocket-Extensions:\r\n", false},
    {"", ACCEPT "Sec-WebSocket-Protocol: chat\r\n", false},
    {"Sec-WebSocket-Protocol: chat\r\n", ACCEPT "Sec-WebSocket-Protocol: chat\r\n", true},
    {"Sec-WebSocket-Protocol: soap,, chat\r\n", ACCEPT "Sec-WebSocket-Protocol: chat\r\n", true},
    {"Sec-WebSocket-Protocol: soap\r\nSec-WebSocket-Protocol: chat\r\n",
     ACCEPT "Sec-WebSocket-Protocol: chat\r\n", true},
    {"Sec-WebSocket-Protocol: soap, chat\r\n", ACCEPT, true},
    {"Sec-WebSocket-Protocol: chat\r\n", ACCEPT "Sec-WebSocket-Protocol: Chat\r\n", false},
    {"Sec-WebSocket-Protocol: chats\r\n", ACCEPT "Sec-WebSocket-Protocol: chat\r\n", false},
    {"Sec-WebSocket-Protocol: soap, chat\r\n", ACCEPT "Sec-WebSocket-Protocol: soap, chat\r\n", false},
    {"Sec-WebSocket-Protocol: soap, chat\r\n",
     ACCEPT "Sec-WebSocket-Protocol: soap\r\nSec-WebSocket-Protocol: chat\r\n", false},
    {"Sec-WebSocket-Protocol: chat\r\n", ACCEPT "Sec-WebSocket-Protocol:\r\n", false},
};

START_TEST(an_answer_opens_the_tunnel_if_it_is_the_one_to_this_request)
{
    char text[1024];
    size_t used;

    EACH(answers)
    {
        snprintf(text, sizeof text, GET UPGRADE CONNECT KEY VERSION "%s\r\n", answers[i].request);
        ck_assert_int_eq(request_read(text, &request), FAULT_NONE);
        char answer[1024];

        snprintf(answer, sizeof answer, SWITCH UPGRADE CONNECT "%s\r\n", answers[i].response);
        ck_assert_int_eq(response_read(answer, H1_ASKED_WEBSOCKET, &used), FAULT_NONE);
        ck_assert_msg(websocket_answer_ok(&request, &head) == answers[i].ok, "row %zu", i);
    }
    head_begin(&request);
    ck_assert(!websocket_answer_ok(&request, &head));
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
    Suite *s = suite_create("h1upgrade");
    TCase *t = tcase_create("h1upgrade");
    SRunner *r;
    int failed;

    tcase_add_checked_fixture(t, out_open, out_close);
    tcase_add_test(t, a_websocket_is_not_asked_for_by_halves);
    tcase_add_test(t, a_101_of_anything_else_is_refused);
    tcase_add_test(t, a_request_that_asks_for_a_websocket_is_written_without_extensions);
    tcase_add_test(t, a_101_that_was_asked_for_is_read_and_written);
    tcase_add_test(t, an_answer_opens_the_tunnel_if_it_is_the_one_to_this_request);
    suite_add_tcase(s, t);
    r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

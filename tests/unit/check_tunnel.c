#include "tunnel.h"
#include <check.h>
#include <stdlib.h>

#define EACH(table) for (size_t i = 0; i < sizeof table / sizeof *table; i++)
#define LINE        "CONNECT api.test:443 HTTP/1.1\r\n"
#define HOST        "Host: api.test:443\r\n"

static enum fault read_all(struct slice in, struct slice *target)
{
    size_t looked = 0;

    *target = SLICE_NONE;
    return tunnel_read(in, &looked, target);
}

static const struct {
    const char *text;
    enum fault why;
} refused[] = {
    /* another method, or none */
    {"GET / HTTP/1.1\r\n" HOST "\r\n", FAULT_METHOD_NOT_ALLOWED},
    {"GET http://api.test/ HTTP/1.1\r\nHost: api.test\r\n\r\n", FAULT_METHOD_NOT_ALLOWED},
    {"POST api.test:443 HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\nx", FAULT_BAD_REQUEST},
    {"connect api.test:443 HTTP/1.1\r\n" HOST "\r\n", FAULT_METHOD_NOT_ALLOWED},
    {"CONNECTS api.test:443 HTTP/1.1\r\n" HOST "\r\n", FAULT_METHOD_NOT_ALLOWED},
    {"\r\n" LINE HOST "\r\n", FAULT_BAD_REQUEST},
    /* the request line */
    {"CONNECT api.test:443\r\n" HOST "\r\n", FAULT_BAD_REQUEST},
    {"CONNECT api.test:443 HTTP/2.0\r\n" HOST "\r\n", FAULT_BAD_REQUEST},
    {"CONNECT  api.test:443 HTTP/1.1\r\n" HOST "\r\n", FAULT_BAD_REQUEST},
    {"CONNECT api.test:443 HTTP/1.1 \r\n" HOST "\r\n", FAULT_BAD_REQUEST},
    {"CONNECT\tapi.test:443 HTTP/1.1\r\n" HOST "\r\n", FAULT_BAD_REQUEST},
    {"CONNECT api.test HTTP/1.1\r\nHost: api.test\r\n\r\n", FAULT_BAD_REQUEST},
    {"CONNECT / HTTP/1.1\r\nHost: /\r\n\r\n", FAULT_BAD_REQUEST},
    {"CONNECT https://api.test:443 HTTP/1.1\r\n" HOST "\r\n", FAULT_BAD_REQUEST},
    {"CONNECT api.test:443/ HTTP/1.1\r\n" HOST "\r\n", FAULT_BAD_REQUEST},
    {"CONNECT api.test:443?q HTTP/1.1\r\n" HOST "\r\n", FAULT_BAD_REQUEST},
    {"CONNECT me@api.test:443 HTTP/1.1\r\nHost: me@api.test:443\r\n\r\n", FAULT_BAD_REQUEST},
    {"CONNECT api\xc3\xa9.test:443 HTTP/1.1\r\n" HOST "\r\n", FAULT_BAD_REQUEST},
    /* lines */
    {"CONNECT api.test:443 HTTP/1.1\n" HOST "\r\n", FAULT_BAD_REQUEST},
    {LINE "Host: api.test:443\n\r\n", FAULT_BAD_REQUEST},
    {LINE HOST " folded\r\n\r\n", FAULT_BAD_REQUEST},
    {LINE "Host : api.test:443\r\n\r\n", FAULT_BAD_REQUEST},
    {LINE HOST "Proxy-Authorization\r\n\r\n", FAULT_BAD_REQUEST},
    /* Host */
    {LINE "\r\n", FAULT_BAD_REQUEST},
    {LINE "Host:\r\n\r\n", FAULT_BAD_REQUEST},
    {LINE "Host: echo.test:443\r\n\r\n", FAULT_BAD_REQUEST},
    {LINE "Host: echo.test\r\n\r\n", FAULT_BAD_REQUEST},
    {LINE "Host: api.test:8443\r\n\r\n", FAULT_BAD_REQUEST},
    {LINE "Host: api.test:\r\n\r\n", FAULT_BAD_REQUEST},
    {LINE "Host: api.test.\r\n\r\n", FAULT_BAD_REQUEST},
    {LINE "Host: api.tes\r\n\r\n", FAULT_BAD_REQUEST},
    {LINE HOST HOST "\r\n", FAULT_BAD_REQUEST},
    {LINE HOST "Host: echo.test:443\r\n\r\n", FAULT_BAD_REQUEST},
    {"CONNECT api.test:443 HTTP/1.0\r\nHost: echo.test\r\n\r\n", FAULT_BAD_REQUEST},
    /* a body, or anything at all behind the head */
    {LINE HOST "Content-Length: 0\r\n\r\n", FAULT_BAD_REQUEST},
    {LINE HOST "Content-Length: 5\r\n\r\nhello", FAULT_BAD_REQUEST},
    {LINE HOST "Transfer-Encoding: chunked\r\n\r\n", FAULT_BAD_REQUEST},
    {LINE HOST "\r\nx", FAULT_BAD_REQUEST},
    {LINE HOST "\r\n\x16\x03\x01", FAULT_BAD_REQUEST},
    {LINE HOST "\r\n" LINE HOST "\r\n", FAULT_BAD_REQUEST},
};

START_TEST(what_is_no_connect_is_refused)
{
    EACH(refused)
    {
        struct slice target;
        enum fault why = read_all(slice_text(refused[i].text), &target);

        ck_assert_msg(why == refused[i].why, "row %zu (%s): %s", i, refused[i].text, fault_table[why].name);
    }
}
END_TEST

START_TEST(a_nul_is_refused_as_soon_as_it_is_seen)
{
    struct slice target;

    ck_assert_int_eq(read_all(SLICE("CONNECT api\0.test:443"), &target), FAULT_BAD_REQUEST);
}
END_TEST

START_TEST(a_head_without_end_is_refused_at_its_limit)
{
    static uint8_t text[TUNNEL_OCTETS + 1];
    struct slice line = SLICE(LINE HOST "X: "), target;

    memset(text, 'x', sizeof text);
    memcpy(text, line.at, line.len);
    ck_assert_int_eq(read_all(slice_of(text, TUNNEL_OCTETS - 1), &target), FAULT_AGAIN);
    ck_assert_int_eq(read_all(slice_of(text, TUNNEL_OCTETS), &target), FAULT_HEAD_TOO_LARGE);
    /* Its end lies beyond: too late. */
    memcpy(text + TUNNEL_OCTETS - 3, "\r\n\r\n", 4);
    ck_assert_int_eq(read_all(slice_of(text, TUNNEL_OCTETS + 1), &target), FAULT_HEAD_TOO_LARGE);
    memcpy(text + TUNNEL_OCTETS - 4, "\r\n\r\n", 4);
    ck_assert_int_eq(read_all(slice_of(text, TUNNEL_OCTETS), &target), FAULT_NONE);
}
END_TEST

static const struct {
    const char *text, *target;
} taken[] = {
    {LINE HOST "\r\n", "api.test:443"},
    {LINE "Host: api.test\r\n\r\n", "api.test:443"},
    {LINE "hOST:API.Test:443\r\n\r\n", "api.test:443"},
    {LINE "Host: \tapi.test:443 \r\n\r\n", "api.test:443"},
    {"CONNECT API.test.:8443 HTTP/1.1\r\nHost: api.TEST.:8443\r\n\r\n", "API.test.:8443"},
    {"CONNECT [::1]:443 HTTP/1.1\r\nHost: [::1]\r\n\r\n", "[::1]:443"},
    {"CONNECT api.test:443 HTTP/1.0\r\n\r\n", "api.test:443"},
    {"CONNECT api.test:443 HTTP/1.0\r\n" HOST "\r\n", "api.test:443"},
    {LINE "Proxy-Authorization: Basic eDp5\r\nProxy-Connection: keep-alive\r\nUser-Agent: curl/8\r\n" HOST
          "\r\n",
     "api.test:443"},
    {"CONNECT api.test: HTTP/1.1\r\nHost: api.test\r\n\r\n", "api.test:"}, /* host_port's to refuse */
};

/* Octet by octet is the same as at once. */
START_TEST(a_connect_says_where_to_at_every_cut)
{
    EACH(taken)
    {
        struct slice all = slice_text(taken[i].text), target;
        size_t looked = 0;

        for (size_t n = 0; n < all.len; n++) {
            enum fault why = tunnel_read(slice_first(all, n), &looked, &target);

            ck_assert_msg(why == FAULT_AGAIN, "row %zu at %zu: %s", i, n, fault_table[why].name);
        }
        enum fault why = tunnel_read(all, &looked, &target);

        ck_assert_msg(why == FAULT_NONE, "row %zu: %s", i, fault_table[why].name);
        ck_assert_msg(slice_equal(target, slice_text(taken[i].target)), "row %zu: %.*s", i,
                      SLICE_PRINTF(target));
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tunnel");
    TCase *tc = tcase_create("tunnel");
    SRunner *runner;
    int failed;

    tcase_add_test(tc, what_is_no_connect_is_refused);
    tcase_add_test(tc, a_nul_is_refused_as_soon_as_it_is_seen);
    tcase_add_test(tc, a_head_without_end_is_refused_at_its_limit);
    tcase_add_test(tc, a_connect_says_where_to_at_every_cut);
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

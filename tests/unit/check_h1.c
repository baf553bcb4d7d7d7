#include "h1.h"
#include <check.h>
#include <stdlib.h>

struct row {
    const char *text;
    size_t len;
};
#define ROW(literal)                 \
    {                                \
        literal, sizeof(literal) - 1 \
    }
#define EACH(table) for (size_t i = 0; i < sizeof table / sizeof *table; i++)

static const struct h1_limits limits = {65536, 128};
static struct head head;

static struct slice row_slice(const struct row *r)
{
    return slice_of(r->text, r->len);
}

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

/* Head text around one or more lines without their last CR LF. */
static struct slice around(const char *before, struct slice lines)
{
    static uint8_t text[70000];
    size_t n = strlen(before);

    memcpy(text, before, n);
    memcpy(text + n, lines.at, lines.len);
    memcpy(text + n + lines.len, "\r\n\r\n", 4);
    return slice_of(text, n + lines.len + 4);
}

static void refused_with(enum fault why, enum fault want, const char *what, size_t i)
{
    ck_assert_msg(why == want, "%s row %zu: %s", what, i, fault_table[why].name);
}

/* --- refusals: lines that no head may have -------------------------------------------------------------- */

static const struct row framings[] = {
    ROW("Content-Length: 5\r\nTransfer-Encoding: chunked"),
    ROW("Transfer-Encoding: chunked\r\nContent-Length: 5"),
    ROW("Connection: close\r\nContent-Length: 5\r\nTransfer-Encoding: chunked"),
    ROW("Transfer-Encoding: \x0b"
        "chunked"),
    ROW("Transfer-Encoding: chunked\0"),
    ROW("Transfer-Encoding: \"chunked\""),
    ROW("Transfer-Encoding: ,chunked"),
    ROW("Transfer-Encoding: chunked,"),
    ROW("Transfer-Encoding: chunked, identity"),
    ROW("Transfer-Encoding: identity, chunked"),
    ROW("Transfer-Encoding: gzip, chunked"),
    ROW("Transfer-Encoding: chunked, chunked"),
    ROW("Transfer-Encoding: chunked;q=1"),
    ROW("Transfer-Encoding: xchunked"),
    ROW("Transfer-Encoding: chunkedx"),
    ROW("Transfer-Encoding: identity"),
    ROW("Transfer-Encoding:"),
    ROW("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
    ROW("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity"),
    ROW("Transfer-Encoding:\r\n chunked"),
    ROW("Transfer-Encoding : chunked"),
    ROW("\tTransfer-Encoding: chunked"),
    ROW(" Transfer-Encoding: chunked"),
    ROW("X-Abc: \rxTransfer-Encoding: chunked"),
    ROW("Content-Length: 5\r\nContent-Length: 6"),
    ROW("Content-Length: 5\r\nContent-Length: 5"),
    ROW("Content-Length: 5, 5"),
    ROW("Content-Length: 5,6"),
    ROW("Content-Length:"),
    ROW("Content-Length: "),
    ROW("Content-Length: +5"),
    ROW("Content-Length: -1"),
    ROW("Content-Length: -48"),
    ROW("Content-Length: 0x5"),
    ROW("Content-Length: 05"),
    ROW("Content-Length: 00"),
    ROW("Content-Length: 5 5"),
    ROW("Content-Length: 5_0"),
    ROW("Content-Length: 5\0"),
    ROW("Content-Length: 5a"),
    ROW("Content-Length: \xa0"
        "5"),
    ROW("Content-Length: 4611686018427387904"),
    ROW("Content-Length: 9223372036854775808"),
    ROW("Content-Length: 18446744073709551616"),
    ROW("Content-Length: 18446744073709551621"),
    ROW("Content-Length: 99999999999999999999"),
    ROW("Content-Length : 5"),
    ROW("X: a\r\n b"),
    ROW("X: a\r\n\tb"),
    ROW("X: a\nY: b"),
    ROW("X: a\rb"),
    ROW("X: a\0b"),
    ROW("X: \x7f"),
    ROW(": x"),
    ROW("x"),
    ROW("X : y"),
    ROW("X\x80: y"),
    ROW("Connection: close, Authorization"),
    ROW("Connection: Host"),
    ROW("Connection: content-length, cookie"),
    ROW("Connection: content-length"),
    ROW("Connection: cookie"),
    ROW("Connection: close\r\nConnection: Expect"),
    ROW("Connection: content-type"),
    ROW("Connection: content-encoding"),
    ROW("Connection: a b"),
    ROW("Connection: \"close\""),
    ROW("Connection: a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q"),
};

START_TEST(framing_that_two_readers_could_read_in_two_ways_is_refused)
{
    EACH(framings)
    {
        struct slice lines = row_slice(&framings[i]);

        refused_with(request(around("POST / HTTP/1.1\r\nHost: api.test\r\n", lines)), FAULT_BAD_REQUEST,
                     "request", i);
        refused_with(response(around("HTTP/1.1 200 OK\r\n", lines), false), FAULT_UPSTREAM_PROTOCOL,
                     "response", i);
    }
}
END_TEST

/* Legal blanks (RFC 9112 s.5.1), which no honest client writes here. */
static const struct row request_lines[] = {
    ROW("Transfer-Encoding:  chunked"),
    ROW("Transfer-Encoding: chunked "),
    ROW("Transfer-Encoding:\tchunked"),
    ROW("Content-Length:  5"),
    ROW("Content-Length: 5\t"),
    ROW("Expect: y 100-continue"),
    ROW("Expect: 100-continue, x"),
    ROW("Expect: 100-continue\r\nExpect: 100-continue"),
    ROW("Expect: 200-ok"),
    ROW("Expect:"),
    ROW("Host: api.test"),
    ROW("Host: evil.test"),
};

static const struct row hosts[] = {
    ROW("X: no host"),
    ROW("Host:"),
    ROW("Host: "),
    ROW("Host: api.test, evil.test"),
    ROW("Host: api.test@evil.test"),
    ROW("Host: evil.test@api.test"),
    ROW("Host: api.test#evil"),
    ROW("Host: api.test/evil"),
    ROW("Host: api.test?evil"),
    ROW("Host: api.test\\evil"),
    ROW("Host:  api.test"),
    ROW("Host:\tapi.test"),
    ROW("Host: api.test\t"),
    ROW("Host: api.test "),
    ROW("Host: api.test evil.test"),
    ROW("Host: \xd0\xb0pi.test"),
    ROW("Host: evil.test\0.api.test"),
    ROW("Host: api.test\x7f"),
    ROW("Host : api.test"),
    ROW(" Host: api.test"),
    ROW("Host: api.test\r\nhost: api.test"),
    ROW("Host: https://api.test"),
};

START_TEST(a_request_with_another_host_or_expectation_is_refused)
{
    EACH(request_lines)
    refused_with(request(around("POST / HTTP/1.1\r\nHost: api.test\r\n", row_slice(&request_lines[i]))),
                 FAULT_BAD_REQUEST, "line", i);
    EACH(hosts)
    refused_with(request(around("GET / HTTP/1.1\r\n", row_slice(&hosts[i]))), FAULT_BAD_REQUEST, "host", i);
}
END_TEST

static const struct {
    const char *line;
    enum fault want;
} first_lines[] = {
    {"CONNECT evil.test:443 HTTP/1.1", FAULT_METHOD_NOT_ALLOWED},
    {"CONNECT api.test:443 HTTP/1.1", FAULT_METHOD_NOT_ALLOWED},
    {"TRACE / HTTP/1.1", FAULT_METHOD_NOT_ALLOWED},
    {"TRACK / HTTP/1.1", FAULT_METHOD_NOT_ALLOWED},
    {"GET https://evil.test/ HTTP/1.1", FAULT_HOST_MISMATCH},
    {"GET https://api.test:8443/ HTTP/1.1", FAULT_HOST_MISMATCH},
    {"GET https://api.test. HTTP/1.1", FAULT_HOST_MISMATCH},
    {"GET https://api.test@evil.test/ HTTP/1.1", FAULT_BAD_REQUEST},
    {"GET https://evil.test@api.test/ HTTP/1.1", FAULT_BAD_REQUEST},
    {"GET https://api.test?a HTTP/1.1", FAULT_BAD_REQUEST},
    {"GET https:/// HTTP/1.1", FAULT_BAD_REQUEST},
    {"GET https:// HTTP/1.1", FAULT_BAD_REQUEST},
    {"GET https:/api.test/ HTTP/1.1", FAULT_BAD_REQUEST},
    {"GET https:api.test HTTP/1.1", FAULT_BAD_REQUEST},
    {"GET ftp://api.test/ HTTP/1.1", FAULT_BAD_REQUEST},
    {"GET ://api.test/ HTTP/1.1", FAULT_BAD_REQUEST},
    {"GET evil.test:443 HTTP/1.1", FAULT_BAD_REQUEST},
    {"GET evil.test HTTP/1.1", FAULT_BAD_REQUEST},
    {"GET ?a HTTP/1.1", FAULT_BAD_REQUEST},
    {"GET * HTTP/1.1", FAULT_BAD_REQUEST},
    {"OPTIONS ** HTTP/1.1", FAULT_BAD_REQUEST},
    {"GET /#f HTTP/1.1", FAULT_BAD_REQUEST},
    {"GET /", FAULT_BAD_REQUEST},
    {"GET  / HTTP/1.1", FAULT_BAD_REQUEST},
    {"GET / HTTP/0.9", FAULT_BAD_REQUEST},
    {"GET / HTTP/1.2", FAULT_BAD_REQUEST},
    {"GET / HTTP/2.0", FAULT_BAD_REQUEST},
    {"PRI * HTTP/2.0", FAULT_BAD_REQUEST},
    {"PRI * HTTP/1.1", FAULT_BAD_REQUEST},
    {"get / HTTP/1.1", FAULT_BAD_REQUEST},
    {"GeT / HTTP/1.1", FAULT_BAD_REQUEST},
    {"connect api.test:443 HTTP/1.1", FAULT_BAD_REQUEST},
    {"GETX / HTTP/1.1", FAULT_BAD_REQUEST},
    {"GET / http/1.1", FAULT_BAD_REQUEST},
    {"\r\n\r\nGET / HTTP/1.1", FAULT_BAD_REQUEST},
    {"\nGET / HTTP/1.1", FAULT_BAD_REQUEST},
    {"\rGET / HTTP/1.1", FAULT_BAD_REQUEST},
    {" GET / HTTP/1.1", FAULT_BAD_REQUEST},
};

START_TEST(a_request_line_that_asks_for_more_is_refused)
{
    EACH(first_lines)
    refused_with(request(around(first_lines[i].line, SLICE("\r\nHost: api.test"))), first_lines[i].want,
                 "line", i);
    refused_with(request(around("POST / HTTP/1.0\r\n", SLICE("Transfer-Encoding: chunked"))),
                 FAULT_BAD_REQUEST, "1.0", 0);
}
END_TEST

static const struct row responses[] = {
    ROW("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n"),
    ROW("HTTP/1.1 099 x\r\n\r\n"),
    ROW("HTTP/1.1 600 x\r\n\r\n"),
    ROW("HTTP/1.1 2000 x\r\n\r\n"),
    ROW("HTTP/1.1 100 Continue\r\nContent-Length: 0\r\n\r\n"),
    ROW("HTTP/1.1 103 Early Hints\r\nTransfer-Encoding: chunked\r\n\r\n"),
    ROW("HTTP/1.1 199 x\r\nContent-Length: 5\r\n\r\n"),
    ROW("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n"),
    ROW("HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n"),
    ROW("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
    ROW("HTTP/1.1 304 Not Modified\r\nContent-Length: -1\r\n\r\n"),
    ROW("\r\nHTTP/1.1 200 OK\r\n\r\n"),
    ROW("hello\r\n\r\n"),
    ROW("hello\n"),
    ROW("HTTP/0.9 200 OK\r\n\r\n"),
};

START_TEST(a_response_outside_the_grammar_is_refused)
{
    EACH(responses)
    {
        refused_with(response(row_slice(&responses[i]), false), FAULT_UPSTREAM_PROTOCOL, "response", i);
        refused_with(response(row_slice(&responses[i]), true), FAULT_UPSTREAM_PROTOCOL, "response to HEAD",
                     i);
    }
}
END_TEST

START_TEST(heads_over_the_limits_are_refused)
{
    const struct h1_limits small = {100, 3};
    struct h1_reader r = {0};
    static uint8_t long_line[70000];
    size_t used;

    memset(long_line, 'a', sizeof long_line);
    memcpy(long_line, "GET /", 5);
    ck_assert_int_eq(h1_read_request(&r, &limits, slice_of(long_line, 65535), &head, &used), FAULT_AGAIN);
    ck_assert_int_eq(h1_read_request(&r, &limits, slice_of(long_line, 65536), &head, &used),
                     FAULT_TARGET_TOO_LARGE);
    memcpy(long_line, "GET / HTTP/1.1\r\nHost: a\r\nX: ", 28);
    ck_assert_int_eq(request(slice_of(long_line, 65535)), FAULT_AGAIN);
    ck_assert_int_eq(request(slice_of(long_line, 65536)), FAULT_HEAD_TOO_LARGE);
    memcpy(long_line + 65536, "\r\n\r\n", 4);
    ck_assert_int_eq(request(slice_of(long_line, 65540)), FAULT_HEAD_TOO_LARGE);
    memcpy(long_line, "HTTP/1.1 200 OK\r\n          X", 28);
    ck_assert_int_eq(response(slice_of(long_line, 65536), false), FAULT_UPSTREAM_PROTOCOL);
    r = (struct h1_reader){0};
    ck_assert_int_eq(h1_read_request(&r, &small,
                                     around("GET / HTTP/1.1\r\n", SLICE("Host: a\r\nA:\r\nB:\r\nC:")), &head,
                                     &used),
                     FAULT_HEAD_TOO_LARGE);
    ck_assert_int_eq(
        h1_read_request(&r, &small, around("GET / HTTP/1.1\r\n", SLICE("Host: a\r\nA:\r\nB:")), &head, &used),
        FAULT_NONE);
}
END_TEST

/* --- what passes ---------------------------------------------------------------------------------------- */

START_TEST(a_request_is_taken_apart)
{
    const struct slice in = SLICE(
        "\r\nPOST /v1?x=%20 HTTP/1.1\r\nhOST: api.test:443\r\nX-Empty:\r\nTrAnSfEr-EnCoDiNg: CHUNKED\r\n"
        "Connection: keep-alive, , X-Drop,TE\r\nX-DROP: 1\r\nTE: gzip;q=0.5, trailers\r\n"
        "Keep-Alive: timeout=5\r\nProxy-Connection: x\r\nProxy-Authorization: T1\r\n"
        "Upgrade: h2c\r\nHTTP2-Settings: AAMA\r\nExpect: 100-Continue\r\nTransfer_Encoding: x\r\n"
        "COOKIE: \t a\xa0\t \r\n\r\nrest");
    struct h1_reader r = {0};
    size_t used;

    ck_assert_int_eq(h1_read_request(&r, &limits, in, &head, &used), FAULT_NONE);
    ck_assert_uint_eq(used, in.len - 4);
    ck_assert(slice_equal(head.method, SLICE("POST")) && slice_equal(head.target, SLICE("/v1?x=%20")));
    ck_assert(slice_equal(head.authority, SLICE("api.test:443")));
    ck_assert_uint_eq(head.scheme.len, 0);
    ck_assert_uint_eq(head.fields, 3);
    ck_assert(slice_equal(head.field[0].name, SLICE("X-Empty")) && head.field[0].value.len == 0);
    ck_assert(slice_equal(head.field[1].name, SLICE("Transfer_Encoding")));
    ck_assert(slice_equal(head.field[2].name, SLICE("COOKIE")) &&
              slice_equal(head.field[2].value, SLICE("a\xa0")));
    ck_assert_uint_eq(head.field[2].id, FIELD_COOKIE);
    ck_assert(head.upgrade && head.te_trailers && head.expect_continue && !head.close);
    ck_assert(head.body == BODY_STREAM && head.minor == 1 && r.chunked);
}
END_TEST

static const struct {
    const char *line, *scheme, *target;
} forms[] = {
    {"GET https://api.test/a?b HTTP/1.1", "https", "/a?b"},
    {"GET HTTP://api.test HTTP/1.1", "HTTP", "/"},
    {"OPTIONS https://api.test HTTP/1.1", "https", "*"},
    {"OPTIONS https://api.test/ HTTP/1.1", "https", "/"},
    {"OPTIONS * HTTP/1.1", "", "*"},
    {"GET //evil.test/ HTTP/1.1", "", "//evil.test/"},
    {"GET /https://evil.test/ HTTP/1.1", "", "/https://evil.test/"},
};

START_TEST(every_form_of_target_becomes_origin_form)
{
    EACH(forms)
    {
        ck_assert_int_eq(request(around(forms[i].line, SLICE("\r\nHost: api.test"))), FAULT_NONE);
        ck_assert_msg(slice_equal(head.scheme, slice_text(forms[i].scheme)), "row %zu", i);
        ck_assert_msg(slice_equal(head.target, slice_text(forms[i].target)), "row %zu", i);
        ck_assert_msg(slice_equal(head.authority, SLICE("api.test")), "row %zu", i);
    }
}
END_TEST

static const struct {
    const char *text;
    bool request, head_only;
    enum body_kind body;
    uint64_t length;
    bool close, reads; /* reads: octets of body follow */
} kinds[] = {
    {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", true, false, BODY_NONE, 0, false, false},
    {"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n", true, false, BODY_LENGTH, 5, false, true},
    {"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", true, false, BODY_LENGTH, 0, false, false},
    {"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 4611686018427387903\r\n\r\n", true, false, BODY_LENGTH,
     UINT64_C(4611686018427387903), false, true},
    {"GET / HTTP/1.1\r\nHost: a\r\nConnection: Close\r\n\r\n", true, false, BODY_NONE, 0, true, false},
    {"GET / HTTP/1.0\r\n\r\n", true, false, BODY_NONE, 0, true, false},
    {"GET / HTTP/1.0\r\nHost: a\r\nConnection: Keep-Alive\r\n\r\n", true, false, BODY_NONE, 0, false, false},
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", false, false, BODY_LENGTH, 5, false, true},
    {"HTTP/1.1 200 OK\r\nContent-Length:  5 \r\n\r\n", false, false, BODY_LENGTH, 5, false, true},
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\n", false, false, BODY_LENGTH, 5, true,
     true},
    {"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", false, false, BODY_LENGTH, 5, true, true},
    {"HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\n", false, false, BODY_LENGTH, 5,
     false, true},
    {"HTTP/1.1 200 OK\r\n\r\n", false, false, BODY_STREAM, 0, true, true},
    {"HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n", false, false, BODY_STREAM, 0, false, true},
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", false, true, BODY_LENGTH, 5, false, false},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", false, true, BODY_NONE, 0, false, false},
    {"HTTP/1.1 200 OK\r\n\r\n", false, true, BODY_NONE, 0, false, false},
    {"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", false, false, BODY_LENGTH, 5, false, false},
    {"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", false, false, BODY_NONE, 0, false, false},
    {"HTTP/1.1 100 Continue\r\n\r\n", false, false, BODY_NONE, 0, false, false},
    {"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", false, false, BODY_NONE, 0, false, false},
};

START_TEST(the_body_is_framed_as_the_head_says)
{
    EACH(kinds)
    {
        struct h1_reader r = {0};
        struct slice in = slice_text(kinds[i].text), run;
        size_t used, skip;
        enum fault why = kinds[i].request
                             ? h1_read_request(&r, &limits, in, &head, &used)
                             : h1_read_response(&r, &limits, in, kinds[i].head_only, &head, &used);

        ck_assert_msg(why == FAULT_NONE, "row %zu: %s", i, fault_table[why].name);
        ck_assert_msg(head.body == kinds[i].body && head.length == kinds[i].length, "row %zu: %d, %llu", i,
                      (int)head.body, (unsigned long long)head.length);
        ck_assert_msg(head.close == kinds[i].close, "row %zu: close is %d", i, head.close);
        why = h1_body(&r, SLICE_NONE, false, &skip, &run);
        ck_assert_msg(why == (kinds[i].reads ? FAULT_AGAIN : FAULT_END), "row %zu: %s", i,
                      fault_table[why].name);
    }
}
END_TEST

/* --- whole messages ------------------------------------------------------------------------------------- */

struct result {
    enum fault why;
    size_t used, len, trailers;
    uint8_t body[256];
};

static enum fault read_head(struct h1_reader *r, bool is_request, struct slice in, size_t *used)
{
    return is_request ? h1_read_request(r, &limits, in, &head, used)
                      : h1_read_response(r, &limits, in, false, &head, used);
}

/* Read one message of ${all}, of which ${held} octets are there at first and the rest afterwards. */
static void message_read(bool is_request, struct slice all, size_t held, struct result *got)
{
    struct h1_reader r = {0};
    enum { HEAD, BODY, TRAILERS } step = HEAD;

    *got = (struct result){0};
    for (;;) {
        struct slice in = slice_drop(slice_first(all, held), got->used), run = SLICE_NONE;
        size_t used = 0;

        got->why = step == HEAD   ? read_head(&r, is_request, in, &used)
                   : step == BODY ? h1_body(&r, in, held == all.len, &used, &run)
                                  : h1_trailers(&r, &limits, in, &head, &used);
        if (got->why == FAULT_NONE || step == BODY)
            got->used += used;
        if (step == TRAILERS && got->why == FAULT_NONE) {
            got->trailers = head.fields;
            return;
        }
        if (got->why == FAULT_AGAIN && held < all.len)
            held = all.len;
        else if (got->why == FAULT_END)
            step = TRAILERS;
        else if (got->why != FAULT_NONE)
            return;
        else
            step = BODY;
        ck_assert_uint_le(run.len, in.len);
        ck_assert_uint_le(got->len + run.len, sizeof got->body);
        if (run.len > 0)
            memcpy(got->body + got->len, run.at, run.len);
        got->len += run.len;
        got->used += run.len;
        h1_took(&r, run.len);
    }
}

static const struct {
    const char *text;
    bool request;
    enum fault want;
    const char *body;
    size_t behind, trailers;
} messages[] = {
    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nGET ", true,
     FAULT_NONE, "abc", 4, 0},
    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX:POST / HTTP/1.1\r\n\r\n", true,
     FAULT_NONE, "", 0, 1},
    {"\r\nPOST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET /", true, FAULT_NONE, "abc", 5, 0},
    {"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /x HTTP/1.1\r\n", true, FAULT_NONE, "", 17, 0},
    {"HTTP/1.1 200 OK\r\n\r\nuntil\r\nclose", false, FAULT_NONE, "until\r\nclose", 0, 0},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;x\r\na\r\n0;y\r\nA: b\r\nDigest:\r\n\r\n", false,
     FAULT_NONE, "a", 0, 2},
    {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nab", true, FAULT_CLIENT_GONE, "ab", 0, 0},
    {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", false, FAULT_CLIENT_GONE, "", 0, 0},
    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab", true, FAULT_CLIENT_GONE, "ab",
     0, 0},
    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc", true, FAULT_CLIENT_GONE,
     "abc", 0, 0},
    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcXX", true, FAULT_BAD_REQUEST,
     "abc", 2, 0},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\n", false, FAULT_BAD_REQUEST, "", 5, 0},
    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", true, FAULT_AGAIN, "", 0, 0},
    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n", true, FAULT_AGAIN, "",
     6, 0},
};

START_TEST(a_message_is_the_same_at_every_cut)
{
    EACH(messages)
    {
        struct slice all = slice_text(messages[i].text);

        for (size_t held = 0; held <= all.len; held++) {
            struct result got;

            message_read(messages[i].request, all, held, &got);
            ck_assert_msg(got.why == messages[i].want, "row %zu cut at %zu: %s", i, held,
                          fault_table[got.why].name);
            ck_assert_uint_eq(got.len, strlen(messages[i].body));
            ck_assert_mem_eq(got.body, messages[i].body, got.len);
            ck_assert_uint_eq(got.trailers, messages[i].trailers);
            if (got.why == FAULT_NONE)
                ck_assert_uint_eq(got.used, all.len - messages[i].behind);
        }
    }
}
END_TEST

static const struct row trailers[] = {
    ROW("Content-Length: 5"),
    ROW("Host: evil.test"),
    ROW("Transfer-Encoding: chunked"),
    ROW("Authorization: Bearer T1"),
    ROW("Connection: close"),
    ROW("Set-Cookie: a"),
    ROW("A: b\nC: d"),
    ROW("A: b\r\n c"),
    ROW("A : b"),
    ROW("A"),
    ROW("A: \0"),
    ROW("TE: trailers"),
    ROW("Trailer: a"),
    ROW("Expect: x"),
    ROW("Content-Type: a/b"),
    ROW("A: \rb"),
};

START_TEST(trailers_that_belong_in_heads_are_refused)
{
    size_t used;

    EACH(trailers)
    {
        struct h1_reader r = {.chunked = true, .ended = true};

        refused_with(h1_trailers(&r, &limits, around("A: b\r\n", row_slice(&trailers[i])), &head, &used),
                     FAULT_BAD_REQUEST, "trailer", i);
    }
    for (size_t fields = 128; fields <= 129; fields++) {
        struct h1_reader r = {.chunked = true, .ended = true};
        uint8_t many[129 * 4];

        for (size_t i = 0; i < fields; i++)
            memcpy(many + 4 * i, "A:\r\n", 4);
        ck_assert_int_eq(h1_trailers(&r, &limits, around("", slice_of(many, 4 * fields - 2)), &head, &used),
                         fields == 128 ? FAULT_NONE : FAULT_HEAD_TOO_LARGE);
    }
}
END_TEST

START_TEST(trailers_can_not_be_read_before_the_body_has_ended)
{
    struct h1_reader r = {.chunked = true};
    size_t used;

    ck_assert_int_eq(h1_trailers(&r, &limits, SLICE("\r\n"), &head, &used), FAULT_INVALID);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("h1");
    TCase *t = tcase_create("h1");
    SRunner *r;
    int failed;

    tcase_add_test(t, framing_that_two_readers_could_read_in_two_ways_is_refused);
    tcase_add_test(t, a_request_with_another_host_or_expectation_is_refused);
    tcase_add_test(t, a_request_line_that_asks_for_more_is_refused);
    tcase_add_test(t, a_response_outside_the_grammar_is_refused);
    tcase_add_test(t, heads_over_the_limits_are_refused);
    tcase_add_test(t, trailers_that_belong_in_heads_are_refused);
    tcase_add_test(t, trailers_can_not_be_read_before_the_body_has_ended);
    tcase_add_test(t, a_request_is_taken_apart);
    tcase_add_test(t, every_form_of_target_becomes_origin_form);
    tcase_add_test(t, the_body_is_framed_as_the_head_says);
    tcase_add_test(t, a_message_is_the_same_at_every_cut);
    suite_add_tcase(s, t);
    r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

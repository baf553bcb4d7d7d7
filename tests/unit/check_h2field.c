#include "h2heads.h"
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

/* Fields of a row: "name=value" with '|' between. A name may begin with ':', none here holds '=' or '|'. */
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
static struct h2_fields fields;
static struct head head, other;

static void feed(const struct h1_limits *l, struct slice rows)
{
    while (rows.len > 0) {
        struct slice one = slice_first(rows, slice_find(rows, '|')),
                     name = slice_first(one, slice_find(one, '='));

        h2_fields_add(&fields, l, name, slice_drop(one, name.len + 1));
        rows = slice_drop(rows, one.len + 1);
    }
}

static struct slice row_slice(const struct row *r)
{
    return slice_of(r->text, r->len);
}

static enum fault block(enum h2_section section, struct slice first, struct slice then, bool ended)
{
    h2_fields_begin(&fields, section);
    feed(&limits, first);
    feed(&limits, then);
    return h2_fields_head(&fields, ended, false, &head);
}

#define POST SLICE(":method=POST|:scheme=https|:authority=api.test|:path=/v1")

static enum fault request(struct slice rows)
{
    return block(H2_REQUEST, POST, rows, false);
}

static enum fault response(const char *status, struct slice rows, bool ended)
{
    char first[32];

    return block(H2_RESPONSE, slice_of(first, (size_t)snprintf(first, sizeof first, ":status=%s", status)),
                 rows, ended);
}

static void refused_with(enum fault why, enum fault want, const char *what, size_t i)
{
    ck_assert_msg(why == want, "%s row %zu: %s", what, i, fault_table[why].name);
}

/* --- refusals ------------------------------------------------------------------------------------------- */

/* RFC 9113 s.8.2.1, s.8.2.2: no message may have them, whichever end it comes from. */
static const struct row refused_fields[] = {
    ROW("=x"),
    ROW("X=y"),
    ROW("x-Upper=y"),
    ROW("x y=z"),
    ROW("x\t=z"),
    ROW("x\r\ny=z"),
    ROW("x:y=z"),
    ROW("x\0y=z"),
    ROW("x\x7f=z"),
    ROW("x\x80=z"),
    ROW("\xc3\xa4=z"),
    ROW("x=a\rb"),
    ROW("x=a\nb"),
    ROW("x=a\r\nhost: evil.test"),
    ROW("x=a\0b"),
    ROW("x=a\x1f"),
    ROW("x=a\x7f"),
    ROW("x= a"),
    ROW("x=a "),
    ROW("x=\ta"),
    ROW("x=a\t"),
    ROW("x= "),
    ROW("connection=close"),
    ROW("connection=keep-alive"),
    ROW("connection="),
    ROW("connection=te"),
    ROW("keep-alive=timeout=5"),
    ROW("proxy-connection=keep-alive"),
    ROW("transfer-encoding=chunked"),
    ROW("transfer-encoding=identity"),
    ROW("transfer-encoding="),
    ROW("upgrade=h2c"),
    ROW("upgrade=websocket"),
    ROW("te="),
    ROW("te=gzip"),
    ROW("te=trailers, gzip"),
    ROW("te=trailers;q=1"),
    ROW("te=gzip;q=0.5, trailers"),
    ROW("te=trailers |x=y"),
    ROW("Connection=close"),
    ROW("content-length="),
    ROW("content-length=+5"),
    ROW("content-length=-1"),
    ROW("content-length=05"),
    ROW("content-length=00"),
    ROW("content-length=5 "),
    ROW("content-length=5,5"),
    ROW("content-length=5, 5"),
    ROW("content-length=0x5"),
    ROW("content-length=5|content-length=5"),
    ROW("content-length=5|content-length=6"),
    ROW("content-length=0|content-length=0"),
    ROW("content-length=4611686018427387904"),
    ROW("content-length=18446744073709551621"),
    ROW(":unknown=x"),
    ROW(":protocol=websocket"),
    ROW(":=x"),
    ROW(":METHOD=GET"),
    ROW(":method =GET"),
};

START_TEST(a_field_that_no_message_may_have_is_refused)
{
    EACH(refused_fields)
    {
        struct slice row = row_slice(&refused_fields[i]);

        refused_with(request(row), FAULT_BAD_REQUEST, "request", i);
        refused_with(response("200", row, false), FAULT_UPSTREAM_PROTOCOL, "response", i);
        refused_with(block(H2_TRAILERS, SLICE("x=y"), row, true), FAULT_BAD_REQUEST, "trailers", i);
    }
}
END_TEST

/* RFC 9113 s.8.3, s.8.3.1. */
static const struct {
    struct row block;
    enum fault want;
} refused_requests[] = {
    {ROW(""), FAULT_BAD_REQUEST},
    {ROW(":scheme=https|:authority=a|:path=/"), FAULT_BAD_REQUEST},
    {ROW(":method=GET|:authority=a|:path=/"), FAULT_BAD_REQUEST},
    {ROW(":method=GET|:scheme=https|:authority=a"), FAULT_BAD_REQUEST},
    {ROW(":method=GET|:scheme=https|:path=/"), FAULT_BAD_REQUEST},
    {ROW(":method=GET|:scheme=https|:authority=|:path=/"), FAULT_BAD_REQUEST},
    {ROW(":method=GET|:scheme=https|:authority=|:path=/|host=a"), FAULT_BAD_REQUEST},
    {ROW(":method=GET|:scheme=https|:authority=a|:path="), FAULT_BAD_REQUEST},
    {ROW(":method=|:scheme=https|:authority=a|:path=/"), FAULT_BAD_REQUEST},
    {ROW(":method=GET|:scheme=|:authority=a|:path=/"), FAULT_BAD_REQUEST},
    {ROW(":method=GET|:scheme=https|:authority=a|x=y|:path=/"), FAULT_BAD_REQUEST},
    {ROW(":method=GET|:scheme=https|:authority=a|:path=/|x=y|:path=/"), FAULT_BAD_REQUEST},
    {ROW(":method=GET|:scheme=https|:authority=a|:path=/|:path=/"), FAULT_BAD_REQUEST},
    {ROW(":method=GET|:method=GET|:scheme=https|:authority=a|:path=/"), FAULT_BAD_REQUEST},
    {ROW(":method=GET|:scheme=https|:scheme=https|:authority=a|:path=/"), FAULT_BAD_REQUEST},
    {ROW(":method=GET|:scheme=https|:authority=a|:authority=a|:path=/"), FAULT_BAD_REQUEST},
    {ROW(":method=GET|:scheme=https|:authority=a|:path=/|:status=200"), FAULT_BAD_REQUEST},
    {ROW(":method=GET / HTTP/1.1\r\nHost: evil.test|:scheme=https|:authority=a|:path=/"), FAULT_BAD_REQUEST},
    {ROW(":method=G ET|:scheme=https|:authority=a|:path=/"), FAULT_BAD_REQUEST},
    {ROW(":method=GET|:scheme=ftp|:authority=a|:path=/"), FAULT_BAD_REQUEST},
    {ROW(":method=GET|:scheme=https://evil/|:authority=a|:path=/"), FAULT_BAD_REQUEST},
    {ROW(":method=GET|:scheme=https|:authority=a@evil.test|:path=/"), FAULT_BAD_REQUEST},
    {ROW(":method=GET|:scheme=https|:authority=a/|:path=/"), FAULT_BAD_REQUEST},
    {ROW(":method=GET|:scheme=https|:authority=a b|:path=/"), FAULT_BAD_REQUEST},
    {ROW(":method=GET|:scheme=https|:authority=a\0b|:path=/"), FAULT_BAD_REQUEST},
    {ROW(":method=GET|:scheme=https|:authority=\xd0\xb0pi.test|:path=/"), FAULT_BAD_REQUEST},
    {ROW(":method=GET|:scheme=https|:authority=a|:path=/ HTTP/1.1"), FAULT_BAD_REQUEST},
    {ROW(":method=GET|:scheme=https|:authority=a|:path=/\r\nx: y"), FAULT_BAD_REQUEST},
    {ROW(":method=GET|:scheme=https|:authority=a|:path=/a\tb"), FAULT_BAD_REQUEST},
    {ROW(":method=GET|:scheme=https|:authority=a|:path=/#f"), FAULT_BAD_REQUEST},
    {ROW(":method=GET|:scheme=https|:authority=a|:path=/\\x"), FAULT_BAD_REQUEST},
    {ROW(":method=GET|:scheme=https|:authority=a|:path=/\xff"), FAULT_BAD_REQUEST},
    {ROW(":method=GET|:scheme=https|:authority=a|:path=x"), FAULT_BAD_REQUEST},
    {ROW(":method=GET|:scheme=https|:authority=a|:path=*"), FAULT_BAD_REQUEST},
    {ROW(":method=OPTIONS|:scheme=https|:authority=a|:path=**"), FAULT_BAD_REQUEST},
    {ROW(":method=GET|:scheme=https|:authority=a|:path=https://evil.test/"), FAULT_BAD_REQUEST},
    {ROW(":method=GET|:scheme=https|:authority=a|:path=/|host=a|host=a"), FAULT_BAD_REQUEST},
    {ROW(":method=GET|:scheme=https|:authority=a|:path=/|host="), FAULT_BAD_REQUEST},
    {ROW(":method=GET|:scheme=https|:authority=a|:path=/|host=a@b"), FAULT_BAD_REQUEST},
    {ROW(":method=GET|:scheme=https|:authority=a|:path=/|host=b"), FAULT_HOST_MISMATCH},
    {ROW(":method=GET|:scheme=https|:authority=a|:path=/|host=a:443"), FAULT_HOST_MISMATCH},
    {ROW(":method=GET|:scheme=https|:authority=a|:path=/|expect=x"), FAULT_BAD_REQUEST},
    {ROW(":method=GET|:scheme=https|:authority=a|:path=/|expect="), FAULT_BAD_REQUEST},
    {ROW(":method=GET|:scheme=https|:authority=a|:path=/|expect=100-continue|expect=100-continue"),
     FAULT_BAD_REQUEST},
    {ROW(":method=CONNECT|:authority=a:443"), FAULT_METHOD_NOT_ALLOWED},
    {ROW(":method=CONNECT|:scheme=https|:authority=a|:path=/"), FAULT_METHOD_NOT_ALLOWED},
    {ROW(":method=CONNECT|:protocol=websocket|:scheme=https|:authority=a|:path=/"), FAULT_BAD_REQUEST},
    {ROW(":method=TRACE|:scheme=https|:authority=a|:path=/"), FAULT_METHOD_NOT_ALLOWED},
    {ROW(":method=TRACK|:scheme=https|:authority=a|:path=/"), FAULT_METHOD_NOT_ALLOWED},
};

START_TEST(a_request_outside_the_grammar_is_refused)
{
    EACH(refused_requests)
    refused_with(block(H2_REQUEST, row_slice(&refused_requests[i].block), SLICE_NONE, true),
                 refused_requests[i].want, "request", i);
    refused_with(block(H2_REQUEST, POST, SLICE("content-length=5"), true), FAULT_BAD_REQUEST, "length", 0);
}
END_TEST

static const struct {
    const char *status;
    struct row fields;
    bool ended;
} refused_responses[] = {
    {"", ROW(""), false},
    {"20", ROW(""), false},
    {"2000", ROW(""), false},
    {"0200", ROW(""), false},
    {"+20", ROW(""), false},
    {"2 0", ROW(""), false},
    {"099", ROW(""), false},
    {"600", ROW(""), false},
    {"101", ROW(""), false},
    {"100", ROW("content-length=0"), false},
    {"103", ROW("content-length=5"), false},
    {"100", ROW(""), true},
    {"103", ROW("link=x"), true},
    {"204", ROW("content-length=5"), false},
    {"200", ROW("content-length=5"), true},
    {"200", ROW(":status=200"), false},
    {"200", ROW("x=y|:status=200"), false},
    {"200", ROW(":path=/"), false},
    {"200", ROW(":method=GET"), false},
};

START_TEST(a_response_outside_the_grammar_is_refused)
{
    EACH(refused_responses)
    refused_with(response(refused_responses[i].status, row_slice(&refused_responses[i].fields),
                          refused_responses[i].ended),
                 FAULT_UPSTREAM_PROTOCOL, "response", i);
    refused_with(block(H2_RESPONSE, SLICE("x=y"), SLICE_NONE, false), FAULT_UPSTREAM_PROTOCOL, "no status",
                 0);
}
END_TEST

static const struct row refused_trailers[] = {
    ROW(":status=200"),           ROW(":path=/"),        ROW(":method=GET"), ROW("host=a"),
    ROW("content-length=5"),      ROW("te=trailers"),    ROW("cookie=a"),    ROW("authorization=x"),
    ROW("content-type=x"),        ROW("set-cookie=a=b"), ROW("trailer=x"),   ROW("http2-settings=AAMA"),
    ROW("proxy-authorization=x"),
};

START_TEST(what_may_not_stand_in_trailers_is_refused)
{
    EACH(refused_trailers)
    refused_with(block(H2_TRAILERS, SLICE("x=y"), row_slice(&refused_trailers[i]), true), FAULT_BAD_REQUEST,
                 "trailers", i);
    refused_with(block(H2_TRAILERS, SLICE("x=y"), SLICE_NONE, false), FAULT_BAD_REQUEST, "not at the end", 0);
}
END_TEST

/* --- limits --------------------------------------------------------------------------------------------- */

static enum fault within(size_t head_octets, size_t most, struct slice rows)
{
    const struct h1_limits small = {head_octets, most};

    h2_fields_begin(&fields, H2_REQUEST);
    feed(&small, POST);
    feed(&small, rows);
    return h2_fields_head(&fields, true, false, &head);
}

START_TEST(a_head_over_the_limits_is_refused_and_its_octets_are_not_kept)
{
    const size_t post = sizeof ":methodPOST:schemehttps:authorityapi.test:path/v1" - 1 + 4 * 4;

    ck_assert_int_eq(within(post, 9, SLICE_NONE), FAULT_NONE);
    ck_assert_int_eq(within(post - 1, 9, SLICE_NONE), FAULT_TARGET_TOO_LARGE);
    ck_assert_int_eq(within(post + 9, 9, SLICE("ab=cde")), FAULT_NONE);
    ck_assert_int_eq(within(post + 8, 9, SLICE("ab=cde")), FAULT_HEAD_TOO_LARGE);
    ck_assert_int_eq(within(65536, 2, SLICE("a=b|c=d")), FAULT_NONE);
    ck_assert_int_eq(within(65536, 2, SLICE("a=b|c=d|e=f")), FAULT_HEAD_TOO_LARGE);
    ck_assert_int_eq(within(65536, 2, SLICE("cookie=a|cookie=b|cookie=c")), FAULT_HEAD_TOO_LARGE);
    ck_assert_int_eq(within(post + 22, 9, SLICE("cookie=a|cookie=b")), FAULT_NONE);
    ck_assert_int_eq(within(post + 21, 9, SLICE("cookie=a|cookie=b")), FAULT_HEAD_TOO_LARGE);
    ck_assert_int_eq(within(post + 21, 9, SLICE("cookie=a|cookie=b|X=y")), FAULT_HEAD_TOO_LARGE);
    ck_assert_int_eq(within(post + 21, 9, SLICE("X=y|cookie=a|cookie=b")), FAULT_BAD_REQUEST);
}
END_TEST

START_TEST(a_block_far_over_the_limits_is_a_bomb_and_memory_stays_flat)
{
    static const uint8_t value[4000];
    const struct h1_limits small = {1000, 10};
    size_t held = 0;

    h2_fields_begin(&fields, H2_REQUEST);
    feed(&small, POST);
    for (unsigned i = 0; i < 40; i++) {
        ck_assert_msg(!h2_fields_bomb(&fields, &small), "bomb at %u fields", i);
        h2_fields_add(&fields, &small, SLICE("a"), SLICE("b"));
        if (i == 9)
            held = fields.octets.cap;
    }
    ck_assert(!h2_fields_bomb(&fields, &small));
    h2_fields_add(&fields, &small, SLICE("cookie"), SLICE("b"));
    ck_assert(h2_fields_bomb(&fields, &small));
    ck_assert_uint_eq(fields.octets.cap, held);
    ck_assert_uint_eq(fields.cookie.cap, 0);

    h2_fields_begin(&fields, H2_REQUEST);
    h2_fields_add(&fields, &small, SLICE("a"), slice_of(value, sizeof value - 5));
    ck_assert(!h2_fields_bomb(&fields, &small));
    h2_fields_add(&fields, &small, SLICE("a"), SLICE_NONE);
    ck_assert(h2_fields_bomb(&fields, &small));
    ck_assert_uint_eq(fields.octets.cap, 0);
}
END_TEST

/* --- two readers of one grammar ------------------------------------------------------------------------- */

/* The same fields as HTTP/1.1 says them; ${other} is its head. */
static enum fault read_by_h1(const char *first_line, struct slice rows)
{
    static uint8_t text[8192];
    size_t n = (size_t)snprintf((char *)text, sizeof text, "%s\r\n", first_line), used;
    struct h1_reader r = {0};

    while (rows.len > 0) {
        struct slice one = slice_first(rows, slice_find(rows, '|')),
                     name = slice_first(one, slice_find(one, '='));

        n += (size_t)snprintf((char *)text + n, sizeof text - n, "%.*s: %.*s\r\n", SLICE_PRINTF(name),
                              SLICE_PRINTF(slice_drop(one, name.len + 1)));
        rows = slice_drop(rows, one.len + 1);
    }
    memcpy(text + n, "\r\n", 2);
    return memcmp(first_line, "HTTP", 4) == 0
               ? h1_read_response(&r, &limits, slice_of(text, n + 2), false, &other, &used)
               : h1_read_request(&r, &limits, slice_of(text, n + 2), &other, &used);
}

/* With a length or without content: how else a body ends is each protocol's own. */
static const struct row alike[] = {
    ROW("content-length=5"),
    ROW("content-length=0"),
    ROW("content-length=4611686018427387903"),
    ROW("content-length=4611686018427387904"),
    ROW("content-length=05"),
    ROW("content-length=x"),
    ROW("content-length=5|expect=100-continue"),
    ROW("content-length=5|expect=100-Continue"),
    ROW("content-length=5|expect=100-continue, x"),
    ROW("content-length=5|content-length=5"),
    ROW("content-length=1|x-empty=|transfer_encoding=x|accept=*/*|accept=a"),
    ROW("content-length=1|cookie=a=b; c=d"),
    ROW("content-length=1|proxy-authorization=x|http2-settings=AAMA"),
    ROW("content-length=1|te=trailers"),
    ROW("content-length=1|te=TRAILERS"),
    ROW("content-length=1|authorization=Bearer x\xa0y"),
    ROW("content-length=1|x=a\x01"),
    ROW("content-length=1|x y=a"),
    ROW("content-length=1|content-type=text/plain|trailer=x|range=bytes=0-1"),
};

START_TEST(both_protocols_read_the_same_fields_in_the_same_way)
{
    EACH(alike)
    {
        struct slice row = row_slice(&alike[i]);
        enum fault want = read_by_h1("POST /v1 HTTP/1.1\r\nHost: api.test", row);

        refused_with(request(row), want, "request", i);
        if (want == FAULT_NONE)
            ck_assert_msg(!heads_differ(&head, &other), "request row %zu: %s", i,
                          heads_differ(&head, &other));
        want = read_by_h1("HTTP/1.1 200 OK", row);
        refused_with(response("200", row, false), want, "response", i);
        if (want == FAULT_NONE)
            ck_assert_msg(!heads_differ(&head, &other), "response row %zu: %s", i,
                          heads_differ(&head, &other));
    }
}
END_TEST

static const char *const methods[] = {
    "GET",      "HEAD",    "POST",      "PUT",     "DELETE",   "PATCH",      "OPTIONS",  "CONNECT",
    "TRACE",    "TRACK",   "LINK",      "ACL",     "SOURCE",   "M-SEARCH",   "PROPFIND", "REPORT",
    "QUERY",    "PRI",     "get",       "Get",     "GETX",     "GE",         "BREW",     "DESCRIBE",
    "TEARDOWN", "connect", "trace",     "MSEARCH", "MERGE",    "MKCALENDAR", "PURGE",    "LOCK",
    "UNLOCK",   "COPY",    "SUBSCRIBE", "NOTIFY",  "CHECKOUT", "ANNOUNCE",   "X-GET",    "FLUSH",
};

START_TEST(both_protocols_know_the_same_methods)
{
    EACH(methods)
    {
        char line[128], first[128];
        enum fault want, got;

        snprintf(line, sizeof line, "%s / HTTP/1.1\r\nHost: api.test", methods[i]);
        want = read_by_h1(line, SLICE_NONE);
        snprintf(first, sizeof first, ":method=%s|:scheme=https|:authority=api.test|:path=/", methods[i]);
        got = block(H2_REQUEST, slice_text(first), SLICE_NONE, true);
        ck_assert_msg(got == want, "%s: %s, h1: %s", methods[i], fault_table[got].name,
                      fault_table[want].name);
    }
}
END_TEST

/* --- what passes ---------------------------------------------------------------------------------------- */

START_TEST(a_request_is_taken_apart)
{
    for (unsigned again = 0; again < 2; again++) {
        if (again == 0)
            ck_assert_int_eq(request(SLICE("x-empty=|host=API.test|te=trailers|expect=100-continue|"
                                           "proxy-authorization=T1|http2-settings=AA|accept=a|accept=b")),
                             FAULT_NONE);
        else
            ck_assert_int_eq(h2_fields_head(&fields, false, false, &head), FAULT_NONE);
        ck_assert(slice_equal(head.method, SLICE("POST")) && slice_equal(head.target, SLICE("/v1")));
        ck_assert(slice_equal(head.authority, SLICE("api.test")) && slice_equal(head.scheme, SLICE("https")));
        ck_assert_uint_eq(head.fields, 3);
        ck_assert(slice_equal(head.field[0].name, SLICE("x-empty")) && head.field[0].value.len == 0);
        ck_assert(head.field[1].id == FIELD_ACCEPT && slice_equal(head.field[1].value, SLICE("a")));
        ck_assert(head.field[2].id == FIELD_ACCEPT && slice_equal(head.field[2].value, SLICE("b")));
        ck_assert(head.te_trailers && head.expect_continue && !head.upgrade && !head.close);
        ck_assert_int_eq(head.body, BODY_STREAM);
        ck_assert_int_eq(head.minor, 1);
    }
    ck_assert_int_eq(
        block(H2_REQUEST, SLICE(":path=*|:scheme=HTTP|:method=OPTIONS|host=a:8"), SLICE_NONE, true),
        FAULT_NONE);
    ck_assert(slice_equal(head.authority, SLICE("a:8")) && slice_equal(head.target, SLICE("*")));
}
END_TEST

static const struct {
    const char *status, *fields;
    bool ended, head_only;
    enum body_kind body;
    uint64_t length;
} bodies[] = {
    {"200", "", false, false, BODY_STREAM, 0},
    {"200", "", true, false, BODY_NONE, 0},
    {"200", "content-length=5", false, false, BODY_LENGTH, 5},
    {"200", "content-length=0", true, false, BODY_LENGTH, 0},
    {"200", "content-length=5", true, true, BODY_LENGTH, 5},
    {"200", "", false, true, BODY_NONE, 0},
    {"304", "content-length=5", true, false, BODY_LENGTH, 5},
    {"304", "", false, false, BODY_NONE, 0},
    {"204", "", true, false, BODY_NONE, 0},
    {"204", "content-length=0", true, false, BODY_NONE, 0},
    {"100", "", false, false, BODY_NONE, 0},
    {"103", "link=x", false, false, BODY_NONE, 0},
    {"599", "te=trailers", false, false, BODY_STREAM, 0},
};

START_TEST(the_body_is_what_length_status_and_end_of_stream_say)
{
    ck_assert_int_eq(block(H2_REQUEST, POST, SLICE_NONE, true), FAULT_NONE);
    ck_assert_int_eq(head.body, BODY_NONE);
    ck_assert_int_eq(block(H2_REQUEST, POST, SLICE("expect=100-continue"), true), FAULT_NONE);
    ck_assert(!head.expect_continue);
    ck_assert_int_eq(block(H2_REQUEST, POST, SLICE("content-length=0"), true), FAULT_NONE);
    ck_assert(head.body == BODY_LENGTH && head.length == 0);
    EACH(bodies)
    {
        (void)response(bodies[i].status, slice_text(bodies[i].fields), bodies[i].ended);
        refused_with(h2_fields_head(&fields, bodies[i].ended, bodies[i].head_only, &head), FAULT_NONE,
                     "response", i);
        ck_assert_msg(head.body == bodies[i].body, "row %zu: body %d", i, (int)head.body);
        ck_assert_msg(head.body != BODY_LENGTH || head.length == bodies[i].length, "row %zu: length", i);
        ck_assert_int_eq(head.status, atoi(bodies[i].status));
        ck_assert(!head.te_trailers && !head.close);
    }
}
END_TEST

static const struct {
    const char *crumbs, *joined;
} cookies[] = {
    {"cookie=a", "a"},
    {"cookie=a|cookie=b=c|cookie=d; e", "a; b=c; d; e"},
    {"cookie=|cookie=a|cookie=|cookie=b|cookie=", "a; b"},
    {"cookie=|cookie=", ""},
};

START_TEST(crumbs_of_a_cookie_are_one_field)
{
    EACH(cookies)
    {
        h2_fields_begin(&fields, H2_REQUEST);
        feed(&limits, POST);
        feed(&limits, SLICE("a=b"));
        feed(&limits, slice_text(cookies[i].crumbs));
        feed(&limits, SLICE("c=d"));
        ck_assert_int_eq(h2_fields_head(&fields, true, false, &head), FAULT_NONE);
        ck_assert_uint_eq(head.fields, 3);
        ck_assert_int_eq(head.field[1].id, FIELD_COOKIE);
        ck_assert_msg(slice_equal(head.field[1].value, slice_text(cookies[i].joined)), "row %zu: %.*s", i,
                      SLICE_PRINTF(head.field[1].value));
    }
    /* Elsewhere nobody is told to join them. */
    ck_assert_int_eq(response("200", SLICE("set-cookie=a|set-cookie=b|cookie=c|cookie=d"), false),
                     FAULT_NONE);
    ck_assert_uint_eq(head.fields, 4);
}
END_TEST

START_TEST(trailers_are_fields_alone)
{
    ck_assert_int_eq(block(H2_TRAILERS, SLICE("grpc-status=0"), SLICE("grpc-message="), true), FAULT_NONE);
    ck_assert_uint_eq(head.fields, 2);
    ck_assert(slice_equal(head.field[0].name, SLICE("grpc-status")) &&
              slice_equal(head.field[0].value, SLICE("0")));
    ck_assert_int_eq(block(H2_TRAILERS, SLICE_NONE, SLICE_NONE, true), FAULT_NONE);
    ck_assert_uint_eq(head.fields, 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("h2field");
    TCase *tc = tcase_create("fields");
    SRunner *run = srunner_create(s);
    int failed;

    tcase_add_test(tc, a_field_that_no_message_may_have_is_refused);
    tcase_add_test(tc, a_request_outside_the_grammar_is_refused);
    tcase_add_test(tc, a_response_outside_the_grammar_is_refused);
    tcase_add_test(tc, what_may_not_stand_in_trailers_is_refused);
    tcase_add_test(tc, a_head_over_the_limits_is_refused_and_its_octets_are_not_kept);
    tcase_add_test(tc, a_block_far_over_the_limits_is_a_bomb_and_memory_stays_flat);
    tcase_add_test(tc, both_protocols_read_the_same_fields_in_the_same_way);
    tcase_add_test(tc, both_protocols_know_the_same_methods);
    tcase_add_test(tc, a_request_is_taken_apart);
    tcase_add_test(tc, the_body_is_what_length_status_and_end_of_stream_say);
    tcase_add_test(tc, crumbs_of_a_cookie_are_one_field);
    tcase_add_test(tc, trailers_are_fields_alone);
    suite_add_tcase(s, tc);
    srunner_run_all(run, CK_ENV);
    failed = srunner_ntests_failed(run);
    srunner_free(run);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#include "answer.h"
#include <check.h>
#include <jansson.h>
#include <stdlib.h>

#define ID "0123456789abcdef"

static struct head head;
static struct buf text;
static struct slice body;

static struct slice field_of(const char *name)
{
    for (size_t i = 0; i < head.fields; i++)
        if (slice_equal(head.field[i].name, slice_text(name)))
            return head.field[i].value;
    return SLICE_NONE;
}

static void make(const struct answer_to *to)
{
    buf_close(&text);
    ck_assert_int_eq(buf_open(&text, ANSWER_OCTETS), FAULT_NONE);
    ck_assert_int_eq(answer_make(to, &text, &head, &body), FAULT_NONE);
}

static void expect(struct slice got, const char *want)
{
    ck_assert_msg(slice_equal(got, slice_text(want)), "'%.*s' instead of '%s'", SLICE_PRINTF(got), want);
}

static bool contains(struct slice s, const char *part)
{
    return s.len && memmem(s.at, s.len, part, strlen(part)) != NULL;
}

/* What an attacker would like to see in a status line, a field or a body. */
START_TEST(text_that_could_end_a_line_or_a_string_is_left_out)
{
    static const char *const hostile[] = {"a\r\nSet-Cookie: x", "a\nb", "a\"b", "a\\b", "a b", "a\x7f",
                                          "\xc3\xa9.test"};
    char wide[400];

    memset(wide, 'w', sizeof wide);
    for (size_t i = 0; i <= sizeof hostile / sizeof *hostile; i++)
        for (int style = 0; style < 3; style++) {
            bool last = i == sizeof hostile / sizeof *hostile;
            struct slice bad = last ? slice_of(wide, sizeof wide) : slice_text(hostile[i]);
            struct answer_to to = {.fault = FAULT_HOST_NOT_ALLOWED, .host = bad, .request_id = bad};

            to.plain = style == 1;
            to.grpc = style == 2;
            make(&to);
            ck_assert(!contains(buf_held(&text), "Set-Cookie") && !contains(buf_held(&text), "wwww"));
            ck_assert(field_of("x-request-id").len == 0);
            if (!to.grpc)
                expect(head.reason, "Egress is blocked (host_not_allowed)");
            for (size_t f = 0; f < head.fields; f++)
                ck_assert_msg(field_value_ok(head.field[f].value), "'%.*s'",
                              SLICE_PRINTF(head.field[f].value));
        }
}
END_TEST

START_TEST(a_fault_below_http_is_told_as_the_proxys_own)
{
    for (int f = 0; f < FAULT_COUNT; f++) {
        if (fault_table[f].status)
            continue;
        make(&(struct answer_to){.fault = (enum fault)f, .host = SLICE("a.test")});
        ck_assert_msg(head.status == 503, "%s: %d", fault_table[f].name, head.status);
        expect(field_of("x-osb-error"), "overloaded");
    }
}
END_TEST

START_TEST(a_refused_host_is_told_as_the_contract_says)
{
    const struct answer_to to = {
        .fault = FAULT_HOST_NOT_ALLOWED, .host = SLICE("evil.test"), .request_id = SLICE(ID)};

    make(&to);
    ck_assert_int_eq(head.status, 403);
    ck_assert_uint_eq(head.fields, 6);
    expect(head.reason, "Egress to evil.test is blocked (host_not_allowed)");
    expect(field_of("content-type"), "application/json");
    expect(field_of("cache-control"), "no-store");
    expect(field_of("x-osb-error"), "host_not_allowed");
    expect(field_of("x-request-id"), ID);
    expect(field_of("x-should-retry"), "false");
    expect(field_of("proxy-status"), "osb; error=http_request_denied; details=\"host_not_allowed\"");
#define SENTENCE                                                                                           \
    "The egress allowlist of this sandbox does not include this host: evil.test. Retrying does not help: " \
    "ask "                                                                                                 \
    "the operator to add the host to the secret store's egress allowlist."
    expect(body,
           "{\"error\":{\"type\":\"egress_blocked\",\"code\":\"host_not_allowed\",\"message\":\"" SENTENCE
           "\"},\"message\":\"" SENTENCE "\",\"host\":\"evil.test\",\"request_id\":\"" ID "\"}\n");
}
END_TEST

START_TEST(a_detail_says_which_check_failed)
{
    make(&(struct answer_to){
        .fault = FAULT_UPSTREAM_TLS, .host = SLICE("a.test"), .detail = "certificate has expired"});
    expect(field_of("proxy-status"),
           "osb; error=tls_protocol_error; details=\"upstream_tls: certificate has expired\"");
    expect(head.reason, "Egress to a.test failed (upstream_tls)");
    ck_assert(contains(body, "The host's TLS was refused (certificate has expired): a.test. "));
}
END_TEST

/* JSON's members against the head's: one answer, told several times. */
static void expect_json(const struct fault_row *row, const char *type)
{
    json_t *json = json_loadb((const char *)body.at, body.len, JSON_REJECT_DUPLICATES, NULL);
    const char *got_type, *code, *message, *again, *host, *id;

    ck_assert_ptr_nonnull(json);
    ck_assert_int_eq(json_unpack(json, "{s:{s:s,s:s,s:s!},s:s,s:s,s:s!}", "error", "type", &got_type, "code",
                                 &code, "message", &message, "message", &again, "host", &host, "request_id",
                                 &id),
                     0);
    ck_assert_str_eq(got_type, type);
    ck_assert_str_eq(code, row->code);
    ck_assert_str_eq(message, again);
    ck_assert(strncmp(message, row->meaning, strlen(row->meaning)) == 0);
    ck_assert_uint_eq(strlen(host), 253);
    ck_assert_uint_eq(strlen(id), 64);
    ck_assert_int_eq(body.at[body.len - 1], '\n');
    json_decref(json);
}

START_TEST(every_fault_fits_at_its_longest_and_agrees_with_itself)
{
    static const char *const types[] = {[BLAME_CLIENT] = "invalid_request",
                                        [BLAME_POLICY] = "egress_blocked",
                                        [BLAME_UPSTREAM] = "upstream_error",
                                        [BLAME_LOCAL] = "proxy_error"};
    char host[253], id[64], detail[161] = "";

    memset(host, 'h', sizeof host);
    memset(id, 'i', sizeof id);
    memset(detail, '%', sizeof detail - 1); /* three octets each in grpc-message */
    for (int f = 0; f < FAULT_COUNT; f++)
        for (int style = 0; style < 4; style++) {
            const struct fault_row *row = &fault_table[f];
            struct answer_to to = {.fault = (enum fault)f,
                                   .host = slice_of(host, sizeof host),
                                   .request_id = slice_of(id, sizeof id),
                                   .detail = detail,
                                   .retry_after_s = style == 3 ? UINT32_MAX : 0,
                                   .plain = style == 1,
                                   .grpc = style == 2};

            if (row->status == 0)
                continue;
            make(&to);
            expect(field_of("x-osb-error"), row->code);
            ck_assert_msg(contains(field_of("proxy-status"), row->code), "%s", row->name);
            ck_assert_int_eq(head.close, row->blame == BLAME_CLIENT);
            ck_assert_int_eq(head.body, to.grpc ? BODY_NONE : BODY_LENGTH);
            ck_assert_uint_eq(head.length, body.len);
            expect(field_of("x-should-retry"), row->blame == BLAME_POLICY && style != 3 ? "false" : "");
            expect(field_of("retry-after"), style == 3 ? "4294967295" : "");
            ck_assert_int_eq(head.status, to.grpc ? 200 : row->status);
            ck_assert_msg(to.grpc || contains(head.reason, row->code), "%.*s", SLICE_PRINTF(head.reason));
            if (style == 0 || style == 3)
                expect_json(row, types[row->blame]);
        }
}
END_TEST

START_TEST(grpc_calls_get_trailers_only)
{
    static const struct {
        enum fault fault;
        const char *status;
    } rows[] = {
        {FAULT_BAD_REQUEST, "3"},           {FAULT_HOST_NOT_ALLOWED, "7"},    {FAULT_TOO_MANY_REQUESTS, "8"},
        {FAULT_UPSTREAM_UNREACHABLE, "14"}, {FAULT_UPSTREAM_TIMEOUT, "4"},    {FAULT_UPSTREAM_PROTOCOL, "13"},
        {FAULT_OVERLOADED, "14"},           {FAULT_METHOD_NOT_ALLOWED, "12"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        make(&(struct answer_to){
            .fault = rows[i].fault, .host = SLICE("a.test"), .detail = "100%", .grpc = true});
        ck_assert_int_eq(head.status, 200);
        ck_assert_int_eq(head.body, BODY_NONE); /* over h2: one HEADERS frame, and the stream ends with it */
        ck_assert_uint_eq(body.len, 0);
        expect(field_of("content-type"), "application/grpc");
        expect(field_of("grpc-status"), rows[i].status);
        ck_assert_msg(contains(field_of("grpc-message"), " (100%25): a.test. "), "'%.*s'",
                      SLICE_PRINTF(field_of("grpc-message")));
    }
}
END_TEST

START_TEST(plain_text_is_for_people_and_head_has_no_body)
{
    struct answer_to to = {
        .fault = FAULT_PLAIN_HTTP_DENIED, .host = SLICE("a.test"), .request_id = SLICE(ID), .plain = true};

    make(&to);
    expect(field_of("content-type"), "text/plain; charset=utf-8");
    expect(body, "Plain HTTP is not allowed; use https: a.test. Use the same URL with https:// instead.\n"
                 "egress_blocked: plain_http_denied, request " ID "\n");
    uint64_t length = head.length;

    to.head_only = true;
    make(&to);
    ck_assert_uint_eq(body.len, 0);
    ck_assert_uint_eq(head.length, length);
}
END_TEST

START_TEST(style_follows_what_the_client_reads)
{
    static const struct {
        enum field_id id;
        const char *value, *value2;
        bool plain, grpc;
    } rows[] = {
        {FIELD_USER_AGENT, "gitless/1.0", NULL, false, false},
        {FIELD_USER_AGENT, "curl/8 git/2.39", NULL, false, false},
        {FIELD_USER_AGENT, "git-lfs/3.0", NULL, false, false},
        {FIELD_USER_AGENT, "git/2.39.5", NULL, true, false},
        {FIELD_ACCEPT, "*/*", NULL, false, false},
        {FIELD_ACCEPT, "text/plainly", NULL, false, false},
        {FIELD_ACCEPT, "application/json, text/plain", NULL, false, false},
        {FIELD_ACCEPT, "application/json", "text/plain", false, false},
        {FIELD_ACCEPT, "", ",, ,", false, false},
        {FIELD_ACCEPT, "text/html , Text/Plain ;q=0.9, application/json", NULL, true, false},
        {FIELD_ACCEPT, "text/html", "text/plain", true, false},
        {FIELD_CONTENT_TYPE, "application/json", NULL, false, false},
        {FIELD_CONTENT_TYPE, "application/gr", NULL, false, false},
        {FIELD_CONTENT_TYPE, "Application/gRPC+proto", NULL, false, true},
        {FIELD_CONTENT_TYPE, "application/grpc", NULL, false, true},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct answer_to to = {.plain = true, .grpc = true};

        head_begin(&head);
        ck_assert_int_eq(head_add(&head, rows[i].id, slice_text(rows[i].value)), FAULT_NONE);
        if (rows[i].value2)
            ck_assert_int_eq(head_add(&head, rows[i].id, slice_text(rows[i].value2)), FAULT_NONE);
        answer_style(&head, &to);
        ck_assert_msg(to.plain == rows[i].plain && to.grpc == rows[i].grpc, "'%s': plain %d, grpc %d",
                      rows[i].value, to.plain, to.grpc);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("answer");
    TCase *tc = tcase_create("answer");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tc);
    tcase_add_test(tc, text_that_could_end_a_line_or_a_string_is_left_out);
    tcase_add_test(tc, a_fault_below_http_is_told_as_the_proxys_own);
    tcase_add_test(tc, a_refused_host_is_told_as_the_contract_says);
    tcase_add_test(tc, a_detail_says_which_check_failed);
    tcase_add_test(tc, every_fault_fits_at_its_longest_and_agrees_with_itself);
    tcase_add_test(tc, grpc_calls_get_trailers_only);
    tcase_add_test(tc, plain_text_is_for_people_and_head_has_no_body);
    tcase_add_test(tc, style_follows_what_the_client_reads);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#include "h1lex.h"
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

static struct slice row_slice(const struct row *r)
{
    return slice_of(r->text, r->len);
}

static const struct row never_ends[] = {
    ROW("GET / HTTP/1.1\n"),
    ROW("GET / HTTP/1.1\r\nA: b\n"),
    ROW("GET / HTTP/1.1\r\nA: b\n\n"),
    ROW("GET / HTTP/1.1\r\nA: \rb"),
    ROW("GET / HTTP/1.1\r\r\n"),
    ROW("GET / HTTP/1.1\n\r"),
    ROW("GET / HTTP/1.1\rX"),
    ROW("G\0"),
    ROW("GET / HTTP/1.1\r\n\rX"),
    ROW("\n"),
    ROW("A: b\r\n\n"),
    ROW("\r\r\n"),
    ROW("A: b\r\nX-Abc: \rxTransfer-Encoding: chunked\r\n\r\n"),
    ROW("A: \0b\r\n\r\n"),
};

START_TEST(a_lone_cr_or_lf_or_nul_is_refused_before_the_head_ends)
{
    EACH(never_ends)
    {
        size_t from = 0, end = 0;
        enum fault why = h1lex_end(row_slice(&never_ends[i]), &from, &end);

        ck_assert_msg(why == FAULT_BAD_REQUEST, "row %zu: %s", i, fault_table[why].name);
    }
}
END_TEST

static const struct {
    struct row in;
    size_t end;
} heads[] = {
    {ROW("\r\n"), 2},
    {ROW("\r\n\r\n"), 2},
    {ROW("GET / HTTP/1.1\r\n\r\n"), 18},
    {ROW("GET / HTTP/1.1\r\n\r\nbody \0\n\r"), 18},
    {ROW("GET / HTTP/1.1\r\nA: b\r\n\r\n\r\n"), 24},
    {ROW("A:\r\nB: \xff\r\n\r\n"), 12},
};

/* Octet by octet is the same as at once, and the offset never goes back. */
START_TEST(an_end_is_found_at_every_cut)
{
    EACH(heads)
    {
        struct slice all = row_slice(&heads[i].in);
        size_t from = 0, end = 0, last;

        for (size_t n = 0; n < heads[i].end; n++) {
            last = from;
            ck_assert_int_eq(h1lex_end(slice_first(all, n), &from, &end), FAULT_AGAIN);
            ck_assert_uint_ge(from, last);
        }
        ck_assert_int_eq(h1lex_end(all, &from, &end), FAULT_NONE);
        ck_assert_uint_eq(end, heads[i].end);
        from = 0;
        ck_assert_int_eq(h1lex_end(all, &from, &end), FAULT_NONE);
        ck_assert_uint_eq(end, heads[i].end);
    }
}
END_TEST

static const struct row requests_refused[] = {
    ROW("\r\n"),
    ROW("GET /\r\n\r\n"),
    ROW("GET\r\n\r\n"),
    ROW(" GET / HTTP/1.1\r\n\r\n"),
    ROW("GET  / HTTP/1.1\r\n\r\n"),
    ROW("GET /  HTTP/1.1\r\n\r\n"),
    ROW("GET / HTTP/1.1 \r\n\r\n"),
    ROW("GET\t/ HTTP/1.1\r\n\r\n"),
    ROW("GET /\vx HTTP/1.1\r\n\r\n"),
    ROW("GET / x HTTP/1.1\r\n\r\n"),
    ROW("GET  HTTP/1.1\r\n\r\n"),
    ROW("GET / HTTP/0.9\r\n\r\n"),
    ROW("GET / HTTP/1.2\r\n\r\n"),
    ROW("GET / HTTP/2.0\r\n\r\n"),
    ROW("GET / http/1.1\r\n\r\n"),
    ROW("GET / HTTP/1.1x\r\n\r\n"),
    ROW("GET / HTTP/01.1\r\n\r\n"),
    ROW("GET / HTTP/1.\r\n\r\n"),
    ROW("GET / HTTP/11\r\n\r\n"),
    ROW("GET / HTTPS/1.1\r\n\r\n"),
    ROW("G(T / HTTP/1.1\r\n\r\n"),
    ROW("G\x80T / HTTP/1.1\r\n\r\n"),
    ROW("GET /#f HTTP/1.1\r\n\r\n"),
    ROW("GET /\\ HTTP/1.1\r\n\r\n"),
    ROW("GET /\" HTTP/1.1\r\n\r\n"),
    ROW("GET /< HTTP/1.1\r\n\r\n"),
    ROW("GET /> HTTP/1.1\r\n\r\n"),
    ROW("GET /^ HTTP/1.1\r\n\r\n"),
    ROW("GET /` HTTP/1.1\r\n\r\n"),
    ROW("GET /{ HTTP/1.1\r\n\r\n"),
    ROW("GET /| HTTP/1.1\r\n\r\n"),
    ROW("GET /} HTTP/1.1\r\n\r\n"),
    ROW("GET /\x7f HTTP/1.1\r\n\r\n"),
    ROW("GET /\xc3\xa9 HTTP/1.1\r\n\r\n"),
    ROW("GET /\x01 HTTP/1.1\r\n\r\n"),
    ROW("GET /\0 HTTP/1.1\r\n\r\n"),
    ROW("HTTP/1.1 200 OK\r\n\r\n"),
    ROW("GET / HTTP/1.1\r\n"),
    ROW("GET / HTTP/1.1\r\n\r\nx"),
    ROW("GET / HTTP/1.1\n\r\n"),
    ROW("PRI * HTTP/2.0\r\n\r\n"),
    ROW(""),
};

static const struct row statuses_refused[] = {
    ROW("HTTP/1.1 200\r\n\r\n"),     ROW("HTTP/1.1\r\n\r\n"),           ROW("HTTP/1.1 2000 OK\r\n\r\n"),
    ROW("HTTP/1.1 20 OK\r\n\r\n"),   ROW("HTTP/1.1  200 OK\r\n\r\n"),   ROW("HTTP/1.1 200  OK\r\n\r\n"),
    ROW("HTTP/1.1 200\tOK\r\n\r\n"), ROW("HTTP/1.1 +20 OK\r\n\r\n"),    ROW("HTTP/1.1 2 0 OK\r\n\r\n"),
    ROW("HTTP/2 200 OK\r\n\r\n"),    ROW("HTTP/1.2 200 OK\r\n\r\n"),    ROW("http/1.1 200 OK\r\n\r\n"),
    ROW("ICY 200 OK\r\n\r\n"),       ROW("HTTP/1.1 200 O\0K\r\n\r\n"),  ROW("HTTP/1.1 200 O\x7fK\r\n\r\n"),
    ROW(" HTTP/1.1 200 OK\r\n\r\n"), ROW("<html>hello</html>\r\n\r\n"), ROW("GET / HTTP/1.1\r\n\r\n"),
};

START_TEST(a_first_line_outside_the_grammar_is_refused)
{
    size_t lines;

    EACH(requests_refused)
    ck_assert_msg(h1lex_screen(row_slice(&requests_refused[i]), true, &lines) == FAULT_BAD_REQUEST,
                  "request row %zu passes", i);
    EACH(statuses_refused)
    ck_assert_msg(h1lex_screen(row_slice(&statuses_refused[i]), false, &lines) == FAULT_BAD_REQUEST,
                  "status row %zu passes", i);
}
END_TEST

static const struct row fields_refused[] = {
    ROW(": x"),        ROW("x"),           ROW("A : b"),     ROW("A\t: b"),  ROW(" A: b"),    ROW("\tA: b"),
    ROW("A: b\r\n c"), ROW("A: b\r\n\tc"), ROW("A: b\r\n "), ROW("A\0: b"),  ROW("A\x01: b"), ROW("A\x80: b"),
    ROW("A(: b"),      ROW("A): b"),       ROW("A,: b"),     ROW("A/: b"),   ROW("A;: b"),    ROW("A<: b"),
    ROW("A=: b"),      ROW("A>: b"),       ROW("A?: b"),     ROW("A@: b"),   ROW("A[: b"),    ROW("A\\: b"),
    ROW("A]: b"),      ROW("A{: b"),       ROW("A}: b"),     ROW("A\": b"),  ROW("A b: c"),   ROW("A: \0"),
    ROW("A: b\rc"),    ROW("A: \x01"),     ROW("A: \x0b"),   ROW("A: \x7f"), ROW("A: \x1f"),  ROW("A: b\r"),
    ROW("A: b\nB: c"), ROW("A\r: b"),
};

START_TEST(a_field_outside_the_grammar_is_refused)
{
    EACH(fields_refused)
    {
        const struct row *r = &fields_refused[i];
        uint8_t section[256];
        size_t lines;

        memcpy(section, r->text, r->len);
        memcpy(section + r->len, "\r\n\r\n", 4);
        ck_assert_msg(h1lex_fields(slice_of(section, r->len + 4), &lines) == FAULT_BAD_REQUEST,
                      "field row %zu passes", i);
    }
}
END_TEST

START_TEST(a_plain_head_passes_and_its_lines_are_counted)
{
    size_t lines;

    ck_assert_int_eq(h1lex_screen(SLICE("GET /a?b=%20[] HTTP/1.1\r\nHost: a\r\nB:\r\nC: \t x\xff\t \r\n\r\n"),
                                  true, &lines),
                     0);
    ck_assert_uint_eq(lines, 3);
    ck_assert_int_eq(h1lex_screen(SLICE("HTTP/1.0 200 \r\n\r\n"), false, &lines), 0);
    ck_assert_uint_eq(lines, 0);
    ck_assert_int_eq(h1lex_screen(SLICE("HTTP/1.1 404 Not \xe9 Found\r\nA:b\r\n\r\n"), false, &lines), 0);
    ck_assert_uint_eq(lines, 1);
    ck_assert_int_eq(h1lex_fields(SLICE("\r\n"), &lines), 0);
    ck_assert_uint_eq(lines, 0);
}
END_TEST

START_TEST(lines_are_taken_one_by_one_up_to_the_empty_one)
{
    struct slice section = SLICE("A: b\r\nC:\r\nD:\t e : f \r\n\r\n"), name, value;
    static const char *const want[][2] = {{"A", "b"}, {"C", ""}, {"D", "e : f"}};

    EACH(want)
    {
        ck_assert(h1lex_next(&section, &name, &value));
        ck_assert_msg(slice_equal(name, slice_text(want[i][0])) && slice_equal(value, slice_text(want[i][1])),
                      "row %zu: %.*s = %.*s", i, SLICE_PRINTF(name), SLICE_PRINTF(value));
    }
    ck_assert(!h1lex_next(&section, &name, &value));
    ck_assert(slice_equal(section, SLICE("\r\n")));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("h1lex");
    TCase *t = tcase_create("h1lex");
    SRunner *r;
    int failed;

    tcase_add_test(t, a_lone_cr_or_lf_or_nul_is_refused_before_the_head_ends);
    tcase_add_test(t, a_first_line_outside_the_grammar_is_refused);
    tcase_add_test(t, a_field_outside_the_grammar_is_refused);
    tcase_add_test(t, an_end_is_found_at_every_cut);
    tcase_add_test(t, a_plain_head_passes_and_its_lines_are_counted);
    tcase_add_test(t, lines_are_taken_one_by_one_up_to_the_empty_one);
    suite_add_tcase(s, t);
    r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

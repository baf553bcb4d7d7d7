#include "hostpat.h"
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define TEN    "aaaaaaaaaa"
#define SIXTY3 TEN TEN TEN TEN TEN TEN "aaa"
#define L64    SIXTY3 "a"
#define N253   SIXTY3 "." SIXTY3 "." SIXTY3 "." TEN TEN TEN TEN TEN TEN "a"

#define COUNT(table) (sizeof(table) / sizeof *(table))

/* --- names ---------------------------------------------------------------------------------------------- */

START_TEST(names_outside_the_grammar_are_refused)
{
    static const struct slice table[] = {
        SLICE(""),
        SLICE("."),
        SLICE(".."),
        SLICE("api.test.."),
        SLICE(".api.test"),
        SLICE("api..test"),
        SLICE("evil.test\0.wild.test"),
        SLICE("a.wild.test\0"),
        SLICE("a\x7f.wild.test"),
        SLICE("a.wild.test\xff"),
        SLICE("api.test\n"),
        SLICE(" api.test"),
        SLICE("api.test\t"),
        SLICE("-a.test"),
        SLICE("a-.test"),
        SLICE("a.-test"),
        SLICE("*.wild.test"),
        SLICE("api.test:443"),
        SLICE("api.test/"),
        SLICE("u@api.test"),
        SLICE("api.test#x"),
        SLICE("api.test,evil.test"),
        SLICE("[api.test]"),
        SLICE("[::1]"),
        SLICE("::1"),
        SLICE("fe80::1%eth0"),
        SLICE("\xd0\xb0pi.test"),      /* a Cyrillic a */
        SLICE("api\xe3\x80\x82test"),  /* an ideographic full stop */
        SLICE("\xef\xbd\x81pi.test"),  /* a fullwidth a */
        SLICE("ap\xe2\x80\x8bi.test"), /* a zero-width space */
        SLICE("ap\xc2\xadi.test"),     /* a soft hyphen */
        SLICE(L64 ".test"),
        SLICE(N253 "a"),
        SLICE(N253 "a."),
        SLICE("2130706433"),
        SLICE("0x7f000001"),
        SLICE("0X7F000001"),
        SLICE("127.1"),
        SLICE("0177.0.0.1"),
        SLICE("127.0.0.1"),
        SLICE("127.0.0.1."),
        SLICE("127.0.0.0x1"),
        SLICE("api.test.0x"),
        SLICE("api.test.00"),
        SLICE("api.999"),
    };
    struct host h;

    for (size_t i = 0; i < COUNT(table); i++)
        ck_assert_msg(host_canonical(table[i], &h) == FAULT_INVALID, "accepted: %.*s",
                      SLICE_PRINTF(table[i]));
}
END_TEST

START_TEST(names_come_out_in_one_form)
{
    static const char *const table[][2] = {
        {"api.test", "api.test"},
        {"API.TeSt", "api.test"},
        {"api.test.", "api.test"},
        {"localhost", "localhost"},
        {"_dmarc.a_b.test", "_dmarc.a_b.test"},
        {"1.1.1.1.nip.io", "1.1.1.1.nip.io"},
        {"XN--80ak6aa92e.com", "xn--80ak6aa92e.com"},
        {"r3---sn-4g5e.test", "r3---sn-4g5e.test"},
        {"a.0xg", "a.0xg"},
        {"a.1a", "a.1a"},
        {N253, N253},
        {N253 ".", N253},
        {SIXTY3 ".test", SIXTY3 ".test"},
    };
    struct host h, again;

    for (size_t i = 0; i < COUNT(table); i++) {
        ck_assert_msg(host_canonical(slice_text(table[i][0]), &h) == FAULT_NONE, "refused: %s", table[i][0]);
        ck_assert_str_eq(h.name, table[i][1]);
        ck_assert_uint_eq(h.len, strlen(table[i][1]));
        ck_assert(!h.literal);
        ck_assert_int_eq(host_canonical(host_name(&h), &again), FAULT_NONE);
        ck_assert_str_eq(again.name, h.name);
    }
}
END_TEST

START_TEST(literals_come_out_in_one_form)
{
    static const char *const table[][2] = {
        /* refused first */
        {"", NULL},
        {"[", NULL},
        {"[]", NULL},
        {"[::1", NULL},
        {"::1]", NULL},
        {"[127.0.0.1]", NULL},
        {"[api.test]", NULL},
        {"127.1", NULL},
        {"0177.0.0.1", NULL},
        {"2130706433", NULL},
        {"127.0.0.1.", NULL},
        {"fe80::1%1", NULL},
        {"[[::1]]", NULL},
        {"::1 ", NULL},
        {"api.test", NULL},
        {"127.0.0.1", "127.0.0.1"},
        {"::ffff:127.0.0.1", "127.0.0.1"},
        {"[::FFFF:7f00:1]", "127.0.0.1"},
        {"[2001:DB8:0:0::1]", "2001:db8::1"},
        {"2001:db8::1", "2001:db8::1"},
    };
    struct host h;

    for (size_t i = 0; i < COUNT(table); i++) {
        enum fault want = table[i][1] ? FAULT_NONE : FAULT_INVALID;

        ck_assert_msg(host_literal(slice_text(table[i][0]), &h) == want, "wrong: %s", table[i][0]);
        if (want == FAULT_NONE) {
            ck_assert_str_eq(h.name, table[i][1]);
            ck_assert(h.literal);
        }
    }
}
END_TEST

START_TEST(a_host_and_its_port_part_in_one_way)
{
    static const struct {
        const char *text, *host;
        unsigned port;
    } table[] = {
        /* refused first */
        {"", NULL, 0},
        {":", NULL, 0},
        {"api.test", NULL, 0},
        {"api.test:", NULL, 0},
        {":443", NULL, 0},
        {"api.test:0", NULL, 0},
        {"api.test:0443", NULL, 0},
        {"api.test:65536", NULL, 0},
        {"api.test:+443", NULL, 0},
        {"api.test: 443", NULL, 0},
        {"api.test:443 ", NULL, 0},
        {"api.test:443:443", NULL, 0},
        {"user@api.test:443", NULL, 0},
        {"[api.test]:443", NULL, 0},
        {"[127.0.0.1]:443", NULL, 0},
        {"::1:443", NULL, 0},
        {"[::1]", NULL, 0},
        {"[::1]443", NULL, 0},
        {"::1]:443", NULL, 0},
        {"2130706433:443", NULL, 0},
        {"API.test.:443", "api.test", 443},
        {"api.test:65535", "api.test", 65535},
        {"127.0.0.1:1", "127.0.0.1", 1},
        {"[2001:DB8::1]:8443", "2001:db8::1", 8443},
    };

    for (size_t i = 0; i < COUNT(table); i++) {
        struct host h = {0};
        uint16_t port = 0;
        enum fault why = host_port(slice_text(table[i].text), &h, &port);

        ck_assert_msg((why == FAULT_NONE) == (table[i].host != NULL), "%s: %s", table[i].text,
                      fault_table[why].name);
        if (table[i].host) {
            ck_assert_str_eq(h.name, table[i].host);
            ck_assert_uint_eq(port, table[i].port);
        }
    }
}
END_TEST

/* --- lists ---------------------------------------------------------------------------------------------- */

/* A list from words that are parted by spaces. */
static enum fault list_from(const char *words, struct hostlist **out)
{
    struct slice patterns[16], rest = slice_text(words);
    size_t n = 0;

    while (rest.len) {
        patterns[n] = slice_first(rest, slice_find(rest, ' '));
        rest = slice_drop(rest, patterns[n].len + 1);
        n++;
    }
    return hostlist_new(patterns, n, out);
}

START_TEST(one_bad_pattern_fails_the_whole_list)
{
    static const struct slice table[] = {
        SLICE(""),
        SLICE("*."),
        SLICE("**"),
        SLICE("*wild.test"),
        SLICE("a.*.test"),
        SLICE("*.*.test"),
        SLICE("*.wild.test."),
        SLICE("Api.test"),
        SLICE("*.Wild.test"),
        SLICE("api.test."),
        SLICE(".wild.test"),
        SLICE("https://api.test"),
        SLICE("api.test:443"),
        SLICE("api.test/x"),
        SLICE("api.test\0"),
        SLICE("*.127.0.0.1"),
        SLICE("*.::1"),
        SLICE("[::1]"),
        SLICE("::ffff:1.2.3.4"),
        SLICE("2001:DB8::1"),
        SLICE("10.0.0.0/8"),
        SLICE("\xd0\xb0pi.test"),
        SLICE(N253 "a"),
    };
    struct hostlist *l = NULL;

    for (size_t i = 0; i < COUNT(table); i++) {
        struct slice patterns[] = {SLICE("good.test"), table[i], SLICE("*.fine.test")};

        ck_assert_msg(hostlist_new(patterns, 3, &l) == FAULT_INVALID, "accepted: %.*s",
                      SLICE_PRINTF(table[i]));
        ck_assert_ptr_null(l);
    }
}
END_TEST

START_TEST(patterns_cover_what_they_say_and_nothing_else)
{
    static const struct {
        const char *list, *host;
        bool want;
    } table[] = {
        {"", "api.test", false},
        {"", "1.2.3.4", false},
        {"*", "1.2.3.4", false},
        {"*", "2001:db8::1", false},
        {"*.wild.test", "wild.test", false},
        {"*.wild.test", "evilwild.test", false},
        {"*.wild.test", "a.wild.test.evil.test", false},
        {"*.wild.test", "a.wild.tests", false},
        {"*.wild.test", "test", false},
        {"api.test", "a.api.test", false},
        {"api.test", "xapi.test", false},
        {"api.test", "api.tes", false},
        {"api.test", "api.test.evil.test", false},
        {"*.3.4.nip.io", "1.2.3.4", false},
        {"1.2.3.4", "1.2.3.5", false},
        {"1.2.3.4 *", "2001:db8::1", false},
        {"xn--pi-7kc.test", "api.test", false},
        {"*", "api.test", true},
        {"a.test *", "b.test", true},
        {"api.test", "api.test", true},
        {"api.test", "API.TEST.", true},
        {"*.wild.test", "a.wild.test", true},
        {"*.wild.test", "a.b.c.wild.test", true},
        {"*.test", "wild.test", true},
        {"b.test a.test *.a.test c.test", "x.a.test", true},
        {"*.b.test *.a.test", "x.b.test", true},
        {"a.test a.test a.test", "a.test", true},
        {"1.2.3.4", "1.2.3.4", true},
        {"1.2.3.4", "::ffff:1.2.3.4", true},
        {"2001:db8::1 api.test", "[2001:DB8::0:1]", true},
    };

    for (size_t i = 0; i < COUNT(table); i++) {
        struct slice name = slice_text(table[i].host);
        struct hostlist *l;
        struct host h;

        ck_assert_int_eq(list_from(table[i].list, &l), FAULT_NONE);
        if (host_literal(name, &h) != FAULT_NONE)
            ck_assert_int_eq(host_canonical(name, &h), FAULT_NONE);
        ck_assert_msg(hostlist_match(l, &h) == table[i].want, "[%s] and %s", table[i].list, table[i].host);
        hostlist_free(l);
    }
}
END_TEST

START_TEST(the_narrowest_pattern_is_named)
{
    static const struct {
        const char *list, *host, *want;
    } table[] = {
        {"", "api.test", ""},
        {"*", "1.2.3.4", ""},
        {"*.test", "test", ""},
        {"*", "api.test", "*"},
        {"* *.test a.api.test", "api.test", "*.test"},
        {"*.test *.b.test", "a.b.test", "*.b.test"},
        {"*.test * a.b.test *.b.test", "a.b.test", "a.b.test"},
        {"2001:db8::1 *", "[2001:DB8::0:1]", "2001:db8::1"},
    };

    for (size_t i = 0; i < COUNT(table); i++) {
        struct slice name = slice_text(table[i].host);
        char got[HOSTPAT_TEXT] = "";
        struct hostlist *l;
        struct host h;

        ck_assert_int_eq(list_from(table[i].list, &l), FAULT_NONE);
        if (host_literal(name, &h) != FAULT_NONE)
            ck_assert_int_eq(host_canonical(name, &h), FAULT_NONE);
        ck_assert_int_eq(hostlist_rule(l, &h, got), *table[i].want != 0);
        ck_assert_str_eq(got, table[i].want);
        hostlist_free(l);
    }
}
END_TEST

START_TEST(nobody_is_covered_by_no_list)
{
    struct host none = {0};
    struct hostlist *l;

    ck_assert_int_eq(list_from("* a.test", &l), FAULT_NONE);
    ck_assert(!hostlist_match(l, &none));
    ck_assert_uint_eq(hostlist_count(l), 2);
    hostlist_free(l);
    hostlist_free(NULL);
}
END_TEST

/* The bound is a hundred times what it takes: a search through all of the list would be thousands of times too slow. */
START_TEST(a_hundred_thousand_patterns_are_searched_fast)
{
    enum { N = 100000, NAME = 32 };
    char *text = malloc((size_t)N * NAME);
    struct slice *patterns = calloc(N, sizeof *patterns);
    struct hostlist *l;
    struct host h;
    clock_t began;

    for (size_t i = 0; i < N; i++) {
        char *at = text + i * NAME;
        int len = snprintf(at, NAME, i % 2 ? "*.n%zu.test" : "n%zu.test", i * 7919 % N);

        patterns[i] = slice_of(at, (size_t)len);
    }
    ck_assert_int_eq(hostlist_new(patterns, N, &l), FAULT_NONE);
    ck_assert_uint_eq(hostlist_count(l), N);
    began = clock();
    for (size_t i = 0; i < N; i++) {
        struct slice p = patterns[i];
        bool below = p.at[0] == '*';

        ck_assert_int_eq(host_canonical(below ? slice_drop(p, 2) : p, &h), FAULT_NONE);
        ck_assert(hostlist_match(l, &h) == !below);
    }
    ck_assert_int_lt((clock() - began) / (CLOCKS_PER_SEC / 1000), 5000);
    hostlist_free(l);
    free(patterns);
    free(text);
}
END_TEST

/* --- what is typed -------------------------------------------------------------------------------------- */

START_TEST(typed_patterns_are_refused_with_a_reason)
{
    static const struct slice table[] = {
        SLICE(""),
        SLICE("*."),
        SLICE("**"),
        SLICE("*.com"),
        SLICE("*.co.uk"),
        SLICE("*.CO.UK."),
        SLICE("*.test"),
        SLICE("*.foo.ck"), /* the list says *.ck */
        SLICE("*.xn--55qx5d.cn"),
        SLICE("*.\xe5\x85\xac\xe5\x8f\xb8.cn"),
        SLICE("*wild.test"),
        SLICE("a.*.test"),
        SLICE("*.*.test"),
        SLICE("*.*"),
        SLICE("https://api.test"),
        SLICE("api.test:443"),
        SLICE("[::1]:443"),
        SLICE("[api.test]"),
        SLICE("api.test/path"),
        SLICE("10.0.0.0/8"),
        SLICE("u@api.test"),
        SLICE("api.test?q"),
        SLICE("api.test#f"),
        SLICE("api.test,evil.test"),
        SLICE("api test"),
        SLICE("api.test\n"),
        SLICE("api.test\0.evil.test"),
        SLICE("api..test"),
        SLICE(".api.test"),
        SLICE("-api.test"),
        SLICE("xn--a.test"),
        SLICE("127.1"),
        SLICE("2130706433"),
        SLICE("*.127.0.0.1"),
        SLICE("*.::1"),
        SLICE("\xff\xfe.test"),
        SLICE(L64 ".test"),
        SLICE(N253 "a"),
        SLICE(N253 "." N253 "." N253 "." N253 "." N253),
    };
    char out[HOST_MAX + 3];
    const char *warning;

    for (size_t i = 0; i < COUNT(table); i++)
        ck_assert_msg(hostpat_check(table[i], out, &warning) != NULL, "accepted: %.*s",
                      SLICE_PRINTF(table[i]));
}
END_TEST

START_TEST(typed_patterns_come_out_canonical)
{
    static const struct {
        const char *typed, *want;
        bool warned;
    } table[] = {
        {"*", "*", false},
        {"api.test", "api.test", false},
        {"API.Test.", "api.test", false},
        {"localhost", "localhost", false},
        {"com", "com", false},
        {"*.Example.COM.", "*.example.com", false},
        {"*.github.io", "*.github.io", true},
        {"*.me.github.io", "*.me.github.io", false},
        {"b\xc3\xbc"
         "cher.example",
         "xn--bcher-kva.example", false},
        {"*.B\xc3\x9c"
         "CHER.example",
         "*.xn--bcher-kva.example", false},
        {"fa\xc3\x9f.de", "xn--fa-hia.de", false}, /* nontransitional: not fass.de */
        {"bu\xcc\x88"
         "cher.example",
         "xn--bcher-kva.example", false},
        {"xn--bcher-kva.example", "xn--bcher-kva.example", false},
        {"a_b.test", "a_b.test", false},
        {"r3---sn-4g5e.googlevideo.com", "r3---sn-4g5e.googlevideo.com", false},
        {"1.2.3.4", "1.2.3.4", false},
        {"[2001:DB8::1]", "2001:db8::1", false},
        {"::ffff:1.2.3.4", "1.2.3.4", false},
        {N253, N253, false},
    };
    char out[HOST_MAX + 3];
    const char *warning, *why;
    struct hostlist *l;

    for (size_t i = 0; i < COUNT(table); i++) {
        struct slice got;

        why = hostpat_check(slice_text(table[i].typed), out, &warning);
        ck_assert_msg(why == NULL, "%s: %s", table[i].typed, why);
        ck_assert_str_eq(out, table[i].want);
        ck_assert_msg((warning != NULL) == table[i].warned, "%s: %s", table[i].typed, warning);
        got = slice_text(out);
        ck_assert_int_eq(hostlist_new(&got, 1, &l), FAULT_NONE);
        hostlist_free(l);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("hostpat");
    TCase *tc = tcase_create("hostpat");
    SRunner *runner;
    int failed;

    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, names_outside_the_grammar_are_refused);
    tcase_add_test(tc, names_come_out_in_one_form);
    tcase_add_test(tc, literals_come_out_in_one_form);
    tcase_add_test(tc, a_host_and_its_port_part_in_one_way);
    tcase_add_test(tc, one_bad_pattern_fails_the_whole_list);
    tcase_add_test(tc, patterns_cover_what_they_say_and_nothing_else);
    tcase_add_test(tc, the_narrowest_pattern_is_named);
    tcase_add_test(tc, nobody_is_covered_by_no_list);
    tcase_add_test(tc, a_hundred_thousand_patterns_are_searched_fast);
    tcase_add_test(tc, typed_patterns_are_refused_with_a_reason);
    tcase_add_test(tc, typed_patterns_come_out_canonical);
    suite_add_tcase(s, tc);
    runner = srunner_create(s);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#include "buf.h"
#include "decimal.h"
#include "ip.h"
#include "json.h"
#include "secret.h"
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#define COUNT(table) (sizeof(table) / sizeof *(table))

/* --- buf ------------------------------------------------------------------------------------------------ */

START_TEST(what_does_not_fit_is_refused_whole)
{
    struct buf b = {0};

    ck_assert_int_eq(buf_append(&b, SLICE("x")), FAULT_FULL); /* closed */
    ck_assert_int_eq(buf_open(&b, 4), FAULT_NONE);
    ck_assert_int_eq(buf_append(&b, SLICE("abc")), FAULT_NONE);
    ck_assert_int_eq(buf_append(&b, SLICE("de")), FAULT_FULL);
    ck_assert(slice_equal(buf_held(&b), SLICE("abc")));
    buf_take(&b, 2);
    ck_assert_int_eq(buf_append(&b, SLICE("def")), FAULT_NONE); /* moves to the front */
    ck_assert(slice_equal(buf_held(&b), SLICE("cdef")));
    ck_assert_uint_eq(buf_some(&b, SLICE("g")), 0);
    buf_close(&b);
    buf_close(&b);
}
END_TEST

START_TEST(what_was_ever_held_is_wiped_at_the_end)
{
    struct buf b = {0};
    uint8_t *base;

    buf_pool(64, 1);
    ck_assert_int_eq(buf_open(&b, 64), FAULT_NONE);
    base = b.base;
    ck_assert_int_eq(buf_append(&b, SLICE("0123456789abcdefsecret--tail")), FAULT_NONE);
    buf_take(&b, 24);
    ck_assert(slice_equal(buf_held(&b), SLICE("tail")));
    buf_close(&b); /* into the pool: its memory can still be looked at */
    buf_trim();
    ck_assert_int_eq(buf_open(&b, 64), FAULT_NONE);
    ck_assert_ptr_eq(b.base, base);
    for (size_t i = 16; i < 28; i++) /* behind the pool's own words */
        ck_assert_msg(base[i] == 0, "octet %zu is %d", i, base[i]);
    ck_assert_int_eq(buf_append(&b, SLICE("tail")), FAULT_NONE);
    ck_assert_int_eq(buf_grow(&b, 96), FAULT_NONE);
    ck_assert(slice_equal(buf_held(&b), SLICE("tail")));
    ck_assert_uint_eq(buf_free(&b), 92);
    buf_close(&b);
    buf_trim();
    buf_trim();
}
END_TEST

/* --- numbers and addresses ------------------------------------------------------------------------------ */

START_TEST(numbers_are_written_as_printf_would)
{
    static const uint64_t table[] = {0, 9, 10, 99, 100, 65535, 4294967296u, UINT64_MAX};
    char want[32], got[DECIMAL_MAX];

    for (size_t i = 0; i < COUNT(table); i++) {
        int n = snprintf(want, sizeof want, "%llu", (unsigned long long)table[i]);

        ck_assert_uint_eq(decimal_put(table[i], got), (size_t)n);
        ck_assert_mem_eq(got, want, (size_t)n);
    }
}
END_TEST

START_TEST(what_is_no_address_is_refused)
{
    static const char *const table[] = {"",          "1",          "1.2.3",    "1.2.3.4.",   "01.2.3.4",
                                        "1.2.3.256", "0x7f.0.0.1", " 1.2.3.4", "1.2.3.4/8",  "::1%lo",
                                        "[::1]",     "1:2",        ":::",      "2130706433", "1.2.3.4 "};
    struct ip ip;

    for (size_t i = 0; i < COUNT(table); i++)
        ck_assert_msg(ip_parse(slice_text(table[i]), &ip) == FAULT_INVALID, "%s was taken", table[i]);
}
END_TEST

START_TEST(an_address_has_one_form)
{
    static const char *const table[][2] = {{"127.0.0.1", "127.0.0.1"},
                                           {"::ffff:127.0.0.1", "127.0.0.1"},
                                           {"255.255.255.255", "255.255.255.255"},
                                           {"2001:DB8:0::1", "2001:db8::1"},
                                           {"::", "::"}};
    char text[IP_TEXT];
    struct ip ip;

    for (size_t i = 0; i < COUNT(table); i++) {
        ck_assert_int_eq(ip_parse(slice_text(table[i][0]), &ip), FAULT_NONE);
        ck_assert_uint_eq(ip_text(ip, text), strlen(table[i][1]));
        ck_assert_str_eq(text, table[i][1]);
    }
}
END_TEST

START_TEST(endpoints_survive_the_way_through_text)
{
    static const char *const good[] = {"1.2.3.4:80", "[::1]:65535"};
    static const char *const bad[] = {"1.2.3.4", "1.2.3.4:0", "1.2.3.4:65536", "[1.2.3.4]:80", "::1:80",
                                      "[::1]80", ":80"};
    char text[ENDPOINT_TEXT];
    struct endpoint e;

    for (size_t i = 0; i < COUNT(good); i++) {
        ck_assert_int_eq(endpoint_parse(slice_text(good[i]), &e), FAULT_NONE);
        ck_assert_uint_eq(endpoint_text(e, text), strlen(good[i]));
        ck_assert_str_eq(text, good[i]);
    }
    for (size_t i = 0; i < COUNT(bad); i++)
        ck_assert_msg(endpoint_parse(slice_text(bad[i]), &e) == FAULT_INVALID, "%s was taken", bad[i]);
}
END_TEST

START_TEST(a_net_holds_what_its_prefix_says)
{
    static const struct {
        const char *net, *ip;
        bool holds;
    } table[] = {{"10.0.0.0/8", "10.255.0.1", true},  {"10.0.0.0/8", "11.0.0.0", false},
                 {"10.0.0.0/9", "10.128.0.0", false}, {"0.0.0.0/0", "1.2.3.4", true},
                 {"0.0.0.0/0", "::1", false},         {"fd00::/8", "fdff::1", true},
                 {"fd00::/8", "fe00::1", false},      {"1.2.3.4", "1.2.3.4", true},
                 {"1.2.3.4", "1.2.3.5", false},       {"::/0", "1.2.3.4", true}};
    static const char *const bad[] = {"10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/",
                                      "::/129",     "/8",          "10.0.0.0/-1"};
    struct net net;
    struct ip ip;

    for (size_t i = 0; i < COUNT(table); i++) {
        ck_assert_int_eq(net_parse(slice_text(table[i].net), &net), FAULT_NONE);
        ck_assert_int_eq(ip_parse(slice_text(table[i].ip), &ip), FAULT_NONE);
        ck_assert_msg(net_holds(net, ip) == table[i].holds, "%s and %s", table[i].net, table[i].ip);
    }
    for (size_t i = 0; i < COUNT(bad); i++)
        ck_assert_msg(net_parse(slice_text(bad[i]), &net) == FAULT_INVALID, "%s was taken", bad[i]);
}
END_TEST

/* --- json ----------------------------------------------------------------------------------------------- */

START_TEST(no_octet_of_a_text_can_end_it)
{
    struct buf b = {0};

    ck_assert_int_eq(buf_open(&b, 256), FAULT_NONE);
    ck_assert_int_eq(buf_append(&b, SLICE("{")), FAULT_NONE);
    ck_assert_int_eq(json_member_text(&b, "a", SLICE("\"\\\n\x1b\x7f\xff<")), FAULT_NONE);
    ck_assert_int_eq(json_member_number(&b, "n", INT64_MIN), FAULT_NONE);
    ck_assert_int_eq(json_member_null(&b, "z"), FAULT_NONE);
    ck_assert(slice_equal(buf_held(&b), SLICE("{\"a\":\"\\u0022\\u005c\\u000a\\u001b\\u007f\\u00ff<\","
                                              "\"n\":-9223372036854775808,\"z\":null")));
    buf_close(&b);
}
END_TEST

/* --- secret --------------------------------------------------------------------------------------------- */

static enum fault keep(void *cookie, struct slice value)
{
    *(struct slice *)cookie = value;
    return FAULT_NONE;
}

/* Random lives of many sizes: no two values overlap, none is lost, and all of the arena comes back. */
START_TEST(values_live_side_by_side_and_are_wiped_when_freed)
{
    struct secret *live[64] = {0};
    struct slice value;
    uint8_t fill[SECRET_OCTETS_MAX];
    size_t len[64] = {0};

    ck_assert_int_eq(secret_arena_open((size_t)4 * 1024 * 1024), FAULT_NONE);
    srand(7);
    for (int turn = 0; turn < 20000; turn++) {
        size_t i = (size_t)rand() % COUNT(live);

        if (!live[i]) {
            len[i] = (size_t)rand() % (turn % 50 ? 400 : 65537);
            memset(fill, (int)i + 1, len[i]);
            ck_assert_int_eq(secret_new(slice_of(fill, len[i]), &live[i]), FAULT_NONE);
            continue;
        }
        ck_assert_uint_eq(secret_len(live[i]), len[i]);
        ck_assert_int_eq(secret_lend(live[i], keep, &value), FAULT_NONE);
        for (size_t k = 0; k < len[i]; k++)
            ck_assert_msg(value.at[k] == i + 1, "value %zu, octet %zu: %d", i, k, value.at[k]);
        secret_free(live[i]);
        for (size_t k = 0; k < len[i]; k++)
            ck_assert_msg(value.at[k] == 0, "octet %zu of a freed value is %d", k, value.at[k]);
        live[i] = NULL;
    }
    for (size_t i = 0; i < COUNT(live); i++)
        secret_free(live[i]);
    ck_assert_uint_eq(secret_arena_used(), 0);
    ck_assert_int_eq(secret_new(slice_of(fill, SECRET_OCTETS_MAX), &live[0]), FAULT_NONE);
}
END_TEST

START_TEST(a_full_arena_refuses_instead_of_swapping)
{
    struct secret *s;
    uint8_t fill[SECRET_OCTETS_MAX] = {0};
    enum fault why = FAULT_NONE;
    int n = 0;

    ck_assert_int_eq(secret_arena_open((size_t)512 * 1024), FAULT_NONE);
    ck_assert_int_eq(secret_blank(SECRET_OCTETS_MAX + 1, &s), FAULT_INVALID);
    while (n < 100 && (why = secret_new(slice_of(fill, sizeof fill), &s)) == FAULT_NONE)
        n++;
    ck_assert_int_eq(why, FAULT_NO_MEMORY);
    ck_assert_int_ge(n, 6);
    ck_assert_uint_le(secret_arena_locked(), (size_t)512 * 1024);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base");
    TCase *tc = tcase_create("base");

    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, what_does_not_fit_is_refused_whole);
    tcase_add_test(tc, what_was_ever_held_is_wiped_at_the_end);
    tcase_add_test(tc, numbers_are_written_as_printf_would);
    tcase_add_test(tc, what_is_no_address_is_refused);
    tcase_add_test(tc, an_address_has_one_form);
    tcase_add_test(tc, endpoints_survive_the_way_through_text);
    tcase_add_test(tc, a_net_holds_what_its_prefix_says);
    tcase_add_test(tc, no_octet_of_a_text_can_end_it);
    tcase_add_test(tc, values_live_side_by_side_and_are_wiped_when_freed);
    tcase_add_test(tc, a_full_arena_refuses_instead_of_swapping);
    suite_add_tcase(suite, tc);

    SRunner *runner = srunner_create(suite);

    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);

    srunner_free(runner);
    return failed != 0;
}

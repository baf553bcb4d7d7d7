#include "naive.h"
#include <check.h>
#include <stdlib.h>

#define COUNT(table) (sizeof(table) / sizeof *(table))

static const enum escape all[] = {ESCAPE_NONE, ESCAPE_JSON, ESCAPE_PERCENT, ESCAPE_XML};

START_TEST(each_octet_is_written_as_the_rule_says)
{
    for (size_t k = 0; k < COUNT(all); k++)
        for (unsigned c = 0; c < 256; c++) {
            uint8_t octet = (uint8_t)c;
            char want[ESCAPE_MAX + 1];
            size_t n = naive_octet(all[k], octet, want);
            struct buf out = {0};

            ck_assert_int_eq(buf_open(&out, ESCAPE_MAX), FAULT_NONE);
            ck_assert_uint_eq(escape_octets(all[k], slice_of(&octet, 1)), n);
            ck_assert_uint_eq(escape_pour(all[k], slice_of(&octet, 1), &out), 1);
            ck_assert_msg(slice_equal(buf_held(&out), slice_of(want, n)),
                          "escape %d of 0x%02x: '%.*s', not '%.*s'", all[k], c, SLICE_PRINTF(buf_held(&out)),
                          (int)n, want);
            buf_close(&out);
        }
}
END_TEST

START_TEST(texts_are_written_as_they_are_known)
{
    static const struct {
        enum escape how;
        const char *value, *want;
    } table[] = {
        {ESCAPE_NONE, "a\"\\\n<&%", "a\"\\\n<&%"},
        {ESCAPE_JSON, "", ""},
        {ESCAPE_JSON, "a\"b\\c/d", "a\\\"b\\\\c/d"},
        {ESCAPE_JSON, "\b\t\n\v\f\r\x01\x1f\x7f\xc3\xa4", "\\b\\t\\n\\u000b\\f\\r\\u0001\\u001f\x7f\xc3\xa4"},
        {ESCAPE_JSON, "-----BEGIN KEY-----\nYQ==\n", "-----BEGIN KEY-----\\nYQ==\\n"},
        {ESCAPE_PERCENT, "a-b.c_d~e", "a-b.c_d~e"},
        {ESCAPE_PERCENT, "a b+c&d=e/f%g\n\xff", "a%20b%2Bc%26d%3De%2Ff%25g%0A%FF"},
        {ESCAPE_XML, "a<b>&\"'\n\xc3\xa4", "a&lt;b&gt;&amp;&quot;&#39;\n\xc3\xa4"},
    };

    for (size_t i = 0; i < COUNT(table); i++) {
        struct slice value = slice_text(table[i].value), want = slice_text(table[i].want);
        struct buf out = {0};

        ck_assert_int_eq(buf_open(&out, 100), FAULT_NONE);
        ck_assert_uint_eq(escape_pour(table[i].how, value, &out), value.len);
        ck_assert_msg(slice_equal(buf_held(&out), want), "'%s': '%.*s', not '%s'", table[i].value,
                      SLICE_PRINTF(buf_held(&out)), table[i].want);
        ck_assert_uint_eq(escape_octets(table[i].how, value), want.len);
        buf_close(&out);
    }
}
END_TEST

START_TEST(no_escape_is_cut_by_a_small_out)
{
    char want[6 * 256];
    uint8_t value[256];

    for (unsigned i = 0; i < sizeof value; i++)
        value[i] = (uint8_t)(i * 89);
    for (size_t k = 0; k < COUNT(all); k++)
        for (size_t room = ESCAPE_MAX; room < 40; room++) {
            size_t done = 0, n = 0, len = naive_escape(all[k], slice_of(value, sizeof value), want);
            struct buf out = {0};

            ck_assert_int_eq(buf_open(&out, room), FAULT_NONE);
            while (done < sizeof value) {
                size_t poured = escape_pour(all[k], slice_of(value + done, sizeof value - done), &out);
                struct slice held = buf_held(&out);

                ck_assert_uint_gt(poured, 0);
                ck_assert_uint_eq(held.len, escape_octets(all[k], slice_of(value + done, poured)));
                ck_assert_int_eq(memcmp(want + n, held.at, held.len), 0);
                if (done + poured < sizeof value) /* it stopped for want of room alone */
                    ck_assert_uint_gt(held.len + escape_octets(all[k], slice_of(value + done + poured, 1)),
                                      room);
                n += held.len;
                done += poured;
                buf_take(&out, held.len);
            }
            ck_assert_uint_eq(n, len);
            buf_close(&out);
        }
}
END_TEST

START_TEST(room_behind_what_is_held_is_used)
{
    struct buf out = {0};

    ck_assert_int_eq(buf_open(&out, 16), FAULT_NONE);
    ck_assert_int_eq(buf_append(&out, SLICE("0123456789")), FAULT_NONE);
    buf_take(&out, 9);
    ck_assert_uint_eq(escape_pour(ESCAPE_JSON, SLICE("a\nb\nc\nd\ne\nf\n"), &out), 10);
    ck_assert(slice_equal(buf_held(&out), SLICE("9a\\nb\\nc\\nd\\ne\\n")));
    buf_close(&out);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("escape");
    TCase *tc = tcase_create("escape");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tc);
    tcase_add_test(tc, each_octet_is_written_as_the_rule_says);
    tcase_add_test(tc, texts_are_written_as_they_are_known);
    tcase_add_test(tc, no_escape_is_cut_by_a_small_out);
    tcase_add_test(tc, room_behind_what_is_held_is_used);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#include "basic.h"
#include <check.h>

#define COUNT(table) (sizeof(table) / sizeof *(table))

START_TEST(what_is_no_basic_goes_on_as_it_is)
{
    static const char *const table[] = {"",
                                        "Basic",
                                        "Basic ",
                                        "Bearer dTpw",
                                        "Basicu:p",
                                        "Basic  dTpw",
                                        "Basic dTp",
                                        "Basic dTpw=",
                                        "Basic dTpw ",
                                        "Basic dT\\pw",
                                        "Basic dTp-",
                                        "Basic dTpwZQ=",
                                        "Basic dTpwZR=="};
    struct buf b = {0};

    for (size_t i = 0; i < COUNT(table); i++) {
        enum fault why = basic_open(slice_text(table[i]), &b);

        ck_assert_msg(why == FAULT_NOT_FOUND, "'%s': %s", table[i], fault_table[why].name);
        ck_assert_ptr_null(b.base);
    }
}
END_TEST

START_TEST(credentials_come_out_and_go_back)
{
    static const struct {
        const char *value, *credentials;
    } table[] = {{"Basic dTpw", "u:p"}, {"Basic dTpwZQ==", "u:pe"}, {"bAsIc dTpwYXM=", "u:pas"}};
    struct buf b = {0}, out = {0};

    for (size_t i = 0; i < COUNT(table); i++) {
        ck_assert_int_eq(basic_open(slice_text(table[i].value), &b), FAULT_NONE);
        ck_assert(slice_equal(buf_held(&b), slice_text(table[i].credentials)));
        ck_assert_int_eq(buf_open(&out, basic_octets(buf_held(&b).len)), FAULT_NONE);
        ck_assert_int_eq(basic_write(buf_held(&b), &out), FAULT_FULL); /* sodium's NUL has no room */
        buf_close(&out);
        ck_assert_int_eq(buf_open(&out, basic_octets(buf_held(&b).len) + 1), FAULT_NONE);
        ck_assert_int_eq(basic_write(buf_held(&b), &out), FAULT_NONE);
        ck_assert(slice_equal_nocase(slice_first(buf_held(&out), 6), SLICE("Basic ")));
        ck_assert(slice_equal(slice_drop(buf_held(&out), 6), slice_drop(slice_text(table[i].value), 6)));
        buf_close(&out);
        buf_close(&b);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("basic");
    TCase *tc = tcase_create("basic");

    tcase_add_test(tc, what_is_no_basic_goes_on_as_it_is);
    tcase_add_test(tc, credentials_come_out_and_go_back);
    suite_add_tcase(suite, tc);

    SRunner *runner = srunner_create(suite);

    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);

    srunner_free(runner);
    return failed != 0;
}

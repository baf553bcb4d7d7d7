#include "reason.h"
#include <check.h>
#include <stdlib.h>

static const struct {
    int status;
    const char *phrase;
} rows[] = {
    {-1, ""},
    {0, ""},
    {99, ""},
    {102, ""},
    {600, ""},
    {1000, ""},
    {418, ""},
    {452, ""},
    {512, ""},
    {100, "Continue"},
    {200, "OK"},
    {204, "No Content"},
    {226, "IM Used"},
    {304, "Not Modified"},
    {308, "Permanent Redirect"},
    {404, "Not Found"},
    {421, "Misdirected Request"},
    {429, "Too Many Requests"},
    {451, "Unavailable For Legal Reasons"},
    {504, "Gateway Timeout"},
    {511, "Network Authentication Required"},
};

START_TEST(each_registered_status_has_its_phrase_and_no_other_has_one)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct slice said = reason_of(rows[i].status);

        ck_assert_msg(slice_equal(said, slice_text(rows[i].phrase)), "%d: %.*s", rows[i].status,
                      SLICE_PRINTF(said));
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("reason");
    TCase *tc = tcase_create("reason");
    SRunner *runner = srunner_create(s);

    tcase_add_test(tc, each_registered_status_has_its_phrase_and_no_other_has_one);
    suite_add_tcase(s, tc);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);

    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

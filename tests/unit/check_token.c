#include "token.h"
#include <check.h>
#include <stdlib.h>

#define DIGITS "0123456789abcdef0123456789abcdef"

START_TEST(near_misses_are_no_tokens)
{
    static const char *const table[] = {
        "",
        "osb_sealed_",
        "osb_sealed_0123456789abcdef0123456789abcde",
        "osb_sealed_0123456789ABCDEF0123456789abcdef",
        "OSB_SEALED_" DIGITS,
        "Osb_sealed_" DIGITS,
        "osb-sealed_" DIGITS,
        "osb_sealed\xe2\x80\x93" DIGITS,
        "osb_sealed__" DIGITS,
        " osb_sealed_" DIGITS,
    };

    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        ck_assert_msg(!token_is(slice_text(table[i])), "taken for a token: %s", table[i]);
}
END_TEST

START_TEST(every_other_octet_at_every_place_is_refused)
{
    char token[] = "osb_sealed_" DIGITS;
    char good = token[_i];

    for (unsigned c = 0; c < 256; c++) {
        bool hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
        bool want = _i < TOKEN_MARK_LEN ? c == (unsigned char)good : hex;

        token[_i] = (char)c;
        ck_assert_msg(token_is(slice_of(token, TOKEN_LEN)) == want, "octet %u at %d", c, _i);
    }
}
END_TEST

START_TEST(what_follows_a_token_does_not_matter)
{
    ck_assert(token_is(SLICE("osb_sealed_" DIGITS)));
    ck_assert(token_is(SLICE("osb_sealed_" DIGITS "0")));
    ck_assert(token_is(SLICE("osb_sealed_" DIGITS "\0\xff")));
}
END_TEST

START_TEST(drawn_tokens_are_tokens_and_differ)
{
    char drawn[64][TOKEN_LEN];

    for (size_t i = 0; i < 64; i++) {
        token_draw(drawn[i]);
        ck_assert(token_is(slice_of(drawn[i], TOKEN_LEN)));
        for (size_t j = 0; j < i; j++)
            ck_assert_mem_ne(drawn[i], drawn[j], TOKEN_LEN);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("token");
    TCase *tc = tcase_create("token");
    SRunner *runner;
    int failed;

    tcase_add_test(tc, near_misses_are_no_tokens);
    tcase_add_loop_test(tc, every_other_octet_at_every_place_is_refused, 0, TOKEN_LEN);
    tcase_add_test(tc, what_follows_a_token_does_not_matter);
    tcase_add_test(tc, drawn_tokens_are_tokens_and_differ);
    suite_add_tcase(s, tc);
    runner = srunner_create(s);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

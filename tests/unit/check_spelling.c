#include "spelling.h"
#include <check.h>
#include <sodium.h>
#include <stdlib.h>

#define ROOM 512

static bool spelled_so(struct slice value, struct slice want)
{
    uint8_t got[ROOM];

    for (size_t i = 0; i < SPELLINGS; i++) {
        ck_assert_uint_le(spelling_write(i, value, NULL), ROOM);
        if (slice_equal(slice_of(got, spelling_write(i, value, got)), want))
            return true;
    }
    return false;
}

/* What the libraries that are named make of a value. */
START_TEST(values_are_spelled_as_libraries_do)
{
    static const struct {
        const char *who, *value, *want;
    } table[] = {
        {"as it is", "a/\"\\b", "a/\"\\b"},
        {"JSON", "a/\"\\\n\x1f\xc3\xa9", "a/\\\"\\\\\\n\\u001f\xc3\xa9"},
        {"Python json.dumps", "a/\"\xc3\xa9\xf0\x9f\x94\x91", "a/\\\"\\u00e9\\ud83d\\udd11"},
        {"Jackson, ASCII only", "a/\"\xc3\xa9\x1f", "a/\\\"\\u00E9\\u001F"},
        {"PHP json_encode", "a/\"\xc3\xa9", "a\\/\\\"\\u00e9"},
        {"PHP json_encode, as it is beyond ASCII", "a/\"\xc3\xa9", "a\\/\\\"\xc3\xa9"},
        {"Go encoding/json", "a<b>&c'\xc3\xa9", "a\\u003cb\\u003e\\u0026c'\xc3\xa9"},
        {"System.Text.Json", "a\"<+'\xc3\xa9/\\", "a\\u0022\\u003C\\u002B\\u0027\\u00E9/\\\\"},
        {"escape.h, URL", "a b/c~*'+", "a%20b%2Fc~%2A%27%2B"},
        {"the same, lower case", "a b/c~*'+", "a%20b%2fc~%2a%27%2b"},
        {"Python quote", "a b/c~*'+", "a%20b/c~%2A%27%2B"},
        {"Python quote_plus", "a b/c~*'+", "a+b%2Fc~%2A%27%2B"},
        {"encodeURIComponent", "a b/c~*'+", "a%20b%2Fc~*'%2B"},
        {"encodeURI", "a b/c~*'+%", "a%20b/c~*'+%25"},
        {"URLSearchParams, Java URLEncoder", "a b/c~*'+", "a+b%2Fc%7E*%27%2B"},
        {"HttpUtility.UrlEncode", "a b/c~*'+", "a+b%2fc%7e*%27%2b"},
        {"Go PathEscape", "a b/c~*'+:", "a%20b%2Fc~%2A%27+:"},
        {"beyond ASCII", "\xc3\xa9", "%C3%A9"},
        {"XML", "<a&\"b'>", "&lt;a&amp;&quot;b&#39;&gt;"},
        {"XML text", "<a&\"b'>", "&lt;a&amp;\"b'&gt;"},
        {"XML attribute", "<a&\"b'>", "&lt;a&amp;&quot;b'&gt;"},
        {"XML with &apos;", "<a&\"b'>", "&lt;a&amp;&quot;b&apos;&gt;"},
        {"Python html.escape", "<a&\"b'>", "&lt;a&amp;&quot;b&#x27;&gt;"},
        {"PHP htmlspecialchars", "<a&\"b'>", "&lt;a&amp;&quot;b&#039;&gt;"},
        {"Go html.EscapeString", "<a&\"b'>", "&lt;a&amp;&#34;b&#39;&gt;"},
    };

    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        ck_assert_msg(spelled_so(slice_text(table[i].value), slice_text(table[i].want)),
                      "%s: no spelling of '%s' is '%s'", table[i].who, table[i].value, table[i].want);
}
END_TEST

START_TEST(what_is_no_utf8_has_no_ascii_spelling)
{
    static const char *const table[] = {"\x80",
                                        "a\xc3",
                                        "\xc3(",
                                        "\xc0\xaf",
                                        "\xe0\x80\xaf",
                                        "\xed\xa0\x80",
                                        "\xf4\x90\x80\x80",
                                        "\xf8\x88\x80\x80"};

    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        size_t without = 0;

        for (size_t k = 0; k < SPELLINGS; k++)
            without += spelling_write(k, slice_text(table[i]), NULL) == 0;
        ck_assert_msg(without >= 4, "row %zu: %zu spellings are refused", i, without);
    }
    ck_assert(spelled_so(SLICE("\xc3("), SLICE("\xc3(")));
}
END_TEST

/* Whatever stands around a value, the base64 of all of it holds one of the spellings. */
START_TEST(base64_is_found_at_every_place)
{
    static const int variants[] = {sodium_base64_VARIANT_ORIGINAL, sodium_base64_VARIANT_URLSAFE};
    uint8_t text[64], spelled[ROOM];
    char code[128];

    for (size_t i = 0; i < 2; i++)
        for (size_t before = 0; before < 7; before++)
            for (size_t len = 16; len < 24; len++)
                for (size_t behind = 0; behind < 4; behind++) {
                    size_t found = 0, n;

                    randombytes_buf(text, sizeof text);
                    sodium_bin2base64(code, sizeof code, text, before + len + behind, variants[i]);
                    for (size_t k = SPELLINGS - 6; k < SPELLINGS; k++) {
                        n = spelling_write(k, slice_of(text + before, len), spelled);
                        ck_assert_uint_ge(n, 20);
                        found += memmem(code, strlen(code), spelled, n) != NULL;
                    }
                    ck_assert_msg(found >= 1, "%zu octets before, %zu, %zu behind: not in %s", before, len,
                                  behind, code);
                }
}
END_TEST

/* The alphabets differ from the value's in nothing else, so a key in plain letters is one pattern and its base64. */
START_TEST(plain_letters_stay_as_they_are)
{
    uint8_t got[ROOM];
    struct slice value = SLICE("sk-live_0123456789abcdef");

    for (size_t i = 0; i + 6 < SPELLINGS; i++)
        ck_assert(slice_equal(slice_of(got, spelling_write(i, value, got)), value));
}
END_TEST

/* Room is asked for before it is written to. */
START_TEST(no_spelling_is_longer_than_it_may_be)
{
    uint8_t all[256];

    for (size_t i = 0; i < sizeof all; i++)
        all[i] = (uint8_t)i;
    for (size_t c = 0; c < sizeof all; c++)
        for (size_t i = 0; i < SPELLINGS; i++)
            ck_assert_uint_le(spelling_write(i, slice_of(all + c, 1), NULL), SPELLING_MAX);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("spelling");
    Suite *suite = suite_create("spelling");

    tcase_add_test(tc, what_is_no_utf8_has_no_ascii_spelling);
    tcase_add_test(tc, no_spelling_is_longer_than_it_may_be);
    tcase_add_test(tc, values_are_spelled_as_libraries_do);
    tcase_add_test(tc, plain_letters_stay_as_they_are);
    tcase_add_test(tc, base64_is_found_at_every_place);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);

    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);

    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

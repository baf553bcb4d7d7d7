#include "scrubref.h"
#include "scrubs.h"
#include <check.h>
#include <sodium.h>
#include <stdio.h>

#define VALUE "sk-live_0123456789abcdef"
#define MASK  "osb_redacted************"

static struct scrubs *set_of(const struct slice *values, size_t n)
{
    struct secret *secret[256] = {0};
    struct scrubs *set;

    for (size_t i = 0; i < n; i++)
        ck_assert_int_eq(secret_new(values[i], &secret[i]), FAULT_NONE);
    ck_assert_int_eq(scrubs_new((const struct secret *const *)secret, n, &set), FAULT_NONE);
    while (n)
        secret_free(secret[--n]);
    return set;
}

static struct scrubs *set_of_text(const char *value)
{
    struct slice s = slice_text(value);

    return set_of(&s, 1);
}

static void expect_masked(const struct scrubs *set, const char *text, const char *want, size_t masks)
{
    char got[512];
    size_t n;

    ck_assert_uint_lt(strlen(text), sizeof got);
    strcpy(got, text);
    n = scrubs_mask(set, (uint8_t *)got, strlen(text));
    ck_assert_msg(strcmp(got, want) == 0, "'%s' became '%s', not '%s'", text, got, want);
    ck_assert_msg(n == masks, "'%s': %zu masks, not %zu", text, n, masks);
    ck_assert_msg(scrubs_seen(set, slice_text(text)) == (masks > 0), "'%s': seen differs", text);
}

START_TEST(short_values_make_no_set)
{
    static const char *const table[] = {"", "a", "0123456789abcde"};
    struct scrubs *set;

    ck_assert_int_eq(scrubs_new(NULL, 0, &set), FAULT_NONE);
    ck_assert_ptr_null(set);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        ck_assert_msg(!set_of_text(table[i]), "'%s' made a set", table[i]);
    set = set_of_text("0123456789abcdef");
    ck_assert_ptr_nonnull(set);
    scrubs_drop(set);
}
END_TEST

START_TEST(no_set_is_harmless)
{
    uint8_t text[] = VALUE;

    ck_assert_uint_eq(scrubs_mask(NULL, text, sizeof text), 0);
    ck_assert(!scrubs_seen(NULL, SLICE(VALUE)));
    ck_assert_ptr_null(scrubs_hold(NULL));
    scrubs_drop(NULL);
}
END_TEST

/* Too little for the spellings, then for the table of them as well, then for neither. */
START_TEST(a_full_arena_is_said_and_leaves_nothing)
{
    uint8_t wide[8192];
    struct secret *secret, *filler[256];
    struct scrubs *set = NULL;
    size_t fillers = 0, refused = 0;

    randombytes_buf(wide, sizeof wide);
    ck_assert_int_eq(secret_new(slice_of(wide, sizeof wide), &secret), FAULT_NONE);
    while (fillers < 256 && secret_blank(SECRET_OCTETS_MAX, &filler[fillers]) == FAULT_NONE)
        fillers++;
    ck_assert_uint_gt(fillers, 20);
    ck_assert_uint_lt(fillers, 256);
    while (!set && fillers) {
        size_t used = secret_arena_used();
        enum fault f = scrubs_new((const struct secret *const *)&secret, 1, &set);

        ck_assert_int_eq(f, set ? FAULT_NONE : FAULT_NO_MEMORY);
        ck_assert(set || secret_arena_used() == used);
        refused += !set;
        secret_free(filler[--fillers]);
    }
    ck_assert_ptr_nonnull(set);
    ck_assert_uint_gt(refused, 4);
    scrubs_drop(set);
    secret_free(secret);
}
END_TEST

START_TEST(the_last_drop_wipes)
{
    size_t used = secret_arena_used();
    struct scrubs *set = set_of_text(VALUE);

    ck_assert_uint_gt(secret_arena_used(), used);
    ck_assert_ptr_eq(scrubs_hold(set), set);
    scrubs_drop(set);
    expect_masked(set, VALUE, MASK, 1);
    scrubs_drop(set);
    ck_assert_uint_eq(secret_arena_used(), used);
}
END_TEST

START_TEST(whole_values_are_masked_and_nothing_else)
{
    static const struct {
        const char *text, *want;
        size_t masks;
    } table[] = {
        {"", "", 0},
        {"sk-live_0123456789abcde", "sk-live_0123456789abcde", 0},
        {"k-live_0123456789abcdef", "k-live_0123456789abcdef", 0},
        {"SK-LIVE_0123456789ABCDEF", "SK-LIVE_0123456789ABCDEF", 0},
        {"sk-live_0123456789abcdeF", "sk-live_0123456789abcdeF", 0},
        {"sk-live_01234567 89abcdef", "sk-live_01234567 89abcdef", 0},
        {VALUE, MASK, 1},
        {"Bearer " VALUE ".", "Bearer " MASK ".", 1},
        {"ssk-live_" VALUE "f", "ssk-live_" MASK "f", 1},
        {VALUE " " VALUE, MASK " " MASK, 2},
        {VALUE VALUE, MASK "************************", 1},
        {"sk-live_0123" VALUE "456789abcdef", "sk-live_0123" MASK "456789abcdef", 1},
        {"Basic eDpzay1saXZlXzAxMjM0NTY3ODlhYmNkZWY=", "Basic eDposb_redacted*******************Y=", 1},
    };
    struct scrubs *set = set_of_text(VALUE);

    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        expect_masked(set, table[i].text, table[i].want, table[i].masks);
    scrubs_drop(set);
}
END_TEST

START_TEST(values_that_overlap_or_begin_alike_are_all_found)
{
    static const struct slice values[] = {{(const uint8_t *)"0123456789abcdef", 16},
                                          {(const uint8_t *)"0123456789abcdefgh", 18},
                                          {(const uint8_t *)"0123456789abcdefghijkl", 22},
                                          {(const uint8_t *)"efghijkl01234567", 16},
                                          {(const uint8_t *)"0123456789abcdef0123456789", 26}};
    static const struct {
        const char *text, *want;
        size_t masks;
    } table[] = {
        {"0123456789abcde", "0123456789abcde", 0},
        {"0123456789abcdefg", "osb_redacted****g", 1},
        {"0123456789abcdefghi", "osb_redacted******i", 1},
        {"0123456789abcdefghijk", "osb_redacted******ijk", 1},
        {"0123456789abcdefghijkl.", "osb_redacted**********.", 1},
        {"0123456789abcdefghijkl01234567.", "osb_redacted******************.", 1},
        {"0123456789abcdef0123456789ab.", "osb_redacted**************ab.", 1},
        {"0123456789abcdef.0123456789abcdefgh.", "osb_redacted****.osb_redacted******.", 2},
    };
    struct scrubs *set = set_of(values, 5);

    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        expect_masked(set, table[i].text, table[i].want, table[i].masks);
    scrubs_drop(set);
}
END_TEST

START_TEST(blanks_around_a_value_are_no_part_of_it)
{
    struct scrubs *set = set_of_text(" \r\n" VALUE "\n\n"), *blank = set_of_text("0123456789abcde\n");

    expect_masked(set, "<" VALUE ">", "<" MASK ">", 1);
    expect_masked(set, "\n" VALUE "\n", "\n" MASK "\n", 1);
    expect_masked(blank, "0123456789abcde", "0123456789abcde",
                  0); /* too little is left: all of it is asked for */
    expect_masked(blank, "0123456789abcde\n", "osb_redacted****", 1);
    scrubs_drop(set);
    scrubs_drop(blank);
}
END_TEST

/* Not one octet of them is left, in whatever spelling. */
START_TEST(the_longest_values_are_masked_whole)
{
    static uint8_t value[SECRET_OCTETS_MAX], text[SECRET_OCTETS_MAX * SPELLING_MAX];
    static const struct {
        const char *alphabet;
        size_t octets;
    } table[] = {{"\"\\/<&+ \n", 16384}, {"abcdefgh+/", SECRET_OCTETS_MAX}, {"ab\n", 8000}, {"ab\n", 65535}};

    for (size_t row = 0; row < sizeof table / sizeof *table; row++) {
        struct slice s = slice_of(value, table[row].octets), letters = slice_text(table[row].alphabet);

        for (size_t i = 0; i < s.len; i++)
            value[i] = letters.at[randombytes_uniform((uint32_t)letters.len)];
        value[0] = value[s.len - 1] = 'x';
        struct scrubs *set = set_of(&s, 1);

        ck_assert_uint_le(scrubs_longest(set), SCRUB_PIECE);
        for (size_t i = 0; i < spelling_count; i++) {
            size_t n = spelling_write(i, s, text);

            ck_assert_uint_eq(scrubs_mask(set, text, n), 1);
            ck_assert(slice_starts(slice_of(text, n), SLICE("osb_redacted****")));
            size_t stars = 0;

            while (12 + stars < n && text[12 + stars] == '*')
                stars++;
            ck_assert_msg(12 + stars == n, "spelling %zu: octet %zu of %zu is left", i, 12 + stars, n);
        }
        scrubs_drop(set);
    }
}
END_TEST

START_TEST(hundreds_of_values_are_told_apart)
{
    static struct reference ref;
    static char text[200][40];
    struct slice values[200];

    for (size_t i = 0; i < 200; i++) { /* PEM keys begin alike, so do these */
        snprintf(text[i], sizeof text[i], "-----BEGIN PRIVATE KEY %03zu-%zu", i / 2, i * i * 7919);
        values[i] = slice_text(text[i]);
    }
    struct scrubs *set = set_of(values, 200);

    for (size_t i = 0; i < 200; i++) {
        uint8_t got[64];

        memcpy(got, text[i], values[i].len);
        ck_assert_uint_eq(scrubs_mask(set, got, values[i].len), 1);
        ck_assert(slice_starts(slice_of(got, values[i].len), SLICE("osb_redacted****")));
        ck_assert(!memchr(got, '-', values[i].len) || !memchr(got, 'P', values[i].len));
    }
    expect_masked(set, "-----BEGIN PRIVATE KEY 000-", "-----BEGIN PRIVATE KEY 000-", 0);
    scrubs_drop(set);
    ref_add(&ref, values[0]);
    ck_assert_uint_gt(ref.patterns, 6);
}
END_TEST

static void arena_open(void)
{
    ck_assert_int_eq(secret_arena_open((size_t)16 << 20), FAULT_NONE);
}

int main(void)
{
    TCase *tc = tcase_create("scrubs");
    Suite *suite = suite_create("scrubs");

    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, arena_open, NULL); /* the arena does not outlive a fork */
    tcase_add_test(tc, short_values_make_no_set);
    tcase_add_test(tc, no_set_is_harmless);
    tcase_add_test(tc, a_full_arena_is_said_and_leaves_nothing);
    tcase_add_test(tc, the_last_drop_wipes);
    tcase_add_test(tc, whole_values_are_masked_and_nothing_else);
    tcase_add_test(tc, values_that_overlap_or_begin_alike_are_all_found);
    tcase_add_test(tc, blanks_around_a_value_are_no_part_of_it);
    tcase_add_test(tc, the_longest_values_are_masked_whole);
    tcase_add_test(tc, hundreds_of_values_are_told_apart);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);

    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);

    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

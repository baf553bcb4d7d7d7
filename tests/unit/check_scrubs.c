#include "scrubref.h"
#include "scrubs.h"
#include <check.h>
#include <sodium.h>
#include <stdio.h>

#define VALUE "sk-live_0123456789abcdef"
#define MASK  "osb_redacted************"

static struct scrubs *set_of(const struct slice *values, size_t n)
{
    struct secret *secret[1024] = {0};
    struct scrubs *set;

    for (size_t i = 0; i < n; i++)
        ck_assert_int_eq(secret_new(values[i], &secret[i]), FAULT_NONE);
    ck_assert_int_eq(scrubs_new((const struct secret *const *)secret, n, NULL, &set), FAULT_NONE);
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

    ck_assert_int_eq(scrubs_new(NULL, 0, NULL, &set), FAULT_NONE);
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
        enum fault f = scrubs_new((const struct secret *const *)&secret, 1, NULL, &set);

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
        for (size_t i = 0; i < SPELLINGS; i++) {
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

/* The look-up takes samples: a value must be found wherever it lies between them, and where the text begins and ends. */
START_TEST(a_value_is_found_at_every_offset_of_texts_of_every_length)
{
    static const size_t lens[] = {16, 17, 23, 24, 25, 40};
    char value[41] = "sk-live_0123456789abcdefghijklmnopqrstuv", text[128];

    for (size_t i = 0; i < sizeof lens / sizeof *lens; i++) {
        struct slice whole = slice_first(slice_text(value), lens[i]);
        struct scrubs *set = set_of(&whole, 1);

        for (size_t before = 0; before <= 40; before++)
            for (size_t behind = 0; behind <= 40; behind++) {
                size_t len = before + whole.len + behind, masks;
                char *exact = malloc(len); /* who reads behind it is found */

                memset(text, '.', sizeof text);
                memcpy(text + before, whole.at, whole.len);
                memcpy(exact, text, len);
                ck_assert_msg(scrubs_seen(set, slice_of(exact, len)), "%zu octets at %zu of %zu are not seen",
                              whole.len, before, len);
                masks = scrubs_mask(set, (uint8_t *)exact, len);
                memset(text + before, '*', whole.len);
                memcpy(text + before, "osb_redacted", 12);
                ck_assert_msg(masks == 1 && memcmp(exact, text, len) == 0, "%zu octets at %zu of %zu: '%.*s'",
                              whole.len, before, len, (int)len, exact);
                if (behind == 0) {
                    memcpy(exact + before, whole.at, whole.len - 1);
                    ck_assert(!scrubs_seen(set, slice_of(exact, len - 1))); /* cut off by the end */
                }
                free(exact);
            }
        scrubs_drop(set);
    }
}
END_TEST

START_TEST(two_values_are_found_at_every_distance)
{
    static const struct slice values[] = {{(const uint8_t *)"0123456789abcdef", 16},
                                          {(const uint8_t *)"fedcba9876543210", 16}};
    struct scrubs *set = set_of(values, 2);
    uint8_t text[80];

    for (size_t first = 0; first < 18; first++)
        for (size_t second = first + 16; second + 16 <= sizeof text; second++) {
            memset(text, '.', sizeof text);
            memcpy(text + first, values[0].at, 16);
            memcpy(text + second, values[1].at, 16);
            ck_assert_uint_eq(scrubs_mask(set, text, sizeof text), second == first + 16 ? 1 : 2);
            for (size_t i = 0; i < sizeof text; i++) {
                bool covered = (i >= first && i < first + 16) || (i >= second && i < second + 16);

                ck_assert_msg((text[i] == '.') == !covered, "values at %zu and %zu: octet %zu", first, second,
                              i);
            }
        }
    scrubs_drop(set);
}
END_TEST

START_TEST(a_thousand_random_values_are_found_and_their_near_misses_are_not)
{
    enum { COUNT = 1000, OCTETS = 40, START = 8 };
    static uint8_t value[COUNT][OCTETS];
    static struct slice values[COUNT];

    for (size_t i = 0; i < COUNT; i++) {
        values[i] = slice_of(value[i], 16 + randombytes_uniform(OCTETS - 15));
        for (size_t at = 0; at < OCTETS; at++)
            value[i][at] = (uint8_t)('a' + randombytes_uniform(26));
        if (i % 2) /* as keys of one kind begin */
            memcpy(value[i], "sk-live_", START);
    }
    struct scrubs *set = set_of(values, COUNT);

    for (size_t i = 0; i < COUNT; i++) {
        uint8_t text[OCTETS + 40];
        size_t at = randombytes_uniform(40);

        memset(text, '-', sizeof text);
        memcpy(text + at, values[i].at, values[i].len);
        text[at + i % 16] ^= 1;
        ck_assert_msg(!scrubs_seen(set, slice_of(text, sizeof text)), "value %zu, wrong at %zu", i, i % 16);
        text[at + i % 16] ^= 1;
        ck_assert_msg(scrubs_mask(set, text, sizeof text) == 1, "value %zu at %zu", i, at);
        for (size_t k = 0; k < sizeof text; k++)
            ck_assert((text[k] == '-') == (k < at || k >= at + values[i].len));
    }
    scrubs_drop(set);
}
END_TEST

START_TEST(more_than_the_most_is_refused_before_anything_is_built)
{
    static uint8_t octets[SECRET_OCTETS_MAX];
    enum { COUNT = SCRUBS_MOST / SECRET_OCTETS_MAX };
    struct secret *secret[COUNT + 2];
    struct scrubs *set;

    for (size_t i = 0; i < COUNT; i++) {
        for (size_t at = 0; at < sizeof octets; at++)
            octets[at] = (uint8_t)('a' + randombytes_uniform(26));
        ck_assert_int_eq(secret_new(slice_of(octets, sizeof octets), &secret[i]), FAULT_NONE);
    }
    ck_assert_int_eq(secret_new(SLICE("0123456789abcde"), &secret[COUNT]), FAULT_NONE);
    ck_assert_int_eq(secret_new(SLICE("0123456789abcdef"), &secret[COUNT + 1]), FAULT_NONE);
    size_t used = secret_arena_used();
    struct purse purse = {.locked = UINT64_MAX};

    ck_assert_int_eq(scrubs_new((const struct secret *const *)secret, COUNT + 2, &purse, &set),
                     FAULT_OVERLOADED);
    ck_assert_ptr_null(set);
    ck_assert_uint_eq(secret_arena_used(), used);
    ck_assert_uint_eq(purse.locked, UINT64_MAX);
    /* Short ones do not count, and the most is allowed: */
    ck_assert_int_eq(scrubs_new((const struct secret *const *)secret, COUNT + 1, &purse, &set), FAULT_NONE);
    ck_assert_ptr_nonnull(set);
    scrubs_drop(set);
    ck_assert_uint_eq(purse.locked, UINT64_MAX);
    for (size_t i = 0; i < COUNT + 2; i++)
        secret_free(secret[i]);
}
END_TEST

START_TEST(a_purse_pays_for_the_table_until_the_last_drop)
{
    struct purse purse = {.memory = 1, .disk = 2, .locked = (uint64_t)1 << 20};
    const uint64_t most = purse.locked;
    struct secret *secret;
    struct scrubs *set;
    size_t used;

    ck_assert_int_eq(secret_new(SLICE(VALUE), &secret), FAULT_NONE);
    used = secret_arena_used();
    ck_assert_int_eq(scrubs_new((const struct secret *const *)&secret, 1, &purse, &set), FAULT_NONE);
    uint64_t price = most - purse.locked;

    ck_assert_uint_ge(secret_arena_used() - used, price);
    ck_assert_uint_gt(price, 16);
    ck_assert_ptr_eq(scrubs_hold(set), set);
    scrubs_drop(set);
    ck_assert_uint_eq(purse.locked, most - price);
    scrubs_drop(set);
    ck_assert_uint_eq(purse.locked, most);

    const uint64_t lefts[] = {0, 1, price - 1, price};

    for (size_t i = 0; i < 4; i++) {
        uint64_t left = purse.locked = lefts[i];
        enum fault why = scrubs_new((const struct secret *const *)&secret, 1, &purse, &set);

        ck_assert_int_eq(why, left < price ? FAULT_NO_MEMORY : FAULT_NONE);
        ck_assert_uint_eq(purse.locked, left < price ? left : 0);
        scrubs_drop(set);
    }
    ck_assert_uint_eq(secret_arena_used(), used);
    ck_assert(purse.memory == 1 && purse.disk == 2);
    secret_free(secret);
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
    tcase_add_test(tc, a_value_is_found_at_every_offset_of_texts_of_every_length);
    tcase_add_test(tc, two_values_are_found_at_every_distance);
    tcase_add_test(tc, a_thousand_random_values_are_found_and_their_near_misses_are_not);
    tcase_add_test(tc, more_than_the_most_is_refused_before_anything_is_built);
    tcase_add_test(tc, a_purse_pays_for_the_table_until_the_last_drop);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);

    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);

    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

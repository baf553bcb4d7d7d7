#include "scrubcache.h"
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#define COUNT(table) (sizeof(table) / sizeof *(table))

/* Secret ${i} of a record has the value "value-000000000${i}"; but some are short, or of a store that is not scrubbed. */
enum { FIRST, SECOND, THIRD, SHORT = 40, UNSCRUBBED = 41, LAST = RECORD_SECRETS_MAX - 1 };

static struct record_store scrubbed = {.scrub = true}, unscrubbed = {.scrub = false};
static struct record_secret secrets[RECORD_SECRETS_MAX];
static struct record record = {.secrets = secrets, .secret_count = COUNT(secrets)}, newer;
static struct scrubcache cache;

static struct slice value_of(size_t i, char into[static 32])
{
    int n = snprintf(into, 32, i == SHORT ? "value-%09zu" : "value-%010zu", i);

    return slice_of(into, (size_t)n);
}

static void secrets_open(void)
{
    char text[32];

    ck_assert_int_eq(secret_arena_open((size_t)256 << 10), FAULT_NONE);
    for (size_t i = 0; i < COUNT(secrets); i++) {
        secrets[i].store = i == UNSCRUBBED ? &unscrubbed : &scrubbed;
        ck_assert_int_eq(secret_new(value_of(i, text), &secrets[i].value), FAULT_NONE);
    }
    newer = record;
}

static struct secret_set set_of(size_t a, size_t b)
{
    struct secret_set set = {{0}};

    set.bits[a / 64] |= UINT64_C(1) << a % 64;
    set.bits[b / 64] |= UINT64_C(1) << b % 64;
    return set;
}

static struct scrubs *taken(const struct record *r, size_t a, size_t b)
{
    struct secret_set set = set_of(a, b);
    struct scrubs *s = NULL;

    ck_assert_int_eq(scrubcache_take(&cache, r, &set, &s), FAULT_NONE);
    return s;
}

static bool seen(const struct scrubs *s, size_t i)
{
    char text[32];

    return scrubs_seen(s, value_of(i, text));
}

START_TEST(nothing_that_can_be_scrubbed_is_no_set)
{
    static const struct secret_set none;
    struct scrubs *s = (struct scrubs *)&cache;

    ck_assert_int_eq(scrubcache_take(&cache, &record, &none, &s), FAULT_NONE);
    ck_assert_ptr_null(s);
    for (unsigned again = 0; again < 2; again++) {
        ck_assert_ptr_null(taken(&record, SHORT, SHORT));
        ck_assert_ptr_null(taken(&record, UNSCRUBBED, UNSCRUBBED));
        ck_assert_ptr_null(taken(&record, UNSCRUBBED, SHORT));
        ck_assert_uint_eq(cache.count, 3); /* that, too, is found out once */
    }
    scrubcache_clear(&cache);
}
END_TEST

START_TEST(a_set_has_the_values_that_are_given_and_no_other)
{
    static const size_t table[][2] = {{FIRST, FIRST}, {FIRST, SECOND}, {63, 64},        {LAST, 128},
                                      {LAST, LAST},   {FIRST, SHORT},  {UNSCRUBBED, 7}, {191, 192}};

    for (size_t i = 0; i < COUNT(table); i++) {
        struct scrubs *s = taken(&record, table[i][0], table[i][1]);

        for (size_t k = 0; k < COUNT(secrets); k++) {
            bool want = (k == table[i][0] || k == table[i][1]) && k != SHORT && k != UNSCRUBBED;

            ck_assert_msg(seen(s, k) == want, "row %zu: %s value %zu", i, want ? "misses" : "has", k);
        }
        scrubs_drop(s);
    }
    scrubcache_clear(&cache);
}
END_TEST

START_TEST(hosts_with_the_same_secrets_share_a_set)
{
    size_t before = secret_arena_used();
    struct scrubs *one = taken(&record, FIRST, SECOND), *other = taken(&record, FIRST, THIRD);
    size_t used = secret_arena_used();

    ck_assert_ptr_ne(one, other);
    for (size_t i = 0; i < 100; i++) {
        struct scrubs *s = taken(&record, i % 2 ? SECOND : FIRST, i % 2 ? FIRST : SECOND);

        ck_assert_ptr_eq(s, one);
        scrubs_drop(s);
    }
    ck_assert_uint_eq(cache.count, 2);
    ck_assert_uint_eq(secret_arena_used(), used);
    scrubs_drop(one);
    scrubs_drop(other);
    ck_assert_uint_eq(secret_arena_used(), used); /* they are the cache's */
    scrubcache_clear(&cache);
    scrubcache_clear(&cache);
    ck_assert_uint_eq(secret_arena_used(), before);
}
END_TEST

START_TEST(another_record_clears_what_was_made_of_the_one_before)
{
    size_t before = secret_arena_used();
    struct scrubs *old = taken(&record, FIRST, FIRST), *other;

    scrubs_drop(taken(&record, SECOND, SECOND));
    ck_assert_uint_eq(cache.count, 2);
    struct record_secret changed = secrets[SECOND];

    newer.secrets = &changed;
    newer.secret_count = 1;
    other = taken(&newer, FIRST, FIRST); /* the first of this record */
    ck_assert_uint_eq(cache.count, 1);
    ck_assert(seen(other, SECOND) && !seen(other, FIRST));
    ck_assert(seen(old, FIRST) && !seen(old, SECOND)); /* an exchange goes on with what it began with */
    scrubs_drop(old);
    scrubs_drop(other);
    scrubcache_clear(&cache);
    ck_assert_uint_eq(secret_arena_used(), before);
}
END_TEST

START_TEST(the_set_that_was_not_asked_for_longest_goes)
{
    size_t before = secret_arena_used();
    struct scrubs *held[SCRUBCACHE_SETS], *more;

    for (size_t i = 0; i < SCRUBCACHE_SETS; i++)
        held[i] = taken(&record, i, i);
    scrubs_drop(taken(&record, FIRST, FIRST));
    more = taken(&record, SCRUBCACHE_SETS, SCRUBCACHE_SETS);
    ck_assert_uint_eq(cache.count, SCRUBCACHE_SETS);
    ck_assert(seen(held[SECOND], SECOND)); /* it went, but who holds it has it still */
    for (size_t i = 0; i < SCRUBCACHE_SETS; i++) {
        struct scrubs *s = i == SECOND ? NULL : taken(&record, i, i);

        ck_assert_msg(i == SECOND || s == held[i], "set %zu was made anew", i);
        scrubs_drop(s);
    }
    struct scrubs *anew = taken(&record, SECOND, SECOND);

    ck_assert_ptr_ne(anew, held[SECOND]);
    ck_assert(seen(anew, SECOND) && seen(more, SCRUBCACHE_SETS));
    scrubs_drop(anew);
    scrubs_drop(more);
    for (size_t i = 0; i < SCRUBCACHE_SETS; i++)
        scrubs_drop(held[i]);
    scrubcache_clear(&cache);
    ck_assert_uint_eq(secret_arena_used(), before);
}
END_TEST

/* An answer that can't be searched must not be taken for one in which nothing is to be found. */
START_TEST(without_memory_there_is_a_fault_and_what_there_was_stays)
{
    struct scrubs *s = taken(&record, FIRST, FIRST), *none = s;
    struct secret_set other = set_of(SECOND, SECOND);
    struct secret *fill[512] = {0};
    size_t n = 0;

    for (size_t octets = 32768; octets >= 64; octets /= 2)
        while (n < COUNT(fill) && secret_blank(octets, &fill[n]) == FAULT_NONE)
            n++;
    ck_assert_int_eq(scrubcache_take(&cache, &record, &other, &none), FAULT_NO_MEMORY);
    ck_assert_ptr_null(none);
    ck_assert_uint_eq(cache.count, 1);
    scrubs_drop(s);
    ck_assert_ptr_eq(taken(&record, FIRST, FIRST), s);
    scrubs_drop(s);
    while (n)
        secret_free(fill[--n]);
    s = taken(&record, SECOND, SECOND);
    ck_assert(seen(s, SECOND));
    scrubs_drop(s);
    scrubcache_clear(&cache);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("scrubcache");
    TCase *tc = tcase_create("scrubcache");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tc);
    tcase_add_checked_fixture(tc, secrets_open, NULL); /* the arena does not outlive a fork */
    tcase_add_test(tc, nothing_that_can_be_scrubbed_is_no_set);
    tcase_add_test(tc, a_set_has_the_values_that_are_given_and_no_other);
    tcase_add_test(tc, hosts_with_the_same_secrets_share_a_set);
    tcase_add_test(tc, another_record_clears_what_was_made_of_the_one_before);
    tcase_add_test(tc, the_set_that_was_not_asked_for_longest_goes);
    tcase_add_test(tc, without_memory_there_is_a_fault_and_what_there_was_stays);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

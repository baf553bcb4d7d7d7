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

static struct scrubs *taken_at(int64_t now_ms, const struct record *r, size_t a, size_t b)
{
    struct secret_set set = set_of(a, b);
    struct scrubs *s = NULL;

    ck_assert_int_eq(scrubcache_take(&cache, r, &set, NULL, now_ms, &s), FAULT_NONE);
    ck_assert(scrubcache_has(&cache, r, &set));
    return s;
}

static struct scrubs *taken(const struct record *r, size_t a, size_t b)
{
    return taken_at(1, r, a, b);
}

/* An answer that can't be searched must not be taken for one in which nothing is to be found. */
static void expect_none(int64_t now_ms, struct purse *purse, size_t a, size_t b)
{
    struct secret_set set = set_of(a, b);
    struct scrubs *s = (struct scrubs *)&cache;
    enum fault why = scrubcache_take(&cache, &record, &set, purse, now_ms, &s);

    ck_assert_msg(why == FAULT_OVERLOADED, "it fails with %s", fault_table[why].code);
    ck_assert_ptr_null(s);
    ck_assert(scrubcache_has(&cache, &record, &set)); /* that it can't be built is known */
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

    ck_assert_int_eq(scrubcache_take(&cache, &record, &none, NULL, 1, &s), FAULT_NONE);
    ck_assert_ptr_null(s);
    ck_assert(scrubcache_has(&cache, &record, &none));
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

START_TEST(it_has_what_it_would_give_at_once)
{
    struct secret_set first = set_of(FIRST, FIRST), second = set_of(SECOND, SECOND);

    ck_assert(!scrubcache_has(&cache, &record, &first));
    scrubs_drop(taken(&record, FIRST, FIRST));
    ck_assert(scrubcache_has(&cache, &record, &first));
    ck_assert(!scrubcache_has(&cache, &record, &second));
    ck_assert(!scrubcache_has(&cache, &newer, &first));
    scrubcache_clear(&cache);
    ck_assert(!scrubcache_has(&cache, &record, &first));
}
END_TEST

static struct secret *fill[512];
static size_t filled;

static void arena_fill(void)
{
    for (size_t octets = 32768; octets >= 64; octets /= 2)
        while (filled < COUNT(fill) && secret_blank(octets, &fill[filled]) == FAULT_NONE)
            filled++;
}

static void arena_drain(void)
{
    while (filled)
        secret_free(fill[--filled]);
}

START_TEST(others_make_room_and_who_holds_them_keeps_them)
{
    struct purse purse = {0};
    struct secret_set set = set_of(THIRD, THIRD);
    struct scrubs *held = taken(&record, FIRST, FIRST), *s;

    for (size_t i = 10; i < 30; i++)
        scrubs_drop(taken(&record, i, i));
    arena_fill(); /* those are not held: what they had is enough for another */
    ck_assert_int_eq(scrubcache_take(&cache, &record, &set, NULL, 1, &s), FAULT_NONE);
    ck_assert_uint_lt(cache.count, 22);
    ck_assert(seen(s, THIRD) && seen(held, FIRST) && !seen(held, THIRD));
    scrubs_drop(s);
    expect_none(1, &purse, FIRST, THIRD); /* not for what nobody would pay for */
    scrubs_drop(held);
    arena_drain();
    scrubcache_clear(&cache);
}
END_TEST

START_TEST(a_set_that_cannot_be_built_is_not_tried_again_for_a_while)
{
    size_t before = secret_arena_used();
    struct scrubs *s;

    arena_fill();
    expect_none(1000, NULL, FIRST, FIRST);
    arena_drain();
    expect_none(1000, NULL, FIRST, FIRST);
    s = taken_at(1000, &record, SECOND, SECOND); /* another one is */
    scrubs_drop(s);
    expect_none(1000 + SCRUBCACHE_FAILED_MS - 1, NULL, FIRST, FIRST);
    ck_assert_uint_eq(cache.count, 2);
    s = taken_at(1000 + SCRUBCACHE_FAILED_MS, &record, FIRST, FIRST);
    ck_assert(seen(s, FIRST));
    scrubs_drop(s);
    s = taken_at(1000, &record, SECOND, SECOND);
    ck_assert(seen(s, SECOND));
    scrubs_drop(s);
    ck_assert_uint_eq(cache.count, 2);
    scrubcache_clear(&cache);
    ck_assert_uint_eq(secret_arena_used(), before);
}
END_TEST

START_TEST(a_failure_is_forgotten_with_its_record)
{
    struct scrubs *s;

    arena_fill();
    expect_none(1, NULL, FIRST, FIRST);
    arena_drain();
    s = taken(&newer, FIRST, FIRST);
    ck_assert(seen(s, FIRST));
    scrubs_drop(s);
    scrubcache_clear(&cache);
}
END_TEST

START_TEST(the_purse_pays_and_is_repaid)
{
    const uint64_t most = (uint64_t)1 << 20;
    struct purse purse = {.locked = most};
    struct secret_set set = set_of(FIRST, FIRST), other = set_of(SECOND, SECOND);
    struct scrubs *s, *t;

    ck_assert_int_eq(scrubcache_take(&cache, &record, &set, &purse, 1, &s), FAULT_NONE);
    ck_assert_uint_lt(purse.locked, most);
    uint64_t price = most - purse.locked;

    purse.locked = price - 1;
    expect_none(1, &purse, SECOND, SECOND); /* the first has gone for it, but is held */
    scrubs_drop(s);
    ck_assert_uint_eq(purse.locked, 2 * price - 1);
    ck_assert_int_eq(scrubcache_take(&cache, &record, &other, &purse, 1 + SCRUBCACHE_FAILED_MS, &t),
                     FAULT_NONE);
    ck_assert_uint_eq(purse.locked, price - 1);
    scrubs_drop(t);
    ck_assert_int_eq(scrubcache_take(&cache, &record, &set, &purse, 1, &s),
                     FAULT_NONE); /* the second makes room */
    ck_assert_uint_eq(purse.locked, price - 1);
    scrubcache_clear(&cache);
    ck_assert_uint_eq(purse.locked, price - 1);
    scrubs_drop(s);
    ck_assert_uint_eq(purse.locked, 2 * price - 1);
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
    tcase_add_test(tc, it_has_what_it_would_give_at_once);
    tcase_add_test(tc, others_make_room_and_who_holds_them_keeps_them);
    tcase_add_test(tc, a_set_that_cannot_be_built_is_not_tried_again_for_a_while);
    tcase_add_test(tc, a_failure_is_forgotten_with_its_record);
    tcase_add_test(tc, the_purse_pays_and_is_repaid);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

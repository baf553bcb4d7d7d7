/* The load generator is no layer that tests are linked with, and this module of it has no other part. */
#include "../../bench/histogram.c"
#include <check.h>
#include <stdlib.h>

static struct histogram one;

static uint64_t random_next(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 20;
}

START_TEST(an_empty_one_has_no_percentiles)
{
    one = (struct histogram){.count = 0};
    ck_assert_uint_eq(histogram_at(&one, 50, 100), 0);
    ck_assert_uint_eq(histogram_at(&one, 100, 100), 0);
}
END_TEST

START_TEST(what_is_too_long_counts_as_the_longest)
{
    static const uint64_t longest[] = {HISTOGRAM_MOST, HISTOGRAM_MOST + 1, UINT64_MAX};

    for (size_t i = 0; i < sizeof longest / sizeof *longest; i++) {
        one = (struct histogram){.count = 0};
        histogram_add(&one, longest[i]);
        ck_assert_uint_eq(one.buckets[HISTOGRAM_BUCKETS - 1], 1);
        ck_assert_uint_eq(histogram_at(&one, 50, 100), HISTOGRAM_MOST);
    }
}
END_TEST

START_TEST(buckets_follow_each_other_without_a_gap)
{
    for (size_t i = 1; i < HISTOGRAM_BUCKETS; i++) {
        uint64_t low = histogram_top(i - 1) + 1;

        ck_assert_msg(histogram_bucket(low) == i && histogram_bucket(histogram_top(i)) == i,
                      "bucket %zu: %lu to %lu are in %zu and %zu", i, low, histogram_top(i),
                      histogram_bucket(low), histogram_bucket(histogram_top(i)));
    }
}
END_TEST

START_TEST(a_bucket_is_a_thousandth_wide_at_most)
{
    for (size_t i = 1; i < HISTOGRAM_BUCKETS; i++) {
        uint64_t low = histogram_top(i - 1) + 1;

        ck_assert_msg((histogram_top(i) - low) * 1000 <= low, "bucket %zu: %lu to %lu", i, low,
                      histogram_top(i));
    }
}
END_TEST

static int number_order(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

START_TEST(percentiles_agree_with_a_sorted_list)
{
    static const uint64_t parts[] = {0, 1, 500, 900, 990, 999, 1000};
    static uint64_t list[10007];
    uint64_t state = 1;

    for (unsigned round = 0; round < 8; round++) {
        size_t count = round == 0 ? 1 : sizeof list / sizeof *list - round;

        one = (struct histogram){.count = 0};
        for (size_t i = 0; i < count; i++) {
            list[i] = random_next(&state) >> (8 + random_next(&state) % 36);
            histogram_add(&one, list[i]);
        }
        qsort(list, count, sizeof *list, number_order);
        for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
            size_t rank = (count * parts[i] + 999) / 1000;
            uint64_t want = list[rank ? rank - 1 : 0], got = histogram_at(&one, parts[i], 1000);

            ck_assert_msg(got >= want && got - want <= want / 1000 && got <= one.max,
                          "round %u, %lu of 1000: %lu, the list says %lu", round, parts[i], got, want);
        }
        ck_assert_uint_eq(one.min, list[0]);
        ck_assert_uint_eq(one.max, list[count - 1]);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("histogram");
    TCase *all = tcase_create("all");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_test(all, an_empty_one_has_no_percentiles);
    tcase_add_test(all, what_is_too_long_counts_as_the_longest);
    tcase_add_test(all, buckets_follow_each_other_without_a_gap);
    tcase_add_test(all, a_bucket_is_a_thousandth_wide_at_most);
    tcase_add_test(all, percentiles_agree_with_a_sorted_list);
    suite_add_tcase(suite, all);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#include "mark.h"
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void setup(void)
{
    ck_assert_int_eq(mark_open(), FAULT_NONE);
}

static uint64_t raise_number(unsigned n, uint64_t version)
{
    char id[16];

    return mark_raise(slice_of(id, (size_t)snprintf(id, sizeof id, "sb%u", n)), version);
}

START_TEST(a_mark_only_rises)
{
    static const uint64_t versions[][2] = {
        /* what is read, and what was the highest */
        {5, 5}, {5, 5}, {4, 5}, {1, 5}, {0, 5}, {6, 6}, {5, 6}, {UINT64_MAX, UINT64_MAX}, {6, UINT64_MAX}};

    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
        ck_assert_uint_eq(mark_raise(SLICE("a"), versions[i][0]), versions[i][1]);
        ck_assert_uint_eq(mark_raise(SLICE("b"), i), i); /* another's has nothing to do with it */
    }
}
END_TEST

START_TEST(what_one_worker_has_seen_others_know)
{
    pid_t child = fork();
    int status;

    if (child == 0)
        _exit(mark_raise(SLICE("a"), 7) == 7 ? 0 : 1);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    ck_assert_uint_eq(mark_raise(SLICE("a"), 6), 7);
}
END_TEST

START_TEST(there_is_room_for_many)
{
    unsigned lost = 0;

    for (unsigned n = 0; n < MARK_SLOTS / 2; n++)
        ck_assert_uint_eq(raise_number(n, 1000 + n), 1000 + n);
    for (unsigned n = 0; n < MARK_SLOTS / 2; n++)
        lost += raise_number(n, 1) != 1000 + n;
    ck_assert_uint_eq(lost, 0);
}
END_TEST

/* Of three times as many as there is room for, the last have theirs, and none has another's. */
START_TEST(where_there_is_no_room_the_oldest_go)
{
    const unsigned all = 3 * MARK_SLOTS, last = MARK_SLOTS / 4;
    unsigned kept = 0;

    for (unsigned n = 0; n < all; n++)
        ck_assert_uint_eq(raise_number(n, 1000 + n), 1000 + n);
    for (unsigned n = all - last; n < all; n++)
        kept += raise_number(n, 1) == 1000 + n;
    ck_assert_uint_ge(kept, last / 100 * 99);
    for (unsigned n = 0; n < MARK_SLOTS / 4;
         n++) { /* what comes back when its mark has gone is taken, or its own is seen */
        uint64_t seen = raise_number(n, 1000 + n);

        ck_assert_uint_eq(seen, 1000 + n);
    }
}
END_TEST

/* Several workers raise the same marks and crowd each other out; a mark that stays must not fall. */
START_TEST(workers_raise_at_once)
{
    pid_t children[4];

    for (int c = 0; c < 4; c++) {
        children[c] = fork();
        if (children[c] != 0)
            continue;
        for (unsigned n = 0; n < MARK_SLOTS; n++)
            if (mark_raise(SLICE("shared"), UINT32_MAX + (uint64_t)n) < UINT32_MAX + (uint64_t)n ||
                raise_number(n * 4 + (unsigned)c, n + 1) < n + 1)
                _exit(1);
        _exit(0);
    }
    for (int c = 0; c < 4; c++) {
        int status;

        ck_assert_int_eq(waitpid(children[c], &status, 0), children[c]);
        ck_assert_int_eq(status, 0);
    }
    ck_assert_uint_eq(mark_raise(SLICE("shared"), 1), UINT32_MAX + (uint64_t)MARK_SLOTS - 1);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("mark");
    TCase *tc = tcase_create("mark");

    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, NULL);
    tcase_add_test(tc, a_mark_only_rises);
    tcase_add_test(tc, what_one_worker_has_seen_others_know);
    tcase_add_test(tc, there_is_room_for_many);
    tcase_add_test(tc, where_there_is_no_room_the_oldest_go);
    tcase_add_test(tc, workers_raise_at_once);
    suite_add_tcase(s, tc);
    SRunner *runner = srunner_create(s);

    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);

    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

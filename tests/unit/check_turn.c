#include "owner.h"
#include "turn.h"
#include <check.h>
#include <stdlib.h>

static struct ev_loop *loop;
static struct turn turn;

/* A thing that counts its runs, and may ask for itself or forget another. */
struct thing {
    struct soon soon;
    unsigned runs, again;
    struct thing *forgets;
};

static void thing_run(struct soon *s)
{
    struct thing *t = OWNER(s, struct thing, soon);

    t->runs++;
    if (t->forgets)
        turn_forget(&turn, &t->forgets->soon);
    if (t->again > 0) {
        t->again--;
        turn_soon(&turn, &t->soon);
    }
}

static void setup(void)
{
    loop = ev_loop_new(EVFLAG_AUTO);
    turn_open(&turn, loop);
}

static void teardown(void)
{
    turn_close(&turn);
    ev_loop_destroy(loop);
}

START_TEST(what_is_asked_for_often_runs_once)
{
    struct thing a = {.soon.run = thing_run};

    for (int i = 0; i < 3; i++)
        turn_soon(&turn, &a.soon);
    ev_run(loop, EVRUN_NOWAIT);
    ck_assert_uint_eq(a.runs, 1);
    ev_run(loop, EVRUN_NOWAIT);
    ck_assert_uint_eq(a.runs, 1);
}
END_TEST

START_TEST(what_asks_for_itself_has_its_turn_behind_a_look_at_sockets)
{
    struct thing a = {.soon.run = thing_run, .again = 2};

    turn_soon(&turn, &a.soon);
    for (unsigned turns = 1; turns <= 3; turns++) {
        ev_run(loop, EVRUN_NOWAIT);
        ck_assert_uint_eq(a.runs, turns);
    }
}
END_TEST

START_TEST(what_is_forgotten_does_not_run_also_not_in_the_turn_that_forgets_it)
{
    struct thing b = {.soon.run = thing_run}, a = {.soon.run = thing_run, .forgets = &b};

    turn_soon(&turn, &a.soon);
    turn_soon(&turn, &b.soon);
    ev_run(loop, EVRUN_NOWAIT);
    ck_assert_uint_eq(a.runs, 1);
    ck_assert_uint_eq(b.runs, 0);
    turn_forget(&turn, &b.soon);
}
END_TEST

static struct thing late = {.soon.run = thing_run};

static void asks_late(struct ev_loop *l, ev_prepare *p, int events)
{
    (void)events;
    turn_soon(&turn, &late.soon);
    ev_prepare_stop(l, p);
}

/* A lost one would let the loop sleep for ever: it ends by itself when nothing is left to wait for. */
START_TEST(what_is_asked_for_behind_the_end_of_a_turn_keeps_the_loop_awake)
{
    ev_prepare behind;

    ev_prepare_init(&behind, asks_late); /* of a lower priority: it runs behind the turn's */
    ev_prepare_start(loop, &behind);
    ev_run(loop, 0);
    ck_assert_uint_eq(late.runs, 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("turn");
    TCase *tc = tcase_create("turn");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, what_is_asked_for_often_runs_once);
    tcase_add_test(tc, what_asks_for_itself_has_its_turn_behind_a_look_at_sockets);
    tcase_add_test(tc, what_is_forgotten_does_not_run_also_not_in_the_turn_that_forgets_it);
    tcase_add_test(tc, what_is_asked_for_behind_the_end_of_a_turn_keeps_the_loop_awake);
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

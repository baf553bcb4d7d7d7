#include "clock.h"
#include "owner.h"
#include "waits.h"
#include <check.h>
#include <stdlib.h>

#define PATIENCE_MS 40

static struct ev_loop *loop;
static struct waitroom room;
static struct who_waits one, other;
static unsigned told;

/* One who waits. */
static struct guest {
    struct who_wait wait;
    unsigned told, rank;
    enum fault why;
    bool again;            /* waits once more, from inside */
    struct guest *cancels; /* another, from inside */
} guests[8];

static void guest_told(struct who_wait *wait, enum fault why, struct sandbox *s)
{
    struct guest *g = OWNER(wait, struct guest, wait);

    ck_assert_ptr_null(s);
    ck_assert_ptr_null(wait->on);
    g->told++;
    g->why = why;
    g->rank = ++told;
    if (g->cancels)
        waits_cancel(&g->cancels->wait);
    if (g->again) {
        g->again = false;
        waits_begin(wait, &room, &one, NULL, (struct ip){0});
    }
}

static void guest_late(struct who_wait *wait)
{
    waits_tell(wait, FAULT_STORE_UNAVAILABLE, NULL);
}

static void setup(void)
{
    loop = ev_loop_new(EVFLAG_AUTO);
    clock_turn();
    TAILQ_INIT(&one);
    TAILQ_INIT(&other);
    waitroom_open(&room, loop, PATIENCE_MS, guest_late);
    for (size_t i = 0; i < sizeof guests / sizeof *guests; i++)
        guests[i].wait.fn = guest_told;
}

static void teardown(void)
{
    waitroom_close(&room);
    ev_loop_destroy(loop);
}

static void begin(struct guest *g, struct who_waits *on)
{
    clock_turn();
    waits_begin(&g->wait, &room, on, NULL, (struct ip){0});
}

/* Until ${count} were told; the loop ends by itself when nobody waits. */
static void run_until(unsigned count)
{
    while (told < count && ev_run(loop, EVRUN_ONCE))
        clock_turn();
    ck_assert_uint_eq(told, count);
}

START_TEST(an_answer_tells_those_who_wait_for_it_in_their_order)
{
    begin(&guests[0], &one);
    begin(&guests[1], &other);
    begin(&guests[2], &one);
    waits_tell_all(&one, FAULT_REVOKED, NULL);
    ck_assert_uint_eq(guests[0].rank, 1);
    ck_assert_uint_eq(guests[2].rank, 2);
    ck_assert_int_eq(guests[2].why, FAULT_REVOKED);
    ck_assert_uint_eq(guests[1].told, 0);
    waits_tell_all(&one, FAULT_REVOKED, NULL);
    ck_assert_uint_eq(told, 2);
}
END_TEST

START_TEST(nobody_waits_longer_than_his_patience)
{
    int64_t began_ms = clock_mono_ms();

    begin(&guests[0], &one);
    begin(&guests[1], &other);
    run_until(2);
    ck_assert_int_ge(clock_mono_ms() - began_ms, PATIENCE_MS);
    ck_assert_uint_eq(guests[0].rank, 1);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(guests[i].why, FAULT_STORE_UNAVAILABLE);
    waits_tell_all(&one, FAULT_NONE, NULL);
    ck_assert_uint_eq(told, 2);
}
END_TEST

START_TEST(who_came_later_is_late_later)
{
    int64_t began_ms = clock_mono_ms();

    begin(&guests[0], &one);
    while (clock_mono_ms() < began_ms + PATIENCE_MS / 2)
        ev_sleep(0.001);
    begin(&guests[1], &one);
    run_until(1);
    ck_assert_uint_eq(guests[1].told, 0);
    run_until(2);
    ck_assert_int_ge(clock_mono_ms() - began_ms, PATIENCE_MS / 2 + PATIENCE_MS);
}
END_TEST

START_TEST(who_has_gone_is_told_nothing)
{
    begin(&guests[0], &one);
    begin(&guests[1], &one);
    waits_cancel(&guests[0].wait);
    waits_cancel(&guests[0].wait);
    waits_cancel(&guests[2].wait); /* who never waited */
    run_until(1);
    ck_assert_uint_eq(guests[0].told, 0);
    ck_assert_uint_eq(guests[1].told, 1);
}
END_TEST

START_TEST(who_is_told_may_cancel_another_and_wait_again)
{
    guests[0].cancels = &guests[1];
    guests[0].again = true;
    begin(&guests[0], &one);
    begin(&guests[1], &one);
    begin(&guests[2], &other);
    if (_i) {
        run_until(3);
    } else {
        waits_tell_all(&other, FAULT_REVOKED, NULL);
        waits_tell(&guests[0].wait, FAULT_REVOKED, NULL);
        ck_assert_uint_eq(told, 2);
        run_until(3);
    }
    ck_assert_uint_eq(guests[0].told, 2);
    ck_assert_uint_eq(guests[1].told, 0);
    ck_assert_uint_eq(guests[2].told, 1);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("waits");
    TCase *tc = tcase_create("waits");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, an_answer_tells_those_who_wait_for_it_in_their_order);
    tcase_add_test(tc, nobody_waits_longer_than_his_patience);
    tcase_add_test(tc, who_came_later_is_late_later);
    tcase_add_test(tc, who_has_gone_is_told_nothing);
    tcase_add_loop_test(tc, who_is_told_may_cancel_another_and_wait_again, 0, 2);
    suite_add_tcase(s, tc);
    SRunner *runner = srunner_create(s);

    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);

    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#include "asks.h"
#include "clock.h"
#include "metric.h"
#include "redisbed.h"

/*
 * One server, which is silent until a test lets it answer: "+x" to the oldest question of the connection that asks.
 */
#define MANY     400
#define REPLY    "$1\r\nx\r\n"
#define SILENT_S 0.1

static struct config config;
static struct worker worker;
static struct asks *asks;

static struct question {
    struct ask ask;
    char id[16];
    unsigned told;
    enum fault why;
    unsigned rank; /* in the order of answers, from 1 */
    bool again;    /* asks once more, from inside its answer */
} questions[MANY];

static unsigned ups, downs, told, faults;

static void on_commands(void *cookie, bool up)
{
    (void)cookie;
    ups += up;
    downs += !up;
}

static void on_reply(void *cookie, enum fault why, const redisReply *reply)
{
    struct question *q = cookie;

    ck_assert((why == FAULT_NONE) == (reply != NULL));
    q->told++;
    q->why = why;
    q->rank = ++told;
    faults += why != FAULT_NONE;
    if (q->again) {
        q->again = false;
        ck_assert_int_eq(asks_put(asks, &q->ask, true), FAULT_NONE);
    }
}

static void ask_on(size_t from, size_t to, bool urgent)
{
    for (size_t i = from; i < to; i++)
        ck_assert_int_eq(asks_put(asks, &questions[i].ask, urgent), FAULT_NONE);
}

/* No more than so many questions are at the server. */
static void silent_at(unsigned asked)
{
    ck_assert_uint_eq(wait_for(&servers[0].asked, asked + 1, SILENT_S), asked);
}

static void answer(unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        server_say(&servers[0], REPLY);
}

static void setup(void)
{
    bed_make();
    clock_turn();
    ck_assert_int_eq(metric_open(2), FAULT_NONE);
    metric_row_take(0);
    server_tcp(&servers[0], loop);
    config.store_timeout_ms = 20000;
    config.redis[0] = url_of("redis://127.0.0.1:%u", servers[0].port);
    config.redis_count = 1;
    strcpy(config.zone, "here");
    worker.loop = loop;
    worker.config = &config;
    for (size_t i = 0; i < MANY; i++) {
        snprintf(questions[i].id, sizeof questions[i].id, "sb%zu", i);
        questions[i].ask = (struct ask){.id = questions[i].id, .fn = on_reply, .cookie = &questions[i]};
    }
    ck_assert_int_eq(asks_new(&worker, (struct redishub_events){.commands = on_commands}, &asks), FAULT_NONE);
    WAIT(ups, 1);
}

static void teardown(void)
{
    asks_free(asks);
    bed_clear();
}

START_TEST(what_is_asked_are_the_keys_of_the_contract)
{
    struct question *q = &questions[0];

    ask_on(0, 1, true);
    WAIT(servers[0].asked, 1);
    ck_assert_str_eq(servers[0].last, "HGETALL osb:sandbox:{sb0}");
    answer(1);
    WAIT(told, 1);
    q->ask.id = NULL;
    ck_assert_int_eq(ip_parse(SLICE("2001:db8::1"), &q->ask.ip), FAULT_NONE);
    ask_on(0, 1, true);
    WAIT(servers[0].asked, 2);
    ck_assert_str_eq(servers[0].last, "GET osb:ip:here:{2001:db8::1}");
}
END_TEST

START_TEST(what_nobody_waits_for_leaves_room_for_what_somebody_does)
{
    ask_on(0, 200, false);
    WAIT(servers[0].asked, ASKS_IDLE);
    silent_at(ASKS_IDLE);
    ask_on(200, 210, true);
    WAIT(servers[0].asked, ASKS_IDLE + 10);
    asks_hurry(&questions[199].ask); /* the last of those who would wait longest */
    WAIT(servers[0].asked, ASKS_IDLE + 11);
    asks_hurry(&questions[199].ask);
    asks_hurry(&questions[0].ask); /* which is on its way */
    silent_at(ASKS_IDLE + 11);
}
END_TEST

START_TEST(each_answer_lets_the_next_one_go_and_none_is_forgotten)
{
    ask_on(0, MANY, true);
    WAIT(servers[0].asked, ASKS_MOST);
    silent_at(ASKS_MOST);
    answer(10);
    WAIT(servers[0].asked, ASKS_MOST + 10);
    silent_at(ASKS_MOST + 10);
    answer(MANY - 10);
    WAIT(told, MANY);
    for (unsigned i = 0; i < MANY; i++) {
        ck_assert_uint_eq(questions[i].told, 1);
        ck_assert_uint_eq(questions[i].rank, i + 1);
    }
    ck_assert_uint_eq(faults, 0);
}
END_TEST

START_TEST(who_is_waited_for_goes_before_those_who_came_first)
{
    ask_on(0, 300, true);
    ask_on(300, 350, false);
    ask_on(350, 360, true);
    asks_hurry(&questions[349].ask);
    WAIT(servers[0].asked, ASKS_MOST);
    answer(360);
    WAIT(told, 360);
    for (unsigned i = 350; i < 360; i++)
        ck_assert_uint_eq(questions[i].rank, i - 49); /* behind the 300 */
    ck_assert_uint_eq(questions[349].rank, 311);
    ck_assert_uint_eq(questions[300].rank, 312);
}
END_TEST

START_TEST(an_answer_may_ask_again)
{
    questions[0].again = questions[1].again = true;
    ask_on(0, 2, false);
    WAIT(servers[0].asked, 2);
    answer(2);
    WAIT(servers[0].asked, 4);
    answer(2);
    WAIT(told, 4);
    ck_assert_uint_eq(faults, 0);
}
END_TEST

START_TEST(when_redis_goes_all_are_told_once_and_nobody_may_ask)
{
    ask_on(0, 300, true);
    ask_on(300, MANY, false);
    WAIT(servers[0].asked, ASKS_MOST);
    server_stop(&servers[0]);
    WAIT(downs, 1);
    ck_assert_uint_eq(told, MANY);
    ck_assert_uint_eq(faults, MANY);
    for (unsigned i = 0; i < MANY; i++) {
        ck_assert_uint_eq(questions[i].told, 1);
        ck_assert_int_eq(questions[i].why, FAULT_STORE_UNAVAILABLE);
    }
    ck_assert(!asks_up(asks));
    ck_assert_int_eq(asks_put(asks, &questions[0].ask, true), FAULT_STORE_UNAVAILABLE);
    ck_assert_uint_eq(told, MANY);
}
END_TEST

START_TEST(at_the_end_all_are_told)
{
    ask_on(0, 300, true);
    ask_on(300, MANY, false);
    WAIT(servers[0].asked, ASKS_MOST);
    asks_free(asks);
    asks = NULL;
    ck_assert_uint_eq(told, MANY);
    ck_assert_uint_eq(faults, MANY);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("asks");
    TCase *tc = tcase_create("asks");

    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, what_is_asked_are_the_keys_of_the_contract);
    tcase_add_test(tc, what_nobody_waits_for_leaves_room_for_what_somebody_does);
    tcase_add_test(tc, each_answer_lets_the_next_one_go_and_none_is_forgotten);
    tcase_add_test(tc, who_is_waited_for_goes_before_those_who_came_first);
    tcase_add_test(tc, an_answer_may_ask_again);
    tcase_add_test(tc, when_redis_goes_all_are_told_once_and_nobody_may_ask);
    tcase_add_test(tc, at_the_end_all_are_told);
    suite_add_tcase(s, tc);
    SRunner *runner = srunner_create(s);

    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);

    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#include "linkbed.h"

/* --- refusals ------------------------------------------------------------------------------------------- */

static const char *const bad_greetings[] = {
    "-NOAUTH Authentication required.\r\n", "+NOPE\r\n", ":1\r\n", "*0\r\n", "-LOADING\r\n", "SSH-2.0-x\r\n"};

START_TEST(a_bad_greeting_never_makes_the_link_up)
{
    server->greeting = bad_greetings[_i];
    listen_unix();
    struct redislink *l = link_to(_i % 2 ? "osb:changes" : NULL, TIMEOUT_MS);

    WAIT(server->connections, 3); /* it keeps trying */
    ck_assert_uint_eq(seen.ups, 0);
    ck_assert_uint_eq(seen.downs, 1); /* said once */
    ck_assert(!redislink_up(l));
    redislink_free(l);
}
END_TEST

START_TEST(the_password_is_in_no_log)
{
    strcpy(urls[0].user, _i ? "user" : "");
    strcpy(urls[0].password, PASSWORD);
    server->greeting = "-ERR unknown command 'AUTH', with args beginning with: '" PASSWORD "' \r\n";
    listen_unix();
    struct redislink *l = link_to(NULL, TIMEOUT_MS);

    WAIT(server->connections, 2);
    redislink_free(l);
    ck_assert_ptr_nonnull(strstr(said(), "to=\"AUTH\" error=\"ERR\""));
    ck_assert_msg(strstr(said(), PASSWORD) == NULL, "%s", said());
}
END_TEST

START_TEST(a_reply_may_have_eight_mebioctets_and_not_one_more)
{
    size_t whole = 8 * 1024 * 1024 + (size_t)_i, head = strlen("$8388596\r\n");
    uint8_t *large = malloc(whole + 1);

    memset(large, 'x', whole);
    snprintf((char *)large, 16, "$%zu\r", whole - head - 2);
    memcpy(large + head - 1, "\n", 1);
    memcpy(large + whole - 2, "\r\n", 2);
    server->large = large;
    server->large_octets = whole;
    listen_unix();
    struct redislink *l = link_to(NULL, 5000);

    WAIT(seen.ups, 1);
    ck_assert_int_eq(command(l, "GET", "x", NULL), FAULT_NONE);
    WAIT(seen.answers, 1);
    ck_assert_uint_eq(seen.faults, (unsigned)_i);
    ck_assert_uint_eq(seen.downs, (unsigned)_i);
    redislink_free(l);
    free(large);
}
END_TEST

/* Two arrays in one, each within the bound; all elements together are at it, or one above. */
START_TEST(a_reply_may_have_so_many_elements_however_they_are_nested)
{
    enum { MOST = 128 * 1024, FIRST = MOST / 2 };
    size_t numbers = MOST - 2 + (size_t)_i, len = 0;
    char *large = malloc(numbers * 4 + 64);

    for (size_t i = 0; i < numbers; i++) {
        if (i == 0)
            len += (size_t)sprintf(large + len, "*2\r\n*%d\r\n", FIRST);
        if (i == FIRST)
            len += (size_t)sprintf(large + len, "*%zu\r\n", numbers - FIRST);
        len += (size_t)sprintf(large + len, ":1\r\n");
    }
    server->large = (const uint8_t *)large;
    server->large_octets = len;
    listen_unix();
    struct redislink *l = link_to(NULL, 5000);

    WAIT(seen.ups, 1);
    ck_assert_int_eq(command(l, "GET", "x", NULL), FAULT_NONE);
    WAIT(seen.answers, 1);
    ck_assert_uint_eq(seen.faults, (unsigned)_i);
    redislink_free(l);
    free(large);
}
END_TEST

START_TEST(what_was_not_asked_for_ends_the_connection)
{
    server->answer[0] = "+asked\r\n+not asked\r\n";
    listen_unix();
    struct redislink *l = link_to(NULL, TIMEOUT_MS);

    WAIT(seen.ups, 1);
    ck_assert_int_eq(command(l, "GET", "x", NULL), FAULT_NONE);
    WAIT(seen.downs, 1);
    ck_assert_uint_eq(seen.answers, 1);
    ck_assert_str_eq(seen.text, "asked");
    redislink_free(l);
}
END_TEST

/* A late answer would be taken for the next command's: so one timeout fails all who wait. */
START_TEST(a_timeout_fails_everyone_and_no_answer_moves_to_another)
{
    server->answer[1] = server->answer[2] = "+for the second or third\r\n";
    listen_unix();
    struct redislink *l = link_to(NULL, TIMEOUT_MS);

    WAIT(seen.ups, 1);
    ck_assert_int_eq(command(l, "GET", "silence", NULL), FAULT_NONE);
    WAIT(server->asked, 1);
    WAIT(seen.answers, 1);
    ck_assert_uint_eq(seen.faults, 1);
    WAIT(seen.ups, 2);
    server->answer[0] = "+for the fourth\r\n";
    ck_assert_int_eq(command(l, "GET", "fourth", NULL), FAULT_NONE);
    WAIT(seen.answers, 2);
    ck_assert_str_eq(seen.text, "for the fourth");
    redislink_free(l);
}
END_TEST

START_TEST(commands_beyond_the_bounds_are_refused)
{
    static char big[1024 * 1024];
    const struct slice whole = slice_of(big, sizeof big);

    listen_unix();
    struct redislink *l = link_to(NULL, 5000);

    ck_assert_int_eq(command(l, "GET", "x", NULL), FAULT_STORE_UNAVAILABLE); /* not up yet */
    WAIT(seen.ups, 1);
    ck_assert_int_eq(redislink_command(l, NULL, 0, on_answer, &seen), FAULT_INVALID);
    ck_assert_int_eq(redislink_command(l, &whole, 1, on_answer, &seen), FAULT_OVERLOADED);
    for (int i = 0; i < REDISLINK_WAITING; i++)
        ck_assert_int_eq(command(l, "GET", "x", NULL), FAULT_NONE);
    ck_assert_int_eq(command(l, "GET", "x", NULL), FAULT_OVERLOADED);
    ck_assert_uint_eq(seen.answers, 0);
    redislink_free(l);
    ck_assert_uint_eq(seen.faults, REDISLINK_WAITING); /* each told, once */
}
END_TEST

START_TEST(a_redis_that_is_away_is_no_failure)
{
    struct redislink *l = link_to(NULL, TIMEOUT_MS);

    ck_assert(!redislink_up(l));
    wait_for(&seen.ups, 1, 0.2);
    ck_assert_uint_eq(seen.ups, 0);
    ck_assert_uint_eq(seen.downs, 1);
    listen_unix();
    WAIT(seen.ups, 1);
    redislink_free(l);
}
END_TEST

START_TEST(a_name_without_an_address_is_no_failure)
{
    urls[0] = url_of("redis://nothing.invalid");
    struct redislink *l = link_to(NULL, TIMEOUT_MS);

    wait_for(&seen.ups, 1, 0.2);
    ck_assert(!redislink_up(l));
    redislink_free(l);
}
END_TEST

/* --- callbacks that call back --------------------------------------------------------------------------- */

static struct redislink *turned;

static void on_answer_free(void *cookie, enum fault why, const redisReply *reply)
{
    on_answer(cookie, why, reply);
    redislink_free(turned);
    turned = NULL;
}

static void on_answer_again(void *cookie, enum fault why, const redisReply *reply)
{
    const struct slice argv[] = {SLICE("GET"), SLICE("again")};
    enum fault now = redislink_command(turned, argv, 2, on_answer, &seen);

    on_answer(cookie, why, reply);
    ck_assert_int_eq(now, why == FAULT_NONE ? FAULT_NONE : FAULT_STORE_UNAVAILABLE);
}

START_TEST(an_answer_may_free_the_link)
{
    const struct slice argv[] = {SLICE("GET"), SLICE("x")};

    server->closes = _i & 1;
    server->answer[0] = "+a\r\n+b\r\n+c\r\n";
    listen_unix();
    turned = link_to(NULL, _i & 2 ? TIMEOUT_MS : 5000);
    if (_i & 2)
        server->answer[0] = NULL;
    WAIT(seen.ups, 1);
    ck_assert_int_eq(redislink_command(turned, argv, 2, on_answer_free, &seen), FAULT_NONE);
    ck_assert_int_eq(redislink_command(turned, argv, 2, on_answer, &seen), FAULT_NONE);
    ck_assert_int_eq(redislink_command(turned, argv, 2, on_answer, &seen), FAULT_NONE);
    WAIT(seen.answers, 3);
    ck_assert_ptr_null(turned);
    ck_assert_uint_ge(seen.faults, 2);
}
END_TEST

START_TEST(an_answer_may_send_another_command)
{
    const struct slice argv[] = {SLICE("GET"), SLICE("x")};

    server->closes = _i;
    server->answer[0] = "+first\r\n";
    server->answer[1] = "+again\r\n";
    listen_unix();
    turned = link_to(NULL, TIMEOUT_MS);
    WAIT(seen.ups, 1);
    ck_assert_int_eq(redislink_command(turned, argv, 2, on_answer_again, &seen), FAULT_NONE);
    WAIT(seen.answers, _i ? 1 : 2);
    redislink_free(turned);
}
END_TEST

START_TEST(a_state_or_a_message_may_free_the_link)
{
    server->lines = (const struct line[]){
        {"SUBSCRIBE", SUBSCRIBED "*3\r\n$7\r\nmessage\r\n$2\r\nch\r\n$2\r\nhi\r\n"}, {0}};
    listen_unix();
    struct redislink *l = link_to("ch", TIMEOUT_MS);

    if (_i) {
        seen.free_at_message = l;
        WAIT(seen.messages, 1);
    } else {
        seen.free_at_state = l;
        WAIT(seen.ups, 1);
    }
    ev_run(loop, EVRUN_NOWAIT);
    ck_assert_uint_eq(seen.messages, (unsigned)_i);
}
END_TEST

/* --- subscriptions -------------------------------------------------------------------------------------- */

static const char *const bad_pushes[] = {
    SUBSCRIBED "+OK\r\n",
    SUBSCRIBED "-ERR x\r\n",
    SUBSCRIBED "*3\r\n$7\r\nmessage\r\n$2\r\nno\r\n$2\r\nhi\r\n",
    SUBSCRIBED "*3\r\n$7\r\nmessage\r\n$2\r\nch\r\n:1\r\n",
    SUBSCRIBED "*2\r\n$4\r\npong\r\n$0\r\n\r\n",
    SUBSCRIBED "*0\r\n",
    SUBSCRIBED "*3\r\n*0\r\n$2\r\nch\r\n$2\r\nhi\r\n",
    SUBSCRIBED, /* and nothing more: no sign of life */
};

START_TEST(a_subscription_ends_at_what_it_did_not_expect)
{
    server->lines = (const struct line[]){{"SUBSCRIBE", bad_pushes[_i]}, {0}};
    listen_unix();
    struct redislink *l = link_to("ch", 20);

    WAIT(seen.ups, 1);
    server->lines = (const struct line[]){{"PING", NULL}, {0}};
    WAIT(seen.downs, 1);
    ck_assert_uint_eq(seen.ups, 1);
    ck_assert_uint_eq(seen.messages, 0);
    redislink_free(l);
}
END_TEST

START_TEST(a_quiet_subscription_is_asked_for_a_sign_of_life)
{
    listen_unix();
    struct redislink *l = link_to("ch", 20);

    WAIT(seen.ups, 1);
    server->lines = (const struct line[]){{"PING", PONG}, {0}};
    WAIT(server->commands, 5); /* PING, ROLE, SUBSCRIBE, and two that are for life */
    server_say(server, "*3\r\n$7\r\nmessage\r\n$2\r\nch\r\n$2\r\nhi\r\n");
    WAIT(seen.messages, 1);
    ck_assert_uint_eq(seen.downs, 0);
    ck_assert_str_eq(server->last, "PING");
    ck_assert_str_eq(seen.payload, "hi");
    redislink_free(l);
}
END_TEST

/* --- the real Redis ------------------------------------------------------------------------------------- */

static pid_t redis_start(void)
{
    return real_start("redis-server --port 0 --unixsocket %s --save  --dir %s --requirepass %s", socket_path,
                      dir, PASSWORD);
}

START_TEST(the_real_redis_answers_in_order_and_comes_back)
{
    pid_t redis = redis_start();

    strcpy(urls[0].password, PASSWORD);
    urls[0].db = 3;
    struct redislink *l = link_to(NULL, 5000);

    WAIT(seen.ups, 1);
    ck_assert_int_eq(command(l, "SET", "key", "value"), FAULT_NONE);
    ck_assert_int_eq(command(l, "GET", "key", NULL), FAULT_NONE);
    WAIT(seen.answers, 2);
    ck_assert_str_eq(seen.text, "value");
    ck_assert_int_eq(command(l, "HGET", "key", "x"), FAULT_NONE);
    WAIT(seen.answers, 3);
    ck_assert_str_eq(seen.text, "-WRONGTYPE");
    for (int i = 0; i < 1000; i++)
        ck_assert_int_eq(command(l, "INCR", "n", NULL), FAULT_NONE);
    WAIT(seen.answers, 1003);
    ck_assert_int_eq(seen.number, 1000);
    unsigned downs = seen.downs; /* of the time before it listened */

    real_stop(redis);
    unlink(socket_path);
    WAIT(seen.downs, downs + 1);
    redis = redis_start();
    WAIT(seen.ups, 2);
    redislink_free(l);
    real_stop(redis);
}
END_TEST

START_TEST(the_real_redis_publishes_and_refuses_a_wrong_password)
{
    pid_t redis = redis_start();

    strcpy(urls[0].password, PASSWORD);
    struct redislink *sub = link_to("osb:changes", 100), *cmd = link_to(NULL, 5000);

    WAIT(seen.ups, 2);
    ck_assert_int_eq(command(cmd, "PUBLISH", "osb:changes", "sb1"), FAULT_NONE);
    WAIT(seen.messages, 1);
    ck_assert_str_eq(seen.payload, "sb1");
    unsigned downs = seen.downs; /* of the time before it answered */

    wait_for(&seen.downs, downs + 1, 1.1); /* over a sign of life of each */
    ck_assert_uint_eq(seen.downs, downs);
    redislink_free(sub);
    redislink_free(cmd);
    strcpy(urls[0].password, "wrong-canary");
    struct redislink *wrong = link_to(NULL, 5000);

    wait_for(&seen.ups, 3, 0.3);
    ck_assert(!redislink_up(wrong));
    ck_assert_ptr_nonnull(strstr(said(), "error=\"WRONGPASS\""));
    ck_assert_ptr_null(strstr(said(), "canary"));
    redislink_free(wrong);
    real_stop(redis);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("redislink");
    TCase *tc = tcase_create("redislink");

    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, room_make, room_clear);
    tcase_add_loop_test(tc, a_bad_greeting_never_makes_the_link_up, 0, COUNT(bad_greetings));
    tcase_add_loop_test(tc, the_password_is_in_no_log, 0, 2);
    tcase_add_loop_test(tc, a_reply_may_have_eight_mebioctets_and_not_one_more, 0, 2);
    tcase_add_loop_test(tc, a_reply_may_have_so_many_elements_however_they_are_nested, 0, 2);
    tcase_add_test(tc, what_was_not_asked_for_ends_the_connection);
    tcase_add_test(tc, a_timeout_fails_everyone_and_no_answer_moves_to_another);
    tcase_add_test(tc, commands_beyond_the_bounds_are_refused);
    tcase_add_test(tc, a_redis_that_is_away_is_no_failure);
    tcase_add_test(tc, a_name_without_an_address_is_no_failure);
    tcase_add_loop_test(tc, an_answer_may_free_the_link, 0, 4);
    tcase_add_loop_test(tc, an_answer_may_send_another_command, 0, 2);
    tcase_add_loop_test(tc, a_state_or_a_message_may_free_the_link, 0, 2);
    tcase_add_loop_test(tc, a_subscription_ends_at_what_it_did_not_expect, 0, COUNT(bad_pushes));
    tcase_add_test(tc, a_quiet_subscription_is_asked_for_a_sign_of_life);
    tcase_add_test(tc, the_real_redis_answers_in_order_and_comes_back);
    tcase_add_test(tc, the_real_redis_publishes_and_refuses_a_wrong_password);
    suite_add_tcase(s, tc);
    SRunner *runner = srunner_create(s);

    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);

    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

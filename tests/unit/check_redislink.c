#include "redislink.h"
#include "respserver.h"
#include <arpa/inet.h>
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATIENCE_S 10.0 /* of a test for any one event */
#define TIMEOUT_MS 60   /* of a command, against the scripted server */
#define PASSWORD   "hunter2-canary"

static char dir[] = "/tmp/check_redislink.XXXXXX", socket_path[64], stderr_path[64];
static struct ev_loop *loop;
static struct config_redis where;

/* --- what the link told --------------------------------------------------------------------------------- */

static struct seen {
    unsigned ups, downs, answers, faults, messages;
    enum fault why;
    long long number; /* of the last answer, if it was one */
    char text[64], payload[64];
    struct redislink *free_at_state, *free_at_message;
} seen;

static void on_state(void *cookie, bool up)
{
    struct seen *s = cookie;

    s->ups += up;
    s->downs += !up;
    redislink_free(s->free_at_state);
    s->free_at_state = NULL;
}

static void on_message(void *cookie, struct slice payload)
{
    struct seen *s = cookie;

    s->messages++;
    snprintf(s->payload, sizeof s->payload, "%.*s", SLICE_PRINTF(payload));
    redislink_free(s->free_at_message);
    s->free_at_message = NULL;
}

static void on_answer(void *cookie, enum fault why, const redisReply *reply)
{
    struct seen *s = cookie;

    ck_assert_msg((why == FAULT_NONE) == (reply != NULL), "a reply without success, or the reverse");
    s->answers++;
    s->faults += why != FAULT_NONE;
    s->why = why;
    s->text[0] = 0;
    if (reply && reply->type == REDIS_REPLY_INTEGER)
        s->number = reply->integer;
    if (reply && (reply->type == REDIS_REPLY_STRING || reply->type == REDIS_REPLY_STATUS))
        snprintf(s->text, sizeof s->text, "%s", reply->str);
}

static const struct redislink_events events = {on_message, on_state, &seen};

static struct redislink *link_to(const char *channel, uint64_t timeout_ms)
{
    struct redislink *l = NULL;

    ck_assert_int_eq(redislink_new(loop, &where, timeout_ms, channel, events, &l), FAULT_NONE);
    return l;
}

static void on_late(struct ev_loop *l, ev_timer *w, int revents)
{
    (void)l;
    (void)revents;
    *(bool *)w->data = true;
}

/* Run the loop until ${count} has reached ${want}; what it then is. */
static unsigned wait_for(const unsigned *count, unsigned want, double patience_s)
{
    bool late = false;
    ev_timer limit;

    ev_now_update(loop);
    ev_timer_init(&limit, on_late, patience_s, 0);
    limit.data = &late;
    ev_timer_start(loop, &limit);
    while (*count < want && !late)
        ev_run(loop, EVRUN_ONCE);
    ev_timer_stop(loop, &limit);
    return *count;
}

#define WAIT(count, want) ck_assert_uint_eq(wait_for(&(count), want, PATIENCE_S), want)

static enum fault command(struct redislink *l, const char *one, const char *two, const char *three)
{
    const struct slice argv[] = {slice_text(one), slice_text(two), slice_text(three)};

    return redislink_command(l, argv, three ? 3 : two ? 2 : 1, on_answer, &seen);
}

static void room_make(void)
{
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(socket_path, sizeof socket_path, "%s/redis.sock", dir);
    snprintf(stderr_path, sizeof stderr_path, "%s/stderr", dir);
    strcpy(where.unix_path, socket_path);
    loop = ev_loop_new(EVFLAG_AUTO);
    int fd = open(stderr_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    dup2(fd, STDERR_FILENO);
    close(fd);
}

static void room_clear(void)
{
    server_stop();
    unlink(socket_path);
    unlink(stderr_path);
    rmdir(dir);
    ev_loop_destroy(loop);
}

static void listen_unix(void)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};

    strcpy(un.sun_path, socket_path);
    listen_on(loop, (void *)&un, sizeof un);
}

static const char *said(void)
{
    static char text[65536];
    FILE *f = fopen(stderr_path, "r");
    size_t n = fread(text, 1, sizeof text - 1, f);

    fclose(f);
    text[n] = 0;
    return text;
}

/* --- refusals ------------------------------------------------------------------------------------------- */

static const struct bad_answer {
    const char *octets;
    bool drops;
} bad_answers[] = {
    {"-ERR boom\r\n", false},
    {"-LOADING Redis is loading\r\n", false},
    {"-MOVED 1 127.0.0.1:1\r\n", false},
    {"-WRONGTYPE it is a list\r\n", false},
    {"*2\r\n+OK\r\n-ERR inside\r\n", false},
    {"*1\r\n*1\r\n*2\r\n:1\r\n-ERR deep inside\r\n", false},
    {"garbage\r\n", true},
    {"\r\n", true},
    {"HTTP/1.1 200 OK\r\n\r\n", true},
    {">2\r\n+message\r\n+x\r\n", true},
    {"%1\r\n+a\r\n+b\r\n", true},
    {"_\r\n", true},
    {":12x\r\n", true},
    {"$-2\r\n", true},
    {"$1073741824\r\n", true},
    {"$99999999999999999999\r\n", true},
    {"$3\r\nab", true},
    {"*2147483647\r\n", true},
    {"*4294967297\r\n", true},
    {"*131073\r\n", true},
    {"*-2\r\n", true},
    {"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n+x\r\n", true},
    {"+half a reply", true},
    {NULL, true},
};

START_TEST(a_bad_answer_is_a_fault_and_never_a_value)
{
    const struct bad_answer *bad = &bad_answers[_i];

    server.answer[0] = bad->octets;
    server.answer[1] = "+second\r\n";
    listen_unix();
    struct redislink *l = link_to(NULL, TIMEOUT_MS);

    WAIT(seen.ups, 1);
    ck_assert_int_eq(command(l, "GET", "x", NULL), FAULT_NONE);
    WAIT(seen.answers, 1);
    ck_assert_int_eq(seen.why, FAULT_STORE_UNAVAILABLE);
    if (bad->drops)
        WAIT(seen.downs, 1);
    ck_assert_msg(redislink_up(l) == !bad->drops, "%s: the link is %s", bad->octets ? bad->octets : "silence",
                  redislink_up(l) ? "up" : "down");
    server.answer[0] = server.answer[1];
    if (bad->drops) {
        ck_assert_int_eq(command(l, "GET", "x", NULL), FAULT_STORE_UNAVAILABLE);
        WAIT(seen.ups, 2); /* it recovers alone */
    }
    ck_assert_int_eq(command(l, "GET", "x", NULL), FAULT_NONE);
    WAIT(seen.answers, 2);
    ck_assert_str_eq(seen.text, "second");
    redislink_free(l);
}
END_TEST

static const char *const bad_greetings[] = {
    "-NOAUTH Authentication required.\r\n", "+NOPE\r\n", ":1\r\n", "*0\r\n", "-LOADING\r\n", "SSH-2.0-x\r\n"};

START_TEST(a_bad_greeting_never_makes_the_link_up)
{
    server.greeting = bad_greetings[_i];
    listen_unix();
    struct redislink *l = link_to(_i % 2 ? "osb:changes" : NULL, TIMEOUT_MS);

    WAIT(server.connections, 3); /* it keeps trying */
    ck_assert_uint_eq(seen.ups, 0);
    ck_assert_uint_eq(seen.downs, 1); /* said once */
    ck_assert(!redislink_up(l));
    redislink_free(l);
}
END_TEST

START_TEST(the_password_is_in_no_log)
{
    strcpy(where.user, _i ? "user" : "");
    strcpy(where.password, PASSWORD);
    server.greeting = "-ERR unknown command 'AUTH', with args beginning with: '" PASSWORD "' \r\n";
    listen_unix();
    struct redislink *l = link_to(NULL, TIMEOUT_MS);

    WAIT(server.connections, 2);
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
    server.large = large;
    server.large_octets = whole;
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

START_TEST(what_was_not_asked_for_ends_the_connection)
{
    server.answer[0] = "+asked\r\n+not asked\r\n";
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
    server.answer[1] = server.answer[2] = "+for the second or third\r\n";
    listen_unix();
    struct redislink *l = link_to(NULL, TIMEOUT_MS);

    WAIT(seen.ups, 1);
    ck_assert_int_eq(command(l, "GET", "silence", NULL), FAULT_NONE);
    WAIT(server.commands, 2);
    WAIT(seen.answers, 1);
    ck_assert_uint_eq(seen.faults, 1);
    WAIT(seen.ups, 2);
    server.answer[0] = "+for the fourth\r\n";
    ck_assert_int_eq(command(l, "GET", "fourth", NULL), FAULT_NONE);
    WAIT(seen.answers, 2);
    ck_assert_str_eq(seen.text, "for the fourth");
    redislink_free(l);
}
END_TEST

START_TEST(commands_beyond_the_bounds_are_refused)
{
    struct slice many[REDISLINK_ARGUMENTS + 1];
    static char big[1024 * 1024];

    for (size_t i = 0; i <= REDISLINK_ARGUMENTS; i++)
        many[i] = SLICE("x");
    listen_unix();
    struct redislink *l = link_to(NULL, 5000);

    ck_assert_int_eq(command(l, "GET", "x", NULL), FAULT_STORE_UNAVAILABLE); /* not up yet */
    WAIT(seen.ups, 1);
    ck_assert_int_eq(redislink_command(l, many, 0, on_answer, &seen), FAULT_INVALID);
    ck_assert_int_eq(redislink_command(l, many, REDISLINK_ARGUMENTS + 1, on_answer, &seen), FAULT_INVALID);
    many[0] = slice_of(big, sizeof big);
    ck_assert_int_eq(redislink_command(l, many, 1, on_answer, &seen), FAULT_OVERLOADED);
    for (int i = 0; i < 1024; i++)
        ck_assert_int_eq(command(l, "GET", "x", NULL), FAULT_NONE);
    ck_assert_int_eq(command(l, "GET", "x", NULL), FAULT_OVERLOADED);
    ck_assert_uint_eq(seen.answers, 0);
    redislink_free(l);
    ck_assert_uint_eq(seen.faults, 1024); /* each told, once */
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
    where.unix_path[0] = 0;
    strcpy(where.host, "nothing.invalid");
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

    server.closes = _i & 1;
    server.answer[0] = "+a\r\n+b\r\n+c\r\n";
    listen_unix();
    turned = link_to(NULL, _i & 2 ? TIMEOUT_MS : 5000);
    if (_i & 2)
        server.answer[0] = NULL;
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

    server.closes = _i;
    server.answer[0] = "+first\r\n";
    server.answer[1] = "+again\r\n";
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
    server.greeting = "*3\r\n$9\r\nsubscribe\r\n$2\r\nch\r\n:1\r\n"
                      "*3\r\n$7\r\nmessage\r\n$2\r\nch\r\n$2\r\nhi\r\n";
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

#define SUBSCRIBED "*3\r\n$9\r\nsubscribe\r\n$2\r\nch\r\n:1\r\n"

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
    server.greeting = bad_pushes[_i];
    listen_unix();
    struct redislink *l = link_to("ch", 20);

    WAIT(seen.downs, 1);
    ck_assert_uint_eq(seen.ups, 1);
    ck_assert_uint_eq(seen.messages, 0);
    redislink_free(l);
}
END_TEST

START_TEST(a_quiet_subscription_is_asked_for_a_sign_of_life)
{
    server.greeting = SUBSCRIBED;
    server.answer[0] = server.answer[1] = "*2\r\n$4\r\npong\r\n$0\r\n\r\n";
    server.answer[2] = "*2\r\n$4\r\npong\r\n$0\r\n\r\n*3\r\n$7\r\nmessage\r\n$2\r\nch\r\n$2\r\nhi\r\n";
    listen_unix();
    struct redislink *l = link_to("ch", 20);

    WAIT(seen.messages, 1);
    ck_assert_uint_eq(seen.downs, 0);
    ck_assert_str_eq(server.last, "PING");
    ck_assert_str_eq(seen.payload, "hi");
    redislink_free(l);
}
END_TEST

/* --- over TCP, and the real Redis ----------------------------------------------------------------------- */

START_TEST(a_host_name_is_resolved_and_the_greeting_is_whole)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof in;

    listen_on(loop, (void *)&in, sizeof in);
    ck_assert_int_eq(getsockname(server.listener.fd, (void *)&in, &len), 0);
    where = (struct config_redis){.host = "127.0.0.1", .port = ntohs(in.sin_port), .db = 4};
    strcpy(where.password, PASSWORD);
    server.greeting = "+OK\r\n";
    server.answer[0] = "+OK\r\n";
    server.answer[1] = "+PONG\r\n";
    struct redislink *l = link_to(NULL, TIMEOUT_MS);

    WAIT(seen.ups, 1);
    ck_assert_uint_eq(server.commands, 3);
    ck_assert_str_eq(server.last, "PING");
    redislink_free(l);
}
END_TEST

START_TEST(the_real_redis_answers_in_order)
{
    pid_t redis = redis_start(dir, socket_path, PASSWORD);

    strcpy(where.password, PASSWORD);
    where.db = 3;
    struct redislink *l = link_to(NULL, 5000);

    WAIT(seen.ups, 1);
    ck_assert_int_eq(command(l, "SET", "key", "value"), FAULT_NONE);
    ck_assert_int_eq(command(l, "GET", "key", NULL), FAULT_NONE);
    WAIT(seen.answers, 2);
    ck_assert_str_eq(seen.text, "value");
    ck_assert_int_eq(command(l, "HGET", "key", "x"), FAULT_NONE); /* WRONGTYPE */
    WAIT(seen.answers, 3);
    ck_assert_uint_eq(seen.faults, 1);
    for (int i = 0; i < 1000; i++)
        ck_assert_int_eq(command(l, "INCR", "n", NULL), FAULT_NONE);
    WAIT(seen.answers, 1003);
    ck_assert_int_eq(seen.number, 1000);
    redis_stop(redis, socket_path);
    WAIT(seen.downs, 1);
    redis = redis_start(dir, socket_path, PASSWORD);
    WAIT(seen.ups, 2);
    redislink_free(l);
    redis_stop(redis, socket_path);
}
END_TEST

START_TEST(the_real_redis_publishes_and_refuses_a_wrong_password)
{
    pid_t redis = redis_start(dir, socket_path, PASSWORD);

    strcpy(where.password, PASSWORD);
    struct redislink *sub = link_to("osb:changes", 100), *cmd = link_to(NULL, 5000);

    WAIT(seen.ups, 2);
    ck_assert_int_eq(command(cmd, "PUBLISH", "osb:changes", "sb1"), FAULT_NONE);
    WAIT(seen.messages, 1);
    ck_assert_str_eq(seen.payload, "sb1");
    unsigned downs = seen.downs; /* of the time before it answered */

    wait_for(&seen.downs, downs + 1, 1.5); /* over a ping of the subscription */
    ck_assert_uint_eq(seen.downs, downs);
    strcpy(where.password, "wrong-canary");
    struct redislink *wrong = link_to(NULL, 5000);

    wait_for(&seen.ups, 3, 0.3);
    ck_assert(!redislink_up(wrong));
    ck_assert_ptr_nonnull(strstr(said(), "error=\"WRONGPASS\""));
    ck_assert_ptr_null(strstr(said(), "canary"));
    redislink_free(sub);
    redislink_free(cmd);
    redislink_free(wrong);
    redis_stop(redis, socket_path);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("redislink");
    TCase *tc = tcase_create("redislink");

    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, room_make, room_clear);
    tcase_add_loop_test(tc, a_bad_answer_is_a_fault_and_never_a_value, 0,
                        sizeof bad_answers / sizeof *bad_answers);
    tcase_add_loop_test(tc, a_bad_greeting_never_makes_the_link_up, 0,
                        sizeof bad_greetings / sizeof *bad_greetings);
    tcase_add_loop_test(tc, the_password_is_in_no_log, 0, 2);
    tcase_add_loop_test(tc, a_reply_may_have_eight_mebioctets_and_not_one_more, 0, 2);
    tcase_add_test(tc, what_was_not_asked_for_ends_the_connection);
    tcase_add_test(tc, a_timeout_fails_everyone_and_no_answer_moves_to_another);
    tcase_add_test(tc, commands_beyond_the_bounds_are_refused);
    tcase_add_test(tc, a_redis_that_is_away_is_no_failure);
    tcase_add_test(tc, a_name_without_an_address_is_no_failure);
    tcase_add_loop_test(tc, an_answer_may_free_the_link, 0, 4);
    tcase_add_loop_test(tc, an_answer_may_send_another_command, 0, 2);
    tcase_add_loop_test(tc, a_state_or_a_message_may_free_the_link, 0, 2);
    tcase_add_loop_test(tc, a_subscription_ends_at_what_it_did_not_expect, 0,
                        sizeof bad_pushes / sizeof *bad_pushes);
    tcase_add_test(tc, a_quiet_subscription_is_asked_for_a_sign_of_life);
    tcase_add_test(tc, a_host_name_is_resolved_and_the_greeting_is_whole);
    tcase_add_test(tc, the_real_redis_answers_in_order);
    tcase_add_test(tc, the_real_redis_publishes_and_refuses_a_wrong_password);
    suite_add_tcase(s, tc);
    SRunner *runner = srunner_create(s);

    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);

    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

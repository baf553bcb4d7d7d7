#include "clock.h"
#include "hubbed.h"
#include "redisslot.h"

/* --- one server ----------------------------------------------------------------------------------------- */

static const struct bad_answer {
    const char *octets;
    bool drops;
} bad_answers[] = {
    {"-ERR boom\r\n", false},
    {"-LOADING Redis is loading\r\n", false},
    {"-MOVED 1 127.0.0.1:0\r\n", false},
    {"-MOVED 16384 127.0.0.1:1\r\n", false},
    {"-ASK x 127.0.0.1:1\r\n", false},
    {"-CLUSTERDOWN The cluster is down\r\n", false},
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

    servers[0].answer[0] = bad->octets;
    servers[0].answer[1] = "+second\r\n";
    server_add(&servers[0]);
    hub_open(TIMEOUT_MS);
    WAIT(seen.ups, 1);
    expect("x", NULL);
    ck_assert_uint_eq(seen.answers, 1);
    if (bad->drops)
        WAIT(seen.downs, 1);
    ck_assert_msg(redishub_up(hub) == !bad->drops, "%s: the hub is %s", bad->octets ? bad->octets : "silence",
                  redishub_up(hub) ? "up" : "down");
    servers[0].answer[0] = servers[0].answer[1];
    if (bad->drops) {
        ck_assert_int_eq(get("x"), FAULT_STORE_UNAVAILABLE);
        WAIT(seen.ups, 2); /* it recovers alone */
    }
    expect("x", "second");
}
END_TEST

START_TEST(commands_beyond_the_bounds_are_refused)
{
    struct slice many[REDISHUB_ARGUMENTS + 1];
    static char big[1024 * 1024];

    for (size_t i = 0; i <= REDISHUB_ARGUMENTS; i++)
        many[i] = SLICE("x");
    server_add(&servers[0]);
    hub_open(5000);
    ck_assert_int_eq(get("x"), FAULT_STORE_UNAVAILABLE); /* not up yet */
    WAIT(seen.ups, 1);
    ck_assert_int_eq(redishub_command(hub, many[0], many, 0, on_answer, &seen), FAULT_INVALID);
    ck_assert_int_eq(redishub_command(hub, many[0], many, REDISHUB_ARGUMENTS + 1, on_answer, &seen),
                     FAULT_INVALID);
    many[0] = slice_of(big, sizeof big);
    ck_assert_int_eq(redishub_command(hub, many[0], many, 1, on_answer, &seen), FAULT_OVERLOADED);
    for (int i = 0; i < 1024; i++)
        ck_assert_int_eq(get("x"), FAULT_NONE);
    ck_assert_int_eq(get("x"), FAULT_OVERLOADED);
    ck_assert_uint_eq(seen.answers, 0);
    redishub_free(hub);
    hub = NULL;
    ck_assert_uint_eq(seen.faults, 1024); /* each told, once */
}
END_TEST

START_TEST(a_redis_that_is_away_is_no_failure)
{
    uint16_t port = port_free();

    config_add(url_of("redis://127.0.0.1:%u", port));
    hub_open(TIMEOUT_MS);
    WAIT(seen.downs, 1);
    wait_for(&seen.ups, 1, 0.2);
    ck_assert_uint_eq(seen.downs, 1);
    servers[0].port = port;
    server_tcp(&servers[0], loop);
    WAIT(seen.ups, 1);
    WAIT(seen.changes, 1);
    server_cut(&servers[0]);
    WAIT(seen.downs, 2);
    WAIT(seen.ups, 2);
}
END_TEST

START_TEST(a_lost_connection_fails_all_who_wait_and_asks_nobody_else)
{
    server_add(&servers[0]);
    server_add(&servers[1]);
    hub_open(5000);
    WAIT(seen.ups, 1);
    ck_assert_int_eq(get("a"), FAULT_NONE);
    ck_assert_int_eq(get("b"), FAULT_NONE);
    WAIT(servers[0].asked, 2);
    server_cut(&servers[0]);
    WAIT(seen.faults, 2);
    ck_assert_uint_eq(servers[1].asked, 0);
}
END_TEST

/* Of the answer, of the ends of others behind it, of the time that is over, of each event. */
START_TEST(the_hub_may_be_freed_from_inside_whatever_it_tells)
{
    const bool commands = _i < 4;

    servers[0].closes = _i == 1;
    servers[0].answer[0] = _i == 0 ? "+a\r\n+b\r\n+c\r\n" : _i == 3 ? "-MOVED 1 :1\r\n" : NULL;
    server_add(&servers[0]);
    seen.frees_at_answer = commands;
    seen.frees_at_up = _i == 4;
    seen.frees_at_changes = _i == 5;
    seen.frees_at_message = _i == 6;
    hub_open(_i == 2 || _i == 3 ? TIMEOUT_MS : 5000);
    if (_i >= 4) {
        WAIT(*(_i == 4 ? &seen.ups : &seen.changes), 1);
        if (_i == 6)
            server_say(&servers[0], "*3\r\n$7\r\nmessage\r\n$11\r\nosb:changes\r\n$2\r\nhi\r\n");
    } else {
        WAIT(seen.ups, 1);
        for (int i = 0; i < 3; i++)
            ck_assert_int_eq(get("x"), FAULT_NONE);
        WAIT(seen.answers, 3);
    }
    for (int i = 0; hub && i < 100; i++)
        ev_run(loop, EVRUN_ONCE);
    ck_assert_ptr_null(hub);
    ev_run(loop, EVRUN_NOWAIT);
}
END_TEST

/* --- several servers ------------------------------------------------------------------------------------ */

START_TEST(changes_are_followed_to_where_commands_go)
{
    server_add(&servers[0]);
    server_add(&servers[1]);
    hub_open(TIMEOUT_MS);
    WAIT(seen.ups, 1);
    WAIT(seen.changes, 1);
    servers[0].role = REPLICA;
    WAIT(seen.ups, 2);
    WAIT(seen.changes, 2);
    ck_assert_uint_eq(seen.lost, 1);
    server_say(&servers[0], "*3\r\n$7\r\nmessage\r\n$11\r\nosb:changes\r\n$3\r\nold\r\n");
    server_say(&servers[1], "*3\r\n$7\r\nmessage\r\n$11\r\nosb:changes\r\n$3\r\nnew\r\n");
    WAIT(seen.messages, 1);
    ck_assert_str_eq(seen.payload, "new");
}
END_TEST

static const struct switching {
    const char *format;
    bool counts;
} switchings[] = {
    {"osb 127.0.0.1 1 127.0.0.1 %u", true},
    {"osb 127.0.0.1 1 127.0.0.1 0%u",
     true}, /* a port, if not as it should be written: they are asked anyway */
    {"other 127.0.0.1 1 127.0.0.1 %u", false},
    {"osb 127.0.0.1 1 127.0.0.1 %u x", false},
    {"osb 127.0.0.1 1 127.0.0.1 65536%u", false},
    {"osb", false},
};

/* Both masters are good, so that only the sentinel's word moves the links. */
START_TEST(a_sentinel_that_says_switch_is_asked_again)
{
    static char says[2][64], message[256];
    static struct line lines[] = {{"SENTINEL get-master-addr-by-name osb", says[0]}, {0}};
    char payload[128];

    for (size_t i = 0; i < 3; i++)
        server_tcp(&servers[i], loop);
    for (size_t i = 0; i < 2; i++)
        snprintf(says[i], sizeof says[i], "*2\r\n$9\r\n127.0.0.1\r\n$5\r\n%05u\r\n", servers[i + 1].port);
    servers[0].lines = lines;
    config_add(url_of("sentinel://127.0.0.1:%u/osb", servers[0].port));
    hub_open(5000);
    WAIT(seen.ups, 1);
    WAIT(seen.changes, 1);
    ck_assert_uint_eq(servers[1].connections, 2);
    WAIT(servers[0].connections, 3); /* two that asked, one that listens */
    lines[0].answer = says[1];
    snprintf(payload, sizeof payload, switchings[_i].format, servers[2].port);
    snprintf(message, sizeof message, "*3\r\n$7\r\nmessage\r\n$14\r\n+switch-master\r\n$%zu\r\n%s\r\n",
             strlen(payload), payload);
    server_say(&servers[0], message);
    wait_for(&servers[2].connections, 2, switchings[_i].counts ? PATIENCE_S : 0.1);
    ck_assert_uint_eq(servers[2].connections, switchings[_i].counts ? 2 : 0);
    if (switchings[_i].counts) {
        WAIT(seen.ups, 2);
        WAIT(seen.changes, 2);
        server_say(&servers[0], message); /* there they are: nothing to do */
        wait_for(&servers[2].connections, 3, 0.1);
        ck_assert_uint_eq(servers[2].connections, 2);
    }
}
END_TEST

/* Both are masters, as after a promotion that the old one has not heard of. */
START_TEST(commands_follow_changes_too)
{
    server_add(&servers[0]);
    server_add(&servers[1]);
    hub_open(TIMEOUT_MS);
    WAIT(seen.ups, 1);
    WAIT(seen.changes, 1);
    servers[0].role = REPLICA;
    WAIT(seen.ups, 2);
    servers[0].role = MASTER;
    servers[0].answer[0] = "+the first's\r\n";
    WAIT(seen.changes, 2);
    WAIT(seen.ups, 3);
    expect("foo", "the first's");
    server_say(&servers[1], "*3\r\n$7\r\nmessage\r\n$11\r\nosb:changes\r\n$3\r\nold\r\n");
    wait_for(&seen.changes, 3, 0.1);
    ck_assert_uint_eq(seen.changes, 2);
    ck_assert_uint_eq(seen.messages, 0);
}
END_TEST

/* What it said while nobody listened is not said again. */
START_TEST(a_sentinel_that_was_not_heard_for_a_while_is_asked_again)
{
    static char says[2][64];
    static struct line lines[] = {{"SENTINEL get-master-addr-by-name osb", says[0]}, {0}};

    for (size_t i = 0; i < 3; i++)
        server_tcp(&servers[i], loop);
    for (size_t i = 0; i < 2; i++)
        snprintf(says[i], sizeof says[i], "*2\r\n$9\r\n127.0.0.1\r\n$5\r\n%05u\r\n", servers[i + 1].port);
    servers[0].lines = lines;
    config_add(url_of("sentinel://127.0.0.1:%u/osb", servers[0].port));
    hub_open(5000);
    WAIT(seen.ups, 1);
    WAIT(seen.changes, 1);
    WAIT(servers[0].connections, 3);
    server_cut(&servers[0]);
    lines[0].answer = says[1];
    WAIT(servers[2].connections, 2);
    WAIT(seen.ups, 2);
}
END_TEST

/* --- a cluster ------------------------------------------------------------------------------------------ */

/* "-KIND 12182 127.0.0.1:PORT"; 12182 is foo's slot. */
static const char *redirect(const char *kind, const char *host, unsigned port)
{
    static char text[8][64];
    static unsigned n;
    char *into = text[n++ % 8];

    snprintf(into, sizeof text[0], "-%s 12182 %s:%u\r\n", kind, host, port);
    return into;
}

/* Server 0 is the configuration's; the others are what it and they say. */
static void cluster_open(uint64_t timeout_ms)
{
    server_add(&servers[0]);
    server_tcp(&servers[1], loop);
    server_tcp(&servers[2], loop);
    hub_open(timeout_ms);
    WAIT(seen.ups, 1);
}

START_TEST(moved_is_followed_and_remembered)
{
    cluster_open(5000);
    servers[0].answer[0] = redirect("MOVED", _i ? "" : "127.0.0.1", servers[1].port);
    servers[0].answer[1] = "+bar's\r\n";
    servers[1].answer[0] = "+first\r\n";
    servers[1].answer[1] = "+second\r\n";
    expect("foo", "first");
    expect("foo", "second");
    expect("bar", "bar's"); /* another slot, of which nothing is known */
    ck_assert_uint_eq(servers[0].asked, 2);
    ck_assert_uint_eq(seen.ups, 1);
}
END_TEST

START_TEST(ask_is_followed_once_and_not_remembered)
{
    cluster_open(5000);
    servers[0].answer[0] = redirect("ASK", "127.0.0.1", servers[1].port);
    servers[0].answer[1] = "+still here\r\n";
    servers[1].answer[0] = "+OK\r\n"; /* ASKING */
    servers[1].answer[1] = "+asked\r\n";
    expect("foo", "asked");
    ck_assert_str_eq(servers[1].last, "GET foo");
    expect("foo", "still here");
    ck_assert_uint_eq(servers[1].asked, 2);
}
END_TEST

START_TEST(an_endless_circle_ends)
{
    cluster_open(5000);
    for (size_t i = 0; i < 8; i++) {
        servers[0].answer[i] = redirect(_i ? "ASK" : "MOVED", "127.0.0.1", servers[1].port);
        servers[1].answer[i] = redirect(_i ? "ASK" : "MOVED", "127.0.0.1", servers[0].port);
    }
    expect("foo", NULL);
    ck_assert_uint_eq(seen.answers, 1);
    ck_assert_uint_le(servers[0].asked + servers[1].asked, _i ? 11 : 6);
    ck_assert(redishub_up(hub));
}
END_TEST

/* Nobody has the key: the one that is up says so until it has said it often enough; then it names who has it now. */
START_TEST(a_command_whose_node_is_down_is_asked_of_another)
{
    const char *gone = redirect("MOVED", "127.0.0.1", port_free());
    int64_t begun_ms = clock_mono_ms();

    cluster_open(5000);
    for (size_t i = 0; i < 8; i++)
        servers[0].answer[i] = gone;
    expect("foo", NULL);
    ck_assert_int_lt(clock_mono_ms() - begun_ms, 1000);
    ck_assert_uint_eq(servers[0].asked, 6);
    servers[0].answer[6] = redirect("MOVED", "127.0.0.1", servers[1].port);
    servers[1].answer[0] = servers[1].answer[1] = "+found\r\n";
    expect("foo", "found");
    expect("foo", "found");
    ck_assert_uint_eq(servers[0].asked, 7);
    server_stop(&servers[1]);
    servers[0].answer[7] = redirect("MOVED", "127.0.0.1", servers[2].port);
    servers[2].answer[0] = "+promoted\r\n";
    expect("foo", "promoted");
}
END_TEST

/* It went down while it was asked. */
START_TEST(a_command_on_its_way_to_a_node_that_dies_is_asked_of_another)
{
    cluster_open(5000);
    servers[0].answer[0] = redirect("MOVED", "127.0.0.1", servers[1].port);
    servers[0].answer[1] = redirect("MOVED", "127.0.0.1", servers[2].port);
    servers[2].answer[0] = "+promoted\r\n";
    ck_assert_int_eq(get("foo"), FAULT_NONE);
    WAIT(servers[1].asked, 1);
    server_stop(&servers[1]);
    WAIT(seen.answers, 1);
    ck_assert_str_eq(seen.text, "promoted");
}
END_TEST

/* The node greets and is silent; or takes the connection and is silent; and the answer comes when nobody waits. */
START_TEST(however_often_it_is_sent_a_command_has_one_deadline)
{
    int64_t begun_ms;

    servers[1].deaf = _i == 1;
    cluster_open(200);
    servers[0].answer[0] = redirect("MOVED", "127.0.0.1", servers[1].port);
    begun_ms = clock_mono_ms();
    ck_assert_int_eq(get("foo"), FAULT_NONE);
    ck_assert_int_eq(get("bar"), FAULT_NONE); /* of the same age, in flight at the first */
    WAIT(seen.answers, 2);
    ck_assert_uint_eq(seen.faults, 2);
    ck_assert_int_ge(clock_mono_ms() - begun_ms, 200);
    ck_assert_int_lt(clock_mono_ms() - begun_ms, 300);
    if (_i == 0)
        server_say(&servers[1], "+late\r\n");
    wait_for(&seen.answers, 3, 0.3);
    ck_assert_uint_eq(seen.answers, 2);
}
END_TEST

/* The younger one was moved first. */
START_TEST(a_command_that_is_moved_late_is_called_late_in_its_own_time)
{
    char moved[64];
    unsigned never = 0;
    int64_t begun_ms;

    cluster_open(400);
    servers[0].answer[0] = redirect("MOVED", "127.0.0.1", servers[1].port);
    servers[1].answer[0] = "+here\r\n";
    expect("foo", "here");
    wait_for(&never, 1, 0.45); /* the time of this one is over */
    servers[2].deaf = true;
    begun_ms = clock_mono_ms();
    ck_assert_int_eq(get("bar"), FAULT_NONE); /* at the first, which is silent */
    wait_for(&never, 1, 0.15);
    servers[1].answer[1] = redirect("MOVED", "127.0.0.1", servers[2].port);
    ck_assert_int_eq(get("foo"), FAULT_NONE);
    WAIT(servers[2].connections, 1);
    snprintf(moved, sizeof moved, "-MOVED %u 127.0.0.1:%u\r\n", redis_slot(SLICE("bar")), servers[2].port);
    server_say(&servers[0], moved);
    WAIT(seen.answers, 2);
    ck_assert_int_ge(clock_mono_ms() - begun_ms, 400);
    ck_assert_int_lt(clock_mono_ms() - begun_ms, 500);
}
END_TEST

/* It goes on as if it were whole, but for what it says of keys: neither link stays there. */
START_TEST(a_node_that_is_cut_off_from_its_cluster_is_left)
{
    static const struct line cut[] = {{"GET", "-CLUSTERDOWN The cluster is down\r\n"}, {0}};

    servers[0].lines = _i ? cut : NULL;
    server_add(&servers[0]);
    server_add(&servers[1]);
    servers[1].answer[0] = "+the second's\r\n";
    hub_open(TIMEOUT_MS);
    WAIT(seen.ups, 1);
    WAIT(seen.changes, 1);
    if (_i == 0) {
        servers[0].lines = cut;
        WAIT(seen.ups, 2);
        WAIT(seen.changes, 2);
    }
    expect("foo", "the second's");
    server_say(&servers[1], "*3\r\n$7\r\nmessage\r\n$11\r\nosb:changes\r\n$3\r\nnew\r\n");
    WAIT(seen.messages, 1);
}
END_TEST

START_TEST(the_nodes_serve_on_while_the_first_is_away)
{
    cluster_open(5000);
    servers[0].answer[0] = redirect("MOVED", "127.0.0.1", servers[1].port);
    for (size_t i = 0; i < 8; i++)
        servers[1].answer[i] = "+one\r\n";
    expect("foo", "one");
    server_stop(&servers[0]);
    WAIT(seen.lost, 1);
    for (int i = 0; i < 5; i++)
        ev_run(loop, EVRUN_NOWAIT);
    ck_assert(redishub_up(hub));
    expect("foo", "one");
    expect("bar", "one");
    ck_assert_uint_eq(seen.downs, 0);
    server_stop(&servers[1]);
    WAIT(seen.downs, 1);
    ck_assert_int_eq(get("foo"), FAULT_STORE_UNAVAILABLE);
}
END_TEST

/* Every loopback address is another node to us, and the same server to all. */
START_TEST(of_many_nodes_thirty_two_are_kept)
{
    static char keys[40][16], answers[40][64];
    static struct line lines[41];

    cluster_open(5000);
    for (unsigned i = 0; i < 40; i++) {
        snprintf(keys[i], sizeof keys[i], "GET key%02u", i);
        snprintf(answers[i], sizeof answers[i], "-MOVED %u 127.0.0.%u:%u\r\n", i, i + 2, servers[1].port);
        lines[i] = (struct line){keys[i], answers[i]};
    }
    servers[0].lines = lines;
    servers[1].lines = (const struct line[]){{"GET", "+value\r\n"}, {0}};
    for (unsigned round = 0; round < 2; round++)
        for (unsigned i = 0; i < 40; i++)
            expect(keys[i] + 4, "value");
    for (int i = 0; i < 50; i++)
        ev_run(loop, EVRUN_NOWAIT);
    unsigned open = 0;

    for (size_t i = 0; i < RESPSERVER_PEERS; i++)
        open += servers[1].peers[i].reader != NULL;
    ck_assert_uint_eq(open, 32);
}
END_TEST

/* While it waits for a node, while it is on its way there, and when the time was over. */
START_TEST(the_hub_may_be_freed_while_a_command_wanders)
{
    servers[1].deaf = _i != 1;
    cluster_open(_i == 2 ? TIMEOUT_MS : 5000);
    seen.frees_at_answer = _i == 2;
    servers[0].answer[0] = redirect("MOVED", "127.0.0.1", servers[1].port);
    ck_assert_int_eq(get("foo"), FAULT_NONE);
    ck_assert_int_eq(get("bar"), FAULT_NONE);
    if (_i == 1)
        WAIT(servers[1].asked, 1);
    else
        WAIT(servers[1].connections, 1);
    if (_i == 2)
        ck_assert_uint_ge(wait_for(&seen.answers, 1, PATIENCE_S), 1);
    redishub_free(hub);
    hub = NULL;
    ck_assert_uint_eq(seen.faults, 2);
    ck_assert_uint_eq(seen.answers, 2);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("redishub");
    TCase *tc = tcase_create("redishub");

    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, bed_make, hub_clear);
    tcase_add_loop_test(tc, a_bad_answer_is_a_fault_and_never_a_value, 0, COUNT(bad_answers));
    tcase_add_test(tc, commands_beyond_the_bounds_are_refused);
    tcase_add_test(tc, a_redis_that_is_away_is_no_failure);
    tcase_add_test(tc, a_lost_connection_fails_all_who_wait_and_asks_nobody_else);
    tcase_add_loop_test(tc, the_hub_may_be_freed_from_inside_whatever_it_tells, 0, 7);
    tcase_add_test(tc, changes_are_followed_to_where_commands_go);
    tcase_add_loop_test(tc, a_sentinel_that_says_switch_is_asked_again, 0, COUNT(switchings));
    tcase_add_test(tc, commands_follow_changes_too);
    tcase_add_test(tc, a_sentinel_that_was_not_heard_for_a_while_is_asked_again);
    tcase_add_loop_test(tc, moved_is_followed_and_remembered, 0, 2);
    tcase_add_test(tc, ask_is_followed_once_and_not_remembered);
    tcase_add_loop_test(tc, an_endless_circle_ends, 0, 2);
    tcase_add_test(tc, a_command_whose_node_is_down_is_asked_of_another);
    tcase_add_test(tc, a_command_on_its_way_to_a_node_that_dies_is_asked_of_another);
    tcase_add_loop_test(tc, however_often_it_is_sent_a_command_has_one_deadline, 0, 2);
    tcase_add_test(tc, a_command_that_is_moved_late_is_called_late_in_its_own_time);
    tcase_add_loop_test(tc, a_node_that_is_cut_off_from_its_cluster_is_left, 0, 2);
    tcase_add_test(tc, the_nodes_serve_on_while_the_first_is_away);
    tcase_add_test(tc, of_many_nodes_thirty_two_are_kept);
    tcase_add_loop_test(tc, the_hub_may_be_freed_while_a_command_wanders, 0, 3);
    suite_add_tcase(s, tc);
    SRunner *runner = srunner_create(s);

    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);

    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

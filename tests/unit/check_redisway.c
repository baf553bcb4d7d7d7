#include "linkbed.h"
#include "tlsio.h"

/* --- the search ----------------------------------------------------------------------------------------- */

static const struct not_master {
    const char *name;
    struct server server;
    bool absent;
} not_masters[] = {
    {.name = "nobody", .absent = true},
    {.name = "a replica", .server = {.role = REPLICA}},
    {.name = "a demoted one that still loads", .server = {.greeting = "-LOADING Redis is loading\r\n"}},
    {.name = "a sentinel", .server = {.role = "*2\r\n$8\r\nsentinel\r\n*0\r\n"}},
    {.name = "a role that no server has", .server = {.role = "*1\r\n$5\r\nqueen\r\n"}},
    {.name = "no array", .server = {.role = "+master\r\n"}},
    {.name = "an empty array", .server = {.role = "*0\r\n"}},
    {.name = "an array in it", .server = {.role = "*1\r\n*1\r\n$6\r\nmaster\r\n"}},
    {.name = "no right to ask", .server = {.role = "-NOPERM this user has no permissions\r\n"}},
    {.name = "an answer out of its turn", .server = {.greeting = MASTER}},
    {.name = "silence", .server = {.deaf = true}},
    {.name = "half a greeting", .server = {.role = "*3\r\n$6\r\nmas"}},
    {.name = "garbage", .server = {.greeting = "garbage\r\n"}},
};

/* Whatever the first is, the round goes on at once, to the second; only silence costs its timeout. */
START_TEST(who_is_no_writable_master_is_passed_over)
{
    const struct not_master *first = &not_masters[_i];

    url_count = 0;
    servers[0] = first->server;
    if (first->absent)
        urls[url_count++] = url_of("redis://127.0.0.1:%u", (unsigned)port_free());
    else
        url_add(&servers[0]);
    url_add(&servers[1]);
    struct redislink *l = link_to(_i % 2 ? "osb:changes" : NULL, TIMEOUT_MS);

    ck_assert_msg(wait_for(&seen.ups, 1, PATIENCE_S) == 1, "behind %s no master was found", first->name);
    ck_assert_uint_eq(seen.downs, 0);
    ck_assert_uint_eq(port_of(l), servers[1].port);
    ck_assert_ptr_nonnull(strstr(said(), "a Redis is passed over"));
    redislink_free(l);
}
END_TEST

START_TEST(a_greeting_that_never_ends_is_given_up)
{
    listen_unix();
    server->lines = (const struct line[]){{"PING", "*100000\r\n"}, {0}};
    struct redislink *l = link_to(NULL, TIMEOUT_MS);

    WAIT(server->connections, 1);
    for (unsigned begun = server->connections; server->connections == begun;) {
        server_say(server, ":1\r\n");
        ev_run(loop, EVRUN_ONCE | EVRUN_NOWAIT);
    }
    ck_assert_uint_eq(seen.ups, 0);
    redislink_free(l);
}
END_TEST

START_TEST(a_demoted_master_is_left_within_a_second)
{
    url_count = 0;
    url_add(&servers[0]);
    url_add(&servers[1]);
    servers[1].role = REPLICA;
    struct redislink *l = link_to(NULL, TIMEOUT_MS);

    WAIT(seen.ups, 1);
    ck_assert_uint_eq(port_of(l), servers[0].port);
    servers[0].role = REPLICA;
    servers[1].role = NULL;
    ck_assert_uint_eq(wait_for(&seen.ups, 2, 1.5), 2);
    ck_assert_uint_eq(port_of(l), servers[1].port);
    ck_assert_ptr_nonnull(strstr(said(), "it is no master any more"));
    redislink_free(l);
}
END_TEST

/* A node of a cluster knows who has what, also as a replica. */
START_TEST(a_replica_of_a_cluster_is_good_and_stays)
{
    listen_unix();
    server->role = REPLICA;
    server->lines = (const struct line[]){{"READWRITE", "+OK\r\n"}, {0}};
    struct redislink *l = link_to(_i ? "ch" : NULL, TIMEOUT_MS);

    WAIT(seen.ups, 1);
    wait_for(&seen.downs, 1, _i ? 0.1 : 1.2); /* for commands: over a heartbeat */
    ck_assert_uint_eq(seen.downs, 0);
    redislink_free(l);
}
END_TEST

START_TEST(to_seek_is_to_begin_anew_at_once)
{
    url_count = 0;
    url_add(&servers[0]);
    url_add(&servers[1]);
    servers[0].role = REPLICA;
    struct redislink *l = link_to(NULL, TIMEOUT_MS);

    redislink_seek(l, "too early"); /* harmless */
    WAIT(seen.ups, 1);
    ck_assert_uint_eq(port_of(l), servers[1].port);
    servers[0].role = NULL;
    ck_assert_int_eq(command(l, "GET", "x", NULL), FAULT_NONE);
    redislink_seek(l, "of a test");
    ck_assert_uint_eq(seen.faults, 1);
    ck_assert_uint_eq(seen.downs, 1);
    WAIT(seen.ups, 2);
    ck_assert_uint_eq(port_of(l), servers[0].port);
    redislink_free(l);
}
END_TEST

START_TEST(the_greeting_is_whole)
{
    server_tcp(server, loop);
    urls[0] = url_of("redis://me:%s@127.0.0.1:%u/4", PASSWORD, server->port);
    struct redislink *l = link_to(NULL, TIMEOUT_MS);

    WAIT(seen.ups, 1);
    ck_assert_uint_eq(server->commands, 5); /* AUTH, SELECT, PING, ROLE, GET */
    redislink_free(l);
}
END_TEST

/* The resolver of the loop finds it too, behind the link's back. */
START_TEST(a_name_that_was_not_known_at_the_start_is_looked_up_on_the_loop)
{
    const struct redislink_aim aim = {
        .name = "a test", .urls = urls, .count = 1, .hosts = hosts, .timeout_ms = TIMEOUT_MS};
    struct redislink *l;

    server_tcp(server, loop);
    urls[0] = url_of("redis://localhost:%u", server->port);
    ck_assert_int_eq(redislink_new(loop, &aim, events, &l), FAULT_NONE);
    WAIT(seen.ups, 1);
    redislink_free(l);
}
END_TEST

/* --- sentinels, as scripts ------------------------------------------------------------------------------ */

#define SENTINEL_SAYS(port) "*2\r\n$9\r\n127.0.0.1\r\n$5\r\n" port "\r\n"

/* What sentinel ${i} answers; ${port} has five digits. */
static void sentinel_says(unsigned i, unsigned port)
{
    static char text[SERVERS][64];
    static struct line lines[SERVERS][2];

    snprintf(text[i], sizeof text[i], "*2\r\n$9\r\n127.0.0.1\r\n$5\r\n%05u\r\n", port);
    lines[i][0] = (struct line){"SENTINEL get-master-addr-by-name osb", text[i]};
    servers[i].lines = lines[i];
}

/* Three sentinels, 0 to 2; server 3 is the master. */
static void sentinels_listen(void)
{
    for (size_t i = 0; i < 4; i++)
        server_tcp(&servers[i], loop);
    urls[0] = url_of("sentinel://127.0.0.1:%u,127.0.0.1:%u,127.0.0.1:%u/osb", servers[0].port,
                     servers[1].port, servers[2].port);
}

static const char *const bad_sentinels[] = {
    "*-1\r\n",
    "$-1\r\n",
    "*2\r\n$0\r\n\r\n$4\r\n6379\r\n",
    "*2\r\n$9\r\n127.0.0.1\r\n$1\r\n0\r\n",
    "*2\r\n$9\r\n127.0.0.1\r\n$6\r\n100000\r\n",
    "*2\r\n$9\r\n127.0.0.1\r\n:6379\r\n",
    "*2\r\n$11\r\n../../x yz/\r\n$4\r\n6379\r\n",
    "*3\r\n$9\r\n127.0.0.1\r\n$4\r\n6379\r\n$1\r\nx\r\n",
    "+OK\r\n",
    "-ERR unknown command 'SENTINEL'\r\n",
    "-NOAUTH Authentication required.\r\n",
    NULL,
};

START_TEST(a_sentinel_that_knows_nothing_is_passed_over)
{
    sentinels_listen();
    servers[0].lines = (const struct line[]){{"SENTINEL", bad_sentinels[_i]}, {0}};
    sentinel_says(1, servers[3].port);
    struct redislink *l = link_to(NULL, TIMEOUT_MS);

    WAIT(seen.ups, 1);
    ck_assert_uint_eq(port_of(l), servers[3].port);
    ck_assert_uint_eq(servers[2].connections, 0);
    redislink_free(l);
}
END_TEST

/* Two name a master that is gone; it is tried once, and what the third says is the truth. From then on it is asked first. */
START_TEST(a_sentinel_that_names_a_dead_master_is_not_believed)
{
    sentinels_listen();
    sentinel_says(0, port_free());
    sentinel_says(1, port_free());
    sentinel_says(2, servers[3].port);
    struct redislink *l = link_to("osb:changes", TIMEOUT_MS);

    WAIT(seen.ups, 1);
    ck_assert_uint_eq(seen.downs, 0);
    ck_assert_uint_eq(port_of(l), servers[3].port);
    server_cut(&servers[3]);
    WAIT(seen.ups, 2);
    ck_assert_uint_eq(servers[0].connections, 1);
    ck_assert_uint_eq(servers[1].connections, 1);
    ck_assert_uint_eq(servers[2].connections, 2);
    redislink_free(l);
}
END_TEST

START_TEST(a_master_that_two_sentinels_name_is_tried_once_a_round)
{
    sentinels_listen();
    for (unsigned i = 0; i < 3; i++)
        sentinel_says(i, servers[3].port);
    servers[3].role = REPLICA;
    struct redislink *l = link_to(NULL, TIMEOUT_MS);

    WAIT(seen.downs, 1);
    ck_assert_uint_eq(servers[3].connections, 1);
    ck_assert_uint_eq(servers[2].connections, 1);
    servers[3].role = NULL;
    WAIT(seen.ups, 1);
    redislink_free(l);
}
END_TEST

START_TEST(a_sentinel_that_wants_the_password_is_given_it_once)
{
    sentinels_listen();
    sentinel_says(1, servers[3].port);
    servers[0].lines = (const struct line[]){{"SENTINEL", "-NOAUTH Authentication required.\r\n"}, {0}};
    strcpy(urls[0].password, PASSWORD);
    struct redislink *l = link_to(NULL, TIMEOUT_MS);

    WAIT(seen.ups, 1);
    ck_assert_uint_eq(servers[0].connections, 1);
    ck_assert_uint_eq(servers[0].commands, 3);
    redislink_free(l);
}
END_TEST

/* --- TLS ------------------------------------------------------------------------------------------------ */

static void tls_trust(const char *file)
{
    char path[128];

    snprintf(path, sizeof path, "%s/%s", dir, file ? file : "");
    tlsio_library_open();
    ck_assert_int_eq(tlsio_client_ctx(file ? path : NULL, &tls), FAULT_NONE);
}

START_TEST(the_real_redis_is_reached_over_tls)
{
    const char *host = _i ? "localhost" : "127.0.0.1";
    static char value[900 * 1024 + 1];
    pid_t redis;
    uint16_t port = real_tls(dir, PASSWORD, _i ? "DNS:localhost" : "IP:127.0.0.1", &redis);

    tls_trust("root.pem");
    urls[0] = url_of("rediss://:%s@%s:%u", PASSWORD, host, port);
    struct redislink *l = link_to(NULL, 5000), *sub = link_to("osb:changes", 5000);

    WAIT(seen.ups, 2);
    memset(value, 'v', sizeof value - 1);
    ck_assert_int_eq(command(l, "SET", "key", value), FAULT_NONE);
    WAIT(seen.answers, 1);
    for (unsigned i = 0; i < 3; i++) {
        ck_assert_int_eq(command(l, "APPEND", "key", value), FAULT_NONE);
        WAIT(seen.answers, 2 + i);
    }
    ck_assert_int_eq(command(l, "GET", "key", NULL), FAULT_NONE);
    WAIT(seen.answers, 5);
    ck_assert_uint_eq(seen.octets, 4 * (sizeof value - 1));
    ck_assert_int_eq(command(l, "PUBLISH", "osb:changes", "sb1"), FAULT_NONE);
    WAIT(seen.messages, 1);
    real_stop(redis);
    WAIT(seen.downs, 2);
    redislink_free(l);
    redislink_free(sub);
}
END_TEST

static const struct bad_tls {
    const char *subject, *roots, *why;
} bad_tls[] = {
    {"DNS:another.test,IP:127.0.0.2", "root.pem", "IP address mismatch"},
    {"IP:127.0.0.1", "redis.pem", ""},
    {"IP:127.0.0.1", NULL, ""},
};

START_TEST(a_certificate_that_proves_nothing_gets_no_password)
{
    const struct bad_tls *bad = &bad_tls[_i];
    pid_t redis;
    uint16_t port = real_tls(dir, PASSWORD, bad->subject, &redis);

    tls_trust(bad->roots);
    port_await(port);
    urls[0] = url_of("rediss://:%s@127.0.0.1:%u", PASSWORD, port);
    struct redislink *l = link_to(NULL, 5000);

    WAIT(seen.downs, 1);
    wait_for(&seen.ups, 1, 0.3);
    ck_assert_uint_eq(seen.ups, 0);
    ck_assert_msg(strstr(said(), bad->why) != NULL, "%s", said());
    redislink_free(l);
    real_stop(redis);
}
END_TEST

/* In the clear where TLS is awaited, TLS that never answers, and TLS where none is awaited. */
START_TEST(who_speaks_no_tls_is_passed_over)
{
    url_count = 0;
    servers[0].deaf = _i == 0;
    url_add(&servers[0]);
    urls[0].tls = true;
    url_add(&servers[1]);
    tls_trust(NULL);
    struct redislink *l = link_to(NULL, TIMEOUT_MS);

    if (_i == 1) {
        WAIT(servers[0].connections, 1);
        server_say(&servers[0], "+PONG\r\n");
    }
    WAIT(seen.ups, 1);
    ck_assert_uint_eq(port_of(l), servers[1].port);
    ck_assert_ptr_null(strstr(servers[0].last, "PING"));
    redislink_free(l);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("redisway");
    TCase *tc = tcase_create("redisway");

    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, room_make, room_clear);
    tcase_add_loop_test(tc, who_is_no_writable_master_is_passed_over, 0, COUNT(not_masters));
    tcase_add_test(tc, a_greeting_that_never_ends_is_given_up);
    tcase_add_test(tc, a_demoted_master_is_left_within_a_second);
    tcase_add_loop_test(tc, a_replica_of_a_cluster_is_good_and_stays, 0, 2);
    tcase_add_test(tc, to_seek_is_to_begin_anew_at_once);
    tcase_add_test(tc, the_greeting_is_whole);
    tcase_add_test(tc, a_name_that_was_not_known_at_the_start_is_looked_up_on_the_loop);
    tcase_add_loop_test(tc, a_sentinel_that_knows_nothing_is_passed_over, 0, COUNT(bad_sentinels));
    tcase_add_test(tc, a_sentinel_that_names_a_dead_master_is_not_believed);
    tcase_add_test(tc, a_master_that_two_sentinels_name_is_tried_once_a_round);
    tcase_add_test(tc, a_sentinel_that_wants_the_password_is_given_it_once);
    tcase_add_loop_test(tc, the_real_redis_is_reached_over_tls, 0, 2);
    tcase_add_loop_test(tc, a_certificate_that_proves_nothing_gets_no_password, 0, COUNT(bad_tls));
    tcase_add_loop_test(tc, who_speaks_no_tls_is_passed_over, 0, 2);
    suite_add_tcase(s, tc);
    SRunner *runner = srunner_create(s);

    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);

    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

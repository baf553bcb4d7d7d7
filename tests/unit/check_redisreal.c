#include "clock.h"
#include "hubbed.h"
#include "tlsio.h"

#define PASSWORD "hunter2-canary"

static uint16_t port_new(const char *options, pid_t *pid)
{
    uint16_t port = port_free();

    *pid =
        real_start("redis-server --bind 127.0.0.1 --port %u --save  --dir %s --repl-diskless-sync-delay 0%s",
                   port, dir, options);
    real_await(port, "PING", "PONG");
    return port;
}

static uint16_t replica_new(uint16_t of, pid_t *pid)
{
    char options[64];

    snprintf(options, sizeof options, " --replicaof 127.0.0.1 %u", of);
    return port_new(options, pid);
}

/* ${count} is reached within ${limit_ms} of now. */
static void soon(const unsigned *count, unsigned want, int64_t limit_ms)
{
    int64_t begun_ms = clock_mono_ms();

    ck_assert_uint_ge(wait_for(count, want, PATIENCE_S), want);
    ck_assert_msg(clock_mono_ms() - begun_ms <= limit_ms, "it took %lld ms, not %lld",
                  (long long)(clock_mono_ms() - begun_ms), (long long)limit_ms);
}

/* The least rights with which all of this works. */
START_TEST(a_user_with_the_documented_rights_is_enough)
{
    pid_t pid;
    uint16_t port = port_new("", &pid);

    real_do(port,
            "ACL SETUSER proxy on >%s -@all +get +hgetall +ping +role +readwrite +subscribe +asking +select"
            " %%R~osb:* resetchannels &osb:changes",
            PASSWORD);
    real_do(port, "SET osb:x value");
    config_add(url_of("redis://proxy:%s@127.0.0.1:%u", PASSWORD, port));
    hub_open(1000);
    WAIT(seen.ups, 1);
    WAIT(seen.changes, 1);
    expect("osb:x", "value");
    expect("other", NULL);
    ck_assert(redishub_up(hub));
    real_do(port, "PUBLISH osb:changes hello");
    WAIT(seen.messages, 1);
    wait_for(&seen.lost, 1, 1.3); /* over a heartbeat */
    ck_assert_uint_eq(seen.lost + seen.downs, 0);
    real_stop(pid);
}
END_TEST

START_TEST(a_server_that_is_killed_and_comes_back_is_found_within_a_second)
{
    pid_t pid;
    uint16_t port = port_new("", &pid);

    config_add(url_of("redis://127.0.0.1:%u", port));
    hub_open(1000);
    WAIT(seen.changes, 1);
    real_stop(pid);
    WAIT(seen.lost, 1);
    wait_for(&seen.changes, 2, 1.5); /* the longest pause between two rounds */
    pid = real_start("redis-server --bind 127.0.0.1 --port %u --save  --dir %s", port, dir);
    port_await(port);
    soon(&seen.ups, 2, 1000);
    soon(&seen.changes, 2, 1000);
    real_stop(pid);
}
END_TEST

START_TEST(a_promoted_replica_is_found_within_a_second)
{
    pid_t first_pid, second_pid;
    uint16_t first = port_new("", &first_pid), second = replica_new(first, &second_pid);

    real_await(second, "ROLE", "slave");
    real_do(first, "SET osb:x value");
    real_await(second, "GET osb:x", "value");
    config_add(url_of("redis://127.0.0.1:%u", second)); /* no master yet, so passed over */
    config_add(url_of("redis://127.0.0.1:%u", first));
    hub_open(1000);
    WAIT(seen.ups, 1);
    WAIT(seen.changes, 1);
    real_stop(first_pid);
    WAIT(seen.lost, 1);
    wait_for(&seen.ups, 2, 0.7);
    ck_assert_uint_eq(seen.ups, 1);
    real_do(second, "REPLICAOF NO ONE");
    soon(&seen.ups, 2, 1000);
    soon(&seen.changes, 2, 1000);
    expect("osb:x", "value");
    real_do(second, "PUBLISH osb:changes hello");
    WAIT(seen.messages, 1);
    real_stop(second_pid);
}
END_TEST

static pid_t sentinel_start(uint16_t port, uint16_t master)
{
    char path[96];
    FILE *f;

    snprintf(path, sizeof path, "%s/sentinel.conf", dir);
    f = fopen(path, "w");
    fprintf(f,
            "bind 127.0.0.1\nport %u\nsentinel monitor osb 127.0.0.1 %u 1\n"
            "sentinel down-after-milliseconds osb 300\nsentinel failover-timeout osb 2000\n",
            port, master);
    fclose(f);
    return real_start("redis-server %s --sentinel", path);
}

START_TEST(sentinel_s_failover_is_followed)
{
    pid_t first_pid, second_pid, sentinel_pid;
    uint16_t first = port_new("", &first_pid), second = replica_new(first, &second_pid), port = port_free();

    real_do(first, "SET osb:x value");
    real_await(second, "GET osb:x", "value");
    sentinel_pid = sentinel_start(port, first);
    real_await(port, "SENTINEL REPLICAS osb", "name");
    config_add(url_of("sentinel://127.0.0.1:%u/osb", port));
    hub_open(1000);
    WAIT(seen.ups, 1);
    WAIT(seen.changes, 1);
    expect("osb:x", "value");
    real_stop(first_pid);
    WAIT(seen.downs, 1);
    real_await(second, "ROLE", "master");
    soon(&seen.ups, 2, 1000);
    soon(&seen.changes, 2, 1000);
    expect("osb:x", "value");
    real_stop(sentinel_pid);
    real_stop(second_pid);
}
END_TEST

/* The certificate's check is check_redisway's; here: that the hub brings the right roots. */
START_TEST(tls_is_checked_by_the_roots_of_the_configuration)
{
    pid_t pid;
    uint16_t port = real_tls(dir, PASSWORD, "IP:127.0.0.1", &pid);
    char *file = _i == 1 ? config.upstream_ca_file : config.redis_ca_file;
    const struct redishub_events none = {.cookie = NULL};

    tlsio_library_open();
    port_await(port);
    config_add(url_of("rediss://:%s@127.0.0.1:%u", PASSWORD, port));
    if (_i < 2)
        snprintf(file, CONFIG_PATH, "%s/root.pem", dir);
    if (_i == 3)
        snprintf(file, CONFIG_PATH, "%s/root.key", dir);
    if (_i == 3) {
        ck_assert_int_eq(redishub_new(loop, &config, none, &hub), FAULT_INVALID);
    } else {
        hub_open(1000);
        WAIT(*(_i < 2 ? &seen.ups : &seen.downs), 1);
        ck_assert(redishub_up(hub) == (_i < 2));
    }
    real_stop(pid);
}
END_TEST

/* --- a cluster ------------------------------------------------------------------------------------------ */

#define NODES 3

static uint16_t ports[NODES];
static pid_t pids[NODES];

static void cluster_start(void)
{
    char options[160];

    for (unsigned i = 0; i < NODES; i++) {
        snprintf(options, sizeof options,
                 " --cluster-enabled yes --cluster-config-file nodes%u --cluster-port %u"
                 " --cluster-require-full-coverage no --cluster-node-timeout 2000",
                 i, (unsigned)port_free());
        ports[i] = port_new(options, &pids[i]);
    }
    for (unsigned i = 0; i < NODES; i++) {
        unsigned bus = 0;

        real_do(ports[i], "CLUSTER ADDSLOTSRANGE %u %u", i * 5500, i == 2 ? 16383 : i * 5500 + 5499);
        sscanf(strchr(real_do(ports[i], "CLUSTER NODES"), '@') + 1, "%u", &bus);
        if (i)
            ck_assert_uint_gt(bus, 0);
        if (i)
            ck_assert_str_eq(real_do(ports[0], "CLUSTER MEET 127.0.0.1 %u %u", ports[i], bus), "OK");
    }
    for (unsigned i = 0; i < NODES; i++) {
        real_await(ports[i], "CLUSTER INFO", "cluster_state:ok");
        while (!strstr(real_do(ports[i], "CLUSTER INFO"), "cluster_slots_assigned:16384"))
            usleep(5000);
    }
}

/* foo has slot 12182, of the third; with it the slot moves to the first while we look. */
static void slot_migrate(void)
{
    char id[2][48];

    snprintf(id[0], sizeof id[0], "%s", real_do(ports[0], "CLUSTER MYID"));
    snprintf(id[1], sizeof id[1], "%s", real_do(ports[2], "CLUSTER MYID"));
    ck_assert_str_eq(real_do(ports[0], "CLUSTER SETSLOT 12182 IMPORTING %s", id[1]), "OK");
    ck_assert_str_eq(real_do(ports[2], "CLUSTER SETSLOT 12182 MIGRATING %s", id[0]), "OK");
    ck_assert_str_eq(real_do(ports[2], "MIGRATE 127.0.0.1 %u foo 0 5000", ports[0]), "OK");
    expect("foo", "value"); /* ASK */
    for (unsigned i = 0; i < NODES; i++)
        ck_assert_str_eq(real_do(ports[i], "CLUSTER SETSLOT 12182 NODE %s", id[0]), "OK");
    expect("foo", "value"); /* MOVED */
    expect("foo", "value");
}

START_TEST(a_cluster_s_nodes_are_found)
{
    char key[16];

    cluster_start();
    for (unsigned i = 0; i < 30; i++)
        for (unsigned n = 0; n < NODES; n++)
            real_do(ports[n], "SET key%u value", i); /* two of three say MOVED */
    for (unsigned n = 0; n < NODES; n++)
        real_do(ports[n], "SET foo value");
    config_add(url_of("redis://127.0.0.1:%u", ports[1]));
    hub_open(1000);
    WAIT(seen.ups, 1);
    WAIT(seen.changes, 1);
    for (unsigned i = 0; i < 60; i++) {
        snprintf(key, sizeof key, "key%u", i % 30);
        expect(key, "value");
    }
    real_do(ports[2], "PUBLISH osb:changes hello");
    WAIT(seen.messages, 1);
    slot_migrate();
    real_stop(pids[2]);
    for (unsigned i = 0, answers = seen.answers; i < 30; i++) {
        snprintf(key, sizeof key, "key%u", i);
        ck_assert_int_eq(get(key), FAULT_NONE);
        answers++;
        WAIT(seen.answers, answers);
        ck_assert(seen.why == FAULT_STORE_UNAVAILABLE || strcmp(seen.text, "value") == 0);
    }
    ck_assert_uint_gt(seen.faults, 0);
    ck_assert_uint_lt(seen.faults, 30);
    expect("foo", "value");
    ck_assert_uint_eq(seen.downs, 0);
    for (unsigned i = 0; i < 2; i++)
        real_stop(pids[i]);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("redisreal");
    TCase *tc = tcase_create("redisreal");

    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, bed_make, hub_clear);
    tcase_add_test(tc, a_user_with_the_documented_rights_is_enough);
    tcase_add_test(tc, a_server_that_is_killed_and_comes_back_is_found_within_a_second);
    tcase_add_test(tc, a_promoted_replica_is_found_within_a_second);
    tcase_add_test(tc, sentinel_s_failover_is_followed);
    tcase_add_loop_test(tc, tls_is_checked_by_the_roots_of_the_configuration, 0, 4);
    tcase_add_test(tc, a_cluster_s_nodes_are_found);
    suite_add_tcase(s, tc);
    SRunner *runner = srunner_create(s);

    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);

    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

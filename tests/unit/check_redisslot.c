#include "redisslot.h"
#include <check.h>
#include <stdlib.h>

/* What a server says to CLUSTER KEYSLOT, and the specification's own value for "123456789". */
START_TEST(a_key_lies_in_the_slot_that_redis_says)
{
    static const struct {
        const char *key;
        unsigned slot;
    } rows[] = {
        {"123456789", 12739},
        {"", 0},
        {"foo", 12182},
        {"foo{bar}", 5061},
        {"bar", 5061},
        {"{bar}baz{foo}", 5061},
        {"{user1000}.following", 3443},
        {"user1000", 3443},
        {"foo{}{bar}", 8363},
        {"foo{{bar}}zap", 4015},
        {"{bar", 4015},
        {"foo{bar}{zap}", 5061},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        ck_assert_msg(redis_slot(slice_text(rows[i].key)) == rows[i].slot, "'%s': %u", rows[i].key,
                      redis_slot(slice_text(rows[i].key)));
}
END_TEST

START_TEST(all_keys_of_a_sandbox_share_a_slot)
{
    ck_assert_uint_eq(redis_slot(SLICE("osb:store:{s}")), redis_slot(SLICE("osb:store:{s}:sandboxes")));
    ck_assert_uint_eq(redis_slot(SLICE("osb:sandbox:{s}")), redis_slot(SLICE("s")));
}
END_TEST

START_TEST(an_error_that_is_no_redirection_leaves_all_as_it_was)
{
    static const char *const rows[] = {
        "",
        "MOVED",
        "MOVED ",
        "MOVED 1",
        "MOVED 1 ",
        "MOVED 1 h",
        "MOVED 1 h:",
        "MOVED 1 h:0",
        "MOVED 1 h:65536",
        "MOVED 1 h:1 ",
        "MOVED 1 h:1 more",
        "MOVED  1 h:1",
        "MOVED 16384 h:1",
        "MOVED -1 h:1",
        "MOVED x h:1",
        "MOVED 99999999999999999999 h:1",
        "MOVED 1 h_-:1",
        "MOVED 1 ??:1",
        "MOVED 1 1.2.3:1",
        "MOVED 1 h\n:1",
        "moved 1 h:1",
        "MOVEDX 1 h:1",
        "-MOVED 1 h:1",
        "ASKING 1 h:1",
        "CLUSTERDOWN the cluster is down",
        "ERR unknown",
    };
    char name[400] = "MOVED 1 ";

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct redis_place to = {"before", 7};
        unsigned slot = 99;

        ck_assert_msg(redirect_parse(slice_text(rows[i]), &slot, &to) == REDIRECT_NONE, "'%s'", rows[i]);
        ck_assert_uint_eq(slot, 99);
        ck_assert_str_eq(to.host, "before");
    }
    memset(name + 8, 'a', 300);
    memcpy(name + 308, ":1", 3);
    ck_assert_int_eq(redirect_parse(slice_text(name), &(unsigned){0}, &(struct redis_place){"", 0}),
                     REDIRECT_NONE);
}
END_TEST

START_TEST(a_redirection_names_slot_and_node)
{
    static const struct {
        const char *text;
        enum redirect kind;
        unsigned slot;
        const char *host;
        unsigned port;
    } rows[] = {
        {"MOVED 3999 127.0.0.1:6381", REDIRECT_MOVED, 3999, "127.0.0.1", 6381},
        {"ASK 0 10.0.0.1:1", REDIRECT_ASK, 0, "10.0.0.1", 1},
        {"MOVED 16383 Node-1.Test.:65535", REDIRECT_MOVED, 16383, "node-1.test", 65535},
        {"MOVED 1 fd00::1:7000", REDIRECT_MOVED, 1, "fd00::1", 7000},
        {"ASK 1 [fd00::1]:7000", REDIRECT_ASK, 1, "fd00::1", 7000},
        {"MOVED 1 :7000", REDIRECT_MOVED, 1, "", 7000},
        {"MOVED 1 ?:7000", REDIRECT_MOVED, 1, "", 7000},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct redis_place to = {"before", 7};
        unsigned slot = 99;

        ck_assert_msg(redirect_parse(slice_text(rows[i].text), &slot, &to) == rows[i].kind, "'%s'",
                      rows[i].text);
        ck_assert_uint_eq(slot, rows[i].slot);
        ck_assert_str_eq(to.host, rows[i].host);
        ck_assert_uint_eq(to.port, rows[i].port);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("redisslot");
    TCase *tc = tcase_create("redisslot");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tc);
    tcase_add_test(tc, a_key_lies_in_the_slot_that_redis_says);
    tcase_add_test(tc, all_keys_of_a_sandbox_share_a_slot);
    tcase_add_test(tc, an_error_that_is_no_redirection_leaves_all_as_it_was);
    tcase_add_test(tc, a_redirection_names_slot_and_node);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

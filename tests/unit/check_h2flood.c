#include "h2flood.h"
#include <check.h>
#include <nghttp2/nghttp2.h>
#include <stdlib.h>

/* How many frames of ${type} are let through at once. */
static unsigned burst(struct h2_flood *f, uint8_t type, int64_t now_ms)
{
    unsigned n = 0;

    while (n < 100000 && h2_flood_frame(f, type, now_ms))
        n++;
    return n;
}

static const struct {
    const char *name;
    uint8_t type;
    unsigned most;
} frames[] = {
    {"DATA", NGHTTP2_DATA, 1000},
    {"HEADERS", NGHTTP2_HEADERS, 1000},
    {"PRIORITY", NGHTTP2_PRIORITY, 1000},
    {"RST_STREAM", NGHTTP2_RST_STREAM, 1000},
    {"SETTINGS", NGHTTP2_SETTINGS, 125},
    {"PING", NGHTTP2_PING, 1000},
    {"WINDOW_UPDATE", NGHTTP2_WINDOW_UPDATE, 1000},
    {"CONTINUATION", NGHTTP2_CONTINUATION, 1000},
    {"unknown", 0xee, 1000},
};

START_TEST(a_flood_of_any_frame_is_stopped)
{
    for (size_t i = 0; i < sizeof frames / sizeof *frames; i++) {
        struct h2_flood f;
        unsigned n;

        h2_flood_begin(&f, 1, 5000);
        n = burst(&f, frames[i].type, 5000);
        ck_assert_msg(n == frames[i].most, "%s: %u", frames[i].name, n);
        ck_assert_uint_eq(burst(&f, frames[i].type, 5000), 0);
    }
}
END_TEST

START_TEST(time_gives_back_a_few_frames_and_never_more_than_at_first)
{
    struct h2_flood f;

    h2_flood_begin(&f, 1, 5000);
    burst(&f, NGHTTP2_PING, 5000);
    ck_assert_uint_eq(burst(&f, NGHTTP2_PING, 5019), 0);
    ck_assert_uint_eq(burst(&f, NGHTTP2_PING, 5020), 1);
    ck_assert_uint_eq(burst(&f, NGHTTP2_PING, 6020), 50);
    ck_assert_uint_eq(burst(&f, NGHTTP2_PING, 6019), 0);
    ck_assert_uint_eq(burst(&f, NGHTTP2_PING, 0), 0);
    ck_assert_uint_eq(burst(&f, NGHTTP2_PING, INT64_C(1) << 50), 1000);
}
END_TEST

/* A client that downloads: for each DATA frame that it is sent it gives credit twice. */
START_TEST(traffic_that_asks_for_something_never_runs_dry)
{
    struct h2_flood f;

    h2_flood_begin(&f, 1, 0);
    for (unsigned i = 0; i < 100000; i++) {
        h2_flood_earn(&f, H2_EARN_SENT);
        ck_assert(h2_flood_frame(&f, NGHTTP2_WINDOW_UPDATE, 0));
        ck_assert(h2_flood_frame(&f, NGHTTP2_WINDOW_UPDATE, 0));
    }
    for (unsigned i = 0; i < 100000; i++) {
        ck_assert(h2_flood_frame(&f, NGHTTP2_HEADERS, 0));
        h2_flood_earn(&f, H2_EARN_HEAD);
        ck_assert(h2_flood_frame(&f, NGHTTP2_DATA, 0));
        h2_flood_earn(&f, H2_EARN_CONTENT);
        ck_assert(h2_flood_frame(&f, NGHTTP2_PING, 0));
    }
    h2_flood_earn(&f, 1);
    ck_assert_uint_eq(burst(&f, NGHTTP2_PING, 0), 4000);
}
END_TEST

START_TEST(resets_have_a_budget_of_their_own_that_traffic_does_not_fill)
{
    struct h2_flood f;
    unsigned n = 0;

    h2_flood_begin(&f, 1, 0);
    h2_flood_earn(&f, 1000);
    while (n < 1000 && h2_flood_reset(&f, 0))
        n++;
    ck_assert_uint_eq(n, 200);
    h2_flood_earn(&f, 1000);
    ck_assert(!h2_flood_reset(&f, 49));
    ck_assert(h2_flood_reset(&f, 50));
    ck_assert(!h2_flood_reset(&f, 50));
    for (n = 0; n < 1000 && h2_flood_reset(&f, 10050); n++)
        ;
    ck_assert_uint_eq(n, 200);
}
END_TEST

START_TEST(an_upstream_has_as_much_as_the_clients_it_serves)
{
    struct h2_flood f;
    unsigned n = 0;

    h2_flood_begin(&f, 4, 0);
    ck_assert_uint_eq(burst(&f, NGHTTP2_PING, 0), 4000);
    ck_assert_uint_eq(burst(&f, NGHTTP2_PING, 1000), 200);
    while (n < 10000 && h2_flood_reset(&f, 1000))
        n++;
    ck_assert_uint_eq(n, 800);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("h2flood");
    TCase *tc = tcase_create("budgets");
    SRunner *run = srunner_create(s);
    int failed;

    tcase_add_test(tc, a_flood_of_any_frame_is_stopped);
    tcase_add_test(tc, time_gives_back_a_few_frames_and_never_more_than_at_first);
    tcase_add_test(tc, traffic_that_asks_for_something_never_runs_dry);
    tcase_add_test(tc, resets_have_a_budget_of_their_own_that_traffic_does_not_fill);
    tcase_add_test(tc, an_upstream_has_as_much_as_the_clients_it_serves);
    suite_add_tcase(s, tc);
    srunner_run_all(run, CK_ENV);
    failed = srunner_ntests_failed(run);
    srunner_free(run);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

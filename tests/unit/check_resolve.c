#include "clock.h"
#include "nameserver.h"
#include "resolve.h"
#include "table.h"
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PATIENCE_S 10.0

static struct ev_loop *loop;
static struct resolver *resolver;

static void room_make(void)
{
    table_seed();
    loop = ev_loop_new(EVFLAG_AUTO);
    struct endpoint server = dns_open(loop);

    setenv("LOCALDOMAIN", "evil.test", 1);
    ck_assert_int_eq(resolver_new(loop, &server, 1, &resolver), FAULT_NONE);
}

static void room_clear(void)
{
    resolver_free(resolver);
    dns_close(loop);
    ev_loop_destroy(loop);
}

/* --- asking --------------------------------------------------------------------------------------------- */

static struct {
    unsigned calls, faults;
    enum fault why;
    struct resolve_answer answer;
    bool inside; /* a call is being made just now */
} told;

static void on_answer(void *cookie, enum fault why, const struct resolve_answer *answer)
{
    unsigned *calls = cookie;

    ck_assert_msg(!told.inside, "called from inside resolve_name");
    ck_assert((why == FAULT_NONE) == (answer != NULL));
    told.calls++;
    told.faults += why != FAULT_NONE;
    told.why = why;
    if (calls)
        ++*calls;
    if (answer)
        told.answer = *answer;
}

static struct host host_of(const char *text)
{
    struct host h = {.len = (uint8_t)strlen(text)};

    strcpy(h.name, text);
    return h;
}

static enum fault ask_with(const char *name, resolve_fn *fn, void *cookie, struct resolve_wait **wait)
{
    struct host h = host_of(name);
    struct resolve_wait *unused;

    told.inside = true;
    enum fault why = resolve_name(resolver, &h, &told.answer, fn, cookie, wait ? wait : &unused);

    told.inside = false;
    return why;
}

static enum fault ask(const char *name)
{
    return ask_with(name, on_answer, NULL, NULL);
}

static void on_late(struct ev_loop *l, ev_timer *w, int events)
{
    (void)l;
    (void)events;
    *(bool *)w->data = true;
}

static unsigned wait_calls(unsigned want, double patience_s)
{
    bool late = false;
    ev_timer limit;

    ev_now_update(loop);
    ev_timer_init(&limit, on_late, patience_s, 0);
    limit.data = &late;
    ev_timer_start(loop, &limit);
    while (told.calls < want && !late)
        ev_run(loop, EVRUN_ONCE);
    ev_timer_stop(loop, &limit);
    return told.calls;
}

/* Ask, and wait where that is needed. */
static enum fault outcome(const char *name)
{
    unsigned before = told.calls;
    enum fault why = ask(name);

    if (why != FAULT_AGAIN)
        return why;
    ck_assert_msg(wait_calls(before + 1, PATIENCE_S) == before + 1, "%s: no answer", name);
    return told.why;
}

/* --- refusals ------------------------------------------------------------------------------------------- */

START_TEST(what_has_no_address_is_unreachable_and_soon_forgotten)
{
    const char *const bad[] = {"nx.test",   "servfail.test", "refused.test", "formerr.test", "empty.test",
                               "loop.test", "cut.test",      "nx",           "nx_y.test"};
    const char *name = bad[_i];

    ck_assert_msg(outcome(name) == FAULT_UPSTREAM_UNREACHABLE, "%s: %s", name, fault_table[told.why].name);
    ck_assert_str_eq(dns.asked, name); /* no search domain */
    unsigned questions = dns.questions;

    ck_assert_msg(ask(name) == FAULT_UPSTREAM_UNREACHABLE, "%s: asked again at once", name);
    ck_assert_uint_eq(dns.questions, questions);
    wait_calls(told.calls + 1, 1.1);
    ck_assert_msg(ask(name) == FAULT_AGAIN, "%s: not asked again after a second", name);
}
END_TEST

static void on_beat(struct ev_loop *l, ev_timer *w, int events)
{
    (void)l;
    (void)events;
    ++*(unsigned *)w->data;
}

/* All in one test, since each of them takes its five seconds. */
START_TEST(no_valid_answer_is_a_timeout_within_five_seconds_and_blocks_nothing)
{
    const char *const mute[] = {"silent.test", "question.test", "id.test", "garbage.test", "silent2.test"};
    unsigned count = sizeof mute / sizeof *mute, beats = 0;
    int64_t start_ms = clock_mono_ms();
    ev_timer beat;

    ev_timer_init(&beat, on_beat, 0.01, 0.01);
    beat.data = &beats;
    ev_timer_start(loop, &beat);
    for (unsigned i = 0; i < count; i++)
        ck_assert_msg(ask(mute[i]) == FAULT_AGAIN, "%s", mute[i]);
    wait_calls(1, PATIENCE_S);
    ck_assert_int_ge(clock_mono_ms() - start_ms, 4500);
    ck_assert_uint_eq(wait_calls(count, 1), count);
    ck_assert_int_le(clock_mono_ms() - start_ms, 5000);
    ck_assert_uint_eq(told.faults, count);
    ck_assert_int_eq(told.why, FAULT_UPSTREAM_TIMEOUT);
    ck_assert_uint_gt(beats, 250);
    ev_timer_stop(loop, &beat);
}
END_TEST

START_TEST(a_dead_server_is_told_at_once_or_soon)
{
    ev_io_stop(loop, &dns.udp);
    close(dns.udp.fd);
    dns.udp.fd = -1;
    ck_assert_int_eq(outcome("ok.test"), FAULT_UPSTREAM_UNREACHABLE);
}
END_TEST

START_TEST(names_beyond_the_bound_are_refused_while_all_are_asked_for)
{
    char name[64];

    for (int i = 0; i < RESOLVE_NAMES; i++) {
        snprintf(name, sizeof name, "silent%d.test", i);
        ck_assert_msg(ask(name) == FAULT_AGAIN, "%s", name);
    }
    ck_assert_int_eq(ask("silent.more.test"), FAULT_NO_MEMORY);
    ck_assert_int_eq(ask("silent7.test"),
                     FAULT_AGAIN); /* one that is being asked for has room for one more */
    ck_assert_uint_eq(told.calls, 0);
    resolver_free(resolver);
    resolver = NULL;
    ck_assert_uint_eq(told.faults, RESOLVE_NAMES + 1);
    ck_assert_int_eq(told.why, FAULT_UPSTREAM_TIMEOUT);
}
END_TEST

/* --- answers -------------------------------------------------------------------------------------------- */

START_TEST(literals_are_answered_without_a_question)
{
    const char *const literals[] = {"192.0.2.7", "2001:db8::7", "127.0.0.1"};

    for (size_t i = 0; i < 3; i++) {
        struct host h = host_of(literals[i]);
        struct resolve_answer answer;
        struct resolve_wait *wait;
        char text[IP_TEXT];

        h.literal = true;
        ck_assert_int_eq(resolve_name(resolver, &h, &answer, on_answer, NULL, &wait), FAULT_NONE);
        ck_assert_uint_eq(answer.count, 1);
        ip_text(answer.ip[0], text);
        ck_assert_str_eq(text, literals[i]);
    }
    ck_assert_uint_eq(dns.questions, 0);
}
END_TEST

START_TEST(answers_are_whole_bounded_and_kept)
{
    const struct {
        const char *name;
        size_t count;
        bool tcp;
    } good[] = {{"ok.test", 2, false},   {"v4.test", 3, false},
                {"v6.test", 2, false},   {"under_score.ok.test", 2, false},
                {"chain.test", 1, true}, {"thousand.test", RESOLVE_ADDRESSES, true}};

    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        unsigned before = dns.over_tcp;
        enum fault why = outcome(good[i].name);

        ck_assert_msg(why == FAULT_NONE, "%s: %s", good[i].name, fault_table[why].name);
        ck_assert_msg(told.answer.count == good[i].count, "%s: %zu", good[i].name, told.answer.count);
        ck_assert_int_eq(dns.over_tcp > before, good[i].tcp);
        unsigned questions = dns.questions;

        told.answer.count = 0;
        ck_assert_msg(ask(good[i].name) == FAULT_NONE, "%s: not kept", good[i].name);
        ck_assert_uint_eq(told.answer.count, good[i].count);
        ck_assert_uint_eq(dns.questions, questions);
    }
}
END_TEST

START_TEST(an_answer_lives_as_long_as_its_shortest_record)
{
    const char *const brief[] = {"brief.test", "zero.test", "alias.test"};

    ck_assert_int_eq(outcome("ok.test"), FAULT_NONE);
    for (size_t i = 0; i < 3; i++) {
        ck_assert_int_eq(outcome(brief[i]), FAULT_NONE);
        ck_assert_msg(ask(brief[i]) == FAULT_NONE, "%s was not kept at all", brief[i]);
    }
    wait_calls(told.calls + 1, 1.1);
    ck_assert_int_eq(ask("ok.test"), FAULT_NONE);
    for (size_t i = 0; i < 3; i++)
        ck_assert_msg(ask(brief[i]) == FAULT_AGAIN, "%s was kept too long", brief[i]);
}
END_TEST

START_TEST(many_who_wait_are_one_query)
{
    for (int i = 0; i < 1000; i++)
        ck_assert_int_eq(ask("ok.test"), FAULT_AGAIN);
    ck_assert_uint_eq(wait_calls(1000, PATIENCE_S), 1000);
    ck_assert_uint_eq(dns.questions, 2); /* A and AAAA */
    ck_assert_uint_eq(told.faults, 0);
}
END_TEST

START_TEST(the_cache_is_bounded_and_the_least_used_goes_first)
{
    char name[64];

    ck_assert_int_eq(outcome("ok.first.test"), FAULT_NONE);
    ck_assert_int_eq(outcome("ok.second.test"), FAULT_NONE);
    for (int i = 0; i < RESOLVE_NAMES - 1; i++) {
        snprintf(name, sizeof name, "ok%d.test", i);
        ck_assert_msg(outcome(name) == FAULT_NONE, "%s", name);
        if (i % 1000 == 0)
            ck_assert_int_eq(ask("ok.first.test"), FAULT_NONE);
    }
    ck_assert_int_eq(ask(name), FAULT_NONE);
    ck_assert_int_eq(ask("ok.first.test"), FAULT_NONE);
    ck_assert_int_eq(ask("ok.second.test"), FAULT_AGAIN);
}
END_TEST

START_TEST(aliases_of_the_environment_count_for_nothing)
{
    char path[] = "/tmp/check_resolve.XXXXXX";
    int fd = mkstemp(path);

    dprintf(fd, "ok evil.test\n");
    close(fd);
    setenv("HOSTALIASES", path, 1);
    ck_assert_int_eq(outcome("ok"), FAULT_NONE);
    ck_assert_str_eq(dns.asked, "ok");
    unlink(path);
}
END_TEST

START_TEST(the_systems_servers_serve_where_none_are_named)
{
    resolver_free(resolver);
    ck_assert_int_eq(resolver_new(loop, NULL, 0, &resolver), FAULT_NONE);
    ck_assert_int_eq(outcome("localhost"),
                     FAULT_NONE); /* from the hosts file, or RFC 6761: no server is asked */
    ck_assert_uint_ge(told.answer.count, 1);
}
END_TEST

/* --- cancelling and calling back ------------------------------------------------------------------------ */

static struct resolve_wait *victim;

static void on_answer_cancel(void *cookie, enum fault why, const struct resolve_answer *answer)
{
    on_answer(cookie, why, answer);
    resolve_cancel(victim);
}

START_TEST(who_cancels_is_not_called)
{
    struct resolve_wait *wait;
    unsigned cancelled = 0;

    ck_assert_int_eq(ask_with("ok.test", on_answer, &cancelled, &wait), FAULT_AGAIN);
    resolve_cancel(wait);
    ck_assert_int_eq(ask_with("ok.test", on_answer_cancel, NULL, NULL), FAULT_AGAIN);
    ck_assert_int_eq(ask_with("ok.test", on_answer, &cancelled, &victim), FAULT_AGAIN);
    ck_assert_int_eq(ask("ok.test"), FAULT_AGAIN);
    ck_assert_uint_eq(wait_calls(2, PATIENCE_S), 2);
    ev_run(loop, EVRUN_NOWAIT);
    ck_assert_uint_eq(told.calls, 2);
    ck_assert_uint_eq(cancelled, 0);
    ck_assert_int_eq(ask("ok.test"), FAULT_NONE);
}
END_TEST

START_TEST(a_query_that_nobody_waits_for_is_kept_too)
{
    struct resolve_wait *wait;

    ck_assert_int_eq(ask_with("ok.test", on_answer, NULL, &wait), FAULT_AGAIN);
    resolve_cancel(wait);
    while (dns.questions < 2)
        ev_run(loop, EVRUN_ONCE);
    for (int i = 0; i < 5; i++)
        ev_run(loop, EVRUN_NOWAIT);
    ck_assert_int_eq(ask("ok.test"), FAULT_NONE);
}
END_TEST

static void on_answer_free(void *cookie, enum fault why, const struct resolve_answer *answer)
{
    on_answer(cookie, why, answer);
    resolver_free(resolver);
    resolver = NULL;
}

static void on_answer_ask(void *cookie, enum fault why, const struct resolve_answer *answer)
{
    struct host h = host_of("v4.test");
    struct resolve_wait *wait;

    on_answer(cookie, why, answer);
    if (resolver)
        ck_assert_int_eq(resolve_name(resolver, &h, &told.answer, on_answer, NULL, &wait), FAULT_AGAIN);
}

START_TEST(a_callback_may_free_the_resolver_or_ask_again)
{
    ck_assert_int_eq(ask_with("ok.test", on_answer_ask, NULL, NULL), FAULT_AGAIN);
    ck_assert_uint_eq(wait_calls(2, PATIENCE_S), 2);
    ck_assert_int_eq(ask_with("ok2.test", on_answer_free, NULL, NULL), FAULT_AGAIN);
    ck_assert_int_eq(ask("ok2.test"), FAULT_AGAIN);
    ck_assert_int_eq(ask("silent.test"), FAULT_AGAIN);
    ck_assert_uint_eq(wait_calls(5, PATIENCE_S), 5);
    ck_assert_ptr_null(resolver);
    ck_assert_uint_eq(told.faults, 1); /* the answer for ok2 had come already */
}
END_TEST

int main(void)
{
    Suite *s = suite_create("resolve");
    TCase *tc = tcase_create("resolve");

    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, room_make, room_clear);
    tcase_add_loop_test(tc, what_has_no_address_is_unreachable_and_soon_forgotten, 0, 9);
    tcase_add_test(tc, no_valid_answer_is_a_timeout_within_five_seconds_and_blocks_nothing);
    tcase_add_test(tc, a_dead_server_is_told_at_once_or_soon);
    tcase_add_test(tc, names_beyond_the_bound_are_refused_while_all_are_asked_for);
    tcase_add_test(tc, literals_are_answered_without_a_question);
    tcase_add_test(tc, answers_are_whole_bounded_and_kept);
    tcase_add_test(tc, an_answer_lives_as_long_as_its_shortest_record);
    tcase_add_test(tc, many_who_wait_are_one_query);
    tcase_add_test(tc, the_cache_is_bounded_and_the_least_used_goes_first);
    tcase_add_test(tc, aliases_of_the_environment_count_for_nothing);
    tcase_add_test(tc, the_systems_servers_serve_where_none_are_named);
    tcase_add_test(tc, who_cancels_is_not_called);
    tcase_add_test(tc, a_query_that_nobody_waits_for_is_kept_too);
    tcase_add_test(tc, a_callback_may_free_the_resolver_or_ask_again);
    suite_add_tcase(s, tc);
    SRunner *runner = srunner_create(s);

    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);

    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#include "audit.h"
#include "metric.h"
#include <check.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define TOKEN "osb_sealed_0123456789abcdef0123456789abcdef"

static char dir[] = "/tmp/check_audit.XXXXXX", path[64];
static struct ev_loop *loop;
static char text[4 * 1024 * 1024];

static void room_make(void)
{
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/audit.log", dir);
    loop = ev_loop_new(EVFLAG_AUTO);
}

static void room_clear(void)
{
    unlink(path);
    rmdir(dir);
    ev_loop_destroy(loop);
}

static struct endpoint endpoint(const char *from)
{
    struct endpoint e;

    ck_assert_int_eq(endpoint_parse(slice_text(from), &e), FAULT_NONE);
    return e;
}

static struct audit_entry plain_entry(void)
{
    return (struct audit_entry){
        .request_id = SLICE("r-1"),
        .sandbox = SLICE("sb1"),
        .host = SLICE("api.test"),
        .method = SLICE("GET"),
        .path = SLICE("/v1"),
        .client = endpoint("10.0.0.2:40000"),
        .original = endpoint("[2001:db8::1]:443"),
        .proto = "h2",
        .upstream_proto = "h1",
        .status = 200,
        .upstream_ms = 7,
    };
}

static struct audit *open_audit(const char *target)
{
    struct audit *a = NULL;

    ck_assert_int_eq(audit_new(loop, target, &a), FAULT_NONE);
    return a;
}

static char *slurp(const char *from)
{
    FILE *f = fopen(from, "r");

    ck_assert_msg(f != NULL, "%s can't be read", from);
    size_t n = fread(text, 1, sizeof text - 1, f);

    text[n] = 0;
    fclose(f);
    return text;
}

/* What one entry looks like in the file. */
static char *line_of(const struct audit_entry *e)
{
    unlink(path);
    struct audit *a = open_audit(path);

    audit_write(a, e);
    audit_free(a);
    return slurp(path);
}

static json_t *object_of(const char *line)
{
    json_error_t why;
    json_t *o = json_loads(line, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &why);

    ck_assert_msg(o != NULL, "%s: %s", why.text, line);
    return o;
}

START_TEST(a_file_that_cant_be_opened_is_refused)
{
    struct audit *a = NULL;
    const char *const bad[] = {"/nonexistent/audit.log", "/tmp", ""};

    for (size_t i = 0; i < 3; i++)
        ck_assert_msg(audit_new(loop, bad[i], &a) == FAULT_SYSTEM, "opened %s", bad[i]);
    ck_assert_ptr_null(a);
}
END_TEST

START_TEST(a_line_has_the_contracts_fields_in_their_order)
{
    struct audit_entry e = plain_entry();

    e.secrets[0] = SLICE("GH");
    e.secrets[1] = SLICE("NPM");
    e.secret_count = 2;
    e.denied[0] = SLICE("unknown");
    e.denied_count = 1;
    e.scrubbed = 3;
    e.bytes_in = 4;
    e.bytes_out = 5;
    e.ms = 6;
    char *line = line_of(&e);

    ck_assert_int_eq(strncmp(line, "{\"ts\":\"20", 9), 0);
    ck_assert_int_eq(line[7 + 23], 'Z');
    ck_assert_str_eq(line + 7 + 25,
                     ",\"request_id\":\"r-1\",\"sandbox\":\"sb1\",\"src\":\"10.0.0.2:40000\",\"dst\":\"[2001:"
                     "db8::1]:443\","
                     "\"host\":\"api.test\",\"method\":\"GET\",\"path\":\"/"
                     "v1\",\"proto\":\"h2\",\"upstream_proto\":\"h1\","
                     "\"status\":200,\"action\":\"forward\",\"reason\":null,\"secrets\":[\"GH\",\"NPM\"],"
                     "\"tokens_denied\":[\"unknown\"],\"scrubbed\":3,\"bytes_in\":4,\"bytes_out\":5,\"ms\":6,"
                     "\"upstream_ms\":7}\n");
}
END_TEST

START_TEST(what_is_not_there_is_null)
{
    struct audit_entry none = {
        .client = endpoint("10.0.0.2:1"), .reason = FAULT_UNKNOWN_SOURCE, .upstream_ms = -1};
    const char *const nulls[] = {"request_id", "sandbox", "dst",   "host",           "method",
                                 "path",       "status",  "proto", "upstream_proto", "upstream_ms"};
    json_t *o = object_of(line_of(&none));

    for (size_t i = 0; i < sizeof nulls / sizeof *nulls; i++)
        ck_assert_msg(json_is_null(json_object_get(o, nulls[i])), "%s is not null", nulls[i]);
    json_decref(o);
}
END_TEST

START_TEST(paths_lose_their_query_and_their_tokens)
{
    const struct {
        const char *sent, *shown;
    } paths[] = {
        {"/a?key=" TOKEN, "/a"},
        {"/?", "/"},
        {"/" TOKEN, "/osb_sealed_0123"},
        {"/" TOKEN "0/x", "/osb_sealed_0123/x"},
        {"/" TOKEN TOKEN, "/osb_sealed_0123osb_sealed_0123"},
        {"/osb_sealed_" TOKEN, "/osb_sealed_osb_sealed_0123"},
        {"/osb_sealed_01", "/osb_sealed_01"},
        {"/osb_sealed_01234ABC", "/osb_sealed_0123ABC"},
        {"/osb_sealed", "/osb_sealed"},
        {"/plain/deadbeefdeadbeef", "/plain/deadbeefdeadbeef"},
    };

    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        struct audit_entry e = plain_entry();

        e.path = slice_text(paths[i].sent);
        json_t *o = object_of(line_of(&e));
        const char *saw = json_string_value(json_object_get(o, "path"));

        ck_assert_msg(strcmp(saw, paths[i].shown) == 0, "%s was shown as %s", paths[i].sent, saw);
        json_decref(o);
    }
}
END_TEST

START_TEST(a_whole_token_is_nowhere_whatever_field_it_is_sent_in)
{
    struct audit_entry e = plain_entry();

    e.request_id = e.sandbox = e.host = e.method = e.path = e.denied[0] = e.secrets[0] = SLICE(TOKEN);
    e.secret_count = e.denied_count = 1;
    ck_assert_ptr_null(strstr(line_of(&e), "osb_sealed_01234"));
}
END_TEST

START_TEST(action_follows_blame_and_reason_is_the_contracts_code)
{
    for (int f = 0; f < FAULT_COUNT; f++) {
        struct audit_entry e = plain_entry();
        enum blame blame = fault_table[f].blame;

        e.reason = (enum fault)f;
        json_t *o = object_of(line_of(&e));
        const char *saw = json_string_value(json_object_get(o, "action"));
        const char *want = f == FAULT_NONE                                  ? "forward"
                           : blame == BLAME_CLIENT || blame == BLAME_POLICY ? "block"
                                                                            : "error";

        ck_assert_msg(strcmp(saw, want) == 0, "%s: %s", fault_table[f].name, saw);
        if (f != FAULT_NONE)
            ck_assert_str_eq(json_string_value(json_object_get(o, "reason")), fault_table[f].code);
        json_decref(o);
    }
}
END_TEST

START_TEST(no_octet_of_a_peer_can_end_or_colour_a_line)
{
    uint8_t every[256];
    struct audit_entry e = plain_entry();

    for (size_t i = 0; i < sizeof every; i++)
        every[i] = (uint8_t)(255 - i);
    e.host = e.method = e.path = e.secrets[0] = slice_of(every, sizeof every);
    e.secret_count = 1;
    char *line = line_of(&e);
    size_t len = strlen(line);

    for (size_t i = 0; i < len - 1; i++)
        ck_assert_msg(line[i] >= 0x20 && line[i] < 0x7f, "octet %02x at %zu", (unsigned)line[i], i);
    ck_assert_int_eq(line[len - 1], '\n');
    json_decref(object_of(line));
}
END_TEST

/* A request must not slip past the log by being large: the worst of everything is still one whole line. */
START_TEST(the_longest_entry_is_one_line_within_its_bound)
{
    static uint8_t huge[65536];
    struct audit_entry e = {.client = endpoint("[ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255]:65535"),
                            .proto = "h2",
                            .upstream_proto = "h2",
                            .status = 999,
                            .reason = FAULT_TOO_MANY_CONNECTIONS,
                            .secret_count = 99,
                            .denied_count = 99,
                            .scrubbed = UINT64_MAX,
                            .bytes_in = UINT64_MAX,
                            .bytes_out = UINT64_MAX,
                            .ms = INT64_MIN,
                            .upstream_ms = INT64_MAX};

    e.original = e.client;
    for (int fill = 0; fill < 2; fill++) {
        memset(huge, fill ? 'x' : 0, sizeof huge);
        e.request_id = e.sandbox = e.host = e.method = e.path = slice_of(huge, sizeof huge);
        for (size_t i = 0; i < AUDIT_NAMES; i++)
            e.secrets[i] = e.denied[i] = e.path;
        char *line = line_of(&e);

        ck_assert_uint_le(strlen(line), AUDIT_LINE);
        ck_assert_uint_gt(strlen(line), AUDIT_LINE * 3 / 4);
        json_decref(object_of(line));
    }
}
END_TEST

START_TEST(lines_wait_for_the_loops_turn_and_do_not_keep_it_alive)
{
    struct audit_entry e = plain_entry();
    struct audit *a = open_audit(path);
    struct stat st;

    for (int i = 0; i < 3; i++)
        audit_write(a, &e);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_int_eq(st.st_size, 0);
    ck_assert_int_eq(st.st_mode & 0777 & ~0640u, 0);
    ev_run(loop, 0); /* would not come back if the audit held it */
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_int_gt(st.st_size, 0);
    audit_free(a);
}
END_TEST

START_TEST(a_full_disk_never_stops_traffic_and_is_counted)
{
    struct audit_entry e = plain_entry();
    struct audit *a = open_audit("/dev/full");

    for (int i = 0; i < 2000; i++) {
        audit_write(a, &e);
        if (i % 100 == 0)
            ev_run(loop, EVRUN_NOWAIT);
    }
    ck_assert_uint_gt(metric_sum(METRIC_AUDIT_LOST), 0);
    audit_free(a);
    ck_assert_uint_eq(metric_sum(METRIC_AUDIT_LOST), 2000);
}
END_TEST

static void on_tick(struct ev_loop *l, ev_timer *w, int events)
{
    (void)l;
    (void)w;
    (void)events;
}

/* All that comes, until nothing came for longer than the audit waits to try again; every line whole. */
static size_t lines_read(int fd)
{
    size_t got = 0, lines = 0;
    ev_timer tick;

    ev_timer_init(&tick, on_tick, 0.15, 0.15);
    ev_timer_start(loop, &tick);
    for (int quiet = 0; quiet < 3;) {
        ssize_t n = read(fd, text + got, sizeof text - 1 - got);

        got += n > 0 ? (size_t)n : 0;
        quiet = n > 0 ? 0 : quiet + 1;
        if (n <= 0)
            ev_run(loop, EVRUN_ONCE);
    }
    ev_timer_stop(loop, &tick);
    text[got] = 0;
    for (char *line = text, *end; *line; line = end + 1, lines++) {
        end = strchr(line, '\n');
        ck_assert_msg(end != NULL, "the last line has no end: %s", line);
        *end = 0;
        json_decref(object_of(line));
    }
    return lines;
}

/* Longer than PIPE_BUF, so that a stall can cut it. */
static struct audit_entry long_entry(void)
{
    static char longest[3000];
    struct audit_entry e = plain_entry();

    memset(longest, 'p', sizeof longest);
    e.path = slice_of(longest, sizeof longest);
    for (size_t i = 0; i < AUDIT_NAMES; i++)
        e.secrets[i] = slice_of(longest, 90);
    e.secret_count = AUDIT_NAMES;
    return e;
}

START_TEST(a_slow_reader_loses_whole_lines_only_and_each_is_counted)
{
    const bool to_stdout = _i & 1;
    struct audit_entry e = _i & 2 ? long_entry() : plain_entry();
    int ends[2];

    ck_assert_int_eq(_i & 4 ? socketpair(AF_UNIX, SOCK_STREAM, 0, ends) : pipe(ends), 0);
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    ck_assert_int_eq(dup2(ends[1], STDOUT_FILENO), STDOUT_FILENO);
    struct audit *a = open_audit(to_stdout ? "stdout" : "/dev/stdout");

    for (int i = 0; i < 3000; i++) {
        audit_write(a, &e);
        if (i % 10 == 0)
            ev_run(loop, EVRUN_NOWAIT);
    }
    uint64_t lost = metric_sum(METRIC_AUDIT_LOST);

    ck_assert_uint_gt(lost, 0);
    ck_assert_msg((fcntl(ends[1], F_GETFL) & O_NONBLOCK) == 0, "a shared descriptor was changed");
    ck_assert_uint_eq(lines_read(ends[0]) + lost, 3000);
    audit_write(a, &e);
    ck_assert_uint_eq(lines_read(ends[0]), 1);
    audit_free(a);
    ck_assert_uint_eq(metric_sum(METRIC_AUDIT_LOST), lost);
    close(ends[0]);
}
END_TEST

START_TEST(reopening_starts_a_new_file_with_a_whole_line)
{
    struct audit_entry first = plain_entry(), e = long_entry();
    char old[80];

    ck_assert_int_eq(mkfifo(path, 0600), 0);
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    struct audit *a = open_audit(path);

    /* A pipe has sixteen pages: the short line takes one, each long one two: the last is cut. */
    audit_write(a, &first);
    ev_run(loop, EVRUN_NOWAIT);
    for (int i = 0; i < 20; i++)
        audit_write(a, &e);
    ev_run(loop, EVRUN_NOWAIT);
    snprintf(old, sizeof old, "%s.1", path);
    ck_assert_int_eq(rename(path, old), 0);
    audit_reopen(a);
    audit_free(a);
    ck_assert_uint_eq(metric_sum(METRIC_AUDIT_LOST), 1);
    ck_assert_int_eq(*slurp(path), '{');
    unlink(old);
    close(fd);
}
END_TEST

START_TEST(a_reopening_that_fails_keeps_the_old_file)
{
    struct audit_entry e = plain_entry();
    struct audit *a = open_audit(path);
    char old[80];

    snprintf(old, sizeof old, "%s.1", path);
    ck_assert_int_eq(rename(path, old), 0);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    audit_reopen(a);
    audit_write(a, &e);
    audit_free(a);
    ck_assert_int_eq(*slurp(old), '{');
    unlink(old);
    rmdir(path);
}
END_TEST

START_TEST(off_and_syslog_take_lines_too)
{
    struct audit_entry e = plain_entry();
    const char *const targets[] = {"off", "syslog"};

    for (size_t i = 0; i < 2; i++) {
        struct audit *a = open_audit(targets[i]);

        audit_write(a, &e);
        audit_reopen(a);
        audit_free(a);
    }
    audit_free(NULL);
    ck_assert_uint_eq(metric_sum(METRIC_AUDIT_LOST), 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("audit");
    TCase *tc = tcase_create("audit");

    tcase_add_checked_fixture(tc, room_make, room_clear);
    tcase_add_test(tc, a_file_that_cant_be_opened_is_refused);
    tcase_add_test(tc, a_line_has_the_contracts_fields_in_their_order);
    tcase_add_test(tc, what_is_not_there_is_null);
    tcase_add_test(tc, paths_lose_their_query_and_their_tokens);
    tcase_add_test(tc, a_whole_token_is_nowhere_whatever_field_it_is_sent_in);
    tcase_add_test(tc, action_follows_blame_and_reason_is_the_contracts_code);
    tcase_add_test(tc, no_octet_of_a_peer_can_end_or_colour_a_line);
    tcase_add_test(tc, the_longest_entry_is_one_line_within_its_bound);
    tcase_add_test(tc, lines_wait_for_the_loops_turn_and_do_not_keep_it_alive);
    tcase_add_test(tc, a_full_disk_never_stops_traffic_and_is_counted);
    tcase_add_loop_test(tc, a_slow_reader_loses_whole_lines_only_and_each_is_counted, 0, 4);
    tcase_add_loop_test(tc, a_slow_reader_loses_whole_lines_only_and_each_is_counted, 5, 6); /* a socket */
    tcase_add_loop_test(tc, a_slow_reader_loses_whole_lines_only_and_each_is_counted, 7, 8);
    tcase_add_test(tc, reopening_starts_a_new_file_with_a_whole_line);
    tcase_add_test(tc, a_reopening_that_fails_keeps_the_old_file);
    tcase_add_test(tc, off_and_syslog_take_lines_too);
    suite_add_tcase(s, tc);
    SRunner *runner = srunner_create(s);

    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);

    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#include "packing.h"
#include "piecemeal.h"
#include "spool.h"
#include "unpack.h"
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define EACH(table) for (size_t i = 0; i < sizeof table / sizeof *table; i++)
#define MOST        (4u * SPOOL_RUN)
#define PLENTY      (UINT64_C(1) << 40)

static uint8_t text[MOST * 2];

static void scribble(void)
{
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (uint8_t)(i * 7 + i / 251 + i / 65536);
}

/* The first pass, as far as it goes; what it gives is checked on the way. */
static enum fault fill(struct spool *s)
{
    struct slice run;
    size_t at = 0;
    enum fault why;

    while ((why = s->stream.ops->body(&s->stream, &run)) == FAULT_NONE || why == FAULT_AGAIN) {
        if (why == FAULT_AGAIN)
            continue;
        if (run.len == 0 || run.len > SPOOL_RUN || memcmp(text + at, run.at, run.len) != 0)
            ck_abort_msg("%zu other octets at %zu", run.len, at);

        size_t n = (run.len + 1) / 2; /* taken in two bites, or more */

        s->stream.ops->took(&s->stream, n);
        at += n;
    }
    return why;
}

/* Read from here to the end: it must be what ${text} holds, ${len} octets from ${at} on. */
static void demand_body(struct stream *s, size_t at, size_t len, size_t bite)
{
    struct slice run;
    enum fault why;

    while ((why = s->ops->body(s, &run)) == FAULT_NONE || why == FAULT_AGAIN) {
        if (why == FAULT_AGAIN)
            continue;

        size_t n = bite < run.len ? bite : run.len;

        if (n == 0 || at + n > len || memcmp(text + at, run.at, n) != 0)
            ck_abort_msg("other octets at %zu of %zu", at, len);
        s->ops->took(s, n);
        at += n;
    }
    ck_assert_msg(why == FAULT_END && at == len, "%s at %zu of %zu", fault_table[why].name, at, len);
}

static void read_some(struct stream *s, size_t n)
{
    struct slice run;

    while (n) {
        ck_assert_int_eq(s->ops->body(s, &run), FAULT_NONE);
        run = slice_first(run, n);
        n -= run.len;
        s->ops->took(s, run.len);
    }
}

static const size_t memories[] = {0, 1, 1000, 16384, 20000, SPOOL_RUN, SPOOL_RUN + 1, MOST};
static const size_t lengths[] = {
    0, 1, 999, 1000, 1001, 16384, 16385, SPOOL_RUN - 1, SPOOL_RUN, SPOOL_RUN + 1, MOST - 1, MOST};

START_TEST(a_body_is_given_again_as_it_came_wherever_it_was_kept)
{
    static const size_t pieces[] = {1, 1000, 100000};
    struct purse purse = {.memory = PLENTY, .disk = PLENTY};
    size_t piece = pieces[_i];

    scribble();
    EACH(memories)
    {
        for (size_t k = 0; k < sizeof lengths / sizeof *lengths; k++) {
            struct piecemeal from;
            struct spool s;

            piecemeal_open(&from, slice_of(text, lengths[k]), piece);
            spool_open(&s, &from.stream, memories[i], MOST, &purse);
            ck_assert_int_eq(fill(&s), FAULT_END);
            ck_assert_uint_eq(s.octets, lengths[k]);
            ck_assert_msg((s.file != 0) == (lengths[k] > memories[i]), "%zu octets, %zu in memory",
                          lengths[k], memories[i]);
            ck_assert_uint_eq(PLENTY - purse.memory, s.held.cap);
            ck_assert_int_eq(spool_again(&s), FAULT_NONE);
            demand_body(&s.stream, 0, lengths[k], piece);
            ck_assert_uint_eq(PLENTY - purse.disk, s.filed);
            ck_assert_int_eq(spool_again(&s), FAULT_NONE);
            read_some(&s.stream, lengths[k] / 2);
            ck_assert(s.stream.ops->rewind(&s.stream));
            demand_body(&s.stream, 0, lengths[k], SIZE_MAX);
            spool_close(&s);
            spool_close(&s);
            ck_assert(purse.memory == PLENTY && purse.disk == PLENTY);
        }
    }
}
END_TEST

START_TEST(a_body_that_is_longer_goes_on_from_where_it_came)
{
    struct purse purse = {.memory = PLENTY, .disk = PLENTY};

    scribble();
    EACH(memories)
    {
        for (size_t more = 1; more < MOST; more *= 9) {
            struct piecemeal from;
            struct spool s;

            piecemeal_open(&from, slice_of(text, MOST + more), 5000);
            spool_open(&s, &from.stream, memories[i], MOST, &purse);
            ck_assert_int_eq(fill(&s), FAULT_BODY_TOO_LARGE);
            ck_assert_int_eq(fill(&s), FAULT_BODY_TOO_LARGE);
            ck_assert_uint_eq(s.octets, MOST);
            ck_assert_uint_eq(from.left.len, more);
            ck_assert_int_eq(spool_again(&s), FAULT_NONE);
            read_some(&s.stream, MOST);
            ck_assert(s.stream.ops->rewind(&s.stream));
            demand_body(&s.stream, 0, MOST + more, 3000);
            ck_assert(!s.stream.ops->rewind(&s.stream)); /* the rest was read */
            spool_close(&s);
        }
    }
    ck_assert(purse.memory == PLENTY && purse.disk == PLENTY);
}
END_TEST

/* A coded body proves to be none in the middle of the first pass. */
START_TEST(a_first_pass_that_was_broken_off_goes_on_from_where_it_came)
{
    struct purse purse = {.memory = PLENTY, .disk = PLENTY};

    scribble();
    EACH(memories)
    {
        for (size_t k = 0; k < sizeof lengths / sizeof *lengths; k++) {
            struct piecemeal from;
            struct spool s;
            struct slice run;

            piecemeal_open(&from, slice_of(text, MOST * 2), 3000);
            spool_open(&s, &from.stream, memories[i], MOST, &purse);
            while (s.at < lengths[k])
                if (s.stream.ops->body(&s.stream, &run) == FAULT_NONE)
                    s.stream.ops->took(&s.stream, (run.len + 1) / 2);
            ck_assert_int_eq(spool_again(&s), FAULT_NONE);
            demand_body(&s.stream, 0, MOST * 2, 5000);
            ck_assert_uint_lt(s.octets, lengths[k] + 3000);
            ck_assert(!s.stream.ops->rewind(&s.stream));
            spool_close(&s);
        }
    }
    ck_assert(purse.memory == PLENTY && purse.disk == PLENTY);
}
END_TEST

START_TEST(memory_is_taken_as_octets_come)
{
    struct purse purse = {.memory = PLENTY, .disk = PLENTY};
    struct piecemeal from;
    struct spool s;

    piecemeal_open(&from, slice_of(text, sizeof text), 100);
    spool_open(&s, &from.stream, 1u << 30, UINT64_MAX, &purse);
    ck_assert_uint_eq(purse.memory, PLENTY);
    while (!s.whole) {
        struct slice run;

        if (s.stream.ops->body(&s.stream, &run) == FAULT_NONE)
            s.stream.ops->took(&s.stream, run.len);
        ck_assert_msg(s.held.cap <= 16384 || s.held.cap < 4 * s.octets, "%zu for %llu", s.held.cap,
                      (unsigned long long)s.octets);
    }
    spool_close(&s);
}
END_TEST

START_TEST(an_empty_purse_is_overload_and_all_is_repaid)
{
    scribble();
    for (uint64_t memory = 0; memory <= 2 * SPOOL_RUN; memory += SPOOL_RUN / 2)
        for (uint64_t disk = 0; disk <= MOST; disk += SPOOL_RUN / 2) {
            struct purse purse = {.memory = memory, .disk = disk};
            struct piecemeal from;
            struct spool s;
            enum fault why;

            piecemeal_open(&from, slice_of(text, MOST), 10000);
            spool_open(&s, &from.stream, 20000, MOST, &purse);
            why = fill(&s);
            if (why == FAULT_END && spool_again(&s) != FAULT_NONE) /* the last octets had no room */
                why = FAULT_OVERLOADED;
            ck_assert_msg(why == (memory >= SPOOL_RUN && disk >= MOST ? FAULT_END : FAULT_OVERLOADED),
                          "%llu and %llu: %s", (unsigned long long)memory, (unsigned long long)disk,
                          fault_table[why].name);
            spool_close(&s);
            ck_assert(purse.memory == memory && purse.disk == disk);
        }
}
END_TEST

START_TEST(a_fault_of_the_stream_below_passes)
{
    struct piecemeal from;
    struct spool s;

    piecemeal_open(&from, slice_of(text, 5000), 1000);
    from.end = FAULT_CLIENT_GONE;
    spool_open(&s, &from.stream, 1000, MOST, NULL);
    ck_assert_int_eq(fill(&s), FAULT_CLIENT_GONE);
    spool_close(&s);
    memset(&s, 0, sizeof s);
    spool_close(&s);
}
END_TEST

/* --- the file ---------------------------------------------------------------------------------------------- */

static enum fault fill_file(struct spool *s, struct piecemeal *from, struct purse *purse)
{
    scribble();
    piecemeal_open(from, slice_of(text, MOST), 10000);
    spool_open(s, &from->stream, 1000, MOST, purse);

    enum fault why = fill(s);

    return why == FAULT_END && spool_again(s) != FAULT_NONE ? FAULT_COUNT : why;
}

START_TEST(the_file_has_no_name_and_can_be_given_none)
{
    struct piecemeal from;
    struct spool s;
    struct stat st;
    char path[64];

    umask(0);
    ck_assert_int_eq(fill_file(&s, &from, NULL), FAULT_END);
    ck_assert_int_eq(fstat(s.file - 1, &st), 0);
    ck_assert_uint_eq(st.st_nlink, 0);
    ck_assert_uint_eq(st.st_mode & 07777, 0600);
    ck_assert_int_eq(st.st_size, MOST);
    ck_assert(fcntl(s.file - 1, F_GETFD) & FD_CLOEXEC);
    snprintf(path, sizeof path, "/proc/self/fd/%d", s.file - 1);
    ck_assert_int_eq(linkat(AT_FDCWD, path, AT_FDCWD, "/tmp/osb-spool-linked", AT_SYMLINK_FOLLOW), -1);
    spool_close(&s);
    ck_assert_int_eq(access(path, F_OK), -1);
}
END_TEST

/* The first write is short, the second fails. */
START_TEST(a_full_disk_is_overload)
{
    struct rlimit limit = {SPOOL_RUN + 5, SPOOL_RUN + 5};
    struct purse purse = {.memory = PLENTY, .disk = PLENTY};
    struct piecemeal from;
    struct spool s;

    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    ck_assert_int_eq(fill_file(&s, &from, &purse), FAULT_OVERLOADED);
    spool_close(&s);
    ck_assert(purse.memory == PLENTY && purse.disk == PLENTY);
}
END_TEST

START_TEST(a_real_full_disk_is_overload_too)
{
    char folder[] = "/tmp/osb-spool-XXXXXX";
    struct piecemeal from;
    struct spool s;
    enum fault why;

    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return; /* only root can */
    ck_assert_ptr_nonnull(mkdtemp(folder));
    ck_assert_int_eq(mount("none", folder, "tmpfs", MS_NOSUID | MS_NODEV, "size=128k"), 0);
    ck_assert_int_eq(setenv("TMPDIR", folder, 1), 0);
    why = fill_file(&s, &from, NULL);
    spool_close(&s);
    ck_assert_int_eq(umount(folder), 0);
    ck_assert_int_eq(rmdir(folder), 0);
    ck_assert_msg(why == FAULT_OVERLOADED, "%s", fault_table[why].name);
}
END_TEST

START_TEST(no_descriptor_left_is_overload)
{
    struct rlimit limit, none;
    struct piecemeal from;
    struct spool s;
    enum fault why;

    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none = (struct rlimit){0, limit.rlim_max};
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
    why = fill_file(&s, &from, NULL);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    ck_assert_int_eq(why, FAULT_OVERLOADED);
    spool_close(&s);
}
END_TEST

START_TEST(a_folder_that_is_not_there_is_passed_over)
{
    struct piecemeal from;
    struct spool s;

    ck_assert_int_eq(setenv("TMPDIR", "/nowhere/at/all", 1), 0);
    ck_assert_int_eq(fill_file(&s, &from, NULL), FAULT_END);
    demand_body(&s.stream, 0, MOST, 10000);
    spool_close(&s);
}
END_TEST

START_TEST(a_file_that_lost_its_octets_is_a_fault_and_not_an_end)
{
    struct piecemeal from;
    struct spool s;
    struct slice run;

    ck_assert_int_eq(fill_file(&s, &from, NULL), FAULT_END);
    ck_assert_int_eq(ftruncate(s.file - 1, SPOOL_RUN), 0);
    read_some(&s.stream, SPOOL_RUN);
    ck_assert_int_eq(s.stream.ops->body(&s.stream, &run), FAULT_SYSTEM);
    spool_close(&s);
}
END_TEST

/* --- as a stream ------------------------------------------------------------------------------------------- */

START_TEST(trailers_are_asked_for_once_and_given_each_time)
{
    struct piecemeal from;
    struct spool s;

    piecemeal_open(&from, slice_of(text, 3), 1);
    spool_open(&s, &from.stream, 10, MOST, NULL);
    ck_assert_int_eq(fill(&s), FAULT_END);
    for (unsigned n = 0; n < 3; n++) {
        struct head h;

        ck_assert_int_eq(s.stream.ops->trailers(&s.stream, &h), FAULT_NONE);
        ck_assert_uint_eq(h.fields, 1);
        ck_assert(slice_equal(h.field[0].value, SLICE("text/trailer")));
        ck_assert_uint_eq(from.trailers, 1);
        ck_assert(s.stream.ops->rewind(&s.stream));
    }
    spool_close(&s);
}
END_TEST

START_TEST(there_is_no_way_back_behind_a_commit)
{
    struct piecemeal from;
    struct spool s;

    piecemeal_open(&from, slice_of(text, 3), 1);
    spool_open(&s, &from.stream, 10, MOST, NULL);
    ck_assert_int_eq(fill(&s), FAULT_END);
    s.stream.ops->commit(&s.stream);
    ck_assert_uint_eq(from.commits, 1);
    ck_assert(!s.stream.ops->rewind(&s.stream));
    ck_assert_uint_eq(s.stream.ops->keeps(&s.stream), 0);
    spool_close(&s);
}
END_TEST

START_TEST(a_coded_body_is_opened_from_a_spool_as_often_as_asked)
{
    static uint8_t into[sizeof text * 2];
    struct purse purse = {.memory = PLENTY, .disk = PLENTY};
    struct piecemeal from;
    struct unpack u;
    struct spool s;

    scribble();
    piecemeal_open(&from, slice_of(into, pack((enum packing)_i, slice_of(text, MOST), into, sizeof into)),
                   777);
    spool_open(&s, &from.stream, 100, MOST * 2, &purse);
    ck_assert_int_eq(unpack_open(&u, &s.stream, packing_table[_i].coding, (struct unpack_caps){MOST, 0},
                                 FAULT_BAD_REQUEST, &purse),
                     FAULT_NONE);
    for (unsigned n = 0; n < 3; n++) {
        demand_body(&u.stream, 0, MOST, 4000);
        ck_assert(u.stream.ops->rewind(&u.stream));
    }
    unpack_close(&u);
    spool_close(&s);
    ck_assert(purse.memory == PLENTY && purse.disk == PLENTY);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("spool");
    TCase *t = tcase_create("spool");
    SRunner *r;
    int failed;

    tcase_add_test(t, an_empty_purse_is_overload_and_all_is_repaid);
    tcase_add_test(t, a_fault_of_the_stream_below_passes);
    tcase_add_test(t, a_full_disk_is_overload);
    tcase_add_test(t, a_real_full_disk_is_overload_too);
    tcase_add_test(t, no_descriptor_left_is_overload);
    tcase_add_test(t, a_folder_that_is_not_there_is_passed_over);
    tcase_add_test(t, a_file_that_lost_its_octets_is_a_fault_and_not_an_end);
    tcase_add_test(t, the_file_has_no_name_and_can_be_given_none);
    tcase_add_test(t, a_first_pass_that_was_broken_off_goes_on_from_where_it_came);
    tcase_add_test(t, memory_is_taken_as_octets_come);
    tcase_add_test(t, there_is_no_way_back_behind_a_commit);
    tcase_add_loop_test(t, a_body_is_given_again_as_it_came_wherever_it_was_kept, 0, 3);
    tcase_add_test(t, a_body_that_is_longer_goes_on_from_where_it_came);
    tcase_add_test(t, trailers_are_asked_for_once_and_given_each_time);
    tcase_add_loop_test(t, a_coded_body_is_opened_from_a_spool_as_often_as_asked, 0, PACKINGS);
    suite_add_tcase(s, t);
    r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#include "census.h"
#include "record.h"
#include <check.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define MANY ((unsigned)3 * CENSUS_SLOTS)

static struct census joined[MANY];

static void page_make(void)
{
    ck_assert_int_eq(census_open(), FAULT_NONE);
}

static json_t *page_read(void)
{
    struct buf text = {0};
    json_t *all;

    ck_assert_int_eq(buf_open(&text, census_octets()), FAULT_NONE);
    ck_assert_int_eq(census_text(&text), FAULT_NONE);
    all = json_loadb((const char *)buf_held(&text).at, buf_held(&text).len, JSON_REJECT_DUPLICATES, NULL);
    ck_assert_msg(json_is_array(all), "no array: %.*s", SLICE_PRINTF(buf_held(&text)));
    buf_close(&text);
    return all;
}

static json_t *page_find(json_t *all, const char *id)
{
    json_t *one, *found = NULL;
    size_t i;

    json_array_foreach (all, i, one)
        if (strcmp(json_string_value(json_object_get(one, "id")), id) == 0) {
            ck_assert_msg(!found, "%s is there twice", id);
            found = one;
        }
    return found;
}

static void expect(const char *id, const char *want)
{
    json_t *all = page_read(), *one = page_find(all, id);
    char got[CENSUS_LINE];
    int n = 0;

    ck_assert_msg(one != NULL, "%s is not there", id);
    ck_assert_uint_eq(json_object_size(one), 7);
    for (const char *const *key = (const char *const[]){"connections", "requests", "blocked", "errors",
                                                        "bytesIn", "bytesOut", NULL};
         *key; key++)
        n += snprintf(got + n, sizeof got - (size_t)n, "%s%lld", n ? " " : "",
                      json_integer_value(json_object_get(one, *key)));
    ck_assert_msg(strcmp(got, want) == 0, "%s: %s instead of %s", id, got, want);
    json_decref(all);
}

START_TEST(nobody_is_counted_at_first)
{
    json_t *all = page_read();

    ck_assert_uint_eq(json_array_size(all), 0);
    json_decref(all);
}
END_TEST

START_TEST(each_is_counted_for_itself)
{
    struct census a = census_join("a", 0), b = census_join("b", 0);

    census_connection(&a, "a", 0);
    census_request(&a, "a", 0, FAULT_NONE, 10, 100);
    census_request(&a, "a", 0, FAULT_NONE, 1, 2);
    census_request(&b, "b", 0, FAULT_HOST_NOT_ALLOWED, 5, 6);
    census_request(&b, "b", 0, FAULT_UPSTREAM_UNREACHABLE, 0, 0);
    census_request(&b, "b", 0, FAULT_REQUEST_TIMEOUT, 0, 0);
    expect("a", "1 2 0 0 11 102");
    expect("b", "0 3 2 1 5 6");
}
END_TEST

START_TEST(workers_count_together)
{
    struct census mine = census_join("a", 0);
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        struct census other = census_join("a", 0);

        census_request(&other, "a", 0, FAULT_NONE, 3, 4);
        _exit(other.slot == mine.slot ? 0 : 1);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    census_request(&mine, "a", 0, FAULT_NONE, 1, 1);
    expect("a", "0 2 0 0 4 5");
}
END_TEST

START_TEST(the_longest_line_has_room)
{
    char id[RECORD_ID_MAX + 1];
    struct census c;

    memset(id, 'x', RECORD_ID_MAX);
    id[RECORD_ID_MAX] = 0;
    c = census_join(id, 0);
    census_request(&c, id, 0, FAULT_NONE, INT64_MAX, INT64_MAX);
    expect(id, "0 1 0 0 9223372036854775807 9223372036854775807");
}
END_TEST

START_TEST(a_page_that_does_not_fit_is_refused)
{
    struct buf text = {0};

    census_join("a", 0);
    ck_assert_int_eq(buf_open(&text, 20), FAULT_NONE);
    ck_assert_int_eq(census_text(&text), FAULT_FULL);
    buf_close(&text);
}
END_TEST

static const char *name_of(unsigned i)
{
    static char name[16];

    snprintf(name, sizeof name, "s%u", i);
    return name;
}

/* The slots are picked by a hash, so which of the many finds none is known only then. */
static unsigned page_fill(void)
{
    unsigned left_out = MANY;

    for (unsigned i = 0; i < MANY; i++) {
        joined[i] = census_join(name_of(i), 1);
        if (joined[i].slot == CENSUS_SLOTS)
            left_out = i;
    }
    ck_assert_uint_lt(left_out, MANY);
    return left_out;
}

START_TEST(one_without_a_slot_is_not_counted_and_harms_nobody)
{
    unsigned i = page_fill();
    json_t *all;

    census_request(&joined[i], name_of(i), 1, FAULT_NONE, 1, 1);
    census_connection(&joined[i], name_of(i), 1);
    all = page_read();
    ck_assert_uint_le(json_array_size(all), CENSUS_SLOTS);
    ck_assert_ptr_null(page_find(all, name_of(i)));
    json_decref(all);
}
END_TEST

START_TEST(a_slot_that_was_quiet_for_long_goes_to_another_and_begins_anew)
{
    unsigned late = page_fill(), old = 0;
    char id[16];

    joined[late] = census_join(name_of(late), CENSUS_QUIET_MS);
    ck_assert_uint_eq(joined[late].slot, CENSUS_SLOTS);
    joined[late] = census_join(name_of(late), CENSUS_QUIET_MS + 1);
    ck_assert_uint_lt(joined[late].slot, CENSUS_SLOTS);
    while (old == late || joined[old].slot != joined[late].slot)
        old++;
    census_request(&joined[late], name_of(late), CENSUS_QUIET_MS + 1, FAULT_NONE, 1, 2);
    snprintf(id, sizeof id, "%s", name_of(late));
    expect(id, "0 1 0 0 1 2");
    census_request(&joined[old], name_of(old), CENSUS_QUIET_MS + 1, FAULT_NONE, 7, 7);
    expect(id, "0 1 0 0 1 2");
    ck_assert_uint_ne(joined[old].slot, joined[late].slot);
    expect(name_of(old), "0 1 0 0 7 7");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("census");
    TCase *tc = tcase_create("census");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tc);
    tcase_add_checked_fixture(tc, page_make, NULL);
    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, nobody_is_counted_at_first);
    tcase_add_test(tc, each_is_counted_for_itself);
    tcase_add_test(tc, workers_count_together);
    tcase_add_test(tc, the_longest_line_has_room);
    tcase_add_test(tc, a_page_that_does_not_fit_is_refused);
    tcase_add_test(tc, one_without_a_slot_is_not_counted_and_harms_nobody);
    tcase_add_test(tc, a_slot_that_was_quiet_for_long_goes_to_another_and_begins_anew);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

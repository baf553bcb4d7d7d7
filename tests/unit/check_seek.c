#include "medley.h"
#include "seek.h"
#include <check.h>
#include <stdlib.h>

#define COUNT(table) (sizeof(table) / sizeof *(table))

static const char *const texts[] = {
    "\r\n", "osb_sealed_", "<![CDATA[", "ab",
    "\r\n--0123456789012345678901234567890123456789012345678901234567890123456789"};

static uint64_t seed = 1;

/* Random octets, rich in ${text} and in beginnings of it. */
static size_t compose(struct slice text, uint8_t *into, size_t room)
{
    size_t n = 0;

    for (;;) {
        struct slice part =
            slice_first(text, medley_draw(&seed, 3) ? medley_draw(&seed, (unsigned)text.len + 1) : text.len);

        if (!medley_draw(&seed, 4))
            part = SLICE("some other text, longer than a block of the search");
        part = slice_first(part, medley_draw(&seed, 60) + 1);
        if (n + part.len > room)
            return n;
        memcpy(into + n, part.at, part.len);
        n += part.len;
    }
}

static size_t naive_first(struct slice in, struct slice text)
{
    size_t at = 0;

    while (at < in.len && !slice_starts(slice_drop(in, at), text))
        at++;
    return at;
}

START_TEST(both_searches_find_the_first)
{
    uint8_t octets[200];

    for (unsigned i = 0; i < 40000; i++) {
        struct slice text = slice_text(texts[i % COUNT(texts)]);
        struct slice in = slice_of(octets, compose(text, octets, medley_draw(&seed, sizeof octets)));
        size_t want = naive_first(in, text), plain = seek_plain(in, text), vector = seek_first(in, text);

        ck_assert_msg(plain == want && vector == want, "'%.*s' in '%.*s': %zu, but %zu and %zu",
                      SLICE_PRINTF(text), SLICE_PRINTF(in), want, plain, vector);
    }
}
END_TEST

START_TEST(a_beginning_is_seen_at_the_end_alone)
{
    static const struct {
        const char *in;
        size_t want;
    } table[] = {{"", 0},           {"x", 1},
                 {"o", 0},          {"xosb_", 1},
                 {"osb_x", 5},      {"oosb", 1},
                 {"osb_sealed", 0}, {"osb_sealed_", 11},
                 {"ooooooooo", 8},  {"osb_sealed_o", 11}};

    for (size_t i = 0; i < COUNT(table); i++) {
        size_t got = seek_begun(slice_text(table[i].in), SLICE("osb_sealed_"));

        ck_assert_msg(got == table[i].want, "'%s': %zu, not %zu", table[i].in, got, table[i].want);
    }
}
END_TEST

START_TEST(pieces_show_all_that_the_whole_has)
{
    uint8_t octets[400];

    for (unsigned i = 0; i < 20000; i++) {
        struct slice text = slice_text(texts[i % COUNT(texts)]);
        struct slice in = slice_of(octets, compose(text, octets, medley_draw(&seed, sizeof octets))),
                     whole = in;
        size_t matched = 0, at = 0, want = naive_first(in, text) + text.len;

        while (in.len) {
            struct slice piece = slice_first(in, 1 + medley_draw(&seed, medley_draw(&seed, 2) ? 3 : 100));
            size_t n = seek_on(piece, text, &matched);

            at += n;
            in = slice_drop(in, n);
            if (matched == text.len) {
                ck_assert_msg(at == want, "'%.*s': found before %zu, not %zu", SLICE_PRINTF(whole), at, want);
                want += naive_first(in, text) + text.len;
                matched = 0;
            } else {
                ck_assert_uint_eq(n, piece.len);
                ck_assert_msg(at < want, "'%.*s': nothing at %zu", SLICE_PRINTF(whole), want);
            }
        }
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("seek");
    TCase *tc = tcase_create("seek");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tc);
    tcase_add_test(tc, both_searches_find_the_first);
    tcase_add_test(tc, a_beginning_is_seen_at_the_end_alone);
    tcase_add_test(tc, pieces_show_all_that_the_whole_has);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#include "subst.h"
#include <check.h>
#include <stdlib.h>

#define DIGITS "0123456789abcdef0123456789abcdef"
#define TOKEN  "osb_sealed_" DIGITS
#define OTHER  "osb_sealed_ffffffffffffffffffffffffffffffff"

#define MOST ((size_t)1 << 14)

/* What the grant of these tests says: TOKEN stands for ${value}, or nothing does. */
struct giver {
    const struct secret *value;
    unsigned asked;
};

static const struct secret *give(void *cookie, struct slice token)
{
    struct giver *g = cookie;

    ck_assert_uint_eq(token.len, SUBST_TOKEN);
    g->asked++;
    return slice_equal(token, SLICE(TOKEN)) ? g->value : NULL;
}

static bool is_token(struct slice s)
{
    if (!slice_starts(s, SLICE("osb_sealed_")) || s.len < SUBST_TOKEN)
        return false;
    for (size_t i = SUBST_MARK; i < SUBST_TOKEN; i++)
        if (!strchr("0123456789abcdef", s.at[i]) || !s.at[i])
            return false;
    return true;
}

/* The reference: an octet at a time. */
static size_t naive(struct slice in, struct slice value, char *out, unsigned *tokens)
{
    size_t n = 0;

    *tokens = 0;
    while (in.len) {
        bool token = is_token(in), ours = token && slice_equal(slice_first(in, SUBST_TOKEN), SLICE(TOKEN));
        struct slice piece = ours ? value : slice_first(in, token ? SUBST_TOKEN : 1);

        *tokens += token;
        memcpy(out + n, piece.at, piece.len);
        n += piece.len;
        in = slice_drop(in, token ? SUBST_TOKEN : 1);
    }
    return n;
}

/* Feed ${in} in pieces of at most ${step} octets, through an out of ${room} octets that is drained when it is full. */
static size_t feed_all(struct giver *g, struct slice in, size_t step, size_t room, char *out)
{
    struct subst s = {.grant = give, .cookie = g};
    struct buf b = {0};
    size_t seen = 0, used, n = 0;

    ck_assert_int_eq(buf_open(&b, room), FAULT_NONE);
    for (;;) {
        struct slice piece = slice_first(in, seen);
        bool last = seen >= in.len;
        enum fault f = subst_feed(&s, piece, last, &b, &used);

        ck_assert_uint_le(used, piece.len);
        in = slice_drop(in, used);
        seen = seen > used ? seen - used : 0;
        if (f == FAULT_FULL) {
            struct slice held = buf_held(&b);

            ck_assert_msg(held.len > 0, "full, yet it holds nothing");
            memcpy(out + n, held.at, held.len);
            n += held.len;
            buf_take(&b, held.len);
            continue;
        }
        ck_assert_int_eq(f, FAULT_NONE);
        if (last)
            break;
        ck_assert_uint_le(piece.len - used, SUBST_HOLD);
        seen += step;
    }
    ck_assert_uint_eq(in.len, 0);
    memcpy(out + n, buf_held(&b).at, buf_held(&b).len);
    n += buf_held(&b).len;
    buf_close(&b);
    return n;
}

static struct secret *secret_of(struct slice value)
{
    struct secret *s;

    ck_assert_int_eq(secret_new(value, &s), FAULT_NONE);
    return s;
}

/* Fed in every way there is, ${in} must become what the reference says. */
static void expect_as_naive(struct slice in, struct slice value)
{
    static const size_t steps[] = {1, 2, 10, 11, 12, 42, 43, 44, 1000, MOST}, rooms[] = {1, 5, 43, 1000};
    static char want[MOST], got[MOST];
    struct secret *secret = secret_of(value);
    unsigned tokens;
    size_t len = naive(in, value, want, &tokens);

    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        for (size_t j = 0; j < sizeof rooms / sizeof *rooms; j++) {
            struct giver g = {secret, 0};
            size_t n = feed_all(&g, in, steps[i], rooms[j], got);

            ck_assert_msg(n == len && memcmp(got, want, n) == 0,
                          "steps of %zu, room of %zu: '%.*s' became '%.*s'", steps[i], rooms[j],
                          SLICE_PRINTF(in), (int)n, got);
            ck_assert_msg(g.asked == tokens, "steps of %zu, room of %zu: asked %u times for %u tokens",
                          steps[i], rooms[j], g.asked, tokens);
        }
    struct giver g = {secret, 0};
    bool changed;

    ck_assert_uint_eq(subst_measure(give, &g, in, &changed), len);
    ck_assert_uint_eq(g.asked, tokens);
    ck_assert_int_eq(changed, tokens && memmem(in.at, in.len, TOKEN, SUBST_TOKEN) != NULL);
    secret_free(secret);
}

START_TEST(near_misses_go_on_as_they_are)
{
    static const char *const misses[] = {
        "",
        "osb_sealed_",
        "osb_sealed_0123456789abcdef0123456789abcde",
        "osb_sealed_0123456789abcdef0123456789abcdeg",
        "osb_sealed_0123456789ABCDEF0123456789abcdef",
        "OSB_SEALED_" DIGITS,
        "osb_sealed" DIGITS,
        "osb_sealed\xe2\x80\x93" DIGITS,
        "osb-sealed_" DIGITS,
        " sb_sealed_" DIGITS,
        "osb_sealed__" DIGITS,
        "text that ends in osb_seal",
        "text that ends in o",
        "oooooooooo__________oooooooooo__________",
    };

    for (size_t i = 0; i < sizeof misses / sizeof *misses; i++) {
        static char got[MOST];
        struct giver g = {0};
        struct slice in = slice_text(misses[i]);
        size_t n = feed_all(&g, in, MOST, MOST, got);

        ck_assert_msg(g.asked == 0 && slice_equal(slice_of(got, n), in), "'%s' became '%.*s'", misses[i],
                      (int)n, got);
        expect_as_naive(in, SLICE("value"));
    }
}
END_TEST

START_TEST(one_wrong_octet_anywhere_is_no_token)
{
    static const char wrong[] = {'G', 'F', 'g', '/', ':', '`', '@', '\0', '\x7f', (char)0x80, (char)0xff};

    for (size_t i = 0; i < SUBST_TOKEN; i++)
        for (size_t k = 0; k < sizeof wrong; k++) {
            char text[] = "<" TOKEN ">";

            text[1 + i] = wrong[k];
            ck_assert_msg(subst_find(slice_of(text, sizeof text - 1)) == sizeof text - 1,
                          "octet %zu as 0x%02x: found", i, (uint8_t)wrong[k]);
        }
}
END_TEST

START_TEST(tokens_are_replaced_whatever_stands_around_them)
{
    static const char *const texts[] = {
        TOKEN,
        TOKEN TOKEN,
        TOKEN "0",
        TOKEN OTHER TOKEN,
        OTHER,
        "{\"key\":\"" TOKEN "\",\"n\":1}",
        "osb_sealed_" TOKEN,
        "osb_sealed_0123" TOKEN,
        "osb_" TOKEN "osb_sealed",
        "oosb_sealed_osb_sealed_" DIGITS "_" TOKEN "osb_sealed_abc",
        "a text that is longer than one block of the vector search, and then " TOKEN
        ", and more text behind it",
    };
    static const char *const values[] = {"", "v", "a value of middle length", TOKEN, "osb_sealed_"};
    char wide[700];

    memset(wide, 'w', sizeof wide);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        for (size_t k = 0; k < sizeof values / sizeof *values; k++)
            expect_as_naive(slice_text(texts[i]), slice_text(values[k]));
        expect_as_naive(slice_text(texts[i]), slice_of(wide, sizeof wide));
    }
}
END_TEST

START_TEST(a_token_inside_a_value_is_not_replaced)
{
    static char got[MOST];
    struct secret *value = secret_of(SLICE("<" TOKEN ">"));
    struct giver g = {value, 0};
    size_t n = feed_all(&g, SLICE(TOKEN), 1, 7, got);

    ck_assert_msg(slice_equal(slice_of(got, n), SLICE("<" TOKEN ">")), "became '%.*s'", (int)n, got);
    ck_assert_uint_eq(g.asked, 1);
    secret_free(value);
}
END_TEST

START_TEST(no_part_of_a_token_goes_out_early)
{
    struct subst s = {.grant = give, .cookie = &(struct giver){0}};
    struct buf b = {0};
    size_t used;

    ck_assert_int_eq(buf_open(&b, 256), FAULT_NONE);
    for (size_t len = 1; len < SUBST_TOKEN; len++) {
        char text[2 + SUBST_TOKEN] = "x:";

        memcpy(text + 2, TOKEN, len);
        ck_assert_int_eq(subst_feed(&s, slice_of(text, 2 + len), false, &b, &used), FAULT_NONE);
        ck_assert_msg(used == 2 && buf_held(&b).len == 2, "%zu octets of a token: %zu went out", len, used);
        buf_take(&b, 2);
        ck_assert_int_eq(subst_feed(&s, slice_of(text + 2, len), true, &b, &used), FAULT_NONE);
        ck_assert_msg(used == len && slice_equal(buf_held(&b), slice_of(text + 2, len)),
                      "%zu octets at the end: %zu", len, used);
        buf_take(&b, len);
    }
    buf_close(&b);
}
END_TEST

START_TEST(a_full_out_asks_no_question_twice)
{
    struct secret *value = secret_of(SLICE("0123456789"));
    struct giver g = {value, 0};
    struct subst s = {.grant = give, .cookie = &g};
    struct buf b = {0};
    struct slice in = SLICE(TOKEN OTHER);
    size_t used;

    ck_assert_int_eq(buf_open(&b, 10), FAULT_NONE);
    ck_assert_int_eq(subst_feed(&s, in, true, &b, &used), FAULT_FULL);
    ck_assert_uint_eq(used, SUBST_TOKEN);
    in = slice_drop(in, used);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(subst_feed(&s, in, true, &b, &used), FAULT_FULL);
        ck_assert_uint_eq(used, 0);
    }
    ck_assert_uint_eq(g.asked, 2);
    buf_close(&b);
    secret_free(value);
}
END_TEST

START_TEST(a_half_given_value_waits_for_its_token)
{
    struct secret *value = secret_of(SLICE("0123456789"));
    struct giver g = {value, 0};
    struct subst s = {.grant = give, .cookie = &g};
    struct buf b = {0};
    size_t used;

    ck_assert_int_eq(buf_open(&b, 4), FAULT_NONE);
    ck_assert_int_eq(subst_feed(&s, SLICE(TOKEN), true, &b, &used), FAULT_FULL);
    ck_assert_uint_eq(used, 0);
    ck_assert_int_eq(subst_feed(&s, SLICE("osb_sealed_"), true, &b, &used), FAULT_AGAIN);
    ck_assert_uint_eq(used, 0);
    buf_close(&b);
    secret_free(value);
}
END_TEST

START_TEST(a_thousand_false_starts_hide_no_token)
{
    static const char *const starts[] = {"osb_sealed_", "osb_sealed_0123456789abcdef0123456789abcde", "osb_",
                                         "o"};

    for (size_t k = 0; k < sizeof starts / sizeof *starts; k++) {
        size_t len = strlen(starts[k]), n = 0;
        char *text = malloc(1000 * len + SUBST_TOKEN);

        ck_assert_ptr_nonnull(text);
        for (; n < 1000 * len; n += len)
            memcpy(text + n, starts[k], len);
        memcpy(text + n, TOKEN, SUBST_TOKEN);
        ck_assert_uint_eq(subst_find(slice_of(text, n + SUBST_TOKEN)), n);
        free(text);
    }
}
END_TEST

static unsigned long seed = 1;

static unsigned draw(unsigned below)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(seed >> 33) % below;
}

/* Random text, rich in marks, parts of marks and tokens. */
static size_t compose(char *text, size_t room)
{
    static const char *const parts[] = {TOKEN, OTHER,  "osb_sealed_",  "osb_seal", "o",
                                        "_",   DIGITS, "plain text; ", "\n"};
    size_t n = 0;

    for (;;) {
        struct slice part = slice_text(parts[draw(sizeof parts / sizeof *parts)]);

        part = slice_first(part, draw(3) ? part.len : draw((unsigned)part.len + 1));
        if (n + part.len > room)
            return n;
        memcpy(text + n, part.at, part.len);
        n += part.len;
    }
}

START_TEST(random_text_becomes_what_the_reference_says)
{
    char text[600];

    for (int i = 0; i < 40; i++)
        expect_as_naive(slice_of(text, compose(text, draw(sizeof text))), SLICE("some value"));
}
END_TEST

START_TEST(both_searches_find_the_same_mark)
{
    for (int i = 0; i < 20000; i++) {
        char text[120];
        struct slice in = slice_of(text, compose(text, draw(sizeof text)));
        size_t plain = subst_mark_plain(in), vector = subst_mark_vector(in), want = 0;

        while (want < in.len && !slice_starts(slice_drop(in, want), SLICE("osb_sealed_")))
            want++;
        ck_assert_msg(plain == want && vector == want, "'%.*s': %zu, but %zu and %zu", SLICE_PRINTF(in), want,
                      plain, vector);
    }
}
END_TEST

static void arena_open(void)
{
    ck_assert_int_eq(secret_arena_open((size_t)1 << 20), FAULT_NONE);
}

int main(void)
{
    Suite *suite = suite_create("subst");
    TCase *tc = tcase_create("subst");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tc);
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, arena_open, NULL); /* the arena does not outlive a fork */
    tcase_add_test(tc, near_misses_go_on_as_they_are);
    tcase_add_test(tc, one_wrong_octet_anywhere_is_no_token);
    tcase_add_test(tc, tokens_are_replaced_whatever_stands_around_them);
    tcase_add_test(tc, a_token_inside_a_value_is_not_replaced);
    tcase_add_test(tc, no_part_of_a_token_goes_out_early);
    tcase_add_test(tc, a_full_out_asks_no_question_twice);
    tcase_add_test(tc, a_half_given_value_waits_for_its_token);
    tcase_add_test(tc, a_thousand_false_starts_hide_no_token);
    tcase_add_test(tc, random_text_becomes_what_the_reference_says);
    tcase_add_test(tc, both_searches_find_the_same_mark);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

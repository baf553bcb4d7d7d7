#include "medley.h"
#include <check.h>
#include <jansson.h>
#include <stdlib.h>

#define COUNT(table) (sizeof(table) / sizeof *(table))
#define DIGITS       "0123456789abcdef0123456789abcdef"
#define TOKEN        MEDLEY_TOKEN
#define OTHER        MEDLEY_OTHER
#define BOUNDARY     SLICE(MEDLEY_BOUNDARY)
#define MOST         ((size_t)1 << 16)

/* What the grant of these tests says: TOKEN stands for ${value} where nothing bars it, and OTHER where it is alone. */
struct giver {
    const struct secret *value;
    unsigned asked;
};

static bool given(struct slice token, struct where where)
{
    return !where.barred &&
           (slice_equal(token, SLICE(TOKEN)) || (where.alone && slice_equal(token, SLICE(OTHER))));
}

static struct granted give(void *cookie, struct slice token, const struct where *where)
{
    struct giver *g = cookie;

    ck_assert_uint_eq(token.len, SUBST_TOKEN);
    g->asked++;
    return (struct granted){given(token, *where) ? g->value : NULL, where->escape};
}

/* A stream's own: its media type, and whether it has a standing at all. */
struct kind {
    enum media media;
    bool standing;
};

static const struct kind plain = {MEDIA_TEXT, false};

/* The reference: an octet at a time. */
static size_t naive(struct kind kind, struct slice in, struct slice value, char *out, unsigned *tokens)
{
    size_t n = 0;

    *tokens = 0;
    for (size_t at = 0; at < in.len;) {
        struct slice rest = slice_drop(in, at);
        bool token = naive_token(rest);
        struct slice piece = slice_first(rest, token ? SUBST_TOKEN : 1);
        struct where where = {.escape = ESCAPE_NONE};

        if (token && kind.standing)
            where = naive_where(kind.media, BOUNDARY, in, at);
        *tokens += token;
        at += piece.len;
        if (token && given(piece, where))
            n += naive_escape(where.escape, value, out + n);
        else
            n += naive_escape(ESCAPE_NONE, piece, out + n);
    }
    ck_assert_uint_le(n, MOST);
    return n;
}

/* How a stream is fed: a first piece, then others of ${step} octets, through an out of ${room} that is drained when full. */
struct feeding {
    size_t first, step, room;
};

static size_t drain(struct buf *b, char *out)
{
    struct slice held = buf_held(b);

    if (held.len)
        memcpy(out, held.at, held.len);
    buf_take(b, held.len);
    return held.len;
}

static size_t feed_all(struct giver *g, struct kind kind, struct slice in, struct feeding how, char *out)
{
    struct standing standing;
    struct subst s;
    struct buf b = {0};
    size_t seen = how.first < in.len ? how.first : in.len, used, n = 0;

    standing_begin(&standing, kind.media, BOUNDARY);
    subst_begin(&s, give, g, kind.standing ? &standing : NULL);
    ck_assert_int_eq(buf_open(&b, how.room), FAULT_NONE);
    for (;;) {
        struct slice piece = slice_first(in, seen);
        bool last = seen >= in.len;
        enum fault f = s.filter.feed(&s.filter, piece, last, &b, &used);

        ck_assert_uint_le(used, piece.len);
        in = slice_drop(in, used);
        seen -= used;
        if (f == FAULT_FULL) {
            size_t drained = drain(&b, out + n);

            ck_assert_msg(drained > 0, "full, yet it holds nothing");
            n += drained;
            continue;
        }
        ck_assert_int_eq(f, FAULT_NONE);
        if (last)
            break;
        ck_assert_uint_le(seen, s.filter.hold);
        seen = seen + how.step < in.len ? seen + how.step : in.len;
    }
    ck_assert_uint_eq(in.len, 0);
    n += drain(&b, out + n);
    buf_close(&b);
    return n;
}

static struct secret *secret_of(struct slice value)
{
    struct secret *s;

    ck_assert_int_eq(secret_new(value, &s), FAULT_NONE);
    return s;
}

/* The secrets of a test live until its process ends. */
static void expect_fed(struct kind kind, struct slice in, const struct secret *secret, struct slice want,
                       unsigned tokens, struct feeding how)
{
    static char got[MOST];
    struct giver g = {secret, 0};
    size_t n = feed_all(&g, kind, in, how, got);

    ck_assert_msg(slice_equal(slice_of(got, n), want),
                  "media %d, first %zu, steps of %zu, room of %zu: '%.*s' became '%.*s', not '%.*s'",
                  kind.media, how.first, how.step, how.room, SLICE_PRINTF(in), (int)n, got,
                  SLICE_PRINTF(want));
    ck_assert_msg(g.asked == tokens, "steps of %zu, room of %zu: asked %u times for %u tokens", how.step,
                  how.room, g.asked, tokens);
}

/* Fed in every way there is, ${in} must become what the reference says. */
static void expect_as_naive(struct kind kind, struct slice in, struct slice value)
{
    static const size_t steps[] = {1, 2, 11, 12, 42, 43, 44, 119, MOST}, rooms[] = {ESCAPE_MAX, 11, 43, 1000};
    static char want[MOST];
    struct secret *secret = secret_of(value);
    unsigned tokens;
    size_t len = naive(kind, in, value, want, &tokens);

    for (size_t i = 0; i < COUNT(steps); i++)
        for (size_t j = 0; j < COUNT(rooms); j++)
            expect_fed(kind, in, secret, slice_of(want, len), tokens,
                       (struct feeding){0, steps[i], rooms[j]});
    for (size_t first = 1; first < in.len; first++)
        expect_fed(kind, in, secret, slice_of(want, len), tokens, (struct feeding){first, MOST, 64});
    if (!kind.standing) {
        struct giver g = {secret, 0};
        bool changed;

        ck_assert_uint_eq(subst_measure(give, &g, in, &changed), len);
        ck_assert_uint_eq(g.asked, tokens);
        ck_assert_int_eq(changed, tokens && memmem(in.at, in.len, TOKEN, SUBST_TOKEN) != NULL);
    }
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

    for (size_t i = 0; i < COUNT(misses); i++) {
        static char got[MOST];
        struct giver g = {0};
        struct slice in = slice_text(misses[i]);
        size_t n = feed_all(&g, plain, in, (struct feeding){0, MOST, MOST}, got);

        ck_assert_msg(g.asked == 0 && slice_equal(slice_of(got, n), in), "'%s' became '%.*s'", misses[i],
                      (int)n, got);
        expect_as_naive(plain, in, SLICE("value"));
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
    for (size_t i = 0; i < COUNT(texts); i++) {
        for (size_t k = 0; k < COUNT(values); k++)
            expect_as_naive(plain, slice_text(texts[i]), slice_text(values[k]));
        expect_as_naive(plain, slice_text(texts[i]), slice_of(wide, sizeof wide));
    }
}
END_TEST

START_TEST(a_token_inside_a_value_is_not_replaced)
{
    static char got[MOST];
    struct secret *value = secret_of(SLICE("<" TOKEN ">"));
    struct giver g = {value, 0};
    size_t n = feed_all(&g, plain, SLICE(TOKEN), (struct feeding){0, 1, 7}, got);

    ck_assert_msg(slice_equal(slice_of(got, n), SLICE("<" TOKEN ">")), "became '%.*s'", (int)n, got);
    ck_assert_uint_eq(g.asked, 1);
    secret_free(value);
}
END_TEST

START_TEST(no_part_of_a_token_goes_out_early)
{
    struct subst s;
    struct buf b = {0};
    size_t used;

    subst_begin(&s, give, &(struct giver){0}, NULL);
    ck_assert_int_eq(buf_open(&b, 256), FAULT_NONE);
    for (size_t len = 1; len < SUBST_TOKEN; len++) {
        char text[2 + SUBST_TOKEN] = "x:";

        memcpy(text + 2, TOKEN, len);
        ck_assert_int_eq(s.filter.feed(&s.filter, slice_of(text, 2 + len), false, &b, &used), FAULT_NONE);
        ck_assert_msg(used == 2 && buf_held(&b).len == 2, "%zu octets of a token: %zu went out", len, used);
        buf_take(&b, 2);
        ck_assert_int_eq(s.filter.feed(&s.filter, slice_of(text + 2, len), true, &b, &used), FAULT_NONE);
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
    struct subst s;
    struct buf b = {0};
    struct slice in = SLICE(TOKEN OTHER);
    size_t used;

    subst_begin(&s, give, &g, NULL);
    ck_assert_int_eq(buf_open(&b, 10), FAULT_NONE);
    ck_assert_int_eq(s.filter.feed(&s.filter, in, true, &b, &used), FAULT_FULL);
    ck_assert_uint_eq(used, SUBST_TOKEN);
    in = slice_drop(in, used);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(s.filter.feed(&s.filter, in, true, &b, &used), FAULT_FULL);
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
    struct subst s;
    struct buf b = {0};
    size_t used;

    subst_begin(&s, give, &g, NULL);
    ck_assert_int_eq(buf_open(&b, 4), FAULT_NONE);
    ck_assert_int_eq(s.filter.feed(&s.filter, SLICE(TOKEN), true, &b, &used), FAULT_FULL);
    ck_assert_uint_eq(used, 0);
    ck_assert_int_eq(s.filter.feed(&s.filter, SLICE("osb_sealed_"), true, &b, &used), FAULT_AGAIN);
    ck_assert_uint_eq(used, 0);
    buf_close(&b);
    secret_free(value);
}
END_TEST

START_TEST(a_thousand_false_starts_hide_no_token)
{
    static const char *const starts[] = {"osb_sealed_", "osb_sealed_0123456789abcdef0123456789abcde", "osb_",
                                         "o"};

    for (size_t k = 0; k < COUNT(starts); k++) {
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

/* Every octet but NUL, which jansson gives to no caller as text; and what keys look like. */
static size_t awkward_values(struct slice *values)
{
    static uint8_t every[127];
    static const char pem[] =
        "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0B\"AQ\\EFAASC+/=\r\n-----END\n";
    size_t n = 0;

    for (unsigned i = 0; i < sizeof every; i++)
        every[i] = (uint8_t)(127 - i);
    values[n++] = SLICE("");
    values[n++] = SLICE("v");
    values[n++] = SLICE("\"");
    values[n++] = SLICE("\\");
    values[n++] = SLICE("\\\\\\\"");
    values[n++] = SLICE("\",\"admin\":true,\"x\":\"");
    values[n++] = SLICE("\n");
    values[n++] = SLICE("u0041");
    values[n++] = SLICE("&a=<b>'%41+]]>\r\n--" MEDLEY_BOUNDARY "--");
    values[n++] = SLICE("\xc3\xa4\xe2\x82\xac\xf0\x9f\x94\x91");
    values[n++] = SLICE(TOKEN);
    values[n++] = SLICE(pem);
    values[n++] = slice_of(every, sizeof every);
    return n;
}

/* The strings of a document, in order: each must be what it was before, with ${value} for every TOKEN. */
static void strings_expect(const json_t *was, const json_t *is, struct slice value)
{
    char want[2000];
    unsigned tokens;

    ck_assert_int_eq(json_typeof(was), json_typeof(is));
    if (json_is_string(was)) {
        size_t n =
            naive(plain, slice_of(json_string_value(was), json_string_length(was)), value, want, &tokens);

        ck_assert_msg(slice_equal(slice_of(want, n), slice_of(json_string_value(is), json_string_length(is))),
                      "'%.*s' arrived as '%s'", (int)n, want, json_string_value(is));
    }
    ck_assert_uint_eq(json_array_size(was), json_array_size(is));
    for (size_t i = 0; i < json_array_size(was); i++)
        strings_expect(json_array_get(was, i), json_array_get(is, i), value);
    if (!json_is_object(was))
        return;
    void *a = json_object_iter((json_t *)(uintptr_t)was), *b = json_object_iter((json_t *)(uintptr_t)is);

    for (; a && b; a = json_object_iter_next((json_t *)(uintptr_t)was, a),
                   b = json_object_iter_next((json_t *)(uintptr_t)is, b))
        strings_expect(json_object_iter_value(a), json_object_iter_value(b), value);
    ck_assert(!a && !b);
}

START_TEST(a_json_document_stays_valid_and_says_the_value)
{
    static const char *const documents[] = {
        "{\"key\":\"" TOKEN "\"}",
        "[\"" TOKEN "\",\"a" TOKEN "b\",\"" TOKEN TOKEN "\",\"" OTHER " \"]",
        "{\"a\":\"\\\\" TOKEN "\",\"b\":\"\\\"" TOKEN "\\\"\",\"c\":\"\\u005c" TOKEN "\\n\"}",
        "{\"quoted\":\"{\\\"key\\\":\\\"" TOKEN "\\\"}\",\"n\":[1,true,null,\"\",{}]}",
        "[\"\\\\\",\"" TOKEN "\",\"\\\\\\\\\\\"" TOKEN "\\\\\"]",
    };
    static char got[MOST];
    struct slice values[20];
    size_t n = awkward_values(values);

    for (size_t i = 0; i < COUNT(documents); i++)
        for (size_t k = 0; k < n; k++) {
            struct secret *secret = secret_of(values[k]);
            json_error_t why;
            json_t *was = json_loads(documents[i], 0, &why), *is;

            for (size_t step = 1; step < 200; step += 7) {
                struct giver g = {secret, 0};
                size_t len = feed_all(&g, (struct kind){MEDIA_JSON, true}, slice_text(documents[i]),
                                      (struct feeding){step, step, ESCAPE_MAX + step % 13}, got);

                is = json_loadb(got, len, JSON_REJECT_DUPLICATES, &why);
                ck_assert_msg(is != NULL, "'%.*s': %s", (int)len, got, why.text);
                strings_expect(was, is, values[k]);
                json_decref(is);
            }
            json_decref(was);
            secret_free(secret);
        }
}
END_TEST

START_TEST(a_value_is_written_for_where_it_stands)
{
    static const struct {
        enum media media;
        const char *in, *want; /* for the value a"\n& */
    } table[] = {
        {MEDIA_TEXT, "\"" TOKEN "\"", "\"a\"\n&\""},
        {MEDIA_JSON, "{\"k\":\"" TOKEN "\"}", "{\"k\":\"a\\\"\\n&\"}"},
        {MEDIA_JSON, "{\"k\":" TOKEN "}", "{\"k\":a\"\n&}"},
        {MEDIA_JSON, "\"\\" TOKEN "\"", "\"\\" TOKEN "\""},
        {MEDIA_JSON, "[\"" OTHER "\",\"" OTHER " \"]", "[\"a\\\"\\n&\",\"" OTHER " \"]"},
        {MEDIA_FORM, "k=" TOKEN "&" OTHER "=x" OTHER, "k=a%22%0A%26&a%22%0A%26=x" OTHER},
        {MEDIA_XML, "<k v=\"" TOKEN "\">" OTHER "</k>", "<k v=\"a&quot;\n&amp;\">a&quot;\n&amp;</k>"},
        {MEDIA_XML, "<![CDATA[" TOKEN "]]>", "<![CDATA[a\"\n&]]>"},
        {MEDIA_BINARY, TOKEN, TOKEN},
        {MEDIA_MULTIPART,
         "--" MEDLEY_BOUNDARY "\r\nA: " TOKEN "\r\n\r\n" OTHER "\r\n--" MEDLEY_BOUNDARY
         "\r\nContent-Type: application/json\r\n\r\n\"" TOKEN " " OTHER "\"\r\n--" MEDLEY_BOUNDARY
         "\r\nContent-Type: image/png\r\n\r\n" TOKEN "\r\n--" MEDLEY_BOUNDARY "--\r\n" TOKEN,
         "--" MEDLEY_BOUNDARY "\r\nA: " TOKEN "\r\n\r\na\"\n&\r\n--" MEDLEY_BOUNDARY
         "\r\nContent-Type: application/json\r\n\r\n\"a\\\"\\n& " OTHER "\"\r\n--" MEDLEY_BOUNDARY
         "\r\nContent-Type: image/png\r\n\r\n" TOKEN "\r\n--" MEDLEY_BOUNDARY "--\r\n" TOKEN},
    };
    const struct slice value = SLICE("a\"\n&");
    struct secret *secret = secret_of(value);

    for (size_t i = 0; i < COUNT(table); i++) {
        static char got[MOST];
        struct kind kind = {table[i].media, true};
        struct giver g = {secret, 0};
        size_t n = feed_all(&g, kind, slice_text(table[i].in), (struct feeding){0, MOST, 1000}, got);

        ck_assert_msg(slice_equal(slice_of(got, n), slice_text(table[i].want)),
                      "'%s' became '%.*s', not '%s'", table[i].in, (int)n, got, table[i].want);
        expect_as_naive(kind, slice_text(table[i].in), value);
    }
    secret_free(secret);
}
END_TEST

static struct granted give_percent(void *cookie, struct slice token, const struct where *where)
{
    ck_assert(where->escape == ESCAPE_NONE && !where->alone && !where->barred);
    return (struct granted){slice_equal(token, SLICE(TOKEN)) ? cookie : NULL, ESCAPE_PERCENT};
}

START_TEST(measure_counts_escapes)
{
    struct secret *secret = secret_of(SLICE("a b"));
    bool changed;

    ck_assert_uint_eq(subst_measure(give_percent, secret, SLICE("/?k=" TOKEN "&" OTHER), &changed),
                      strlen("/?k=a%20b&" OTHER));
    ck_assert(changed);
    ck_assert_uint_eq(subst_measure(give_percent, secret, SLICE("/?k=" OTHER), &changed), 4 + SUBST_TOKEN);
    ck_assert(!changed);
    secret_free(secret);
}
END_TEST

START_TEST(random_bodies_become_what_the_reference_says)
{
    static const enum media media[] = {MEDIA_TEXT, MEDIA_JSON, MEDIA_FORM, MEDIA_XML, MEDIA_MULTIPART};
    static char text[600], want[MOST];
    struct slice values[20];
    uint64_t seed = 1;
    size_t n = awkward_values(values);

    for (unsigned i = 0; i < 10000; i++) {
        struct kind kind = {media[i % COUNT(media)], i % 7 != 0};
        struct slice in = slice_of(text, medley(&seed, kind.media, text, medley_draw(&seed, sizeof text)));
        struct slice value = values[medley_draw(&seed, (unsigned)n)];
        struct secret *secret = secret_of(value);
        unsigned tokens;
        size_t len = naive(kind, in, value, want, &tokens);

        for (unsigned turn = 0; turn < 3; turn++)
            expect_fed(kind, in, secret, slice_of(want, len), tokens,
                       (struct feeding){medley_draw(&seed, 600), 1 + medley_draw(&seed, 130),
                                        ESCAPE_MAX + medley_draw(&seed, turn ? 100 : 3)});
        secret_free(secret);
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
    tcase_add_test(tc, a_json_document_stays_valid_and_says_the_value);
    tcase_add_test(tc, a_value_is_written_for_where_it_stands);
    tcase_add_test(tc, measure_counts_escapes);
    tcase_add_test(tc, random_bodies_become_what_the_reference_says);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#include "scrubkit.h"

#define MASK "osb_redacted************"

static struct scrubbed stream;

static void feed_more(struct slice in, bool last)
{
    ck_assert_msg(scrubbed_feed(&stream, in, last),
                  "the filter broke its contract: %zu fed, %zu out, %zu left", stream.fed, stream.released,
                  stream.held);
}

/* Whatever is out at any time is the beginning of ${want}: nothing of a value is out even if no more comes; but for less
 * than a step in front of the end of a message. */
static bool out_is(enum media media, const uint8_t *want)
{
    return media == MEDIA_GRPC ? ref_agrees(stream.text, want, stream.said, stream.released)
                               : memcmp(stream.text, want, stream.released) == 0;
}

/* Fed in cuts at ${first} and then every ${step}. */
static bool fed_so(const struct kit *k, enum media media, struct slice text, const uint8_t *want,
                   size_t first, size_t step, size_t room)
{
    size_t n = first < text.len ? first : text.len;
    bool good = true;

    scrubbed_begin(&stream, k->set, media, room);
    for (size_t at = 0; good && at < text.len;) {
        good = scrubbed_feed(&stream, slice_of(text.at + at, n), false) && out_is(media, want);
        at += n;
        n = step < text.len - at ? step : text.len - at;
    }
    good =
        good && scrubbed_feed(&stream, SLICE(""), true) && stream.released == text.len && out_is(media, want);
    scrubbed_end(&stream);
    return good;
}

static void expect_as_reference(const struct kit *k, enum media media, struct slice text, bool every)
{
    static const size_t steps[] = {1, 2, 3, 15, 16, 17, 61, 1000}, rooms[] = {1, 7, 100, 4096};
    static uint8_t want[REF_TEXT];
    size_t masks = ref_mask(&k->ref, text, want);

    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        size_t room = rooms[i % (sizeof rooms / sizeof *rooms)];

        ck_assert_msg(fed_so(k, media, text, want, steps[i], steps[i], room),
                      "steps of %zu, room of %zu: '%.*s' became '%.*s'", steps[i], room, SLICE_PRINTF(text),
                      (int)stream.released, (const char *)stream.text);
        ck_assert_uint_eq(stream.scrub.hits, masks);
    }
    for (size_t cut = 0; every && cut < text.len; cut++)
        if (!fed_so(k, media, text, want, cut, text.len, 4096))
            ck_abort_msg("cut at %zu: '%.*s' became '%.*s'", cut, SLICE_PRINTF(text), (int)stream.released,
                         (const char *)stream.text);
}

START_TEST(near_misses_go_on_as_they_are)
{
    static const char *const misses[] = {"",
                                         "sk-live_0123456789abcde",
                                         "k-live_0123456789abcdef",
                                         "sk-live_0123456789 abcdef",
                                         "sk-live_0123456789abcdeg",
                                         "sk-live_sk-live_0123456789abcd sk-live_",
                                         "c2stbGl2ZV8wMTIzNDU2Nzg5YWJjZGV"};

    for (size_t i = 0; i < sizeof misses / sizeof *misses; i++) {
        struct slice text = slice_text(misses[i]);
        uint8_t want[64];

        ck_assert_uint_eq(ref_mask(&kits[PLAIN].ref, text, want), 0);
        expect_as_reference(&kits[PLAIN], MEDIA_TEXT, text, true);
    }
}
END_TEST

/* Every spelling of every value, whole and cut short, with this and that around it. */
START_TEST(no_cut_hides_a_value)
{
    static const char *const around[] = {"", " ", "\n", "a", "key=\"", "-----BEGIN KEY-----\n"};
    struct kit *k = &kits[_i];
    uint8_t text[1024];

    for (size_t i = 0; i < k->ref.patterns; i++)
        for (size_t a = 0; ref_first(&k->ref, i) && a < sizeof around / sizeof *around; a++) {
            struct slice pattern = k->ref.pattern[i], other = slice_text(around[a]);
            struct buf b = {.base = text, .cap = sizeof text};

            ck_assert_int_eq(buf_append(&b, other), FAULT_NONE);
            ck_assert_int_eq(buf_append(&b, slice_first(pattern, pattern.len / 2 + a)), FAULT_NONE);
            ck_assert_int_eq(buf_append(&b, other), FAULT_NONE);
            ck_assert_int_eq(buf_append(&b, pattern), FAULT_NONE);
            ck_assert_int_eq(buf_append(&b, other), FAULT_NONE);
            ck_assert_int_eq(buf_append(&b, slice_first(pattern, pattern.len - 1)), FAULT_NONE);
            expect_as_reference(k, MEDIA_TEXT, buf_held(&b), a < 3);
        }
}
END_TEST

START_TEST(random_bodies_become_what_the_reference_says)
{
    struct kit *k = &kits[_i];
    uint8_t text[1024];

    for (size_t i = 0; i < 400; i++)
        expect_as_reference(k, MEDIA_TEXT, random_text(k, text, sizeof text), i % 8 == 0);
}
END_TEST

/* A flag, the length, and what there is of the message. */
static size_t message_put(uint8_t *into, size_t len, struct slice text)
{
    for (size_t i = 0; i < 5; i++)
        into[i] = (uint8_t)(len >> 8 * (4 - i));
    memcpy(into + 5, text.at, text.len);
    return 5 + text.len;
}

/* Messages of random lengths, values within them and across their ends, and the last one cut short. */
START_TEST(messages_are_searched_as_one_stream)
{
    struct kit *k = &kits[_i];
    static const size_t huge[] = {65536, 0x7fffffff, 0x80000000, 0xffffffff};
    uint8_t text[2048], part[400];

    for (size_t i = 0; i < 200; i++) {
        size_t n = 0;

        for (size_t messages = 1 + turn(4); messages; messages--) {
            struct slice message = random_text(k, part, sizeof part);
            size_t len = turn(2) ? message.len : turn((uint32_t)message.len + 8);

            n += message_put(text + n, turn(16) ? len : huge[turn(4)], message);
        }
        expect_as_reference(k, MEDIA_GRPC, slice_of(text, n), i % 8 == 0);
    }
}
END_TEST

/* Whoever chooses the lengths cuts the value wherever he likes: less than a step of it is out. */
START_TEST(no_end_of_a_message_cuts_a_value_in_two)
{
    const struct slice value = SLICE(VALUE);
    uint8_t text[64], want[64];

    for (size_t cut = 0; cut <= value.len; cut++)
        for (size_t step = 1; step <= 1 + value.len; step++) {
            size_t n = message_put(text, 3 + cut, SLICE("abc" VALUE "z")),
                   bare = cut < PATTERN_STEP ? cut : 0;

            ck_assert_uint_eq(ref_mask(&kits[PLAIN].ref, slice_of(text, n), want), 1);
            ck_assert(fed_so(&kits[PLAIN], MEDIA_GRPC, slice_of(text, n), want, 8 + cut, step, 4096));
            memcpy(want + 8, value.at, bare);
            ck_assert_msg(memcmp(stream.text, want, n) == 0, "cut behind %zu: '%.*s' is out", cut, (int)n - 5,
                          (const char *)stream.text + 5);
            ck_assert_uint_eq(stream.scrub.hits, 1);
        }
}
END_TEST

/* --- what is held back --------------------------------------------------------------------------------- */

/* How much of ${text} is out when no more comes. */
static size_t out_of(const struct kit *k, enum media media, struct slice text)
{
    scrubbed_begin(&stream, k->set, media, 4096);
    feed_more(text, false);
    scrubbed_end(&stream);
    return stream.released;
}

/* The guessing game: a sandbox that has its guess repeated sees how much of it comes at once. For every spelling, after
 * every beginning of it, all 256 next octets are held alike, as are those after a beginning that is wrong. */
START_TEST(a_right_guess_is_held_as_a_wrong_one)
{
    struct kit *k = &kits[_i];
    uint8_t text[1024] = "{\"guess\":\"x";
    const size_t begin = strlen((char *)text);

    for (size_t i = 0; i < k->ref.patterns; i++) {
        struct slice pattern = k->ref.pattern[i];
        size_t differ = 0, wrong;

        for (size_t right = 0; ref_first(&k->ref, i) && right < pattern.len; right++) {
            size_t len = begin + right + 1;

            memset(text + begin, 'x', right + 1);
            for (size_t at = 0; at < right; at++) /* as long, with the same blanks, and wrong */
                if (memchr(" \t\r\n", pattern.at[at], 4))
                    text[begin + at] = pattern.at[at];
            wrong = out_of(k, MEDIA_TEXT, slice_of(text, len));
            memcpy(text + begin, pattern.at, right);
            for (unsigned c = 0; c < 256; c++) {
                text[len - 1] = (uint8_t)c;
                if (!memchr(" \t\r\n", (int)c, 4))
                    differ += out_of(k, MEDIA_TEXT, slice_of(text, len)) != wrong;
            }
            ck_assert_msg(differ == 0, "spelling %zu: %zu guesses differ after %zu octets", i, differ, right);
        }
    }
}
END_TEST

/* The same, where a blank or the end of a line is asked for: before the first line is right as a whole. */
START_TEST(the_end_of_a_word_is_no_answer)
{
    static const char ends[] = " \t\r\n";
    const struct slice first_line = SLICE("-----BEGIN KEY-----");

    for (size_t kit = PLAIN; kit <= LINES; kit++)
        for (size_t i = 0; i < kits[kit].ref.patterns; i++) {
            struct slice pattern = kits[kit].ref.pattern[i];
            uint8_t right[512], wrong[512];

            memset(wrong, 'x', sizeof wrong);
            memcpy(right, pattern.at, pattern.len);
            for (size_t at = 0; at < pattern.len && !slice_equal(slice_first(pattern, at), first_line); at++)
                for (size_t e = 0; e < 4; e++) {
                    right[at] = wrong[at] = (uint8_t)ends[e];
                    if (pattern.at[at] == (uint8_t)ends[e])
                        continue;
                    size_t one = out_of(&kits[kit], MEDIA_TEXT, slice_of(right, at + 1));
                    size_t other = out_of(&kits[kit], MEDIA_TEXT, slice_of(wrong, at + 1));

                    ck_assert_msg(one == other, "kit %zu, spelling %zu, octet %zu: %zu out, not %zu", kit, i,
                                  at, one, other);
                    right[at] = pattern.at[at];
                    wrong[at] = 'x';
                }
        }
}
END_TEST

/* Of several lines only whole steps are compared: the first line, then as many as have SCRUB_LEAST octets. */
START_TEST(lines_are_asked_for_in_whole_steps)
{
    static const struct {
        const char *text;
        size_t held;
    } table[] = {
        {"-----BEGIN KEY-----\n", 20},
        {"x-----BEGIN KEY-----\n", 20},
        {"-----BEGIN KEY-----\r\n", 0}, /* other lines */
        {"-----BEGIN KEX-----\n", 0},
        {"-----BEGIN KEY----\n", 0},
        {"-----BEGIN KEY-----\nM", 21},
        {"-----BEGIN KEY-----\nx", 21},
        {"-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0B\n", 45},
        {"-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0X\n", 0},
        {"-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0\n", 0},
        {"-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0B\nAQEFAASCBKcwggSj\n", 62},
        {"-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0B\nAQEFAASCBKcwggSj\nAg==\n", 67},
        {"-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0B\nAQEFAASCBKcwggSj\nxxxx\n",
         67}, /* no step of its own */
        {"-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0B\nAQEFAASCBKcwggSj\nxxx\n", 0},
        {"-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0B\nAQEFAASCBKcwggSj\nxxxx\n-----END KEY----", 83},
        {"-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0B\nAQEFAASCBKcwggSj\nxxxx\n-----END KEY-----", 17},
        {"-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0B\nAQEFAASCBKcwggSj\nxxxx\n-----END KEY-----\n", 0},
    };

    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct slice text = slice_text(table[i].text);
        size_t out = out_of(&kits[LINES], MEDIA_TEXT, text);

        ck_assert_msg(text.len - out == table[i].held, "row %zu: %zu held, not %zu", i, text.len - out,
                      table[i].held);
    }
}
END_TEST

/* Each as it comes, after what came before it, by a set of one-line values and by one with a PEM key. */
START_TEST(events_lines_and_words_pass_at_once)
{
    static const struct {
        const char *text;
        bool words; /* passes where blanks end words */
    } table[] = {
        {"data: {\"delta\":\"Hel\"}\n\n", false},
        {"data: " VALUE "\n\n", false},
        {"event: ping\r\ndata: {}\r\n\r\n", false},
        {"data: sk-live_\r\r", false},
        {": comment\n", false},
        {"{\"a\":1}\n", false},
        {"{\"key\":\"sk-live_0123\"}\r\n", false},
        {"{\n", false},
        {"-----BEGIN CERTIFICATE-----\n", false},
        {"\n", false},
        {"one ", true},
        {"sk-live_ ", true},
        {"column\t", true},
    };

    for (size_t kit = PLAIN; kit <= LINES; kit += LINES - PLAIN) {
        scrubbed_begin(&stream, kits[kit].set, MEDIA_TEXT, 4096);
        for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
            if (table[i].words && kit == LINES)
                continue;
            feed_more(slice_text(table[i].text), false);
            ck_assert_msg(stream.released == stream.fed, "kit %zu, row %zu: %zu octets are held", kit, i,
                          stream.fed - stream.released);
        }
        scrubbed_end(&stream);
    }
}
END_TEST

/* How many octets of ${messages} are out when the first ${fed} of them have come. */
static size_t out_after(struct slice messages, size_t fed)
{
    size_t out = 0;

    for (size_t at = 0; at + 5 <= fed; at += 5 + messages.at[at + 4])
        if (at + 5 + messages.at[at + 4] <= fed)
            out = at + 5 + messages.at[at + 4];
    return out;
}

START_TEST(messages_pass_with_their_last_octet)
{
    const struct slice messages =
        SLICE("\0\0\0\0\7sk-live\0\0\0\0\0\1\0\0\0\2sk\0\0\0\0\1s\0\0\0\0\30" VALUE "\0\0\0\0\1k");

    scrubbed_begin(&stream, kits[PLAIN].set, MEDIA_GRPC, 4096);
    for (size_t fed = 1; fed <= messages.len; fed++) {
        feed_more(slice_of(messages.at + fed - 1, 1), false);
        ck_assert_msg(stream.released == out_after(messages, fed), "%zu octets are fed, %zu out, not %zu",
                      fed, stream.released, out_after(messages, fed));
    }
    ck_assert_mem_eq(stream.text + 35, MASK, 24);
    ck_assert_uint_eq(stream.scrub.hits, 0); /* its octets may still be looked at again */
    feed_more(SLICE(""), true);
    ck_assert_uint_eq(stream.scrub.hits, 1);
    scrubbed_end(&stream);
}
END_TEST

/* What agrees with a value in whole steps waits, whatever ends behind it; what follows that is wrong lets all of it go. */
START_TEST(a_message_that_ends_within_a_step_of_a_value_waits)
{
    static const struct {
        const char *text;
        size_t octets, out;
    } table[] = {
        {"\0\0\0\0\7sk-live", 12, 12},
        {"\0\0\0\0\10sk-live_", 13, 5},
        {"\0\0\0\0\10xxsk-live", 14, 13}, /* its last octet is the next one's */
        {"\0\0\0\0\12xxsk-live_", 15, 7},
        {"\0\0\0\0\11sk-live_0\0\0\0\0\1x", 20, 5},
        {"\0\0\0\0\10sk-live_\0\0\0\0\13hello-world", 29, 29}, /* as long as the value is, and not it */
        {"\0\0\0\0\0\0\0\0\0\0", 10, 10},
        {"\0\0\0\0\0sk-live_", 13, 5},
        {"\0\377\377\377\377abc", 8, 0},
        {"\0\0\0\0\2ab\0\0", 9, 7},
    };

    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        size_t out = out_of(&kits[PLAIN], MEDIA_GRPC, slice_of(table[i].text, table[i].octets));

        ck_assert_msg(out == table[i].out, "row %zu: %zu octets are out, not %zu", i, out, table[i].out);
    }
}
END_TEST

/* A word without an end is let go from its front, whatever it says. */
START_TEST(no_more_is_held_than_may_be_needed)
{
    const struct kit *k = &kits[PLAIN];

    scrubbed_begin(&stream, k->set, MEDIA_TEXT, 4096);
    ck_assert_uint_eq(stream.scrub.filter.hold, k->ref.longest - 1);
    for (size_t n = 1; n < 300; n++) {
        feed_more(SLICE("A"), false);
        ck_assert_uint_eq(stream.held, n < k->ref.longest ? n : k->ref.longest - 1);
    }
    scrubbed_end(&stream);
}
END_TEST

START_TEST(an_empty_stream_ends)
{
    static const enum media media[] = {MEDIA_TEXT, MEDIA_GRPC};

    for (size_t i = 0; i < 2; i++) {
        scrubbed_begin(&stream, kits[PLAIN].set, media[i], 16);
        feed_more(SLICE(""), false);
        feed_more(SLICE(""), true);
        ck_assert_uint_eq(stream.released, 0);
        scrubbed_end(&stream);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("scrub");
    TCase *tc = tcase_create("scrub");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tc);
    tcase_set_timeout(tc, 120);
    tcase_add_checked_fixture(tc, kits_open, NULL); /* the arena does not outlive a fork */
    tcase_add_test(tc, near_misses_go_on_as_they_are);
    tcase_add_loop_test(tc, a_right_guess_is_held_as_a_wrong_one, PLAIN, LINES);
    tcase_add_test(tc, the_end_of_a_word_is_no_answer);
    tcase_add_test(tc, lines_are_asked_for_in_whole_steps);
    tcase_add_test(tc, events_lines_and_words_pass_at_once);
    tcase_add_test(tc, messages_pass_with_their_last_octet);
    tcase_add_test(tc, a_message_that_ends_within_a_step_of_a_value_waits);
    tcase_add_test(tc, no_end_of_a_message_cuts_a_value_in_two);
    tcase_add_test(tc, no_more_is_held_than_may_be_needed);
    tcase_add_test(tc, an_empty_stream_ends);
    tcase_add_loop_test(tc, no_cut_hides_a_value, 0, (int)KITS);
    tcase_add_loop_test(tc, random_bodies_become_what_the_reference_says, 0, (int)KITS);
    tcase_add_loop_test(tc, messages_are_searched_as_one_stream, 0, (int)KITS);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

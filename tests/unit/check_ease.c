#include "relay.h"
#include "scrubkit.h"
#include "sluice.h"

/*
 * What scrub lets go after a silence (scrub.h, rule 3), seen through the relay that feeds it.
 */
#define COUNT(table) (sizeof(table) / sizeof *(table))
#define PLENTY       ((size_t)1 << 14)
#define MASK         "osb_redacted************"

static const size_t steps[] = {8, 32, 128, 512, 2048};

/* One body on its way; what the host has said so far, then silence. */
static struct spring host;
static struct scrub scrub;
static struct relay relay;
static struct basin basin;

static void begin(const struct scrubs *set, enum media media, struct slice text, struct sizes cuts,
                  struct sizes rooms)
{
    scrub_begin(&scrub, set, media);
    spring_open(&host, text, cuts);
    basin_open(&basin, rooms);
    relay = (struct relay){.from = &host.stream, .to = &basin.stream, .filter = &scrub.filter};
}

static void end(void)
{
    relay_close(&relay);
    spring_close(&host);
}

/* All that goes without a silence. */
static enum fault pass(void)
{
    enum fault why;

    while ((why = relay_body(&relay)) == FAULT_FULL) {
        ck_assert_msg(basin.room_octets == 0, "it says that there is no room where there is");
        basin_drain(&basin);
    }
    return why;
}

/* ${text}, then a silence: how much of it is out. */
static size_t eased(const struct scrubs *set, struct slice text)
{
    begin(set, MEDIA_TEXT, text, SIZES(PLENTY), SIZES(PLENTY));
    host.end = FAULT_AGAIN;
    ck_assert_msg(pass() == FAULT_AGAIN, "it does not wait");
    basin_drain(&basin);
    ck_assert_msg(relay_ease(&relay) == FAULT_NONE, "it is not eased");
    end();
    return basin.octets;
}

/* --- what is asked by a delay ------------------------------------------------------------------------------- */

static size_t steps_in(size_t octets)
{
    size_t n = 0;

    for (size_t i = 0; i < COUNT(steps) && steps[i] <= octets; i++)
        n = steps[i];
    return n;
}

/* For every spelling, of every length: right as far as whole steps go, then right, or wrong, or wrong at one place. */
START_TEST(within_a_step_right_and_wrong_are_let_go_alike)
{
    const struct kit *k = &kits[_i];
    uint8_t text[1024] = "{\"guess\":\"";
    const size_t before = strlen((char *)text);

    for (size_t i = 0; i < k->ref.patterns; i++)
        for (size_t len = 1; ref_first(&k->ref, i) && len < k->ref.pattern[i].len; len++) {
            struct slice pattern = k->ref.pattern[i], guess = slice_of(text, before + len);
            size_t sure = steps_in(len), out;

            memcpy(text + before, pattern.at, len);
            out = eased(k->set, guess);
            ck_assert_uint_eq(out, sure ? before : before + len);
            for (size_t at = sure; at < len; at++) {
                text[before + at] = 'z';
                ck_assert_msg(eased(k->set, guess) == out, "one octet makes a difference");
                text[before + at] = pattern.at[at];
            }
            memset(text + before + sure, 'z', len - sure);
            ck_assert_uint_eq(eased(k->set, guess), out);
        }
}
END_TEST

START_TEST(within_a_step_all_octets_are_let_go_alike)
{
    const struct kit *k = &kits[_i];
    uint8_t text[1024];

    for (size_t i = 0; i < k->ref.patterns; i++)
        for (size_t at = 0; ref_first(&k->ref, i) && at + 1 < k->ref.pattern[i].len; at++) {
            struct slice guess = slice_of(text, at + 1);
            size_t out;

            if (steps_in(at + 1) == at + 1)
                continue;
            memcpy(text, k->ref.pattern[i].at, at + 1);
            out = eased(k->set, guess);
            for (unsigned c = 0; c < 256; c++) {
                text[at] = (uint8_t)c;
                ck_assert_msg(memchr(" \t\r\n", (int)c, 4) || eased(k->set, guess) == out,
                              "one octet makes a difference");
            }
        }
}
END_TEST

/* A value can be asked for in any spelling, and each cuts it elsewhere: between 8 and 24 octets none does. */
START_TEST(all_spellings_together_ask_for_sixteen_octets_at_once)
{
    const struct slice value = SLICE(LONG);
    uint8_t wrong[sizeof LONG], right[sizeof LONG], wrong_text[1024], right_text[1024];

    memset(wrong, 'x', value.len);
    memcpy(wrong, value.at, 8);
    for (size_t i = 0; i < SPELLINGS; i++)
        for (size_t known = 9; known < 24; known++) {
            size_t len = spelling_write(i, slice_of(wrong, value.len), wrong_text);

            memset(right, 'x', value.len);
            memcpy(right, value.at, known);
            ck_assert_uint_eq(spelling_write(i, slice_of(right, value.len), right_text), len);
            for (size_t n = 1; n < len; n++)
                if (eased(kits[LENGTHY].set, slice_of(wrong_text, n)) !=
                    eased(kits[LENGTHY].set, slice_of(right_text, n)))
                    ck_abort_msg("spelling %zu: %zu octets are known by what is let go of the first %zu", i,
                                 known, n);
        }
}
END_TEST

#define LONG_31 "ghp_0123456789ABCDEFGHIJKLMNOPQ"

START_TEST(a_whole_step_that_agrees_stays)
{
    static const struct {
        int kit;
        const char *text;
        size_t out;
    } table[] = {
        {PLAIN, "sk-live", 7},
        {PLAIN, "sk-livez", 8},
        {PLAIN, "sk-live_", 0},
        {PLAIN, "xk-live_0123456", 15},
        {PLAIN, "sk-live_zzzzzzz", 0},
        {PLAIN, "sk-live_0123456789abcde", 0},
        {PLAIN, "sk-live_0123456789abcdez", 24}, /* as long as the value is, and not it */
        {PLAIN, "xyzsk-live_", 3},
        {PLAIN, "xyz\nsk-live_", 4},
        {PLAIN, "sk-live_sk-live_", 0},
        {PLAIN, "sk-live_0123456789abcdezsk-live", 31},
        {PLAIN, "sk-live_0123456789abcdezsk-live_", 24},
        {PLAIN, VALUE, 24},
        {PLAIN, VALUE "sk-live_", 24},
        {LENGTHY, "ghp_012", 7},
        {LENGTHY, "ghp_0123", 0},
        {LENGTHY, "ghp_0123zzzzzzzzzzzzzzzzzzzzzzz", 0},
        {LENGTHY, "ghp_0123zzzzzzzzzzzzzzzzzzzzzzzz", 32},
        {LENGTHY, LONG_31 "R", 0},
        {LENGTHY, LONG_31 "z", 32},
        {LENGTHY, LONG_31 "Rzzzzzzzzzzzzzzzzz", 0},
        {LENGTHY, "ghp_0123456789ABCDEF/other", 0}, /* a whole value, but a longer one begins so */
        {LENGTHY, "ghp_0123456789ABCDEF/otherzzzzzz", 32},
        {PERIODIC, "ababababababababa", 0},
        {PERIODIC, "xabababab", 1},
        {PERIODIC, "ababababababababab", 2}, /* it may go on */
        {PERIODIC, "zzzzzaaaaaaa", 12},
        {PERIODIC, "zzzzzaaaaaaaa", 5},
        {ESCAPED, "p&ss \"w/", 0},
        {ESCAPED, "p&ss \"w", 7},
        {ESCAPED, "p\\u0026ss", 0}, /* as some write it in JSON */
    };

    for (size_t i = 0; i < COUNT(table); i++) {
        size_t out = eased(kits[table[i].kit].set, slice_text(table[i].text));

        ck_assert_msg(out == table[i].out, "row %zu, '%s': %zu octets are let go, not %zu", i, table[i].text,
                      out, table[i].out);
    }
}
END_TEST

#define BEGUN "-----BEGIN KEY-----\n"

/* Lines that agree stay for that: scrub.h, rule 2. What of them is let go after a silence agrees in no whole step. */
START_TEST(values_of_several_lines_are_let_go_by_the_same_steps)
{
    static const struct {
        const char *text;
        size_t out;
    } table[] = {
        {"-----BE", 7},
        {"-----BEG", 0},
        {"-----BEX", 8},
        {"-----BEGIN CERTIFICATE-----", 0},
        {"-----BEGIN CERTIFICATE-----MIIEvQ", 33},
        {"-----BEGIN CERTIFICATE-----\n", 28},
        {"text\n" BEGUN, 5},
        {BEGUN "MIIEv", 0},
        {BEGUN "MIIEvQIBADAN", 0},
        {BEGUN "MIIEvQIBADAX", 32},
        {BEGUN "MIIEvQIBADANBgkqhkiG9w0X", 0}, /* no whole step of these */
        {BEGUN "MIIEvQIBADANBgkqhkiG9w0X\n", 45},
        {BEGUN "MIIEvQIBADANBgkqhkiG9w0B\nAQEFAASCBKcwggSj\nAg==\n-----END KEY----", 0},
        {PEM, strlen(PEM)},
        {"x" PEM "\n-----BEG", strlen(PEM) + 2},
    };

    for (size_t i = 0; i < COUNT(table); i++) {
        size_t out = eased(kits[LINES].set, slice_text(table[i].text));

        ck_assert_msg(out == table[i].out, "row %zu: %zu octets are let go, not %zu", i, out, table[i].out);
    }
}
END_TEST

/* --- what becomes of it --------------------------------------------------------------------------------------- */

static void expect_out(const char *want)
{
    struct slice got = slice_of(basin.text, basin.octets);

    ck_assert_msg(slice_equal(got, slice_text(want)), "'%.*s' is out, not '%s'", SLICE_PRINTF(got), want);
}

static void expect_silence(const char *want)
{
    ck_assert_int_eq(pass(), FAULT_AGAIN);
    ck_assert_int_eq(relay_ease(&relay), FAULT_NONE);
    expect_out(want);
}

START_TEST(a_whole_value_is_masked_when_it_is_let_go_and_counts_once)
{
    begin(kits[PLAIN].set, MEDIA_TEXT, SLICE("x" VALUE "y" VALUE "z\nend"),
          SIZES(1, 0, 25, 0, 25, 0, 0, PLENTY), SIZES(PLENTY));
    expect_silence("x");
    expect_silence("x" MASK "y");
    ck_assert_uint_eq(scrub.hits, 0); /* it will be looked at again */
    expect_silence("x" MASK "y" MASK "z");
    expect_silence("x" MASK "y" MASK "z");
    ck_assert_int_eq(pass(), FAULT_END);
    expect_out("x" MASK "y" MASK "z\nend");
    ck_assert_uint_eq(scrub.hits, 2);
    end();
}
END_TEST

/* The host falls silent in the middle of a value, and once more behind the next octet. */
START_TEST(less_than_a_step_of_a_value_is_out_and_the_rest_is_masked)
{
    for (size_t n = 1; n < sizeof VALUE - 1; n++) {
        char want[] = "<" MASK ">" MASK "\n";

        memcpy(want + 1, VALUE, n < 7 ? n + 1 : n == 7 ? n : 0);
        begin(kits[PLAIN].set, MEDIA_TEXT, SLICE("<" VALUE ">" VALUE "\n"), SIZES(1 + n, 0, 1, 0, PLENTY),
              SIZES(PLENTY));
        for (size_t silences = 0; silences < 2; silences++) {
            ck_assert_int_eq(pass(), FAULT_AGAIN);
            ck_assert_int_eq(relay_ease(&relay), FAULT_NONE);
        }
        ck_assert_int_eq(pass(), FAULT_END);
        expect_out(want);
        ck_assert_uint_eq(scrub.hits, 2);
        end();
    }
}
END_TEST

START_TEST(what_was_taken_for_a_beginning_goes_when_it_is_none)
{
    begin(kits[PLAIN].set, MEDIA_TEXT, SLICE("sk-live_0123456789abcdez, then more"),
          SIZES(15, 0, 8, 0, 1, 0, 6, 0), SIZES(PLENTY));
    expect_silence("");
    expect_silence("");
    expect_silence("sk-live_0123456789abcdez");
    expect_silence("sk-live_0123456789abcdez, then");
    ck_assert_int_eq(pass(), FAULT_END);
    expect_out("sk-live_0123456789abcdez, then more");
    ck_assert_uint_eq(scrub.hits, 0);
    end();
}
END_TEST

START_TEST(it_goes_as_there_is_room)
{
    static const char want[] = "<" MASK ">sk-";

    begin(kits[PLAIN].set, MEDIA_TEXT, SLICE("<" VALUE ">sk-live no key"), SIZES(29, 0, 4, 0, PLENTY),
          SIZES(1));
    ck_assert_int_eq(pass(), FAULT_AGAIN);
    ck_assert_uint_eq(basin.octets, 0);
    for (size_t n = 1; n < sizeof want; n++) {
        for (size_t asked = 0; asked < 2; asked++) { /* whoever is told so asks again when there is room */
            ck_assert_int_eq(relay_ease(&relay), FAULT_FULL);
            ck_assert_uint_eq(basin.octets, n);
        }
        basin_drain(&basin);
    }
    ck_assert_int_eq(relay_ease(&relay), FAULT_NONE);
    expect_out(want); /* that is all */
    ck_assert_uint_eq(basin.room_octets, 1);
    ck_assert_int_eq(pass(), FAULT_AGAIN); /* what is out already needs no room */
    ck_assert_int_eq(pass(), FAULT_END);
    expect_out("<" MASK ">sk-live no key");
    ck_assert_uint_eq(scrub.hits, 1);
    end();
}
END_TEST

START_TEST(after_a_silence_an_answer_may_end_or_be_cut_off)
{
    static const char said[] = "<" VALUE ">sk-live_01";

    begin(kits[PLAIN].set, MEDIA_TEXT, slice_text(said), SIZES(3, 0, 28, 0, PLENTY), SIZES(PLENTY));
    expect_silence("<sk");
    expect_silence("<skb_redacted************>sk-li");
    ck_assert_int_eq(pass(), FAULT_END);
    expect_out("<skb_redacted************>sk-live_01");
    end();

    begin(kits[PLAIN].set, MEDIA_TEXT, slice_text(said), SIZES(3, 0, 31, 0, PLENTY), SIZES(PLENTY));
    host.end = FAULT_UPSTREAM_GONE;
    expect_silence("<sk");
    expect_silence("<skb_redacted************>");
    ck_assert_int_eq(pass(), FAULT_UPSTREAM_GONE);
    end();
    expect_out("<skb_redacted************>");
}
END_TEST

START_TEST(messages_of_grpc_need_no_silence_but_within)
{
    begin(kits[PLAIN].set, MEDIA_GRPC, SLICE("\0\0\0\0\7message\0\0\0\0\10sk-live_sk-live"),
          SIZES(9, 0, 3, 0, 13, 0, 1, PLENTY), SIZES(PLENTY));
    ck_assert_int_eq(pass(), FAULT_AGAIN);
    ck_assert_uint_eq(basin.octets, 0);
    ck_assert_int_eq(relay_ease(&relay), FAULT_NONE);
    ck_assert_uint_eq(basin.octets, 9);
    ck_assert_int_eq(pass(), FAULT_AGAIN);
    ck_assert_uint_eq(basin.octets, 12);
    ck_assert_int_eq(pass(), FAULT_AGAIN);
    ck_assert_uint_eq(basin.octets, 17);
    ck_assert_int_eq(relay_ease(&relay), FAULT_NONE); /* it agrees in a whole step */
    ck_assert_uint_eq(basin.octets, 17);
    ck_assert_int_eq(pass(), FAULT_END);
    ck_assert_uint_eq(basin.octets, 32);
    end();
}
END_TEST

/* --- long ones -------------------------------------------------------------------------------------------------- */

#define HUGE 7000

static struct scrubs *set_of(const uint8_t *octets, size_t n)
{
    struct secret *secret;
    struct scrubs *set;

    ck_assert_int_eq(secret_new(slice_of(octets, n), &secret), FAULT_NONE);
    ck_assert_int_eq(scrubs_new((const struct secret *const *)&secret, 1, NULL, &set), FAULT_NONE);
    secret_free(secret);
    return set;
}

START_TEST(long_tails_are_let_go_by_the_steps_that_they_have)
{
    static uint8_t value[HUGE], text[HUGE];
    size_t wrongs[] = {7, 8, 31, 32, 127, 128, 511, 512, 2047, 2048, HUGE - 2};
    struct scrubs *set;

    for (size_t i = 0; i < HUGE; i++)
        value[i] = (uint8_t)('a' + turn(26));
    set = set_of(value, HUGE);
    for (size_t i = 0; i < COUNT(wrongs); i++)
        for (size_t len = wrongs[i] + 1; len < HUGE; len = len * 2 + 1) {
            memcpy(text, value, HUGE);
            text[wrongs[i]] = 'Z';
            size_t want = steps_in(len) > wrongs[i] || len < 8 ? len : 0,
                   out = eased(set, slice_of(text, len));

            ck_assert_msg(out == want, "%zu octets, wrong at %zu: %zu are let go", len, wrongs[i], out);
        }
    ck_assert_uint_eq(eased(set, slice_of(value, HUGE - 1)), 0);
    ck_assert_uint_eq(eased(set, slice_of(value, HUGE)), HUGE);
    ck_assert_mem_eq(basin.text, "osb_redacted***", 15);
    scrubs_drop(set);
}
END_TEST

/* Text that is nothing but beginnings goes, but for what may be the last one. */
START_TEST(a_long_word_that_is_nothing_goes)
{
    static uint8_t value[HUGE], text[32 * 600];
    struct scrubs *set;

    memset(value, 'a', HUGE);
    value[HUGE - 1] = 'b';
    memset(text, 'a', sizeof text);
    set = set_of(value, HUGE);
    ck_assert_uint_eq(eased(set, slice_of(text, sizeof text)), sizeof text - (HUGE - 1));
    for (size_t at = 31; at < sizeof text; at += 32)
        text[at] = 'c';
    ck_assert_uint_eq(eased(set, slice_of(text, sizeof text)), sizeof text - 31);
    scrubs_drop(set);
}
END_TEST

/* --- any body, any silences --------------------------------------------------------------------------------------- */

static size_t naive_threat(const struct reference *r, struct slice left)
{
    for (size_t start = 0; start < left.len; start++) {
        struct slice rest = slice_drop(left, start);
        struct slice sure = slice_first(rest, steps_in(rest.len));

        for (size_t i = 0; sure.len && i < r->patterns; i++)
            if (r->pattern[i].len > rest.len && slice_starts(r->pattern[i], sure))
                return start;
    }
    return left.len;
}

/* A silence, when ${said} is what has come: what must be out is, and no octet of a value that is whole. */
static void silence(const struct reference *r, struct slice said)
{
    static uint8_t masked[REF_TEXT];
    size_t before = basin.octets, room = basin.room_octets, settled = said.len - buf_held(&relay.carry).len;
    size_t want = settled + naive_threat(r, slice_drop(said, settled));
    enum fault why = relay_ease(&relay);

    want = want < before ? before : want > before + room ? before + room : want;
    if (basin.octets != want)
        ck_abort_msg("of '%.*s' %zu octets are out after a silence, not %zu", SLICE_PRINTF(said),
                     basin.octets, want);
    ref_mask(r, said, masked);
    if (memcmp(basin.text + before, masked + before, basin.octets - before) != 0)
        ck_abort_msg("of '%.*s' came '%.*s'", SLICE_PRINTF(said), (int)basin.octets, (char *)basin.text);
    if (why == FAULT_FULL)
        basin_drain(&basin);
}

/* All that is out is as the reference says, but for less than a step of what was not yet whole. */
static void look(const struct reference *r, struct slice said)
{
    static uint8_t masked[REF_TEXT];
    size_t hits = ref_mask(r, said, masked);

    if (!ref_agrees(basin.text, masked, said.at, basin.octets))
        ck_abort_msg("'%.*s' became '%.*s'", SLICE_PRINTF(said), (int)basin.octets, (char *)basin.text);
    if (basin.octets == said.len && scrub.hits != hits)
        ck_abort_msg("in '%.*s' %zu values were counted, not %zu", SLICE_PRINTF(said), (size_t)scrub.hits,
                     hits);
}

START_TEST(silences_at_any_place_lose_nothing_and_repeat_nothing)
{
    const struct kit *k = &kits[_i];
    uint8_t octets[600];

    for (size_t n = 0; n < 1500; n++) {
        struct slice text = random_text(k, octets, sizeof octets);
        struct sizes cuts = {.count = SIZES_MOST}, rooms = {.count = SIZES_MOST};
        enum fault why = FAULT_AGAIN;

        for (size_t i = 0; i < SIZES_MOST; i++) {
            cuts.at[i] = i % 2 ? 0 : 1 + turn(turn(4) ? 12 : 200);
            rooms.at[i] = turn(3) ? 1 + turn(40) : turn(2) * PLENTY;
        }
        rooms.at[0] = 1 + turn(40);
        begin(k->set, MEDIA_TEXT, text, cuts, rooms);
        host.end = turn(4) ? FAULT_END : FAULT_UPSTREAM_GONE;
        while ((why = pass()) == FAULT_AGAIN)
            for (uint32_t silences = turn(3); silences; silences--)
                silence(&k->ref, slice_first(text, text.len - host.left.len));
        ck_assert_int_eq(why, host.end);
        if (why == FAULT_END)
            ck_assert_uint_eq(basin.octets, text.len);
        end();
        look(&k->ref, text);
    }
}
END_TEST

/* Envelopes before parts of ${text}, which are as long as they say or not; the last message that ends may be anywhere. */
static struct slice random_messages(const struct kit *k, uint8_t *octets, size_t most)
{
    size_t n = 0;

    for (size_t messages = 1 + turn(6); messages && n + 405 < most; messages--) {
        struct slice text = random_text(k, octets + n + 5, turn(3) ? 40 + (uint32_t)k->ref.longest : 400);
        size_t len = turn(3) ? text.len : turn((uint32_t)text.len + 20);

        memset(octets + n, 0, 5);
        octets[n + 1] = turn(50) ? 0 : 255;
        octets[n + 3] = (uint8_t)(len >> 8);
        octets[n + 4] = (uint8_t)len;
        n += 5 + text.len;
    }
    return slice_of(octets, n);
}

/* Where the last message ends that ${said} has whole. */
static size_t messages_end(struct slice said)
{
    size_t at = 0, end = 0;

    for (; at + 5 <= said.len; end = at <= said.len ? at : end)
        at += 5 + ((size_t)said.at[at + 1] << 24 | (size_t)said.at[at + 2] << 16 |
                   (size_t)said.at[at + 3] << 8 | said.at[at + 4]);
    return end;
}

/* After each run that comes, all is out up to the last message's end but what may be a value; and no more, but what was. */
START_TEST(messages_are_out_with_their_ends_whatever_room_there_is)
{
    const struct kit *k = &kits[_i];
    static uint8_t octets[3000];

    for (size_t n = 0; n < 1500; n++) {
        struct slice text = random_messages(k, octets, sizeof octets);
        struct sizes cuts = {.count = SIZES_MOST}, rooms = {.count = SIZES_MOST};
        size_t want = 0;
        enum fault why;

        for (size_t i = 0; i < SIZES_MOST; i++) {
            cuts.at[i] = i % 2 ? 0 : 1 + turn(turn(4) ? 40 : 500);
            rooms.at[i] = 1 + turn(turn(2) ? 3 : 100);
        }
        begin(k->set, MEDIA_GRPC, text, cuts, rooms);
        while ((why = pass()) == FAULT_AGAIN) {
            struct slice said = slice_first(text, text.len - host.left.len);
            size_t settled = said.len - buf_held(&relay.carry).len, end = messages_end(said);

            want = settled > want ? settled : want;
            if (end > settled) {
                size_t go = settled + naive_threat(&k->ref, slice_drop(slice_first(said, end), settled));

                want = go > want ? go : want;
            }
            if (basin.octets != want)
                ck_abort_msg("stream %zu: of %zu octets %zu are out, not %zu; a message ended at %zu", n,
                             said.len, basin.octets, want, end);
        }
        ck_assert_int_eq(why, FAULT_END);
        ck_assert_uint_eq(basin.octets, text.len);
        end();
        look(&k->ref, text);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ease");
    TCase *tc = tcase_create("ease");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tc);
    tcase_set_timeout(tc, 120);
    tcase_add_checked_fixture(tc, kits_open, NULL); /* the arena does not outlive a fork */
    tcase_add_loop_test(tc, within_a_step_right_and_wrong_are_let_go_alike, PLAIN, LINES);
    tcase_add_loop_test(tc, within_a_step_all_octets_are_let_go_alike, PLAIN, LINES);
    tcase_add_test(tc, all_spellings_together_ask_for_sixteen_octets_at_once);
    tcase_add_test(tc, a_whole_step_that_agrees_stays);
    tcase_add_test(tc, values_of_several_lines_are_let_go_by_the_same_steps);
    tcase_add_test(tc, a_whole_value_is_masked_when_it_is_let_go_and_counts_once);
    tcase_add_test(tc, less_than_a_step_of_a_value_is_out_and_the_rest_is_masked);
    tcase_add_test(tc, what_was_taken_for_a_beginning_goes_when_it_is_none);
    tcase_add_test(tc, it_goes_as_there_is_room);
    tcase_add_test(tc, after_a_silence_an_answer_may_end_or_be_cut_off);
    tcase_add_test(tc, messages_of_grpc_need_no_silence_but_within);
    tcase_add_test(tc, long_tails_are_let_go_by_the_steps_that_they_have);
    tcase_add_test(tc, a_long_word_that_is_nothing_goes);
    tcase_add_loop_test(tc, silences_at_any_place_lose_nothing_and_repeat_nothing, 0, (int)KITS);
    tcase_add_loop_test(tc, messages_are_out_with_their_ends_whatever_room_there_is, 0, (int)KITS);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#include "naive.h"
#include "owner.h"
#include "relay.h"
#include "scrubkit.h"
#include "sluice.h"
#include "tally.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))
#define PLENTY       ((size_t)1 << 17)

/* --- a filter that asks for as much as it may -------------------------------------------------------------- */

/* Leaves over as many octets as it may, each time; what it is fed must be what it left over and what follows. */
struct hoard {
    struct filter filter;
    struct slice text; /* all that it will be fed */
    size_t at;         /* octets of it that it has dealt with */
    bool mute;         /* it writes none */
    enum fault left;   /* what it says when something is left over */
    size_t breaks_at;  /* here it fails */
    size_t eases;      /* octets that it lets go at once */
    size_t ahead;      /* octets behind ${at} that are out */
};

static enum fault hoard_feed(struct filter *f, struct slice in, bool last, struct buf *out, size_t *used)
{
    struct hoard *h = OWNER(f, struct hoard, filter);
    size_t most = last ? in.len : in.len - (in.len < f->hold ? in.len : f->hold);

    ck_assert_msg(slice_starts(slice_drop(h->text, h->at), in), "it is fed other octets than come next");
    ck_assert_msg(!last || h->at + in.len == h->text.len, "something is the last that is not");
    for (*used = 0; *used < most; ++*used, h->at++) {
        if (h->at == h->breaks_at)
            return FAULT_INVALID;
        if (h->ahead)
            h->ahead--;
        else if (!h->mute && buf_some(out, slice_of(in.at + *used, 1)) == 0)
            return FAULT_FULL;
    }
    return *used < in.len ? h->left : FAULT_NONE;
}

static void hoard_ease(struct filter *f, struct slice left, struct buf *out)
{
    struct hoard *h = OWNER(f, struct hoard, filter);

    ck_assert_msg(slice_starts(slice_drop(h->text, h->at), left), "it is to let go of something else");
    h->ahead += buf_some(out, slice_first(slice_drop(left, h->ahead), h->eases));
}

static struct hoard hoard_of(struct slice text, size_t hold, size_t eases)
{
    return (struct hoard){.filter = {hoard_feed, hold, hoard_ease},
                          .text = text,
                          .left = FAULT_NONE,
                          .breaks_at = SIZE_MAX,
                          .eases = eases};
}

/* --- the ways in which a body goes ------------------------------------------------------------------------- */

#define TOKEN         "osb_sealed_0123456789abcdef0123456789abcdef"
#define OTHER         "osb_sealed_ffffffffffffffffffffffffffffffff"
#define VALUED        "p\"q\\"
#define ESCAPED_VALUE "p\\\"q\\\\"
#define MASK          "osb_redacted************"

#define ASKED(text, raw) \
    "{\"osb\":\"" text "\",\"osb_sealed_0\":[" raw "],\"x\":\"osb_sealed_osb " OTHER " " text text "o " text
#define REPEATED(one, two) \
    "{\"a\":\"" one "\"}\nsk-live_0123456789abcde " two "sk-live_012345678\n\nsk-" one "s " one

static struct secret *value;
static unsigned asked;
static struct hoard hoard;
static struct subst subst;
static struct standing standing;
static struct scrub scrub;

static void ways_open(void)
{
    kits_open();
    ck_assert_int_eq(secret_new(SLICE(VALUED), &value), FAULT_NONE);
}

static struct granted give(void *cookie, struct slice token, const struct where *where)
{
    (void)cookie;
    asked++;
    return (struct granted){slice_equal(token, SLICE(TOKEN)) ? value : NULL, where->escape};
}

static struct filter *verbatim(struct slice text)
{
    (void)text;
    return NULL;
}

static struct filter *leaves_nothing(struct slice text)
{
    hoard = hoard_of(text, 0, 0);
    return &hoard.filter;
}

static struct filter *leaves_one(struct slice text)
{
    hoard = hoard_of(text, 1, 1);
    return &hoard.filter;
}

static struct filter *leaves_many(struct slice text)
{
    hoard = hoard_of(text, 50, 3);
    return &hoard.filter;
}

static struct filter *leaves_all(struct slice text)
{
    hoard = hoard_of(text, 5000, 70);
    hoard.left = FAULT_AGAIN;
    return &hoard.filter;
}

static struct filter *mute(struct slice text)
{
    hoard = hoard_of(text, 20, 0);
    hoard.mute = true;
    return &hoard.filter;
}

static struct filter *swap(struct slice text)
{
    (void)text;
    standing_begin(&standing, MEDIA_JSON, SLICE_NONE);
    subst_begin(&subst, give, NULL, &standing);
    return &subst.filter;
}

static struct filter *mask(struct slice text)
{
    (void)text;
    scrub_begin(&scrub, kits[PLAIN].set, MEDIA_TEXT);
    return &scrub.filter;
}

static const struct way {
    const char *name;
    struct filter *(*begin)(struct slice text);
    const char *text, *want;
    unsigned asks, hits;
} way_table[] = {
    {"verbatim", verbatim, ASKED(TOKEN, TOKEN), ASKED(TOKEN, TOKEN), 0, 0},
    {"nothing is left over", leaves_nothing, ASKED(TOKEN, TOKEN), ASKED(TOKEN, TOKEN), 0, 0},
    {"an octet is left over", leaves_one, ASKED(TOKEN, TOKEN), ASKED(TOKEN, TOKEN), 0, 0},
    {"50 octets are left over", leaves_many, ASKED(TOKEN, TOKEN), ASKED(TOKEN, TOKEN), 0, 0},
    {"all is left over", leaves_all, ASKED(TOKEN, TOKEN), ASKED(TOKEN, TOKEN), 0, 0},
    {"nothing is written", mute, ASKED(TOKEN, TOKEN), "", 0, 0},
    {"subst", swap, ASKED(TOKEN, TOKEN), ASKED(ESCAPED_VALUE, VALUED), 6, 0},
    {"scrub", mask, REPEATED(VALUE, VALUE VALUE), REPEATED(MASK, MASK "************************"), 0, 4},
};

static struct basin basin;

/* Nothing is taken twice, lost, or kept for no reason. */
static void look(const struct relay *r, const struct spring *from, size_t len, enum fault why)
{
    size_t carried = buf_held(&r->carry).len;

    ck_assert_msg(r->octets == basin.octets, "it counts other octets than it wrote");
    ck_assert_msg(r->came + from->left.len == len, "it counts other octets than it took");
    ck_assert_msg((carried > 0) == (r->carry.base != NULL), "a buffer is kept for nothing");
    ck_assert_msg(!r->stuck || why != FAULT_AGAIN, "it waits for octets, and for room");
    if (why == FAULT_AGAIN)
        ck_assert_msg(from->here == 0 && carried <= (r->filter ? r->filter->hold : 0), "too much is held");
    if (why == FAULT_END)
        ck_assert_msg(carried == 0 && !r->stuck && from->left.len == 0, "something is kept at the end");
    if (why == FAULT_FULL && r->filter != &subst.filter) /* which may need room for an octet escaped */
        ck_assert_msg(basin.room_octets == 0, "it says that there is no room where there is");
    if (!r->filter)
        ck_assert_msg(basin.octets + from->left.len == len, "octets got lost, or came twice");
    if (r->filter == &hoard.filter)
        ck_assert_msg(hoard.at + carried + from->left.len == len, "octets got lost, or were fed twice");
}

/* ${eased}: whenever no more octets are there. */
static struct slice moved(const struct way *w, struct sizes cuts, struct sizes rooms, bool eased)
{
    struct slice text = slice_text(w->text);
    struct spring from;
    struct relay r = {.from = &from.stream, .to = &basin.stream, .filter = w->begin(text)};
    enum fault why = FAULT_AGAIN, ease;

    asked = 0;
    spring_open(&from, text, cuts);
    basin_open(&basin, rooms);
    for (size_t calls = 0; why == FAULT_AGAIN || why == FAULT_FULL; calls++) {
        why = relay_body(&r);
        look(&r, &from, text.len, why);
        ck_assert_msg(calls < 10000, "it does not get on");
        ease = eased && why == FAULT_AGAIN ? relay_ease(&r) : FAULT_NONE;
        look(&r, &from, text.len, why);
        if (why == FAULT_FULL || ease == FAULT_FULL)
            basin_drain(&basin);
    }
    ck_assert_int_eq(why, FAULT_END);
    spring_close(&from);
    relay_close(&r);
    return slice_of(basin.text, basin.octets);
}

static void expect_moved(const struct way *w, struct sizes cuts, struct sizes rooms, bool eased)
{
    struct slice got = moved(w, cuts, rooms, eased), want = slice_text(w->want);

    if (!slice_equal(got, want) || asked != w->asks || (w->hits && scrub.hits != w->hits))
        ck_abort_msg("%s, in runs of %zu, %zu..., with room for %zu, %zu...: became '%.*s', %u asked",
                     w->name, cuts.at[0], cuts.at[1 % cuts.count], rooms.at[0], rooms.at[1 % rooms.count],
                     SLICE_PRINTF(got), asked);
}

static const struct sizes room_table[] = {
    {{PLENTY}, 1, 0},
    {{6}, 1, 0},
    {{0, 1, 0, 0, 40}, 5, 0},
    {{7, 0, 2, 64, 1, 0, 13}, 7, 0},
};

START_TEST(no_cut_and_no_want_of_room_changes_a_body)
{
    const struct way *w = &way_table[_i];

    for (size_t i = 0; i < COUNT(room_table); i++) {
        for (size_t cut = 1; cut <= strlen(w->text); cut++) {
            expect_moved(w, SIZES(cut, PLENTY), room_table[i], false);
            expect_moved(w, SIZES(0, cut, 0, 0, PLENTY, 0), room_table[i], false);
        }
        for (size_t step = 1; step < 64; step++) {
            expect_moved(w, SIZES(step), room_table[i], false);
            expect_moved(w, SIZES(step, 0, 1), room_table[i], false);
        }
    }
}
END_TEST

/* Room fails at every place, and octets are late at every place. */
START_TEST(no_mixture_of_cuts_and_rooms_changes_a_body)
{
    const struct way *w = &way_table[_i];

    for (size_t n = 0; n < 4000; n++) {
        struct sizes cuts = {.count = SIZES_MOST}, rooms = {.count = SIZES_MOST};
        uint32_t most = 2 + turn(100);

        for (size_t i = 0; i < SIZES_MOST; i++) {
            cuts.at[i] = turn(3) ? turn(most) : 0;
            rooms.at[i] = turn(3) ? turn(20) : 0;
        }
        cuts.at[turn(SIZES_MOST)] = most;
        rooms.at[turn(SIZES_MOST)] = 6 + turn(100); /* what an octet of a value may need */
        expect_moved(w, cuts, rooms, n % 2 && w->hits == 0);
    }
}
END_TEST

/* Runs and left-overs beyond what a pooled buffer holds. */
START_TEST(long_bodies_and_long_left_overs_go_whole)
{
    static const size_t holds[] = {0, 1, 8191, 8192, 8193, 20000};
    static const struct sizes cut_table[] = {
        {{PLENTY}, 1, 0},
        {{1, 8191, 16384, 3}, 4, 0},
        {{8191, 0, 1, 0, 20000, 0}, 6, 0},
    };
    static uint8_t text[70000];

    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (uint8_t)(i * i >> 7);
    for (size_t i = 0; i < COUNT(holds) * COUNT(cut_table); i++) {
        struct spring from;
        struct relay r = {.from = &from.stream, .to = &basin.stream, .filter = &hoard.filter};
        enum fault why;

        hoard = hoard_of(slice_of(text, sizeof text), holds[i / COUNT(cut_table)], 0);
        spring_open(&from, hoard.text, cut_table[i % COUNT(cut_table)]);
        basin_open(&basin, SIZES(16384, 0, 1000));
        do {
            why = relay_body(&r);
            look(&r, &from, sizeof text, why);
            if (why == FAULT_FULL)
                basin_drain(&basin);
        } while (why == FAULT_AGAIN || why == FAULT_FULL);
        ck_assert_int_eq(why, FAULT_END);
        ck_assert_msg(slice_equal(slice_of(basin.text, basin.octets), hoard.text), "row %zu: %zu octets came",
                      i, basin.octets);
        spring_close(&from);
    }
}
END_TEST

START_TEST(a_tally_counts_what_would_be_written)
{
    const struct way *w = &way_table[_i];
    struct spring from;
    struct tally tally;
    struct relay r = {.from = &from.stream, .to = &tally.stream, .filter = w->begin(slice_text(w->text))};
    enum fault why;

    tally_open(&tally);
    spring_open(&from, slice_text(w->text), SIZES(11, 0, 70, 1));
    do {
        why = relay_body(&r);
    } while (why == FAULT_AGAIN);
    ck_assert_int_eq(why, FAULT_END);
    ck_assert_uint_eq(tally.octets, strlen(w->want));
    ck_assert_uint_eq(r.octets, strlen(w->want));
    ck_assert_ptr_null(tally.scratch.base);
    spring_close(&from);
}
END_TEST

/* --- one step at a time ------------------------------------------------------------------------------------- */

#define SOME_TEXT "the text of which it leaves ten octets over"
#define SOME_HOLD 10

static struct spring spring;

static struct relay hoarding(struct sizes cuts, struct sizes rooms, size_t eases)
{
    hoard = hoard_of(SLICE(SOME_TEXT), SOME_HOLD, eases);
    spring_open(&spring, SLICE(SOME_TEXT), cuts);
    basin_open(&basin, rooms);
    return (struct relay){.from = &spring.stream, .to = &basin.stream, .filter = &hoard.filter};
}

static void expect_step(struct relay *r, enum fault why, size_t out, size_t carried, bool stuck)
{
    ck_assert_int_eq(relay_body(r), why);
    if (why == FAULT_FULL)
        basin_drain(&basin);
    ck_assert_uint_eq(basin.octets, out);
    ck_assert_uint_eq(buf_held(&r->carry).len, carried);
    ck_assert_int_eq(r->stuck, stuck);
}

START_TEST(while_what_is_carried_has_no_room_nothing_more_is_asked_for)
{
    struct relay r = hoarding(SIZES(14, 0, 20, 0), SIZES(4, 0, 3, PLENTY), 7);

    expect_step(&r, FAULT_AGAIN, 4, 10, false);
    expect_step(&r, FAULT_FULL, 4, 30, true); /* the next run is taken, since it can't go by itself */
    ck_assert_uint_eq(spring.here, 0);
    unsigned asks = spring.asks;

    expect_step(&r, FAULT_FULL, 4, 30, true);
    expect_step(&r, FAULT_FULL, 7, 27, true);
    ck_assert_int_eq(relay_ease(&r), FAULT_NONE); /* it does not wait for octets */
    ck_assert_uint_eq(basin.octets, 7);
    ck_assert_uint_eq(spring.asks, asks);
    expect_step(&r, FAULT_AGAIN, 24, 10, false);
    relay_close(&r);
    spring_close(&spring);
}
END_TEST

START_TEST(the_last_octets_wait_for_room)
{
    size_t len = strlen(SOME_TEXT);
    struct relay r = hoarding(SIZES(PLENTY), SIZES(len - 10, 4, 0, PLENTY), 0);

    expect_step(&r, FAULT_FULL, len - 10, 10, false);
    expect_step(&r, FAULT_FULL, len - 6, 6, false);
    expect_step(&r, FAULT_FULL, len - 6, 6, false);
    expect_step(&r, FAULT_END, len, 0, false);
    spring_close(&spring);
}
END_TEST

static void expect_eased(struct relay *r, enum fault why, size_t out, size_t carried)
{
    ck_assert_int_eq(relay_ease(r), why);
    if (why == FAULT_FULL)
        basin_drain(&basin);
    ck_assert_uint_eq(basin.octets, out);
    ck_assert_uint_eq(r->octets, out);
    ck_assert_uint_eq(buf_held(&r->carry).len, carried);
}

START_TEST(what_is_let_go_is_fed_again_and_is_written_once)
{
    struct relay r = hoarding(SIZES(14, 0, 2, 0, PLENTY), SIZES(11, 2, PLENTY), 7);

    expect_step(&r, FAULT_AGAIN, 4, 10, false);
    expect_eased(&r, FAULT_FULL, 11, 10); /* there may be more */
    expect_eased(&r, FAULT_FULL, 13, 10);
    expect_eased(&r, FAULT_NONE, 14, 10);
    expect_eased(&r, FAULT_NONE, 14, 10);
    expect_step(&r, FAULT_AGAIN, 14, 10, false);
    expect_eased(&r, FAULT_NONE, 16, 10);
    expect_step(&r, FAULT_END, strlen(SOME_TEXT), 0, false);
    spring_close(&spring);
}
END_TEST

START_TEST(where_there_is_no_room_to_begin_with_it_is_eased_later)
{
    struct relay r = hoarding(SIZES(14, 0), SIZES(4, 0, 3, PLENTY), 7);

    expect_step(&r, FAULT_AGAIN, 4, 10, false);
    expect_eased(&r, FAULT_FULL, 4, 10);
    expect_eased(&r, FAULT_FULL, 4, 10);
    expect_eased(&r, FAULT_FULL, 7, 10);
    expect_eased(&r, FAULT_NONE, 14, 10);
    relay_close(&r);
    spring_close(&spring);
}
END_TEST

START_TEST(nothing_is_eased_where_nothing_is_left_over_or_the_filter_knows_no_ease)
{
    struct relay r = hoarding(SIZES(14, 0), SIZES(PLENTY), 7);

    expect_eased(&r, FAULT_NONE, 0, 0);
    ck_assert_uint_eq(basin.asks, 0);
    expect_step(&r, FAULT_AGAIN, 4, 10, false);
    hoard.filter.ease = NULL;
    expect_eased(&r, FAULT_NONE, 4, 10);
    ck_assert_uint_eq(basin.asks, 1);
    relay_close(&r);
    spring_close(&spring);
}
END_TEST

/* --- faults ------------------------------------------------------------------------------------------------- */

static enum fault fault_of(struct relay *r)
{
    enum fault why;

    do {
        why = relay_body(r);
        look(r, &spring, strlen(SOME_TEXT), why);
        if (why == FAULT_FULL)
            basin_drain(&basin);
    } while (why == FAULT_AGAIN || why == FAULT_FULL);
    return why;
}

START_TEST(a_fault_of_the_filter_is_passed_on_wherever_it_is)
{
    static const size_t runs[] = {1, 3, SOME_HOLD, 25, PLENTY};

    for (size_t i = 0; i < COUNT(runs) * 2; i++)
        for (size_t at = 0; at < strlen(SOME_TEXT); at++) {
            struct relay r = hoarding(SIZES(runs[i / 2], 0), i % 2 ? SIZES(4, 0) : SIZES(PLENTY), 0);

            hoard.breaks_at = at;
            ck_assert_int_eq(fault_of(&r), FAULT_INVALID);
            ck_assert_uint_eq(basin.octets, at);
            relay_close(&r);
            spring_close(&spring);
        }
}
END_TEST

START_TEST(a_fault_of_a_stream_is_passed_on_and_what_was_carried_is_dropped)
{
    static const struct {
        struct sizes cuts, rooms;
        enum fault from, to, want;
        size_t out;
    } table[] = {
        {{{PLENTY}, 1, 0}, {{PLENTY}, 1, 0}, FAULT_UPSTREAM_GONE, FAULT_FULL, FAULT_UPSTREAM_GONE, 33},
        {{{14, 3, 0, 1}, 4, 0}, {{PLENTY}, 1, 0}, FAULT_UPSTREAM_GONE, FAULT_FULL, FAULT_UPSTREAM_GONE, 33},
        {{{9, 0}, 2, 0}, {{0, 2}, 2, 0}, FAULT_CLIENT_GONE, FAULT_FULL, FAULT_CLIENT_GONE, 33},
        /* no room for a run; for what is carried and a run; for the last octets; for what is stuck */
        {{{PLENTY}, 1, 0}, {{0}, 1, 0}, FAULT_END, FAULT_CLIENT_GONE, FAULT_CLIENT_GONE, 0},
        {{{14, 5}, 2, 0}, {{4}, 1, 0}, FAULT_END, FAULT_CLIENT_GONE, FAULT_CLIENT_GONE, 4},
        {{{PLENTY}, 1, 0}, {{33}, 1, 0}, FAULT_END, FAULT_CLIENT_GONE, FAULT_CLIENT_GONE, 33},
        {{{14, 20}, 2, 0}, {{7, 0}, 2, 0}, FAULT_END, FAULT_NO_MEMORY, FAULT_NO_MEMORY, 7},
    };

    for (size_t i = 0; i < COUNT(table); i++) {
        struct relay r = hoarding(table[i].cuts, table[i].rooms, 0);

        spring.end = table[i].from;
        basin.why = table[i].to;
        enum fault why = fault_of(&r);

        ck_assert_msg(why == table[i].want && basin.octets == table[i].out, "row %zu: %s, %zu octets out", i,
                      fault_table[why].code, basin.octets);
        relay_close(&r);
        ck_assert_ptr_null(r.carry.base);
        ck_assert(!r.stuck);
        ck_assert_uint_eq(basin.octets, table[i].out);
        relay_close(&r);
        spring_close(&spring);
    }
}
END_TEST

START_TEST(easing_passes_a_fault_on_too)
{
    struct relay r = hoarding(SIZES(14, 0), SIZES(4), 7);

    expect_step(&r, FAULT_AGAIN, 4, 10, false);
    basin.why = FAULT_CLIENT_GONE;
    expect_eased(&r, FAULT_CLIENT_GONE, 4, 10);
    relay_close(&r);
    spring_close(&spring);
}
END_TEST

START_TEST(what_was_carried_is_wiped)
{
    struct relay r = hoarding(SIZES(PLENTY, 0), SIZES(PLENTY), 0);

    buf_pool(RELAY_CARRY, 1); /* so that it can be looked at afterwards */
    hoard.filter.hold = strlen(SOME_TEXT);
    spring.end = FAULT_UPSTREAM_GONE;
    ck_assert_int_eq(relay_body(&r), FAULT_UPSTREAM_GONE);
    struct slice held = buf_held(&r.carry);

    ck_assert(slice_equal(held, SLICE(SOME_TEXT)));
    relay_close(&r);
    buf_trim();
    for (size_t i = 2 * sizeof(void *); i < held.len; i++) /* what is before that is the pool's by now */
        ck_assert_uint_eq(held.at[i], 0);
    ck_assert(!slice_starts(held, slice_first(SLICE(SOME_TEXT), 8)));
    spring_close(&spring);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("relay");
    TCase *tc = tcase_create("relay");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tc);
    tcase_set_timeout(tc, 120);
    tcase_add_checked_fixture(tc, ways_open, NULL); /* the arena does not outlive a fork */
    tcase_add_loop_test(tc, a_tally_counts_what_would_be_written, 0, (int)COUNT(way_table));
    tcase_add_test(tc, while_what_is_carried_has_no_room_nothing_more_is_asked_for);
    tcase_add_test(tc, the_last_octets_wait_for_room);
    tcase_add_test(tc, what_is_let_go_is_fed_again_and_is_written_once);
    tcase_add_test(tc, where_there_is_no_room_to_begin_with_it_is_eased_later);
    tcase_add_test(tc, nothing_is_eased_where_nothing_is_left_over_or_the_filter_knows_no_ease);
    tcase_add_test(tc, a_fault_of_the_filter_is_passed_on_wherever_it_is);
    tcase_add_test(tc, a_fault_of_a_stream_is_passed_on_and_what_was_carried_is_dropped);
    tcase_add_test(tc, easing_passes_a_fault_on_too);
    tcase_add_test(tc, what_was_carried_is_wiped);
    tcase_add_test(tc, long_bodies_and_long_left_overs_go_whole);
    tcase_add_loop_test(tc, no_cut_and_no_want_of_room_changes_a_body, 0, (int)COUNT(way_table));
    tcase_add_loop_test(tc, no_mixture_of_cuts_and_rooms_changes_a_body, 0, (int)COUNT(way_table));
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

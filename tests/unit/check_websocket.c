#include "websocket.h"
#include "wsframe.h"
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#define EACH(table) for (size_t i = 0; i < sizeof table / sizeof *table; i++)
#define ROOM        (1 << 20)

static struct buf in, got; /* one direction's octets, as they come and as they go on */
static char text[ROOM];

/* --- filters for messages -------------------------------------------------------------------------------- */

/* keep: passes all but the last f->hold octets, those only with the last. */
static enum fault keep_feed(struct filter *f, struct slice octets, bool last, struct buf *out, size_t *used)
{
    size_t n = last ? octets.len : octets.len > f->hold ? octets.len - f->hold : 0;

    *used = buf_some(out, slice_first(octets, n));
    return *used < n ? FAULT_FULL : FAULT_NONE;
}

/* stand: does not go on. */
static enum fault stand_feed(struct filter *f, struct slice octets, bool last, struct buf *out, size_t *used)
{
    (void)f, (void)octets, (void)last, (void)out;
    *used = 0;
    return f->hold ? FAULT_FULL : FAULT_NONE;
}

static struct filter swap = {.feed = swap_feed, .hold = 1};

static struct {
    unsigned count;
    char first[64];
} begun;

static void message_begins(void *cookie, struct slice first)
{
    ck_assert_ptr_eq(cookie, &begun);
    snprintf(begun.first, sizeof begun.first, "%.*s", SLICE_PRINTF(slice_first(first, 40)));
    begun.count++;
}

static void control_writes(void *cookie, uint8_t *payload, size_t octets)
{
    ck_assert_ptr_eq(cookie, &begun);
    for (size_t i = 0; i < octets; i++)
        payload[i] = payload[i] == 's' ? '*' : payload[i];
}

/* --- as relay feeds it ----------------------------------------------------------------------------------- */

/* ${in} comes in pieces of ${piece} octets, ${got} is drained through ${room}; then it ends. */
static enum fault feed_all(struct websocket *w, size_t piece, size_t room)
{
    buf_take(&got, buf_held(&got).len);
    return frames_feed(&w->filter, buf_held(&in), &(struct cuts){&piece, 1, room}, &got);
}

/* The same frames, whatever the cuts and the room; they are left in ${text}. */
static enum fault feed_every_way(bool client, struct filter *text_filter, struct filter *binary)
{
    const size_t pieces[] = {1, 2, 3, 7, 64, ROOM}, rooms[] = {WEBSOCKET_ROOM, 200, 16384, ROOM};
    static char first[ROOM];
    enum fault want = FAULT_NONE;

    EACH(pieces)
    {
        for (size_t r = 0; r < sizeof rooms / sizeof *rooms; r++) {
            struct websocket w;

            websocket_begin(&w, client, text_filter, binary);
            w.cookie = &begun;
            w.begins = message_begins;
            w.control = control_writes;
            enum fault why = feed_all(&w, pieces[i], rooms[r]);

            frames_text(buf_held(&got), client, text, sizeof text);
            if (i == 0 && r == 0) {
                want = why;
                memcpy(first, text, sizeof first);
            }
            ck_assert_msg(why == want, "piece %zu, room %zu: %s", pieces[i], rooms[r], fault_table[why].name);
            ck_assert_msg(!strcmp(text, first), "piece %zu, room %zu: %.300s", pieces[i], rooms[r], text);
            ck_assert_msg(why != FAULT_NONE || (!w.payload.base && !w.made.base), "it holds a buffer");
            websocket_close(&w);
        }
    }
    return want;
}

static void in_is(const char *frames, bool client)
{
    buf_take(&in, buf_held(&in).len);
    frames_put(&in, frames, client);
}

/* --- refusals -------------------------------------------------------------------------------------------- */

static const struct {
    const char *octets;
    size_t len;
    bool
        client; /* whose mistake it is; the mask of a client is left out where the frame is refused before it */
} refused[] = {
#define ROW(literal, client)                 \
    {                                        \
        literal, sizeof(literal) - 1, client \
    }
    ROW("\xc1\x80", true), /* RSV1 */
    ROW("\xa1\x80", true), /* RSV2 */
    ROW("\x91\x80", true), /* RSV3 */
    ROW("\xc1", false),    /* seen at once */
    ROW("\x83\x80", true), /* opcodes that nobody has defined */
    ROW("\x87\x80", true),
    ROW("\x8b\x80", true),
    ROW("\x8f\x00", false),
    ROW("\x81\x05hello", true),                                 /* no mask */
    ROW("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", false), /* a mask */
    ROW("\x80\x80", true),                                      /* goes on with nothing */
    ROW("\x00\x00", false),
    ROW("\x01\x02hi\x81\x02ho", false), /* a message inside a message */
    ROW("\x01\x02hi\x02\x02ho", false),
    ROW("\x81\x02hi\x80\x02ho", false), /* goes on behind the end */
    ROW("\x09\x00", false),             /* control frames in fragments */
    ROW("\x08\x80", true),
    ROW("\x0a\x00", false),
    ROW("\x89\x7e\x00\x7e", false), /* ... and too long */
    ROW("\x89\xff", true),
    ROW("\x88\x01x", false),        /* half a status */
    ROW("\x81\x7e\x00\x7d", false), /* lengths that are not minimal */
    ROW("\x82\x7e\x00\x00", false),
    ROW("\x82\x7f\x00\x00\x00\x00\x00\x00\xff\xff", false),
    ROW("\x82\x7f\x00\x00\x00\x00\x00\x00\x00\x05", false),
    ROW("\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff", false), /* 16 EiB */
    ROW("\x81\xff\x80\x00\x00\x00\x00\x00\x00\x00mask", true),
    ROW("\x88\x02\x03\xe8\x89\x00", false), /* anything behind a close */
    ROW("\x88\x00\x88\x00", false),
    ROW("\x88\x80mask\x81", true),
    ROW("GET / HTTP/1.1\r\n\r\n", true),
    ROW("HTTP/1.1 200 OK\r\n\r\n", false),
};

START_TEST(frames_outside_the_grammar_are_refused)
{
    EACH(refused)
    {
        enum fault want = refused[i].client ? FAULT_BAD_REQUEST : FAULT_UPSTREAM_PROTOCOL;

        for (int with = 0; with < 2; with++) {
            buf_take(&in, buf_held(&in).len);
            ck_assert_int_eq(buf_append(&in, slice_of(refused[i].octets, refused[i].len)), FAULT_NONE);
            enum fault why = feed_every_way(refused[i].client, with ? &swap : NULL, NULL);

            ck_assert_msg(why == want, "row %zu: %s", i, fault_table[why].name);
        }
    }
}
END_TEST

START_TEST(a_direction_that_ends_inside_a_frame_is_cut_off)
{
    in_is("t(hello) b(hello) p(x)", true);
    struct slice all = buf_held(&in);
    const size_t whole[] = {0, 11, 22, 29};

    for (size_t n = 0, k = 0; n <= all.len; n++) {
        struct websocket w;

        in_is("t(hello) b(hello) p(x)", true);
        in.tail = in.head + n;
        websocket_begin(&w, true, &swap, NULL);
        enum fault why = feed_all(&w, ROOM, ROOM);

        ck_assert_msg(why == (n == whole[k] ? FAULT_NONE : FAULT_CLIENT_GONE), "%zu octets: %s", n,
                      fault_table[why].name);
        k += n == whole[k];
        websocket_close(&w);
    }
}
END_TEST

START_TEST(what_a_message_s_filter_refuses_ends_the_direction)
{
    static struct filter stand = {.feed = stand_feed}, full = {.feed = stand_feed, .hold = 1};

    in_is("t+(a) m(b!c)", true);
    ck_assert_int_eq(feed_every_way(true, &swap, NULL), FAULT_TOKEN_DENIED);
    in_is("t(x)", false);
    ck_assert_int_eq(feed_every_way(false, &stand, NULL), FAULT_SYSTEM);
    ck_assert_int_eq(feed_every_way(false, &full, NULL), FAULT_SYSTEM);
}
END_TEST

/* --- what passes ----------------------------------------------------------------------------------------- */

static const struct {
    const char *frames, *text, *all; /* what becomes of them: filter for text; for both kinds */
} passed[] = {
    {"t(hello)", "t(hello)", "t(hello)"},
    {"t(xabx) b(xabx)", "t(xXYZx) b(xabx)", "t(xXYZx) b(xXYZx)"},
    {"t() b()", "t() b()", "t() b()"},
    {"t+(a) m(b)", "t(XYZ)", "t(XYZ)"},
    {"t+(xa) m(b)", "t+(x) m(XYZ)", "t+(x) m(XYZ)"},
    {"b+(xa) m+(b) m()", "b+(xa) m+(b) m()", "b+(x) m+(XYZ) m()"},
    {"t+(x) m+() m(ab)", "t+(x) m(XYZ)", "t+(x) m(XYZ)"},
    {"t+() m+() m()", "t()", "t()"},
    {"t+(a) m()", "t(a)", "t(a)"},
    {"t+(a) m+(a) m+(b) m(b)", "t+(a) m+(XYZ) m(b)", "t+(a) m+(XYZ) m(b)"},
    {"t+(a) p(ab) m(b)", "p(ab) t(XYZ)", "p(ab) t(XYZ)"},
    {"t+(xa) p() o(y) m(b)", "t+(x) p() o(y) m(XYZ)", "t+(x) p() o(y) m(XYZ)"},
    {"b+(xa) p(secret) m(b) c()", "b+(xa) p(*ecret) m(b) c()", "b+(x) p(*ecret) m(XYZ) c()"},
    {"t(a) t(b)", "t(a) t(b)", "t(a) t(b)"},
    {"t(1) c(xxlast words)", "t(1) c(xxla*t word*)", "t(1) c(xxla*t word*)"},
};

START_TEST(messages_pass_their_filter_and_frames_stay_frames)
{
    EACH(passed)
    for (int client = 0; client < 2; client++) {
        in_is(passed[i].frames, client);
        ck_assert_int_eq(feed_every_way(client, &swap, NULL), FAULT_NONE);
        ck_assert_msg(!strcmp(text, passed[i].text), "row %zu: %s", i, text);
        ck_assert_int_eq(feed_every_way(client, &swap, &swap), FAULT_NONE);
        ck_assert_msg(!strcmp(text, passed[i].all), "row %zu, both: %s", i, text);
    }
}
END_TEST

START_TEST(what_was_left_over_of_a_message_that_never_ends_is_dropped)
{
    struct websocket w;

    in_is("t+(xa) c()", false);
    websocket_begin(&w, false, &swap, NULL);
    ck_assert_int_eq(feed_all(&w, ROOM, ROOM), FAULT_NONE);
    ck_assert(w.closed && w.payload.base);
    frames_text(buf_held(&got), false, text, sizeof text);
    ck_assert_str_eq(text, "t+(x) c()");
    websocket_close(&w);
    ck_assert(!w.payload.base);
    websocket_close(&w);
}
END_TEST

START_TEST(a_message_begins_once_and_is_not_empty_then_unless_it_is)
{
    const struct {
        const char *frames, *first;
        unsigned count;
    } rows[] = {
        {"t({1)", "{1", 1},       {"t+({1) m(2)", "{1", 1}, {"t+() m+() m({2)", "{2", 1},
        {"t+() p(x) m()", "", 1}, {"t(a) t(b)", "b", 2},    {"b(a)", "", 0},
        {"p(a) c()", "", 0},
    };

    EACH(rows)
    {
        struct websocket w;

        begun.count = 0;
        begun.first[0] = '\0';
        in_is(rows[i].frames, true);
        websocket_begin(&w, true, &swap, NULL);
        w.begins = message_begins;
        w.cookie = &begun;
        ck_assert_int_eq(feed_all(&w, 1, ROOM), FAULT_NONE);
        ck_assert_msg(begun.count == rows[i].count, "row %zu: %u times", i, begun.count);
        ck_assert_msg(!strcmp(begun.first, rows[i].first), "row %zu: %s", i, begun.first);
        websocket_close(&w);
    }
}
END_TEST

/* All octets of the data frames in ${got}, one behind the other, to its front. Gives the number of frames. */
static size_t payloads_join(bool client)
{
    struct slice all = buf_held(&got), payload;
    size_t frames = 0, n = 0;
    uint8_t first = 0;

    for (; all.len > 0; frames++) {
        ck_assert(frame_take(&all, client, &first, &payload));
        ck_assert_uint_eq(first & 15, frames ? 0 : 2);
        ck_assert_uint_eq(first >> 7, all.len == 0);
        memmove(got.base + got.head + n, payload.at, payload.len);
        n += payload.len;
    }
    got.tail = got.head + n;
    return frames;
}

static const size_t lengths[] = {0, 1, 125, 126, 127, 16383, 16384, 16385, 65535, 65536, 65537, 300000};

START_TEST(a_frame_of_any_length_passes)
{
    static struct filter keep = {.feed = keep_feed};
    const size_t holds[] = {0, 1, 100, 8192, 8193, 20000, 100000};
    static uint8_t octets[300000];

    for (size_t i = 0; i < sizeof octets; i++)
        octets[i] = (uint8_t)(i * 2654435761u >> 13);
    EACH(lengths)
    {
        for (size_t h = 0; h <= sizeof holds / sizeof *holds; h++) {
            bool client = h % 2, passes = h == sizeof holds / sizeof *holds;
            struct slice whole = slice_of(octets, lengths[i]);
            struct websocket w;

            keep.hold = passes ? 0 : holds[h];
            buf_take(&in, buf_held(&in).len);
            frame_put(&in, 0x82, client, whole);
            websocket_begin(&w, client, NULL, passes ? NULL : &keep);
            ck_assert_int_eq(feed_all(&w, 5000, 16384), FAULT_NONE);
            websocket_close(&w);
            size_t frames = payloads_join(client);

            ck_assert_msg(slice_equal(buf_held(&got), whole), "%zu octets, filter %zu", lengths[i], h);
            ck_assert_msg(frames == 1 || (!passes && lengths[i] > WEBSOCKET_FRAME), "%zu octets: %zu frames",
                          lengths[i], frames);
        }
    }
}
END_TEST

START_TEST(every_frame_of_a_client_has_a_mask_of_its_own)
{
    struct websocket w;
    uint8_t masks[6][4];
    struct slice rest, payload;
    uint8_t first;

    in_is("b(000000) b(000000) t(000000) t(000000) p(000000) p(000000)", true);
    websocket_begin(&w, true, &swap, NULL);
    ck_assert_int_eq(feed_all(&w, ROOM, ROOM), FAULT_NONE);
    rest = buf_held(&got);
    for (size_t i = 0; i < 6; i++) {
        memcpy(masks[i], rest.at + 2, 4);
        ck_assert(frame_take(&rest, true, &first, &payload));
        ck_assert_int_ne(memcmp(masks[i], "\x37\xfa", 2), 0);
        for (size_t k = 0; k < i; k++)
            ck_assert_int_ne(memcmp(masks[i], masks[k], 4), 0);
    }
    websocket_close(&w);
}
END_TEST

static void buffers_open(void)
{
    ck_assert_int_eq(buf_open(&in, ROOM), FAULT_NONE);
    ck_assert_int_eq(buf_open(&got, ROOM), FAULT_NONE);
}

static void buffers_close(void)
{
    buf_close(&in);
    buf_close(&got);
}

int main(void)
{
    Suite *s = suite_create("websocket");
    TCase *t = tcase_create("websocket");
    SRunner *r;
    int failed;

    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, buffers_open, buffers_close);
    tcase_add_test(t, frames_outside_the_grammar_are_refused);
    tcase_add_test(t, a_direction_that_ends_inside_a_frame_is_cut_off);
    tcase_add_test(t, what_a_message_s_filter_refuses_ends_the_direction);
    tcase_add_test(t, messages_pass_their_filter_and_frames_stay_frames);
    tcase_add_test(t, what_was_left_over_of_a_message_that_never_ends_is_dropped);
    tcase_add_test(t, a_message_begins_once_and_is_not_empty_then_unless_it_is);
    tcase_add_test(t, a_frame_of_any_length_passes);
    tcase_add_test(t, every_frame_of_a_client_has_a_mask_of_its_own);
    suite_add_tcase(s, t);
    r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

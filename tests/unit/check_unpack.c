#include "packing.h"
#include "piecemeal.h"
#include "unpack.h"
#include <check.h>
#include <stdio.h>
#include <string.h>

#define TEXT   40000
#define PLENTY (UINT64_C(1) << 40)
#define BAD    FAULT_UPSTREAM_PROTOCOL

static const struct unpack_caps no_caps = {0, 0};

/* Read ${u} to its end, at most ${bite} octets of a run; *len octets came. While it waits it has no buffer. */
static enum fault drain(struct unpack *u, size_t bite, uint8_t *text, uint64_t *len)
{
    const struct stream_ops *ops = u->stream.ops;
    struct slice run;
    enum fault why;

    *len = 0;
    do {
        why = ops->body(&u->stream, &run);
        if (why == FAULT_NONE) {
            size_t n = bite < run.len ? bite : run.len;

            if (n == 0)
                ck_abort_msg("an empty run");
            if (text)
                memcpy(text + *len, run.at, n);
            *len += n;
            ops->took(&u->stream, n);
        } else if (u->out.base) {
            ck_abort_msg("it holds a buffer while it waits");
        }
    } while (why == FAULT_NONE || why == FAULT_AGAIN);
    ck_assert(!u->decoder);
    ck_assert_int_eq(ops->body(&u->stream, &run), why); /* and so it stays */
    return why;
}

static enum fault unpacked(enum coding coding, struct piecemeal *from, struct unpack_caps caps, size_t bite,
                           uint8_t *text, uint64_t *len)
{
    struct purse purse = {.memory = PLENTY, .disk = PLENTY};
    struct unpack u;
    enum fault why;

    ck_assert_int_eq(unpack_open(&u, &from->stream, coding, caps, BAD, &purse), FAULT_NONE);
    why = drain(&u, bite, text, len);
    ck_assert_uint_eq(purse.memory, PLENTY); /* before it is closed: the end needs no decoder */
    unpack_close(&u);
    unpack_close(&u);
    ck_assert_uint_eq(purse.memory, PLENTY);
    return why;
}

static void scribble(uint8_t *text, size_t len)
{
    for (size_t i = 0, seed = 1; i < len; i++, seed = seed * 1103515245 + 12345)
        text[i] = (uint8_t)(0x20 + (seed >> 16 & 7) + i / 1000 % 20);
}

START_TEST(a_body_is_read_as_if_it_were_not_coded)
{
    static const size_t sizes[] = {1, 13, 1000, 100000};
    static uint8_t text[TEXT], into[TEXT * 2], back[TEXT];
    struct slice in;

    scribble(text, TEXT);
    in = slice_of(into, pack((enum packing)_i, slice_of(text, TEXT), into, sizeof into));
    for (size_t i = 0; i < 4; i++)
        for (size_t k = 0; k < 4; k++) {
            struct piecemeal from;
            uint64_t len;
            enum fault why;

            piecemeal_open(&from, in, sizes[i]);
            why = unpacked(packing_table[_i].coding, &from, no_caps, sizes[k], back, &len);
            ck_assert_msg(why == FAULT_END && len == TEXT && memcmp(text, back, TEXT) == 0,
                          "%s in pieces of %zu and %zu: %s, %llu octets", packing_table[_i].name, sizes[i],
                          sizes[k], fault_table[why].name, (unsigned long long)len);
        }
}
END_TEST

START_TEST(a_body_that_is_cut_short_or_goes_on_behind_its_end_is_bad)
{
    static uint8_t text[500], into[2000], back[500];
    struct slice in;
    struct piecemeal from;
    uint64_t len;

    scribble(text, sizeof text);
    in = slice_of(into, pack((enum packing)_i, slice_of(text, sizeof text), into, sizeof into));
    for (size_t cut = 1; cut < in.len; cut++) {
        piecemeal_open(&from, slice_first(in, cut), 7);
        ck_assert_msg(unpacked(packing_table[_i].coding, &from, no_caps, 100, back, &len) == BAD,
                      "%s cut at %zu", packing_table[_i].name, cut);
        ck_assert_mem_eq(back, text, (size_t)len);
    }
    into[in.len] = 0;
    piecemeal_open(&from, slice_of(into, in.len + 1), 7);
    ck_assert_int_eq(unpacked(packing_table[_i].coding, &from, no_caps, 100, back, &len), BAD);
    ck_assert_uint_le(len, sizeof text);
}
END_TEST

START_TEST(a_body_without_an_octet_is_an_empty_one)
{
    struct piecemeal from;
    uint64_t len;

    piecemeal_open(&from, SLICE_NONE, 1);
    ck_assert_int_eq(unpacked(packing_table[_i].coding, &from, no_caps, 1, NULL, &len), FAULT_END);
    ck_assert_uint_eq(len, 0);
}
END_TEST

START_TEST(a_fault_of_the_stream_below_passes)
{
    static uint8_t text[500], into[2000];
    struct piecemeal from;
    uint64_t len;

    scribble(text, sizeof text);
    piecemeal_open(
        &from, slice_of(into, pack((enum packing)_i, slice_of(text, sizeof text), into, sizeof into)), 10);
    from.left.len -= 1;
    from.end = FAULT_UPSTREAM_GONE;
    ck_assert_int_eq(unpacked(packing_table[_i].coding, &from, no_caps, 100, NULL, &len),
                     FAULT_UPSTREAM_GONE);
}
END_TEST

/* ${n} octets of nothing but one blank, packed: a bomb where ${n} is large. */
static struct slice blanks(int how, size_t n)
{
    uint8_t *text = malloc(n), *into = malloc(pack_room(n));

    ck_assert(text && into);
    memset(text, ' ', n);
    n = pack((enum packing)how, slice_of(text, n), into, pack_room(n));
    free(text);
    return slice_of(into, n);
}

START_TEST(a_body_may_have_as_many_octets_as_its_cap_and_not_one_more)
{
    struct slice in = blanks(_i, 100000);
    struct piecemeal from;
    uint64_t len;

    piecemeal_open(&from, in, 50);
    ck_assert_int_eq(
        unpacked(packing_table[_i].coding, &from, (struct unpack_caps){100000, 0}, 99, NULL, &len),
        FAULT_END);
    piecemeal_open(&from, in, 50);
    ck_assert_int_eq(
        unpacked(packing_table[_i].coding, &from, (struct unpack_caps){99999, 0}, 99, NULL, &len),
        FAULT_BODY_TOO_LARGE);
    ck_assert_uint_le(len, 99999);
    free((void *)(uintptr_t)in.at);
}
END_TEST

START_TEST(a_bomb_is_refused_by_its_ratio_and_a_short_body_of_blanks_is_not)
{
    struct slice in = blanks(_i, 32u << 20), few = blanks(_i, UNPACK_FREE);
    struct piecemeal from;
    uint64_t len;

    piecemeal_open(&from, in, 10);
    ck_assert_int_eq(unpacked(packing_table[_i].coding, &from, (struct unpack_caps){0, 100}, 99, NULL, &len),
                     FAULT_BODY_TOO_LARGE);
    ck_assert_msg(len <= UNPACK_FREE + 200 * (in.len - from.left.len), "%s gave %llu octets for %zu",
                  packing_table[_i].name, (unsigned long long)len, in.len - from.left.len);
    piecemeal_open(&from, few, 10);
    ck_assert_int_eq(unpacked(packing_table[_i].coding, &from, (struct unpack_caps){0, 1}, 99, NULL, &len),
                     FAULT_END);
    ck_assert_uint_eq(len, UNPACK_FREE);
    free((void *)(uintptr_t)in.at);
    free((void *)(uintptr_t)few.at);
}
END_TEST

/* Members of no text: much to read, nothing to say. */
START_TEST(a_body_that_says_nothing_for_long_is_bad)
{
    static uint8_t in[UNPACK_BARREN + 4096];
    size_t member = pack(PACK_GZIP, SLICE(""), in, sizeof in), len = member;
    struct piecemeal from;
    uint64_t got;

    while (len + member <= sizeof in) {
        memcpy(in + len, in, member);
        len += member;
    }
    piecemeal_open(&from, slice_of(in, len), 4000);
    ck_assert_int_eq(unpacked(CODING_GZIP, &from, no_caps, 99, NULL, &got), BAD);
    piecemeal_open(&from, slice_of(in, UNPACK_BARREN / member * member), 4000);
    ck_assert_int_eq(unpacked(CODING_GZIP, &from, no_caps, 99, NULL, &got), FAULT_END);
}
END_TEST

START_TEST(a_purse_that_is_too_small_is_no_memory)
{
    static uint8_t text[500], into[2000];
    size_t n = pack((enum packing)_i, slice_of(text, sizeof text), into, sizeof into);
    bool opened = false, done = false;

    for (uint64_t budget = 0; !done; budget += 997) {
        struct purse purse = {.memory = budget, .disk = 0};
        struct piecemeal from;
        struct unpack u = {0};
        uint64_t len;
        enum fault why;

        piecemeal_open(&from, slice_of(into, n), 10);
        why = unpack_open(&u, &from.stream, packing_table[_i].coding, no_caps, BAD, &purse);
        opened = opened || why == FAULT_NONE;
        ck_assert(why == FAULT_NONE || !opened);
        if (why == FAULT_NONE)
            why = drain(&u, 99, NULL, &len);
        ck_assert_msg(why == FAULT_NO_MEMORY || why == FAULT_END, "%s with %llu: %s", packing_table[_i].name,
                      (unsigned long long)budget, fault_table[why].name);
        done = why == FAULT_END;
        unpack_close(&u);
        ck_assert_uint_eq(purse.memory, budget);
    }
    ck_assert(opened);
}
END_TEST

START_TEST(it_is_decoded_anew_after_a_rewind_from_anywhere)
{
    static uint8_t text[TEXT], into[TEXT * 2], back[TEXT];
    struct purse purse = {.memory = PLENTY, .disk = PLENTY};
    struct piecemeal from;
    struct unpack u;
    struct slice run;
    uint64_t len;

    scribble(text, TEXT);
    piecemeal_open(&from, slice_of(into, pack((enum packing)_i, slice_of(text, TEXT), into, sizeof into)),
                   100);
    ck_assert_int_eq(unpack_open(&u, &from.stream, packing_table[_i].coding, no_caps, BAD, &purse),
                     FAULT_NONE);
    ck_assert(!u.stream.ops->rewind(&u.stream)); /* the stream below can't */
    from.rewinds = true;
    for (unsigned n = 0; n < 200; n++) {
        for (unsigned k = 0; k < n; k++)
            if (u.stream.ops->body(&u.stream, &run) == FAULT_NONE)
                u.stream.ops->took(&u.stream, run.len);
        ck_assert(u.stream.ops->rewind(&u.stream));
    }
    ck_assert_int_eq(drain(&u, 1000, back, &len), FAULT_END);
    ck_assert_uint_eq(len, TEXT);
    ck_assert_mem_eq(back, text, TEXT);
    unpack_close(&u);
    ck_assert_uint_eq(purse.memory, PLENTY);
}
END_TEST

START_TEST(trailers_and_commit_are_of_the_stream_below)
{
    struct piecemeal from;
    struct unpack u;
    struct head h;
    uint64_t len;

    piecemeal_open(&from, SLICE("\x06"), 1);
    ck_assert_int_eq(unpack_open(&u, &from.stream, CODING_BR, no_caps, BAD, NULL), FAULT_NONE);
    ck_assert_int_eq(drain(&u, 1, NULL, &len), FAULT_END);
    ck_assert_int_eq(u.stream.ops->trailers(&u.stream, &h), FAULT_NONE);
    ck_assert_uint_eq(h.fields, 1);
    u.stream.ops->commit(&u.stream);
    ck_assert_uint_eq(from.commits, 1);
    ck_assert_uint_eq(u.stream.ops->keeps(&u.stream), 0);
    ck_assert_str_eq(u.stream.proto, "h1");
    unpack_close(&u);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("unpack");
    TCase *t = tcase_create("unpack");
    SRunner *r;
    int failed;

    tcase_add_loop_test(t, a_body_that_is_cut_short_or_goes_on_behind_its_end_is_bad, 0, PACKINGS);
    tcase_add_loop_test(t, a_fault_of_the_stream_below_passes, 0, PACKINGS);
    tcase_add_loop_test(t, a_body_may_have_as_many_octets_as_its_cap_and_not_one_more, 0, PACKINGS);
    tcase_add_loop_test(t, a_bomb_is_refused_by_its_ratio_and_a_short_body_of_blanks_is_not, 0, PACKINGS);
    tcase_add_test(t, a_body_that_says_nothing_for_long_is_bad);
    tcase_add_loop_test(t, a_purse_that_is_too_small_is_no_memory, 0, PACKINGS);
    tcase_add_loop_test(t, a_body_without_an_octet_is_an_empty_one, 0, PACKINGS);
    tcase_add_loop_test(t, a_body_is_read_as_if_it_were_not_coded, 0, PACKINGS);
    tcase_add_loop_test(t, it_is_decoded_anew_after_a_rewind_from_anywhere, 0, PACKINGS);
    tcase_add_test(t, trailers_and_commit_are_of_the_stream_below);
    suite_add_tcase(s, t);
    r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

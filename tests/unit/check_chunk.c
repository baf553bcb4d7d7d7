#include "chunk.h"
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

struct row {
    const char *text;
    size_t len;
};
#define ROW(literal)                 \
    {                                \
        literal, sizeof(literal) - 1 \
    }
#define EACH(table) for (size_t i = 0; i < sizeof table / sizeof *table; i++)

/* Feed ${in} in pieces of ${piece} octets, take what comes. */
static enum fault feed(struct chunk *c, struct slice in, size_t piece, uint8_t *body, size_t *len,
                       size_t *used)
{
    enum fault why = FAULT_AGAIN;

    *len = *used = 0;
    for (size_t held = 0; why == FAULT_AGAIN || why == FAULT_NONE;) {
        struct slice run;
        size_t skip;

        held = held + piece < in.len ? held + piece : in.len;
        do {
            why = chunk_next(c, slice_drop(slice_first(in, held), *used), &skip, &run);
            *used += skip;
            if (why != FAULT_NONE)
                break;
            ck_assert_uint_gt(run.len, 0);
            memcpy(body + *len, run.at, run.len);
            *len += run.len;
            *used += run.len;
            chunk_took(c, run.len);
        } while (*used < held);
        if (held == in.len)
            return why == FAULT_NONE ? FAULT_AGAIN : why;
    }
    return why;
}

static const struct row refused[] = {
    ROW("0x1\r\na\r\n"),
    ROW("+1\r\na\r\n"),
    ROW("-0\r\n"),
    ROW("-1\r\n"),
    ROW(" 1\r\na\r\n"),
    ROW("1 \r\na\r\n"),
    ROW("1\t\r\na\r\n"),
    ROW("1_0\r\n"),
    ROW("\r\n"),
    ROW("g\r\n"),
    ROW(";a\r\n"),
    ROW("1 ;a\r\na\r\n"),
    ROW("00000000000000001\r\na\r\n"),
    ROW("FFFFFFFFFFFFFFFF\r\n"),
    ROW("4000000000000001\r\n"),
    ROW("8000000000000000\r\n"),
    ROW("1;a=b\na\r\n"),
    ROW("1\na\r\n"),
    ROW("1\r\r;x"),
    ROW("1\rX\r\na\r\n"),
    ROW("1;a=\"\r\nb\"\r\n"),
    ROW("1;a=\"\n\"\r\n"),
    ROW("1;\0\r\n"),
    ROW("1;\x7f\r\n"),
    ROW("1;a\r\r\n"),
    ROW("1\0\r\na\r\n"),
    ROW("1\r\naXX"),
    ROW("1\r\na\n"),
    ROW("1\r\na0\r\n"),
    ROW("1\r\na\rX"),
    ROW("1\r\na\r\r\n"),
    ROW("1\r\na\r\n\r\n0\r\n"),
    ROW("0\n"),
    ROW("0\rX"),
    ROW("0 \r\n"),
    ROW("1,2\r\n"),
    ROW("1.\r\n"),
    ROW("\xb1\r\n"),
    ROW("x\r\n"),
    ROW("1h\r\n"),
};

START_TEST(a_chunk_outside_the_grammar_is_refused_at_every_cut)
{
    EACH(refused)
    {
        struct slice in = slice_of(refused[i].text, refused[i].len);

        for (size_t piece = 1; piece <= in.len; piece++) {
            struct chunk c;
            uint8_t body[64];
            size_t len, used;
            enum fault why;

            chunk_begin(&c);
            why = feed(&c, in, piece, body, &len, &used);
            ck_assert_msg(why == FAULT_BAD_REQUEST, "row %zu in pieces of %zu: %s", i, piece,
                          fault_table[why].name);
        }
    }
}
END_TEST

static const struct {
    struct row in;
    const char *body;
    size_t behind; /* octets that are not the coding's any more */
} accepted[] = {
    {ROW("0\r\n"), "", 0},
    {ROW("000\r\n\r\n"), "", 2},
    {ROW("0;last\r\n\r\n"), "", 2},
    {ROW("1\r\na\r\n0\r\nX: y\r\n\r\n"), "a", 8},
    {ROW("0000000000000001\r\na\r\n0\r\n"), "a", 0},
    {ROW("a\r\n0123456789\r\nA;x=\"y; z\"\t\r\nabcdefghij\r\n0\r\n"), "0123456789abcdefghij", 0},
    {ROW("2\r\n\r\n\r\n3\r\n0\r\n\r\n0\r\n"), "\r\n0\r\n", 0},
};

START_TEST(a_body_is_the_same_at_every_cut)
{
    EACH(accepted)
    {
        struct slice in = slice_of(accepted[i].in.text, accepted[i].in.len);

        for (size_t piece = 1; piece <= in.len; piece++) {
            struct chunk c;
            uint8_t body[64];
            size_t len, used;

            chunk_begin(&c);
            ck_assert_int_eq(feed(&c, in, piece, body, &len, &used), FAULT_END);
            ck_assert_uint_eq(used, in.len - accepted[i].behind);
            ck_assert_uint_eq(len, strlen(accepted[i].body));
            ck_assert_mem_eq(body, accepted[i].body, len);
        }
    }
}
END_TEST

/* The largest size is taken as a number; one digit more or one octet more is refused (see the table). */
START_TEST(a_large_size_does_not_wrap)
{
    const struct {
        struct slice in;
        uint64_t left;
    } sizes[] = {{SLICE("4000000000000000\r\nx"), UINT64_C(1) << 62},
                 {SLICE("80000000\r\nx"), UINT64_C(1) << 31}};

    EACH(sizes)
    {
        struct chunk c;
        struct slice run;
        size_t skip;

        chunk_begin(&c);
        ck_assert_int_eq(chunk_next(&c, sizes[i].in, &skip, &run), FAULT_NONE);
        ck_assert_uint_eq(run.len, 1);
        chunk_took(&c, run.len);
        ck_assert_uint_eq(c.left, sizes[i].left - 1);
    }
}
END_TEST

static enum fault extended(struct chunk *c, size_t octets)
{
    static char in[4096];
    size_t len = 0, used;
    uint8_t body[8];

    in[len++] = '1';
    memset(in + len, ';', octets);
    len += octets;
    memcpy(in + len, "\r\na\r\n", 5);
    return feed(c, slice_of(in, len + 5), 4096, body, &len, &used);
}

START_TEST(extensions_are_bounded_by_chunk_and_by_body)
{
    struct chunk c;
    size_t chunks = 0;

    chunk_begin(&c);
    ck_assert_int_eq(extended(&c, 1025 + 1), FAULT_BAD_REQUEST);
    chunk_begin(&c);
    while (extended(&c, 1000) == FAULT_AGAIN)
        chunks++;
    ck_assert_uint_eq(chunks, 16);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("chunk");
    TCase *t = tcase_create("chunk");
    SRunner *r;
    int failed;

    tcase_add_test(t, a_chunk_outside_the_grammar_is_refused_at_every_cut);
    tcase_add_test(t, extensions_are_bounded_by_chunk_and_by_body);
    tcase_add_test(t, a_large_size_does_not_wrap);
    tcase_add_test(t, a_body_is_the_same_at_every_cut);
    suite_add_tcase(s, t);
    r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

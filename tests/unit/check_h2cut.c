#include "h2pair.h"

static uint8_t zeroes[20000];

START_TEST(a_block_that_is_not_whole_is_known)
{
    struct buf b = {0};
    struct end *e = server_alone(&b);
    struct slice all;

    frame_put(&b, HEADERS, 1, 1, SLICE(GET_BLOCK));
    size_t first = buf_held(&b).len;

    frame_put(&b, NGHTTP2_CONTINUATION, 0, 1, SLICE_NONE);
    frame_put(&b, NGHTTP2_CONTINUATION, 4, 1, SLICE(LITERAL("\1", "a", "\1", "b")));
    all = buf_held(&b);
    ck_assert(!h2_mid_head(&e->h2));
    for (size_t i = 0; i < all.len; i++) {
        ck_assert_int_eq(h2_feed(&e->h2, slice_of(all.at + i, 1), now_ms), FAULT_NONE);
        ck_assert_msg(h2_mid_head(&e->h2) == (i >= 8 && i < all.len - 1), "octet %zu of %zu, %zu", i, first,
                      all.len);
    }
    buf_take(&b, all.len);
    frame_put(&b, NGHTTP2_PING, 0, 0, SLICE("12345678"));
    ck_assert_int_eq(end_feed(e, &b), FAULT_NONE);
    ck_assert(!h2_mid_head(&e->h2));
    alone_drop(e, &b);
}
END_TEST

START_TEST(frames_are_cut_at_their_ends)
{
    struct buf b = {0};

    ck_assert_int_eq(buf_open(&b, 40000), FAULT_NONE);
    for (size_t first = 0; first < 60; first++) {
        struct h2_cut c = {.preface = H2_PREFACE};
        int type, seen[4], types = 0;
        size_t got = 0;

        ck_assert_int_eq(buf_append(&b, SLICE(PREFACE)), FAULT_NONE);
        frame_put(&b, 4, 0, 0, SLICE_NONE);
        frame_put(&b, 0, 0, 1, slice_of(zeroes, 20000));
        frame_put(&b, 0xee, 0, 1, SLICE("x"));
        for (struct slice in = buf_held(&b); in.len;) {
            size_t held = in.len == buf_held(&b).len ? first + 1 : in.len;
            struct slice piece;
            size_t n = h2_cut_next(&c, slice_first(in, held), &piece, &type);

            ck_assert_uint_gt(n, 0);
            ck_assert_uint_le(n, held);
            ck_assert(type < 0 || piece.len >= H2_FRAME_HEAD);
            got += piece.len;
            if (type >= 0 && types < 4)
                seen[types++] = type;
            in = slice_drop(in, n);
        }
        ck_assert_int_eq(types, 3);
        ck_assert(seen[0] == 4 && seen[1] == 0 && seen[2] == 0xee && c.left == 0 && c.held == 0);
        ck_assert_uint_eq(got, buf_held(&b).len);
        buf_take(&b, buf_held(&b).len);
    }
    buf_close(&b);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("h2cut");
    TCase *t = tcase_create("h2cut");
    SRunner *r;
    int failed;

    tcase_set_timeout(t, 120);
    tcase_add_test(t, a_block_that_is_not_whole_is_known);
    tcase_add_test(t, frames_are_cut_at_their_ends);
    suite_add_tcase(s, t);
    r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

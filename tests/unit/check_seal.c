#include "seal.h"
#include <check.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define COUNT(table) (sizeof(table) / sizeof *(table))

static char path[] = "/tmp/check_seal.XXXXXX";
static uint8_t octets[KEYRING_MAX * SEAL_KEY_OCTETS + SEAL_KEY_OCTETS];
static struct buf box;

/* The key file: ${n} octets of ${octets}, which count up. */
static void file_write(size_t from, size_t n)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, octets + from, n), (ssize_t)n);
    close(fd);
}

static void setup(void)
{
    int fd = mkstemp(path);

    ck_assert_int_ge(fd, 0);
    close(fd);
    for (size_t i = 0; i < sizeof octets; i++)
        octets[i] = (uint8_t)(i + i / 256);
    ck_assert_int_eq(secret_arena_open(1 << 20), FAULT_NONE);
    ck_assert_int_eq(buf_open(&box, SECRET_OCTETS_MAX + 2 * SEAL_EXTRA), FAULT_NONE);
}

static void teardown(void)
{
    buf_close(&box);
    ck_assert_msg(secret_arena_used() == 0, "%zu octets left in the arena", secret_arena_used());
    unlink(path);
}

static struct keyring *keys_from(size_t from, size_t n)
{
    struct keyring *k = NULL;
    const char *why = NULL;

    file_write(from, n);
    ck_assert_msg(keyring_load(path, &k, &why) == FAULT_NONE, "%s", why);
    return k;
}

static void ad_of(struct seal_ad *ad, const char *const *parts, size_t n)
{
    ck_assert_int_eq(seal_ad_open(ad, 256), FAULT_NONE);
    for (size_t i = 0; i < n; i++)
        ck_assert_int_eq(seal_ad_add(ad, slice_text(parts[i])), FAULT_NONE);
}

static enum fault same_as(void *cookie, struct slice value)
{
    return slice_equal(value, *(struct slice *)cookie) ? FAULT_NONE : FAULT_INVALID;
}

/* --- key files ------------------------------------------------------------------------------------------ */

START_TEST(key_files_that_are_not_right_are_refused)
{
    static const struct {
        size_t len;
        mode_t mode;
    } table[] = {
        {0, 0600},  {1, 0600},  {31, 0600}, {33, 0600}, {63, 0600}, {17 * 32, 0600},
        {32, 0640}, {32, 0604}, {32, 0620}, {32, 0602}, {32, 0610}, {32, 0601},
    };
    struct keyring *k = NULL;
    const char *why;

    for (size_t i = 0; i < COUNT(table); i++) {
        why = NULL;
        file_write(0, table[i].len);
        ck_assert_int_eq(chmod(path, table[i].mode), 0);
        ck_assert_msg(keyring_load(path, &k, &why) == FAULT_INVALID, "accepted: %zu octets, mode %o",
                      table[i].len, table[i].mode);
        ck_assert_ptr_nonnull(why);
        ck_assert_ptr_null(k);
    }
    ck_assert_int_eq(keyring_load("/nonexistent/key", &k, &why), FAULT_NOT_FOUND);
    ck_assert_int_eq(keyring_load("/dev/null", &k, &why), FAULT_INVALID);
    ck_assert_int_eq(keyring_load("/tmp", &k, &why), FAULT_INVALID);
    unlink(path);
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    ck_assert_int_eq(keyring_load(path, &k, &why), FAULT_INVALID);
    ck_assert_ptr_nonnull(why);
}
END_TEST

START_TEST(key_files_of_one_to_sixteen_keys_load)
{
    char id[SEAL_KEY_ID * 2 + 1], first[sizeof id];

    for (size_t n = 1; n <= KEYRING_MAX; n++) {
        struct keyring *k = keys_from(0, n * SEAL_KEY_OCTETS);

        ck_assert_uint_eq(keyring_count(k), n);
        keyring_id(k, n - 1, id);
        keyring_id(k, 0, first);
        ck_assert_uint_eq(strlen(id), SEAL_KEY_ID * 2);
        ck_assert_int_eq(n == 1, strcmp(id, first) == 0);
        keyring_free(k);
    }
    keyring_free(NULL);
}
END_TEST

static void see_order(const struct keyring *k, const char *const *ids, size_t n)
{
    char id[SEAL_ID_TEXT];

    ck_assert_uint_eq(keyring_count(k), n);
    for (size_t i = 0; i < n; i++) {
        keyring_id(k, i, id);
        ck_assert_msg(strcmp(id, ids[i]) == 0, "key %zu of %zu is %s, not %s", i, n, id, ids[i]);
        ck_assert_uint_eq(keyring_find(k, id), i);
    }
}

/* With the key of 32 octets that begins at ${from}. */
static void id_of(size_t from, char *out)
{
    struct keyring *k = keys_from(from, SEAL_KEY_OCTETS);

    keyring_id(k, 0, out);
    keyring_free(k);
}

START_TEST(a_key_is_found_by_its_whole_id_alone)
{
    static const char *const table[] = {"", "0", "0000000000000000", "zz", "cb2f5160fc1f7e05x"};
    struct keyring *k = keys_from(0, 3 * SEAL_KEY_OCTETS);
    char id[SEAL_ID_TEXT];

    for (size_t i = 0; i < COUNT(table); i++)
        ck_assert_msg(keyring_find(k, table[i]) == 3, "found: %s", table[i]);
    keyring_id(k, 1, id);
    ck_assert_uint_eq(keyring_find(k, id), 1);
    id[SEAL_ID_TEXT - 2] = 0; /* one digit less */
    ck_assert_uint_eq(keyring_find(k, id), 3);
    keyring_free(k);
}
END_TEST

START_TEST(keys_come_to_the_front_and_go_and_the_others_keep_their_order)
{
    char a[SEAL_ID_TEXT], b[SEAL_ID_TEXT], c[SEAL_ID_TEXT];
    struct keyring *k;

    id_of(0, a);
    id_of(SEAL_KEY_OCTETS, b);
    id_of(2 * SEAL_KEY_OCTETS, c);
    k = keys_from(0, 3 * SEAL_KEY_OCTETS);
    see_order(k, (const char *const[]){a, b, c}, 3);
    keyring_front(k, 2);
    see_order(k, (const char *const[]){c, a, b}, 3);
    keyring_front(k, 0);
    see_order(k, (const char *const[]){c, a, b}, 3);
    keyring_front(k, 1);
    see_order(k, (const char *const[]){a, c, b}, 3);
    keyring_drop(k, 1);
    see_order(k, (const char *const[]){a, b}, 2);
    keyring_drop(k, 1);
    see_order(k, (const char *const[]){a}, 1);
    keyring_free(k);
}
END_TEST

START_TEST(a_drawn_key_stands_last_and_there_are_at_most_sixteen)
{
    struct keyring *k = keys_from(0, SEAL_KEY_OCTETS);
    char first[SEAL_ID_TEXT], id[SEAL_ID_TEXT];

    keyring_id(k, 0, first);
    for (size_t n = 1; n < KEYRING_MAX; n++) {
        ck_assert_int_eq(keyring_draw(k), FAULT_NONE);
        ck_assert_uint_eq(keyring_count(k), n + 1);
        keyring_id(k, n, id);
        ck_assert_uint_eq(keyring_find(k, id), n); /* no other is the same */
        ck_assert_uint_eq(keyring_find(k, first), 0);
    }
    ck_assert_int_eq(keyring_draw(k), FAULT_FULL);
    ck_assert_uint_eq(keyring_count(k), KEYRING_MAX);
    keyring_free(k);
}
END_TEST

START_TEST(a_lent_key_is_what_the_file_holds)
{
    struct keyring *k = keys_from(32, 3 * SEAL_KEY_OCTETS);

    for (size_t i = 0; i < 3; i++) {
        struct slice want = slice_of(octets + 32 * (i + 1), SEAL_KEY_OCTETS);

        ck_assert_int_eq(keyring_lend(k, i, same_as, &want), FAULT_NONE);
    }
    keyring_free(k);
}
END_TEST

/* --- associated data ------------------------------------------------------------------------------------ */

START_TEST(parts_are_told_apart_by_their_lengths)
{
    static const uint8_t want[] = "\0\0\0\0\0\0\0\1a\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\2bc"
                                  "\0\0\0\0\0\0\0\10\1\2\3\4\5\6\7\10";
    static const char *const parts[] = {"a", "", "bc"};
    struct seal_ad ad;

    ad_of(&ad, parts, 3);
    ck_assert_int_eq(seal_ad_number(&ad, 0x0102030405060708), FAULT_NONE);
    ck_assert_uint_eq(buf_held(&ad.octets).len, sizeof want - 1);
    ck_assert_mem_eq(buf_held(&ad.octets).at, want, sizeof want - 1);
    seal_ad_close(&ad);
    ck_assert_int_eq(seal_ad_open(&ad, 9), FAULT_NONE);
    ck_assert_int_eq(seal_ad_add(&ad, SLICE("ab")), FAULT_FULL);
    seal_ad_close(&ad);
}
END_TEST

START_TEST(a_box_opens_only_over_its_own_associated_data)
{
    static const char *const lists[][3] = {
        {"a", "bc", NULL}, {"ab", "c", NULL},  {"abc", NULL, NULL}, {"a", "bc", ""},
        {"bc", "a", NULL}, {"A", "bc", NULL},  {"a", "a", "bc"},    {"a", "bc", "bc"},
        {"", "a", "bc"},   {NULL, NULL, NULL}, {"a", NULL, NULL},
    };
    struct keyring *k = keys_from(0, 32);

    for (size_t i = 0; i < COUNT(lists); i++)
        for (size_t j = 0; j < COUNT(lists); j++) {
            struct seal_ad ad, other;
            struct secret *s = NULL;
            size_t n = 0, m = 0;

            while (n < 3 && lists[i][n])
                n++;
            while (m < 3 && lists[j][m])
                m++;
            ad_of(&ad, lists[i], n);
            ad_of(&other, lists[j], m);
            ck_assert_int_eq(seal_box(k, &ad, SLICE("value"), &box), FAULT_NONE);
            ck_assert_msg(seal_open(k, &other, buf_held(&box), &s) == (i == j ? FAULT_NONE : FAULT_FORGED),
                          "list %zu opened as %zu", i, j);
            secret_free(s);
            buf_take(&box, buf_held(&box).len);
            seal_ad_close(&ad);
            seal_ad_close(&other);
        }
    keyring_free(k);
}
END_TEST

/* --- boxes ---------------------------------------------------------------------------------------------- */

/* Under the key 00 01 .. 1f over ("osb1 known", "answer"), computed without libsodium: today's boxes open for ever. */
#define KNOWN                                                          \
    "cb2f5160fc1f7e05404142434445464748494a4b4c4d4e4f5051525354555657" \
    "a0516050a6811563ea0fefa12f19c745f575c7e7527ab02030"

START_TEST(the_known_box_opens)
{
    static const char *const parts[] = {"osb1 known", "answer"};
    struct slice want = SLICE("the value");
    struct keyring *k = keys_from(0, 32);
    uint8_t known[256];
    struct seal_ad ad;
    struct secret *s = NULL;
    size_t len;

    ck_assert_int_eq(sodium_hex2bin(known, sizeof known, KNOWN, strlen(KNOWN), NULL, &len, NULL), 0);
    ad_of(&ad, parts, 2);
    ck_assert_int_eq(seal_open(k, &ad, slice_of(known, len), &s), FAULT_NONE);
    ck_assert_int_eq(secret_lend(s, same_as, &want), FAULT_NONE);
    secret_free(s);
    seal_ad_close(&ad);
    keyring_free(k);
}
END_TEST

START_TEST(a_box_with_any_bit_changed_does_not_open)
{
    static const char *const parts[] = {"ad"};
    struct keyring *k = keys_from(0, 64);
    uint8_t sealed[SEAL_EXTRA + 16];
    struct seal_ad ad;
    struct secret *s = NULL;

    ad_of(&ad, parts, 1);
    ck_assert_int_eq(seal_box(k, &ad, SLICE("0123456789abcdef"), &box), FAULT_NONE);
    ck_assert_uint_eq(buf_held(&box).len, sizeof sealed);
    memcpy(sealed, buf_held(&box).at, sizeof sealed);
    for (size_t bit = 0; bit < sizeof sealed * 8; bit++) {
        enum fault want = bit < SEAL_KEY_ID * 8 ? FAULT_KEY_UNKNOWN : FAULT_FORGED;

        sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
        ck_assert_msg(seal_open(k, &ad, slice_of(sealed, sizeof sealed), &s) == want, "bit %zu", bit);
        sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t len = 0; len < sizeof sealed; len++)
        ck_assert_msg(seal_open(k, &ad, slice_of(sealed, len), &s) ==
                          (len < SEAL_EXTRA ? FAULT_INVALID : FAULT_FORGED),
                      "cut to %zu", len);
    ck_assert_ptr_null(s);
    seal_ad_close(&ad);
    keyring_free(k);
}
END_TEST

START_TEST(values_of_every_size_come_back)
{
    static const size_t table[] = {0, 1, 15, 16, 17, 4095, 65535, SECRET_OCTETS_MAX};
    static uint8_t value[SECRET_OCTETS_MAX + 1];
    struct keyring *k = keys_from(0, 32);
    struct seal_ad ad;

    ad_of(&ad, NULL, 0);
    randombytes_buf(value, sizeof value);
    for (size_t i = 0; i < COUNT(table); i++) {
        struct slice want = slice_of(value, table[i]);
        struct secret *s = NULL, *again = NULL;

        ck_assert_int_eq(secret_new(want, &s), FAULT_NONE);
        ck_assert_int_eq(seal_box_secret(k, &ad, s, &box), FAULT_NONE);
        ck_assert_uint_eq(buf_held(&box).len, want.len + SEAL_EXTRA);
        ck_assert_int_eq(seal_open(k, &ad, buf_held(&box), &again), FAULT_NONE);
        ck_assert_int_eq(secret_lend(again, same_as, &want), FAULT_NONE);
        secret_free(s);
        secret_free(again);
        buf_take(&box, buf_held(&box).len);
    }
    ck_assert_int_eq(
        seal_open(k, &ad, slice_of(value, SECRET_OCTETS_MAX + SEAL_EXTRA + 1), &(struct secret *){0}),
        FAULT_INVALID);
    seal_ad_close(&ad);
    keyring_free(k);
}
END_TEST

START_TEST(a_box_that_does_not_fit_leaves_nothing)
{
    struct keyring *k = keys_from(0, 32);
    struct buf tight = {0};
    struct seal_ad ad;
    struct secret *s = NULL;

    ad_of(&ad, NULL, 0);
    ck_assert_int_eq(buf_open(&tight, SEAL_EXTRA + 8), FAULT_NONE);
    ck_assert_int_eq(seal_box(k, &ad, SLICE("123456789"), &tight), FAULT_FULL);
    ck_assert_uint_eq(buf_held(&tight).len, 0);
    /* What is held does not begin at the front: the box still comes out in one run. */
    ck_assert_int_eq(buf_append(&tight, SLICE("12345678")), FAULT_NONE);
    buf_take(&tight, 7);
    ck_assert_int_eq(seal_box(k, &ad, SLICE("1234567"), &tight), FAULT_NONE);
    buf_take(&tight, 1);
    ck_assert_int_eq(seal_open(k, &ad, buf_held(&tight), &s), FAULT_NONE);
    secret_free(s);
    buf_close(&tight);
    seal_ad_close(&ad);
    keyring_free(k);
}
END_TEST

START_TEST(a_nonce_never_comes_twice)
{
    enum { N = 4096, NONCE = 24 };
    static uint8_t nonces[N][NONCE];
    unsigned repeats = 0;
    struct keyring *k = keys_from(0, 32);
    struct seal_ad ad;

    ad_of(&ad, NULL, 0);
    for (size_t i = 0; i < N; i++) {
        ck_assert_int_eq(seal_box(k, &ad, SLICE_NONE, &box), FAULT_NONE);
        memcpy(nonces[i], box.base + box.head + SEAL_KEY_ID, NONCE);
        buf_take(&box, buf_held(&box).len);
        for (size_t j = 0; j < i; j++)
            repeats += memcmp(nonces[i], nonces[j], NONCE) == 0;
    }
    ck_assert_uint_eq(repeats, 0);
    seal_ad_close(&ad);
    keyring_free(k);
}
END_TEST

START_TEST(after_a_rotation_the_old_key_opens_until_it_is_gone)
{
    struct keyring *old = keys_from(32, 32), *both = keys_from(0, 64), *new = keys_from(0, 32);
    struct seal_ad ad;
    struct secret *s = NULL;

    ad_of(&ad, NULL, 0);
    ck_assert_int_eq(seal_box(old, &ad, SLICE("v"), &box), FAULT_NONE);
    ck_assert_int_eq(seal_open(both, &ad, buf_held(&box), &s), FAULT_NONE);
    secret_free(s);
    s = NULL;
    ck_assert_int_eq(seal_open(new, &ad, buf_held(&box), &s), FAULT_KEY_UNKNOWN);
    buf_take(&box, buf_held(&box).len);
    ck_assert_int_eq(seal_box(both, &ad, SLICE("v"), &box), FAULT_NONE);
    ck_assert_int_eq(seal_open(old, &ad, buf_held(&box), &s), FAULT_KEY_UNKNOWN);
    ck_assert_int_eq(seal_open(new, &ad, buf_held(&box), &s), FAULT_NONE);
    secret_free(s);
    seal_ad_close(&ad);
    keyring_free(old);
    keyring_free(both);
    keyring_free(new);
}
END_TEST

START_TEST(a_box_says_under_which_key_it_is_and_need_not_be_under_the_first)
{
    struct keyring *k = keys_from(0, 96);
    char id[SEAL_ID_TEXT], said[SEAL_ID_TEXT];
    struct seal_ad ad;
    struct secret *s = NULL;

    ad_of(&ad, NULL, 0);
    for (size_t i = 0; i < 3; i++) {
        keyring_id(k, i, id);
        ck_assert_int_eq(seal_box_with(k, i, &ad, SLICE("v"), &box), FAULT_NONE);
        ck_assert(seal_key_id(buf_held(&box), said));
        ck_assert_str_eq(said, id);
        ck_assert_int_eq(seal_open(k, &ad, buf_held(&box), &s), FAULT_NONE);
        secret_free(s);
        for (size_t len = 0; len < SEAL_EXTRA; len++)
            ck_assert_msg(!seal_key_id(slice_first(buf_held(&box), len), said), "%zu octets", len);
        buf_take(&box, buf_held(&box).len);
    }
    seal_ad_close(&ad);
    keyring_free(k);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("seal");
    TCase *tc = tcase_create("seal");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, key_files_that_are_not_right_are_refused);
    tcase_add_test(tc, key_files_of_one_to_sixteen_keys_load);
    tcase_add_test(tc, a_key_is_found_by_its_whole_id_alone);
    tcase_add_test(tc, keys_come_to_the_front_and_go_and_the_others_keep_their_order);
    tcase_add_test(tc, a_drawn_key_stands_last_and_there_are_at_most_sixteen);
    tcase_add_test(tc, a_lent_key_is_what_the_file_holds);
    tcase_add_test(tc, parts_are_told_apart_by_their_lengths);
    tcase_add_test(tc, a_box_opens_only_over_its_own_associated_data);
    tcase_add_test(tc, the_known_box_opens);
    tcase_add_test(tc, a_box_with_any_bit_changed_does_not_open);
    tcase_add_test(tc, values_of_every_size_come_back);
    tcase_add_test(tc, a_box_that_does_not_fit_leaves_nothing);
    tcase_add_test(tc, a_nonce_never_comes_twice);
    tcase_add_test(tc, after_a_rotation_the_old_key_opens_until_it_is_gone);
    tcase_add_test(tc, a_box_says_under_which_key_it_is_and_need_not_be_under_the_first);
    suite_add_tcase(s, tc);
    runner = srunner_create(s);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

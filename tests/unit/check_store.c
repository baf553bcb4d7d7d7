#include "store.h"
#include <check.h>
#include <stdlib.h>
#include <unistd.h>

#define COUNT(table) (sizeof(table) / sizeof *(table))

static struct keyring *keys;
static struct buf box;

static void setup(void)
{
    char path[] = "/tmp/check_store.XXXXXX";
    uint8_t key[SEAL_KEY_OCTETS] = {1, 2, 3};
    const char *why = "";
    int fd = mkstemp(path);

    ck_assert_int_eq(secret_arena_open(1 << 20), FAULT_NONE);
    ck_assert_int_eq(write(fd, key, sizeof key), (ssize_t)sizeof key);
    close(fd);
    ck_assert_msg(keyring_load(path, &keys, &why) == FAULT_NONE, "%s", why);
    unlink(path);
    ck_assert_int_eq(buf_open(&box, 4096), FAULT_NONE);
}

static void teardown(void)
{
    buf_close(&box);
    keyring_free(keys);
    ck_assert_msg(secret_arena_used() == 0, "%zu octets left in the arena", secret_arena_used());
}

/* --- policies ------------------------------------------------------------------------------------------- */

START_TEST(text_that_is_no_object_is_refused_though_tagged)
{
    static const struct slice table[] = {
        SLICE(""),
        SLICE("null"),
        SLICE("[]"),
        SLICE("{"),
        SLICE("{} {}"),
        SLICE("{}\0"),
        SLICE("{\"a\":1,}"),
        SLICE("{\"a\":1,\"a\":1}"),
        SLICE("{\"a\":01}"),
        SLICE("{\"a\":\"\xff\"}"),
        SLICE("{\"b\":{\"a\":1,\"a\":2}}"),
        SLICE("{\"a\":\"\\u0000\"}"),
    };
    json_t *root = NULL;

    for (size_t i = 0; i < COUNT(table); i++) {
        ck_assert_int_eq(policy_tag(keys, false, table[i], &box), FAULT_NONE);
        ck_assert_msg(policy_open(keys, false, table[i], buf_held(&box), &root) == FAULT_INVALID,
                      "accepted: %.*s", SLICE_PRINTF(table[i]));
        ck_assert_ptr_null(root);
        buf_take(&box, buf_held(&box).len);
    }
}
END_TEST

START_TEST(a_tag_is_for_one_text_of_one_kind)
{
    struct slice policy = SLICE("{\"a\":[1,2]}"), tag;
    json_t *root = NULL;

    ck_assert_int_eq(policy_tag(keys, false, policy, &box), FAULT_NONE);
    tag = buf_held(&box);
    ck_assert_uint_eq(tag.len, SEAL_EXTRA);
    ck_assert_int_eq(policy_open(keys, true, policy, tag, &root), FAULT_FORGED);
    ck_assert_int_eq(policy_open(keys, false, SLICE("{\"a\":[2,1]}"), tag, &root), FAULT_FORGED);
    ck_assert_int_eq(policy_open(keys, false, SLICE("{\"a\":[1,2]} "), tag, &root), FAULT_FORGED);
    ck_assert_int_eq(policy_open(keys, false, policy, slice_first(tag, tag.len - 1), &root), FAULT_INVALID);
    ck_assert_int_eq(policy_open(keys, false, policy, SLICE_NONE, &root), FAULT_INVALID);
    ck_assert_ptr_null(root);
    ck_assert_int_eq(policy_open(keys, false, policy, tag, &root), FAULT_NONE);
    ck_assert(json_is_object(root));
    json_decref(root);
    /* A box that holds something is no tag, whatever it was sealed over. */
    buf_take(&box, tag.len);
    struct seal_ad ad;

    ck_assert_int_eq(seal_ad_open(&ad, 256), FAULT_NONE);
    ck_assert_int_eq(seal_ad_add(&ad, SLICE("osb1 store")), FAULT_NONE);
    ck_assert_int_eq(seal_ad_add(&ad, policy), FAULT_NONE);
    ck_assert_int_eq(seal_box(keys, &ad, SLICE("x"), &box), FAULT_NONE);
    ck_assert_int_eq(policy_open(keys, false, policy, buf_held(&box), &root), FAULT_INVALID);
    seal_ad_close(&ad);
}
END_TEST

/* --- values --------------------------------------------------------------------------------------------- */

START_TEST(a_value_opens_only_for_what_it_is_bound_to)
{
    static const struct {
        bool sandbox;
        const char *owner, *name, *token, *hosts;
        unsigned places;
        uint64_t version;
    } table[] = {
        {true, "sb1", "ONE", "t1", "[\"a\",\"bc\"]", 7, 1},
        {true, "sb1", "ONE", "t1", "[\"ab\",\"c\"]", 7, 1},
        {true, "sb1", "ONE", "t1", "[\"abc\"]", 7, 1},
        {true, "sb1", "ONE", "t1", "[\"bc\",\"a\"]", 7, 1},
        {true, "sb1", "ONE", "t1", "[\"a\",\"a\",\"bc\"]", 7, 1},
        {true, "sb1", "ONE", "t1", "[]", 7, 1},
        {true, "sb1", "ONE", "t1", "[\"\"]", 7, 1},
        {true, "sb2", "ONE", "t1", "[]", 7, 1},
        {true, "sb1", "TWO", "t1", "[]", 7, 1},
        {true, "sb1", "ONE", "t2", "[]", 7, 1},
        {true, "sb1", "ONE", "t1", "[]", 6, 1},
        {true, "sb1", "ONE", "t1", "[]", 7, 2},
        {true, "sb1", "ONE", "t1", "[]", 1, 7},
        {true, "sb1O", "NE", "t1", "[]", 7, 1},
        {true, "sb1", "ONE", "", "[\"t1\"]", 7, 1},
        {false, "sb1", "ONE", "", "[]", 7, 1},
        {false, "sb1", "ONE", "", "[\"t1\"]", 7, 1},
        {false, "sb1", "ONE", "", "[\"a\",\"bc\"]", 7, 1},
    };
    struct value_binding b[COUNT(table)];
    json_t *hosts[COUNT(table)];
    struct secret *value, *s = NULL;

    ck_assert_int_eq(secret_new(SLICE("the value"), &value), FAULT_NONE);
    for (size_t i = 0; i < COUNT(table); i++) {
        hosts[i] = json_loads(table[i].hosts, 0, NULL);
        b[i] = (struct value_binding){table[i].sandbox,
                                      slice_text(table[i].owner),
                                      slice_text(table[i].name),
                                      slice_text(table[i].token),
                                      hosts[i],
                                      table[i].places,
                                      table[i].version};
    }
    for (size_t i = 0; i < COUNT(table); i++) {
        ck_assert_int_eq(value_seal(keys, &b[i], value, &box), FAULT_NONE);
        for (size_t j = 0; j < COUNT(table); j++) {
            s = NULL;
            ck_assert_msg(value_open(keys, &b[j], buf_held(&box), &s) == (i == j ? FAULT_NONE : FAULT_FORGED),
                          "sealed for row %zu, opened for row %zu", i, j);
            secret_free(s);
        }
        buf_take(&box, buf_held(&box).len);
    }
    for (size_t i = 0; i < COUNT(table); i++)
        json_decref(hosts[i]);
    secret_free(value);
}
END_TEST

START_TEST(hosts_that_are_no_strings_bind_nothing)
{
    static const char *const table[] = {"{}", "[1]", "[\"a\",null]", "[[\"a\"]]", "{\"0\":\"a\"}"};
    struct secret *value, *s = NULL;

    ck_assert_int_eq(secret_new(SLICE("v"), &value), FAULT_NONE);
    for (size_t i = 0; i <= COUNT(table); i++) {
        json_t *hosts = i < COUNT(table) ? json_loads(table[i], 0, NULL) : NULL;
        struct value_binding b = {true, SLICE("sb1"), SLICE("ONE"), SLICE("t"), hosts, 7, 1};

        ck_assert_int_eq(value_seal(keys, &b, value, &box), FAULT_INVALID);
        ck_assert_int_eq(value_open(keys, &b, SLICE("x"), &s), FAULT_INVALID);
        ck_assert_uint_eq(buf_held(&box).len, 0);
        json_decref(hosts);
    }
    ck_assert_ptr_null(s);
    secret_free(value);
}
END_TEST

START_TEST(a_ca_key_belongs_to_one_sandbox_and_one_certificate)
{
    struct secret *key, *s = NULL;
    struct slice sealed;

    ck_assert_int_eq(secret_new(SLICE("der"), &key), FAULT_NONE);
    ck_assert_int_eq(store_ca_key_seal(keys, SLICE("sb1"), SLICE("pem"), key, &box), FAULT_NONE);
    sealed = buf_held(&box);
    ck_assert_int_eq(store_ca_key_open(keys, SLICE("sb2"), SLICE("pem"), sealed, &s), FAULT_FORGED);
    ck_assert_int_eq(store_ca_key_open(keys, SLICE("sb1"), SLICE("pen"), sealed, &s), FAULT_FORGED);
    ck_assert_int_eq(store_ca_key_open(keys, SLICE("sb1p"), SLICE("em"), sealed, &s), FAULT_FORGED);
    ck_assert_ptr_null(s);
    ck_assert_int_eq(store_ca_key_open(keys, SLICE("sb1"), SLICE("pem"), sealed, &s), FAULT_NONE);
    ck_assert_uint_eq(secret_len(s), 3);
    secret_free(s);
    secret_free(key);
}
END_TEST

START_TEST(versions_only_grow)
{
    static const struct {
        uint64_t stored;
        int64_t now_ms;
        uint64_t want;
    } table[] = {
        {0, -5, 1},
        {0, 0, 1},
        {5, 1000, 1000},
        {1000, 1000, 1001},
        {2000, 1000, 2001},
        {7, INT64_MIN, 8},
        {INT64_MAX - 1, 0, INT64_MAX},
        {INT64_MAX, 0, INT64_MAX},
        {UINT64_MAX, 0, INT64_MAX},
    };

    for (size_t i = 0; i < COUNT(table); i++)
        ck_assert_msg(store_version_next(table[i].stored, table[i].now_ms) == table[i].want, "row %zu", i);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("store");
    TCase *tc = tcase_create("store");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, text_that_is_no_object_is_refused_though_tagged);
    tcase_add_test(tc, a_tag_is_for_one_text_of_one_kind);
    tcase_add_test(tc, a_value_opens_only_for_what_it_is_bound_to);
    tcase_add_test(tc, hosts_that_are_no_strings_bind_nothing);
    tcase_add_test(tc, a_ca_key_belongs_to_one_sandbox_and_one_certificate);
    tcase_add_test(tc, versions_only_grow);
    suite_add_tcase(s, tc);
    runner = srunner_create(s);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#include "clock.h"
#include "leaf.h"
#include <check.h>
#include <openssl/x509v3.h>
#include <sodium.h>
#include <stdlib.h>

#define NAME_63 "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffggg"
#define NAME_253                        \
    NAME_63 "." NAME_63 "." NAME_63 "." \
            "bbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff1234567hhhh"
#define MINTS 1000

static struct authority a;
static char *pem;
static struct secret *key;

static void draw(unsigned days)
{
    ck_assert_int_eq(secret_arena_open(1 << 20), FAULT_NONE);
    ck_assert_int_eq(authority_new(SLICE("sb-1"), clock_wall_ms(), days, &pem, &key), FAULT_NONE);
    ck_assert_int_eq(authority_open(slice_text(pem), key, &a), FAULT_NONE);
}

static void draw_long(void)
{
    draw(30);
}

static void undraw(void)
{
    authority_close(&a);
    free(pem);
    secret_free(key);
}

/* What a strict client makes of ${leaf} for ${name}: X509_V_OK or the reason. */
static int verdict(X509 *leaf, X509 *root, const char *name, bool literal)
{
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *run = X509_STORE_CTX_new();

    X509_STORE_add_cert(store, root);
    X509_STORE_CTX_init(run, store, leaf, NULL);
    X509_VERIFY_PARAM *p = X509_STORE_CTX_get0_param(run);

    X509_VERIFY_PARAM_set_flags(p, X509_V_FLAG_X509_STRICT | X509_V_FLAG_CHECK_SS_SIGNATURE);
    X509_VERIFY_PARAM_set_purpose(p, X509_PURPOSE_SSL_SERVER);
    X509_VERIFY_PARAM_set_hostflags(p, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    if (literal)
        X509_VERIFY_PARAM_set1_ip_asc(p, name);
    else
        X509_VERIFY_PARAM_set1_host(p, name, 0);
    int error = X509_verify_cert(run) == 1 ? X509_V_OK : X509_STORE_CTX_get_error(run);

    X509_STORE_CTX_free(run);
    X509_STORE_free(store);
    return error;
}

START_TEST(a_name_outside_the_grammar_is_refused)
{
    static const struct {
        struct slice name;
        bool literal;
    } bad[] = {{{NULL, 0}, false},
               {{(const uint8_t *)"a\0b", 3}, false},
               {{(const uint8_t *)"A.test", 6}, false},
               {{(const uint8_t *)"*.test", 6}, false},
               {{(const uint8_t *)".test", 5}, false},
               {{(const uint8_t *)"a.test.", 7}, false},
               {{(const uint8_t *)"a b", 3}, false},
               {{(const uint8_t *)"\xc3\xa9.test", 7}, false},
               {{(const uint8_t *)NAME_253 "x", 254}, false},
               {{NULL, 0}, true},
               {{(const uint8_t *)"a.test", 6}, true},
               {{(const uint8_t *)"1.2.3", 5}, true},
               {{(const uint8_t *)"1.2.3.4.5", 9}, true}};
    X509 *x = NULL;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_msg(leaf_mint(&a, bad[i].name, bad[i].literal, clock_wall_ms(), &x) == FAULT_INVALID,
                      "name %zu got a leaf", i);
    ck_assert_ptr_null(x);
}
END_TEST

static const struct {
    const char *name, *other;
    bool literal;
} good[] = {{"a", "b", false},
            {"api.example.com", "example.com", false},
            {"_x.a-b.test", "a-b.test", false},
            {NAME_63 ".", NULL, false}, /* the dot is cut off below: 63 octets */
            {NAME_63 ".a", NAME_63 ".b", false},
            {NAME_63 "." NAME_63, "a", false},
            {NAME_253, "a", false},
            {"192.0.2.1", "192.0.2.2", true},
            {"2001:db8::1", "2001:db8::2", true}};

START_TEST(a_leaf_is_accepted_by_strict_rules_for_its_name_only)
{
    struct slice name = slice_text(good[_i].name);
    char text[300] = "";
    X509 *x;

    if (name.at[name.len - 1] == '.')
        name.len--;
    memcpy(text, name.at, name.len);
    ck_assert_int_eq(leaf_mint(&a, name, good[_i].literal, clock_wall_ms(), &x), FAULT_NONE);
    int got = verdict(x, a.cert, text, good[_i].literal);

    ck_assert_msg(got == X509_V_OK, "%s: %s", text, X509_verify_cert_error_string(got));
    if (good[_i].other)
        ck_assert_int_ne(verdict(x, a.cert, good[_i].other, good[_i].literal), X509_V_OK);
    X509_free(x);
}
END_TEST

START_TEST(a_leaf_has_the_profile)
{
    bool named = strlen(good[_i].name) <= 64;
    struct slice name = slice_text(good[_i].name);
    int days = 0, seconds = 0, critical = 0;
    X509 *x, *again;
    uint8_t *der = NULL;

    if (name.at[name.len - 1] == '.')
        name.len--;
    ck_assert_int_eq(leaf_mint(&a, name, good[_i].literal, clock_wall_ms(), &x), FAULT_NONE);
    int len = i2d_X509(x, &der);
    const uint8_t *at = der;

    again = d2i_X509(NULL, &at, len); /* as a client sees it */
    ck_assert_ptr_nonnull(again);
    ck_assert_int_eq(X509_get_version(again), X509_VERSION_3);
    ck_assert_int_eq(X509_check_ca(again), 0);
    ck_assert_uint_eq(X509_get_key_usage(again), X509v3_KU_DIGITAL_SIGNATURE);
    ck_assert_uint_eq(X509_get_extended_key_usage(again), XKU_SSL_SERVER);
    ck_assert_int_eq(
        ASN1_OCTET_STRING_cmp(X509_get0_authority_key_id(again), X509_get0_subject_key_id(a.cert)), 0);
    ck_assert_ptr_nonnull(X509_get0_subject_key_id(again));
    ck_assert_int_eq(X509_get_ext_count(again), 6);
    GENERAL_NAMES *names = X509_get_ext_d2i(again, NID_subject_alt_name, &critical, NULL);

    ck_assert_int_eq(sk_GENERAL_NAME_num(names), 1);
    ck_assert_int_eq(critical, !named);
    ck_assert_int_eq(X509_NAME_entry_count(X509_get_subject_name(again)), named);
    ck_assert_int_eq(ASN1_TIME_diff(&days, &seconds, X509_get0_notBefore(again), X509_get0_notAfter(again)),
                     1);
    ck_assert_int_eq(days * 86400 + seconds, LEAF_DAYS * 86400 + 3600);
    ck_assert_int_eq(X509_check_private_key(again, a.leaf_key), 1);
    GENERAL_NAMES_free(names);
    OPENSSL_free(der);
    X509_free(again);
    X509_free(x);
}
END_TEST

START_TEST(a_leaf_of_one_authority_is_nothing_to_another)
{
    struct authority b;
    char *b_pem;
    struct secret *b_key;
    X509 *x;

    ck_assert_int_eq(authority_new(SLICE("sb-1"), clock_wall_ms(), 30, &b_pem, &b_key), FAULT_NONE);
    ck_assert_int_eq(authority_open(slice_text(b_pem), b_key, &b), FAULT_NONE);
    ck_assert_int_eq(leaf_mint(&a, SLICE("api.test"), false, clock_wall_ms(), &x), FAULT_NONE);
    ck_assert_int_ne(verdict(x, b.cert, "api.test", false), X509_V_OK);
    ck_assert_int_ne(X509_verify(x, b.key), 1);
    X509_free(x);
    authority_close(&b);
    free(b_pem);
    secret_free(b_key);
}
END_TEST

START_TEST(a_leaf_never_outlives_its_authority)
{
    X509 *x;

    undraw();
    draw(1);
    ck_assert_int_eq(leaf_mint(&a, SLICE("api.test"), false, clock_wall_ms(), &x), FAULT_NONE);
    ck_assert_int_eq(ASN1_TIME_compare(X509_get0_notAfter(x), X509_get0_notAfter(a.cert)), 0);
    X509_free(x);
}
END_TEST

static int serial_cmp(const void *l, const void *r)
{
    return memcmp(l, r, 17);
}

START_TEST(a_thousand_leaves_have_a_thousand_serials)
{
    static uint8_t serial[MINTS][17];
    int64_t began = clock_mono_ms();

    for (size_t i = 0; i < MINTS; i++) {
        X509 *x;

        ck_assert_int_eq(leaf_mint(&a, SLICE("api.example.com"), false, clock_wall_ms(), &x), FAULT_NONE);
        const ASN1_INTEGER *n = X509_get0_serialNumber(x);

        ck_assert_int_eq(ASN1_STRING_length(n), 17);
        memcpy(serial[i], ASN1_STRING_get0_data(n), 17);
        X509_free(x);
    }
    printf("leaf_mint us=%.1f\n", (double)(clock_mono_ms() - began) * 1000 / MINTS);
    qsort(serial, MINTS, 17, serial_cmp);
    for (size_t i = 1; i < MINTS; i++)
        ck_assert_msg(memcmp(serial[i - 1], serial[i], 17) != 0, "a serial came twice");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("leaf");
    TCase *tc = tcase_create("leaf");
    SRunner *runner = srunner_create(s);
    int goods = (int)(sizeof good / sizeof *good);

    tcase_add_checked_fixture(tc, draw_long, undraw);
    tcase_add_test(tc, a_name_outside_the_grammar_is_refused);
    tcase_add_loop_test(tc, a_leaf_is_accepted_by_strict_rules_for_its_name_only, 0, goods);
    tcase_add_loop_test(tc, a_leaf_has_the_profile, 0, goods);
    tcase_add_test(tc, a_leaf_of_one_authority_is_nothing_to_another);
    tcase_add_test(tc, a_leaf_never_outlives_its_authority);
    tcase_add_test(tc, a_thousand_leaves_have_a_thousand_serials);
    suite_add_tcase(s, tc);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);

    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

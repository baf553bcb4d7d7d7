#include "authority.h"
#include "clock.h"
#include <check.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sodium.h>
#include <stdlib.h>

#define DAYS 30

static char *pem;
static struct secret *key;

static void draw(void)
{
    ck_assert_int_eq(secret_arena_open(1 << 20), FAULT_NONE);
    ck_assert_int_eq(authority_new(SLICE("sb-1"), clock_wall_ms(), DAYS, &pem, &key), FAULT_NONE);
}

static void undraw(void)
{
    free(pem);
    secret_free(key);
}

static enum fault copy_out(void *cookie, struct slice value)
{
    memcpy(cookie, value.at, value.len);
    return FAULT_NONE;
}

START_TEST(an_id_that_is_not_printable_is_refused)
{
    static const struct slice bad[] = {SLICE_NONE,
                                       {(const uint8_t *)"a\0b", 3},
                                       {(const uint8_t *)"a b", 3},
                                       {(const uint8_t *)"\xc3\xa9", 2},
                                       {(const uint8_t *)"a\n", 2}};
    char *text = NULL;
    struct secret *s = NULL;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_msg(authority_new(bad[i], 0, DAYS, &text, &s) == FAULT_INVALID, "id %zu was taken", i);
    ck_assert_ptr_null(text);
    ck_assert_ptr_null(s);
}
END_TEST

START_TEST(a_certificate_that_is_none_is_refused)
{
    static const char *const bad[] = {"", "x", "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n",
                                      "-----BEGIN CERTIFICATE-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: "
                                      "AES-128-CBC,00112233445566778899AABBCCDDEEFF\n"
                                      "\nAAAA\n-----END CERTIFICATE-----\n"};
    struct authority a = {0};

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_msg(authority_open(slice_text(bad[i]), key, &a) == FAULT_INVALID, "text %zu was taken", i);
    ck_assert_ptr_null(a.cert);
}
END_TEST

START_TEST(a_key_of_another_authority_is_refused)
{
    char *other_pem;
    struct secret *other;
    struct authority a = {0};

    ck_assert_int_eq(authority_new(SLICE("sb-1"), clock_wall_ms(), DAYS, &other_pem, &other), FAULT_NONE);
    ck_assert_int_eq(authority_open(slice_text(pem), other, &a), FAULT_INVALID);
    ck_assert_int_eq(authority_open(slice_text(other_pem), key, &a), FAULT_INVALID);
    ck_assert_int_eq(authority_open(slice_text(other_pem), other, &a), FAULT_NONE);
    authority_close(&a);
    free(other_pem);
    secret_free(other);
}
END_TEST

/* Every octet of the key matters: any one changed, or the key cut or lengthened, and it does not open. */
START_TEST(a_key_with_one_bit_changed_is_refused)
{
    uint8_t der[256];
    size_t len = secret_len(key);
    struct authority a = {0};

    ck_assert_uint_lt(len + 1, sizeof der);
    ck_assert_int_eq(secret_lend(key, copy_out, der), FAULT_NONE);
    for (size_t i = 0; i <= len + 1; i++) {
        struct secret *bent;
        size_t bent_len = i < len ? len : i == len ? len - 1 : len + 1;

        if (i < len)
            der[i] ^= 1;
        ck_assert_int_eq(secret_new(slice_of(der, bent_len), &bent), FAULT_NONE);
        ck_assert_msg(authority_open(slice_text(pem), bent, &a) == FAULT_INVALID, "octet %zu does not matter",
                      i);
        secret_free(bent);
        if (i < len)
            der[i] ^= 1;
    }
    sodium_memzero(der, sizeof der);
}
END_TEST

START_TEST(the_key_is_what_others_call_pkcs8)
{
    uint8_t der[256];
    const uint8_t *at = der;
    EVP_PKEY *read;
    struct authority a;

    ck_assert_int_eq(secret_lend(key, copy_out, der), FAULT_NONE);
    read = d2i_AutoPrivateKey(NULL, &at, (long)secret_len(key));
    ck_assert_ptr_nonnull(read);
    ck_assert_uint_eq((size_t)(at - der), secret_len(key));
    ck_assert_int_eq(authority_open(slice_text(pem), key, &a), FAULT_NONE);
    ck_assert_int_eq(EVP_PKEY_eq(read, a.key), 1);
    ck_assert_int_eq(X509_check_private_key(a.cert, read), 1);
    EVP_PKEY_free(read);
    authority_close(&a);
    authority_close(&a);
}
END_TEST

START_TEST(the_certificate_has_the_profile)
{
    struct authority a;
    int days = 0, seconds = 0;
    char cn[80];

    ck_assert_int_eq(authority_open(slice_text(pem), key, &a), FAULT_NONE);
    X509 *x = a.cert;

    ck_assert_int_eq(X509_get_version(x), X509_VERSION_3);
    ck_assert_int_eq(X509_check_ca(x), 1);
    ck_assert_int_eq(X509_get_pathlen(x), 0);
    ck_assert_uint_eq(X509_get_key_usage(x), X509v3_KU_KEY_CERT_SIGN);
    ck_assert_int_eq(
        X509_EXTENSION_get_critical(X509_get_ext(x, X509_get_ext_by_NID(x, NID_basic_constraints, -1))), 1);
    ck_assert_int_eq(X509_EXTENSION_get_critical(X509_get_ext(x, X509_get_ext_by_NID(x, NID_key_usage, -1))),
                     1);
    ck_assert_ptr_nonnull(X509_get0_subject_key_id(x));
    ck_assert_int_eq(ASN1_STRING_length(X509_get0_serialNumber(x)), 17);
    ck_assert_int_eq(ASN1_TIME_diff(&days, &seconds, X509_get0_notBefore(x), X509_get0_notAfter(x)), 1);
    ck_assert_int_eq(days * 86400 + seconds, DAYS * 86400 + 3600);
    ck_assert_int_lt(X509_cmp_time(X509_get0_notBefore(x), NULL), 0);
    X509_NAME_get_text_by_NID(X509_get_subject_name(x), NID_commonName, cn, sizeof cn);
    ck_assert_str_eq(cn, "osb sandbox sb-1");
    ck_assert_int_eq(X509_verify(x, a.key), 1);
    authority_close(&a);
}
END_TEST

START_TEST(a_long_id_is_cut_in_the_name_and_an_old_ca_is_readable)
{
    char id[200], cn[80], *text;
    struct secret *s;
    struct authority a;

    memset(id, 'x', sizeof id);
    ck_assert_int_eq(authority_new(slice_of(id, sizeof id), INT64_C(2600000000000), 36500, &text, &s),
                     FAULT_NONE);
    ck_assert_int_eq(authority_open(slice_text(text), s, &a), FAULT_NONE);
    ck_assert_int_eq(X509_NAME_get_text_by_NID(X509_get_subject_name(a.cert), NID_commonName, cn, sizeof cn),
                     64);
    ck_assert_int_eq(ASN1_STRING_type(X509_get0_notAfter(a.cert)), V_ASN1_GENERALIZEDTIME);
    authority_close(&a);
    free(text);
    secret_free(s);
}
END_TEST

START_TEST(the_private_key_is_not_left_behind)
{
    size_t before = secret_arena_used();
    struct authority a;

    for (int i = 0; i < 50; i++) {
        ck_assert_int_eq(authority_open(slice_text(pem), key, &a), FAULT_NONE);
        authority_close(&a);
    }
    ck_assert_uint_eq(secret_arena_used(), before);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("authority");
    TCase *tc = tcase_create("authority");
    SRunner *runner = srunner_create(s);

    tcase_add_checked_fixture(tc, draw, undraw);
    tcase_add_test(tc, an_id_that_is_not_printable_is_refused);
    tcase_add_test(tc, a_certificate_that_is_none_is_refused);
    tcase_add_test(tc, a_key_of_another_authority_is_refused);
    tcase_add_test(tc, a_key_with_one_bit_changed_is_refused);
    tcase_add_test(tc, the_key_is_what_others_call_pkcs8);
    tcase_add_test(tc, the_certificate_has_the_profile);
    tcase_add_test(tc, a_long_id_is_cut_in_the_name_and_an_old_ca_is_readable);
    tcase_add_test(tc, the_private_key_is_not_left_behind);
    suite_add_tcase(s, tc);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);

    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

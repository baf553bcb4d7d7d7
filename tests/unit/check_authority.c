#include "authority.h"
#include "clock.h"
#include "leaf.h"
#include <check.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sodium.h>
#include <stdlib.h>

#define DAYS 30

/* Where the key's PKCS#8 holds the private number. */
#define SCALAR_AT     36
#define SCALAR_OCTETS 32
#define SPKI_OCTETS   91

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

/*
 * Every octet of the key matters: any one changed, or the key cut or lengthened, and it does not open. Not so the
 * private number, which no cheap look can judge; the next test says why that does no harm.
 */
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

        if (i == SCALAR_AT)
            i += SCALAR_OCTETS;
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

/* One bit off, nothing, one, the order of the group (FIPS 186-4 D.1.2.3) and the largest that fits. */
START_TEST(a_private_number_of_another_key_signs_nothing_that_verifies)
{
    static const uint8_t order[SCALAR_OCTETS] = {
        0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51};
    uint8_t der[256];
    struct secret *bent;
    struct authority a = {0};
    X509 *leaf = NULL;

    ck_assert_int_eq(secret_lend(key, copy_out, der), FAULT_NONE);
    if (_i == 0)
        der[SCALAR_AT] ^= 1;
    else
        memset(der + SCALAR_AT, _i == 4 ? 0xff : 0, SCALAR_OCTETS);
    if (_i == 2)
        der[SCALAR_AT + SCALAR_OCTETS - 1] = 1;
    if (_i == 3)
        memcpy(der + SCALAR_AT, order, sizeof order);
    ck_assert_int_eq(secret_new(slice_of(der, secret_len(key)), &bent), FAULT_NONE);
    if (authority_open(slice_text(pem), bent, &a) == FAULT_NONE) {
        if (leaf_mint(&a, SLICE("api.test"), false, clock_wall_ms(), &leaf) == FAULT_NONE)
            ck_assert_int_ne(X509_verify(leaf, X509_get0_pubkey(a.cert)), 1);
        X509_free(leaf);
        authority_close(&a);
    }
    secret_free(bent);
    sodium_memzero(der, sizeof der);
}
END_TEST

/* --- certificates ----------------------------------------------------------------------------------------- */

static size_t cert_der(const char *text, uint8_t der[static 1024])
{
    BIO *in = BIO_new_mem_buf(text, -1);
    char *name, *header;
    uint8_t *held;
    long len;

    ck_assert_int_eq(PEM_read_bio(in, &name, &header, &held, &len), 1);
    ck_assert_int_le(len, 1024);
    memcpy(der, held, (size_t)len);
    OPENSSL_free(name);
    OPENSSL_free(header);
    OPENSSL_free(held);
    BIO_free(in);
    return (size_t)len;
}

static enum fault opens_text(struct slice text)
{
    struct authority a = {0};
    enum fault fault = authority_open(text, key, &a);

    authority_close(&a);
    return fault;
}

static enum fault opens(const uint8_t *der, size_t len)
{
    BIO *out = BIO_new(BIO_s_mem());
    char *at;

    ck_assert_int_gt(PEM_write_bio(out, "CERTIFICATE", "", der, (long)len), 0);
    long text_len = BIO_get_mem_data(out, &at);
    enum fault fault = opens_text(slice_of(at, (size_t)text_len));

    BIO_free(out);
    return fault;
}

static size_t spki_at(const uint8_t *der, size_t len)
{
    static const uint8_t head[] = {0x30, 0x59, 0x30, 0x13, 0x06, 0x07};
    const uint8_t *at = memmem(der, len, head, sizeof head);

    ck_assert_ptr_nonnull(at);
    return (size_t)(at - der);
}

START_TEST(every_octet_of_the_public_key_matters)
{
    uint8_t der[1024];
    size_t len = cert_der(pem, der), at = spki_at(der, len);

    ck_assert_int_eq(opens(der, len), FAULT_NONE);
    for (size_t i = at; i < at + SPKI_OCTETS; i++)
        for (int bit = 0; bit < 8; bit++) {
            der[i] ^= (uint8_t)(1 << bit);
            ck_assert_msg(opens(der, len) == FAULT_INVALID, "octet %zu does not matter", i - at);
            der[i] ^= (uint8_t)(1 << bit);
        }
}
END_TEST

START_TEST(a_certificate_of_another_length_is_refused)
{
    uint8_t der[1024] = {0};
    size_t len = cert_der(pem, der);

    ck_assert_uint_le(len + len, sizeof der);
    for (size_t cut = 1; cut < len; cut++)
        ck_assert_msg(opens(der, cut) == FAULT_INVALID, "%zu octets were enough", cut);
    ck_assert_int_eq(opens(der, len + 1), FAULT_INVALID);
    memcpy(der + len, der, 100); /* another one's beginning, and all of it */
    ck_assert_int_eq(opens(der, len + 100), FAULT_INVALID);
    memcpy(der + len, der, len);
    ck_assert_int_eq(opens(der, len + len), FAULT_INVALID);
}
END_TEST

START_TEST(text_around_the_certificate_is_refused)
{
    static const struct {
        const char *before, *behind;
    } around[] = {{"x\n", ""}, {"\n", ""}, {" ", ""}, {"", "\n"}, {"", "x"}, {"", NULL}, {NULL, ""}};
    char text[4096];

    for (size_t i = 0; i < sizeof around / sizeof *around; i++) {
        snprintf(text, sizeof text, "%s%s%s", around[i].before ? around[i].before : pem, pem,
                 around[i].behind ? around[i].behind : pem);
        ck_assert_msg(opens_text(slice_text(text)) == FAULT_INVALID, "row %zu was taken", i);
    }
    for (size_t len = 0; len < strlen(pem); len++)
        ck_assert_msg(opens_text(slice_of(pem, len)) == FAULT_INVALID, "%zu octets were enough", len);
}
END_TEST

static void extension_set(X509 *x, int nid, const char *text)
{
    X509V3_CTX around;
    int old = X509_get_ext_by_NID(x, nid, -1);

    X509_EXTENSION_free(X509_delete_ext(x, old));
    if (!text)
        return;
    X509V3_set_ctx(&around, x, x, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &around, nid, text);

    ck_assert_int_eq(X509_add_ext(x, e, -1), 1);
    X509_EXTENSION_free(e);
}

/* As ours but for one thing. */
static const struct {
    const char *what, *text;
    int nid, bits; /* of RSA; 1: another curve */
    enum fault fault;
} other[] = {
    {"nothing else", "critical,CA:TRUE,pathlen:0", NID_basic_constraints, 0, FAULT_NONE},
    {"no CA", "critical,CA:FALSE", NID_basic_constraints, 0, FAULT_INVALID},
    {"no basic constraints", NULL, NID_basic_constraints, 0, FAULT_INVALID},
    {"may not sign certificates", "critical,digitalSignature", NID_key_usage, 0, FAULT_INVALID},
    {"no key id", NULL, NID_subject_key_identifier, 0, FAULT_INVALID},
    {"a short key id", "01:02:03", NID_subject_key_identifier, 0, FAULT_INVALID},
    {"another curve", "hash", NID_subject_key_identifier, 1, FAULT_INVALID},
    {"RSA", "hash", NID_subject_key_identifier, 1024, FAULT_INVALID},
};

START_TEST(a_certificate_of_another_profile_is_refused)
{
    struct authority a;
    uint8_t *der = NULL;

    ck_assert_int_eq(authority_open(slice_text(pem), key, &a), FAULT_NONE);
    X509 *x = X509_dup(a.cert);
    EVP_PKEY *of = other[_i].bits == 0 ? NULL : other[_i].bits == 1 ? EVP_EC_gen("P-384") : EVP_RSA_gen(1024);

    ck_assert_int_eq(X509_set_pubkey(x, of ? of : a.key), 1);
    extension_set(x, other[_i].nid, other[_i].text);
    ck_assert_int_gt(X509_sign(x, of ? of : a.key, EVP_sha256()), 0);
    int len = i2d_X509(x, &der);

    ck_assert_msg(opens(der, (size_t)len) == other[_i].fault, "%s", other[_i].what);
    OPENSSL_free(der);
    EVP_PKEY_free(of);
    X509_free(x);
    authority_close(&a);
}
END_TEST

/* What is written as DER there is what OpenSSL makes of these words. */
START_TEST(the_mould_has_the_extensions_that_openssl_would_write)
{
    static const struct {
        int nid;
        const char *text;
    } want[] = {{NID_basic_constraints, "critical,CA:FALSE"},
                {NID_key_usage, "critical,digitalSignature"},
                {NID_ext_key_usage, "serverAuth"},
                {NID_subject_key_identifier, "hash"},
                {NID_authority_key_identifier, "keyid:always"}};
    struct authority a;
    X509V3_CTX around;

    ck_assert_int_eq(authority_open(slice_text(pem), key, &a), FAULT_NONE);
    X509V3_set_ctx(&around, a.cert, a.leaf_mould, NULL, NULL, 0);
    ck_assert_int_eq(X509_get_ext_count(a.leaf_mould), sizeof want / sizeof *want);
    for (int i = 0; i < X509_get_ext_count(a.leaf_mould); i++) {
        X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &around, want[i].nid, want[i].text);
        uint8_t *ours = NULL, *theirs = NULL;
        int len = i2d_X509_EXTENSION(X509_get_ext(a.leaf_mould, i), &ours);

        ck_assert_int_eq(len, i2d_X509_EXTENSION(e, &theirs));
        ck_assert_mem_eq(ours, theirs, (size_t)len);
        OPENSSL_free(ours);
        OPENSSL_free(theirs);
        X509_EXTENSION_free(e);
    }
    authority_close(&a);
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
    tcase_add_loop_test(tc, a_private_number_of_another_key_signs_nothing_that_verifies, 0, 5);
    tcase_add_test(tc, every_octet_of_the_public_key_matters);
    tcase_add_test(tc, a_certificate_of_another_length_is_refused);
    tcase_add_test(tc, text_around_the_certificate_is_refused);
    tcase_add_loop_test(tc, a_certificate_of_another_profile_is_refused, 0, sizeof other / sizeof *other);
    tcase_add_test(tc, the_mould_has_the_extensions_that_openssl_would_write);
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

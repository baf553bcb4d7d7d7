#include "authority.h"
#include "diag.h"
#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sodium.h>
#include <stdlib.h>

#define CN_MARK        "osb sandbox "
#define CN_OCTETS      64 /* ub-common-name, RFC 5280 appendix A */
#define PEM_OCTETS_MAX 65536
#define BACKDATED_S    3600

#define SCALAR_OCTETS 32
#define POINT_OCTETS  65

/*
 * PKCS#8 of a P-256 key (RFC 5208, RFC 5915) has one shape: two runs of fixed octets with the scalar and the
 * point behind them. Reading and writing it here keeps the scalar out of OpenSSL's coders, whose buffers are
 * freed without a wipe.
 */
static const uint8_t pkcs8_head[] = {0x30, 0x81, 0x87, 0x02, 0x01, 0x00, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86,
                                     0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d,
                                     0x03, 0x01, 0x07, 0x04, 0x6d, 0x30, 0x6b, 0x02, 0x01, 0x01, 0x04, 0x20};
static const uint8_t pkcs8_middle[] = {0xa1, 0x44, 0x03, 0x42, 0x00};

#define SCALAR_AT    sizeof pkcs8_head
#define MIDDLE_AT    (SCALAR_AT + SCALAR_OCTETS)
#define POINT_AT     (MIDDLE_AT + sizeof pkcs8_middle)
#define PKCS8_OCTETS (POINT_AT + POINT_OCTETS)

enum fault authority_fault(const char *doing)
{
    const char *reason = ERR_reason_error_string(ERR_peek_error());

    DIAG(ERROR, "OpenSSL failed", DIAG_TEXT("doing", slice_text(doing)),
         DIAG_TEXT("reason", slice_text(reason)));
    ERR_clear_error();
    return FAULT_SYSTEM;
}

/* OSSL_PARAM takes integers in the machine's own order. */
static void scalar_turn(uint8_t *scalar)
{
    if (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__)
        return;
    for (size_t i = 0; i < SCALAR_OCTETS / 2; i++) {
        uint8_t c = scalar[i];

        scalar[i] = scalar[SCALAR_OCTETS - 1 - i];
        scalar[SCALAR_OCTETS - 1 - i] = c;
    }
}

static bool point_of(EVP_PKEY *key, uint8_t *point)
{
    size_t len = 0;

    return EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, point, POINT_OCTETS, &len) == 1 &&
           len == POINT_OCTETS && point[0] == POINT_CONVERSION_UNCOMPRESSED;
}

static enum fault pkcs8_write(void *cookie, uint8_t *into, size_t len)
{
    EVP_PKEY *key = cookie;
    OSSL_PARAM ask[] = {OSSL_PARAM_construct_BN(OSSL_PKEY_PARAM_PRIV_KEY, into + SCALAR_AT, SCALAR_OCTETS),
                        OSSL_PARAM_construct_end()};

    if (len != PKCS8_OCTETS)
        return FAULT_INVALID;
    memcpy(into, pkcs8_head, sizeof pkcs8_head);
    memcpy(into + MIDDLE_AT, pkcs8_middle, sizeof pkcs8_middle);
    if (EVP_PKEY_get_params(key, ask) != 1 || ask[0].return_size != SCALAR_OCTETS)
        return authority_fault("reading a CA's key");
    scalar_turn(into + SCALAR_AT);
    if (!point_of(key, into + POINT_AT))
        return authority_fault("reading a CA's public key");
    return FAULT_NONE;
}

/* From octets to a key object; the scalar may be absent, where only the public half is wanted. */
static EVP_PKEY *key_make(uint8_t *native_scalar, uint8_t *point)
{
    char group[] = SN_X9_62_prime256v1;
    OSSL_PARAM all[] = {OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0),
                        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, POINT_OCTETS),
                        OSSL_PARAM_construct_end(), OSSL_PARAM_construct_end()};
    EVP_PKEY_CTX *maker = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    EVP_PKEY *key = NULL;

    if (native_scalar)
        all[2] = OSSL_PARAM_construct_BN(OSSL_PKEY_PARAM_PRIV_KEY, native_scalar, SCALAR_OCTETS);
    if (!maker || EVP_PKEY_fromdata_init(maker) != 1 ||
        EVP_PKEY_fromdata(maker, &key, native_scalar ? EVP_PKEY_KEYPAIR : EVP_PKEY_PUBLIC_KEY, all) != 1)
        key = NULL;
    EVP_PKEY_CTX_free(maker);
    return key;
}

static bool key_is_pair(EVP_PKEY *key)
{
    EVP_PKEY_CTX *checker = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
    bool pair = checker && EVP_PKEY_pairwise_check(checker) == 1;

    EVP_PKEY_CTX_free(checker);
    return pair;
}

static enum fault pkcs8_read(void *cookie, struct slice value)
{
    EVP_PKEY **key = cookie;
    uint8_t scalar[SCALAR_OCTETS], point[POINT_OCTETS];

    if (value.len != PKCS8_OCTETS || memcmp(value.at, pkcs8_head, sizeof pkcs8_head) != 0 ||
        memcmp(value.at + MIDDLE_AT, pkcs8_middle, sizeof pkcs8_middle) != 0)
        return FAULT_INVALID;
    memcpy(scalar, value.at + SCALAR_AT, sizeof scalar);
    memcpy(point, value.at + POINT_AT, sizeof point);
    scalar_turn(scalar);
    *key = key_make(scalar, point);
    sodium_memzero(scalar, sizeof scalar);
    if (*key && key_is_pair(*key))
        return FAULT_NONE;
    EVP_PKEY_free(*key);
    *key = NULL;
    ERR_clear_error();
    return FAULT_INVALID;
}

bool authority_serial(X509 *x)
{
    uint8_t serial[17] = {1}; /* the leading 1 fixes the length: never zero, never negative */

    randombytes_buf(serial + 1, sizeof serial - 1);
    return ASN1_STRING_set(X509_get_serialNumber(x), serial, sizeof serial) == 1;
}

bool authority_dates(X509 *x, int64_t now_ms, unsigned days)
{
    time_t now = (time_t)(now_ms / 1000);

    return days <= INT_MAX && ASN1_TIME_adj(X509_getm_notBefore(x), now, 0, -BACKDATED_S) &&
           ASN1_TIME_adj(X509_getm_notAfter(x), now, (int)days, 0);
}

static bool extension_add(X509 *x, X509 *issuer, int nid, const char *text)
{
    X509V3_CTX around;

    X509V3_set_ctx(&around, issuer, x, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &around, nid, text);
    bool added = e && X509_add_ext(x, e, -1) == 1;

    X509_EXTENSION_free(e);
    return added;
}

static bool subject_set(X509 *x, struct slice id)
{
    uint8_t cn[CN_OCTETS];
    size_t mark = sizeof CN_MARK - 1, rest = id.len < sizeof cn - mark ? id.len : sizeof cn - mark;

    memcpy(cn, CN_MARK, mark);
    memcpy(cn + mark, id.at, rest);
    return X509_NAME_add_entry_by_NID(X509_get_subject_name(x), NID_commonName, V_ASN1_UTF8STRING, cn,
                                      (int)(mark + rest), -1, 0) == 1;
}

static X509 *cert_make(struct slice id, int64_t now_ms, unsigned days, EVP_PKEY *key)
{
    X509 *x = X509_new();

    if (x && X509_set_version(x, X509_VERSION_3) == 1 && authority_serial(x) &&
        authority_dates(x, now_ms, days) && subject_set(x, id) &&
        X509_set_issuer_name(x, X509_get_subject_name(x)) == 1 && X509_set_pubkey(x, key) == 1 &&
        extension_add(x, x, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
        extension_add(x, x, NID_key_usage, "critical,keyCertSign") &&
        extension_add(x, x, NID_subject_key_identifier, "hash") && X509_sign(x, key, EVP_sha256()) > 0)
        return x;
    X509_free(x);
    return NULL;
}

static char *cert_pem(X509 *x)
{
    BIO *out = BIO_new(BIO_s_mem());
    char *at = NULL, *pem = NULL;

    if (out && PEM_write_bio_X509(out, x) == 1) {
        long len = BIO_get_mem_data(out, &at);

        pem = len > 0 ? strndup(at, (size_t)len) : NULL;
    }
    BIO_free(out);
    return pem;
}

enum fault authority_new(struct slice id, int64_t now_ms, unsigned days, char **pem, struct secret **key)
{
    enum fault fault = FAULT_NONE;

    for (size_t i = 0; i < id.len; i++)
        if (id.at[i] <= ' ' || id.at[i] >= 0x7f)
            return FAULT_INVALID;
    if (id.len == 0)
        return FAULT_INVALID;
    EVP_PKEY *drawn = EVP_EC_gen(SN_X9_62_prime256v1);
    X509 *cert = drawn ? cert_make(id, now_ms, days, drawn) : NULL;
    char *text = cert ? cert_pem(cert) : NULL;

    if (!text) {
        fault = authority_fault("making a CA");
        goto drop_key;
    }
    fault = secret_blank(PKCS8_OCTETS, key);
    if (fault != FAULT_NONE)
        goto drop_text;
    fault = secret_fill(*key, pkcs8_write, drawn);
    if (fault == FAULT_NONE) {
        *pem = text;
        goto drop_key;
    }
    secret_free(*key);
    *key = NULL;
drop_text:
    free(text);
drop_key:
    X509_free(cert);
    EVP_PKEY_free(drawn);
    return fault;
}

/*
 * The public half in the older of OpenSSL's two forms (d2i_PublicKey turns a key object into it):
 * X509_set_pubkey writes that one out directly, where the newer form goes through an encoder and a decoder,
 * 140 us a certificate.
 */
static EVP_PKEY *key_public(EVP_PKEY *key)
{
    uint8_t point[POINT_OCTETS];
    const uint8_t *at = point;

    if (!point_of(key, point))
        return NULL;
    EVP_PKEY *half = key_make(NULL, point);

    if (half && d2i_PublicKey(EVP_PKEY_EC, &half, &at, sizeof point))
        return half;
    EVP_PKEY_free(half);
    return NULL;
}

static X509 *mould_make(X509 *cert, EVP_PKEY *leaf_key)
{
    EVP_PKEY *half = key_public(leaf_key);
    X509 *x = half ? X509_new() : NULL;

    if (x && X509_set_issuer_name(x, X509_get_subject_name(cert)) == 1 && X509_set_pubkey(x, half) == 1 &&
        extension_add(x, cert, NID_basic_constraints, "critical,CA:FALSE") &&
        extension_add(x, cert, NID_key_usage, "critical,digitalSignature") &&
        extension_add(x, cert, NID_ext_key_usage, "serverAuth") &&
        extension_add(x, cert, NID_subject_key_identifier, "hash") &&
        extension_add(x, cert, NID_authority_key_identifier, "keyid:always")) {
        EVP_PKEY_free(half);
        return x;
    }
    EVP_PKEY_free(half);
    X509_free(x);
    return NULL;
}

/* A PEM header can ask for a password; nobody is there to be asked. */
static int password_none(char *into, int room, int writing, void *cookie)
{
    (void)into, (void)room, (void)writing, (void)cookie;
    return -1;
}

static X509 *pem_read(struct slice pem)
{
    if (pem.len == 0 || pem.len > PEM_OCTETS_MAX)
        return NULL;
    BIO *in = BIO_new_mem_buf(pem.at, (int)pem.len);
    X509 *x = in ? PEM_read_bio_X509(in, NULL, password_none, NULL) : NULL;

    BIO_free(in);
    ERR_clear_error();
    return x;
}

enum fault authority_open(struct slice pem, const struct secret *key, struct authority *out)
{
    struct authority a = {.cert = pem_read(pem)};
    enum fault fault = a.cert ? secret_lend(key, pkcs8_read, &a.key) : FAULT_INVALID;

    if (fault != FAULT_NONE)
        goto close_it;
    fault = FAULT_INVALID;
    if (X509_check_private_key(a.cert, a.key) != 1 || X509_check_ca(a.cert) != 1 ||
        !X509_get0_subject_key_id(a.cert))
        goto close_it;
    fault = FAULT_SYSTEM;
    a.leaf_key = EVP_EC_gen(SN_X9_62_prime256v1);
    a.leaf_mould = a.leaf_key ? mould_make(a.cert, a.leaf_key) : NULL;
    if (!a.leaf_mould) {
        fault = authority_fault("opening a CA");
        goto close_it;
    }
    *out = a;
    return FAULT_NONE;
close_it:
    ERR_clear_error();
    authority_close(&a);
    return fault;
}

void authority_close(struct authority *a)
{
    X509_free(a->leaf_mould);
    EVP_PKEY_free(a->leaf_key);
    EVP_PKEY_free(a->key);
    X509_free(a->cert);
    *a = (struct authority){0};
}

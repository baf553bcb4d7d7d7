#include "authority.h"
#include "diag.h"
#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/provider.h>
#include <openssl/x509v3.h>
#include <sodium.h>
#include <stdlib.h>

#define CN_MARK         "osb sandbox "
#define CN_OCTETS       64 /* ub-common-name, RFC 5280 appendix A */
#define PEM_HEAD        "-----BEGIN CERTIFICATE-----\n"
#define PEM_FOOT        "-----END CERTIFICATE-----\n"
#define CERT_OCTETS_MAX 1024 /* of its base64 too; with the longest name it is half of that */
#define BACKDATED_S     3600

/* The DER of the curve, and what is before the point in a certificate (RFC 5480). */
static const uint8_t p256[] = {0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};
static const uint8_t spki_head[] = {0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48,
                                    0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
                                    0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00};

#define SCALAR_OCTETS 32
#define POINT_OCTETS  65
#define KEY_ID_OCTETS 20 /* SHA-1, RFC 5280 s.4.2.1.2 */

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

static EVP_PKEY *key_pair(uint8_t *native_scalar, uint8_t *point)
{
    char group[] = SN_X9_62_prime256v1;
    OSSL_PARAM all[] = {OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0),
                        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, POINT_OCTETS),
                        OSSL_PARAM_construct_BN(OSSL_PKEY_PARAM_PRIV_KEY, native_scalar, SCALAR_OCTETS),
                        OSSL_PARAM_construct_end()};
    EVP_PKEY_CTX *maker = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    EVP_PKEY *key = NULL;

    if (!maker || EVP_PKEY_fromdata_init(maker) != 1 ||
        EVP_PKEY_fromdata(maker, &key, EVP_PKEY_KEYPAIR, all) != 1)
        key = NULL;
    EVP_PKEY_CTX_free(maker);
    return key;
}

/* A new key on the curve of ${like}: to make the curve anew would cost as much again. */
static EVP_PKEY *key_draw(EVP_PKEY *like)
{
    EVP_PKEY_CTX *maker = EVP_PKEY_CTX_new_from_pkey(NULL, like, NULL);
    EVP_PKEY *key = NULL;

    if (!maker || EVP_PKEY_keygen_init(maker) != 1 || EVP_PKEY_generate(maker, &key) != 1)
        key = NULL;
    EVP_PKEY_CTX_free(maker);
    return key;
}

/*
 * A public key in the older of OpenSSL's two forms: X509_set_pubkey writes that one out directly, where the newer
 * form goes through an encoder and a decoder, 140 us a certificate. To make the curve costs five times what the
 * key does, so it is kept.
 */
static EVP_PKEY *key_public(const uint8_t *point)
{
    static EVP_PKEY *curve;
    const uint8_t *curve_at = p256;

    if (!curve)
        curve = d2i_KeyParams(EVP_PKEY_EC, NULL, &curve_at, sizeof p256);
    EVP_PKEY *key = curve ? EVP_PKEY_new() : NULL;

    if (key && EVP_PKEY_copy_parameters(key, curve) == 1 &&
        d2i_PublicKey(EVP_PKEY_EC, &key, &point, POINT_OCTETS))
        return key;
    EVP_PKEY_free(key);
    return NULL;
}

/* What a CA's PKCS#8 holds. */
struct pair {
    EVP_PKEY *key;
    uint8_t point[POINT_OCTETS];
};

static enum fault pkcs8_read(void *cookie, struct slice value)
{
    struct pair *pair = cookie;
    uint8_t scalar[SCALAR_OCTETS];

    if (value.len != PKCS8_OCTETS || memcmp(value.at, pkcs8_head, sizeof pkcs8_head) != 0 ||
        memcmp(value.at + MIDDLE_AT, pkcs8_middle, sizeof pkcs8_middle) != 0)
        return FAULT_INVALID;
    memcpy(scalar, value.at + SCALAR_AT, sizeof scalar);
    memcpy(pair->point, value.at + POINT_AT, sizeof pair->point);
    scalar_turn(scalar);
    pair->key = key_pair(scalar, pair->point);
    sodium_memzero(scalar, sizeof scalar);
    return pair->key ? FAULT_NONE : FAULT_INVALID;
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

static bool extension_put(X509 *x, int nid, bool critical, struct slice der)
{
    ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
    X509_EXTENSION *e = NULL;
    bool added = false;

    if (value && ASN1_OCTET_STRING_set(value, der.at, (int)der.len) == 1)
        e = X509_EXTENSION_create_by_NID(NULL, nid, critical, value);
    added = e && X509_add_ext(x, e, -1) == 1;
    X509_EXTENSION_free(e);
    ASN1_OCTET_STRING_free(value);
    return added;
}

/* As DER: from text OpenSSL takes twice as long. */
static bool leaf_extensions(X509 *x, const ASN1_OCTET_STRING *issuer_id)
{
    static const uint8_t no_ca[] = {0x30, 0x00}, digital_signature[] = {0x03, 0x02, 0x07, 0x80},
                         server_auth[] = {0x30, 0x0a, 0x06, 0x08, 0x2b, 0x06,
                                          0x01, 0x05, 0x05, 0x07, 0x03, 0x01};
    uint8_t id[2 + KEY_ID_OCTETS] = {0x04, KEY_ID_OCTETS};
    uint8_t by[4 + KEY_ID_OCTETS] = {0x30, 2 + KEY_ID_OCTETS, 0x80, KEY_ID_OCTETS};
    unsigned id_len = 0;

    memcpy(by + 4, ASN1_STRING_get0_data(issuer_id), KEY_ID_OCTETS);
    return X509_pubkey_digest(x, EVP_sha1(), id + 2, &id_len) == 1 && id_len == KEY_ID_OCTETS &&
           extension_put(x, NID_basic_constraints, true, slice_of(no_ca, sizeof no_ca)) &&
           extension_put(x, NID_key_usage, true, slice_of(digital_signature, sizeof digital_signature)) &&
           extension_put(x, NID_ext_key_usage, false, slice_of(server_auth, sizeof server_auth)) &&
           extension_put(x, NID_subject_key_identifier, false, slice_of(id, sizeof id)) &&
           extension_put(x, NID_authority_key_identifier, false, slice_of(by, sizeof by));
}

static X509 *mould_make(X509 *cert, EVP_PKEY *leaf_key)
{
    uint8_t point[POINT_OCTETS];
    EVP_PKEY *half = point_of(leaf_key, point) ? key_public(point) : NULL;
    X509 *x = half ? X509_new() : NULL;

    if (!x || X509_set_issuer_name(x, X509_get_subject_name(cert)) != 1 || X509_set_pubkey(x, half) != 1 ||
        !leaf_extensions(x, X509_get0_subject_key_id(cert))) {
        X509_free(x);
        x = NULL;
    }
    EVP_PKEY_free(half);
    return x;
}

/* As authority_new writes it, and nothing around it. */
static bool pem_read(struct slice pem, uint8_t der[static CERT_OCTETS_MAX], size_t *len)
{
    struct slice head = SLICE(PEM_HEAD), foot = SLICE(PEM_FOOT);
    int body = 0, rest = 0;

    if (!slice_starts(pem, head) || !slice_ends(pem, foot) || pem.len < head.len + foot.len)
        return false;
    struct slice text = slice_first(slice_drop(pem, head.len), pem.len - head.len - foot.len);
    EVP_ENCODE_CTX *decoder = text.len <= CERT_OCTETS_MAX ? EVP_ENCODE_CTX_new() : NULL;

    if (!decoder)
        return false;
    EVP_DecodeInit(decoder);
    bool whole = EVP_DecodeUpdate(decoder, der, &body, text.at, (int)text.len) >= 0 &&
                 EVP_DecodeFinal(decoder, der + body, &rest) == 1;

    EVP_ENCODE_CTX_free(decoder);
    *len = (size_t)(body + rest);
    return whole;
}

/*
 * Reading a certificate, OpenSSL 3.0 also looks through all decoders of all providers for one that reads its
 * public key, which costs ten times as much as the rest. Here are none, and a key that nothing decodes is left
 * out: we have it already.
 */
static OSSL_LIB_CTX *no_decoders(void)
{
    static OSSL_LIB_CTX *without; /* kept: with its names it takes 30 KiB, and longer than a certificate */
    OSSL_LIB_CTX *fresh = without ? NULL : OSSL_LIB_CTX_new();

    if (fresh && OSSL_PROVIDER_load(fresh, "null"))
        without = fresh;
    else
        OSSL_LIB_CTX_free(fresh);
    return without;
}

static bool cert_is_of(const X509 *x, const uint8_t *point)
{
    uint8_t *octets = NULL;
    int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &octets);
    bool same = len == (int)sizeof spki_head + POINT_OCTETS &&
                memcmp(octets, spki_head, sizeof spki_head) == 0 &&
                memcmp(octets + sizeof spki_head, point, POINT_OCTETS) == 0;

    OPENSSL_free(octets);
    return same;
}

/* *out is to be freed even where this fails. */
static enum fault cert_open(struct slice pem, const uint8_t *point, X509 **out)
{
    uint8_t der[CERT_OCTETS_MAX];
    const uint8_t *at = der;
    size_t len = 0;

    if (!pem_read(pem, der, &len))
        return FAULT_INVALID;
    EVP_PKEY *half = key_public(point);
    OSSL_LIB_CTX *without = half ? no_decoders() : NULL;

    if (!without) {
        EVP_PKEY_free(half);
        return authority_fault("opening a CA");
    }
    X509 *x = (X509 *)ASN1_item_d2i_ex(NULL, &at, (long)len, ASN1_ITEM_rptr(X509), without, NULL);
    bool ours = x && at == der + len && cert_is_of(x, point) && X509_set_pubkey(x, half) == 1;
    const ASN1_OCTET_STRING *id = ours && X509_check_ca(x) == 1 ? X509_get0_subject_key_id(x) : NULL;
    bool good = id && ASN1_STRING_length(id) == KEY_ID_OCTETS;

    EVP_PKEY_free(half);
    *out = x;
    return good ? FAULT_NONE : FAULT_INVALID;
}

static enum fault leaves_open(struct authority *a)
{
    a->leaf_key = key_draw(a->key);
    a->leaf_mould = a->leaf_key ? mould_make(a->cert, a->leaf_key) : NULL;
    return a->leaf_mould ? FAULT_NONE : authority_fault("opening a CA");
}

enum fault authority_open(struct slice pem, const struct secret *key, struct authority *out)
{
    struct pair pair = {.key = NULL};
    enum fault fault = secret_lend(key, pkcs8_read, &pair);
    struct authority a = {.key = pair.key};

    if (fault == FAULT_NONE)
        fault = cert_open(pem, pair.point, &a.cert);
    if (fault == FAULT_NONE)
        fault = leaves_open(&a);
    if (fault == FAULT_NONE) {
        *out = a;
        return FAULT_NONE;
    }
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

#include "leaf.h"
#include "ip.h"
#include <openssl/err.h>
#include <openssl/x509v3.h>

#define NAME_OCTETS_MAX 253
#define CN_OCTETS_MAX   64 /* ub-common-name, RFC 5280 appendix A */

/* GeneralName's tags, RFC 5280 s.4.2.1.6. */
#define TAG_DNS  0x82
#define TAG_IP   0x87
#define TAG_LIST 0x30

/* subjectAltName with one name in it. */
struct san {
    uint8_t der[NAME_OCTETS_MAX + 8];
    size_t len;
};

static void der_head(struct san *s, uint8_t tag, size_t len)
{
    s->der[s->len++] = tag;
    if (len >= 0x80)
        s->der[s->len++] = len > 0xff ? 0x82 : 0x81;
    if (len > 0xff)
        s->der[s->len++] = (uint8_t)(len >> 8);
    s->der[s->len++] = (uint8_t)len;
}

static void san_write(struct san *s, uint8_t tag, struct slice name)
{
    size_t head = name.len >= 0x80 ? 3 : 2;

    der_head(s, TAG_LIST, head + name.len);
    der_head(s, tag, name.len);
    memcpy(s->der + s->len, name.at, name.len);
    s->len += name.len;
}

static bool name_is_canonical(struct slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.at[i];

        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_'))
            return false;
    }
    return name.at[0] != '.' && name.at[name.len - 1] != '.';
}

static enum fault san_of(struct slice name, bool literal, struct san *out)
{
    struct ip ip;

    if (name.len == 0 || name.len > NAME_OCTETS_MAX)
        return FAULT_INVALID;
    if (!literal) {
        if (!name_is_canonical(name))
            return FAULT_INVALID;
        san_write(out, TAG_DNS, name);
        return FAULT_NONE;
    }
    TRY(ip_parse(name, &ip));
    san_write(out, TAG_IP, ip_is_v4(ip) ? slice_of(ip.at + 12, 4) : slice_of(ip.at, 16));
    return FAULT_NONE;
}

/* RFC 5280 s.4.2.1.6: critical where there is no subject. */
static bool san_add(X509 *x, const struct san *san, bool critical)
{
    ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
    X509_EXTENSION *e = NULL;
    bool added = false;

    if (value && ASN1_OCTET_STRING_set(value, san->der, (int)san->len) == 1)
        e = X509_EXTENSION_create_by_NID(NULL, NID_subject_alt_name, critical, value);
    added = e && X509_add_ext(x, e, -1) == 1;
    X509_EXTENSION_free(e);
    ASN1_OCTET_STRING_free(value);
    return added;
}

static bool subject_set(X509 *x, struct slice name)
{
    return X509_NAME_add_entry_by_NID(X509_get_subject_name(x), NID_commonName, V_ASN1_UTF8STRING, name.at,
                                      (int)name.len, -1, 0) == 1;
}

static bool mould_pour(X509 *x, const X509 *mould)
{
    if (X509_set_version(x, X509_VERSION_3) != 1 ||
        X509_set_issuer_name(x, X509_get_issuer_name(mould)) != 1 ||
        X509_set_pubkey(x, X509_get0_pubkey(mould)) != 1)
        return false;
    for (int i = 0; i < X509_get_ext_count(mould); i++)
        if (X509_add_ext(x, X509_get_ext(mould, i), -1) != 1)
            return false;
    return true;
}

static bool dates_set(X509 *x, const struct authority *a, int64_t now_ms)
{
    const ASN1_TIME *last = X509_get0_notAfter(a->cert);

    if (!authority_dates(x, now_ms, LEAF_DAYS))
        return false;
    return ASN1_TIME_compare(X509_get0_notAfter(x), last) <= 0 || X509_set1_notAfter(x, last) == 1;
}

enum fault leaf_mint(const struct authority *a, struct slice name, bool literal, int64_t now_ms, X509 **out)
{
    struct san san = {.len = 0};
    bool named = name.len <= CN_OCTETS_MAX;

    TRY(san_of(name, literal, &san));
    X509 *x = X509_new();

    if (x && mould_pour(x, a->leaf_mould) && authority_serial(x) && dates_set(x, a, now_ms) &&
        (!named || subject_set(x, name)) && san_add(x, &san, !named) &&
        X509_sign(x, a->key, EVP_sha256()) > 0) {
        *out = x;
        return FAULT_NONE;
    }
    X509_free(x);
    return authority_fault("making a leaf");
}

void leaf_settle(X509 **leaf)
{
    uint8_t *octets = NULL;
    int len = i2d_X509(*leaf, &octets);
    const uint8_t *at = octets;
    X509 *settled = len > 0 ? d2i_X509(NULL, &at, len) : NULL;

    OPENSSL_free(octets);
    if (settled) {
        X509_free(*leaf);
        *leaf = settled;
    }
    ERR_clear_error();
}

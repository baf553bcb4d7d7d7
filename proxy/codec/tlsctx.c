#include "diag.h"
#include "tlsio.h"
#include "tlsmem.h"
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <sodium.h>

#define SUITES_TLS12 "ECDHE+AES128+AESGCM:ECDHE+AESGCM:ECDHE+CHACHA20"
/* AES-128 first: as strong as anything around it, and a quarter cheaper per octet than the library's first choice. */
#define SUITES_TLS13   "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
#define GROUPS         "X25519:P-256:P-384"
#define SECURITY_LEVEL 2
#define READ_OCTETS \
    65536 /* of one read from a host: answers are what is large; a client's connection may idle for hours */
#define VERIFY_DEPTH 8

#define TICKET_ROOT_OCTETS 32
#define TICKET_KEY_OCTETS  80 /* what OpenSSL takes: 16 of name, 32 for HMAC, 32 for AES */

static enum fault library_fault(const char *doing)
{
    const char *reason = ERR_reason_error_string(ERR_peek_error());

    DIAG(ERROR, "OpenSSL failed", DIAG_TEXT("doing", slice_text(doing)),
         DIAG_TEXT("reason", slice_text(reason)));
    ERR_clear_error();
    return FAULT_SYSTEM;
}

/* --- the ClientHello ------------------------------------------------------------------------------------ */

/*
 * RFC 6066 s.3: a list of names, each with its type; only host_name is defined, and may stand there once.
 * Anything else is refused rather than skipped: two readers of one hello must not see two names.
 */
static bool server_name_read(struct slice in, struct slice *name)
{
    if (in.len < 5 || ((size_t)in.at[0] << 8 | in.at[1]) != in.len - 2 ||
        in.at[2] != TLSEXT_NAMETYPE_host_name)
        return false;
    size_t len = (size_t)in.at[3] << 8 | in.at[4];

    *name = slice_drop(in, 5);
    return len == name->len && len >= 1 && len <= TLSEXT_MAXLEN_host_name;
}

static int hello_refuse(struct tlsio *t, enum fault fault, const char *why, int code, int *alert)
{
    t->fault = fault;
    t->why = why;
    *alert = code;
    return SSL_CLIENT_HELLO_ERROR;
}

/* A ticket is good for its own name: OpenSSL resumes no session of another "session id context". */
static bool name_bind(struct tlsio *t, const uint8_t hash[static 32])
{
    memcpy(t->name_hash, hash, sizeof t->name_hash);
    return SSL_set_session_id_context(t->ssl, t->name_hash, sizeof t->name_hash) == 1;
}

static int hello_seen(SSL *ssl, int *alert, void *unused)
{
    struct tlsio *t = SSL_get_app_data(ssl);
    struct slice extension = SLICE_NONE, name = SLICE_NONE;
    uint8_t hash[sizeof t->name_hash];
    X509 *cert = NULL;
    EVP_PKEY *key = NULL;

    (void)unused;
    if (SSL_client_hello_isv2(ssl))
        return hello_refuse(t, FAULT_CLIENT_TLS, "the hello is of SSL 2", SSL_AD_PROTOCOL_VERSION, alert);
    if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &extension.at, &extension.len) == 1 &&
        !server_name_read(extension, &name))
        return hello_refuse(t, FAULT_CLIENT_TLS, "the server name is malformed", SSL_AD_DECODE_ERROR, alert);
    crypto_generichash(hash, sizeof hash, name.at, name.len, NULL, 0);
    if (t->greeted) { /* after a HelloRetryRequest: the same hello again, RFC 8446 s.4.1.2 */
        if (sodium_memcmp(hash, t->name_hash, sizeof hash) == 0)
            return SSL_CLIENT_HELLO_SUCCESS;
        return hello_refuse(t, FAULT_CLIENT_TLS, "the server name changed", SSL_AD_ILLEGAL_PARAMETER, alert);
    }
    t->greeted = true;
    enum fault fault = t->hello(t->hello_cookie, name, &cert, &key);

    if (fault != FAULT_NONE) {
        int code = fault_table[fault].alert ? fault_table[fault].alert : SSL_AD_HANDSHAKE_FAILURE;

        return hello_refuse(t, fault, fault_table[fault].meaning, code, alert);
    }
    if (!name_bind(t, hash) || SSL_use_certificate(ssl, cert) != 1 || SSL_use_PrivateKey(ssl, key) != 1)
        return hello_refuse(t, library_fault("showing a leaf"), "no certificate", SSL_AD_INTERNAL_ERROR,
                            alert);
    return SSL_CLIENT_HELLO_SUCCESS;
}

/* What is served, the best first, whatever the client's order. */
static const struct slice served[] = {{(const uint8_t *)"h2", 2}, {(const uint8_t *)"http/1.1", 8}};

static bool alpn_offered(struct slice offer, struct slice protocol, struct slice *at)
{
    while (offer.len > 0) {
        *at = slice_first(slice_drop(offer, 1), offer.at[0]);
        if (slice_equal(*at, protocol))
            return true;
        offer = slice_drop(offer, 1 + at->len);
    }
    return false;
}

/* Walked by hand: SSL_select_next_proto falls back to a protocol that nobody offered (CVE-2024-5535). */
static int alpn_choose(SSL *ssl, const uint8_t **out, uint8_t *out_len, const uint8_t *in, unsigned in_len,
                       void *unused)
{
    struct slice at;

    (void)ssl, (void)unused;
    for (size_t i = 0; i < sizeof served / sizeof *served; i++)
        if (alpn_offered(slice_of(in, in_len), served[i], &at)) {
            *out = at.at;
            *out_len = (uint8_t)at.len;
            return SSL_TLSEXT_ERR_OK;
        }
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* --- both sides ----------------------------------------------------------------------------------------- */

/* Counted so that KeyUpdates or tickets without end are no free work: wire_read ends them. */
static void message_seen(int is_write, int version, int type, const void *at, size_t len, SSL *ssl,
                         void *unused)
{
    struct tlsio *t = SSL_get_app_data(ssl);

    (void)version, (void)at, (void)len, (void)unused;
    if (!is_write && type == SSL3_RT_HANDSHAKE && t && t->shaken)
        t->chatter++;
}

static SSL_CTX *ctx_make(const SSL_METHOD *method)
{
    SSL_CTX *ctx = SSL_CTX_new(method);

    if (!ctx)
        return NULL;
    SSL_CTX_set_security_level(ctx, SECURITY_LEVEL);
    SSL_CTX_clear_options(ctx, SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_LEGACY_SERVER_CONNECT);
    SSL_CTX_set_options(ctx,
                        SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                            (tlsmem_wipes() ? 0 : SSL_OP_CLEANSE_PLAINTEXT) |
                            /* our order, but a client without AES in its processor gets what it can do */
                            SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    /* No chain is built from a store: a leaf is shown alone, for its issuer is what the client trusts. */
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                              SSL_MODE_NO_AUTO_CHAIN);
    SSL_CTX_set_read_ahead(ctx, 1);
    SSL_CTX_set_msg_callback(ctx, message_seen);
    if (SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1 &&
        SSL_CTX_set_cipher_list(ctx, SUITES_TLS12) == 1 && SSL_CTX_set_ciphersuites(ctx, SUITES_TLS13) == 1 &&
        SSL_CTX_set1_groups_list(ctx, GROUPS) == 1 && SSL_CTX_set_max_early_data(ctx, 0) == 1 &&
        SSL_CTX_set_recv_max_early_data(ctx, 0) == 1)
        return ctx;
    SSL_CTX_free(ctx);
    return NULL;
}

enum fault tlsio_server_ctx(SSL_CTX **out)
{
    SSL_CTX *ctx = ctx_make(TLS_server_method());

    if (!ctx || SSL_CTX_set_num_tickets(ctx, 1) != 1) {
        SSL_CTX_free(ctx);
        return library_fault("making a server's context");
    }
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_client_hello_cb(ctx, hello_seen, NULL);
    SSL_CTX_set_alpn_select_cb(ctx, alpn_choose, NULL);
    *out = ctx;
    return FAULT_NONE;
}

enum fault tlsio_server_tickets(SSL_CTX *ctx, struct slice root, struct slice id)
{
    uint8_t keys[TICKET_KEY_OCTETS];
    enum fault fault = FAULT_NONE;

    if (root.len != TICKET_ROOT_OCTETS)
        return FAULT_INVALID;
    for (uint8_t half = 0; half < 2; half++) {
        crypto_generichash_state state;

        crypto_generichash_init(&state, root.at, root.len, sizeof keys / 2);
        crypto_generichash_update(&state, (const uint8_t *)"osb ticket", sizeof "osb ticket");
        crypto_generichash_update(&state, &half, 1);
        crypto_generichash_update(&state, id.at, id.len);
        crypto_generichash_final(&state, keys + half * (sizeof keys / 2), sizeof keys / 2);
        sodium_memzero(&state, sizeof state);
    }
    if (SSL_CTX_set_tlsext_ticket_keys(ctx, keys, sizeof keys) != 1)
        fault = library_fault("setting ticket keys");
    sodium_memzero(keys, sizeof keys);
    return fault;
}

/* --- the upstream's certificate ------------------------------------------------------------------------- */

/*
 * What X509_V_FLAG_X509_STRICT asks beyond what proves a name, and what the CAs that companies make by hand lack. Without
 * these fields a chain is found by names alone; every signature in it is checked all the same.
 */
static bool forgiven(int error)
{
    static const int errors[] = {X509_V_ERR_CA_CERT_MISSING_KEY_USAGE,
                                 X509_V_ERR_MISSING_SUBJECT_KEY_IDENTIFIER,
                                 X509_V_ERR_MISSING_AUTHORITY_KEY_IDENTIFIER};

    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
        if (errors[i] == error)
            return true;
    return false;
}

/* OpenSSL lets a CA's certificate stand as a server's own; a root in the bundle would vouch for itself. */
static int leaf_checked(int ok, X509_STORE_CTX *run)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(run, SSL_get_ex_data_X509_STORE_CTX_idx());
    X509 *cert = X509_STORE_CTX_get_current_cert(run);

    if (!ok && forgiven(X509_STORE_CTX_get_error(run))) {
        X509_STORE_CTX_set_error(run, X509_V_OK);
        return 1;
    }
    if (!ok || X509_STORE_CTX_get_error_depth(run) != 0 || !cert ||
        !(X509_get_extension_flags(cert) & EXFLAG_CA))
        return ok;
    struct tlsio *t = ssl ? SSL_get_app_data(ssl) : NULL;

    if (t)
        t->why = "the certificate is a CA's, not a server's";
    X509_STORE_CTX_set_error(run, X509_V_ERR_APPLICATION_VERIFICATION);
    return 0;
}

static enum fault roots_load(SSL_CTX *ctx, const char *ca_file)
{
    if (ca_file && SSL_CTX_load_verify_file(ctx, ca_file) != 1) {
        library_fault("reading the CA file");
        return FAULT_INVALID;
    }
    if (!ca_file && SSL_CTX_set_default_verify_paths(ctx) != 1)
        return library_fault("reading the system's roots");
    return FAULT_NONE;
}

enum fault tlsio_client_ctx(const char *ca_file, SSL_CTX **out)
{
    SSL_CTX *ctx = ctx_make(TLS_client_method());

    if (!ctx)
        return library_fault("making a client's context");
    enum fault fault = roots_load(ctx, ca_file);

    if (fault != FAULT_NONE)
        goto drop_ctx;
    if (X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(ctx), X509_V_FLAG_X509_STRICT) != 1) {
        fault = library_fault("making a client's context");
        goto drop_ctx;
    }
    SSL_CTX_set_default_read_buffer_len(ctx, READ_OCTETS);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, leaf_checked);
    SSL_CTX_set_verify_depth(ctx, VERIFY_DEPTH);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    *out = ctx;
    return FAULT_NONE;
drop_ctx:
    SSL_CTX_free(ctx);
    return fault;
}

void tlsio_on_session(SSL_CTX *ctx, int (*fn)(SSL *ssl, SSL_SESSION *session))
{
    SSL_CTX_sess_set_new_cb(ctx, fn);
}

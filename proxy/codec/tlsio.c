#include "tlsio.h"
#include <errno.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#define SECURE_HEAP_OCTETS ((size_t)1 << 20)
#define SECURE_HEAP_GRAIN  32
#define CHATTER_MAX        32 /* handshake messages in a row without a plaintext octet between them */
#define HOST_FLAGS         (X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT)

void tlsio_library_open(void)
{
    OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
    if (!CRYPTO_secure_malloc_initialized())
        CRYPTO_secure_malloc_init(SECURE_HEAP_OCTETS, SECURE_HEAP_GRAIN);
}

/* --- the wire, as OpenSSL sees it ----------------------------------------------------------------------- */

static int wire_result(BIO *bio, struct tlsio *t, long n, int retry)
{
    if (n > 0)
        return (int)n;
    if (n == -EAGAIN) {
        BIO_set_flags(bio, retry | BIO_FLAGS_SHOULD_RETRY);
        return -1;
    }
    t->wire_gone = true;
    return n == 0 && retry == BIO_FLAGS_READ ? 0 : -1;
}

static int wire_read(BIO *bio, char *into, int room)
{
    struct tlsio *t = BIO_get_data(bio);

    BIO_clear_retry_flags(bio);
    if (room <= 0 || t->wire_gone || t->chatter > CHATTER_MAX) {
        t->wire_gone = true;
        return -1;
    }
    return wire_result(bio, t, t->wire.read(t->wire.cookie, (uint8_t *)into, (size_t)room), BIO_FLAGS_READ);
}

static int wire_write(BIO *bio, const char *from, int len)
{
    struct tlsio *t = BIO_get_data(bio);

    BIO_clear_retry_flags(bio);
    if (len <= 0)
        return 0;
    return wire_result(bio, t, t->wire.write(t->wire.cookie, (const uint8_t *)from, (size_t)len),
                       BIO_FLAGS_WRITE);
}

static long wire_ctrl(BIO *bio, int what, long number, void *pointer)
{
    const struct tlsio *t = BIO_get_data(bio);

    (void)number, (void)pointer;
    if (what == BIO_CTRL_EOF)
        return t->wire_gone;
    return what == BIO_CTRL_FLUSH;
}

static const BIO_METHOD *wire_method(void)
{
    static BIO_METHOD *method;

    if (method)
        return method;
    BIO_METHOD *m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "wire");

    if (!m)
        return NULL;
    BIO_meth_set_read(m, wire_read);
    BIO_meth_set_write(m, wire_write);
    BIO_meth_set_ctrl(m, wire_ctrl);
    return method = m;
}

/* --- beginning ------------------------------------------------------------------------------------------ */

static enum fault tlsio_begin(struct tlsio *t, SSL_CTX *ctx, struct wire wire)
{
    const BIO_METHOD *method = wire_method();
    BIO *bio = method ? BIO_new(method) : NULL;

    *t = (struct tlsio){.wire = wire};
    t->ssl = bio ? SSL_new(ctx) : NULL;
    if (!t->ssl) {
        BIO_free(bio);
        ERR_clear_error();
        return FAULT_NO_MEMORY;
    }
    BIO_set_data(bio, t);
    BIO_set_init(bio, 1);
    SSL_set_bio(t->ssl, bio, bio);
    SSL_set_app_data(t->ssl, t);
    return FAULT_NONE;
}

enum fault tlsio_server(struct tlsio *t, SSL_CTX *ctx, struct wire wire, hello_fn *hello, void *cookie)
{
    TRY(tlsio_begin(t, ctx, wire));
    t->hello = hello;
    t->hello_cookie = cookie;
    SSL_set_accept_state(t->ssl);
    return FAULT_NONE;
}

/* A resumed handshake shows no certificate: the one that the session was made with must still do. */
static bool session_fits(SSL_SESSION *session, const char *name, bool literal)
{
    X509 *cert = SSL_SESSION_get0_peer(session);

    if (!cert || !SSL_SESSION_is_resumable(session) || X509_cmp_current_time(X509_get0_notAfter(cert)) <= 0)
        return false;
    return (literal ? X509_check_ip_asc(cert, name, HOST_FLAGS)
                    : X509_check_host(cert, name, 0, HOST_FLAGS, NULL)) == 1;
}

static bool name_demand(SSL *ssl, const char *name, bool literal)
{
    X509_VERIFY_PARAM *demand = SSL_get0_param(ssl);

    X509_VERIFY_PARAM_set_hostflags(demand, HOST_FLAGS);
    if (literal)
        return X509_VERIFY_PARAM_set1_ip_asc(demand, name) == 1;
    return X509_VERIFY_PARAM_set1_host(demand, name, 0) == 1 && SSL_set_tlsext_host_name(ssl, name) == 1;
}

static bool alpn_offer(struct tlsio *t, bool h2)
{
    static const uint8_t offer[] = {2, 'h', '2', 8, 'h', 't', 't', 'p', '/', '1', '.', '1'};
    size_t skip = h2 ? 0 : 3;

    t->h2_offered = h2;
    return SSL_set_alpn_protos(t->ssl, offer + skip, (unsigned)(sizeof offer - skip)) == 0;
}

enum fault tlsio_client(struct tlsio *t, SSL_CTX *ctx, struct wire wire, const char *name, bool literal,
                        bool h2, SSL_SESSION *session)
{
    TRY(tlsio_begin(t, ctx, wire));
    /* An empty name would mean: any. */
    if (!name[0] || !name_demand(t->ssl, name, literal) || !alpn_offer(t, h2) ||
        (session && session_fits(session, name, literal) && SSL_set_session(t->ssl, session) != 1)) {
        tlsio_close(t);
        ERR_clear_error();
        return FAULT_SYSTEM;
    }
    SSL_set_connect_state(t->ssl);
    return FAULT_NONE;
}

/* --- what went wrong ------------------------------------------------------------------------------------ */

static const struct {
    int reason;
    const char *why;
} reasons[] = {
    {SSL_R_UNEXPECTED_EOF_WHILE_READING, "the peer closed during the handshake"},
    {SSL_R_UNSUPPORTED_PROTOCOL, "no TLS version in common (1.2 or newer is needed)"},
    {SSL_R_VERSION_TOO_LOW, "no TLS version in common (1.2 or newer is needed)"},
    {SSL_R_WRONG_SSL_VERSION, "no TLS version in common (1.2 or newer is needed)"},
    {SSL_R_TLSV1_ALERT_PROTOCOL_VERSION, "no TLS version in common (1.2 or newer is needed)"},
    {SSL_R_INAPPROPRIATE_FALLBACK, "the TLS version was downgraded"},
    {SSL_R_WRONG_VERSION_NUMBER, "the peer does not speak TLS"},
    {SSL_R_HTTP_REQUEST, "the peer does not speak TLS"},
    {SSL_R_NO_SHARED_CIPHER, "no cipher in common"},
    {SSL_R_NO_SUITABLE_KEY_SHARE, "no key exchange in common"},
    {SSL_R_WRONG_CURVE, "no key exchange in common"},
    {SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM, "no signature algorithm in common"},
    {SSL_R_NO_APPLICATION_PROTOCOL, "no application protocol in common (h2 or http/1.1 is needed)"},
    {SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL,
     "no application protocol in common (h2 or http/1.1 is needed)"},
    {SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE, "the peer refused the handshake"},
    {SSL_R_TLSV1_ALERT_INSUFFICIENT_SECURITY, "the peer refused the handshake"},
    {SSL_R_TLSV1_ALERT_ACCESS_DENIED, "the peer refused the handshake"},
    {SSL_R_TLSV1_ALERT_INTERNAL_ERROR, "the peer failed during the handshake"},
    {SSL_R_TLSV1_UNRECOGNIZED_NAME, "the peer does not know this name"},
    {SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED, "the peer asks for a certificate of ours"},
    {SSL_R_TLSV1_ALERT_UNKNOWN_CA, "the peer does not trust the certificate"},
    {SSL_R_SSLV3_ALERT_BAD_CERTIFICATE, "the peer does not trust the certificate"},
    {SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE, "the peer does not trust the certificate"},
    {SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED, "the peer does not trust the certificate"},
    {SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN, "the peer does not trust the certificate"},
};

static const char *shake_why(const struct tlsio *t)
{
    unsigned long error = ERR_peek_error();
    long verified = SSL_get_verify_result(t->ssl);

    if (t->why)
        return t->why;
    if (!SSL_is_server(t->ssl) && verified != X509_V_OK)
        return X509_verify_cert_error_string(verified);
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        if (ERR_GET_LIB(error) == ERR_LIB_SSL && ERR_GET_REASON(error) == reasons[i].reason)
            return reasons[i].why;
    return t->wire_gone ? "the peer closed during the handshake" : "the handshake failed";
}

static enum fault shake_refuse(struct tlsio *t, const char **why)
{
    *why = shake_why(t);
    t->failed = true;
    ERR_clear_error();
    if (t->fault != FAULT_NONE)
        return t->fault;
    return SSL_is_server(t->ssl) ? FAULT_CLIENT_TLS : FAULT_UPSTREAM_TLS;
}

static struct slice alpn_chosen(const struct tlsio *t)
{
    struct slice chosen = SLICE_NONE;
    unsigned len = 0;

    SSL_get0_alpn_selected(t->ssl, &chosen.at, &len);
    chosen.len = len;
    return chosen;
}

/* RFC 7301 s.3.2: the server picks from what was offered, or nothing. */
static bool alpn_fits(const struct tlsio *t)
{
    struct slice chosen = alpn_chosen(t);

    return chosen.len == 0 || slice_equal(chosen, SLICE("http/1.1")) || tlsio_protocol(t) == TLSIO_H2;
}

enum tlsio_protocol tlsio_protocol(const struct tlsio *t)
{
    bool served = SSL_is_server(t->ssl) || t->h2_offered;

    return served && slice_equal(alpn_chosen(t), SLICE("h2")) ? TLSIO_H2 : TLSIO_H1;
}

/* --- running -------------------------------------------------------------------------------------------- */

/* Sorts a call of OpenSSL that did not succeed; for good, unless it only has to wait. */
static enum fault call_sort(struct tlsio *t, int result)
{
    int error = SSL_get_error(t->ssl, result);

    t->wants_in = error == SSL_ERROR_WANT_READ;
    t->wants_out = error == SSL_ERROR_WANT_WRITE;
    if (t->wants_in || t->wants_out)
        return FAULT_AGAIN;
    if (error == SSL_ERROR_ZERO_RETURN) {
        t->ended = true;
        return FAULT_END;
    }
    t->failed = true;
    return FAULT_CLIENT_GONE;
}

static bool call_begin(struct tlsio *t)
{
    t->wants_in = t->wants_out = false;
    /* Clearing an empty queue costs as much as parsing a head. */
    if (ERR_peek_error() != 0)
        ERR_clear_error();
    return !t->failed;
}

enum fault tlsio_shake(struct tlsio *t, const char **why)
{
    *why = NULL;
    if (t->shaken)
        return FAULT_NONE;
    if (!call_begin(t))
        return shake_refuse(t, why);
    int result = SSL_do_handshake(t->ssl);

    if (result != 1)
        return call_sort(t, result) == FAULT_AGAIN ? FAULT_AGAIN : shake_refuse(t, why);
    if (!alpn_fits(t)) {
        t->why = "the peer chose a protocol that was not offered";
        return shake_refuse(t, why);
    }
    t->shaken = true;
    t->more = SSL_has_pending(t->ssl) == 1;
    return FAULT_NONE;
}

enum fault tlsio_read(struct tlsio *t, struct iovec room, size_t *n)
{
    *n = 0;
    t->more = false;
    if (t->ended)
        return FAULT_END;
    if (!t->shaken || !call_begin(t))
        return FAULT_CLIENT_GONE;
    while (*n < room.iov_len) {
        size_t got = 0;
        int result = SSL_read_ex(t->ssl, (uint8_t *)room.iov_base + *n, room.iov_len - *n, &got);

        if (result != 1) {
            enum fault fault = call_sort(t, result);

            if (fault != FAULT_AGAIN)
                ERR_clear_error();
            return fault;
        }
        *n += got;
        t->chatter = 0;
        if (t->wire.dry && SSL_has_pending(t->ssl) == 0 && t->wire.dry(t->wire.cookie)) {
            t->wants_in = true;
            return FAULT_AGAIN;
        }
    }
    t->more = SSL_has_pending(t->ssl) == 1;
    return FAULT_NONE;
}

enum fault tlsio_write(struct tlsio *t, struct slice from, size_t *n)
{
    *n = 0;
    if (!t->shaken || !call_begin(t))
        return FAULT_CLIENT_GONE;
    while (*n < from.len) {
        size_t put = 0;
        int result = SSL_write_ex(t->ssl, from.at + *n, from.len - *n, &put);

        if (result != 1) {
            if (call_sort(t, result) == FAULT_AGAIN)
                return FAULT_AGAIN;
            ERR_clear_error();
            return FAULT_CLIENT_GONE;
        }
        *n += put;
    }
    return FAULT_NONE;
}

bool tlsio_may_wait(const struct tlsio *t)
{
    return t->shaken && SSL_version(t->ssl) == TLS1_3_VERSION;
}

bool tlsio_rest(struct tlsio *t)
{
    return t->ssl && t->shaken && !t->failed && SSL_free_buffers(t->ssl) == 1;
}

void tlsio_end(struct tlsio *t)
{
    if (!t->ssl || !t->shaken || t->notified || !call_begin(t))
        return;
    int result = SSL_shutdown(t->ssl);

    t->notified = result >= 0;
    if (!t->notified)
        (void)call_sort(t, result);
    ERR_clear_error();
}

void tlsio_close(struct tlsio *t)
{
    /* OpenSSL spoils the session of a connection that is freed without a shutdown; that of one which only idled
     * out is good. */
    if (t->ssl && t->shaken && !t->failed)
        SSL_set_shutdown(t->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(t->ssl);
    *t = (struct tlsio){0};
}

bool tlsio_resumed(const struct tlsio *t)
{
    return SSL_session_reused(t->ssl) == 1;
}

bool tlsio_pending(const struct tlsio *t)
{
    return t->more;
}

void tlsio_owner_set(struct tlsio *t, void *owner)
{
    t->owner = owner;
}

void *tlsio_owner(const SSL *ssl)
{
    const struct tlsio *t = SSL_get_app_data(ssl);

    return t ? t->owner : NULL;
}

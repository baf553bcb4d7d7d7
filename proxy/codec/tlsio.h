#pragma once
#include "fault.h"
#include "slice.h"
#include <openssl/ssl.h>
#include <sys/uio.h>

/*
 * tlsio - one end of a TLS connection over any transport.
 *
 *   Layer   codec: it calls two functions to move ciphertext and knows no socket.
 *   Why     the same code runs over a socket, over two ends in memory in a test, and in a fuzzer; and OpenSSL reads
 *           straight into its own record buffer, without a copy of ours.
 *   Bounds  OpenSSL's buffers only, given back by tlsio_rest. (SSL_MODE_RELEASE_BUFFERS would free, wipe and take them
 *           again for every message: a seventh of a small request's cost.)
 *   Source  RFC 8446, RFC 5246; TLS 1.2 or newer, AEAD suites with forward secrecy only.
 */

/* wire: both return octets moved, 0 at the peer's end (read only), -EAGAIN, or another negative errno. */
struct wire {
    long (*read)(void *cookie, uint8_t *into, size_t room);
    long (*write)(void *cookie, const uint8_t *from, size_t len);
    bool (*dry)(void *cookie); /* a read would give -EAGAIN: it need not be tried */
    void *cookie;
};

/* tlsio_library_open(): start OpenSSL without its configuration file, and a locked heap for the private keys it
 * holds. Once in each process, behind the last fork (locks are not inherited); before any other use of OpenSSL. */
void tlsio_library_open(void);

/*
 * hello_fn: asked once per handshake, when the ClientHello is read.
 *   Takes   name   the server_name extension's host_name as sent, empty: no extension.
 *   Gives   *cert, *key  borrowed: the leaf to show (references are taken by tlsio).
 *   Fails   any fault: the handshake ends with its alert (fault_table), 40 where it has none.
 * A malformed extension ends the handshake unasked (alert 50); so does a second hello with another name (47).
 * Tickets are bound to the name: a session made for another name is not resumed (a full handshake follows).
 */
typedef enum fault hello_fn(void *cookie, struct slice name, X509 **cert, EVP_PKEY **key);

/* It stays at its place from its start to tlsio_close. */
struct tlsio {
    SSL *ssl;
    struct wire wire;
    bool shaken;    /* the handshake is done */
    bool ended;     /* close_notify arrived: a clean end */
    bool wants_in;  /* the last call could not go on before the wire can be read ... */
    bool wants_out; /* ... or written */

    /* tlsio's own: */
    bool failed;      /* OpenSSL must not be called again */
    bool wire_gone;   /* the wire ended or broke */
    bool more;        /* octets may wait inside */
    bool notified;    /* our close_notify is out */
    bool greeted;     /* hello was asked */
    bool h2_offered;  /* as client */
    unsigned chatter; /* handshake messages since the last plaintext */
    uint8_t name_hash[32];
    hello_fn *hello;
    void *hello_cookie, *owner;
    enum fault fault; /* what the handshake's callbacks found ... */
    const char *why;  /* ... and in words */
};

/*
 * tlsio_server_ctx(out) / tlsio_client_ctx(ca_file, out): contexts with this house's settings: no renegotiation, no
 *   compression, no early data, cleansed plaintext, read-ahead, partial writes, security level 2;
 *   server: one ticket a handshake, no session cache, ALPN h2, else http/1.1 (others alone: alert 120);
 *   client: certificates verified (X509_V_FLAG_X509_STRICT, no partial wildcards, depth 8), roots from ${ca_file}
 *   or, where NULL, the system's. The configuration file of OpenSSL and SSLKEYLOGFILE are never read.
 *   Fails   FAULT_SYSTEM, FAULT_INVALID (ca_file holds no certificate).
 */
enum fault tlsio_server_ctx(SSL_CTX **out) CHECKED;
enum fault tlsio_client_ctx(const char *ca_file, SSL_CTX **out) CHECKED;

/* tlsio_server_tickets(ctx, root, id): ticket keys derived from ${root} (32 octets, of this boot) and ${id}, so that every
 * worker takes its own sandbox's tickets and nobody else's. */
enum fault tlsio_server_tickets(SSL_CTX *ctx, struct slice root, struct slice id) CHECKED;

/*
 * tlsio_server(t, ctx, wire, hello, cookie) / tlsio_client(t, ctx, wire, name, literal, session): begin.
 *   Takes   name     canonical: sent as SNI unless ${literal}, and the only name that the certificate may prove.
 *           h2       offer it before http/1.1 (RFC 7301); else http/1.1 alone.
 *           session  to resume, or NULL. Not offered where its certificate is over or does not prove ${name}.
 *   Fails   FAULT_NO_MEMORY, FAULT_SYSTEM.
 */
enum fault tlsio_server(struct tlsio *t, SSL_CTX *ctx, struct wire wire, hello_fn *hello,
                        void *cookie) CHECKED;
enum fault tlsio_client(struct tlsio *t, SSL_CTX *ctx, struct wire wire, const char *name, bool literal,
                        bool h2, SSL_SESSION *session) CHECKED;

/*
 * tlsio_shake(t, why): go on with the handshake.
 *   Gives   *why  on failure a static sentence about what failed ("certificate has expired"), never a peer's text.
 *   Fails   FAULT_AGAIN (wants_in, wants_out say for what); FAULT_CLIENT_TLS as server, FAULT_UPSTREAM_TLS as client; or the
 *           fault that hello gave.
 */
enum fault tlsio_shake(struct tlsio *t, const char **why) CHECKED;

/*
 * tlsio_read(t, room, n): plaintext into ${room}: as much as there is without waiting.
 *   Gives   *n  octets; may be > 0 together with any fault.
 *   Fails   FAULT_AGAIN  the wire has no more. FAULT_END  close_notify. FAULT_CLIENT_GONE  the wire ended without
 *           it (truncation), or broke, or brings handshake messages without end. FAULT_NONE: ${room} is full, there
 *           may be more.
 */
enum fault tlsio_read(struct tlsio *t, struct iovec room, size_t *n) CHECKED;

/*
 * tlsio_write(t, from, n): plaintext out, whole records.
 *   Gives   *n  octets that were taken (they are on the wire or in OpenSSL's record buffer, which the next call
 *           sends first).
 *   Fails   FAULT_AGAIN  the wire takes no more: call again with the same octets, or more behind them. FAULT_CLIENT_GONE.
 */
enum fault tlsio_write(struct tlsio *t, struct slice from, size_t *n) CHECKED;

/* tlsio_may_wait(t): the handshake is done, and what was written last may go out later, with the first message: TLS 1.3's
 * ticket (server) or Finished (client). In TLS 1.2 the peer may be waiting for it. */
bool tlsio_may_wait(const struct tlsio *t);

/* tlsio_rest(t): nothing has happened for a while: give OpenSSL's two buffers (33 KiB) back. False: octets are in
 * them. */
bool tlsio_rest(struct tlsio *t);

/* tlsio_end(t): send close_notify, once, as far as the wire takes it; wants_out: call again to send the rest. */
void tlsio_end(struct tlsio *t);

/* tlsio_close(t): free. Harmless on a zeroed one. */
void tlsio_close(struct tlsio *t);

bool tlsio_resumed(const struct tlsio *t);

/* tlsio_protocol(t): what the finished handshake chose; HTTP/1.1 where nothing was. */
enum tlsio_protocol { TLSIO_H1, TLSIO_H2 };
enum tlsio_protocol tlsio_protocol(const struct tlsio *t);

/* tlsio_pending(t): are decrypted octets waiting inside, so that no event of the wire will come for them? */
bool tlsio_pending(const struct tlsio *t);

/* on_session(ctx, fn): as client: told of each session that can be resumed; ${fn} returns 1 when it keeps the reference. */
void tlsio_on_session(SSL_CTX *ctx, int (*fn)(SSL *ssl, SSL_SESSION *session));

/* The owner's pointer on an SSL, for on_session. */
void tlsio_owner_set(struct tlsio *t, void *owner);
void *tlsio_owner(const SSL *ssl);

#pragma once
#include "authority.h"
#include "clock.h"
#include "leaf.h"
#include "tlsio.h"
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/*
 * tlspair - a server's and a client's end of TLS, joined in memory.
 *
 *   Why     no sockets, no sleeps: each test says how much the wire holds, how it moves and when it is cut.
 */
#define PIPE_OCTETS 4096
#define NAME        "api.test"
#define DAY_MS      ((int64_t)86400 * 1000)

static const uint8_t root[32] = {1, 2, 3};

/* One direction of the wire: it holds little, moves little at a time, and can be cut. */
struct pipe {
    uint8_t held[PIPE_OCTETS];
    size_t len, room, step;
    bool cut;
};

struct sandbox {
    char *pem;
    struct secret *key;
    struct authority a;
    SSL_CTX *ctx;
};

/* Two ends and what lies between them. */
struct pair {
    struct pipe to_server, to_client;
    struct tlsio server, client;
    struct sandbox *of;
    const char *leaf_name; /* what the server shows; NULL: what is asked for */
    X509 *leaf;
    EVP_PKEY *leaf_key; /* where a test brings its own */
    enum fault refusal;
    char asked[300];
    unsigned hellos;
    const char *server_why, *client_why;
};

static struct sandbox a, b;
static char bundle[] = "/tmp/check_tlsio.XXXXXX";
static SSL_CTX *client_ctx;
static SSL_SESSION *kept;

static inline long pipe_read(struct pipe *p, uint8_t *into, size_t room)
{
    size_t n = p->len < room ? p->len : room;

    if (n == 0)
        return p->cut ? 0 : -EAGAIN;
    n = n < p->step ? n : p->step;
    memcpy(into, p->held, n);
    memmove(p->held, p->held + n, p->len - n);
    p->len -= n;
    return (long)n;
}

static inline long pipe_write(struct pipe *p, const uint8_t *from, size_t len)
{
    size_t n = p->room - p->len;

    if (p->cut)
        return -EPIPE;
    n = n < len ? n : len;
    n = n < p->step ? n : p->step;
    memcpy(p->held + p->len, from, n);
    p->len += n;
    return n ? (long)n : -EAGAIN;
}

static inline long server_read(void *cookie, uint8_t *into, size_t room)
{
    return pipe_read(&((struct pair *)cookie)->to_server, into, room);
}

static inline long server_write(void *cookie, const uint8_t *from, size_t len)
{
    return pipe_write(&((struct pair *)cookie)->to_client, from, len);
}

static inline long client_read(void *cookie, uint8_t *into, size_t room)
{
    return pipe_read(&((struct pair *)cookie)->to_client, into, room);
}

static inline long client_write(void *cookie, const uint8_t *from, size_t len)
{
    return pipe_write(&((struct pair *)cookie)->to_server, from, len);
}

static inline enum fault hello(void *cookie, struct slice name, X509 **cert, EVP_PKEY **key)
{
    struct pair *p = cookie;
    struct slice shown = p->leaf_name ? slice_text(p->leaf_name) : name.len ? name : SLICE(NAME);

    p->hellos++;
    ck_assert_uint_lt(name.len, sizeof p->asked);
    if (name.len)
        memcpy(p->asked, name.at, name.len);
    p->asked[name.len] = 0;
    if (p->refusal != FAULT_NONE)
        return p->refusal;
    if (!p->leaf)
        TRY(leaf_mint(&p->of->a, shown, shown.at[0] >= '0' && shown.at[0] <= '9', clock_wall_ms(), &p->leaf));
    *cert = p->leaf;
    *key = p->leaf_key ? p->leaf_key : p->of->a.leaf_key;
    return FAULT_NONE;
}

static inline int session_keep(SSL *ssl, SSL_SESSION *session)
{
    (void)ssl;
    SSL_SESSION_free(kept);
    kept = session;
    return 1;
}

static inline void sandbox_make(struct sandbox *s, const char *id, int64_t made_ms)
{
    ck_assert_int_eq(authority_new(slice_text(id), made_ms, 365, &s->pem, &s->key), FAULT_NONE);
    ck_assert_int_eq(authority_open(slice_text(s->pem), s->key, &s->a), FAULT_NONE);
    ck_assert_int_eq(tlsio_server_ctx(&s->ctx), FAULT_NONE);
    ck_assert_int_eq(tlsio_server_tickets(s->ctx, slice_of(root, sizeof root), slice_text(id)), FAULT_NONE);
}

static inline void sandbox_drop(struct sandbox *s)
{
    SSL_CTX_free(s->ctx);
    authority_close(&s->a);
    secret_free(s->key);
    free(s->pem);
}

/* The client trusts A, not B. */
static inline void draw(void)
{
    ck_assert_int_eq(secret_arena_open(1 << 20), FAULT_NONE);
    tlsio_library_open();
    sandbox_make(&a, "sandbox-a", clock_wall_ms() - 90 * DAY_MS);
    sandbox_make(&b, "sandbox-b", clock_wall_ms());
    int fd = mkstemp(bundle);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, a.pem, strlen(a.pem)), (ssize_t)strlen(a.pem));
    close(fd);
    ck_assert_int_eq(tlsio_client_ctx(bundle, &client_ctx), FAULT_NONE);
    tlsio_on_session(client_ctx, session_keep);
    unlink(bundle);
    memcpy(bundle + sizeof bundle - 7, "XXXXXX", 6);
}

static inline void undraw(void)
{
    SSL_SESSION_free(kept);
    kept = NULL;
    SSL_CTX_free(client_ctx);
    sandbox_drop(&a);
    sandbox_drop(&b);
}

static inline struct pair *pair_new(struct sandbox *of)
{
    struct pair *p = calloc(1, sizeof *p);

    p->of = of;
    p->to_server.room = p->to_client.room = p->to_server.step = p->to_client.step = PIPE_OCTETS;
    ck_assert_int_eq(tlsio_server(&p->server, of->ctx,
                                  (struct wire){.read = server_read, .write = server_write, .cookie = p},
                                  hello, p),
                     FAULT_NONE);
    return p;
}

static inline void pair_client(struct pair *p, const char *name, bool literal, SSL_SESSION *session)
{
    ck_assert_int_eq(tlsio_client(&p->client, client_ctx,
                                  (struct wire){.read = client_read, .write = client_write, .cookie = p},
                                  name, literal, false, session),
                     FAULT_NONE);
}

static inline void pair_drop(struct pair *p)
{
    tlsio_close(&p->client);
    tlsio_close(&p->server);
    X509_free(p->leaf);
    free(p);
}

struct outcome {
    enum fault server, client;
};

/* Both ends in turn until both have an end or neither moves. */
static inline struct outcome pair_shake(struct pair *p)
{
    struct outcome o = {FAULT_AGAIN, FAULT_AGAIN};
    uint8_t octet;
    size_t n;

    for (int turn = 0; turn < 200000 && (o.server == FAULT_AGAIN || o.client == FAULT_AGAIN); turn++) {
        if (o.client == FAULT_AGAIN)
            o.client = tlsio_shake(&p->client, &p->client_why);
        else if (o.client == FAULT_NONE && o.server == FAULT_AGAIN) /* the ticket needs room on the wire */
            ck_assert_int_ne(tlsio_read(&p->client, (struct iovec){&octet, 1}, &n), FAULT_NONE);
        if (o.server == FAULT_AGAIN)
            o.server = tlsio_shake(&p->server, &p->server_why);
        if (o.client != FAULT_AGAIN && o.client != FAULT_NONE && p->to_server.len == 0)
            p->to_server.cut = true;
        if (o.server != FAULT_AGAIN && o.server != FAULT_NONE && p->to_client.len == 0)
            p->to_client.cut = true;
    }
    return o;
}

/* A handshake by ${name}; then one octet each way, which also brings the tickets. */
static inline struct pair *pair_joined(struct sandbox *of, const char *name, SSL_SESSION *session)
{
    struct pair *p = pair_new(of);
    uint8_t octet;
    size_t n;

    pair_client(p, name, false, session);
    struct outcome o = pair_shake(p);

    ck_assert_msg(o.server == FAULT_NONE && o.client == FAULT_NONE, "server: %s, client: %s",
                  p->server_why ? p->server_why : "done", p->client_why ? p->client_why : "done");
    ck_assert_int_eq(tlsio_write(&p->server, SLICE("x"), &n), FAULT_NONE);
    ck_assert_int_eq(tlsio_read(&p->client, (struct iovec){&octet, 1}, &n), FAULT_NONE);
    ck_assert_uint_eq(n, 1);
    return p;
}

#define OCTETS(text)                              \
    {                                             \
        (const uint8_t *)(text), sizeof(text) - 1 \
    }

/* The alert that the client was sent last. */
static int alert_seen;

static inline void alert_note(const SSL *ssl, int where, int code)
{
    (void)ssl;
    if ((where & SSL_CB_READ_ALERT) == SSL_CB_READ_ALERT)
        alert_seen = code & 0xff;
}

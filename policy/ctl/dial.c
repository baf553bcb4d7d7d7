#include "dial.h"
#include "clock.h"
#include "outcome.h"
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>
#include <unistd.h>

#define READ_OCTETS ((size_t)16 << 10)

static bool dial_fail(struct dial *d, const char *why)
{
    snprintf(d->why, sizeof d->why, "%s", why);
    return false;
}

static bool tls_fail(struct dial *d, const char *why)
{
    snprintf(d->why, sizeof d->why, "TLS: %s", why);
    return false;
}

static bool dial_await(struct dial *d, short events, int64_t deadline_ms)
{
    struct pollfd p = {.fd = d->fd, .events = events};

    for (;;) {
        int64_t left_ms = deadline_ms - clock_mono_ms();
        int n = poll(&p, 1, left_ms > 0 ? (int)left_ms : 0);

        if (n > 0)
            return true;
        if (n == 0)
            return dial_fail(d, "no answer in time");
        if (errno != EINTR)
            return dial_fail(d, strerror(errno));
    }
}

/* --- connecting ----------------------------------------------------------------------------------------- */

static bool address_connect(struct dial *d, const struct sockaddr *address, socklen_t len,
                            int64_t deadline_ms)
{
    const int on = 1;
    int error = 0;
    socklen_t error_len = sizeof error;

    d->fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (d->fd < 0)
        return dial_fail(d, strerror(errno));
    if (address->sa_family != AF_UNIX)
        setsockopt(d->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(d->fd, address, len) == 0)
        return true;
    if (errno != EINPROGRESS)
        return dial_fail(d, strerror(errno));
    if (!dial_await(d, POLLOUT, deadline_ms))
        return false;
    if (getsockopt(d->fd, SOL_SOCKET, SO_ERROR, &error, &error_len) != 0)
        error = errno;
    return error == 0 || dial_fail(d, strerror(error));
}

static void socket_drop(struct dial *d)
{
    if (d->fd >= 0)
        close(d->fd);
    d->fd = -1;
}

static bool unix_connect(struct dial *d, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    return address_connect(d, (const struct sockaddr *)&address, sizeof address,
                           clock_mono_ms() + DIAL_TIMEOUT_MS);
}

/* Each address of the name gets its part of the time, so that one which swallows packets does not use it up. */
static bool place_connect(struct dial *d, const struct redis_place *place)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    int64_t end_ms = clock_mono_ms() + DIAL_TIMEOUT_MS;
    struct addrinfo *found;
    char port[8];
    int n = 0, error;
    bool connected = false;

    snprintf(port, sizeof port, "%u", (unsigned)place->port);
    error = getaddrinfo(place->host, port, &hints, &found);
    if (error != 0)
        return dial_fail(d, gai_strerror(error));
    for (const struct addrinfo *a = found; a; a = a->ai_next)
        n++;
    for (const struct addrinfo *a = found; a && !connected; a = a->ai_next, n--) {
        int64_t now_ms = clock_mono_ms();

        socket_drop(d);
        connected = address_connect(d, a->ai_addr, a->ai_addrlen, now_ms + (end_ms - now_ms) / n);
    }
    freeaddrinfo(found);
    return connected;
}

/* --- octets in and out: plain, or under TLS -------------------------------------------------------------- */

static long wire_read(void *cookie, uint8_t *into, size_t room)
{
    const struct dial *d = cookie;
    ssize_t n = recv(d->fd, into, room, 0);

    return n >= 0 ? n : errno == EINTR ? -EAGAIN : -errno;
}

static long wire_write(void *cookie, const uint8_t *from, size_t len)
{
    const struct dial *d = cookie;
    ssize_t n = send(d->fd, from, len, MSG_NOSIGNAL);

    return n >= 0 ? n : errno == EINTR ? -EAGAIN : -errno;
}

static bool wire_dry(void *cookie)
{
    (void)cookie;
    return false;
}

static short tls_wants(const struct tlsio *t)
{
    return (short)((t->wants_in ? POLLIN : 0) | (t->wants_out ? POLLOUT : 0));
}

static bool tls_shake(struct dial *d, const struct redis_place *place, SSL_CTX *ctx)
{
    const struct wire wire = {wire_read, wire_write, wire_dry, d};
    int64_t deadline_ms = clock_mono_ms() + DIAL_TIMEOUT_MS;
    struct host literal;
    bool is_literal = host_literal(slice_text(place->host), &literal) == FAULT_NONE;
    const char *why = "the handshake failed";
    enum fault f;

    f = tlsio_client(&d->tls, ctx, wire, place->host, is_literal, false, NULL);
    if (f != FAULT_NONE)
        return tls_fail(d, fault_table[f].meaning);
    while ((f = tlsio_shake(&d->tls, &why)) == FAULT_AGAIN)
        if (!dial_await(d, tls_wants(&d->tls), deadline_ms))
            return tls_fail(d, "no answer in time");
    return f == FAULT_NONE || tls_fail(d, why);
}

bool dial_open(struct dial *d, const char *unix_path, const struct redis_place *place, SSL_CTX *tls)
{
    bool open;

    *d = (struct dial){.fd = -1, .reader = redisReaderCreate(), .out = demand(DIAL_OUT_OCTETS)};
    if (!d->reader)
        open = dial_fail(d, "out of memory");
    else
        open = *unix_path ? unix_connect(d, unix_path) : place_connect(d, place);
    if (open && tls)
        open = tls_shake(d, place, tls);
    if (!open)
        dial_close(d);
    return open;
}

void dial_close(struct dial *d)
{
    tlsio_close(&d->tls);
    socket_drop(d);
    if (d->reader)
        redisReaderFree(d->reader);
    if (d->out)
        sodium_memzero(d->out, DIAL_OUT_OCTETS);
    free(d->out);
    d->out = NULL;
    d->reader = NULL;
}

/* One step; *n octets are out, or ${events} have to be waited for. */
static bool octets_push(struct dial *d, struct slice octets, size_t *n, short *events)
{
    long sent;
    enum fault f;

    *n = 0;
    *events = 0;
    if (d->tls.ssl) {
        f = tlsio_write(&d->tls, octets, n);
        *events = f == FAULT_AGAIN ? tls_wants(&d->tls) : 0;
        return f == FAULT_NONE || f == FAULT_AGAIN || dial_fail(d, "the connection ended");
    }
    sent = wire_write(d, octets.at, octets.len);
    if (sent == -EAGAIN)
        *events = POLLOUT;
    else if (sent < 0)
        return dial_fail(d, strerror((int)-sent));
    else
        *n = (size_t)sent;
    return true;
}

static bool octets_send(struct dial *d, struct slice octets)
{
    int64_t deadline_ms = clock_mono_ms() + DIAL_TIMEOUT_MS;

    while (octets.len) {
        size_t n;
        short events;

        if (!octets_push(d, octets, &n, &events) || (events && !dial_await(d, events, deadline_ms)))
            return false;
        octets = slice_drop(octets, n);
    }
    return true;
}

/* As octets_push: *n octets came, or ${events} have to be waited for. */
static bool octets_pull(struct dial *d, uint8_t *into, size_t room, size_t *n, short *events)
{
    long got;
    enum fault f;

    *n = 0;
    *events = 0;
    if (d->tls.ssl) {
        f = tlsio_read(&d->tls, (struct iovec){into, room}, n);
        *events = f == FAULT_AGAIN && *n == 0 ? tls_wants(&d->tls) : 0;
        return f == FAULT_NONE || f == FAULT_AGAIN || *n > 0 || dial_fail(d, "the connection ended");
    }
    got = wire_read(d, into, room);
    if (got == -EAGAIN)
        *events = POLLIN;
    else if (got <= 0)
        return dial_fail(d, got ? strerror((int)-got) : "the connection ended");
    else
        *n = (size_t)got;
    return true;
}

/* --- commands and answers ------------------------------------------------------------------------------- */

static bool out_flush(struct dial *d)
{
    size_t n = d->out_len;

    d->out_len = 0;
    return octets_send(d, slice_of(d->out, n));
}

bool dial_send(struct dial *d, struct slice octets)
{
    if (octets.len > DIAL_OUT_OCTETS - d->out_len && !out_flush(d))
        return false;
    if (octets.len > DIAL_OUT_OCTETS)
        return octets_send(d, octets);
    memcpy(d->out + d->out_len, octets.at, octets.len);
    d->out_len += octets.len;
    return true;
}

/* *out is NULL as long as it has not come whole. */
static bool answer_parse(struct dial *d, redisReply **out)
{
    void *reply = NULL;

    if (redisReaderGetReply(d->reader, &reply) != REDIS_OK)
        return dial_fail(d, "the answer is not Redis'");
    *out = reply;
    if (reply)
        d->answer_octets = 0;
    return true;
}

static bool answer_feed(struct dial *d, int64_t deadline_ms)
{
    uint8_t octets[READ_OCTETS];
    size_t n;
    short events;

    if (!octets_pull(d, octets, sizeof octets, &n, &events) ||
        (events && !dial_await(d, events, deadline_ms)))
        return false;
    d->answer_octets += n;
    if (d->answer_octets > DIAL_ANSWER_OCTETS)
        return dial_fail(d, "the answer has no end");
    return n == 0 || redisReaderFeed(d->reader, (const char *)octets, n) == REDIS_OK ||
           dial_fail(d, "the answer is not Redis'");
}

bool dial_take(struct dial *d, redisReply **out)
{
    int64_t deadline_ms;

    if (!out_flush(d))
        return false;
    deadline_ms = clock_mono_ms() + DIAL_TIMEOUT_MS;
    for (;;) {
        if (!answer_parse(d, out))
            return false;
        if (*out)
            return true;
        if (!answer_feed(d, deadline_ms))
            return false;
    }
}

bool dial_ask(struct dial *d, const struct slice *words, size_t n, redisReply **out)
{
    struct slice octets = command_format(words, n);
    bool answered = dial_send(d, octets) && dial_take(d, out);

    command_free(octets);
    return answered;
}

struct slice command_format(const struct slice *words, size_t n)
{
    const char **at = demand(n * sizeof *at);
    size_t *lengths = demand(n * sizeof *lengths);
    char *octets = NULL;
    int len;

    for (size_t i = 0; i < n; i++) {
        at[i] = words[i].len ? (const char *)words[i].at : "";
        lengths[i] = words[i].len;
    }
    len = redisFormatCommandArgv(&octets, (int)n, at, lengths);
    free(lengths);
    free(at);
    if (len < 0) {
        fputs("osbctl: out of memory\n", stderr);
        exit(OUTCOME_FAILED);
    }
    return slice_of(octets, (size_t)len);
}

void command_free(struct slice octets)
{
    if (!octets.at)
        return;
    sodium_memzero((void *)octets.at, octets.len);
    free((void *)octets.at);
}

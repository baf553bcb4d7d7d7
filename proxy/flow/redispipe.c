#include "redispipe.h"
#include "hostpat.h"
#include <errno.h>
#include <ev.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/un.h>
#include <unistd.h>

/* --- the wire below TLS --------------------------------------------------------------------------------- */

static long wire_result(ssize_t n)
{
    if (n >= 0)
        return n;
    return errno == EINTR || errno == EWOULDBLOCK ? -EAGAIN : -errno;
}

static long wire_read(void *cookie, uint8_t *into, size_t room)
{
    struct redispipe *p = cookie;

    if (p->drunk)
        return -EAGAIN;
    p->drunk = true;
    ssize_t n = recv(p->fd, into, room, 0);

    p->brimful = n > 0 && (size_t)n == room;
    return wire_result(n);
}

static long wire_write(void *cookie, const uint8_t *from, size_t len)
{
    const struct redispipe *p = cookie;

    return wire_result(send(p->fd, from, len, MSG_NOSIGNAL));
}

static bool wire_dry(void *cookie)
{
    return ((const struct redispipe *)cookie)->drunk;
}

/* --- beginning ------------------------------------------------------------------------------------------ */

static enum fault tls_begin(struct redispipe *p, SSL_CTX *tls, const char *host)
{
    const struct wire wire = {wire_read, wire_write, wire_dry, p};
    struct host literal;

    return tlsio_client(&p->tls, tls, wire, host, host_literal(slice_text(host), &literal) == FAULT_NONE,
                        false, NULL);
}

const char *redispipe_open(struct redispipe *p, const struct sockaddr_storage *to, socklen_t len,
                           SSL_CTX *tls, const char *host)
{
    const int on = 1;

    *p = REDISPIPE_CLOSED;
    p->fd = socket(to->ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (p->fd < 0)
        return "no socket";
    if (to->ss_family != AF_UNIX) {
        setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        setsockopt(p->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    }
    if (connect(p->fd, (const void *)to, len) != 0 && errno != EINPROGRESS)
        return errno == ENOENT ? "its socket is not there" : "it is refused";
    if (!tls)
        return NULL;
    p->secure = true;
    return tls_begin(p, tls, host) == FAULT_NONE ? NULL : "no memory for TLS";
}

enum fault redispipe_ready(struct redispipe *p, const char **why)
{
    int error = 0;
    socklen_t len = sizeof error;

    p->drunk = false;
    if (!p->connected && (getsockopt(p->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0 || error != 0)) {
        *why = "it is refused";
        return FAULT_STORE_UNAVAILABLE;
    }
    p->connected = true;
    if (!p->secure)
        return FAULT_NONE;
    enum fault fault = tlsio_shake(&p->tls, why);

    return fault == FAULT_NONE || fault == FAULT_AGAIN ? fault : FAULT_STORE_UNAVAILABLE;
}

/* --- octets --------------------------------------------------------------------------------------------- */

static enum fault plain_read(struct redispipe *p, struct iovec room, size_t *n)
{
    long got = wire_read(p, room.iov_base, room.iov_len);

    *n = got > 0 ? (size_t)got : 0;
    if (got > 0 && p->brimful)
        return FAULT_NONE;
    if (got > 0 || got == -EAGAIN)
        return FAULT_AGAIN;
    return got ? FAULT_STORE_UNAVAILABLE : FAULT_END;
}

enum fault redispipe_read(struct redispipe *p, struct iovec room, size_t *n)
{
    p->drunk = p->brimful = false;
    if (!p->secure)
        return plain_read(p, room, n);
    enum fault fault = tlsio_read(&p->tls, room, n);

    if (fault == FAULT_AGAIN && p->brimful)
        return FAULT_NONE;
    if (fault == FAULT_NONE && !redispipe_pending(p))
        return FAULT_AGAIN;
    return fault == FAULT_CLIENT_GONE ? FAULT_STORE_UNAVAILABLE : fault;
}

enum fault redispipe_write(struct redispipe *p, struct buf *out)
{
    struct slice held = buf_held(out);
    size_t n = 0;

    if (held.len == 0)
        return FAULT_NONE;
    if (p->secure) {
        enum fault fault = tlsio_write(&p->tls, held, &n);

        buf_take(out, n);
        return fault == FAULT_NONE || fault == FAULT_AGAIN ? FAULT_NONE : FAULT_STORE_UNAVAILABLE;
    }
    long put = wire_write(p, held.at, held.len);

    if (put > 0)
        buf_take(out, (size_t)put);
    return put > 0 || put == -EAGAIN ? FAULT_NONE : FAULT_STORE_UNAVAILABLE;
}

bool redispipe_pending(const struct redispipe *p)
{
    return p->secure && tlsio_pending(&p->tls);
}

int redispipe_wants(const struct redispipe *p, bool more)
{
    if (!p->connected)
        return EV_WRITE;
    if (p->secure && !p->tls.shaken)
        return p->tls.wants_out ? EV_WRITE : EV_READ;
    return EV_READ | (more ? EV_WRITE : 0);
}

void redispipe_close(struct redispipe *p)
{
    if (p->fd < 0)
        return;
    if (p->secure) {
        tlsio_end(&p->tls);
        tlsio_close(&p->tls);
    }
    close(p->fd);
    *p = REDISPIPE_CLOSED;
}

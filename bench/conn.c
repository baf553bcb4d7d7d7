#include "conn.h"
#include "clock.h"
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <unistd.h>

static uint8_t conn_octets[64 << 10];

void conn_close(struct conn *c)
{
    if (c->state == CONN_CLOSED)
        return;
    ev_io_stop(c->owner->loop, &c->io);
    if (c->ssl) {
        if (!c->unclean && c->state >= CONN_IDLE)
            (void)SSL_shutdown(c->ssl);
        /* Without this OpenSSL takes the session for a bad one and never resumes it. */
        SSL_set_shutdown(c->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
        SSL_free(c->ssl);
    }
    ERR_clear_error();
    close(c->io.fd);
    c->ssl = NULL;
    c->state = CONN_CLOSED;
}

void conn_fail(struct conn *c, enum trouble what, const char *why)
{
    conn_close(c);
    c->owner->failed(c, what, why);
}

/* The kernel's timer may be some nanoseconds ahead of the schedule. */
static void conn_time(struct histogram *h, int64_t since_us)
{
    int64_t now_us = clock_mono_us();

    histogram_add(h, now_us > since_us ? (uint64_t)(now_us - since_us) : 0);
}

static void conn_want(struct conn *c, int events)
{
    if (ev_is_active(&c->io) && (c->io.events & (EV_READ | EV_WRITE)) == events)
        return;
    ev_io_stop(c->owner->loop, &c->io);
    ev_io_set(&c->io, c->io.fd, events);
    ev_io_start(c->owner->loop, &c->io);
}

/* What an OpenSSL call that moved nothing waits for; false: nothing, it failed. */
static bool conn_waits(struct conn *c, int result)
{
    int error = SSL_get_error(c->ssl, result);

    if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) {
        c->unclean = error == SSL_ERROR_SSL || error == SSL_ERROR_SYSCALL;
        return false;
    }
    conn_want(c, error == SSL_ERROR_WANT_WRITE ? EV_READ | EV_WRITE : EV_READ);
    return true;
}

static void conn_shake(struct conn *c)
{
    int done;

    ERR_clear_error();
    done = SSL_do_handshake(c->ssl);
    if (done == 1) {
        c->owner->tally->handshakes++;
        c->owner->tally->resumed += SSL_session_reused(c->ssl) ? 1 : 0;
        conn_time(&c->owner->tally->handshake, c->since_us);
        c->state = CONN_IDLE;
        conn_want(c, EV_READ);
        c->owner->ready(c);
        return;
    }
    if (conn_waits(c, done))
        return;
    if (SSL_get_verify_result(c->ssl) != X509_V_OK)
        conn_fail(c, TROUBLE_VERIFY, X509_verify_cert_error_string(SSL_get_verify_result(c->ssl)));
    else
        conn_fail(c, TROUBLE_HANDSHAKE, ERR_reason_error_string(ERR_peek_error()));
}

static bool conn_tls(struct conn *c)
{
    c->ssl = SSL_new(c->caller->tls);
    if (!c->ssl || SSL_set_fd(c->ssl, c->io.fd) != 1 || SSL_set1_host(c->ssl, c->owner->plan->host) != 1 ||
        SSL_set_tlsext_host_name(c->ssl, c->owner->plan->host) != 1)
        return false;
    SSL_set_app_data(c->ssl, c);
    SSL_set_connect_state(c->ssl);
    return !c->owner->plan->resume || !c->session || SSL_set_session(c->ssl, c->session) == 1;
}

/* --- before the first request --------------------------------------------------------------------------- */
static void conn_secure(struct conn *c)
{
    if (!conn_tls(c)) {
        conn_fail(c, TROUBLE_HANDSHAKE, "it could not be begun");
        return;
    }
    c->state = CONN_SHAKING;
    conn_shake(c);
}

/* RFC 9110 s.9.3.6: host and port, and a 2xx without a body. So short a text goes into an empty socket whole. */
static void conn_ask(struct conn *c)
{
    const struct loadplan *plan = c->owner->plan;
    char text[2 * LOADPLAN_HOST_MAX + 64];
    int n = snprintf(text, sizeof text, "CONNECT %s:%u HTTP/1.1\r\nhost: %s:%u\r\n\r\n", plan->host,
                     plan->port, plan->host, plan->port);

    framing_start(&c->answer, false);
    c->answer.bodiless = true;
    c->state = CONN_ASKING;
    conn_want(c, EV_READ);
    if (send(c->io.fd, text, (size_t)n, MSG_NOSIGNAL) != n)
        conn_fail(c, TROUBLE_BROKEN, "while asking for a tunnel");
}

/* Nobody speaks TLS before we do: all that comes is the answer. */
static void conn_asking(struct conn *c, int events)
{
    ssize_t n = recv(c->io.fd, conn_octets, sizeof conn_octets, 0);
    struct slice in = slice_of(conn_octets, n > 0 ? (size_t)n : 0);
    enum framing_end end = FRAMING_MORE;

    (void)events;
    if (n < 0 && errno == EAGAIN)
        return;
    while (in.len && end == FRAMING_MORE) {
        struct slice body;
        size_t used;

        end = framing_feed(&c->answer, in, &used, &body);
        in = slice_drop(in, used);
    }
    if (n <= 0)
        conn_fail(c, TROUBLE_BROKEN, "before the tunnel was there");
    else if (end == FRAMING_DONE && c->answer.status / 100 != 2)
        conn_fail(c, TROUBLE_STATUS, c->answer.first);
    else if (end == FRAMING_BROKEN || in.len)
        conn_fail(c, TROUBLE_MALFORMED, c->answer.first);
    else if (end == FRAMING_DONE)
        conn_secure(c);
}

static void conn_dialled(struct conn *c, int events)
{
    int error = 0;
    socklen_t len = sizeof error;

    (void)events;
    if (getsockopt(c->io.fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0 || error) {
        conn_fail(c, TROUBLE_CONNECT, strerrorname_np(error ? error : errno));
        return;
    }
    if (c->owner->plan->tunnel)
        conn_ask(c);
    else
        conn_secure(c);
}

static void conn_shaking(struct conn *c, int events)
{
    (void)events;
    conn_shake(c);
}

/* --- requests ------------------------------------------------------------------------------------------- */
/* Write as much of the request as the socket takes. */
static bool conn_write(struct conn *c)
{
    const struct request *r = &c->caller->request;

    while (c->sent < r->octets) {
        struct slice next = request_at(r, c->sent);
        int n = SSL_write(c->ssl, next.at, (int)next.len);

        if (n <= 0) {
            if (conn_waits(c, n))
                return true;
            conn_fail(c, TROUBLE_BROKEN, "while sending");
            return false;
        }
        c->sent += (uint64_t)n;
        c->owner->tally->octets_out += (uint64_t)n;
    }
    conn_want(c, EV_READ);
    return true;
}

void conn_send(struct conn *c)
{
    c->state = CONN_BUSY;
    c->sent = 0;
    c->since_us = clock_mono_us();
    c->answering = false;
    framing_start(&c->answer, false);
    c->answer.bodiless = strcmp(c->owner->plan->method, "HEAD") == 0;
    conn_write(c);
}

static void conn_answered(struct conn *c)
{
    c->owner->tally->requests++;
    c->owner->tally->statuses[c->answer.status]++;
    conn_time(&c->owner->tally->latency, c->due_us);
    if (c->answer.status / 100 != 2)
        tally_trouble(c->owner->tally, TROUBLE_STATUS, c->answer.first);
    /* An answer ahead of the request's end is an answer, but the connection is in the middle of a body. */
    if (c->answer.close || !c->owner->plan->keepalive || c->sent < c->caller->request.octets)
        conn_close(c);
    else
        c->state = CONN_IDLE;
    c->owner->answered(c);
}

static bool conn_take(struct conn *c, struct slice in)
{
    while (in.len) {
        size_t used;
        struct slice body;
        enum framing_end end = framing_feed(&c->answer, in, &used, &body);

        c->owner->tally->body_octets_in += body.len;
        in = slice_drop(in, used);
        if (end == FRAMING_BROKEN || (end == FRAMING_DONE && in.len)) {
            conn_fail(c, TROUBLE_MALFORMED, c->answer.first);
            return false;
        }
        if (end == FRAMING_DONE) {
            conn_answered(c);
            return false;
        }
    }
    return true;
}

/* The other side closed, cleanly or not. */
static void conn_over(struct conn *c, bool clean)
{
    if (c->state == CONN_IDLE) {
        conn_close(c);
        c->owner->ended(c);
    } else if (clean && framing_close(&c->answer) == FRAMING_DONE) {
        c->answer.close = true;
        conn_answered(c);
    } else {
        conn_fail(c, TROUBLE_BROKEN, c->answering ? "in the middle of the answer" : "before the answer");
    }
}

static void conn_read(struct conn *c)
{
    int n;

    while ((n = SSL_read(c->ssl, conn_octets, sizeof conn_octets)) > 0) {
        c->owner->tally->octets_in += (uint64_t)n;
        if (c->state == CONN_IDLE) {
            conn_fail(c, TROUBLE_MALFORMED, "octets that nobody asked for");
            return;
        }
        if (!c->answering)
            conn_time(&c->owner->tally->first_octet, c->due_us);
        c->answering = true;
        if (!conn_take(c, slice_of(conn_octets, (size_t)n)))
            return;
    }
    if (SSL_get_error(c->ssl, n) != SSL_ERROR_WANT_READ) {
        bool clean = SSL_get_error(c->ssl, n) == SSL_ERROR_ZERO_RETURN;

        c->unclean = !clean;
        conn_over(c, clean);
    }
}

static void conn_busy(struct conn *c, int events)
{
    ERR_clear_error();
    if ((events & EV_WRITE) && !conn_write(c))
        return;
    if (events & EV_READ)
        conn_read(c);
}

static void (*const conn_step[CONN_STATES])(struct conn *, int) = {
    [CONN_DIALLING] = conn_dialled, [CONN_ASKING] = conn_asking, [CONN_SHAKING] = conn_shaking,
    [CONN_IDLE] = conn_busy,        [CONN_BUSY] = conn_busy,
};

static void conn_event(struct ev_loop *loop, ev_io *io, int events)
{
    struct conn *c = io->data;

    (void)loop;
    conn_step[c->state](c, events);
}

static bool conn_dial(struct conn *c, int fd)
{
    struct sockaddr_storage peer;
    socklen_t len = endpoint_sockaddr(c->owner->plan->peer, &peer);
    int on = 1;

    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    /* The port is chosen at connect, so that each destination has all ports and not a share of them. */
    (void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    if (c->caller->from_len && bind(fd, (struct sockaddr *)&c->caller->from, c->caller->from_len) != 0)
        return false;
    return connect(fd, (struct sockaddr *)&peer, len) == 0 || errno == EINPROGRESS;
}

void conn_open(struct conn *c)
{
    int fd = socket(c->owner->plan->peer.port && ip_is_v4(c->owner->plan->peer.ip) ? AF_INET : AF_INET6,
                    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    c->since_us = clock_mono_us();
    c->unclean = false;
    c->owner->tally->connections++;
    if (fd < 0 || !conn_dial(c, fd)) {
        const char *why = strerrorname_np(errno);

        if (fd >= 0)
            close(fd);
        c->owner->failed(c, TROUBLE_CONNECT, why);
        return;
    }
    ev_io_init(&c->io, conn_event, fd, EV_WRITE);
    c->io.data = c;
    c->state = CONN_DIALLING;
    ev_io_start(c->owner->loop, &c->io);
}

static int conn_session(SSL *ssl, SSL_SESSION *session)
{
    struct conn *c = SSL_get_app_data(ssl);

    SSL_SESSION_free(c->session);
    c->session = session;
    return 1;
}

void conn_forget(struct conn *c)
{
    SSL_SESSION_free(c->session);
    c->session = NULL;
}

void conn_remember(SSL_CTX *tls)
{
    SSL_CTX_sess_set_new_cb(tls, conn_session);
}

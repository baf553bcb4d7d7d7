#include "upstream.h"
#include "h2up.h"
#include "metric.h"
#include "owner.h"
#include "verdict.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#define DIAL_MS 2000

/* After this long without use a peer may just be closing: look before a request that can't be repeated is sent. */
#define TRUSTED_IDLE_MS 1000

#define TO(state) (1u << UPSTREAM_##state)
static const unsigned upstream_edges[UPSTREAM_STATES] = {
#define STATE(name, edges, meaning) [UPSTREAM_##name] = (edges),
#include "upstream_states.def"
#undef STATE
};

/* The only writer of u->state; the gauges follow from it. */
static void upstream_goto(struct upstream *u, enum upstream_state to)
{
    assert(to == UPSTREAM_GONE || upstream_edges[u->state] & 1u << to);
    if ((u->state == UPSTREAM_IDLE) != (to == UPSTREAM_IDLE)) {
        metric_drop(u->state == UPSTREAM_IDLE ? METRIC_UPSTREAM_IDLE : METRIC_UPSTREAM_BUSY);
        if (to != UPSTREAM_GONE)
            metric_add(to == UPSTREAM_IDLE ? METRIC_UPSTREAM_IDLE : METRIC_UPSTREAM_BUSY, 1);
    } else if (to == UPSTREAM_GONE) {
        metric_drop(METRIC_UPSTREAM_BUSY);
    }
    u->state = to;
}

static void upstream_free(struct buried *b)
{
    struct upstream *u = OWNER(b, struct upstream, buried);

    SSL_SESSION_free(u->session);
    h2up_free(u->many);
    free(u);
}

void upstream_drop(struct upstream *u)
{
    if (u->state == UPSTREAM_GONE)
        return;
    if (u->resolving)
        resolve_cancel(u->resolving);
    deadline_close(&u->deadline);
    /* A clean word of goodbye keeps the other side's logs clean; it costs nothing to those who wait. */
    if (u->many)
        h2up_close(u->many);
    if (u->many || u->state == UPSTREAM_IDLE)
        (void)link_end(&u->link);
    link_close(&u->link);
    upstream_goto(u, UPSTREAM_GONE);
    grave_bury(&u->worker->grave, &u->buried, upstream_free);
}

static void upstream_fail(struct upstream *u, enum fault why, const char *detail)
{
    upstream_drop(u);
    u->told->opened(u, why, detail);
}

static void upstream_ready(struct upstream *u)
{
    bool h2 = u->secure && tlsio_protocol(&u->link.tls) == TLSIO_H2;

    if (h2 && (u->many = h2up_new(u)) == NULL) {
        upstream_fail(u, FAULT_NO_MEMORY, NULL);
        return;
    }
    if (!h2)
        h1stream_open(&u->stream, &u->link, &u->worker->limits, false);
    deadline_close(&u->deadline);
    upstream_goto(u, h2 ? UPSTREAM_SHARED : UPSTREAM_BUSY);
    u->told->opened(u, FAULT_NONE, NULL);
}

static void upstream_shake(struct upstream *u)
{
    const char *why_text = NULL;
    enum fault why = link_shake(&u->link, &why_text);

    if (why == FAULT_AGAIN) {
        link_arm_shake(&u->link);
        return;
    }
    if (why != FAULT_NONE) {
        metric_add(METRIC_TLS_UPSTREAM_FAILED, 1);
        upstream_fail(u, FAULT_UPSTREAM_TLS, why_text);
        return;
    }
    metric_add(tlsio_resumed(&u->link.tls) ? METRIC_TLS_UPSTREAM_RESUMED : METRIC_TLS_UPSTREAM_NEW, 1);
    upstream_ready(u);
}

static enum fault upstream_dial(struct upstream *u);

static void upstream_dial_or_fail(struct upstream *u)
{
    enum fault why = upstream_dial(u);

    if (why != FAULT_AGAIN)
        upstream_fail(u, why, u->detail);
}

/* The socket of a dial became writable: connected, or refused. */
static void upstream_dialled(struct upstream *u)
{
    int error = 0;
    socklen_t len = sizeof error;

    if (getsockopt(u->link.fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0 || error != 0) {
        u->detail = error == ECONNREFUSED ? "connection refused"
                    : error == ETIMEDOUT  ? "connection timed out"
                                          : "no route to it";
        link_close(&u->link);
        upstream_dial_or_fail(u);
        return;
    }
    ev_io_stop(u->worker->loop, &u->link.io);
    if (!u->secure) {
        upstream_ready(u);
        return;
    }
    if (tlsio_client(&u->link.tls, u->worker->client_ctx, link_wire(&u->link), u->host.name, u->host.literal,
                     u->h2, u->session) != FAULT_NONE) {
        upstream_fail(u, FAULT_NO_MEMORY, NULL);
        return;
    }
    u->link.secure = true;
    tlsio_owner_set(&u->link.tls, u);
    upstream_goto(u, UPSTREAM_SHAKE);
    deadline_in(&u->deadline, u->worker->config->connect_timeout_ms);
    upstream_shake(u);
}

static void upstream_event(struct link *l)
{
    struct upstream *u = OWNER(l, struct upstream, link);
    struct lease *user = TAILQ_FIRST(&u->leases);

    if (u->many) {
        h2up_event(u->many);
        return;
    }
    switch (u->state) {
    case UPSTREAM_DIAL:
        upstream_dialled(u);
        break;
    case UPSTREAM_SHAKE:
        upstream_shake(u);
        break;
    case UPSTREAM_BUSY:
        user->user.event(user->user.cookie);
        break;
    case UPSTREAM_IDLE:
        u->told->idle(u);
        break;
    default:
        break;
    }
}

/* An address that does not answer may not keep those behind it from being tried. */
static void dial_deadline(struct upstream *u)
{
    uint64_t whole_ms = u->worker->config->connect_timeout_ms;
    int64_t left_ms = (int64_t)whole_ms - (worker_now_ms(u->worker) - u->began_ms);

    if (left_ms < 1)
        left_ms = 1;
    if (u->next < u->answer.count && (!whole_ms || left_ms > DIAL_MS))
        deadline_in(&u->deadline, DIAL_MS);
    else
        deadline_in(&u->deadline, whole_ms ? (uint64_t)left_ms : 0);
}

/* Try the next address: AGAIN, or why none is left. Which of them may be dialled at all was decided before. */
static enum fault upstream_dial(struct upstream *u)
{
    while (u->next < u->answer.count) {
        struct endpoint to = {u->answer.ip[u->next++], u->port};
        struct sockaddr_storage sa;
        socklen_t len = endpoint_sockaddr(to, &sa);
        int fd = socket(sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

        if (fd < 0)
            return FAULT_OVERLOADED;
        link_open(&u->link, &u->worker->turn, &u->worker->links, fd, upstream_event);
        if (connect(fd, (struct sockaddr *)&sa, len) == 0 || errno == EINPROGRESS) {
            if (u->state != UPSTREAM_DIAL)
                upstream_goto(u, UPSTREAM_DIAL);
            ev_io_set(&u->link.io, fd, EV_WRITE);
            ev_io_start(u->worker->loop, &u->link.io);
            dial_deadline(u);
            return FAULT_AGAIN;
        }
        u->detail = errno == ECONNREFUSED ? "connection refused" : "no route to it";
        link_close(&u->link);
    }
    return FAULT_UPSTREAM_UNREACHABLE;
}

/* Keep the addresses that may be dialled. */
static enum fault upstream_filter(struct upstream *u, const struct resolve_answer *answer)
{
    const struct config *config = u->worker->config;

    u->answer.count = 0;
    for (size_t i = 0; i < answer->count; i++)
        if (u->exempt || verdict_address(answer->ip[i], config->allow_net, config->allow_nets) == FAULT_NONE)
            u->answer.ip[u->answer.count++] = answer->ip[i];
    return u->answer.count ? FAULT_NONE : FAULT_ADDRESS_NOT_ALLOWED;
}

static void upstream_resolved(void *cookie, enum fault why, const struct resolve_answer *answer)
{
    struct upstream *u = cookie;

    u->resolving = NULL;
    if (why == FAULT_NONE)
        why = upstream_filter(u, answer);
    if (why != FAULT_NONE) {
        upstream_fail(u, why, why == FAULT_UPSTREAM_UNREACHABLE ? "the name does not resolve" : NULL);
        return;
    }
    upstream_dial_or_fail(u);
}

static void upstream_late(struct deadline *d)
{
    struct upstream *u = OWNER(d, struct upstream, deadline);
    const struct config *config = u->worker->config;
    bool spent = config->connect_timeout_ms &&
                 worker_now_ms(u->worker) - u->began_ms >= (int64_t)config->connect_timeout_ms;

    if (u->state == UPSTREAM_IDLE) {
        u->told->idle(u);
    } else if (u->state == UPSTREAM_DIAL && u->next < u->answer.count && !spent) {
        u->detail = "connecting took too long";
        link_close(&u->link);
        upstream_dial_or_fail(u);
    } else {
        upstream_fail(u, FAULT_UPSTREAM_TIMEOUT,
                      u->state == UPSTREAM_SHAKE ? "the TLS handshake took too long"
                                                 : "connecting took too long");
    }
}

/* An operator's connect_to, the original destination, or the resolver: where the addresses come from. */
static enum fault upstream_addresses(struct upstream *u, const struct upstream_target *target)
{
    const struct config *config = u->worker->config;
    struct resolve_answer answer = {.count = 1};

    for (size_t i = 0; i < config->connect_tos; i++)
        if (config->connect_to[i].port == target->port &&
            slice_equal(host_name(&config->connect_to[i].host), host_name(target->host))) {
            answer.ip[0] = config->connect_to[i].to.ip;
            u->port = config->connect_to[i].to.port;
            u->exempt = true;
            return upstream_filter(u, &answer);
        }
    if (target->original) {
        answer.ip[0] = target->original->ip;
        return upstream_filter(u, &answer);
    }
    TRY(resolve_name(u->worker->resolver, target->host, &answer, upstream_resolved, u, &u->resolving));
    return upstream_filter(u, &answer);
}

enum fault upstream_open(struct worker *w, const struct upstream_target *target, bool h2,
                         SSL_SESSION *session, struct route *owner, const struct upstream_owner *told,
                         struct upstream **out, const char **detail)
{
    struct upstream *u = calloc(1, sizeof *u);

    if (!u)
        return FAULT_NO_MEMORY;
    u->worker = w;
    u->state = UPSTREAM_RESOLVE;
    u->link.fd = -1;
    u->h2 = h2;
    u->owner = owner;
    u->told = told;
    TAILQ_INIT(&u->leases);
    host_copy(&u->host, target->host);
    u->port = target->port;
    u->secure = target->secure;
    u->began_ms = worker_now_ms(w);
    deadline_open(&u->deadline, w->loop, upstream_late);
    deadline_in(&u->deadline, w->config->connect_timeout_ms);

    enum fault why = upstream_addresses(u, target);

    metric_add(METRIC_UPSTREAM_BUSY, 1);
    if (why == FAULT_NONE)
        why = upstream_dial(u);
    if (why != FAULT_AGAIN) {
        *detail = u->detail;
        upstream_drop(u);
        return why;
    }
    if (session && SSL_SESSION_up_ref(session))
        u->session = session;
    *out = u;
    return FAULT_NONE;
}

void upstream_lend(struct upstream *u)
{
    upstream_goto(u, u->many ? UPSTREAM_SHARED : UPSTREAM_BUSY);
    deadline_close(&u->deadline);
}

void upstream_rest(struct upstream *u)
{
    upstream_goto(u, UPSTREAM_IDLE);
    u->reused = true;
    u->idle_since_ms = worker_now_ms(u->worker);
    if (!u->many)
        h1stream_begin(&u->stream);
    link_arm(&u->link, true);
}

bool upstream_still_open(const struct upstream *u)
{
    uint8_t octet;

    if (worker_now_ms(u->worker) - u->idle_since_ms < TRUSTED_IDLE_MS)
        return true;
    return recv(u->link.fd, &octet, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

bool upstream_reusable(const struct upstream *u)
{
    return u->state == UPSTREAM_BUSY && !u->link.broken && !u->link.eof && !link_unsent(&u->link) &&
           (!u->link.secure || !tlsio_pending(&u->link.tls));
}

#include "conn.h"
#include "answer.h"
#include "h2client.h"
#include "metric.h"
#include "mint.h"
#include "origdst.h"
#include "owner.h"
#include "quota.h"
#include "tell.h"
#include <assert.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define ROUNDS         4 /* of reading and writing, before other connections have their turn */
#define LINGER_MS      2000
#define DRAIN_GRACE_MS 1000
#define LINGER_OCTETS  262144
#define HTTPS_PORT     443
#define HTTP_PORT      80

#define TO(state) (1u << CONN_##state)
static const struct conn_row {
    unsigned edges;
    enum fault late;
} conn_table[CONN_STATES] = {
#define STATE(name, deadline, late, edges, meaning) [CONN_##name] = {edges, FAULT_##late},
#include "conn_states.def"
#undef STATE
};

static uint64_t conn_deadline_ms(const struct conn *c, enum conn_state state)
{
    const struct config *config = c->worker->config;
    const uint64_t handshake_timeout = config->handshake_timeout_ms, head_timeout = config->head_timeout_ms,
                   idle_timeout = config->idle_timeout_ms, linger = LINGER_MS;
    const uint64_t ms[CONN_STATES] = {
#define STATE(name, deadline, late, edges, meaning) [CONN_##name] = deadline,
#include "conn_states.def"
#undef STATE
    };

    /* Who connected just before a drain has a request to send; who had one answered had its turn. */
    if (state == CONN_READY && c->worker->draining && (!ms[state] || ms[state] > DRAIN_GRACE_MS))
        return DRAIN_GRACE_MS;
    return ms[state];
}

/* The only writer of c->state. */
static void conn_goto(struct conn *c, enum conn_state to)
{
    assert(to == CONN_GONE || conn_table[c->state].edges & 1u << to);
    c->state = to;
    if (to != CONN_GONE)
        deadline_in(&c->deadline, conn_deadline_ms(c, to));
}

/* --- the end -------------------------------------------------------------------------------------------- */

static void conn_free(struct buried *b)
{
    struct conn *c = OWNER(b, struct conn, buried);

    free(c->host);
    free(c);
}

static void conn_many_end(struct conn *c, enum fault why)
{
    if (c->many)
        h2client_close(c->many, why == FAULT_NONE ? FAULT_CLIENT_GONE : why);
    c->many = NULL;
}

void conn_drop(struct conn *c, enum fault why)
{
    struct worker *w = c->worker;

    if (c->state == CONN_GONE)
        return;
    conn_goto(c, CONN_GONE);
    if (c->exchange)
        exchange_end(c->exchange, why == FAULT_NONE ? FAULT_CLIENT_GONE : why,
                     c->exchange->answered ? c->exchange->status : 0);
    c->exchange = NULL;
    conn_many_end(c, why);
    who_cancel(&c->wait);
    deadline_close(&c->deadline);
    link_close(&c->link);
    if (c->sandbox) {
        sandbox_leave(c->sandbox, &c->member);
        c->sandbox->conns--;
        if (c->counted)
            quota_connection_end(c->sandbox->quota);
        sandbox_drop(c->sandbox);
        c->sandbox = NULL;
    }
    TAILQ_REMOVE(&w->conns, c, list);
    w->conn_count--;
    metric_drop(METRIC_CONNECTIONS_ACTIVE);
    grave_bury(&w->grave, &c->buried, conn_free);
    w->on_conn_end(w);
}

/* Not a word, not even a clean close: nobody is there who could be told. */
static void conn_reset(struct conn *c, enum fault why)
{
    struct linger now = {1, 0};

    metric_fault(why);
    setsockopt(c->link.fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    conn_drop(c, why);
}

static void member_end(struct member *m, enum fault why)
{
    conn_drop(OWNER(m, struct conn, member), why);
}

/* --- what the client is told by us ---------------------------------------------------------------------- */

static void conn_wake(void *cookie);

struct exchange_client conn_client(const struct conn *c, struct stream *stream, void (*wake)(void *cookie),
                                   void *cookie)
{
    bool plain = c->kind == LISTENER_HTTP;

    return (struct exchange_client){
        .stream = stream,
        .sandbox = c->sandbox,
        .host = plain ? NULL : c->host,
        .port = c->kind == LISTENER_REDIRECT  ? c->original.port
                : c->kind == LISTENER_CONNECT ? c->connect.port
                : plain                       ? HTTP_PORT
                                              : HTTPS_PORT,
        .from = c->client,
        .original = c->original,
        .wake = wake,
        .cookie = cookie,
    };
}

static void audit_refusal(struct conn *c, enum fault why)
{
    struct exchange_client client = conn_client(c, NULL, NULL, NULL);

    tell_audit(c->worker, &(struct telling){.client = &client, .why = why}, 0);
}

static enum fault answer_write(struct conn *c, const struct telling *t, bool *close)
{
    TRY(link_room(&c->link));
    TRY(buf_grow(&c->link.out, LINK_OCTETS + ANSWER_OCTETS));
    return tell(t, close);
}

/* The exchange, or the reading of a request's head, failed. */
static void conn_answer(struct conn *c, enum fault why)
{
    struct exchange *x = c->exchange;
    int status = fault_table[why].status;
    bool body_left = !x || (x->request.body != BODY_NONE && x->up_at != WRITE_DONE);
    bool close = body_left || (x && x->close) || c->refused || c->worker->draining;
    char id[REQUEST_ID];
    struct exchange_client client = conn_client(c, &c->stream.stream, conn_wake, c);
    struct telling t = {&client, x, why, request_id_text(x ? x->id : worker_request_id(c->worker), id)};

    if (status == 0 || (x && x->answered) || answer_write(c, &t, &close) != FAULT_NONE) {
        conn_drop(c, why);
        return;
    }
    if (x) {
        exchange_end(x, why, status);
        c->exchange = NULL;
    } else {
        metric_fault(why);
        tell_audit(c->worker, &t, status);
    }
    if (close) {
        conn_goto(c, CONN_FLUSH);
        return;
    }
    h1stream_begin(&c->stream);
    conn_goto(c, CONN_READY);
}

/* --- the states: each does what it can and says whether the next one can go on at once ------------------ */

static enum fault conn_WHO(struct conn *c)
{
    (void)c;
    return FAULT_AGAIN;
}

/* The ClientHello is read: which name, and which leaf proves it? */
static enum fault conn_hello(void *cookie, struct slice name, X509 **cert, EVP_PKEY **key)
{
    struct conn *c = cookie;
    struct host host;

    if (c->kind == LISTENER_CONNECT) {
        TRY(connect_hello(c->host, name, &host));
    } else if (name.len) {
        if (host_canonical(name, &host) != FAULT_NONE)
            return FAULT_NAME_REFUSED;
    } else {
        char text[IP_TEXT];

        if (c->kind != LISTENER_REDIRECT)
            return FAULT_NAME_REFUSED;
        TRY(host_literal(slice_of(text, ip_text(c->original.ip, text)), &host));
    }
    free(c->host); /* of a hello that was answered with a retry request */
    c->host = host_keep(&host);
    return c->host ? mint_leaf(c->sandbox, c->host, cert, key) : FAULT_NO_MEMORY;
}

static enum fault conn_secure(struct conn *c)
{
    TRY(tlsio_server(&c->link.tls, c->sandbox->server_ctx, link_wire(&c->link), conn_hello, c));
    c->link.secure = true;
    conn_goto(c, CONN_SHAKE);
    return FAULT_NONE;
}

static enum fault conn_TUNNEL(struct conn *c)
{
    TRY(connect_read(&c->connect, &c->link, c->sandbox->record, &c->host));
    TRY(c->refused);
    TRY(connect_grant(&c->link));
    return conn_secure(c);
}

static enum fault conn_SHAKE(struct conn *c)
{
    const char *why_text;
    enum fault why = link_shake(&c->link, &why_text);

    if (why == FAULT_AGAIN)
        return FAULT_AGAIN;
    if (why != FAULT_NONE) {
        metric_add(METRIC_TLS_CLIENT_FAILED, 1);
        metric_fault(why);
        audit_refusal(c, why);
        conn_drop(c, why); /* the alert is out, and HTTP can't be spoken: no answer, whatever the fault */
        return FAULT_AGAIN;
    }
    metric_add(tlsio_resumed(&c->link.tls) ? METRIC_TLS_CLIENT_RESUMED : METRIC_TLS_CLIENT_NEW, 1);
    if (tlsio_protocol(&c->link.tls) == TLSIO_H1) {
        conn_goto(c, CONN_READY);
        return FAULT_NONE;
    }
    why = h2client_open(&c->many, c);
    if (why != FAULT_NONE) {
        metric_fault(why);
        conn_drop(c, why);
        return FAULT_AGAIN;
    }
    conn_goto(c, CONN_SERVE);
    return FAULT_NONE;
}

static enum fault conn_READY(struct conn *c)
{
    /* A client that sends requests and does not read answers gets no further than what is held already. */
    if (buf_held(&c->link.out).len > LINK_OCTETS / 2)
        return FAULT_AGAIN;
    if (!buf_held(&c->link.in).len && (c->link.eof || (c->worker->draining && c->served))) {
        conn_goto(c, CONN_FLUSH);
        return FAULT_NONE;
    }
    if (!buf_held(&c->link.in).len)
        return FAULT_AGAIN;
    conn_goto(c, CONN_HEAD);
    return FAULT_NONE;
}

static enum fault conn_HEAD(struct conn *c)
{
    struct head head HEAD_UNSET;

    TRY(c->stream.stream.ops->head(&c->stream.stream, &head));
    struct exchange_client client = conn_client(c, &c->stream.stream, conn_wake, c);

    c->exchange = exchange_begin(c->worker, &client, &head);
    if (!c->exchange)
        return FAULT_OVERLOADED;
    c->progress = 0;
    c->served = true;
    conn_goto(c, CONN_EXCHANGE);
    return c->refused;
}

static enum fault conn_EXCHANGE(struct conn *c)
{
    struct exchange *x = c->exchange;
    enum fault why = exchange_step(x);

    if (c->state != CONN_EXCHANGE)
        return FAULT_AGAIN; /* it was dropped meanwhile */
    if (x->progress != c->progress) {
        c->progress = x->progress;
        deadline_in(&c->deadline, conn_deadline_ms(c, CONN_EXCHANGE));
    }
    if (why != FAULT_NONE)
        return why;
    bool close = x->close;

    c->exchange = NULL;
    exchange_end(x, FAULT_NONE, x->status);
    if (close) {
        conn_goto(c, CONN_FLUSH);
        return FAULT_NONE;
    }
    h1stream_begin(&c->stream);
    conn_goto(c, CONN_READY);
    return FAULT_NONE;
}

static enum fault conn_SERVE(struct conn *c)
{
    enum fault why = h2client_step(c->many);

    if (why != FAULT_NONE || c->state != CONN_SERVE)
        return FAULT_AGAIN;
    conn_many_end(c, FAULT_NONE);
    conn_goto(c, CONN_FLUSH);
    return FAULT_NONE;
}

static enum fault conn_FLUSH(struct conn *c)
{
    metric_add(METRIC_BYTES_CLIENT_OUT, link_end(&c->link));
    if (c->link.mute)
        return FAULT_CLIENT_GONE;
    if (link_unsent(&c->link))
        return FAULT_AGAIN;
    conn_goto(c, CONN_LINGER);
    return FAULT_NONE;
}

/* Our end is closed; what the client still sends is thrown away, or its kernel would throw our last words away. */
static enum fault conn_LINGER(struct conn *c)
{
    size_t held = buf_held(&c->link.in).len;

    h1stream_begin(&c->stream);
    buf_take(&c->link.in, buf_held(&c->link.in).len);
    c->lingered += held;
    if (c->link.eof || c->lingered > LINGER_OCTETS)
        conn_drop(c, FAULT_NONE);
    return FAULT_AGAIN;
}

static enum fault conn_GONE(struct conn *c)
{
    (void)c;
    return FAULT_AGAIN;
}

static enum fault (*const conn_steps[CONN_STATES])(struct conn *c) = {
#define STATE(name, deadline, late, edges, meaning) [CONN_##name] = conn_##name,
#include "conn_states.def"
#undef STATE
};

/* --- the driver ----------------------------------------------------------------------------------------- */

static void conn_arm(struct conn *c)
{
    if (c->state == CONN_GONE)
        return;
    if (c->state == CONN_SHAKE) {
        link_arm_shake(&c->link);
        return;
    }
    link_arm(&c->link, c->state != CONN_WHO && c->state != CONN_FLUSH &&
                           (c->state != CONN_SERVE || h2client_reads(c->many)));
}

static bool conn_reads(const struct conn *c)
{
    return c->state != CONN_WHO && c->state != CONN_SHAKE && c->state != CONN_GONE;
}

/* Every event, of any source, ends here. */
static void conn_run(struct conn *c)
{
    size_t moved = 1;

    for (int round = 0; moved && round < ROUNDS && c->state != CONN_GONE; round++) {
        moved = 0;
        if (conn_reads(c)) {
            size_t in = link_read(&c->link);

            metric_add(METRIC_BYTES_CLIENT_IN, in);
            moved += in;
            if (c->link.broken) { /* unlike a clean end: nobody is left who would read an answer */
                conn_drop(c, c->link.broken);
                return;
            }
        }
        uint64_t before = c->progress;
        enum fault why = FAULT_NONE;

        while (why == FAULT_NONE)
            why = conn_steps[c->state](c);
        if (c->state == CONN_GONE)
            return;
        if (why == FAULT_END)
            conn_drop(c, FAULT_NONE);
        else if (why != FAULT_AGAIN && why != FAULT_FULL)
            conn_answer(c, why);
        if (conn_reads(c)) {
            size_t out = link_write(&c->link);

            metric_add(METRIC_BYTES_CLIENT_OUT, out);
            moved += out + (c->progress != before);
            if (c->link.mute && c->state != CONN_GONE && c->state != CONN_LINGER)
                conn_drop(c, FAULT_CLIENT_GONE);
        }
    }
    conn_arm(c);
    if (moved && c->state != CONN_GONE)
        link_again(&c->link);
}

static void conn_event(struct link *l)
{
    conn_run(OWNER(l, struct conn, link));
}

static void conn_wake(void *cookie)
{
    conn_run(cookie);
}

static void conn_late(struct deadline *d)
{
    struct conn *c = OWNER(d, struct conn, deadline);
    enum fault why = conn_table[c->state].late;
    bool unread = link_unsent(&c->link);

    if (c->state == CONN_SERVE) {
        h2client_late(c->many);
        conn_run(c);
        return;
    }
    if (c->state == CONN_EXCHANGE)
        why = c->exchange->answered && unread ? FAULT_CLIENT_SLOW : exchange_late(c->exchange);
    if (c->state == CONN_READY && !unread) {
        conn_goto(c, CONN_FLUSH); /* it only idled: a clean end */
    } else if (why == FAULT_CLIENT_SLOW) {
        if (c->state == CONN_SHAKE)
            audit_refusal(c, why);
        if (!c->exchange && c->state != CONN_LINGER)
            metric_fault(why);
        conn_drop(c, why);
        return;
    } else {
        conn_answer(c, why);
    }
    conn_run(c);
}

/* --- the beginning -------------------------------------------------------------------------------------- */

/* More connections than allowed are told so, a few of them; what comes beyond is reset, or telling would be the load. */
static enum fault conn_count(struct conn *c)
{
    uint64_t most = c->worker->config->sandbox_connections, now = quota_connection(c->sandbox->quota);

    c->counted = true;
    if (most == 0 || now <= most)
        return FAULT_NONE;
    metric_add(METRIC_CONNECTIONS_LIMITED, 1);
    return now > most + most / 8 + 8 ? FAULT_TOO_MANY_CONNECTIONS
                                     : (c->refused = FAULT_TOO_MANY_CONNECTIONS, FAULT_NONE);
}

/* The sandbox is known: its connection begins. */
static enum fault conn_start(struct conn *c, struct sandbox *s)
{
    c->sandbox = sandbox_hold(s);
    c->sandbox->conns++;
    c->member = (struct member){.end = member_end, .from = &c->client.ip};
    sandbox_join(s, &c->member);
    TRY(conn_count(c));
    metric_add(METRIC_CONNECTIONS_SERVED, 1);
    census_connection(&s->census, s->id, worker_now_ms(c->worker));
    h1stream_open(&c->stream, &c->link, &c->worker->limits, true);
    if (c->kind != LISTENER_HTTP && c->kind != LISTENER_CONNECT)
        return conn_secure(c);
    conn_goto(c, c->kind == LISTENER_HTTP ? CONN_READY : CONN_TUNNEL);
    return FAULT_NONE;
}

static void conn_known(struct conn *c, enum fault why, struct sandbox *s)
{
    if (why == FAULT_NONE)
        why = conn_start(c, s);
    if (why == FAULT_NONE) {
        conn_run(c);
        return;
    }
    if (why == FAULT_UNKNOWN_SOURCE)
        metric_add(METRIC_CONNECTIONS_UNKNOWN, 1);
    if (why == FAULT_STORE_UNAVAILABLE)
        metric_add(METRIC_CONNECTIONS_NO_RECORD, 1);
    if (why != FAULT_UNKNOWN_SOURCE || who_tell(c->worker->who, c->client.ip))
        audit_refusal(c, why);
    conn_reset(c, why);
}

static void conn_waited(struct who_wait *wait, enum fault why, struct sandbox *s)
{
    conn_known(OWNER(wait, struct conn, wait), why, s);
}

void conn_open(struct worker *w, int fd, struct endpoint from, enum listener_kind kind)
{
    struct conn *c = calloc(1, sizeof *c);
    struct sandbox *s = NULL;

    if (!c) {
        close(fd);
        return;
    }
    c->worker = w;
    c->kind = kind;
    c->client = from;
    c->wait.fn = conn_waited;
    link_open(&c->link, &w->turn, &w->links, fd, conn_event);
    deadline_open(&c->deadline, w->loop, conn_late);
    deadline_in(&c->deadline, conn_deadline_ms(c, CONN_WHO));
    TAILQ_INSERT_TAIL(&w->conns, c, list);
    w->conn_count++;
    metric_add(METRIC_CONNECTIONS_ACTIVE, 1);

    bool sent_here = kind == LISTENER_DIRECT || kind == LISTENER_CONNECT;
    enum fault why = sent_here ? FAULT_NONE : origdst_get(fd, &c->original);

    if (why != FAULT_NONE && kind == LISTENER_REDIRECT) {
        metric_add(METRIC_CONNECTIONS_DIRECT, 1);
        audit_refusal(c, why);
        conn_reset(c, why);
        return;
    }
    why = who_ask(w->who, from.ip, &c->wait, &s);
    if (why != FAULT_AGAIN)
        conn_known(c, why, s);
}

void conn_drain(struct conn *c)
{
    if (c->state != CONN_READY && c->state != CONN_SERVE)
        return;
    if (c->state == CONN_READY)
        deadline_in(&c->deadline, conn_deadline_ms(c, CONN_READY));
    conn_run(c);
}

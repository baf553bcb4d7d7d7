#include "h2client.h"
#include "conn.h"
#include "h2stream.h"
#include "metric.h"
#include "owner.h"
#include "quota.h"
#include "tell.h"
#include <stdlib.h>

#define GUESTS_A_TURN     64
#define DRAIN_GRACE_MS    1000 /* what was sent before the client heard of it is still served */
#define STREAMS_EACH_CONN 4    /* of a sandbox, on this worker, for each connection that it may have */

/* What a sandbox' clients may reset on all their connections together. */
static const struct quota_rate reset_rate = {2000, 200};

enum guest_state { GUEST_HEAD, GUEST_EXCHANGE, GUEST_TELL, GUEST_FLUSH };

/* One stream's request and answer. */
struct guest {
    struct h2stream stream; /* first */
    struct h2client *many;
    enum guest_state state;
    enum fault why; /* TELL: what */
    struct exchange *exchange;
    uint64_t id;       /* of the request, where no exchange stands for it */
    uint64_t progress; /* of the exchange, when last looked */
    struct deadline deadline;
    bool queued;
    TAILQ_ENTRY(guest) list, ready;
    struct buried buried;
};

/* What the connection as a whole waits for: its deadline. */
enum patience { PATIENCE_NONE, PATIENCE_IDLE, PATIENCE_HEAD, PATIENCE_GRACE, PATIENCE_BUSY };

struct h2client {
    struct h2 h2;
    struct conn *conn;
    TAILQ_HEAD(, guest) guests, ready;
    size_t guest_count;
    enum patience patience;
    int64_t noticed_ms; /* when the client was told that an end is near; 0: it was not */
    bool leaving;       /* no new stream is served any more */
    bool failed;        /* all of it, not one stream alone */
    bool closed;        /* only the memory is left */
    struct buried buried;
};

static void guest_ready(struct guest *g)
{
    if (g->queued)
        return;
    g->queued = true;
    TAILQ_INSERT_TAIL(&g->many->ready, g, ready);
}

static void guest_wake(void *cookie)
{
    struct guest *g = cookie;

    guest_ready(g);
    link_again(&g->many->conn->link);
}

/* --- the end of a stream ---------------------------------------------------------------------------------- */

static void guest_free(struct buried *b)
{
    free(OWNER(b, struct guest, buried));
}

/* The stream is over for us; ${code}: why, where the client does not know yet. */
static void guest_leave(struct guest *g, uint32_t code)
{
    struct h2client *m = g->many;

    h2stream_close(&g->stream, code);
    deadline_close(&g->deadline);
    TAILQ_REMOVE(&m->guests, g, list);
    if (g->queued)
        TAILQ_REMOVE(&m->ready, g, ready);
    m->guest_count--;
    m->conn->sandbox->streams--;
    grave_bury(&m->conn->worker->grave, &g->buried, guest_free);
}

static uint32_t code_of(enum fault why)
{
    switch (fault_table[why].blame) {
    case BLAME_UPSTREAM:
    case BLAME_LOCAL:
        return H2_INTERNAL_ERROR;
    default:
        return why == FAULT_BAD_REQUEST ? H2_PROTOCOL_ERROR : H2_CANCEL;
    }
}

/* Words for one guest: they point to each other, so they stay where they are. */
struct words {
    struct exchange_client client;
    char id[REQUEST_ID];
    struct telling telling;
};

static const struct telling *guest_words(struct guest *g, enum fault why, struct words *w)
{
    struct exchange *x = g->exchange;

    w->client = conn_client(g->many->conn, &g->stream.stream, guest_wake, g);
    w->telling = (struct telling){&w->client, x, why, request_id_text(x ? x->id : g->id, w->id)};
    return &w->telling;
}

/* One line and one count for every request, told or not. */
static void guest_account(struct guest *g, const struct telling *t, int status)
{
    struct exchange *x = g->exchange;

    g->exchange = NULL;
    if (x) {
        exchange_end(x, t->why, status);
        return;
    }
    metric_fault(t->why);
    tell_audit(g->many->conn->worker, t, status);
}

/* It ends without an answer of ours; what is answered already was accounted for. */
static void guest_reset(struct guest *g, enum fault why)
{
    struct words words;

    if (g->state != GUEST_FLUSH)
        guest_account(g, guest_words(g, why, &words),
                      g->exchange && g->exchange->answered ? g->exchange->status : 0);
    guest_leave(g, code_of(why));
}

/* --- the steps of a stream: each says whether the next one can go on at once --------------------------------- */

static void guest_await(struct guest *g)
{
    deadline_in(&g->deadline, g->many->conn->worker->config->idle_timeout_ms);
}

static void guest_refused(struct guest *g, enum fault why)
{
    if (fault_table[why].status == 0 || (g->exchange && g->exchange->answered)) {
        guest_reset(g, why);
        return;
    }
    g->why = why;
    g->state = GUEST_TELL;
    guest_await(g);
}

static enum fault guest_HEAD(struct guest *g)
{
    struct conn *c = g->many->conn;
    struct head head HEAD_UNSET;

    TRY(g->stream.stream.ops->head(&g->stream.stream, &head));
    struct exchange_client client = conn_client(c, &g->stream.stream, guest_wake, g);

    g->exchange = exchange_begin(c->worker, &client, &head);
    if (!g->exchange)
        return FAULT_OVERLOADED;
    g->state = GUEST_EXCHANGE;
    guest_await(g);
    return c->refused;
}

static enum fault guest_EXCHANGE(struct guest *g)
{
    struct exchange *x = g->exchange;
    enum fault why = exchange_step(x);

    if (g->exchange != x)
        return FAULT_AGAIN;           /* all was ended meanwhile */
    if (x->progress != g->progress) { /* what moved made room: it may go on when the others had their turn */
        g->progress = x->progress;
        guest_await(g);
        guest_ready(g);
    }
    TRY(why);
    g->exchange = NULL;
    exchange_end(x, FAULT_NONE, x->status);
    g->state = GUEST_FLUSH;
    guest_await(g);
    return FAULT_NONE;
}

static enum fault guest_TELL(struct guest *g)
{
    struct words words;
    const struct telling *t = guest_words(g, g->why, &words);
    bool close = false;

    enum fault why = tell(t, &close);

    if (why == FAULT_FULL)
        return FAULT_AGAIN;
    if (why != FAULT_NONE) {
        guest_reset(g, g->why);
        return FAULT_AGAIN;
    }
    guest_account(g, t, fault_table[g->why].status);
    g->state = GUEST_FLUSH;
    guest_await(g);
    return FAULT_NONE;
}

/* A request that is not whole has nowhere to go any more, so its client is told to stop: RFC 9113 s.8.1. */
static enum fault guest_FLUSH(struct guest *g)
{
    if (h2stream_closed(&g->stream) || h2stream_sent(&g->stream))
        guest_leave(g, H2_NO_ERROR);
    return FAULT_AGAIN;
}

static enum fault (*const guest_steps[])(struct guest *g) = {
    [GUEST_HEAD] = guest_HEAD,
    [GUEST_EXCHANGE] = guest_EXCHANGE,
    [GUEST_TELL] = guest_TELL,
    [GUEST_FLUSH] = guest_FLUSH,
};

static void guest_run(struct guest *g)
{
    enum fault why = FAULT_NONE;

    if (h2stream_closed(&g->stream) && g->state != GUEST_FLUSH) {
        guest_reset(g, h2stream_gone(&g->stream));
        return;
    }
    do {
        while (why == FAULT_NONE)
            why = guest_steps[g->state](g);
        if (why == FAULT_AGAIN || why == FAULT_FULL)
            return; /* and it may have left */
        guest_refused(g, why);
        why = FAULT_NONE;
    } while (g->state == GUEST_TELL);
}

static void guest_late(struct deadline *d)
{
    struct guest *g = OWNER(d, struct guest, deadline);
    struct exchange *x = g->exchange;

    link_again(&g->many->conn->link);
    if (g->state == GUEST_FLUSH)
        metric_fault(FAULT_CLIENT_SLOW);
    if (g->state != GUEST_EXCHANGE) {
        guest_reset(g, g->state == GUEST_TELL ? g->why : FAULT_CLIENT_SLOW);
        return;
    }
    guest_refused(g, x->answered && h2stream_unsent(&g->stream) ? FAULT_CLIENT_SLOW : exchange_late(x));
    if (g->state == GUEST_TELL)
        guest_ready(g);
}

static struct h2stream *guest_new(void *cookie)
{
    struct h2client *m = cookie;
    struct worker *w = m->conn->worker;
    uint64_t most = w->config->sandbox_connections * STREAMS_EACH_CONN;
    struct guest *g;

    if (most && m->conn->sandbox->streams >= most)
        return NULL;
    g = calloc(1, sizeof *g);
    if (!g)
        return NULL;
    g->many = m;
    g->id = worker_request_id(w);
    deadline_open(&g->deadline, w->loop, guest_late);
    guest_await(g); /* its head may be refused below us, and the reset find no room */
    TAILQ_INSERT_TAIL(&m->guests, g, list);
    m->guest_count++;
    m->conn->sandbox->streams++;
    return &g->stream;
}

/* --- the connection ------------------------------------------------------------------------------------------ */

static enum fault client_room(void *cookie, struct buf **out)
{
    struct link *l = &((struct h2client *)cookie)->conn->link;

    TRY(link_room(l));
    *out = &l->out;
    return buf_held(&l->out).len > LINK_BULK_OCTETS ? FAULT_FULL : FAULT_NONE;
}

static bool reset_granted(void *cookie)
{
    const struct conn *c = ((struct h2client *)cookie)->conn;

    return quota_take(c->sandbox->quota, QUOTA_RESET, reset_rate, worker_now_ms(c->worker)) == 0;
}

enum fault h2client_open(struct h2client **out, struct conn *c)
{
    struct h2client *m = calloc(1, sizeof *m);
    const struct h2_limits limits = {&c->worker->limits, H2CLIENT_STREAMS};
    const struct h2_owner owner = {m, guest_new, client_room, reset_granted};
    enum fault why;

    if (!m)
        return FAULT_NO_MEMORY;
    m->conn = c;
    TAILQ_INIT(&m->guests);
    TAILQ_INIT(&m->ready);
    why = h2_open(&m->h2, H2_SERVER, &limits, &owner, worker_now_ms(c->worker));
    if (why != FAULT_NONE) {
        free(m);
        return why;
    }
    *out = m;
    return FAULT_NONE;
}

static void client_leave(struct h2client *m)
{
    if (!m->leaving)
        h2_goaway(&m->h2, false);
    m->leaving = true;
}

/* All of it failed, and not one stream alone: one line says so, and each request that was under way has its own. */
static void client_fail(struct h2client *m, enum fault why)
{
    struct exchange_client client = conn_client(m->conn, NULL, NULL, NULL);
    struct guest *g;

    if (m->failed)
        return;
    m->failed = true;
    metric_fault(why);
    tell_audit(m->conn->worker, &(struct telling){.client = &client, .why = why}, 0);
    h2_end(&m->h2, why);
    m->leaving = true;
    while ((g = TAILQ_FIRST(&m->guests)))
        guest_reset(g, FAULT_CLIENT_GONE);
}

static enum fault client_feed(struct h2client *m)
{
    struct link *l = &m->conn->link;
    struct slice in = buf_held(&l->in);

    if (in.len == 0 || !h2client_reads(m))
        return FAULT_NONE;
    enum fault why = h2_feed(&m->h2, in, worker_now_ms(m->conn->worker));

    buf_take(&l->in, in.len);
    return why;
}

/* Without its half a client can give no more credit, nor say that it has gone. */
static void client_ended(struct h2client *m)
{
    struct guest *g;

    m->leaving = true; /* a farewell is not said to one who has left */
    while ((g = TAILQ_FIRST(&m->guests)))
        guest_reset(g, FAULT_CLIENT_GONE);
}

static void client_serve(struct h2client *m)
{
    for (int n = 0; !m->closed; n++) {
        struct h2stream *s;
        struct guest *g;

        while ((s = h2_next_ready(&m->h2)))
            guest_ready((struct guest *)(void *)s);
        g = TAILQ_FIRST(&m->ready);
        if (!g)
            return;
        if (n == GUESTS_A_TURN) {
            link_again(&m->conn->link);
            return;
        }
        g->queued = false;
        TAILQ_REMOVE(&m->ready, g, ready);
        guest_run(g);
    }
}

static void client_await(struct h2client *m)
{
    const struct worker *w = m->conn->worker;

    if ((m->conn->refused && m->guest_count) ||
        (m->noticed_ms && worker_now_ms(w) - m->noticed_ms >= DRAIN_GRACE_MS))
        client_leave(m);
    enum patience now = h2_mid_head(&m->h2)          ? PATIENCE_HEAD
                        : w->draining && !m->leaving ? PATIENCE_GRACE
                        : m->guest_count == 0        ? PATIENCE_IDLE
                                                     : PATIENCE_BUSY;
    const uint64_t ms[] = {[PATIENCE_IDLE] = w->config->idle_timeout_ms,
                           [PATIENCE_HEAD] = w->config->head_timeout_ms,
                           [PATIENCE_GRACE] = DRAIN_GRACE_MS,
                           [PATIENCE_BUSY] = 0};

    if (now == m->patience)
        return;
    m->patience = now;
    deadline_in(&m->conn->deadline, ms[now]);
    if (now == PATIENCE_GRACE && !m->noticed_ms) {
        m->noticed_ms = worker_now_ms(w);
        h2_goaway(&m->h2, true);
    }
}

/* What there is to say, into link.out; the farewell to one who is at fault has room of its own. */
static void client_drain(struct h2client *m)
{
    struct link *l = &m->conn->link;

    if (m->failed ? buf_grow(&l->out, buf_held(&l->out).len + LINK_OCTETS) != FAULT_NONE : !h2client_reads(m))
        return;
    if (h2_drain(&m->h2, &l->out) == FAULT_FULL)
        l->bulk_out = true;
    if (!buf_held(&l->out).len)
        buf_close(&l->out);
}

enum fault h2client_step(struct h2client *m)
{
    struct link *l = &m->conn->link;
    enum fault why = client_feed(m);

    if (why != FAULT_NONE)
        client_fail(m, why);
    client_serve(m);
    if (m->closed)
        return FAULT_AGAIN;
    if (l->eof && !buf_held(&l->in).len)
        client_ended(m);
    client_await(m);
    if (link_room(l) != FAULT_NONE)
        client_fail(m, FAULT_NO_MEMORY);
    else
        client_drain(m);
    if (h2_why(&m->h2) != FAULT_NONE) /* what is sent may be what a client provoked too often */
        client_fail(m, h2_why(&m->h2));
    if (!TAILQ_EMPTY(&m->h2.ready))
        link_again(&m->conn->link);
    return m->guest_count == 0 && (m->leaving || h2_over(&m->h2)) ? FAULT_NONE : FAULT_AGAIN;
}

/* Between these two lie frames of a whole drain, so that reading always goes on before the next one. */
bool h2client_reads(const struct h2client *m)
{
    return buf_held(&m->conn->link.out).len <= LINK_BULK_OCTETS / 2;
}

void h2client_late(struct h2client *m)
{
    if (m->patience == PATIENCE_HEAD)
        client_fail(m, FAULT_CLIENT_SLOW);
    else
        client_leave(m);
}

static void client_free(struct buried *b)
{
    free(OWNER(b, struct h2client, buried));
}

void h2client_close(struct h2client *m, enum fault why)
{
    struct guest *g;

    m->closed = true;
    while ((g = TAILQ_FIRST(&m->guests)))
        guest_reset(g, why);
    h2_close(&m->h2);
    grave_bury(&m->conn->worker->grave, &m->buried, client_free);
}

#include "h2up.h"
#include "metric.h"
#include "owner.h"
#include <stdlib.h>

#define SILENT_MS 1000 /* less says nothing about a host */
#define ROUNDS    4    /* of filling what then leaves in one system call */

struct h2up {
    struct h2 h2;
    struct upstream *upstream;
    struct soon soon;
    int64_t heard_ms; /* when octets came last */
    bool served;      /* an answer came whole */
    bool ended;       /* nothing comes any more */
    bool avoided;     /* no exchange joins any more */
};

static struct worker *worker_of(const struct h2up *m)
{
    return m->upstream->worker;
}

static bool gone(const struct h2up *m)
{
    return m->upstream->state == UPSTREAM_GONE;
}

void h2up_soon(struct h2up *m)
{
    turn_soon(&worker_of(m)->turn, &m->soon);
}

/* --- who is told ---------------------------------------------------------------------------------------- */

static void lease_wake(struct lease *l)
{
    l->user.event(l->user.cookie);
}

/* Each stream that something happened to tells its exchange, which may end any other, or the connection. */
static bool ready_wake(struct h2up *m)
{
    struct h2stream *s;
    bool any = false;

    while (!gone(m) && (s = h2_next_ready(&m->h2))) {
        lease_wake(OWNER(s, struct lease, own));
        any = true;
    }
    return any;
}

/* The same for all of them. Who is told goes to the back, so whoever leaves meanwhile, none is left out. */
static void all_wake(struct h2up *m)
{
    struct leases *leases = &m->upstream->leases;
    struct lease *l;
    unsigned count = 0;

    TAILQ_FOREACH (l, leases, list)
        count++;
    for (; count > 0 && (l = TAILQ_FIRST(leases)); count--) {
        TAILQ_REMOVE(leases, l, list);
        TAILQ_INSERT_TAIL(leases, l, list);
        lease_wake(l);
    }
}

/* Whoever leads this connection may now have place for others, or none any more. */
static void room_tell(struct h2up *m)
{
    struct upstream *u = m->upstream;

    if (u->state == UPSTREAM_IDLE && !h2up_usable(m))
        u->told->idle(u);
    else if (!gone(m))
        u->told->room(u);
}

/* --- octets --------------------------------------------------------------------------------------------- */

static enum fault out_room(void *cookie, struct buf **out)
{
    struct link *l = &((struct h2up *)cookie)->upstream->link;

    TRY(link_room(l));
    *out = &l->out;
    return buf_held(&l->out).len > LINK_BULK_OCTETS ? FAULT_FULL : FAULT_NONE;
}

static enum fault frames_put(struct h2up *m)
{
    struct buf *out;

    TRY(out_room(m, &out));
    return h2_drain(&m->h2, out);
}

/* What the streams have not got, they will not get. The last word says why. */
static void connection_end(struct h2up *m)
{
    if (frames_put(m) == FAULT_NONE)
        metric_add(METRIC_BYTES_UPSTREAM_OUT, link_write(&m->upstream->link));
    m->ended = true;
    h2_close(&m->h2);
}

static void octets_take(struct h2up *m)
{
    struct link *l = &m->upstream->link;
    size_t in = link_read(l);
    int64_t now_ms = worker_now_ms(worker_of(m));

    metric_add(METRIC_BYTES_UPSTREAM_IN, in);
    if (in)
        m->heard_ms = now_ms;
    if (!m->ended && in && h2_feed(&m->h2, buf_held(&l->in), now_ms) != FAULT_NONE)
        connection_end(m);
    buf_take(&l->in, buf_held(&l->in).len);
    if (!m->ended && (l->eof || l->broken))
        connection_end(m);
}

void h2up_event(struct h2up *m)
{
    octets_take(m);
    h2up_soon(m);
    if (m->ended)
        all_wake(m);
    else
        ready_wake(m);
    room_tell(m);
}

/* The frames of all streams; who then has room again writes more. False: something may be left to send. */
static bool turn_put(struct h2up *m)
{
    for (int round = 0; round < ROUNDS; round++) {
        enum fault why = frames_put(m);

        if (why != FAULT_NONE && why != FAULT_FULL) {
            connection_end(m);
            all_wake(m);
            return true;
        }
        bool woke = ready_wake(m);

        if (why == FAULT_FULL)
            return false;
        if (!woke || gone(m))
            return true;
    }
    return false;
}

/* Once a turn. */
static void h2up_turn(struct soon *s)
{
    struct h2up *m = OWNER(s, struct h2up, soon);
    struct link *l = &m->upstream->link;
    bool done = m->ended || turn_put(m);

    if (!gone(m) && !m->ended && h2_over(&m->h2)) {
        connection_end(m);
        all_wake(m);
    }
    if (gone(m))
        return;
    turn_forget(&worker_of(m)->turn, s);
    metric_add(METRIC_BYTES_UPSTREAM_OUT, link_write(l));
    if (!buf_held(&l->out).len)
        buf_close(&l->out); /* it was opened for what there might have been */
    if (!done && !link_unsent(l))
        h2up_soon(m);
    /* Who does not take what we say is not asked for more to answer. */
    link_arm(l, !m->ended && buf_held(&l->out).len <= LINK_BULK_OCTETS / 2);
    room_tell(m);
}

/* --- exchanges on it ------------------------------------------------------------------------------------ */

bool h2up_usable(const struct h2up *m)
{
    return !m->ended && !m->avoided && !h2_draining(&m->h2) && !h2_over(&m->h2);
}

bool h2up_greeted(const struct h2up *m)
{
    return m->h2.greeted;
}

unsigned h2up_slots(const struct h2up *m)
{
    unsigned slots = h2up_usable(m) ? h2_slots(&m->h2) : 0;

    if (m->h2.greeted || slots == 0)
        return slots;
    return TAILQ_EMPTY(&m->upstream->leases);
}

bool h2up_ended(const struct h2up *m)
{
    return m->ended;
}

bool h2up_strange(const struct h2up *m)
{
    return m->ended && !m->served && h2_why(&m->h2) != FAULT_NONE;
}

void h2up_avoid(struct h2up *m)
{
    m->avoided = true;
}

enum fault h2up_join(struct h2up *m, struct lease *l)
{
    TRY(h2stream_open(&l->own, &m->h2));
    l->stream = &l->own.stream;
    l->joined_ms = worker_now_ms(worker_of(m));
    return FAULT_NONE;
}

/* Given up, and not an octet of any stream came meanwhile: who comes next should not find out the same. */
static bool went_silent(const struct h2up *m, const struct lease *l)
{
    bool given_up = !l->own.whole_in && !h2stream_closed(&l->own);

    return given_up && m->heard_ms < l->joined_ms && worker_now_ms(worker_of(m)) - l->joined_ms >= SILENT_MS;
}

void h2up_leave(struct h2up *m, struct lease *l)
{
    m->served = m->served || l->own.whole_in;
    m->avoided = m->avoided || went_silent(m, l);
    h2stream_close(&l->own, H2_CANCEL);
    h2up_soon(m);
}

/* --- from its beginning to its end ---------------------------------------------------------------------- */

struct h2up *h2up_new(struct upstream *u)
{
    struct h2up *m = calloc(1, sizeof *m);
    const struct h2_limits limits = {.head = &u->worker->limits, .streams = H2UP_STREAMS};
    const struct h2_owner owner = {.cookie = m, .room = out_room};

    if (!m)
        return NULL;
    m->upstream = u;
    m->soon.run = h2up_turn;
    m->heard_ms = worker_now_ms(u->worker);
    if (h2_open(&m->h2, H2_CLIENT, &limits, &owner, m->heard_ms) != FAULT_NONE) {
        free(m);
        return NULL;
    }
    h2up_soon(m);
    return m;
}

void h2up_close(struct h2up *m)
{
    turn_forget(&worker_of(m)->turn, &m->soon);
    if (m->ended)
        return;
    h2_goaway(&m->h2, false);
    connection_end(m);
}

void h2up_free(struct h2up *m)
{
    free(m);
}

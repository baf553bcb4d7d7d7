#include "clock.h"
#include "conn.h"
#include "diag.h"
#include "keys.h"
#include "mark.h"
#include "metric.h"
#include "quota.h"
#include "tlsio.h"
#include "tlsmem.h"
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <sodium.h>
#include <stdlib.h>
#include <unistd.h>

#define ACCEPTS_A_TURN    64
#define ACCEPT_PAUSE_S    0.1 /* after a failure that only time can mend: no descriptors, no memory */
#define BUFFERS_KEPT      1024
#define BULK_BUFFERS_KEPT 64
#define SWEEP_S           1.0
#define ARENA_OCTETS      ((size_t)64 * 1024 * 1024)

struct door {
    ev_io io;
    struct worker *worker;
    enum listener_kind kind;
};

/* The worker, and what only this file needs of it. */
struct building {
    struct worker worker; /* first */
    struct door *doors;
    size_t door_count;
    ev_timer pause, drain_end, patience, sweep;
    ev_check turn;
    bool opened; /* the doors, for the first time */
    ev_signal term;
};

static struct building *building_of(struct worker *w)
{
    return (struct building *)(void *)w;
}

enum fault worker_pages_open(void)
{
    TRY(metric_open(WORKER_ROWS + 1));
    TRY(mark_open());
    TRY(census_open());
    return quota_open(WORKER_ROWS);
}

void worker_pages_free_row(unsigned row)
{
    metric_gauges_reset(row);
    quota_row_free(row);
}

/* --- accepting ------------------------------------------------------------------------------------------ */

static void doors_open(struct building *b)
{
    for (size_t i = 0; i < b->door_count; i++)
        ev_io_start(b->worker.loop, &b->doors[i].io);
}

static void doors_close(struct building *b)
{
    for (size_t i = 0; i < b->door_count; i++)
        ev_io_stop(b->worker.loop, &b->doors[i].io);
}

/*
 * The first connection waits in the kernel's queue until it is known whether Redis answers: it would be reset otherwise. But
 * not longer than a command may take.
 */
static void doors_open_first(struct worker *w)
{
    struct building *b = building_of(w);

    if (b->opened || w->draining)
        return;
    b->opened = true;
    ev_timer_stop(w->loop, &b->patience);
    doors_open(b);
}

static void turn_begins(struct ev_loop *loop, ev_check *check, int events)
{
    (void)loop;
    (void)check;
    (void)events;
    clock_turn();
}

static void sweep_due(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct worker *w = timer->data;

    (void)loop;
    (void)events;
    links_sweep(&w->links);
    exchange_trim(false);
    buf_trim();
    tlsmem_trim();
}

static void patience_over(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    doors_open_first(timer->data);
}

static void pause_over(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct building *b = timer->data;

    (void)loop;
    (void)events;
    if (!b->worker.draining)
        doors_open(b);
}

static bool worker_full(const struct worker *w)
{
    return w->conn_most && w->conn_count >= w->conn_most;
}

static void door_event(struct ev_loop *loop, ev_io *io, int events)
{
    struct door *d = io->data;
    struct building *b = building_of(d->worker);

    (void)events;
    for (int i = 0; i < ACCEPTS_A_TURN; i++) {
        struct sockaddr_storage sa;
        socklen_t len = sizeof sa;
        struct endpoint from;

        if (worker_full(d->worker)) {
            doors_close(b); /* conn_ended opens them again; until then clients wait in the kernel's queue */
            return;
        }
        int fd = accept4(io->fd, (struct sockaddr *)&sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd >= 0 && endpoint_of((struct sockaddr *)&sa, &from) == FAULT_NONE) {
            conn_open(d->worker, fd, from, d->kind);
            continue;
        }
        if (fd >= 0) {
            close(fd);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            DIAG(WARN, "connections can't be accepted: pausing", DIAG_ERRNO(errno));
            doors_close(b);
            ev_timer_set(&b->pause, ACCEPT_PAUSE_S, 0);
            ev_timer_start(loop, &b->pause);
            return;
        }
        if (errno != EINTR && errno != ECONNABORTED)
            return;
    }
}

static void conn_ended(struct worker *w)
{
    struct building *b = building_of(w);

    if (w->draining && w->conn_count == 0)
        ev_break(w->loop, EVBREAK_ALL);
    else if (!w->draining && w->conn_most && w->conn_count + 1 == w->conn_most && !ev_is_active(&b->pause))
        doors_open(b);
}

/* --- the end -------------------------------------------------------------------------------------------- */

static void drain_late(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)timer;
    (void)events;
    ev_break(loop, EVBREAK_ALL);
}

static void worker_drain(struct ev_loop *loop, ev_signal *signal, int events)
{
    struct building *b = signal->data;
    struct worker *w = &b->worker;
    struct conn *c, *next;

    (void)events;
    if (w->draining)
        return;
    w->draining = true;
    metric_set(METRIC_WORKER_READY, 0);
    doors_close(b);
    for (size_t i = 0; i < b->door_count; i++)
        close(b->doors[i].io.fd);
    if (w->config->drain_timeout_ms) {
        ev_timer_set(&b->drain_end, (double)w->config->drain_timeout_ms / 1000, 0);
        ev_timer_start(loop, &b->drain_end);
    }
    for (c = TAILQ_FIRST(&w->conns); c; c = next) {
        next = TAILQ_NEXT(c, list);
        conn_drain(c);
    }
    if (w->conn_count == 0)
        ev_break(loop, EVBREAK_ALL);
}

/* --- the beginning -------------------------------------------------------------------------------------- */

static enum fault worker_roots(struct worker *w)
{
    const char *file = *w->config->upstream_ca_file ? w->config->upstream_ca_file : NULL;
    enum fault why = tlsio_client_ctx(file, &w->client_ctx);

    if (why != FAULT_NONE) {
        DIAG(ERROR, "the upstream roots can't be loaded",
             DIAG_TEXT("file", slice_text(file ? file : "the system's")));
        return why;
    }
    tlsio_on_session(w->client_ctx, route_session_keep);
    return FAULT_NONE;
}

static enum fault worker_rooms(struct worker *w)
{
    const struct config *config = w->config;

    if (secret_arena_open(ARENA_OCTETS) != FAULT_NONE) {
        DIAG(ERROR, "no memory can be locked for secrets: raise the limit (ulimit -l, LimitMEMLOCK)");
        return FAULT_NO_MEMORY;
    }
    TRY(keys_load(w));
    TRY(worker_roots(w));
    TRY(audit_new(w->loop, config->audit_log, &w->audit));
    return resolver_new(w->loop, config->resolver, config->resolvers, &w->resolver);
}

static enum fault worker_doors(struct building *b, const struct worker_seat *seat)
{
    struct worker *w = &b->worker;

    b->door_count = seat->listener_count;
    b->doors = calloc(b->door_count + 1, sizeof *b->doors);
    if (!b->doors)
        return FAULT_NO_MEMORY;
    for (size_t i = 0; i < b->door_count; i++) {
        struct door *d = &b->doors[i];

        d->worker = w;
        d->kind = seat->listeners[i].kind;
        ev_io_init(&d->io, door_event, seat->listeners[i].fd, EV_READ);
        d->io.data = d;
    }
    ev_init(&b->pause, pause_over);
    ev_init(&b->drain_end, drain_late);
    ev_timer_init(&b->patience, patience_over, (double)w->config->store_timeout_ms / 1000, 0);
    ev_check_init(&b->turn, turn_begins);
    ev_set_priority(&b->turn, EV_MAXPRI); /* before all that asks for the time */
    ev_timer_init(&b->sweep, sweep_due, SWEEP_S, SWEEP_S);
    b->patience.data = b->sweep.data = w;
    ev_signal_init(&b->term, worker_drain, SIGTERM);
    b->pause.data = b->term.data = b;
    return FAULT_NONE;
}

enum fault worker_new(const struct config *config, const struct worker_seat *seat, struct worker **out)
{
    struct building *b = calloc(1, sizeof *b);
    struct worker *w = &b->worker;

    if (!b)
        return FAULT_NO_MEMORY;
    clock_turn();
    if (!tlsmem_open())
        DIAG(NOTE, "OpenSSL's buffers are in the common heap: this build is instrumented, or address space "
                   "is limited");
    /* A host's large buffers come and go too: on pages of their own they leave no holes behind. */
    mallopt(M_MMAP_THRESHOLD, LINK_BULK_OCTETS);
    metric_row_take(seat->row);
    quota_row_take(seat->row);
    table_seed();
    buf_pool(LINK_OCTETS, BUFFERS_KEPT);
    buf_pool(LINK_BULK_OCTETS, BULK_BUFFERS_KEPT);
    tlsio_library_open();
    w->config = config;
    memcpy(w->ticket_root, seat->ticket_root, sizeof w->ticket_root);
    w->limits = (struct h1_limits){config->head_octets, config->head_fields};
    w->conn_most = (unsigned)((config->max_connections + config->workers - 1) / config->workers);
    w->on_conn_end = conn_ended;
    w->on_store_known = doors_open_first;
    TAILQ_INIT(&w->conns);
    TAILQ_INIT(&w->links);
    randombytes_buf(&w->request_prefix, sizeof w->request_prefix);
    w->loop = ev_loop_new(EVFLAG_AUTO);
    if (!w->loop)
        return FAULT_SYSTEM;
    grave_open(&w->grave, w->loop);
    turn_open(&w->turn, w->loop);
    eases_open(&w->eases, w->loop);
    TRY(worker_rooms(w));
    TRY(worker_doors(b, seat));
    *out = w;
    return FAULT_NONE;
}

/* Everything is freed, so that what is left is a leak. */
static void worker_close(struct building *b)
{
    struct worker *w = &b->worker;
    struct conn *c;

    while ((c = TAILQ_FIRST(&w->conns)))
        conn_drop(c, FAULT_NONE);
    who_free(w->who);
    turn_close(&w->turn);
    eases_close(&w->eases);
    grave_close(&w->grave);
    resolver_free(w->resolver);
    audit_free(w->audit);
    SSL_CTX_free(w->client_ctx);
    keyring_free(w->keys);
    exchange_trim(true);
    ev_signal_stop(w->loop, &b->term);
    ev_timer_stop(w->loop, &b->pause);
    ev_timer_stop(w->loop, &b->patience);
    ev_timer_stop(w->loop, &b->sweep);
    ev_check_stop(w->loop, &b->turn);
    ev_timer_stop(w->loop, &b->drain_end);
    ev_loop_destroy(w->loop);
    free(b->doors);
    free(b);
}

int worker_run(struct worker *w)
{
    struct building *b = building_of(w);

    if (who_new(w, &w->who) != FAULT_NONE) {
        DIAG(ERROR, "no memory for the links to Redis");
        return 1;
    }
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a spool that may not grow says so */
    ev_signal_start(w->loop, &b->term);
    ev_timer_start(w->loop, &b->patience);
    ev_timer_start(w->loop, &b->sweep);
    ev_check_start(w->loop, &b->turn);
    ev_run(w->loop, 0);
    worker_close(b);
    return 0;
}

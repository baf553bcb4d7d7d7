#include "master.h"
#include "admin.h"
#include "clock.h"
#include "diag.h"
#include "door.h"
#include "metric.h"
#include "privilege.h"
#include "row.h"
#include <errno.h>
#include <signal.h>
#include <sodium.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#define WORKERS_MAX   (WORKER_ROWS / 2) /* so that the next generation has room beside this one */
#define SETTLE_MS     5000              /* how long a reload waits for the new workers to reach Redis */
#define SETTLE_STEP_S 0.02

struct generation { /* the workers of one reading of the configuration */
    struct config config;
    struct privilege privilege;
    struct doors doors;
    unsigned workers, up;
};

struct master {
    struct ev_loop *loop;
    const struct master_source *source;
    struct generation *now, *next; /* next: starting, not yet alone */
    struct admin *admin, *admin_next;
    struct row row[WORKER_ROWS];
    ev_signal term, interrupt, reload, replace;
    ev_child child;
    ev_timer settle;
    int64_t settle_until_ms;
    uint64_t ready_want;
    uint8_t ticket_root[32];
    pid_t pid;
    bool ending, reload_wanted;
    int exit_code;
};

static void master_end(struct master *m);
static void master_reload(struct master *m);
static void generation_fall(struct master *m);

static enum fault failed(const char *what)
{
    DIAG(ERROR, what, DIAG_ERRNO(errno));
    return FAULT_SYSTEM;
}

/* --- limits --------------------------------------------------------------------------------------------- */

static void limits_raise(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
            DIAG(WARN, "the limit of open files can't be raised", DIAG_ERRNO(errno));
    }
    if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0) {
        const struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};

        limit.rlim_cur = limit.rlim_max;
        /* Root in a container may not: then as far as it goes. */
        if (setrlimit(RLIMIT_MEMLOCK, &all) < 0 && setrlimit(RLIMIT_MEMLOCK, &limit) < 0)
            DIAG(WARN, "the limit of locked memory can't be raised", DIAG_ERRNO(errno));
    }
}

/* A connection may need a second descriptor, for its upstream. */
static void config_clamp(struct config *c)
{
    struct rlimit limit;
    uint64_t most;

    if (c->workers > WORKERS_MAX) {
        DIAG(WARN, "fewer workers are started than are configured", DIAG_NUMBER("configured", c->workers),
             DIAG_NUMBER("started", WORKERS_MAX));
        c->workers = WORKERS_MAX;
    }
    if (c->workers == 0)
        c->workers = 1;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    most = limit.rlim_cur / 2;
    if (c->max_connections > most)
        DIAG(WARN, "max_connections is lowered to half of the open files that are allowed",
             DIAG_NUMBER("configured", c->max_connections), DIAG_NUMBER("used", most));
    if (c->max_connections == 0 || c->max_connections > most)
        c->max_connections = most;
}

/* --- in the worker's process ---------------------------------------------------------------------------- */

/* Nothing of the master's stays open here: a listener that nobody accepts from would swallow connections. */
static void master_forget(struct master *m, const struct generation *mine)
{
    ev_signal_stop(m->loop,
                   &m->term); /* back to the default, and free to be watched by the worker's own loop */
    ev_signal_stop(m->loop, &m->interrupt);
    ev_signal_stop(m->loop, &m->reload);
    ev_signal_stop(m->loop, &m->replace);
    ev_loop_destroy(m->loop);
    for (size_t i = 0; i < WORKER_ROWS; i++)
        if (m->row[i].voice.fd >= 0)
            close(m->row[i].voice.fd);
    if (m->admin)
        admin_forget(m->admin);
    if (m->admin_next)
        admin_forget(m->admin_next);
    if (m->now && m->now != mine)
        doors_close(&m->now->doors);
    if (m->next && m->next != mine)
        doors_close(&m->next->doors);
}

/* A terminal's Ctrl-C and a kill by name reach every process: the master alone acts, and tells the
 * workers. */
static void signals_reset(void)
{
    static const int ignored[] = {SIGINT, SIGHUP, SIGUSR2, SIGPIPE};
    sigset_t none;

    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
        signal(ignored[i], SIG_IGN);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static enum fault worker_begin(const struct row *r, struct worker **out)
{
    const struct master *m = r->cookie;
    struct generation *g = r->generation;
    struct worker_seat seat = {.row = r->number};
    struct listener *mine;

    memcpy(seat.ticket_root, m->ticket_root, sizeof seat.ticket_root);
    TRY(doors_seat(&g->doors, r->seat, g->workers, &mine, &seat.listener_count));
    seat.listeners = mine;

    enum fault why = worker_new(&g->config, &seat, out);

    free(mine);
    sodium_memzero(seat.ticket_root, sizeof seat.ticket_root);
    TRY(why);
    TRY(privilege_drop(&g->privilege));
    /* Only now, since a change of user clears it (prctl(2)). */
    if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0)
        return failed("the master can't be watched");
    if (getppid() != m->pid)
        return FAULT_END; /* it died before we watched */
    return FAULT_NONE;
}

static void worker_live(struct row *r, int voice)
{
    struct master *m = r->cookie;
    struct worker *w;

    master_forget(m, r->generation);
    signals_reset();
    if (worker_begin(r, &w) != FAULT_NONE)
        exit(1);
    sodium_memzero(m->ticket_root, sizeof m->ticket_root);
    if (write(voice, "", 1) != 1)
        exit(1);
    close(voice);
    exit(worker_run(w));
}

/* --- what rows tell ------------------------------------------------------------------------------------- */

static void row_up(struct row *r)
{
    struct master *m = r->cookie;

    if (r->generation != m->next || ++m->next->up < m->next->workers)
        return;
    m->settle_until_ms = clock_mono_ms() + (m->now ? SETTLE_MS : 0);
    ev_timer_set(&m->settle, 0., SETTLE_STEP_S);
    ev_timer_start(m->loop, &m->settle);
}

static void row_died(struct row *r)
{
    struct master *m = r->cookie;
    bool expected = r->state == ROW_ENDING;

    worker_pages_free_row(r->number);
    if (!expected && r->generation == m->now) {
        row_wait(r);
        return;
    }
    row_free(r);
    if (!expected)
        generation_fall(m);
    else if (m->ending)
        master_end(m);
    else if (m->reload_wanted)
        master_reload(m);
}

static void child_ended(struct ev_loop *loop, ev_child *child, int events)
{
    struct master *m = child->data;

    (void)loop;
    (void)events;
    for (size_t i = 0; i < WORKER_ROWS; i++) {
        if (m->row[i].pid == child->rpid) {
            row_reap(&m->row[i], child->rstatus);
            return;
        }
    }
}

/* --- a generation --------------------------------------------------------------------------------------- */

static void generation_free(struct generation *g)
{
    if (!g)
        return;
    doors_close(&g->doors);
    sodium_memzero(&g->config, sizeof g->config); /* it holds Redis' password */
    free(g);
}

static void generation_end(struct master *m, const struct generation *g)
{
    for (size_t i = 0; i < WORKER_ROWS; i++)
        if (m->row[i].generation == g)
            row_end(&m->row[i], g->config.drain_timeout_ms);
}

/* All or nothing: one worker that can't start takes back the whole. */
static void generation_fall(struct master *m)
{
    struct generation *g = m->next;

    ev_timer_stop(m->loop, &m->settle);
    generation_end(m, g);
    m->next = NULL;
    generation_free(g);
    if (m->admin_next)
        admin_close(m->admin_next);
    m->admin_next = NULL;
    if (m->now) {
        DIAG(ERROR, "the reload failed: the configuration from before stays in use");
        return;
    }
    DIAG(ERROR, "the workers can't start");
    m->exit_code = 1;
    master_end(m);
}

static void generation_commit(struct master *m)
{
    struct generation *before = m->now;

    m->now = m->next;
    m->next = NULL;
    if (m->admin_next) {
        if (m->admin)
            admin_close(m->admin);
        m->admin = m->admin_next;
        m->admin_next = NULL;
    }
    if (before)
        generation_end(m, before);
    generation_free(before);
    DIAG(NOTE, before ? "the configuration is reloaded" : "running", DIAG_NUMBER("workers", m->now->workers));
    if (m->reload_wanted)
        master_reload(m);
}

/* The new workers take over when they are as able as the old ones: connected to Redis, if those are. */
static void settle_step(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct master *m = timer->data;

    (void)events;
    if (metric_sum(METRIC_WORKER_READY) < m->ready_want && clock_mono_ms() < m->settle_until_ms)
        return;
    ev_timer_stop(loop, &m->settle);
    generation_commit(m);
}

static struct row *row_unused(struct master *m)
{
    for (size_t i = 0; i < WORKER_ROWS; i++)
        if (m->row[i].state == ROW_FREE)
            return &m->row[i];
    return NULL;
}

static unsigned rows_unused(const struct master *m)
{
    unsigned count = 0;

    for (size_t i = 0; i < WORKER_ROWS; i++)
        count += m->row[i].state == ROW_FREE;
    return count;
}

/* Everything that can fail comes before the first fork. */
static enum fault generation_open(struct master *m, struct generation *g)
{
    TRY(privilege_find(g->config.user, g->config.group, &g->privilege));
    g->workers = g->config.workers;
    TRY(doors_open(&g->config, g->workers, m->now ? &m->now->doors : NULL, &g->doors));
    if (m->admin && admin_serves(m->admin, &g->config))
        return FAULT_NONE;
    return admin_open(m->loop, &g->config, *g->config.user ? g->privilege.gid : (gid_t)-1, &m->admin_next);
}

/* Workers that are still draining may count too, hence not the sum alone. */
static uint64_t ready_wanted(const struct master *m, const struct generation *g)
{
    uint64_t sum = metric_sum(METRIC_WORKER_READY);

    if (!m->now || sum == 0)
        return 0;
    return (sum < m->now->workers ? sum : m->now->workers) + g->workers;
}

/* Owns ${g} from here on. On a fault it is gone; a fall comes by generation_fall. */
static enum fault generation_start(struct master *m, struct generation *g)
{
    enum fault why = generation_open(m, g);

    if (why != FAULT_NONE) {
        generation_free(g);
        return why;
    }
    m->next = g;
    m->ready_want = ready_wanted(m, g);
    for (unsigned seat = 0; seat < g->workers; seat++) {
        struct row *r = row_unused(m);

        if (!r) {
            generation_fall(m);
            return FAULT_NONE;
        }
        r->generation = g;
        r->seat = seat;
        if (row_fork(r) != FAULT_NONE) {
            row_free(r);
            generation_fall(m);
            return FAULT_NONE;
        }
    }
    return FAULT_NONE;
}

/* --- signals -------------------------------------------------------------------------------------------- */

static void mistakes_say(char *text)
{
    char *rest = NULL;

    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
        DIAG(ERROR, "the configuration is refused", DIAG_TEXT("mistake", slice_text(line)));
}

static enum fault config_read_again(const struct master_source *s, struct config *out)
{
    char *text = NULL;
    size_t len;
    FILE *errors = open_memstream(&text, &len);
    enum fault why;

    if (!errors)
        return FAULT_NO_MEMORY;
    why = config_read(s->path, s->sets, s->set_count, out, errors);
    if (fclose(errors) == 0 && why != FAULT_NONE)
        mistakes_say(text);
    free(text);
    return why;
}

static void master_reload(struct master *m)
{
    struct generation *g;
    enum fault why;

    if (m->ending)
        return;
    if (!m->now || m->next) {
        m->reload_wanted = true; /* one at a time; what the file says then counts */
        return;
    }
    g = calloc(1, sizeof *g);
    why = g ? config_read_again(m->source, &g->config) : FAULT_NO_MEMORY;
    if (why != FAULT_NONE) {
        generation_free(g);
        m->reload_wanted = false;
        DIAG(ERROR, "the reload failed: the configuration from before stays in use", DIAG_FAULT(why));
        return;
    }
    config_clamp(&g->config);
    if (rows_unused(m) < g->config.workers) {
        generation_free(g);
        if (!m->reload_wanted)
            DIAG(NOTE, "the reload waits until older workers have drained");
        m->reload_wanted = true;
        return;
    }
    m->reload_wanted = false;
    why = generation_start(m, g);
    if (why != FAULT_NONE)
        DIAG(ERROR, "the reload failed: the configuration from before stays in use", DIAG_FAULT(why));
}

/* Called again for each worker that has ended. */
static void master_end(struct master *m)
{
    m->ending = true;
    m->reload_wanted = false;
    ev_timer_stop(m->loop, &m->settle);
    if (m->admin)
        admin_drain(m->admin);
    if (m->admin_next)
        admin_drain(m->admin_next);
    if (m->now) {
        generation_end(m, m->now);
        doors_close(&m->now->doors);
    }
    if (m->next) {
        generation_end(m, m->next);
        doors_close(&m->next->doors);
    }
    if (rows_unused(m) == WORKER_ROWS)
        ev_break(m->loop, EVBREAK_ALL);
}

static void signal_end(struct ev_loop *loop, ev_signal *s, int events)
{
    struct master *m = s->data;

    (void)loop;
    (void)events;
    if (!m->ending)
        DIAG(NOTE, "ending");
    master_end(m);
}

static void signal_reload(struct ev_loop *loop, ev_signal *s, int events)
{
    (void)loop;
    (void)events;
    master_reload(s->data);
}

static void signal_replace(struct ev_loop *loop, ev_signal *s, int events)
{
    (void)loop;
    (void)s;
    (void)events;
    DIAG(WARN, "handing the listeners to a new binary is not built yet: SIGUSR2 is ignored");
}

/* --- the master ----------------------------------------------------------------------------------------- */

static const struct row_events row_events = {worker_live, row_up, row_died};

static void master_watch(struct master *m)
{
    const struct {
        ev_signal *watcher;
        void (*act)(struct ev_loop *, ev_signal *, int);
        int number;
    } signals[] = {
        {&m->term, signal_end, SIGTERM},
        {&m->interrupt, signal_end, SIGINT},
        {&m->reload, signal_reload, SIGHUP},
        {&m->replace, signal_replace, SIGUSR2},
    };
    sigset_t none;

    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        ev_signal_init(signals[i].watcher, signals[i].act, signals[i].number);
        signals[i].watcher->data = m;
        ev_signal_start(m->loop, signals[i].watcher);
    }
    ev_child_init(&m->child, child_ended, 0, 0);
    m->child.data = m;
    ev_child_start(m->loop, &m->child);
    ev_timer_init(&m->settle, settle_step, 0., SETTLE_STEP_S);
    m->settle.data = m;
    for (unsigned i = 0; i < WORKER_ROWS; i++)
        row_init(&m->row[i], i, m->loop, &row_events, m);
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static enum fault master_open(struct master *m, struct config *config)
{
    struct generation *g;

    TRY(privilege_confine());
    if (sodium_init() < 0) {
        DIAG(ERROR, "the cryptographic library does not start");
        return FAULT_SYSTEM;
    }
    limits_raise();
    randombytes_buf(m->ticket_root, sizeof m->ticket_root);
    m->pid = getpid();
    m->loop = ev_default_loop(EVFLAG_NOENV);
    if (!m->loop)
        return failed("no event loop");
    TRY(worker_pages_open());
    metric_row_take(WORKER_ROWS);
    master_watch(m);
    g = calloc(1, sizeof *g);
    if (!g)
        return FAULT_NO_MEMORY;
    g->config = *config;
    sodium_memzero(config, sizeof *config);
    config_clamp(&g->config);
    return generation_start(m, g);
}

int master_run(struct config *config, const struct master_source *source)
{
    static struct master master;
    struct master *m = &master;
    enum fault why;

    m->source = source;
    why = master_open(m, config);
    if (why == FAULT_NONE) {
        if (!m->ending || rows_unused(m) < WORKER_ROWS)
            ev_run(m->loop, 0);
    } else {
        DIAG(ERROR, "the proxy can't start", DIAG_FAULT(why));
        m->exit_code = 1;
    }
    if (m->admin)
        admin_close(m->admin);
    if (m->admin_next)
        admin_close(m->admin_next);
    generation_free(m->now);
    generation_free(m->next);
    sodium_memzero(m->ticket_root, sizeof m->ticket_root);
    if (m->loop)
        ev_loop_destroy(m->loop);
    return m->exit_code;
}

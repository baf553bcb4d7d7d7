#include "load.h"
#include "clock.h"
#include "conn.h"
#include "result.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define SWEEP_S  0.1   /* how often limits are looked at, and failed connections tried again */
#define GRACE_MS 10000 /* for answers under way when the time is over */

struct load {
    struct loadplan plan;
    struct callers callers;
    struct conn_owner owner;
    struct conn *conns;
    struct tally tally;
    struct ev_loop *loop;

    struct conn **closed, **resting, **idle; /* stacks: to open now, to open after a rest, to send on */
    size_t closed_count, resting_count, idle_count;
    size_t opening, busy;
    size_t turn; /* --in-flight: whose it is among the idle ones */

    uint64_t issued, finished; /* requests begun, and answered or failed */
    uint64_t due, every_ns;    /* open loop: how many should have begun; one each ... */
    size_t held, given_up;     /* --idle */
    int64_t begun_us, counted_us, stopped_us, said_us;
    bool stopping, ready_said;

    ev_prepare prepare;
    ev_timer sweep, warmup, deadline;
    ev_signal interrupt, terminate;
    ev_io ticks;

    struct account before[RESULT_WATCHED_MAX];
    struct rusage own_before;
};

static struct load *load_of(const struct conn *c)
{
    return c->owner->cookie;
}

/* --- which request is next ------------------------------------------------------------------------------ */
static bool load_may_issue(const struct load *l)
{
    if (l->stopping || (l->plan.requests && l->issued >= l->plan.requests))
        return false;
    if (l->plan.in_flight && l->busy >= l->plan.in_flight)
        return false;
    return !l->plan.rate || l->issued < l->due;
}

/* Closed loop: due when there is somebody to send it. Open loop: when the clock said so. */
static void load_issue(struct load *l, struct conn *c)
{
    if (l->plan.rate)
        c->due_us = l->begun_us + (int64_t)((l->issued + 1) * l->every_ns / 1000);
    else
        c->due_us = clock_mono_us();
    l->issued++;
    l->busy++;
}

static void load_finish(struct load *l, struct conn *c)
{
    if (c->due_us) {
        l->busy--;
        l->finished++;
    }
    c->due_us = 0;
    if ((l->plan.requests && l->finished >= l->plan.requests) || (l->stopping && l->busy == 0))
        ev_break(l->loop, EVBREAK_ALL);
}

static void opening_end(struct load *l, struct conn *c)
{
    l->opening -= c->opening;
    c->opening = false;
}

static void idle_push(struct load *l, struct conn *c)
{
    c->idle_at = l->idle_count;
    l->idle[l->idle_count++] = c;
}

static void idle_remove(struct load *l, struct conn *c)
{
    if (c->idle_at >= l->idle_count || l->idle[c->idle_at] != c)
        return;
    l->idle[c->idle_at] = l->idle[--l->idle_count];
    l->idle[c->idle_at]->idle_at = c->idle_at;
}

/* The last one was just used. With --in-flight the place that is taken from moves on, past what was put into the gaps. */
static struct conn *idle_take(struct load *l)
{
    struct conn *c = l->idle[l->plan.in_flight ? l->turn++ % l->idle_count : l->idle_count - 1];

    idle_remove(l, c);
    return c;
}

static void load_idle_check(struct load *l)
{
    if (l->ready_said || l->held + l->given_up < l->plan.connections)
        return;
    l->ready_said = true;
    printf("READY %zu of %lu\n", l->held, l->plan.connections);
    fflush(stdout);
}

/* --- told by connections -------------------------------------------------------------------------------- */
static void load_ready(struct conn *c)
{
    struct load *l = load_of(c);

    opening_end(l, c);
    if (c->due_us) {
        conn_send(c);
    } else if (load_may_issue(l)) {
        load_issue(l, c);
        conn_send(c);
    } else {
        idle_push(l, c);
    }
}

static void load_answered(struct conn *c)
{
    struct load *l = load_of(c);

    load_finish(l, c);
    if (l->plan.idle) {
        l->held += c->state == CONN_IDLE;
        l->given_up += c->state != CONN_IDLE;
        load_idle_check(l);
    } else if (c->state == CONN_CLOSED) {
        if (!l->plan.once)
            l->closed[l->closed_count++] = c;
    } else if (!l->plan.in_flight && load_may_issue(l)) {
        load_issue(l, c);
        conn_send(c);
    } else {
        idle_push(l, c);
    }
}

static void load_failed(struct conn *c, enum trouble what, const char *why)
{
    struct load *l = load_of(c);

    tally_trouble(&l->tally, what, why);
    opening_end(l, c);
    idle_remove(l, c);
    if (!c->due_us && !l->plan.rate && !l->stopping) /* in place of the request that it would have carried */
        load_issue(l, c);
    load_finish(l, c);
    if (l->plan.idle) {
        l->given_up++;
        load_idle_check(l);
    } else if (!l->plan.once) {
        l->resting[l->resting_count++] = c;
    }
}

static void load_ended(struct conn *c)
{
    struct load *l = load_of(c);

    idle_remove(l, c);
    l->tally.closed_idle++;
    if (l->plan.idle)
        tally_trouble(&l->tally, TROUBLE_DROPPED, NULL);
    else
        l->closed[l->closed_count++] = c;
}

/* --- the loop ------------------------------------------------------------------------------------------- */
/* Before each wait, so that opening and failing never call each other. */
static void load_pump(struct ev_loop *loop, ev_prepare *w, int events)
{
    struct load *l = w->data;
    struct conn *c;

    (void)loop;
    (void)events;
    while (l->idle_count && load_may_issue(l)) {
        c = idle_take(l);
        load_issue(l, c);
        conn_send(c);
    }
    while (l->closed_count && l->opening < l->plan.opening && !l->stopping) {
        if (!l->plan.keepalive && !load_may_issue(l))
            return;
        if (l->plan.requests && l->issued >= l->plan.requests)
            return;
        c = l->closed[--l->closed_count];
        c->opening = true;
        l->opening++;
        if (!l->plan.keepalive)
            load_issue(l, c);
        conn_open(c);
    }
}

static void load_ticks(struct ev_loop *loop, ev_io *w, int events)
{
    struct load *l = w->data;
    uint64_t ticks = 0;

    (void)loop;
    (void)events;
    if (read(w->fd, &ticks, sizeof ticks) == sizeof ticks && !l->stopping)
        l->due += ticks;
}

static void load_progress(struct load *l, int64_t now_us)
{
    if (!l->plan.progress || now_us - l->said_us < 500000)
        return;
    l->said_us = now_us;
    fprintf(stderr, "\r%5.1f s  %lu requests  %zu open  p99 %lu us  errors %lu ",
            (double)(now_us - l->begun_us) / 1e6, l->tally.requests,
            (size_t)l->plan.connections - l->closed_count - l->resting_count,
            histogram_at(&l->tally.latency, 99, 100), tally_errors(&l->tally));
}

static void load_sweep(struct ev_loop *loop, ev_timer *w, int events)
{
    struct load *l = w->data;
    int64_t now_us = clock_mono_us(), limit_us = (int64_t)l->plan.timeout_ms * 1000;

    (void)events;
    load_progress(l, now_us);
    while (l->resting_count)
        l->closed[l->closed_count++] = l->resting[--l->resting_count];
    for (uint64_t i = 0; i < l->plan.connections; i++) {
        struct conn *c = &l->conns[i];
        bool waits = c->state != CONN_CLOSED && c->state != CONN_IDLE;

        if (waits && now_us - c->since_us > limit_us)
            conn_fail(c, TROUBLE_TIMEOUT, NULL);
    }
    if (l->stopping && now_us - l->stopped_us > (int64_t)GRACE_MS * 1000)
        ev_break(loop, EVBREAK_ALL);
}

static void load_snapshot(struct load *l)
{
    l->counted_us = clock_mono_us();
    for (size_t i = 0; i < l->plan.pid.count; i++) {
        uint64_t pid = 0;

        (void)slice_number(slice_text(l->plan.pid.at[i]), INT32_MAX, &pid);
        account_take((pid_t)pid, &l->before[i]);
    }
    getrusage(RUSAGE_SELF, &l->own_before);
}

static void load_warm(struct ev_loop *loop, ev_timer *w, int events)
{
    struct load *l = w->data;

    (void)loop;
    (void)events;
    l->tally = (struct tally){.requests = 0};
    load_snapshot(l);
}

static void load_stop(struct load *l)
{
    if (l->stopping)
        return;
    l->stopping = true;
    l->stopped_us = clock_mono_us();
    for (; l->due > l->issued; l->issued++)
        tally_trouble(&l->tally, TROUBLE_UNSENT, NULL);
    if (l->busy == 0 || l->plan.download) /* what is under way counts as octets, and may have hours to go */
        ev_break(l->loop, EVBREAK_ALL);
}

static void load_deadline(struct ev_loop *loop, ev_timer *w, int events)
{
    (void)loop;
    (void)events;
    load_stop(w->data);
}

static void load_signal(struct ev_loop *loop, ev_signal *w, int events)
{
    (void)loop;
    (void)events;
    load_stop(w->data);
}

/* --- beginning and end ---------------------------------------------------------------------------------- */
static bool load_ticks_open(struct load *l)
{
    struct itimerspec every = {.it_value = {.tv_nsec = 0}};
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);

    l->every_ns = 1000000000 / l->plan.rate;
    every.it_interval.tv_sec = (time_t)(l->every_ns / 1000000000);
    every.it_interval.tv_nsec = (long)(l->every_ns % 1000000000);
    every.it_value = every.it_interval;
    if (fd < 0 || timerfd_settime(fd, 0, &every, NULL) != 0)
        return false;
    ev_io_init(&l->ticks, load_ticks, fd, EV_READ);
    l->ticks.data = l;
    ev_io_start(l->loop, &l->ticks);
    return true;
}

static void load_timer(struct load *l, ev_timer *w, uint64_t after_ms)
{
    w->data = l;
    if (after_ms)
        ev_timer_set(w, (double)after_ms / 1000, 0);
    if (after_ms)
        ev_timer_start(l->loop, w);
}

static bool load_watchers(struct load *l)
{
    ev_prepare_init(&l->prepare, load_pump);
    l->prepare.data = l;
    ev_prepare_start(l->loop, &l->prepare);
    ev_timer_init(&l->sweep, load_sweep, SWEEP_S, SWEEP_S);
    l->sweep.data = l;
    ev_timer_start(l->loop, &l->sweep);
    ev_init(&l->warmup, load_warm);
    load_timer(l, &l->warmup, l->plan.warmup_ms);
    ev_init(&l->deadline, load_deadline);
    load_timer(l, &l->deadline, l->plan.duration_ms ? l->plan.warmup_ms + l->plan.duration_ms : 0);
    ev_signal_init(&l->interrupt, load_signal, SIGINT);
    ev_signal_init(&l->terminate, load_signal, SIGTERM);
    l->interrupt.data = l->terminate.data = l;
    ev_signal_start(l->loop, &l->interrupt);
    ev_signal_start(l->loop, &l->terminate);
    return !l->plan.rate || load_ticks_open(l);
}

static bool load_open(struct load *l)
{
    size_t count = (size_t)l->plan.connections;
    struct rlimit files;

    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
        if (files.rlim_cur < count + 16) {
            fprintf(stderr, "osb-bench load: only %lu descriptors are allowed\n", (uint64_t)files.rlim_cur);
            return false;
        }
    }
    l->loop = ev_default_loop(EVFLAG_NOENV);
    l->conns = calloc(count, sizeof *l->conns);
    l->closed = calloc(count, sizeof(struct conn *));
    l->resting = calloc(count, sizeof(struct conn *));
    l->idle = calloc(count, sizeof(struct conn *));
    if (!l->loop || !l->conns || !l->closed || !l->resting || !l->idle ||
        !callers_open(&l->plan, &l->callers))
        return false;
    for (size_t i = 0; l->plan.resume && i < l->callers.count; i++)
        conn_remember(l->callers.at[i].tls);
    l->owner = (struct conn_owner){load_ready, load_answered, load_failed, load_ended,
                                   l->loop,    &l->tally,     &l->plan,    l};
    for (size_t i = count; i-- > 0;) {
        l->conns[i].owner = &l->owner;
        l->conns[i].caller = &l->callers.at[i % l->callers.count];
        l->closed[l->closed_count++] = &l->conns[i];
    }
    return true;
}

static void load_close(struct load *l)
{
    for (uint64_t i = 0; l->conns && i < l->plan.connections; i++) {
        conn_close(&l->conns[i]);
        conn_forget(&l->conns[i]);
    }
    if (l->loop)
        ev_loop_destroy(l->loop);
    callers_close(&l->callers);
    free(l->conns);
    free(l->closed);
    free(l->resting);
    free(l->idle);
}

static double time_s(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static void load_result(struct load *l, struct result *r)
{
    struct rusage own;
    static struct account after;

    r->plan = &l->plan;
    r->tally = &l->tally;
    r->seconds = (double)(clock_mono_us() - l->counted_us) / 1e6;
    getrusage(RUSAGE_SELF, &own);
    r->own_cpu_s = time_s(own.ru_utime) + time_s(own.ru_stime) - time_s(l->own_before.ru_utime) -
                   time_s(l->own_before.ru_stime);
    for (size_t i = 0; i < l->plan.pid.count; i++) {
        struct result_watched *w = &r->watched[r->watched_count++];

        (void)slice_number(slice_text(l->plan.pid.at[i]), INT32_MAX, &w->pid);
        account_take((pid_t)w->pid, &after);
        w->use = account_between(&l->before[i], &after);
        w->pss_kib = account_pss_kib(&after);
        if (w->use.gone)
            tally_trouble(&l->tally, TROUBLE_WATCHED, l->plan.pid.at[i]);
    }
    if (l->tally.requests == 0 && l->tally.octets_in == 0 && tally_errors(&l->tally) == 0)
        tally_trouble(&l->tally, TROUBLE_NOTHING, NULL);
    for (uint64_t i = 0; i < l->plan.connections; i++) /* the grace is over for these */
        if (l->conns[i].due_us && !l->plan.download)
            tally_trouble(&l->tally, TROUBLE_TIMEOUT, NULL);
}

static bool pids_check(const struct load *l)
{
    if (l->plan.pid.count > RESULT_WATCHED_MAX) {
        fprintf(stderr, "osb-bench load: --pid: at most %d\n", RESULT_WATCHED_MAX);
        return false;
    }
    for (size_t i = 0; i < l->plan.pid.count; i++)
        if (l->before[i].count == 0) {
            fprintf(stderr, "osb-bench load: --pid %s: there is no such process\n", l->plan.pid.at[i]);
            return false;
        }
    return true;
}

int load_main(int argc, char **argv)
{
    static struct load load;
    static struct result result;
    enum argument_end end = loadplan_read(argc, argv, &load.plan);
    bool good;

    if (end != ARGUMENT_GO)
        return end == ARGUMENT_HELP ? 0 : 2;
    if (load.plan.pid.count <= RESULT_WATCHED_MAX)
        load_snapshot(&load);
    if (!pids_check(&load))
        return 2;
    if (!load_open(&load)) {
        load_close(&load);
        return 2;
    }
    load_snapshot(&load);
    load.begun_us = load.counted_us;
    if (!load_watchers(&load)) {
        fputs("osb-bench load: there is no timer\n", stderr);
        load_close(&load);
        return 1;
    }
    ev_run(load.loop, 0);
    if (load.plan.progress)
        fputs("\r\033[K", stderr);
    load_result(&load, &result);
    result_line(&result);
    good = result_json(&result) && (load.plan.allow_errors || tally_errors(&load.tally) == 0);
    load_close(&load);
    return good ? 0 : 1;
}

#include "row.h"
#include "clock.h"
#include "diag.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define START_S       60.0
#define DRAIN_EXTRA_S 5.0
#define YOUNG_MS      5000
#define PAUSE_MIN_MS  100u
#define PAUSE_MAX_MS  5000u

static void row_time(struct row *r, double seconds)
{
    ev_timer_stop(r->loop, &r->timer);
    ev_timer_set(&r->timer, seconds, 0.);
    ev_timer_start(r->loop, &r->timer);
}

static void row_mute(struct row *r)
{
    if (r->voice.fd < 0)
        return;
    ev_io_stop(r->loop, &r->voice);
    close(r->voice.fd);
    ev_io_set(&r->voice, -1, EV_READ);
}

static enum fault failed(const char *what)
{
    DIAG(ERROR, what, DIAG_ERRNO(errno));
    return FAULT_SYSTEM;
}

enum fault row_fork(struct row *r)
{
    sigset_t all, before;
    int voice[2];
    pid_t pid;

    if (pipe2(voice, O_CLOEXEC | O_NONBLOCK) < 0)
        return failed("a pipe can't be made");
    ev_io_set(&r->voice, voice[0], EV_READ);
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before); /* the loop's handlers must not run in the child */
    pid = fork();
    if (pid == 0) {
        r->events->live(r, voice[1]);
        abort();
    }
    if (pid < 0) {
        enum fault why = failed("a worker can't be forked");

        sigprocmask(SIG_SETMASK, &before, NULL);
        close(voice[0]);
        close(voice[1]);
        ev_io_set(&r->voice, -1, EV_READ);
        return why;
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
    close(voice[1]);
    r->pid = pid;
    r->state = ROW_STARTING;
    r->born_ms = clock_mono_ms();
    ev_io_start(r->loop, &r->voice);
    row_time(r, START_S);
    return FAULT_NONE;
}

void row_wait(struct row *r)
{
    unsigned pause_ms = clock_mono_ms() - r->born_ms >= YOUNG_MS ? 0 : r->pause_ms;

    r->pause_ms = pause_ms == 0 ? PAUSE_MIN_MS : pause_ms * 2;
    if (r->pause_ms > PAUSE_MAX_MS)
        r->pause_ms = PAUSE_MAX_MS;
    r->state = ROW_WAITING;
    r->pid = 0;
    row_time(r, pause_ms / 1000.);
}

void row_free(struct row *r)
{
    row_mute(r);
    ev_timer_stop(r->loop, &r->timer);
    r->state = ROW_FREE;
    r->generation = NULL;
    r->pid = 0;
    r->pause_ms = 0;
}

void row_end(struct row *r, uint64_t drain_ms)
{
    if (r->state == ROW_FREE || r->state == ROW_ENDING)
        return;
    if (r->state == ROW_WAITING) {
        row_free(r);
        return;
    }
    row_mute(r);
    ev_timer_stop(r->loop, &r->timer);
    r->state = ROW_ENDING;
    r->generation = NULL;
    kill(r->pid, SIGTERM);
    if (drain_ms != 0)
        row_time(r, (double)drain_ms / 1000. + DRAIN_EXTRA_S);
}

static void death_say(const struct row *r, int status)
{
    if (WIFSIGNALED(status)) {
        int number = WTERMSIG(status);
        const char *name = sigabbrev_np(number);

        if (r->state != ROW_ENDING || number != SIGTERM)
            DIAG(WARN, "a worker was killed", DIAG_NUMBER("worker", r->pid), DIAG_NUMBER("signal", number),
                 DIAG_TEXT("name", slice_text(name ? name : "?")));
    } else if (r->state != ROW_ENDING || WEXITSTATUS(status) != 0) {
        DIAG(WARN, "a worker ended", DIAG_NUMBER("worker", r->pid), DIAG_NUMBER("code", WEXITSTATUS(status)));
    }
}

void row_reap(struct row *r, int status)
{
    death_say(r, status);
    row_mute(r);
    ev_timer_stop(r->loop, &r->timer);
    r->events->died(r);
}

static void row_late(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct row *r = timer->data;

    (void)loop;
    (void)events;
    if (r->state == ROW_WAITING) {
        if (row_fork(r) != FAULT_NONE)
            row_wait(r);
        return;
    }
    DIAG(WARN, r->state == ROW_ENDING ? "a worker did not drain in time" : "a worker did not start in time",
         DIAG_NUMBER("worker", r->pid));
    kill(r->pid, SIGKILL);
}

static void row_speaks(struct ev_loop *loop, ev_io *io, int events)
{
    struct row *r = io->data;
    uint8_t octet;
    ssize_t n = read(io->fd, &octet, 1);

    (void)events;
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    row_mute(r);
    if (n != 1)
        return; /* it ends: its death says how */
    ev_timer_stop(loop, &r->timer);
    r->state = ROW_UP;
    r->events->up(r);
}

void row_init(struct row *r, unsigned number, struct ev_loop *loop, const struct row_events *events,
              void *cookie)
{
    *r = (struct row){.number = number, .loop = loop, .events = events, .cookie = cookie};
    ev_io_init(&r->voice, row_speaks, -1, EV_READ);
    ev_timer_init(&r->timer, row_late, 0., 0.);
    r->voice.data = r->timer.data = r;
}

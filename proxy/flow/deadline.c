#include "deadline.h"
#include "clock.h"

static void deadline_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct deadline *d = timer->data;

    (void)events;
    if (d->at_ms == 0)
        return;
    int64_t left_ms = d->at_ms - clock_turn_mono_ms();

    if (left_ms > 0) { /* it was moved since the timer was set */
        ev_timer_set(timer, (double)left_ms / 1000, 0);
        ev_timer_start(loop, timer);
        return;
    }
    d->at_ms = 0;
    d->late(d);
}

void deadline_open(struct deadline *d, struct ev_loop *loop, void (*late)(struct deadline *d))
{
    *d = (struct deadline){.loop = loop, .late = late};
    ev_timer_init(&d->timer, deadline_timer, 0, 0);
    d->timer.data = d;
}

void deadline_in(struct deadline *d, uint64_t ms)
{
    int64_t at_ms = ms ? clock_turn_mono_ms() + (int64_t)ms : 0, was_ms = d->at_ms;

    d->at_ms = at_ms;
    if (at_ms == 0 || (ev_is_active(&d->timer) && was_ms != 0 && at_ms >= was_ms))
        return; /* the timer fires early enough to look again */
    ev_timer_stop(d->loop, &d->timer);
    ev_timer_set(&d->timer, (double)ms / 1000, 0);
    ev_timer_start(d->loop, &d->timer);
}

void deadline_close(struct deadline *d)
{
    ev_timer_stop(d->loop, &d->timer);
    d->at_ms = 0;
}

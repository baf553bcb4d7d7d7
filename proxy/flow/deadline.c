#include "deadline.h"

static void deadline_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct deadline *d = timer->data;

    (void)events;
    if (d->at == 0)
        return;
    double left = d->at - ev_now(loop);

    if (left > 0) { /* it was moved since the timer was set */
        ev_timer_set(timer, left, 0);
        ev_timer_start(loop, timer);
        return;
    }
    d->at = 0;
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
    double at = ms ? ev_now(d->loop) + (double)ms / 1000 : 0, was = d->at;

    d->at = at;
    if (at == 0 || (ev_is_active(&d->timer) && was != 0 && at >= was))
        return; /* the timer fires early enough to look again */
    ev_timer_stop(d->loop, &d->timer);
    ev_timer_set(&d->timer, at - ev_now(d->loop), 0);
    ev_timer_start(d->loop, &d->timer);
}

void deadline_close(struct deadline *d)
{
    ev_timer_stop(d->loop, &d->timer);
    d->at = 0;
}

#include "waits.h"
#include "clock.h"
#include "sandbox.h"
#include "verdict.h"

static void waitroom_arm(struct waitroom *r)
{
    const struct who_wait *first = TAILQ_FIRST(&r->all);

    ev_timer_stop(r->loop, &r->alarm);
    if (!first)
        return;
    int64_t left_ms = first->late_ms - clock_mono_ms();

    ev_timer_set(&r->alarm, left_ms > 0 ? (double)left_ms / 1000 : 0, 0);
    ev_timer_start(r->loop, &r->alarm);
}

/* It is not moved with each who comes and goes: when it rings too early it is set again. */
static void waitroom_rings(struct ev_loop *loop, ev_timer *alarm, int events)
{
    struct waitroom *r = alarm->data;
    struct who_wait *wait;

    (void)loop;
    (void)events;
    while ((wait = TAILQ_FIRST(&r->all)) && clock_mono_ms() >= wait->late_ms) {
        waits_cancel(wait);
        r->late(wait);
    }
    waitroom_arm(r);
}

void waitroom_open(struct waitroom *r, struct ev_loop *loop, uint64_t most_ms,
                   void (*late)(struct who_wait *wait))
{
    r->loop = loop;
    r->most_ms = (int64_t)most_ms;
    r->late = late;
    TAILQ_INIT(&r->all);
    ev_init(&r->alarm, waitroom_rings);
    ev_set_priority(&r->alarm, EV_MINPRI); /* what has come by now is read before anybody is late */
    r->alarm.data = r;
}

void waitroom_close(struct waitroom *r)
{
    ev_timer_stop(r->loop, &r->alarm);
}

void waits_begin(struct who_wait *wait, struct waitroom *r, struct who_waits *on, struct sandbox *s,
                 struct ip from)
{
    wait->room = r;
    wait->on = on;
    wait->sandbox = s;
    wait->from = from;
    wait->late_ms = clock_turn_mono_ms() + r->most_ms;
    TAILQ_INSERT_TAIL(on, wait, list);
    TAILQ_INSERT_TAIL(&r->all, wait, turn);
    if (!ev_is_active(&r->alarm))
        waitroom_arm(r);
}

void waits_cancel(struct who_wait *wait)
{
    if (!wait->on)
        return;
    TAILQ_REMOVE(wait->on, wait, list);
    TAILQ_REMOVE(&wait->room->all, wait, turn);
    wait->on = NULL;
}

void waits_tell(struct who_wait *wait, enum fault why, struct sandbox *s)
{
    waits_cancel(wait);
    wait->fn(wait, why == FAULT_NONE ? verdict_alive(s->record, wait->from, clock_turn_wall_ms()) : why, s);
}

void waits_tell_all(struct who_waits *waits, enum fault why, struct sandbox *s)
{
    struct who_wait *wait;

    while ((wait = TAILQ_FIRST(waits)))
        waits_tell(wait, why, s);
}

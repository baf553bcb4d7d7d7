#include "ease.h"
#include "clock.h"
#include "owner.h"

static void timer_set(struct eases *all, int64_t now_ms)
{
    const struct ease *first = TAILQ_FIRST(&all->waiting);

    if (!first || ev_is_active(&all->timer))
        return;
    ev_timer_set(&all->timer, (double)(first->since_ms + EASE_MS - now_ms) / 1000, 0);
    ev_timer_start(all->loop, &all->timer);
}

static void timer_rang(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct eases *all = OWNER(timer, struct eases, timer);
    int64_t now_ms = clock_turn_mono_ms();
    struct ease *e;

    (void)loop;
    (void)events;
    while ((e = TAILQ_FIRST(&all->waiting)) && e->since_ms + EASE_MS <= now_ms) {
        ease_cancel(all, e);
        e->due(e);
    }
    timer_set(all, now_ms);
}

void eases_open(struct eases *all, struct ev_loop *loop)
{
    all->loop = loop;
    TAILQ_INIT(&all->waiting);
    ev_timer_init(&all->timer, timer_rang, 0, 0);
}

void eases_close(struct eases *all)
{
    ev_timer_stop(all->loop, &all->timer);
}

void ease_wait(struct eases *all, struct ease *e)
{
    ease_cancel(all, e);
    e->since_ms = clock_turn_mono_ms();
    e->waits = true;
    TAILQ_INSERT_TAIL(&all->waiting, e, list);
    timer_set(all, e->since_ms);
}

void ease_cancel(struct eases *all, struct ease *e)
{
    if (!e->waits)
        return;
    e->waits = false;
    TAILQ_REMOVE(&all->waiting, e, list);
}

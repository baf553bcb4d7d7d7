#include "turn.h"

static void turn_ends(struct ev_loop *loop, ev_prepare *last, int events)
{
    struct turn *t = last->data;

    (void)events;
    for (unsigned n = t->count; n > 0 && t->count > 0; n--) {
        struct soon *s = TAILQ_FIRST(&t->soons);

        turn_forget(t, s);
        s->run(s);
    }
    if (t->count == 0)
        ev_idle_stop(loop, &t->awake);
}

static void turn_idles(struct ev_loop *loop, ev_idle *awake, int events)
{
    (void)loop;
    (void)awake;
    (void)events;
}

void turn_open(struct turn *t, struct ev_loop *loop)
{
    t->loop = loop;
    TAILQ_INIT(&t->soons);
    ev_idle_init(&t->awake, turn_idles);
    ev_prepare_init(&t->last, turn_ends);
    ev_set_priority(&t->last, EV_MAXPRI); /* what it ends may be buried, and the grave digs in this turn */
    t->last.data = t;
    ev_prepare_start(loop, &t->last);
    ev_unref(loop); /* it alone keeps no loop running */
}

void turn_close(struct turn *t)
{
    ev_idle_stop(t->loop, &t->awake);
    ev_ref(t->loop);
    ev_prepare_stop(t->loop, &t->last);
}

void turn_soon(struct turn *t, struct soon *s)
{
    if (s->queued)
        return;
    s->queued = true;
    /* This turn's end may be behind us, and the loop about to sleep. */
    if (t->count++ == 0)
        ev_idle_start(t->loop, &t->awake);
    TAILQ_INSERT_TAIL(&t->soons, s, list);
}

void turn_forget(struct turn *t, struct soon *s)
{
    if (!s->queued)
        return;
    s->queued = false;
    t->count--;
    TAILQ_REMOVE(&t->soons, s, list);
}

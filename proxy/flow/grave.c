#include "grave.h"

static void grave_empty(struct grave *g)
{
    struct buried *b;

    while ((b = TAILQ_FIRST(&g->buried))) {
        TAILQ_REMOVE(&g->buried, b, list);
        b->free(b);
    }
}

static void grave_turn(struct ev_loop *loop, ev_prepare *digger, int events)
{
    (void)loop;
    (void)events;
    grave_empty(digger->data);
}

void grave_open(struct grave *g, struct ev_loop *loop)
{
    g->loop = loop;
    TAILQ_INIT(&g->buried);
    ev_prepare_init(&g->digger, grave_turn);
    g->digger.data = g;
    ev_prepare_start(loop, &g->digger);
    ev_unref(loop); /* it alone keeps no loop running */
}

void grave_bury(struct grave *g, struct buried *b, void (*free)(struct buried *b))
{
    b->free = free;
    TAILQ_INSERT_TAIL(&g->buried, b, list);
}

void grave_close(struct grave *g)
{
    grave_empty(g);
    ev_ref(g->loop);
    ev_prepare_stop(g->loop, &g->digger);
}

#pragma once
#include <ev.h>
#include <sys/queue.h>

/*
 * grave - memory that must live until the loop's turn ends.
 *
 *   Layer   flow.
 *   Why     a connection may end inside a callback of something that still looks at it; ending it twice, or from
 *           anywhere, is then harmless.
 */
struct buried {
    void (*free)(struct buried *b);
    TAILQ_ENTRY(buried) list;
};

struct grave {
    struct ev_loop *loop;
    ev_prepare digger;
    TAILQ_HEAD(, buried) buried;
};

void grave_open(struct grave *g, struct ev_loop *loop);
void grave_bury(struct grave *g, struct buried *b, void (*free)(struct buried *b));
void grave_close(struct grave *g); /* frees what is left */

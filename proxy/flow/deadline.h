#pragma once
#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * deadline - a timer that is moved often and fires seldom.
 *
 *   Layer   flow.
 *   Why     restarting a timer for every octet costs more than the octet: only the time is written down, and the timer
 *           looks at it when it fires.
 */
struct deadline {
    struct ev_loop *loop;
    ev_timer timer;
    int64_t at_ms; /* of the clock that never jumps; 0: none */
    void (*late)(struct deadline *d);
};

void deadline_open(struct deadline *d, struct ev_loop *loop, void (*late)(struct deadline *d));

/* deadline_in(d, ms): from now; 0: no deadline. */
void deadline_in(struct deadline *d, uint64_t ms);
void deadline_close(struct deadline *d);

#pragma once
#include <stddef.h>
#include <stdint.h>

/*
 * micro - what one unit of a single piece costs, and how that compares with a floor that the machine sets.
 *
 *   Layer   programs: calls the layers as flow does, without a loop or a socket.
 *   Why     the ratio to a floor taken in the same run survives a noisy machine; nanoseconds don't.
 */

/* One thing to measure. run: do it ${times} times over; units of it are done each time. */
struct micro {
    const char *name, *unit;
    double units;
    void (*run)(uint64_t times);
    const char *floor; /* the name of a row that is a floor; NULL: this row is one */
};

extern const struct micro micro_table[];
extern const size_t micro_rows;

/* micro_stage(): build what the rows work on. A bench can't go on without it: ends the program with a sentence. */
void micro_stage(void);

/* micro_must(held, what): ends the program with ${what} unless ${held}. */
void micro_must(int held, const char *what);

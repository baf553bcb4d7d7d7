#pragma once
#include <stddef.h>

/*
 * progress - a bar on stderr for work on many things: "rotating  4,200 of 10,000 [######----] 42 %".
 *
 *   Layer   program (osbctl).
 *   Why     thousands of records take seconds; who watches wants to know that it goes on, a log must not be filled with it.
 *   Bounds  shown where stderr is a terminal, once the work has taken PROGRESS_QUIET_MS; drawn anew every
 *           PROGRESS_EVERY_MS at most. A program has one bar at a time.
 */
#define PROGRESS_QUIET_MS 500
#define PROGRESS_EVERY_MS 100
#define PROGRESS_WIDTH    20
#define PROGRESS_OCTETS   160

/* progress_begin(doing, total): ${doing} must live until progress_end(); NULL: no bar. */
void progress_begin(const char *doing, size_t total);

/* progress_add(n): so many more are done. */
void progress_add(size_t n);

/* progress_hide(): off the terminal, so that a line can be written there; the next progress_add() shows it again. */
void progress_hide(void);

/* progress_end(): the work is over, done or not; harmless twice. */
void progress_end(void);

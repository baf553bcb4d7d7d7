#pragma once
#include <stdint.h>

/*
 * clock - the two clocks, in milliseconds.
 *
 *   Layer   base.
 *   Why     deadlines need one that never jumps; records and logs need the date.
 */
int64_t clock_mono_ms(void); /* never goes back; its zero means nothing */
int64_t clock_mono_us(void); /* the same, finer: for measuring */
int64_t clock_wall_ms(void); /* since 1970, UTC */

/*
 * clock_turn(): read both clocks for this turn of an event loop. clock_turn_mono_ms, clock_turn_wall_ms: what it read.
 *   Why     dozens of deadlines and checks a turn need no finer time, and each reading costs as much as the check.
 */
void clock_turn(void);
int64_t clock_turn_mono_ms(void);
int64_t clock_turn_wall_ms(void);

#define CLOCK_RFC3339 sizeof("2026-01-01T00:00:00.000Z")

/* clock_rfc3339(wall_ms, out): "2026-01-01T00:00:00.000Z" and a NUL, CLOCK_RFC3339 octets. */
void clock_rfc3339(int64_t wall_ms, char *out);

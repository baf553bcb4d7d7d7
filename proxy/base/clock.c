#include "clock.h"
#include <string.h>
#include <time.h>

static int64_t read_ms(clockid_t which)
{
    struct timespec t;

    clock_gettime(which, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t clock_mono_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t clock_mono_ms(void)
{
    return read_ms(CLOCK_MONOTONIC);
}

int64_t clock_wall_ms(void)
{
    return read_ms(CLOCK_REALTIME);
}

static struct {
    int64_t mono_ms, wall_ms;
} turn;

void clock_turn(void)
{
    turn.mono_ms = clock_mono_ms();
    turn.wall_ms = clock_wall_ms();
}

int64_t clock_turn_mono_ms(void)
{
    return turn.mono_ms;
}

int64_t clock_turn_wall_ms(void)
{
    return turn.wall_ms;
}

void clock_rfc3339(int64_t wall_ms, char *out)
{
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm t;

    gmtime_r(&seconds, &t);
    strftime(out, CLOCK_RFC3339, "%Y-%m-%dT%H:%M:%S", &t);
    unsigned ms = (unsigned)(wall_ms % 1000);

    memcpy(out + 19,
           (char[]){'.', (char)('0' + ms / 100), (char)('0' + ms / 10 % 10), (char)('0' + ms % 10), 'Z', 0},
           6);
}

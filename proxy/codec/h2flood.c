#include "h2flood.h"
#include <nghttp2/nghttp2.h>

/* Of one client. Earned frames may lie above FRAMES_FULL, time alone fills up to there. */
#define FRAMES_FULL   1000
#define FRAMES_MOST   4000
#define FRAMES_PER_S  50
#define RESETS_FULL   200
#define RESETS_PER_S  20
#define SETTINGS_COST 8

void h2_flood_begin(struct h2_flood *f, uint32_t share, int64_t now_ms)
{
    *f = (struct h2_flood){.filled_ms = now_ms,
                           .frames_milli = share * FRAMES_FULL * 1000,
                           .resets_milli = share * RESETS_FULL * 1000,
                           .share = share};
}

/* So many a second are so many thousandths a millisecond. */
static void tokens_fill(uint32_t *milli, uint64_t elapsed_ms, uint32_t per_s, uint32_t full)
{
    uint64_t sum;

    if (*milli >= full * 1000)
        return;
    sum = *milli + elapsed_ms * per_s;
    *milli = sum < full * 1000 ? (uint32_t)sum : full * 1000;
}

static void flood_fill(struct h2_flood *f, int64_t now_ms)
{
    int64_t elapsed_ms = now_ms - f->filled_ms;

    if (elapsed_ms <= 0)
        return;
    f->filled_ms = now_ms;
    tokens_fill(&f->frames_milli, (uint64_t)elapsed_ms, f->share * FRAMES_PER_S, f->share * FRAMES_FULL);
    tokens_fill(&f->resets_milli, (uint64_t)elapsed_ms, f->share * RESETS_PER_S, f->share * RESETS_FULL);
}

static bool tokens_take(uint32_t *milli, uint32_t n)
{
    if (*milli < n * 1000)
        return false;
    *milli -= n * 1000;
    return true;
}

bool h2_flood_frame(struct h2_flood *f, uint8_t type, int64_t now_ms)
{
    flood_fill(f, now_ms);
    return tokens_take(&f->frames_milli, type == NGHTTP2_SETTINGS ? SETTINGS_COST : 1);
}

void h2_flood_earn(struct h2_flood *f, uint32_t n)
{
    uint32_t most = f->share * FRAMES_MOST * 1000;

    f->frames_milli = n * 1000 < most - f->frames_milli ? f->frames_milli + n * 1000 : most;
}

bool h2_flood_reset(struct h2_flood *f, int64_t now_ms)
{
    flood_fill(f, now_ms);
    return tokens_take(&f->resets_milli, 1);
}

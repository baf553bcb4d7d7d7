#include "fresh.h"
#include "roll.h"
#include "verdict.h"

#define IDLE_MS \
    60000 /* a sandbox without connections is forgotten after this, or cache_stale if that is longer */

static bool news_unread(const struct news *n)
{
    return n->told != n->read;
}

/* Redis holds, or may hold, another record than ours. */
static bool overtaken(const struct sandbox *s)
{
    return news_unread(&s->fresh.changes) || news_unread(&s->fresh.doubts);
}

bool fresh_usable(const struct sandbox *s)
{
    int64_t age_ms = worker_now_ms(s->worker) - s->fresh.checked_ms;

    return !news_unread(&s->fresh.changes) && s->fresh.refused == FAULT_NONE &&
           age_ms < (int64_t)s->worker->config->cache_stale_ms;
}

/* The best that can be said when nothing newer can be had. */
static enum fault fallback(const struct sandbox *s)
{
    return fresh_usable(s) ? FAULT_NONE : FAULT_STORE_UNAVAILABLE;
}

/* --- reading again -------------------------------------------------------------------------------------- */

static void refresh(struct sandbox *s, bool urgent)
{
    struct fresh *f = &s->fresh;

    if (f->ask.state != ASK_NOT) {
        if (urgent)
            asks_hurry(&f->ask);
        return;
    }
    f->changes.asked = f->changes.told;
    f->doubts.asked = f->doubts.told;
    f->floor = roll_floor(s->roll, slice_text(s->id));
    if (asks_put(s->roll->asks, &f->ask, urgent) == FAULT_NONE)
        sandbox_hold(s);
}

static void refresh_settle(struct sandbox *s, enum fault why)
{
    struct fresh *f = &s->fresh;

    if (why == FAULT_NONE) {
        f->changes.read = f->changes.asked;
        f->doubts.read = f->doubts.asked;
    }
    if (why == FAULT_AGAIN || (why == FAULT_NONE && overtaken(s)))
        refresh(s, !TAILQ_EMPTY(&f->waits)); /* it has changed while we read */
    if (f->ask.state != ASK_NOT)
        return;
    waits_tell_all(&f->waits, fallback(s), s);
}

static void refreshed(void *cookie, enum fault why, const redisReply *reply)
{
    struct sandbox *s = cookie, *same;

    if (!s->ended) {
        if (why == FAULT_NONE)
            why = roll_learn(s->roll, s->id, s->fresh.floor, reply, &same);
        ask_count(&s->fresh.ask, why == FAULT_AGAIN ? FAULT_NONE : why);
        if (why == FAULT_NOT_FOUND)
            roll_forget(s->roll, s);
        else
            refresh_settle(s, why);
    }
    sandbox_drop(s);
}

void fresh_begin(struct sandbox *s)
{
    TAILQ_INIT(&s->fresh.waits);
    s->fresh.ask.id = s->id;
    s->fresh.ask.fn = refreshed;
    s->fresh.ask.cookie = s;
    s->fresh.used_ms = worker_now_ms(s->worker);
    fresh_learned(s);
}

void fresh_learned(struct sandbox *s)
{
    s->fresh.checked_ms = worker_now_ms(s->worker);
    s->fresh.refused = FAULT_NONE;
}

/* --- those who ask -------------------------------------------------------------------------------------- */

enum fault fresh_ask(struct sandbox *s, struct ip from, struct who_wait *wait)
{
    int64_t now_ms = worker_now_ms(s->worker), age_ms = now_ms - s->fresh.checked_ms;
    int64_t ttl_ms = (int64_t)s->worker->config->cache_ttl_ms;

    s->fresh.used_ms = now_ms;
    if (s->ended)
        return FAULT_REVOKED;
    if (!overtaken(s) && s->fresh.refused == FAULT_NONE && age_ms < ttl_ms) {
        if (age_ms > ttl_ms / 2)
            refresh(s, false);
        return verdict_alive(s->record, from, clock_turn_wall_ms());
    }
    refresh(s, true);
    if (s->fresh.ask.state != ASK_NOT) {
        waits_begin(wait, &s->roll->waits, &s->fresh.waits, s, from);
        return FAULT_AGAIN;
    }
    TRY(fallback(s));
    return verdict_alive(s->record, from, clock_turn_wall_ms());
}

void fresh_late(struct who_wait *wait)
{
    struct sandbox *s = wait->sandbox;

    if (!s) {
        waits_tell(wait, FAULT_STORE_UNAVAILABLE, NULL);
        return;
    }
    sandbox_hold(s);
    waits_tell(wait, fallback(s), s);
    sandbox_drop(s);
}

/* --- news ----------------------------------------------------------------------------------------------- */

void fresh_resolve(struct sandbox *s)
{
    if (s->conns && overtaken(s))
        refresh(s, false);
}

/* A question that is still to be sent will be answered by what holds then. */
static void news_tell(struct sandbox *s, struct news *n)
{
    n->told++;
    if (s->fresh.ask.state == ASK_QUEUED)
        n->asked = n->told;
    fresh_resolve(s);
}

void fresh_changed(struct sandbox *s)
{
    news_tell(s, &s->fresh.changes);
}

void fresh_doubt(struct sandbox *s)
{
    news_tell(s, &s->fresh.doubts);
}

int64_t fresh_idle_ms(const struct sandbox *s)
{
    bool serves = s->conns || !TAILQ_EMPTY(&s->fresh.waits) || s->fresh.ask.state != ASK_NOT;

    return serves ? -1 : worker_now_ms(s->worker) - s->fresh.used_ms;
}

bool fresh_upkeep(struct sandbox *s, unsigned *spare)
{
    int64_t now_ms = worker_now_ms(s->worker);
    int64_t idle_ms = (int64_t)s->worker->config->cache_stale_ms;
    bool asked = s->fresh.ask.state != ASK_NOT;
    bool refused = s->fresh.refused != FAULT_NONE;

    if (s->record->expires_ms && clock_turn_wall_ms() >= s->record->expires_ms)
        return false;
    if (refused && fresh_idle_ms(s) >= 0)
        return false;
    if (*spare && fresh_idle_ms(s) > (idle_ms > IDLE_MS ? idle_ms : IDLE_MS)) {
        --*spare;
        return false;
    }
    /* Connections that ask nothing more are to end too when their sandbox does, though Redis was away just then. */
    bool old = now_ms - s->fresh.checked_ms >= (int64_t)s->worker->config->cache_ttl_ms;
    bool due = overtaken(s) || (s->conns && !refused && old);

    if (asked || !due || (!s->conns && *spare == 0))
        return true;
    if (!s->conns)
        --*spare;
    refresh(s, false);
    return true;
}

#include "who.h"
#include "diag.h"
#include "metric.h"
#include "roll.h"
#include "verdict.h"
#include <malloc.h>
#include <stdlib.h>

#define NOBODY_MS      1000
#define ENTRIES_MAX    65536
#define TELL_MS        1000
#define SWEEP_S        1.0
#define SWEEP_READS    256 /* of records for which there is nobody now: what they held is old */
#define TRIM_SANDBOXES 16

/* What is known of one source address. */
struct who_entry {
    struct ip ip;
    struct who *who;
    struct sandbox *sandbox; /* held; NULL: nobody, or not known yet */
    int64_t nobody_until_ms, told_ms;
    struct ask ask;             /* whose it is, then that one's record */
    char id[RECORD_ID_MAX + 1]; /* what the index said */
    uint64_t floor;             /* of that one's record, when it was asked for */
    bool again;                 /* something changed while it was fetched */
    bool open;                  /* on the list of those whose sandbox is not known, but may be any time */
    struct who_waits waits;
    TAILQ_ENTRY(who_entry) list;
    UT_hash_handle hh;
};

struct who {
    struct roll roll; /* first */
    struct who_entry *entries;
    TAILQ_HEAD(, who_entry) opens;
    ev_timer sweep;
};

/* --- from an address to a sandbox ----------------------------------------------------------------------- */

static int64_t now_ms(const struct who *who)
{
    return worker_now_ms(who->roll.worker);
}

static void entry_open(struct who_entry *e, bool open)
{
    if (open && !e->open)
        TAILQ_INSERT_TAIL(&e->who->opens, e, list);
    if (!open && e->open)
        TAILQ_REMOVE(&e->who->opens, e, list);
    e->open = open;
}

static void entry_free(struct who *who, struct who_entry *e)
{
    entry_open(e, false);
    HASH_DEL(who->entries, e);
    sandbox_drop(e->sandbox);
    free(e);
}

static void index_came(void *cookie, enum fault why, const redisReply *reply);

static enum fault entry_fetch(struct who_entry *e)
{
    e->id[0] = 0;
    e->again = false;
    e->ask.id = NULL;
    e->ask.ip = e->ip;
    e->ask.fn = index_came;
    e->ask.cookie = e;
    if (asks_put(e->who->roll.asks, &e->ask, true) != FAULT_NONE)
        return FAULT_STORE_UNAVAILABLE;
    entry_open(e, true);
    return FAULT_NONE;
}

static enum fault entry_judge(const struct who_entry *e, const struct sandbox *s)
{
    return record_has_address(s->record, e->ip) ? verdict_alive(s->record, e->ip, clock_turn_wall_ms())
                                                : FAULT_NOT_FOUND;
}

/* The answer to all who asked for this address. */
static void entry_settle(struct who_entry *e, enum fault why, struct sandbox *s)
{
    ask_count(&e->ask, why);
    if (why == FAULT_NONE)
        why = entry_judge(e, s);
    if (why == FAULT_NONE) {
        e->sandbox = sandbox_hold(s);
    } else if (why != FAULT_STORE_UNAVAILABLE) {
        if (e->again && entry_fetch(e) == FAULT_NONE)
            return;
        e->nobody_until_ms = now_ms(e->who) + NOBODY_MS;
        why = FAULT_UNKNOWN_SOURCE;
    }
    /* One whose record says no may be another's soon, or its record may be mended: the sweep closes it. */
    if (why != FAULT_UNKNOWN_SOURCE || !e->id[0])
        entry_open(e, false);
    waits_tell_all(&e->waits, why, s);
}

static void record_came(void *cookie, enum fault why, const redisReply *reply);

static enum fault record_fetch(struct who_entry *e)
{
    e->ask.id = e->id;
    e->ask.fn = record_came;
    e->floor = roll_floor(&e->who->roll, slice_text(e->id));
    return asks_put(e->who->roll.asks, &e->ask, true) == FAULT_NONE ? FAULT_NONE : FAULT_STORE_UNAVAILABLE;
}

static void record_came(void *cookie, enum fault why, const redisReply *reply)
{
    struct who_entry *e = cookie;
    struct sandbox *s = NULL;

    if (why == FAULT_NONE)
        why = roll_learn(&e->who->roll, e->id, e->floor, reply, &s);
    if (why == FAULT_AGAIN) {
        why = record_fetch(e);
        if (why == FAULT_NONE)
            return;
    }
    if (why == FAULT_NONE && e->again)
        fresh_changed(s);
    entry_settle(e, why, s);
}

static void index_came(void *cookie, enum fault why, const redisReply *reply)
{
    struct who_entry *e = cookie;

    if (why == FAULT_NONE && reply->type != REDIS_REPLY_STRING)
        why = FAULT_NOT_FOUND;
    if (why == FAULT_NONE && !record_id_ok(slice_of(reply->str, reply->len)))
        why = FAULT_INVALID;
    if (why == FAULT_NONE) {
        memcpy(e->id, reply->str, reply->len);
        e->id[reply->len] = 0;
        why = record_fetch(e);
        if (why == FAULT_NONE)
            return;
    }
    entry_settle(e, why, NULL);
}

static struct who_entry *entry_new(struct who *who, struct ip from)
{
    struct who_entry *e = HASH_COUNT(who->entries) < ENTRIES_MAX ? calloc(1, sizeof *e) : NULL;

    if (!e)
        return NULL;
    e->ip = from;
    e->who = who;
    TAILQ_INIT(&e->waits);
    HASH_ADD(hh, who->entries, ip, sizeof e->ip, e);
    return e;
}

enum fault who_ask(struct who *who, struct ip from, struct who_wait *wait, struct sandbox **out)
{
    struct who_entry *e;

    HASH_FIND(hh, who->entries, &from, sizeof from, e);
    if (!e && !(e = entry_new(who, from)))
        return FAULT_NO_MEMORY;
    /* It has ended, or has given the address up: whose that is now must be asked. */
    if (e->sandbox && (e->sandbox->ended || !record_has_address(e->sandbox->record, from))) {
        sandbox_drop(e->sandbox);
        e->sandbox = NULL;
    }
    if (e->sandbox) {
        *out = e->sandbox;
        return fresh_ask(e->sandbox, from, wait);
    }
    if (e->ask.state == ASK_NOT) {
        if (now_ms(who) < e->nobody_until_ms)
            return FAULT_UNKNOWN_SOURCE;
        TRY(entry_fetch(e));
    }
    waits_begin(wait, &who->roll.waits, &e->waits, NULL, from);
    return FAULT_AGAIN;
}

enum fault who_fresh(struct sandbox *s, struct ip from, struct who_wait *wait)
{
    return fresh_ask(s, from, wait);
}

void who_cancel(struct who_wait *wait)
{
    waits_cancel(wait);
}

bool who_tell(struct who *who, struct ip from)
{
    struct who_entry *e;

    HASH_FIND(hh, who->entries, &from, sizeof from, e);
    if (!e || (e->told_ms && now_ms(who) - e->told_ms < TELL_MS))
        return false;
    e->told_ms = now_ms(who);
    return true;
}

/* --- changes -------------------------------------------------------------------------------------------- */

/* What was said of an address counts no more, nor does what is on its way. */
static void entry_doubt(struct who_entry *e)
{
    e->nobody_until_ms = 0;
    e->again |= e->ask.state != ASK_NOT;
}

static void sandbox_changed(struct who *who, struct slice id)
{
    struct sandbox *s = roll_find(&who->roll, id);
    struct who_entry *e;

    if (s) {
        fresh_changed(s);
        return;
    }
    TAILQ_FOREACH (e, &who->opens, list)
        if (slice_equal(slice_text(e->id), id))
            entry_doubt(e);
}

/* "ZONE ADDR": whatever is known of the address is asked again. */
static void address_changed(struct who *who, struct slice what)
{
    size_t space = slice_find(what, ' ');
    struct who_entry *e;
    struct ip ip;

    if (!slice_equal(slice_first(what, space), slice_text(who->roll.worker->config->zone)) ||
        ip_parse(slice_drop(what, space + 1), &ip) != FAULT_NONE)
        return;
    HASH_FIND(hh, who->entries, &ip, sizeof ip, e);
    if (!e)
        return;
    entry_doubt(e);
    sandbox_drop(e->sandbox);
    e->sandbox = NULL;
}

static void change_message(void *cookie, struct slice payload)
{
    if (slice_starts(payload, SLICE("sandbox ")))
        sandbox_changed(cookie, slice_drop(payload, 8));
    else if (slice_starts(payload, SLICE("ip ")))
        address_changed(cookie, slice_drop(payload, 3));
}

/* While the link was away changes may have been missed: nothing that is held counts as checked. */
static void change_state(void *cookie, bool up)
{
    struct who *who = cookie;

    if (!up)
        return;
    for (struct sandbox *s = who->roll.sandboxes; s; s = s->hh.next)
        fresh_doubt(s);
    for (struct who_entry *e = who->entries; e; e = e->hh.next)
        entry_doubt(e);
}

/* --- upkeep --------------------------------------------------------------------------------------------- */

static void sandboxes_sweep(struct who *who)
{
    struct sandbox *s, *next;
    unsigned spare = SWEEP_READS;

    HASH_ITER (hh, who->roll.sandboxes, s, next)
        if (!fresh_upkeep(s, &spare))
            roll_forget(&who->roll, s);
}

static void entries_sweep(struct who *who)
{
    struct who_entry *e, *next;

    HASH_ITER (hh, who->entries, e, next) {
        bool stale = (!e->sandbox || e->sandbox->ended) && e->ask.state == ASK_NOT &&
                     TAILQ_EMPTY(&e->waits) && now_ms(who) >= e->nobody_until_ms;

        if (stale && now_ms(who) - e->told_ms >= TELL_MS)
            entry_free(who, e);
        else if (stale)
            entry_open(e, false);
    }
}

/* What is forgotten goes when nobody holds it any more: the addresses let go of it, and whoever asks again is looked up. */
static bool room_make(struct roll *r, const struct sandbox *keep)
{
    struct who *who = (struct who *)(void *)r;

    if (roll_forget_idle(r, keep) == 0)
        return false;
    for (struct who_entry *e = who->entries; e; e = e->hh.next)
        if (e->sandbox && e->sandbox->ended) {
            sandbox_drop(e->sandbox);
            e->sandbox = NULL;
        }
    return true;
}

static void who_sweep(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct who *who = timer->data;

    (void)loop;
    (void)events;
    sandboxes_sweep(who);
    entries_sweep(who);
    if (secret_arena_used() >
        secret_arena_most() / 4 * 3) /* so that what busy ones need is there when they do */
        room_make(&who->roll, NULL);
    /* As in links_sweep: what they leave lies between memory in use. To look for it takes up to a millisecond. */
    if (who->roll.forgotten >= TRIM_SANDBOXES) {
        malloc_trim(0);
        who->roll.forgotten = 0;
    }
    metric_set(METRIC_SANDBOXES_KNOWN, HASH_COUNT(who->roll.sandboxes));
    metric_set(METRIC_ARENA_OCTETS, secret_arena_used());
    metric_set(METRIC_WORKER_READY, who_ready(who) && !who->roll.worker->draining);
}

static void commands_state(void *cookie, bool up)
{
    struct who *who = cookie;
    struct worker *w = who->roll.worker;

    metric_set(METRIC_WORKER_READY, who_ready(who) && !w->draining);
    w->on_store_known(w);
    /* What was announced while nothing could be read is read now, also for those who are connected and ask nothing. */
    for (struct sandbox *s = up ? who->roll.sandboxes : NULL; s; s = s->hh.next)
        fresh_resolve(s);
}

bool who_ready(const struct who *who)
{
    if (who->roll.asks && asks_up(who->roll.asks))
        return true;
    for (const struct sandbox *s = who->roll.sandboxes; s; s = s->hh.next)
        if (fresh_usable(s))
            return true;
    return false;
}

enum fault who_new(struct worker *w, struct who **out)
{
    struct who *who = calloc(1, sizeof *who);

    if (!who)
        return FAULT_NO_MEMORY;
    who->roll.worker = w;
    who->roll.make_room = room_make;
    TAILQ_INIT(&who->opens);
    waitroom_open(&who->roll.waits, w->loop, w->config->store_timeout_ms, fresh_late);
    ev_timer_init(&who->sweep, who_sweep, SWEEP_S, SWEEP_S);
    who->sweep.data = who;
    ev_timer_start(w->loop, &who->sweep);
    enum fault why = asks_new(w, (struct redishub_events){change_message, commands_state, change_state, who},
                              &who->roll.asks);

    if (why != FAULT_NONE) {
        who_free(who);
        return why;
    }
    *out = who;
    return FAULT_NONE;
}

void who_free(struct who *who)
{
    struct who_entry *e, *next_entry;
    struct sandbox *s, *next;

    ev_timer_stop(who->roll.worker->loop, &who->sweep);
    asks_free(who->roll.asks);
    HASH_ITER (hh, who->entries, e, next_entry)
        entry_free(who, e);
    HASH_ITER (hh, who->roll.sandboxes, s, next)
        roll_forget(&who->roll, s);
    waitroom_close(&who->roll.waits);
    free(who);
}

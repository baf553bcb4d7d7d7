#include "who.h"
#include "clock.h"
#include "diag.h"
#include "keys.h"
#include "mark.h"
#include "metric.h"
#include "redislink.h"
#include "verdict.h"
#include <malloc.h>
#include <stdlib.h>

#define NOBODY_MS   1000
#define ENTRIES_MAX 65536
#define TELL_MS     1000
#define IDLE_MS \
    60000 /* a sandbox without connections is forgotten after this, or cache_stale if that is longer */
#define SWEEP_S        1.0
#define TRIM_SANDBOXES 16
#define RECORD_PARTS   (RECORD_SECRETS_MAX + 16)

/* What is known of one source address. */
struct who_entry {
    struct ip ip;
    struct who *who;
    struct sandbox *sandbox; /* held; NULL: nobody, or not known yet */
    int64_t nobody_until_ms, told_ms;
    bool fetching;
    bool again;                 /* the record changed while it was fetched */
    char id[RECORD_ID_MAX + 1]; /* what the index said, while the record is fetched */
    int64_t asked_ms;
    struct who_waits waits;
    UT_hash_handle hh;
};

struct who {
    struct worker *worker;
    struct redislink *commands, *changes;
    struct who_entry *entries;
    struct sandbox *sandboxes;
    size_t forgotten; /* since memory was last given back */
    ev_timer sweep;
};

/* --- those who wait ------------------------------------------------------------------------------------- */

static void wait_on(struct who_wait *wait, struct who_waits *on, struct ip from)
{
    wait->on = on;
    wait->from = from;
    TAILQ_INSERT_TAIL(on, wait, list);
}

void who_cancel(struct who_wait *wait)
{
    if (wait->on)
        TAILQ_REMOVE(wait->on, wait, list);
    wait->on = NULL;
}

/* The record may have changed while they waited, so each is judged by what it says now. */
static void waits_tell(struct who_waits *waits, enum fault why, struct sandbox *s)
{
    struct who_wait *wait;

    while ((wait = TAILQ_FIRST(waits))) {
        who_cancel(wait);
        wait->fn(wait, why == FAULT_NONE ? verdict_alive(s->record, wait->from, clock_turn_wall_ms()) : why,
                 s);
    }
}

/* --- records -------------------------------------------------------------------------------------------- */

static void sandbox_forget(struct who *who, struct sandbox *s)
{
    HASH_DEL(who->sandboxes, s);
    sandbox_end(s);
    waits_tell(&s->waits, FAULT_REVOKED, NULL);
    sandbox_drop(s);
    who->forgotten++;
}

static size_t parts_of(const redisReply *reply, struct record_part *parts)
{
    size_t n = 0;

    for (size_t i = 0; i + 1 < reply->elements && n < RECORD_PARTS; i += 2, n++) {
        const redisReply *field = reply->element[i], *value = reply->element[i + 1];

        parts[n].field = slice_of(field->str, field->len);
        parts[n].value = slice_of(value->str, value->len);
    }
    return n;
}

static enum fault record_read(struct worker *w, struct slice id, const struct record_part *parts, size_t n,
                              struct record **out)
{
    enum fault why = record_open(w->keys, id, parts, n, out);

    if (why != FAULT_KEY_UNKNOWN || keys_reload(w) != FAULT_NONE)
        return why;
    return record_open(w->keys, id, parts, n, out);
}

/* The record that Redis gave for ${id}, checked: a sandbox made or brought up to date. */
static enum fault who_learn(struct who *who, const char *id, const redisReply *reply, struct sandbox **out)
{
    struct record_part parts[RECORD_PARTS];
    struct sandbox *s;
    struct record *record;

    HASH_FIND_STR(who->sandboxes, id, s);
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements == 0)
        return FAULT_NOT_FOUND;
    if (reply->elements > 2 * RECORD_PARTS)
        return FAULT_INVALID;
    TRY(record_read(who->worker, slice_text(id), parts, parts_of(reply, parts), &record));
    if (strcmp(record->zone, who->worker->config->zone) != 0) {
        record_drop(record);
        return FAULT_NOT_FOUND; /* another zone's sandbox: not ours to serve */
    }
    if ((s && record->version < s->record->version) || !mark_raise(slice_text(id), record->version)) {
        record_drop(record);
        return FAULT_FORGED; /* an older version was brought back */
    }
    if (s && record->version == s->record->version) {
        record_drop(record); /* what is open holds on to what is made of the one that we have */
    } else if (s) {
        TRY(sandbox_update(s, record));
    } else {
        TRY(sandbox_new(who->worker, record, &s));
        HASH_ADD_STR(who->sandboxes, id, s);
        s->used_ms = worker_now_ms(who->worker);
    }
    s->checked_ms = worker_now_ms(who->worker);
    s->refused = false;
    *out = s;
    return FAULT_NONE;
}

static void fetch_count(enum fault why, int64_t asked_ms, const struct worker *w)
{
    metric_add(why == FAULT_NONE                ? METRIC_STORE_FOUND
               : why == FAULT_NOT_FOUND         ? METRIC_STORE_ABSENT
               : why == FAULT_STORE_UNAVAILABLE ? METRIC_STORE_FAILED
                                                : METRIC_STORE_REFUSED,
               1);
    metric_time(METRIC_STORE_SECONDS, (uint64_t)(worker_now_ms(w) - asked_ms) * 1000);
}

static enum fault hgetall(struct who *who, const char *id, redis_fn *fn, void *cookie)
{
    char key[RECORD_ID_MAX + 32];
    int n = snprintf(key, sizeof key, "osb:sandbox:{%s}", id);
    struct slice argv[2] = {SLICE("HGETALL"), slice_of(key, (size_t)n)};

    return redislink_command(who->commands, argv, 2, fn, cookie);
}

/* --- keeping a sandbox's record fresh ------------------------------------------------------------------- */

static void refresh(struct sandbox *s);

/* Redis holds, or may hold, another record than ours. */
static bool overtaken(const struct sandbox *s)
{
    return s->changes_told != s->changes_read || s->doubt_ms;
}

static bool usable_stale(const struct sandbox *s, int64_t now_ms)
{
    const struct config *config = s->worker->config;

    return s->changes_told == s->changes_read && !s->refused &&
           (!config->cache_stale_ms || now_ms - s->checked_ms < (int64_t)config->cache_stale_ms);
}

static void refreshed(void *cookie, enum fault why, const redisReply *reply)
{
    struct sandbox *s = cookie;
    struct who *who = s->worker->who;
    struct sandbox *same;

    s->fetching = false;
    if (s->ended) {
        sandbox_drop(s);
        return;
    }
    if (why == FAULT_NONE)
        why = who_learn(who, s->id, reply, &same);
    fetch_count(why, s->asked_ms, s->worker);
    if (why == FAULT_NOT_FOUND) {
        sandbox_forget(who, s);
    } else if (why == FAULT_NONE) {
        s->changes_read = s->fetch_covers;
        if (s->asked_ms >= s->doubt_ms)
            s->doubt_ms = 0;
        if (overtaken(s))
            refresh(s); /* changed again while we read */
        if (!s->fetching)
            waits_tell(&s->waits, usable_stale(s, s->checked_ms) ? FAULT_NONE : FAULT_STORE_UNAVAILABLE, s);
    } else {
        if (why != FAULT_STORE_UNAVAILABLE) {
            s->refused = true;
            DIAG(ERROR, "a record in Redis is refused: its sandbox gets nothing until it opens again",
                 DIAG_TEXT("sandbox", slice_text(s->id)), DIAG_FAULT(why));
        }
        waits_tell(&s->waits,
                   usable_stale(s, worker_now_ms(s->worker)) ? FAULT_NONE : FAULT_STORE_UNAVAILABLE, s);
    }
    sandbox_drop(s);
}

static void refresh(struct sandbox *s)
{
    if (s->fetching)
        return;
    s->fetch_covers = s->changes_told;
    s->asked_ms = worker_now_ms(s->worker);
    if (hgetall(s->worker->who, s->id, refreshed, s) != FAULT_NONE)
        return;
    s->fetching = true;
    sandbox_hold(s);
}

enum fault who_fresh(struct sandbox *s, struct ip from, struct who_wait *wait)
{
    const struct config *config = s->worker->config;
    int64_t now_ms = worker_now_ms(s->worker), age_ms = now_ms - s->checked_ms;
    int64_t ttl_ms = (int64_t)config->cache_ttl_ms;

    s->used_ms = now_ms;
    if (s->ended)
        return FAULT_REVOKED;
    if (!overtaken(s) && !s->refused && (!ttl_ms || age_ms < ttl_ms)) {
        if (ttl_ms && age_ms > ttl_ms / 2)
            refresh(s);
        return verdict_alive(s->record, from, clock_turn_wall_ms());
    }
    refresh(s);
    if (s->fetching) {
        wait_on(wait, &s->waits, from);
        return FAULT_AGAIN;
    }
    return usable_stale(s, now_ms) ? verdict_alive(s->record, from, clock_turn_wall_ms())
                                   : FAULT_STORE_UNAVAILABLE;
}

/* --- from an address to a sandbox ----------------------------------------------------------------------- */

static void entry_free(struct who *who, struct who_entry *e)
{
    HASH_DEL(who->entries, e);
    sandbox_drop(e->sandbox);
    free(e);
}

/* The answer to all who asked for this address. */
static void entry_settle(struct who_entry *e, enum fault why, struct sandbox *s)
{
    e->fetching = false;
    if (why == FAULT_NONE && !record_has_address(s->record, e->ip))
        why = FAULT_NOT_FOUND;
    if (why == FAULT_NONE)
        why = verdict_alive(s->record, e->ip, clock_turn_wall_ms());
    if (why == FAULT_NONE) {
        e->sandbox = sandbox_hold(s);
    } else if (why != FAULT_STORE_UNAVAILABLE) {
        if (why != FAULT_NOT_FOUND && why != FAULT_REVOKED)
            DIAG(ERROR, "a record in Redis is refused", DIAG_TEXT("sandbox", slice_text(e->id)),
                 DIAG_FAULT(why));
        e->nobody_until_ms = worker_now_ms(e->who->worker) + NOBODY_MS;
        why = FAULT_UNKNOWN_SOURCE;
    }
    waits_tell(&e->waits, why, s);
}

static void record_came(void *cookie, enum fault why, const redisReply *reply)
{
    struct who_entry *e = cookie;
    struct sandbox *s = NULL;

    if (why == FAULT_NONE)
        why = who_learn(e->who, e->id, reply, &s);
    fetch_count(why, e->asked_ms, e->who->worker);
    if (s && e->again) {
        s->changes_told++;
        refresh(s);
    }
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
        why = hgetall(e->who, e->id, record_came, e);
        if (why == FAULT_NONE)
            return;
        why = FAULT_STORE_UNAVAILABLE;
    }
    fetch_count(why, e->asked_ms, e->who->worker);
    entry_settle(e, why, NULL);
}

static enum fault entry_fetch(struct who *who, struct who_entry *e)
{
    char ip[IP_TEXT], key[RECORD_ID_MAX + IP_TEXT + 32];

    ip_text(e->ip, ip);
    int n = snprintf(key, sizeof key, "osb:ip:%s:{%s}", who->worker->config->zone, ip);
    struct slice argv[2] = {SLICE("GET"), slice_of(key, (size_t)n)};

    e->asked_ms = worker_now_ms(who->worker);
    e->id[0] = 0;
    e->again = false;
    if (redislink_command(who->commands, argv, 2, index_came, e) != FAULT_NONE)
        return FAULT_STORE_UNAVAILABLE;
    e->fetching = true;
    return FAULT_NONE;
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
        enum fault why = who_fresh(e->sandbox, from, wait);

        *out = e->sandbox;
        return why;
    }
    if (!e->fetching && worker_now_ms(who->worker) < e->nobody_until_ms)
        return FAULT_UNKNOWN_SOURCE;
    if (!e->fetching)
        TRY(entry_fetch(who, e));
    wait_on(wait, &e->waits, from);
    return FAULT_AGAIN;
}

bool who_tell(struct who *who, struct ip from)
{
    int64_t now_ms = worker_now_ms(who->worker);
    struct who_entry *e;

    HASH_FIND(hh, who->entries, &from, sizeof from, e);
    if (!e || (e->told_ms && now_ms - e->told_ms < TELL_MS))
        return false;
    e->told_ms = now_ms;
    return true;
}

/* --- changes -------------------------------------------------------------------------------------------- */

static void sandbox_changed(struct who *who, struct slice id)
{
    struct sandbox *s;

    HASH_FIND(hh, who->sandboxes, id.at, id.len, s);
    if (!s) {
        for (struct who_entry *e = who->entries; e; e = e->hh.next)
            e->again |= slice_equal(slice_text(e->id), id);
        return;
    }
    s->changes_told++;
    refresh(s); /* at once, for those who are connected now */
}

/* "ZONE ADDR": whatever is known of the address is asked again. */
static void address_changed(struct who *who, struct slice what)
{
    size_t space = slice_find(what, ' ');
    struct who_entry *e;
    struct ip ip;

    if (!slice_equal(slice_first(what, space), slice_text(who->worker->config->zone)) ||
        ip_parse(slice_drop(what, space + 1), &ip) != FAULT_NONE)
        return;
    HASH_FIND(hh, who->entries, &ip, sizeof ip, e);
    if (!e)
        return;
    e->nobody_until_ms = 0;
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

/* While the link was away changes may have been missed: nothing that is held counts as checked, nor what is on its way. */
static void change_state(void *cookie, bool up)
{
    struct who *who = cookie;

    if (!up)
        return;
    for (struct sandbox *s = who->sandboxes; s; s = s->hh.next) {
        s->doubt_ms = worker_now_ms(who->worker);
        refresh(s);
    }
    for (struct who_entry *e = who->entries; e; e = e->hh.next) {
        e->nobody_until_ms = 0;
        e->again |= e->fetching;
    }
}

/* --- upkeep --------------------------------------------------------------------------------------------- */

static void sandboxes_sweep(struct who *who, int64_t now_ms)
{
    int64_t idle_ms = (int64_t)who->worker->config->cache_stale_ms;
    int64_t ttl_ms = (int64_t)who->worker->config->cache_ttl_ms;
    struct sandbox *s, *next;

    HASH_ITER (hh, who->sandboxes, s, next) {
        bool expired = s->record->expires_ms && clock_turn_wall_ms() >= s->record->expires_ms;
        bool idle = !s->conns && TAILQ_EMPTY(&s->waits) && !s->fetching &&
                    now_ms - s->used_ms > (idle_ms > IDLE_MS ? idle_ms : IDLE_MS);

        /* Connections that ask nothing more are to end too when their sandbox does, though Redis was away just then. */
        bool due = overtaken(s) || (s->conns && !s->refused && ttl_ms && now_ms - s->checked_ms >= ttl_ms);

        if (expired || idle)
            sandbox_forget(who, s);
        else if (due)
            refresh(s);
    }
}

static void who_sweep(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct who *who = timer->data;
    int64_t now_ms = worker_now_ms(who->worker);
    struct who_entry *e, *next;

    (void)loop;
    (void)events;
    sandboxes_sweep(who, now_ms);
    HASH_ITER (hh, who->entries, e, next) {
        bool stale = !e->sandbox || e->sandbox->ended;

        if (stale && !e->fetching && TAILQ_EMPTY(&e->waits) && now_ms >= e->nobody_until_ms &&
            now_ms - e->told_ms >= TELL_MS)
            entry_free(who, e);
    }
    /* As in links_sweep: what they leave lies between memory in use. To look for it takes up to a millisecond. */
    if (who->forgotten >= TRIM_SANDBOXES) {
        malloc_trim(0);
        who->forgotten = 0;
    }
    metric_set(METRIC_SANDBOXES_KNOWN, HASH_COUNT(who->sandboxes));
    metric_set(METRIC_ARENA_OCTETS, secret_arena_used());
    metric_set(METRIC_WORKER_READY, who_ready(who) && !who->worker->draining);
}

static void commands_state(void *cookie, bool up)
{
    struct who *who = cookie;

    metric_set(METRIC_WORKER_READY, who_ready(who) && !who->worker->draining);
    (void)up;
    who->worker->on_store_known(who->worker);
}

bool who_ready(const struct who *who)
{
    int64_t now_ms = worker_now_ms(who->worker);

    if (who->commands && redislink_up(who->commands))
        return true;
    for (const struct sandbox *s = who->sandboxes; s; s = s->hh.next)
        if (usable_stale(s, now_ms))
            return true;
    return false;
}

enum fault who_new(struct worker *w, struct who **out)
{
    const struct config *config = w->config;
    struct who *who = calloc(1, sizeof *who);

    if (!who)
        return FAULT_NO_MEMORY;
    who->worker = w;
    w->who = who; /* the links may tell their state before we return */
    ev_timer_init(&who->sweep, who_sweep, SWEEP_S, SWEEP_S);
    who->sweep.data = who;
    ev_timer_start(w->loop, &who->sweep);

    enum fault why =
        redislink_new(w->loop, &config->redis, config->store_timeout_ms, NULL,
                      (struct redislink_events){.state = commands_state, .cookie = who}, &who->commands);

    if (why == FAULT_NONE)
        why = redislink_new(w->loop, &config->redis, config->store_timeout_ms, "osb:changes",
                            (struct redislink_events){change_message, change_state, who}, &who->changes);
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

    ev_timer_stop(who->worker->loop, &who->sweep);
    if (who->changes)
        redislink_free(who->changes);
    if (who->commands)
        redislink_free(who->commands);
    HASH_ITER (hh, who->entries, e, next_entry)
        entry_free(who, e);
    HASH_ITER (hh, who->sandboxes, s, next)
        sandbox_forget(who, s);
    free(who);
}

#include "redislink.h"
#include "clock.h"
#include "diag.h"
#include "redisgreet.h"
#include "redispipe.h"
#include "respread.h"
#include "respwrite.h"
#include <assert.h>
#include <sodium.h>
#include <stdlib.h>

#define OUT_OCTETS       (1024 * 1024)
#define READS_MOST       16 /* of the socket in one event */
#define BACKOFF_FIRST_MS 50
#define BACKOFF_MOST_MS  500
#define ROLE_EVERY_MS    1000
#define SEEK_EVERY_MS    1000
#define PING_TIMEOUTS    10    /* a quiet subscription is asked for a sign of life after so many timeouts.. */
#define PING_MOST_MS     10000 /* ..and at least this often */

enum link_state { LINK_DOWN, LINK_CONNECTING, LINK_GREETING, LINK_UP };

struct waiter {
    redislink_fn *fn;
    void *cookie;
    int64_t deadline_ms;
};

struct redislink {
    struct ev_loop *loop;
    struct redislink_aim aim;
    struct redislink_events events;
    int64_t timeout_ms, ping_every_ms;

    enum link_state state;
    struct redisway way;
    struct redisstop stop;
    struct redispipe pipe;
    struct redisgreet greet;
    struct buf out;
    struct respread reader;
    unsigned connection; /* counts them: what began on one must not go on on the next */
    bool cluster;        /* a replica is as good as a master: it says who has what */
    ev_io io;
    ev_prepare turn; /* fed, never started: behind all else of this turn of the loop, what was put is sent */
    ev_timer alarm;  /* for the earliest of the times below, or before it */
    int64_t alarm_ms;

    /* All deadlines are equally long, so the earliest is the first one's. */
    struct waiter waiting[REDISLINK_WAITING];
    size_t first, count;
    /* When to begin a round, to give the greeting up, to ask for a sign of life, to give that up. 0: never. */
    int64_t retry_ms, greeting_ms, ping_ms, pong_ms;
    int64_t backoff_ms, complained_ms, sought_ms;
    bool away_said;  /* "Redis is away" was */
    bool round_said; /* why each of its places was left was, since then */

    unsigned busy; /* depth of our own functions on the stack: the memory must live that long */
    bool freed;
    bool told; /* whether it can come up is known, and was said */
};

static void alarm_arm(struct redislink *l);

static void link_leave(struct redislink *l)
{
    if (--l->busy == 0 && l->freed)
        free(l);
}

/* --- messages ------------------------------------------------------------------------------------------- */

static void fault_say(const struct redislink *l, enum diag_level level, const char *what, const char *why)
{
    char at[REDIS_URL_TEXT];

    if (l->stop.place.port)
        redis_place_text(&l->stop.place, at);
    else
        redisurl_text(l->stop.url ? l->stop.url : &l->aim.urls[0], at);
    const struct diag_item items[] = {DIAG_TEXT("for", slice_text(l->aim.name)),
                                      DIAG_TEXT("at", slice_text(at)),
                                      DIAG_TEXT("why", slice_text(why)),
                                      {0}};

    diag_write(level, what, items);
}

static void away_say(struct redislink *l, const char *why)
{
    if (!l->away_said)
        fault_say(l, DIAG_WARN, "Redis is away", why);
    l->away_said = true;
}

/* --- going down ----------------------------------------------------------------------------------------- */

/* Up to a quarter less, so that many workers don't come back all at once. */
static int64_t backoff_next(struct redislink *l)
{
    int64_t wait_ms = l->backoff_ms - randombytes_uniform((uint32_t)(l->backoff_ms / 4 + 1));

    l->backoff_ms = l->backoff_ms * 2 < BACKOFF_MOST_MS ? l->backoff_ms * 2 : BACKOFF_MOST_MS;
    return wait_ms;
}

static void connection_close(struct redislink *l)
{
    ev_io_stop(l->loop, &l->io);
    redispipe_close(&l->pipe);
    buf_close(&l->out); /* wiped: it may hold the password */
    respread_close(&l->reader);
    l->greeting_ms = l->ping_ms = l->pong_ms = 0;
    l->connection++;
    l->state = LINK_DOWN;
}

static void waiters_fail(struct redislink *l)
{
    while (l->count) {
        struct waiter w = l->waiting[l->first];

        l->first = (l->first + 1) % REDISLINK_WAITING;
        l->count--;
        if (w.fn)
            w.fn(w.cookie, FAULT_STORE_UNAVAILABLE, NULL);
    }
}

static void state_tell(struct redislink *l, bool up)
{
    l->told = true;
    if (!l->freed && l->events.state)
        l->events.state(l->events.cookie, up);
}

/* A link that is up goes down. Replies are matched to commands by order alone: what goes wrong ends the connection, never
 * one command. */
static void link_drop(struct redislink *l, const char *why, int64_t wait_ms)
{
    if (l->freed || l->state != LINK_UP)
        return;
    away_say(l, why);
    connection_close(l);
    l->retry_ms = clock_mono_ms() + wait_ms;
    alarm_arm(l);
    waiters_fail(l);
    state_tell(l, false);
}

/* --- the search ----------------------------------------------------------------------------------------- */

static void io_want(struct redislink *l)
{
    int want = redispipe_wants(&l->pipe, buf_held(&l->out).len != 0);

    if (ev_is_active(&l->io) && (l->io.events & (EV_READ | EV_WRITE)) == want)
        return;
    ev_io_stop(l->loop, &l->io);
    ev_io_set(&l->io, l->pipe.fd, want);
    ev_io_start(l->loop, &l->io);
}

/* Gives NULL, or why not. */
static const char *stop_open(struct redislink *l)
{
    const struct redis_url *url = l->stop.url;
    const char *why = redispipe_open(&l->pipe, &l->stop.address, l->stop.len, url->tls ? l->aim.tls : NULL,
                                     l->stop.place.host);

    if (why)
        return why;
    if (buf_open(&l->out, OUT_OCTETS) != FAULT_NONE || respread_open(&l->reader) != FAULT_NONE)
        return "no memory";
    const char *channel = l->stop.sentinel == l->aim.sentinels ? l->aim.channel : NULL;

    return redisgreet_begin(&l->greet, url, l->stop.sentinel, channel, &l->out) == FAULT_NONE ? NULL
                                                                                              : "no memory";
}

/* Which of several places is at fault is what an operator asks first; of one place the end of the round says it. */
static void stop_leave(struct redislink *l, const char *why)
{
    bool several = l->aim.count > 1 || l->aim.urls[0].sentinel[0];

    if (several && !l->round_said)
        fault_say(l, DIAG_NOTE, "a Redis is passed over", why);
    connection_close(l);
}

/* On to the next place that does not fail at once; behind the last one it waits for a new round. */
static void link_search(struct redislink *l, const char *why)
{
    struct redisstop next;

    while (redisway_next(&l->way, &next)) {
        l->stop = next;
        why = stop_open(l);
        if (!why) {
            l->state = LINK_CONNECTING;
            l->greeting_ms = clock_mono_ms() + l->timeout_ms;
            io_want(l);
            alarm_arm(l);
            return;
        }
        stop_leave(l, why);
    }
    away_say(l, why ? why : "its host's name has no address");
    l->round_said = true;
    l->retry_ms = clock_mono_ms() + backoff_next(l);
    alarm_arm(l);
    if (!l->told)
        state_tell(l, false);
}

static void round_begin(struct redislink *l)
{
    l->retry_ms = 0;
    l->stop = (struct redisstop){.url = NULL};
    redisway_begin(&l->way);
    link_search(l, NULL);
}

/* This connection is over: as a link that was up, or as one place of many. */
static void connection_fail(struct redislink *l, const char *why)
{
    if (l->state == LINK_UP) {
        link_drop(l, why, backoff_next(l));
    } else if (l->state != LINK_DOWN) {
        stop_leave(l, why);
        link_search(l, why);
    }
}

static void link_rise(struct redislink *l)
{
    if (l->away_said)
        DIAG(NOTE, "Redis answers again", DIAG_TEXT("for", slice_text(l->aim.name)));
    l->away_said = l->round_said = false;
    redisway_arrived(&l->way);
    l->cluster = l->greet.cluster;
    l->state = LINK_UP;
    l->backoff_ms = BACKOFF_FIRST_MS;
    l->greeting_ms = 0;
    l->ping_ms = clock_mono_ms() + l->ping_every_ms;
    state_tell(l, true);
}

/* --- replies -------------------------------------------------------------------------------------------- */

static void greeting_take(struct redislink *l, const redisReply *reply)
{
    const char *why = "no memory";
    const char *word = redisgreet_word(&l->greet);
    enum fault fault = redisgreet_take(&l->greet, reply, &l->out, &why);

    if (fault == FAULT_AGAIN)
        return;
    if (fault != FAULT_NONE) {
        if (reply->type == REDIS_REPLY_ERROR && strcmp(word, "READWRITE") != 0)
            respread_complain(&l->complained_ms, word, reply);
        connection_fail(l, why);
    } else if (l->greet.master.port) {
        redisway_named(&l->way, &l->greet.master);
        connection_close(l);
        link_search(l, "the sentinels name no other master");
    } else {
        link_rise(l);
    }
}

static void message_take(struct redislink *l, const redisReply *reply)
{
    if (respread_begins(reply, "message", 3) && respread_is(reply->element[1], slice_text(l->aim.channel)) &&
        reply->element[2]->type == REDIS_REPLY_STRING) {
        if (l->events.message)
            l->events.message(l->events.cookie, slice_of(reply->element[2]->str, reply->element[2]->len));
    } else if (l->pong_ms && (respread_begins(reply, "pong", 2) || respread_is(reply, SLICE("PONG")))) {
        l->pong_ms = 0;
        l->ping_ms = clock_mono_ms() + l->ping_every_ms;
    } else {
        connection_fail(l, "it said what was not asked for");
    }
}

static void answer_take(struct redislink *l, const redisReply *reply)
{
    if (l->count == 0) {
        connection_fail(l, "it said what was not asked for");
        return;
    }
    struct waiter w = l->waiting[l->first];

    l->first = (l->first + 1) % REDISLINK_WAITING;
    l->count--;
    if (w.fn)
        w.fn(w.cookie, FAULT_NONE, reply);
}

static void reply_take(struct redislink *l, const redisReply *reply)
{
    if (l->state == LINK_GREETING)
        greeting_take(l, reply);
    else if (l->aim.channel)
        message_take(l, reply);
    else
        answer_take(l, reply);
}

static void chunk_take(struct redislink *l, struct slice chunk)
{
    unsigned connection = l->connection;
    redisReply *reply;
    enum fault fault = respread_feed(&l->reader, chunk);

    /* Each reply may lead to a call that ends this connection, or frees the link. */
    while (fault == FAULT_NONE && (fault = respread_next(&l->reader, &reply)) == FAULT_NONE) {
        reply_take(l, reply);
        freeReplyObject(reply);
        if (l->connection != connection)
            return;
    }
    if (fault != FAULT_AGAIN)
        connection_fail(l, fault == FAULT_NO_MEMORY ? "no memory"
                                                    : "its octets are outside the protocol or the bounds");
}

static void link_read(struct redislink *l)
{
    static uint8_t chunk[RESPREAD_CHUNK]; /* holds nothing that was opened: the store's values are sealed */
    unsigned connection = l->connection, reads = 0;
    enum fault fault;

    do {
        size_t n = 0;

        fault = redispipe_read(&l->pipe, (struct iovec){chunk, sizeof chunk}, &n);
        if (n)
            chunk_take(l, slice_of(chunk, n));
        if (l->connection != connection)
            return;
    } while (fault == FAULT_NONE && (++reads < READS_MOST || redispipe_pending(&l->pipe)));
    if (fault != FAULT_NONE && fault != FAULT_AGAIN)
        connection_fail(l, fault == FAULT_END ? "Redis closed it" : "it can't be read from");
}

static void link_write(struct redislink *l)
{
    if (redispipe_write(&l->pipe, &l->out) != FAULT_NONE)
        connection_fail(l, "it can't be written to");
}

/* --- a sign of life, and of mastership ------------------------------------------------------------------ */

static void demoted(struct redislink *l)
{
    link_drop(l, "it is no master any more", 0);
}

static void readwrite_came(void *cookie, enum fault fault, const redisReply *reply)
{
    struct redislink *l = cookie;

    if (fault != FAULT_NONE)
        return;
    l->cluster = respread_is(reply, SLICE("OK"));
    if (!l->cluster)
        demoted(l);
}

static void role_came(void *cookie, enum fault fault, const redisReply *reply)
{
    const struct slice argv[] = {SLICE("READWRITE")};
    struct redislink *l = cookie;

    if (fault != FAULT_NONE)
        return;
    l->ping_ms = clock_mono_ms() + l->ping_every_ms;
    if (respread_begins(reply, "master", 3) || l->cluster)
        return;
    if (redislink_command(l, argv, 1, readwrite_came, l) != FAULT_NONE)
        demoted(l);
}

static void probe_came(void *cookie, enum fault fault, const redisReply *reply)
{
    struct redislink *l = cookie;

    if (fault == FAULT_NONE && redisgreet_cut_off(reply))
        link_drop(l, REDISGREET_CUT_OFF, 0);
}

static void ping_send(struct redislink *l, int64_t now_ms)
{
    const struct slice ping = SLICE("PING"), role = SLICE("ROLE"), probe[] = REDISGREET_PROBE;

    l->ping_ms = 0;
    if (!l->aim.channel) {
        /* Full: then there are answers to come, each with its deadline. */
        if (redislink_command(l, probe, 2, probe_came, l) != FAULT_NONE ||
            redislink_command(l, &role, 1, role_came, l) != FAULT_NONE)
            l->ping_ms = now_ms + l->ping_every_ms;
        return;
    }
    l->pong_ms = now_ms + l->timeout_ms;
    ev_feed_event(l->loop, &l->turn, EV_CUSTOM);
    if (respwrite_command(&l->out, &ping, 1) != FAULT_NONE)
        connection_fail(l, "it takes nothing");
}

/* --- events --------------------------------------------------------------------------------------------- */

static void connect_go_on(struct redislink *l)
{
    const char *why = NULL;
    enum fault fault = redispipe_ready(&l->pipe, &why);

    if (fault == FAULT_NONE)
        l->state = LINK_GREETING;
    else if (fault != FAULT_AGAIN)
        connection_fail(l, why);
}

static void on_io(struct ev_loop *loop, ev_io *w, int events)
{
    struct redislink *l = w->data;
    unsigned connection = l->connection;

    (void)loop;
    l->busy++;
    if (l->state == LINK_CONNECTING)
        connect_go_on(l);
    if (l->connection == connection && l->state > LINK_CONNECTING && events & EV_READ)
        link_read(l);
    if (l->connection == connection && l->state > LINK_CONNECTING)
        link_write(l);
    if (l->connection == connection)
        io_want(l);
    if (!l->freed)
        alarm_arm(l);
    link_leave(l);
}

/* Once for all commands of the turn; what does not fit waits for the socket. */
static void on_turn(struct ev_loop *loop, ev_prepare *w, int events)
{
    struct redislink *l = w->data;

    (void)loop;
    (void)events;
    if (l->state < LINK_GREETING || buf_held(&l->out).len == 0 || l->io.events & EV_WRITE)
        return;
    l->busy++;
    link_write(l);
    if (l->state >= LINK_GREETING)
        io_want(l);
    link_leave(l);
}

static int64_t earlier(int64_t a_ms, int64_t b_ms)
{
    return a_ms == 0 || (b_ms != 0 && b_ms < a_ms) ? b_ms : a_ms;
}

static void alarm_arm(struct redislink *l)
{
    int64_t next_ms = earlier(earlier(l->retry_ms, l->greeting_ms), earlier(l->ping_ms, l->pong_ms));

    next_ms = earlier(next_ms, l->count ? l->waiting[l->first].deadline_ms : 0);
    /* One that comes too early looks and is armed again: cheaper than moving it with every reply. */
    if (ev_is_active(&l->alarm) && next_ms && l->alarm_ms <= next_ms)
        return;
    ev_timer_stop(l->loop, &l->alarm);
    if (next_ms == 0)
        return;
    int64_t left_ms = next_ms - clock_mono_ms();

    l->alarm_ms = next_ms;
    ev_timer_set(&l->alarm, left_ms > 0 ? (double)left_ms / 1000 : 0, 0);
    ev_timer_start(l->loop, &l->alarm);
}

static bool is_due(int64_t at_ms, int64_t now_ms)
{
    return at_ms && now_ms >= at_ms;
}

static void on_alarm(struct ev_loop *loop, ev_timer *w, int events)
{
    struct redislink *l = w->data;
    int64_t now_ms = clock_mono_ms();

    (void)loop;
    (void)events;
    l->busy++;
    if (is_due(l->retry_ms, now_ms))
        round_begin(l);
    else if (is_due(l->greeting_ms, now_ms) || is_due(l->pong_ms, now_ms) ||
             is_due(l->count ? l->waiting[l->first].deadline_ms : 0, now_ms))
        connection_fail(l, "Redis did not answer in time");
    else if (is_due(l->ping_ms, now_ms))
        ping_send(l, now_ms);
    if (!l->freed)
        alarm_arm(l);
    link_leave(l);
}

/* --- for others ----------------------------------------------------------------------------------------- */

enum fault redislink_new(struct ev_loop *loop, const struct redislink_aim *aim,
                         struct redislink_events events, struct redislink **out)
{
    struct redislink *l = calloc(1, sizeof *l);

    if (!l)
        return FAULT_NO_MEMORY;
    for (size_t i = 0; i < aim->count; i++)
        assert(aim->tls || !aim->urls[i].tls);
    l->loop = loop;
    l->aim = *aim;
    l->way = (struct redisway){.urls = aim->urls, .count = aim->count, .hosts = aim->hosts};
    l->timeout_ms = aim->timeout_ms > INT32_MAX ? INT32_MAX : (int64_t)aim->timeout_ms;
    l->ping_every_ms = aim->channel ? l->timeout_ms * PING_TIMEOUTS : ROLE_EVERY_MS;
    if (l->ping_every_ms > PING_MOST_MS)
        l->ping_every_ms = PING_MOST_MS;
    l->events = events;
    l->pipe = REDISPIPE_CLOSED;
    l->backoff_ms = BACKOFF_FIRST_MS;
    ev_init(&l->io, on_io);
    /* A change that was announced before a request was sent is to be known before that request is looked at, also where both
     * are found in one turn of the loop; its clock alone goes before. */
    if (aim->channel)
        ev_set_priority(&l->io, EV_MAXPRI - 1);
    ev_init(&l->alarm, on_alarm);
    ev_set_priority(&l->alarm, EV_MINPRI); /* what has come by now is read before it is called late */
    ev_init(&l->turn, on_turn);
    ev_set_priority(&l->turn, EV_MINPRI);
    l->io.data = l->alarm.data = l->turn.data = l;
    l->retry_ms = clock_mono_ms(); /* from the loop, so that nothing is told before we return */
    alarm_arm(l);
    *out = l;
    return FAULT_NONE;
}

void redislink_free(struct redislink *l)
{
    if (!l || l->freed)
        return;
    l->busy++;
    l->freed = true;
    connection_close(l);
    ev_timer_stop(l->loop, &l->alarm);
    ev_clear_pending(l->loop, &l->turn);
    waiters_fail(l);
    link_leave(l);
}

void redislink_seek(struct redislink *l, const char *why)
{
    if (l->freed)
        return;
    int64_t now_ms = clock_mono_ms();
    /* Those who send it about may never agree: at once the first time, then no faster than its own rounds. */
    int64_t wait_ms = l->sought_ms && now_ms - l->sought_ms < SEEK_EVERY_MS ? BACKOFF_MOST_MS : 0;

    l->busy++;
    l->backoff_ms = BACKOFF_FIRST_MS;
    if (wait_ms == 0)
        l->sought_ms = now_ms;
    if (l->state == LINK_UP) {
        link_drop(l, why, wait_ms);
    } else if (l->state != LINK_DOWN || wait_ms == 0) {
        connection_close(l);
        l->retry_ms = now_ms + wait_ms;
        alarm_arm(l);
    }
    link_leave(l);
}

const struct redisstop *redislink_stop(const struct redislink *l)
{
    return l->state == LINK_UP ? &l->stop : NULL;
}

enum fault redislink_command(struct redislink *l, const struct slice *argv, size_t argc, redislink_fn *fn,
                             void *cookie)
{
    assert(!l->aim.channel);
    if (argc == 0)
        return FAULT_INVALID;
    if (l->state != LINK_UP)
        return FAULT_STORE_UNAVAILABLE;
    if (l->count == REDISLINK_WAITING || respwrite_command(&l->out, argv, argc) != FAULT_NONE)
        return FAULT_OVERLOADED;
    l->waiting[(l->first + l->count++) % REDISLINK_WAITING] =
        (struct waiter){fn, cookie, clock_mono_ms() + l->timeout_ms};
    ev_feed_event(l->loop, &l->turn, EV_CUSTOM);
    alarm_arm(l);
    return FAULT_NONE;
}

#include "redislink.h"
#include "buf.h"
#include "clock.h"
#include "diag.h"
#include "respread.h"
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>
#include <unistd.h>

#define OUT_OCTETS       (1024 * 1024)
#define IN_FLIGHT        1024
#define ADDRESSES        8
#define BACKOFF_FIRST_MS 50
#define BACKOFF_MOST_MS  2000
#define PING_TIMEOUTS    10    /* a quiet subscription is asked for a sign of life after so many timeouts.. */
#define PING_MOST_MS     10000 /* ..and at least this often */
#define COMPLAIN_MS      1000  /* a line about errors at most this often */

enum link_state { LINK_DOWN, LINK_CONNECTING, LINK_GREETING, LINK_UP };

/* What is said first on a connection, in this order; the last one's answer makes the link up. */
enum greeting { GREETING_AUTH, GREETING_SELECT, GREETING_PING, GREETING_SUBSCRIBE, GREETING_COUNT };

static const char *const greeting_word[GREETING_COUNT] = {"AUTH", "SELECT", "PING", "SUBSCRIBE"};

struct waiter {
    redis_fn *fn;
    void *cookie;
    int64_t deadline_ms;
};

struct redislink {
    struct ev_loop *loop;
    struct config_redis where;
    char *channel; /* NULL: a link for commands */
    struct redislink_events events;
    int64_t timeout_ms, ping_every_ms;

    enum link_state state;
    int fd;
    ev_io io;
    ev_timer alarm; /* for the earliest of the times below, or before it */
    int64_t alarm_ms;
    struct buf out;
    struct respread reader;
    enum greeting greetings[GREETING_COUNT];
    size_t greeted, greeting_count;

    /* All deadlines are equally long, so the earliest is the first one's. */
    struct waiter waiting[IN_FLIGHT];
    size_t first, count;
    /* When to connect, to give the greeting up, to ask for a sign of life, to give that up. 0: never. */
    int64_t retry_ms, greeting_ms, ping_ms, pong_ms;

    struct sockaddr_storage address[ADDRESSES];
    socklen_t address_len[ADDRESSES];
    size_t addresses, next_address;
    int64_t backoff_ms, complained_ms;
    bool away_said;

    unsigned busy; /* depth of our own functions on the stack: the memory must live that long */
    bool freed;
    bool told; /* whether it can come up is known, and was said */
};

static void alarm_arm(struct redislink *l);

static void link_enter(struct redislink *l)
{
    l->busy++;
}

static void link_leave(struct redislink *l)
{
    if (--l->busy == 0 && l->freed)
        free(l);
}

/* --- going down ----------------------------------------------------------------------------------------- */

/* A quarter more or less, so that many workers don't come back all at once. */
static int64_t backoff_next(struct redislink *l)
{
    int64_t quarter_ms = l->backoff_ms / 4;
    int64_t wait_ms = l->backoff_ms - quarter_ms + randombytes_uniform((uint32_t)(2 * quarter_ms + 1));

    l->backoff_ms = l->backoff_ms * 2 < BACKOFF_MOST_MS ? l->backoff_ms * 2 : BACKOFF_MOST_MS;
    return wait_ms;
}

static void connection_close(struct redislink *l)
{
    ev_io_stop(l->loop, &l->io);
    if (l->fd >= 0)
        close(l->fd);
    l->fd = -1;
    buf_close(&l->out); /* wiped: it may hold the password */
    respread_close(&l->reader);
    l->greeting_ms = l->ping_ms = l->pong_ms = 0;
}

static void waiters_fail(struct redislink *l)
{
    while (l->count) {
        struct waiter w = l->waiting[l->first];

        l->first = (l->first + 1) % IN_FLIGHT;
        l->count--;
        w.fn(w.cookie, FAULT_STORE_UNAVAILABLE, NULL);
    }
}

/* Replies are matched to commands by order alone: what goes wrong ends the connection, never one command. */
static void link_drop(struct redislink *l, const char *why)
{
    bool was_up = l->state == LINK_UP;

    if (l->freed || l->state == LINK_DOWN)
        return;
    if (!l->away_said)
        DIAG(WARN, "Redis is away", DIAG_TEXT("why", slice_text(why)));
    l->away_said = true;
    connection_close(l);
    l->state = LINK_DOWN;
    l->retry_ms = clock_mono_ms() + backoff_next(l);
    alarm_arm(l);
    waiters_fail(l);
    if ((was_up || !l->told) && !l->freed && l->events.state)
        l->events.state(l->events.cookie, false);
    l->told = true;
}

/* --- sending -------------------------------------------------------------------------------------------- */

static void io_want(struct redislink *l)
{
    int want = l->state == LINK_CONNECTING ? EV_WRITE : EV_READ | (buf_held(&l->out).len ? EV_WRITE : 0);

    if (ev_is_active(&l->io) && (l->io.events & (EV_READ | EV_WRITE)) == want)
        return;
    ev_io_stop(l->loop, &l->io);
    ev_io_set(&l->io, l->fd, want);
    ev_io_start(l->loop, &l->io);
}

static enum fault command_put(struct redislink *l, const struct slice *argv, size_t argc)
{
    const char *at[REDISLINK_ARGUMENTS];
    size_t len[REDISLINK_ARGUMENTS];
    char *text = NULL;

    if (argc == 0 || argc > REDISLINK_ARGUMENTS)
        return FAULT_INVALID;
    for (size_t i = 0; i < argc; i++) {
        at[i] = argv[i].len ? (const char *)argv[i].at : "";
        len[i] = argv[i].len;
        if (len[i] > OUT_OCTETS)
            return FAULT_OVERLOADED;
    }
    int octets = redisFormatCommandArgv(&text, (int)argc, at, len);

    if (octets < 0)
        return FAULT_NO_MEMORY;
    enum fault why = buf_append(&l->out, slice_of(text, (size_t)octets));

    sodium_memzero(text, (size_t)octets);
    redisFreeCommand(text);
    return why == FAULT_FULL ? FAULT_OVERLOADED : why;
}

static enum fault greeting_put(struct redislink *l, enum greeting which, struct slice one, struct slice two)
{
    const struct slice argv[] = {slice_text(greeting_word[which]), one, two};

    l->greetings[l->greeting_count++] = which;
    return command_put(l, argv, two.len ? 3 : one.len ? 2 : 1);
}

static enum fault greetings_put(struct redislink *l)
{
    const struct config_redis *w = &l->where;
    struct slice password = slice_text(w->password);
    char db[16];

    l->greeted = l->greeting_count = 0;
    if (password.len)
        TRY(w->user[0] ? greeting_put(l, GREETING_AUTH, slice_text(w->user), password)
                       : greeting_put(l, GREETING_AUTH, password, SLICE_NONE));
    if (w->db) {
        snprintf(db, sizeof db, "%u", w->db);
        TRY(greeting_put(l, GREETING_SELECT, slice_text(db), SLICE_NONE));
    }
    return l->channel ? greeting_put(l, GREETING_SUBSCRIBE, slice_text(l->channel), SLICE_NONE)
                      : greeting_put(l, GREETING_PING, SLICE_NONE, SLICE_NONE);
}

static void link_write(struct redislink *l)
{
    struct slice held = buf_held(&l->out);

    if (held.len == 0)
        return;
    ssize_t n = send(l->fd, held.at, held.len, MSG_NOSIGNAL);

    if (n > 0)
        buf_take(&l->out, (size_t)n);
    else if (errno != EAGAIN && errno != EINTR)
        link_drop(l, "it can't be written to");
}

/* --- replies -------------------------------------------------------------------------------------------- */

/* An error can quote the command: AUTH's would hold the password, so its code alone is said. */
static void complain(struct redislink *l, const char *word, const redisReply *error)
{
    struct slice text = slice_first(slice_of(error->str, error->len), 200);
    int64_t now_ms = clock_mono_ms();

    if (l->complained_ms && now_ms - l->complained_ms < COMPLAIN_MS)
        return;
    l->complained_ms = now_ms;
    if (strcmp(word, greeting_word[GREETING_AUTH]) == 0)
        text = slice_first(text, slice_find(text, ' '));
    DIAG(WARN, "Redis said an error", DIAG_TEXT("to", slice_text(word)), DIAG_TEXT("error", text));
}

static bool push_is(const redisReply *reply, const char *kind, size_t elements)
{
    return reply->type == REDIS_REPLY_ARRAY && reply->elements == elements &&
           respread_is(reply->element[0], slice_text(kind));
}

static bool greeting_holds(const struct redislink *l, enum greeting which, const redisReply *reply)
{
    if (which == GREETING_SUBSCRIBE)
        return push_is(reply, "subscribe", 3) && respread_is(reply->element[1], slice_text(l->channel));
    return respread_is(reply, which == GREETING_PING ? SLICE("PONG") : SLICE("OK"));
}

static void greeting_take(struct redislink *l, const redisReply *reply)
{
    enum greeting which = l->greetings[l->greeted];

    if (reply->type == REDIS_REPLY_ERROR) {
        complain(l, greeting_word[which], reply);
        link_drop(l, "Redis refused the greeting");
        return;
    }
    if (!greeting_holds(l, which, reply)) {
        link_drop(l, "it does not answer as Redis does");
        return;
    }
    if (++l->greeted < l->greeting_count)
        return;
    if (l->away_said)
        DIAG(NOTE, "Redis answers again");
    l->away_said = false;
    l->state = LINK_UP;
    l->backoff_ms = BACKOFF_FIRST_MS;
    l->greeting_ms = 0;
    l->ping_ms = l->channel ? clock_mono_ms() + l->ping_every_ms : 0;
    l->told = true;
    if (l->events.state)
        l->events.state(l->events.cookie, true);
}

static void message_take(struct redislink *l, const redisReply *reply)
{
    if (push_is(reply, "message", 3) && respread_is(reply->element[1], slice_text(l->channel)) &&
        reply->element[2]->type == REDIS_REPLY_STRING) {
        if (l->events.message)
            l->events.message(l->events.cookie, slice_of(reply->element[2]->str, reply->element[2]->len));
    } else if (push_is(reply, "pong", 2) && l->pong_ms) {
        l->pong_ms = 0;
        l->ping_ms = clock_mono_ms() + l->ping_every_ms;
    } else {
        link_drop(l, "it said what was not asked for");
    }
}

static void answer_take(struct redislink *l, const redisReply *reply)
{
    if (l->count == 0) {
        link_drop(l, "it said what was not asked for");
        return;
    }
    struct waiter w = l->waiting[l->first];
    const redisReply *error = respread_error(reply);

    l->first = (l->first + 1) % IN_FLIGHT;
    l->count--;
    if (error)
        complain(l, "a command", error);
    w.fn(w.cookie, error ? FAULT_STORE_UNAVAILABLE : FAULT_NONE, error ? NULL : reply);
}

static void link_read(struct redislink *l)
{
    static char chunk[RESPREAD_CHUNK]; /* holds nothing that was opened: the store's values are sealed */
    ssize_t n = recv(l->fd, chunk, sizeof chunk, 0);
    redisReply *reply;

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        link_drop(l, n ? "it can't be read from" : "Redis closed it");
        return;
    }
    enum fault why = respread_feed(&l->reader, slice_of(chunk, (size_t)n));

    /* Each reply may lead to a call that ends this connection, or frees the link. */
    while (why == FAULT_NONE && (why = respread_next(&l->reader, &reply)) == FAULT_NONE) {
        if (l->state == LINK_GREETING)
            greeting_take(l, reply);
        else if (l->channel)
            message_take(l, reply);
        else
            answer_take(l, reply);
        freeReplyObject(reply);
        if (l->freed || l->state == LINK_DOWN)
            return;
    }
    if (why != FAULT_AGAIN)
        link_drop(l,
                  why == FAULT_NO_MEMORY ? "no memory" : "its octets are outside the protocol or the bounds");
}

/* --- connecting ----------------------------------------------------------------------------------------- */

static void unix_address(struct redislink *l)
{
    struct sockaddr_un *un = (void *)&l->address[0];

    un->sun_family = AF_UNIX;
    memcpy(un->sun_path, l->where.unix_path, sizeof un->sun_path - 1);
    l->address_len[0] = sizeof *un;
    l->addresses = 1;
}

static void addresses_find(struct redislink *l)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    char port[8];

    if (l->where.unix_path[0]) {
        unix_address(l);
        return;
    }
    snprintf(port, sizeof port, "%u", l->where.port);
    if (getaddrinfo(l->where.host, port, &hints, &found) != 0)
        return;
    for (struct addrinfo *a = found; a && l->addresses < ADDRESSES; a = a->ai_next) {
        if (a->ai_addrlen > sizeof l->address[0])
            continue;
        memcpy(&l->address[l->addresses], a->ai_addr, a->ai_addrlen);
        l->address_len[l->addresses++] = a->ai_addrlen;
    }
    freeaddrinfo(found);
}

/* Gives NULL, or why not. */
static const char *connection_open(struct redislink *l)
{
    const int on = 1;

    if (l->addresses == 0)
        addresses_find(l);
    if (l->addresses == 0)
        return "its host's name has no address";
    const struct sockaddr *to = (const void *)&l->address[l->next_address % l->addresses];
    socklen_t len = l->address_len[l->next_address++ % l->addresses];

    l->fd = socket(to->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (l->fd < 0)
        return "no socket";
    if (to->sa_family != AF_UNIX) {
        setsockopt(l->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        setsockopt(l->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    }
    if (connect(l->fd, to, len) != 0 && errno != EINPROGRESS)
        return "it is refused";
    if (buf_open(&l->out, OUT_OCTETS) != FAULT_NONE || respread_open(&l->reader) != FAULT_NONE ||
        greetings_put(l) != FAULT_NONE)
        return "no memory";
    return NULL;
}

static void link_connect(struct redislink *l)
{
    l->state = LINK_CONNECTING;
    l->retry_ms = 0;
    const char *why = connection_open(l);

    if (why) {
        link_drop(l, why);
        return;
    }
    l->greeting_ms = clock_mono_ms() + l->timeout_ms;
    io_want(l);
    alarm_arm(l);
}

static void connect_finish(struct redislink *l)
{
    int error = 0;
    socklen_t len = sizeof error;

    if (getsockopt(l->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0 || error != 0)
        link_drop(l, "it is refused");
    else
        l->state = LINK_GREETING;
}

/* --- events --------------------------------------------------------------------------------------------- */

static void on_io(struct ev_loop *loop, ev_io *w, int events)
{
    struct redislink *l = w->data;

    (void)loop;
    link_enter(l);
    if (l->state == LINK_CONNECTING)
        connect_finish(l);
    if (l->state > LINK_CONNECTING && events & EV_WRITE)
        link_write(l);
    if (l->state > LINK_CONNECTING && events & EV_READ)
        link_read(l);
    if (!l->freed && l->state != LINK_DOWN) {
        io_want(l);
        alarm_arm(l);
    }
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

static void ping_send(struct redislink *l, int64_t now_ms)
{
    const struct slice ping = slice_text(greeting_word[GREETING_PING]);

    l->ping_ms = 0;
    l->pong_ms = now_ms + l->timeout_ms;
    if (command_put(l, &ping, 1) != FAULT_NONE)
        link_drop(l, "no memory");
    else
        io_want(l);
}

static void on_alarm(struct ev_loop *loop, ev_timer *w, int events)
{
    struct redislink *l = w->data;
    int64_t now_ms = clock_mono_ms();

    (void)loop;
    (void)events;
    link_enter(l);
    if (is_due(l->retry_ms, now_ms))
        link_connect(l);
    else if (is_due(l->greeting_ms, now_ms) || is_due(l->pong_ms, now_ms) ||
             is_due(l->count ? l->waiting[l->first].deadline_ms : 0, now_ms))
        link_drop(l, "Redis did not answer in time");
    else if (is_due(l->ping_ms, now_ms))
        ping_send(l, now_ms);
    if (!l->freed)
        alarm_arm(l);
    link_leave(l);
}

/* --- for others ----------------------------------------------------------------------------------------- */

enum fault redislink_new(struct ev_loop *loop, const struct config_redis *where, uint64_t timeout_ms,
                         const char *channel, struct redislink_events events, struct redislink **out)
{
    struct redislink *l = calloc(1, sizeof *l);

    if (!l)
        return FAULT_NO_MEMORY;
    l->loop = loop;
    l->where = *where;
    l->timeout_ms = timeout_ms > INT32_MAX ? INT32_MAX : (int64_t)timeout_ms;
    l->ping_every_ms =
        l->timeout_ms * PING_TIMEOUTS < PING_MOST_MS ? l->timeout_ms * PING_TIMEOUTS : PING_MOST_MS;
    l->events = events;
    l->fd = -1;
    l->backoff_ms = BACKOFF_FIRST_MS;
    if (channel && !(l->channel = strdup(channel))) {
        free(l);
        return FAULT_NO_MEMORY;
    }
    ev_init(&l->io, on_io);
    ev_init(&l->alarm, on_alarm);
    ev_set_priority(&l->alarm, EV_MINPRI); /* what has come by now is read before it is called late */
    l->io.data = l->alarm.data = l;
    link_connect(l);
    *out = l;
    return FAULT_NONE;
}

void redislink_free(struct redislink *l)
{
    if (!l || l->freed)
        return;
    link_enter(l);
    l->freed = true;
    connection_close(l);
    l->state = LINK_DOWN;
    ev_timer_stop(l->loop, &l->alarm);
    waiters_fail(l);
    free(l->channel);
    sodium_memzero(&l->where, sizeof l->where);
    link_leave(l);
}

bool redislink_up(const struct redislink *l)
{
    return l->state == LINK_UP;
}

enum fault redislink_command(struct redislink *l, const struct slice *argv, size_t argc, redis_fn *fn,
                             void *cookie)
{
    assert(!l->channel);
    if (l->state != LINK_UP)
        return FAULT_STORE_UNAVAILABLE;
    if (l->count == IN_FLIGHT)
        return FAULT_OVERLOADED;
    TRY(command_put(l, argv, argc));
    l->waiting[(l->first + l->count++) % IN_FLIGHT] =
        (struct waiter){fn, cookie, clock_mono_ms() + l->timeout_ms};
    io_want(l);
    alarm_arm(l);
    return FAULT_NONE;
}

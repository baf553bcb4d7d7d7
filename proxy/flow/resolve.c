#include "resolve.h"
#include "clock.h"
#include "diag.h"
#include "table.h"
#include <ares.h>
#include <assert.h>
#include <stdlib.h>
#include <sys/queue.h>

#define WAIT_MS        4900 /* with a tick still within the 5 s that are promised */
#define TICK_MS        50
#define QUERY_MS       2000 /* of one server's first try; c-ares doubles it for the second */
#define QUERY_TRIES    2
#define TTL_LEAST_S    1
#define TTL_MOST_S     60
#define FAILURE_TTL_MS 1000
#define SOCKETS        128 /* one UDP, one TCP, of each server that a configuration can name */
#define SERVERS        64

TAILQ_HEAD(waits, resolve_wait);

struct resolve_wait {
    struct resolver *resolver;
    struct name *name; /* NULL: its answer has come, it stands in the list of those to be told */
    resolve_fn *fn;
    void *cookie;
    int64_t deadline_ms;
    enum fault why;
    struct resolve_answer answer;
    TAILQ_ENTRY(resolve_wait) among, by_deadline;
};

/* A name is being asked for, or it is held: an answer or a failure, until its time is over. */
struct name {
    struct resolver *resolver;
    bool asking;
    enum fault why;
    struct resolve_answer answer;
    int64_t until_ms;
    struct waits waits;
    TAILQ_ENTRY(name) by_use; /* of those held: the one not asked for longest first */
    UT_hash_handle hh;
    char text[HOST_MAX + 1];
};

struct resolver {
    struct ev_loop *loop;
    ares_channel channel;
    ev_io socket[SOCKETS]; /* fd < 0: free */
    ev_timer tick;         /* active while somebody or c-ares waits */
    ev_timer told;         /* fed, never started: answers are told from the loop, not from inside c-ares */
    struct name *names;
    TAILQ_HEAD(, name) held;
    struct waits by_deadline, ready;
    size_t asking;
    unsigned busy; /* depth of our own callbacks on the stack: the memory must live that long */
    bool freed;
};

static void resolver_leave(struct resolver *r)
{
    if (--r->busy == 0 && r->freed)
        free(r);
}

/* --- names ---------------------------------------------------------------------------------------------- */

static void name_drop(struct name *n)
{
    struct resolver *r = n->resolver;

    if (!n->asking)
        TAILQ_REMOVE(&r->held, n, by_use);
    HASH_DEL(r->names, n);
    free(n);
}

static enum fault name_new(struct resolver *r, const struct host *host, struct name **out)
{
    struct name *n, *found;

    if (HASH_COUNT(r->names) >= RESOLVE_NAMES) {
        if (TAILQ_EMPTY(&r->held))
            return FAULT_NO_MEMORY;
        name_drop(TAILQ_FIRST(&r->held));
    }
    n = calloc(1, sizeof *n);
    if (!n)
        return FAULT_NO_MEMORY;
    n->resolver = r;
    n->asking = true;
    memcpy(n->text, host->name, host->len);
    TAILQ_INIT(&n->waits);
    HASH_ADD_KEYPTR(hh, r->names, n->text, host->len, n);
    HASH_FIND(hh, r->names, n->text, host->len, found);
    if (!found) {
        free(n);
        return FAULT_NO_MEMORY;
    }
    *out = n;
    return FAULT_NONE;
}

/* --- answers -------------------------------------------------------------------------------------------- */

static enum fault fault_of(int status)
{
    if (status == ARES_SUCCESS)
        return FAULT_NONE;
    if (status == ARES_ETIMEOUT)
        return FAULT_UPSTREAM_TIMEOUT;
    return status == ARES_ENOMEM ? FAULT_NO_MEMORY : FAULT_UPSTREAM_UNREACHABLE;
}

/* Gives the shortest life of what the answer is made of, its aliases too. */
static int64_t answer_of(const struct ares_addrinfo *from, struct resolve_answer *answer)
{
    int ttl_s = TTL_MOST_S;
    struct endpoint e;

    answer->count = 0;
    for (const struct ares_addrinfo_cname *c = from->cnames; c; c = c->next)
        ttl_s = c->ttl < ttl_s ? c->ttl : ttl_s;
    for (const struct ares_addrinfo_node *a = from->nodes; a && answer->count < RESOLVE_ADDRESSES;
         a = a->ai_next) {
        if (endpoint_of(a->ai_addr, &e) != FAULT_NONE)
            continue;
        answer->ip[answer->count++] = e.ip;
        ttl_s = a->ai_ttl < ttl_s ? a->ai_ttl : ttl_s;
    }
    return (ttl_s < TTL_LEAST_S ? TTL_LEAST_S : ttl_s) * 1000;
}

static void wait_ready(struct resolve_wait *w, enum fault why, const struct resolve_answer *answer)
{
    struct resolver *r = w->resolver;

    TAILQ_REMOVE(&r->by_deadline, w, by_deadline);
    TAILQ_REMOVE(&w->name->waits, w, among);
    w->name = NULL;
    w->why = why;
    if (why == FAULT_NONE)
        w->answer = *answer;
    TAILQ_INSERT_TAIL(&r->ready, w, among);
    ev_feed_event(r->loop, &r->told, EV_CUSTOM);
}

/* From c-ares, perhaps while it is being asked: nobody is called from here. */
static void on_answer(void *cookie, int status, int timeouts, struct ares_addrinfo *from)
{
    struct name *n = cookie;
    struct resolver *r = n->resolver;
    struct resolve_wait *w;
    int64_t life_ms = FAILURE_TTL_MS;

    (void)timeouts;
    n->why = fault_of(status);
    if (from && n->why == FAULT_NONE) {
        int64_t answer_ms = answer_of(from, &n->answer);

        n->why = n->answer.count ? FAULT_NONE : FAULT_UPSTREAM_UNREACHABLE;
        life_ms = n->answer.count ? answer_ms : life_ms;
    }
    if (from)
        ares_freeaddrinfo(from);
    /* Our own want of memory says nothing about the name. */
    n->until_ms = n->why == FAULT_NO_MEMORY ? 0 : clock_mono_ms() + life_ms;
    n->asking = false;
    r->asking--;
    TAILQ_INSERT_TAIL(&r->held, n, by_use);
    while ((w = TAILQ_FIRST(&n->waits)))
        wait_ready(w, n->why, &n->answer);
}

static void answers_tell(struct resolver *r)
{
    struct resolve_wait *w;

    while ((w = TAILQ_FIRST(&r->ready))) {
        struct resolve_wait told = *w;

        TAILQ_REMOVE(&r->ready, w, among);
        free(w);
        told.fn(told.cookie, told.why, told.why == FAULT_NONE ? &told.answer : NULL);
    }
}

/* --- events --------------------------------------------------------------------------------------------- */

static void tick_want(struct resolver *r)
{
    bool want = r->asking > 0 || !TAILQ_EMPTY(&r->by_deadline);

    if (want == (bool)ev_is_active(&r->tick))
        return;
    if (want)
        ev_timer_again(r->loop, &r->tick);
    else
        ev_timer_stop(r->loop, &r->tick);
}

static void on_told(struct ev_loop *loop, ev_timer *w, int events)
{
    struct resolver *r = w->data;

    (void)loop;
    (void)events;
    r->busy++;
    answers_tell(r);
    resolver_leave(r);
}

static void on_socket(struct ev_loop *loop, ev_io *w, int events)
{
    struct resolver *r = w->data;
    int fd = w->fd;

    (void)loop;
    ares_process_fd(r->channel, events & EV_READ ? fd : ARES_SOCKET_BAD,
                    events & EV_WRITE ? fd : ARES_SOCKET_BAD);
    tick_want(r);
}

static void on_tick(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct resolver *r = timer->data;
    struct resolve_wait *w;
    int64_t now_ms = clock_mono_ms();

    (void)loop;
    (void)events;
    ares_process_fd(r->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    while ((w = TAILQ_FIRST(&r->by_deadline)) && w->deadline_ms <= now_ms)
        wait_ready(w, FAULT_UPSTREAM_TIMEOUT, NULL);
    tick_want(r);
}

/* A socket that finds no place is not watched: its query ends by c-ares' own timeout. */
static void on_socket_state(void *cookie, ares_socket_t fd, int readable, int writable)
{
    struct resolver *r = cookie;
    ev_io *place = NULL;

    for (size_t i = 0; i < SOCKETS && (!place || place->fd != fd); i++)
        if (r->socket[i].fd == fd || (!place && r->socket[i].fd < 0))
            place = &r->socket[i];
    if (!place || (place->fd != fd && !readable && !writable))
        return;
    ev_io_stop(r->loop, place);
    ev_io_set(place, readable || writable ? fd : -1, (readable ? EV_READ : 0) | (writable ? EV_WRITE : 0));
    if (readable || writable)
        ev_io_start(r->loop, place);
}

/* --- for others ----------------------------------------------------------------------------------------- */

static enum fault servers_set(struct resolver *r, const struct endpoint *servers, size_t n)
{
    char csv[SERVERS * (ENDPOINT_TEXT + 1)];
    size_t len = 0;

    if (n > SERVERS)
        return FAULT_SYSTEM;
    for (size_t i = 0; i < n; i++) {
        if (i)
            csv[len++] = ',';
        len += endpoint_text(servers[i], csv + len);
    }
    if (n == 0 || ares_set_servers_ports_csv(r->channel, csv) == ARES_SUCCESS)
        return FAULT_NONE;
    DIAG(ERROR, "the resolver's servers can't be set", DIAG_TEXT("servers", slice_of(csv, len)));
    return FAULT_SYSTEM;
}

static enum fault channel_open(struct resolver *r, const struct endpoint *servers, size_t n)
{
    char lookups[] = "fb";
    /* ares_getaddrinfo of 1.18 does not heed ARES_FLAG_NOSEARCH: no domains, nothing to search in. */
    struct ares_options options = {
        .ndomains = 0,
        .flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES,
        .timeout = QUERY_MS,
        .tries = QUERY_TRIES,
        .lookups = n ? lookups + 1 : lookups,
        .sock_state_cb = on_socket_state,
        .sock_state_cb_data = r,
    };
    int status = ares_library_init(ARES_LIB_INIT_ALL);

    if (status == ARES_SUCCESS)
        status = ares_init_options(&r->channel, &options,
                                   ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS |
                                       ARES_OPT_DOMAINS | ARES_OPT_SOCK_STATE_CB);
    if (status == ARES_SUCCESS)
        return servers_set(r, servers, n);
    DIAG(ERROR, "the resolver can't start", DIAG_TEXT("why", slice_text(ares_strerror(status))));
    return status == ARES_ENOMEM ? FAULT_NO_MEMORY : FAULT_SYSTEM;
}

enum fault resolver_new(struct ev_loop *loop, const struct endpoint *servers, size_t n, struct resolver **out)
{
    struct resolver *r = calloc(1, sizeof *r);

    if (!r)
        return FAULT_NO_MEMORY;
    r->loop = loop;
    TAILQ_INIT(&r->held);
    TAILQ_INIT(&r->by_deadline);
    TAILQ_INIT(&r->ready);
    for (size_t i = 0; i < SOCKETS; i++) {
        ev_io_init(&r->socket[i], on_socket, -1, 0);
        r->socket[i].data = r;
    }
    ev_timer_init(&r->tick, on_tick, 0, TICK_MS / 1000.0);
    ev_timer_init(&r->told, on_told, 0, 0);
    r->tick.data = r->told.data = r;
    enum fault why = channel_open(r, servers, n);

    if (why == FAULT_NONE) {
        *out = r;
        return FAULT_NONE;
    }
    if (r->channel)
        ares_destroy(r->channel);
    free(r);
    return why;
}

void resolver_free(struct resolver *r)
{
    struct name *n, *next;
    struct resolve_wait *w;

    if (!r || r->freed)
        return;
    r->busy++;
    r->freed = true;
    while ((w = TAILQ_FIRST(&r->by_deadline)))
        wait_ready(w, FAULT_UPSTREAM_TIMEOUT, NULL);
    ares_destroy(r->channel);
    ev_timer_stop(r->loop, &r->tick);
    ev_timer_stop(r->loop, &r->told); /* and what is fed to it */
    answers_tell(r);
    HASH_ITER (hh, r->names, n, next)
        name_drop(n);
    resolver_leave(r);
}

static enum fault name_ask(struct resolver *r, const struct host *host, struct name **out)
{
    const struct ares_addrinfo_hints hints = {.ai_family = AF_UNSPEC, .ai_flags = ARES_AI_NOSORT};
    struct name *n = *out;

    if (n) {
        TAILQ_REMOVE(&r->held, n, by_use);
        n->asking = true;
    } else {
        TRY(name_new(r, host, &n));
    }
    r->asking++;
    ares_getaddrinfo(r->channel, n->text, NULL, &hints, on_answer, n);
    tick_want(r);
    *out = n;
    return FAULT_NONE;
}

static enum fault wait_new(struct name *n, resolve_fn *fn, void *cookie, struct resolve_wait **out)
{
    struct resolve_wait *w = calloc(1, sizeof *w);

    if (!w)
        return FAULT_NO_MEMORY;
    w->resolver = n->resolver;
    w->name = n;
    w->fn = fn;
    w->cookie = cookie;
    w->deadline_ms = clock_mono_ms() + WAIT_MS;
    TAILQ_INSERT_TAIL(&n->waits, w, among);
    TAILQ_INSERT_TAIL(&n->resolver->by_deadline, w, by_deadline);
    *out = w;
    return FAULT_AGAIN;
}

enum fault resolve_name(struct resolver *r, const struct host *host, struct resolve_answer *answer,
                        resolve_fn *fn, void *cookie, struct resolve_wait **wait)
{
    struct name *n;

    if (r->freed)
        return FAULT_UPSTREAM_TIMEOUT;
    if (host->literal) {
        answer->count = 1;
        return ip_parse(host_name(host), &answer->ip[0]) == FAULT_NONE ? FAULT_NONE
                                                                       : FAULT_UPSTREAM_UNREACHABLE;
    }
    if (host->len == 0)
        return FAULT_UPSTREAM_UNREACHABLE;
    HASH_FIND(hh, r->names, host->name, host->len, n);
    if (!n || (!n->asking && n->until_ms <= clock_mono_ms()))
        TRY(name_ask(r, host, &n));
    if (n->asking)
        return wait_new(n, fn, cookie, wait);
    TAILQ_REMOVE(&r->held, n, by_use);
    TAILQ_INSERT_TAIL(&r->held, n, by_use);
    if (n->why == FAULT_NONE)
        *answer = n->answer;
    return n->why;
}

void resolve_cancel(struct resolve_wait *w)
{
    struct resolver *r = w->resolver;

    if (w->name) {
        TAILQ_REMOVE(&w->name->waits, w, among);
        TAILQ_REMOVE(&r->by_deadline, w, by_deadline);
    } else {
        TAILQ_REMOVE(&r->ready, w, among);
    }
    free(w);
    tick_want(r);
}

#include "redishub.h"
#include "clock.h"
#include "diag.h"
#include "redisnodes.h"
#include "respread.h"
#include "tlsio.h"
#include <sodium.h>
#include <stdlib.h>
#include <sys/queue.h>

#define IN_FLIGHT 1024
#define SENT_ON   5 /* so often a command may be sent to another node */

/* One command on its way, over one link after the other where a cluster wants that. */
struct errand {
    struct redishub *hub;
    redis_fn *fn; /* NULL: it was told that it is late; an answer is still to come */
    void *cookie;
    int64_t deadline_ms;
    unsigned slot, sent_on;
    bool asking;            /* the node is to be told that it has the key, for this command (ASK) */
    struct redisnode *node; /* where it is; NULL: at the link for commands */
    bool waits;             /* for that node to come up */
    TAILQ_ENTRY(errand) list;
    size_t argc;
    struct slice argv[];
};

/* Who listens at the sentinels of one url. */
struct watch {
    struct redishub *hub;
    const struct redis_url *url;
    struct redislink *link;
    bool heard; /* it was up before */
};

struct redishub {
    struct ev_loop *loop;
    struct redishub_events events;
    struct redis_url urls[REDIS_URLS_MAX];
    size_t url_count;
    SSL_CTX *tls;
    struct redishosts *hosts;
    struct redislink *commands, *changes;
    struct watch watches[REDIS_URLS_MAX];
    struct redisnodes *nodes; /* NULL: no cluster, as far as we know */

    TAILQ_HEAD(errands, errand) errands; /* in the order of their deadlines, for all have the same time */
    size_t in_flight;
    int64_t timeout_ms, complained_ms;
    ev_timer late; /* for those that were sent on, or wait: a link knows the deadlines of the others */
    int64_t late_ms;

    unsigned busy; /* depth of our own functions on the stack: the memory must live that long */
    bool freed, told, told_up;
};

static void hub_leave(struct redishub *h)
{
    if (--h->busy > 0 || !h->freed)
        return;
    sodium_memzero(h->urls, sizeof h->urls);
    free(h);
}

/* --- errands -------------------------------------------------------------------------------------------- */

static struct errand *errand_new(struct redishub *h, const struct slice *argv, size_t argc)
{
    size_t octets = 0;

    for (size_t i = 0; i < argc; i++)
        octets += argv[i].len;
    struct errand *e = calloc(1, sizeof *e + argc * sizeof *argv + octets);

    if (!e)
        return NULL;
    uint8_t *into = (uint8_t *)&e->argv[argc];

    for (size_t i = 0; i < argc; i++) {
        if (argv[i].len)
            memcpy(into, argv[i].at, argv[i].len);
        e->argv[i] = slice_of(into, argv[i].len);
        into += argv[i].len;
    }
    e->hub = h;
    e->argc = argc;
    e->deadline_ms = clock_mono_ms() + h->timeout_ms;
    h->in_flight++;
    return e;
}

static void errand_go(struct errand *e, struct redisnode *node)
{
    if (e->node)
        e->node->errands--;
    e->node = node;
    if (node)
        node->errands++;
}

static void errand_free(struct errand *e)
{
    errand_go(e, NULL);
    e->hub->in_flight--;
    free(e);
}

static void errand_end(struct errand *e, enum fault why, const redisReply *reply)
{
    redis_fn *fn = e->fn;
    void *cookie = e->cookie;

    TAILQ_REMOVE(&e->hub->errands, e, list);
    errand_free(e);
    fn(cookie, why, reply);
}

/* Its time is over, though an answer may still come. */
static void errand_give_up(struct errand *e)
{
    redis_fn *fn = e->fn;

    if (e->waits) {
        errand_end(e, FAULT_STORE_UNAVAILABLE, NULL);
        return;
    }
    TAILQ_REMOVE(&e->hub->errands, e, list);
    e->fn = NULL;
    fn(e->cookie, FAULT_STORE_UNAVAILABLE, NULL);
}

/* ${e} was sent on, or waits. One that was asked later may have been so first. */
static void late_arm(struct redishub *h, const struct errand *e)
{
    int64_t left_ms = e->deadline_ms - clock_mono_ms();

    if (ev_is_active(&h->late) && h->late_ms <= e->deadline_ms)
        return;
    ev_timer_stop(h->loop, &h->late);
    h->late_ms = e->deadline_ms;
    ev_timer_set(&h->late, left_ms > 0 ? (double)left_ms / 1000 : 0, 0);
    ev_timer_start(h->loop, &h->late);
}

static void on_late(struct ev_loop *loop, ev_timer *w, int events)
{
    struct redishub *h = w->data;
    int64_t now_ms = clock_mono_ms();
    struct errand *e;

    (void)loop;
    (void)events;
    h->busy++;
    while ((e = TAILQ_FIRST(&h->errands)) && now_ms >= e->deadline_ms)
        errand_give_up(e);
    while (e && !e->waits && !e->sent_on)
        e = TAILQ_NEXT(e, list);
    if (!h->freed && e)
        late_arm(h, e);
    hub_leave(h);
}

/* --- sending -------------------------------------------------------------------------------------------- */

static redislink_fn answer_came;

static struct redislink *link_of(const struct redishub *h, const struct redisnode *node)
{
    return node ? node->link : h->commands;
}

/* To ${node}; where that is down, to anyone who is up: they know better who has the key now, or that nobody has. */
static enum fault errand_send(struct errand *e, struct redisnode *node)
{
    const struct slice asking = SLICE("ASKING");
    struct redishub *h = e->hub;
    bool ask = e->asking;

    e->waits = node && !node->told;
    if (!e->waits && !redislink_up(link_of(h, node))) {
        node = redislink_up(h->commands) || !h->nodes ? NULL : redisnodes_any(h->nodes);
        ask = false;
    }
    errand_go(e, node);
    if (e->waits)
        return FAULT_NONE;
    struct redislink *link = link_of(h, node);

    if (ask)
        TRY(redislink_command(link, &asking, 1, NULL, NULL));
    enum fault why = redislink_command(link, e->argv, e->argc, answer_came, e);

    if (ask && why != FAULT_NONE)
        redislink_seek(link, "ASKING has no command behind it"); /* it would count for another's */
    return why;
}

static void errand_send_on(struct errand *e, struct redisnode *node)
{
    struct redishub *h = e->hub; /* ${e} may be freed below */

    if (errand_send(e, node) != FAULT_NONE)
        errand_end(e, FAULT_STORE_UNAVAILABLE, NULL);
    else
        late_arm(h, e);
}

/* --- answers -------------------------------------------------------------------------------------------- */

/* May ${e} be sent once more? */
static bool errand_may_go_on(struct errand *e)
{
    return !e->hub->freed && e->sent_on++ < SENT_ON && clock_mono_ms() < e->deadline_ms;
}

/* Its link went down. In a cluster others are asked; elsewhere there is nobody else. */
static void errand_lost(struct errand *e)
{
    struct redishub *h = e->hub;

    if (h->nodes && errand_may_go_on(e))
        errand_send_on(e, redisnodes_at(h->nodes, e->slot));
    else
        errand_end(e, FAULT_STORE_UNAVAILABLE, NULL);
}

static enum fault nodes_open(struct redishub *h);

/* The node that is meant by what the one at which ${e} is said. */
static struct redisnode *redirect_node(struct errand *e, struct redis_place *to)
{
    struct redishub *h = e->hub;
    const struct redisstop *from = redislink_stop(link_of(h, e->node));

    if (!from || (!h->nodes && nodes_open(h) != FAULT_NONE))
        return NULL;
    if (!to->host[0])
        memcpy(to->host, from->place.host, sizeof to->host);
    return to->host[0] ? redisnodes_find(h->nodes, to, from->url) : NULL;
}

static void errand_error(struct errand *e, const redisReply *error)
{
    struct redishub *h = e->hub;
    struct redis_place to;
    unsigned slot;
    enum redirect kind = redirect_parse(slice_of(error->str, error->len), &slot, &to);
    struct redisnode *node = NULL;

    if (kind != REDIRECT_NONE && errand_may_go_on(e))
        node = redirect_node(e, &to);
    if (!node) {
        respread_complain(&h->complained_ms, "a command", error);
        errand_end(e, FAULT_STORE_UNAVAILABLE, NULL);
        return;
    }
    e->asking = kind == REDIRECT_ASK;
    e->slot = slot;
    if (!e->asking)
        redisnodes_assign(h->nodes, slot, node);
    errand_send_on(e, node);
}

static void answer_came(void *cookie, enum fault why, const redisReply *reply)
{
    struct errand *e = cookie;
    struct redishub *h = e->hub;
    const redisReply *error = why == FAULT_NONE ? respread_error(reply) : NULL;

    h->busy++;
    if (!e->fn) {
        errand_free(e);
    } else if (why != FAULT_NONE) {
        errand_lost(e);
    } else if (error) {
        errand_error(e, error);
    } else {
        errand_end(e, FAULT_NONE, reply);
    }
    hub_leave(h);
}

/* --- what the links tell -------------------------------------------------------------------------------- */

bool redishub_up(const struct redishub *h)
{
    return !h->freed && (redislink_up(h->commands) || (h->nodes && redisnodes_any(h->nodes)));
}

static void up_tell(struct redishub *h)
{
    bool up = redishub_up(h);

    if (h->freed || (h->told && h->told_up == up))
        return;
    h->told = true;
    h->told_up = up;
    if (h->events.commands)
        h->events.commands(h->events.cookie, up);
}

static bool same_server(const struct redisstop *a, const struct redisstop *b)
{
    return a->len == b->len && memcmp(&a->address, &b->address, a->len) == 0;
}

static void on_commands(void *cookie, bool up)
{
    struct redishub *h = cookie;
    const struct redisstop *changes = redislink_stop(h->changes);

    h->busy++;
    /* What is written where we ask now need not be announced where we listened so far. */
    if (up && changes && !same_server(changes, redislink_stop(h->commands)))
        redislink_seek(h->changes, "the master is another one");
    up_tell(h);
    hub_leave(h);
}

static void on_node(void *cookie, struct redisnode *node)
{
    struct redishub *h = cookie;
    struct errand *e, *next;

    h->busy++;
    for (e = TAILQ_FIRST(&h->errands); e && !h->freed; e = next) {
        next = TAILQ_NEXT(e, list);
        if (!e->waits || e->node != node)
            continue;
        errand_send_on(e, node);
        next = TAILQ_FIRST(&h->errands); /* whoever was told may have ended others */
    }
    up_tell(h);
    hub_leave(h);
}

static void on_message(void *cookie, struct slice payload)
{
    struct redishub *h = cookie;

    h->busy++;
    if (h->events.message)
        h->events.message(h->events.cookie, payload);
    hub_leave(h);
}

static void on_changes(void *cookie, bool up)
{
    struct redishub *h = cookie;
    const struct redisstop *commands = redislink_stop(h->commands);

    h->busy++;
    /* Two that say they are masters: whichever it will be, we listen where we ask. */
    if (up && commands && !same_server(commands, redislink_stop(h->changes)))
        redislink_seek(h->commands, "the master is another one");
    if (!h->freed && h->events.changes)
        h->events.changes(h->events.cookie, up);
    hub_leave(h);
}

/* --- Sentinel ------------------------------------------------------------------------------------------- */

static struct slice word_take(struct slice *text)
{
    struct slice word = slice_first(*text, slice_find(*text, ' '));

    *text = slice_drop(*text, word.len + 1);
    return word;
}

static void link_follow(struct redislink *l, const struct redis_url *url, struct slice host, uint64_t port)
{
    const struct redisstop *stop = redislink_stop(l);

    if (stop &&
        (stop->url != url || (stop->place.port == port && slice_equal(slice_text(stop->place.host), host))))
        return;
    redislink_seek(l, "its sentinels say that the master is another one");
}

/* "NAME OLD-HOST OLD-PORT NEW-HOST NEW-PORT": a reason to ask the sentinels, and no more. */
static void on_switch(void *cookie, struct slice payload)
{
    const struct watch *w = cookie;
    struct redishub *h = w->hub;
    struct slice name = word_take(&payload);
    uint64_t port = 0;

    word_take(&payload);
    word_take(&payload);
    struct slice host = word_take(&payload);

    if (!slice_equal(name, slice_text(w->url->sentinel)) || !slice_number(payload, UINT16_MAX, &port))
        return;
    h->busy++;
    link_follow(h->commands, w->url, host, port);
    if (!h->freed)
        link_follow(h->changes, w->url, host, port);
    hub_leave(h);
}

/* What was said while it was away is not said again. */
static void on_watch(void *cookie, bool up)
{
    struct watch *w = cookie;
    bool again = up && w->heard;

    w->heard |= up;
    if (again)
        redislink_seek(w->hub->changes, "its sentinels were not heard for a while");
}

/* --- for others ----------------------------------------------------------------------------------------- */

static struct redislink_aim aim_of(const struct redishub *h, const char *name, const char *channel)
{
    return (struct redislink_aim){.name = name,
                                  .urls = h->urls,
                                  .count = h->url_count,
                                  .channel = channel,
                                  .hosts = h->hosts,
                                  .tls = h->tls,
                                  .timeout_ms = (uint64_t)h->timeout_ms};
}

static enum fault nodes_open(struct redishub *h)
{
    struct redislink_aim aim = aim_of(h, "a node", NULL);

    return redisnodes_new(h->loop, &aim, on_node, h, &h->nodes);
}

static enum fault tls_open(struct redishub *h, const struct config *config)
{
    const char *roots = config->redis_ca_file[0]      ? config->redis_ca_file
                        : config->upstream_ca_file[0] ? config->upstream_ca_file
                                                      : NULL;

    for (size_t i = 0; i < h->url_count; i++)
        if (h->urls[i].tls)
            return tlsio_client_ctx(roots, &h->tls);
    return FAULT_NONE;
}

static enum fault watch_open(struct redishub *h, size_t i)
{
    struct redislink_aim aim = aim_of(h, "its sentinels", "+switch-master");
    struct watch *w = &h->watches[i];

    w->hub = h;
    w->url = aim.urls = &h->urls[i];
    aim.count = 1;
    aim.sentinels = true;
    return redislink_new(h->loop, &aim, (struct redislink_events){on_switch, on_watch, w}, &w->link);
}

static enum fault links_open(struct redishub *h)
{
    struct redislink_aim commands = aim_of(h, "commands", NULL),
                         changes = aim_of(h, "changes", "osb:changes");

    TRY(redislink_new(h->loop, &commands, (struct redislink_events){.state = on_commands, .cookie = h},
                      &h->commands));
    TRY(redislink_new(h->loop, &changes, (struct redislink_events){on_message, on_changes, h}, &h->changes));
    for (size_t i = 0; i < h->url_count; i++)
        if (h->urls[i].sentinel[0])
            TRY(watch_open(h, i));
    return FAULT_NONE;
}

static enum fault hub_open(struct redishub *h, const struct config *config)
{
    TRY(tls_open(h, config));
    TRY(redishosts_new(h->loop, &h->hosts));
    for (size_t i = 0; i < h->url_count; i++)
        redishosts_learn(h->hosts, &h->urls[i]);
    return links_open(h);
}

enum fault redishub_new(struct ev_loop *loop, const struct config *config, struct redishub_events events,
                        struct redishub **out)
{
    struct redishub *h = calloc(1, sizeof *h);

    if (!h)
        return FAULT_NO_MEMORY;
    h->loop = loop;
    h->events = events;
    h->url_count = config->redis_count;
    memcpy(h->urls, config->redis, h->url_count * sizeof *h->urls);
    h->timeout_ms = config->store_timeout_ms > INT32_MAX ? INT32_MAX : (int64_t)config->store_timeout_ms;
    TAILQ_INIT(&h->errands);
    ev_init(&h->late, on_late);
    ev_set_priority(&h->late, EV_MINPRI);
    h->late.data = h;
    enum fault why = hub_open(h, config);

    if (why != FAULT_NONE) {
        redishub_free(h);
        return why;
    }
    *out = h;
    return FAULT_NONE;
}

void redishub_free(struct redishub *h)
{
    struct errand *e;

    if (!h || h->freed)
        return;
    h->busy++;
    h->freed = true;
    ev_timer_stop(h->loop, &h->late);
    while ((e = TAILQ_FIRST(&h->errands)))
        errand_give_up(e);
    redislink_free(h->changes);
    for (size_t i = 0; i < REDIS_URLS_MAX; i++)
        redislink_free(h->watches[i].link);
    redislink_free(h->commands);
    redisnodes_free(h->nodes);
    redishosts_free(h->hosts);
    SSL_CTX_free(h->tls);
    hub_leave(h);
}

enum fault redishub_command(struct redishub *h, struct slice key, const struct slice *argv, size_t argc,
                            redis_fn *fn, void *cookie)
{
    struct redisnode *node = NULL;

    if (argc == 0 || argc > REDISHUB_ARGUMENTS)
        return FAULT_INVALID;
    if (!redishub_up(h))
        return FAULT_STORE_UNAVAILABLE;
    if (h->in_flight == IN_FLIGHT)
        return FAULT_OVERLOADED;
    struct errand *e = errand_new(h, argv, argc);

    if (!e)
        return FAULT_NO_MEMORY;
    if (h->nodes) {
        e->slot = redis_slot(key);
        node = redisnodes_at(h->nodes, e->slot);
    }
    enum fault why = errand_send(e, node);

    if (why != FAULT_NONE) {
        errand_free(e);
        return why;
    }
    e->fn = fn;
    e->cookie = cookie;
    TAILQ_INSERT_TAIL(&h->errands, e, list);
    if (e->waits)
        late_arm(h, e);
    return FAULT_NONE;
}

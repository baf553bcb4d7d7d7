#include "asks.h"
#include "metric.h"
#include <stdio.h>
#include <stdlib.h>

TAILQ_HEAD(ask_list, ask);

struct asks {
    struct worker *worker;
    struct redishub *hub;
    struct ask_list urgent, idle;
    size_t in_flight;
    bool closing;
};

/* --- sending -------------------------------------------------------------------------------------------- */

static void asks_go(struct asks *q);

static void ask_answered(void *cookie, enum fault why, const redisReply *reply)
{
    struct ask *a = cookie;
    struct asks *q = a->asks;

    q->in_flight--;
    a->state = ASK_NOT;
    a->fn(a->cookie, why, reply);
    asks_go(q);
}

static enum fault ask_send(struct asks *q, struct ask *a)
{
    char key[2 * RECORD_ID_MAX + IP_TEXT], ip[IP_TEXT];
    int n;

    if (q->closing)
        return FAULT_STORE_UNAVAILABLE;
    ip_text(a->ip, ip);
    if (a->id)
        n = snprintf(key, sizeof key, "osb:sandbox:{%s}", a->id);
    else
        n = snprintf(key, sizeof key, "osb:ip:%s:{%s}", q->worker->config->zone, ip);
    struct slice argv[2] = {a->id ? SLICE("HGETALL") : SLICE("GET"), slice_of(key, (size_t)n)};

    TRY(redishub_command(q->hub, argv[1], argv, 2, ask_answered, a));
    q->in_flight++;
    a->state = ASK_SENT;
    a->sent_ms = worker_now_ms(q->worker);
    return FAULT_NONE;
}

static struct ask_list *list_of(struct ask *a)
{
    return a->urgent ? &a->asks->urgent : &a->asks->idle;
}

static void ask_queue(struct ask *a)
{
    a->state = ASK_QUEUED;
    a->sent_ms = worker_now_ms(a->asks->worker); /* in case that it never is */
    TAILQ_INSERT_TAIL(list_of(a), a, list);
}

static struct ask *asks_next(struct asks *q)
{
    struct ask *a = TAILQ_FIRST(&q->urgent);

    if (!a && q->in_flight < ASKS_IDLE)
        a = TAILQ_FIRST(&q->idle);
    return q->in_flight < ASKS_MOST ? a : NULL;
}

/* There may be room now; or Redis has gone, and all who wait are told. */
static void asks_go(struct asks *q)
{
    struct ask *a;

    while ((a = asks_next(q))) {
        enum fault why = ask_send(q, a);

        if (why == FAULT_OVERLOADED)
            return; /* an answer will bring us back */
        TAILQ_REMOVE(list_of(a), a, list);
        if (why == FAULT_NONE)
            continue;
        a->state = ASK_NOT;
        a->fn(a->cookie, FAULT_STORE_UNAVAILABLE, NULL);
    }
}

enum fault asks_put(struct asks *q, struct ask *a, bool urgent)
{
    a->asks = q;
    a->urgent = urgent;
    if (!asks_up(q))
        return FAULT_STORE_UNAVAILABLE;

    bool room = TAILQ_EMPTY(list_of(a)) && q->in_flight < (urgent ? ASKS_MOST : ASKS_IDLE);
    enum fault why = room ? ask_send(q, a) : FAULT_OVERLOADED;

    if (why != FAULT_OVERLOADED || q->in_flight == 0)
        return why;
    ask_queue(a);
    return FAULT_NONE;
}

void asks_hurry(struct ask *a)
{
    if (a->state != ASK_QUEUED || a->urgent)
        return;
    TAILQ_REMOVE(list_of(a), a, list);
    a->urgent = true;
    /* What hinders it now is said to all when the link's own answers come. */
    if (!TAILQ_EMPTY(&a->asks->urgent) || a->asks->in_flight >= ASKS_MOST ||
        ask_send(a->asks, a) != FAULT_NONE)
        ask_queue(a);
}

void ask_count(const struct ask *a, enum fault why)
{
    int64_t took_ms = worker_now_ms(a->asks->worker) - a->sent_ms;

    metric_add(why == FAULT_NONE                ? METRIC_STORE_FOUND
               : why == FAULT_NOT_FOUND         ? METRIC_STORE_ABSENT
               : why == FAULT_STORE_UNAVAILABLE ? METRIC_STORE_FAILED
                                                : METRIC_STORE_REFUSED,
               1);
    metric_time(METRIC_STORE_SECONDS, (uint64_t)took_ms * 1000);
}

/* --- the store ------------------------------------------------------------------------------------------ */

bool asks_up(const struct asks *q)
{
    return !q->closing && redishub_up(q->hub);
}

enum fault asks_new(struct worker *w, struct redishub_events events, struct asks **out)
{
    struct asks *q = calloc(1, sizeof *q);

    if (!q)
        return FAULT_NO_MEMORY;
    q->worker = w;
    TAILQ_INIT(&q->urgent);
    TAILQ_INIT(&q->idle);
    enum fault why = redishub_new(w->loop, w->config, events, &q->hub);

    if (why != FAULT_NONE) {
        free(q);
        return why;
    }
    *out = q;
    return FAULT_NONE;
}

void asks_free(struct asks *q)
{
    if (!q)
        return;
    q->closing = true;
    redishub_free(q->hub);
    asks_go(q);
    free(q);
}

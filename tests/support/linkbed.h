#pragma once
#include "redisbed.h"
#include "redislink.h"

/*
 * linkbed - one or more links in the bed, and what they told.
 */
#define PASSWORD "hunter2-canary"

static struct redis_url urls[REDIS_URLS_MAX];
static size_t url_count;
static struct redishosts *hosts;
static SSL_CTX *tls;
static struct server *const server = &servers[0];

#define SUBSCRIBED "*3\r\n$9\r\nsubscribe\r\n$2\r\nch\r\n:1\r\n"
#define PONG       "*2\r\n$4\r\npong\r\n$0\r\n\r\n"

/* --- what the link told --------------------------------------------------------------------------------- */

static struct seen {
    unsigned ups, downs, answers, faults, messages;
    enum fault why;
    long long number; /* of the last answer, if it was one */
    size_t octets;
    char text[64], payload[64];
    struct redislink *free_at_state, *free_at_message;
} seen;

static inline void on_state(void *cookie, bool up)
{
    struct seen *s = cookie;

    s->ups += up;
    s->downs += !up;
    redislink_free(s->free_at_state);
    s->free_at_state = NULL;
}

static inline void on_message(void *cookie, struct slice payload)
{
    struct seen *s = cookie;

    s->messages++;
    snprintf(s->payload, sizeof s->payload, "%.*s", SLICE_PRINTF(payload));
    redislink_free(s->free_at_message);
    s->free_at_message = NULL;
}

static inline void on_answer(void *cookie, enum fault why, const redisReply *reply)
{
    struct seen *s = cookie;

    ck_assert_msg((why == FAULT_NONE) == (reply != NULL), "a reply without success, or the reverse");
    s->answers++;
    s->faults += why != FAULT_NONE;
    s->why = why;
    s->text[0] = 0;
    if (reply && reply->type == REDIS_REPLY_ERROR)
        snprintf(s->text, sizeof s->text, "-%.*s", (int)strcspn(reply->str, " "), reply->str);
    if (reply && reply->type == REDIS_REPLY_INTEGER)
        s->number = reply->integer;
    if (reply && (reply->type == REDIS_REPLY_STRING || reply->type == REDIS_REPLY_STATUS))
        snprintf(s->text, sizeof s->text, "%.60s", reply->str);
    s->octets = reply && reply->type == REDIS_REPLY_STRING ? reply->len : 0;
}

static const struct redislink_events events = {on_message, on_state, &seen};

static inline struct redislink *link_to(const char *channel, uint64_t timeout_ms)
{
    const struct redislink_aim aim = {.name = "a test",
                                      .urls = urls,
                                      .count = url_count,
                                      .channel = channel,
                                      .hosts = hosts,
                                      .tls = tls,
                                      .timeout_ms = timeout_ms};
    struct redislink *l = NULL;
    struct seen before = seen;

    for (size_t i = 0; i < url_count; i++)
        redishosts_learn(hosts, &urls[i]);
    ck_assert_int_eq(redislink_new(loop, &aim, events, &l), FAULT_NONE);
    ck_assert_mem_eq(&seen, &before, sizeof seen); /* nothing was told from inside */
    return l;
}

static inline enum fault command(struct redislink *l, const char *one, const char *two, const char *three)
{
    const struct slice argv[] = {slice_text(one), slice_text(two), slice_text(three)};

    return redislink_command(l, argv, three ? 3 : two ? 2 : 1, on_answer, &seen);
}

static inline void room_make(void)
{
    bed_make();
    ck_assert_int_eq(redishosts_new(loop, &hosts), FAULT_NONE);
    urls[url_count++] = url_of("unix:%s", socket_path);
}

static inline void room_clear(void)
{
    redishosts_free(hosts);
    SSL_CTX_free(tls);
    bed_clear();
}

static inline void listen_unix(void)
{
    server_unix(server, loop, socket_path);
}

/* Redis at port of ${s}, as the next url. */
static inline void url_add(struct server *s)
{
    server_tcp(s, loop);
    urls[url_count++] = url_of("redis://127.0.0.1:%u", s->port);
}

static inline uint16_t port_of(const struct redislink *l)
{
    ck_assert_msg(redislink_up(l), "the link is down");
    return redislink_stop(l)->place.port;
}

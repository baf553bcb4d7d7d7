#pragma once
#include "redisbed.h"
#include "redishub.h"

/*
 * hubbed - one hub in the bed, and what it told.
 */
static struct config config;
static struct redishub *hub;

static struct seen {
    unsigned ups, downs, changes, lost, answers, faults, messages;
    enum fault why;
    char text[64], payload[64];
    bool frees_at_up, frees_at_changes, frees_at_message, frees_at_answer;
} seen;

static inline void hub_free_if(bool *now)
{
    if (!*now)
        return;
    redishub_free(hub);
    hub = NULL;
}

static inline void on_commands(void *cookie, bool up)
{
    struct seen *s = cookie;

    s->ups += up;
    s->downs += !up;
    hub_free_if(&s->frees_at_up);
}

static inline void on_changes(void *cookie, bool up)
{
    struct seen *s = cookie;

    s->changes += up;
    s->lost += !up;
    hub_free_if(&s->frees_at_changes);
}

static inline void on_message(void *cookie, struct slice payload)
{
    struct seen *s = cookie;

    s->messages++;
    snprintf(s->payload, sizeof s->payload, "%.*s", SLICE_PRINTF(payload));
    hub_free_if(&s->frees_at_message);
}

static inline void on_answer(void *cookie, enum fault why, const redisReply *reply)
{
    struct seen *s = cookie;

    ck_assert_msg((why == FAULT_NONE) == (reply != NULL), "a reply without success, or the reverse");
    s->answers++;
    s->faults += why != FAULT_NONE;
    s->why = why;
    s->text[0] = 0;
    if (reply && (reply->type == REDIS_REPLY_STRING || reply->type == REDIS_REPLY_STATUS))
        snprintf(s->text, sizeof s->text, "%.60s", reply->str);
    hub_free_if(&s->frees_at_answer);
}

static inline void hub_open(uint64_t timeout_ms)
{
    const struct redishub_events events = {on_message, on_commands, on_changes, &seen};
    struct seen before = seen;

    config.store_timeout_ms = timeout_ms;
    ck_assert_int_eq(redishub_new(loop, &config, events, &hub), FAULT_NONE);
    ck_assert_mem_eq(&seen, &before, sizeof seen); /* nothing was told from inside */
}

static inline enum fault get(const char *key)
{
    const struct slice argv[] = {SLICE("GET"), slice_text(key)};

    return redishub_command(hub, argv[1], argv, 2, on_answer, &seen);
}

/* GET ${key} gives ${value}; NULL: the fault of a store that can't be asked. */
static inline void expect(const char *key, const char *value)
{
    unsigned answers = seen.answers;
    enum fault why = get(key);

    if (why == FAULT_NONE) {
        WAIT(seen.answers, answers + 1);
        why = seen.why;
    }
    if (value)
        ck_assert_msg(why == FAULT_NONE && strcmp(seen.text, value) == 0, "%s: %s \"%s\", not \"%s\"", key,
                      fault_table[why].name, seen.text, value);
    else
        ck_assert_msg(why == FAULT_STORE_UNAVAILABLE, "%s: %s \"%s\"", key, fault_table[why].name, seen.text);
}

static inline void config_add(struct redis_url url)
{
    config.redis[config.redis_count++] = url;
}

/* A script as the next url. */
static inline void server_add(struct server *s)
{
    server_tcp(s, loop);
    config_add(url_of("redis://127.0.0.1:%u", s->port));
}

static inline void hub_clear(void)
{
    redishub_free(hub);
    bed_clear();
}

#include "redisgreet.h"
#include "respread.h"
#include "respwrite.h"
#include <assert.h>
#include <stdio.h>

static const char *const words[GREETING_COUNT] = {"AUTH", "SELECT",    "PING",      "ROLE",
                                                  "GET",  "READWRITE", "SUBSCRIBE", "SENTINEL"};

static enum fault say(struct redisgreet *g, struct buf *out, enum greeting which, struct slice one,
                      struct slice two)
{
    const struct slice argv[] = {slice_text(words[which]), one, two};

    assert(g->count < REDISGREET_STEPS);
    g->said[g->count++] = which;
    return respwrite_command(out, argv, two.len ? 3 : one.len ? 2 : 1);
}

static enum fault auth_say(struct redisgreet *g, struct buf *out)
{
    struct slice user = slice_text(g->url->user), password = slice_text(g->url->password);

    return user.len ? say(g, out, GREETING_AUTH, user, password)
                    : say(g, out, GREETING_AUTH, password, SLICE_NONE);
}

/* What the connection is for: the last that is said. */
static enum fault purpose_say(struct redisgreet *g, struct buf *out)
{
    if (g->channel)
        return say(g, out, GREETING_SUBSCRIBE, slice_text(g->channel), SLICE_NONE);
    if (g->sentinel)
        return say(g, out, GREETING_MASTER, SLICE("get-master-addr-by-name"), slice_text(g->url->sentinel));
    return FAULT_NONE;
}

enum fault redisgreet_begin(struct redisgreet *g, const struct redis_url *url, bool sentinel,
                            const char *channel, struct buf *out)
{
    const struct slice probe[] = REDISGREET_PROBE;
    char db[16];

    *g = (struct redisgreet){.url = url, .channel = channel, .sentinel = sentinel};
    if (sentinel)
        return purpose_say(g, out);
    if (url->password[0])
        TRY(auth_say(g, out));
    if (url->db) {
        snprintf(db, sizeof db, "%u", url->db);
        TRY(say(g, out, GREETING_SELECT, slice_text(db), SLICE_NONE));
    }
    TRY(say(g, out, GREETING_PING, SLICE_NONE, SLICE_NONE));
    TRY(say(g, out, GREETING_ROLE, SLICE_NONE, SLICE_NONE));
    return say(g, out, GREETING_PROBE, probe[1], SLICE_NONE);
}

/* --- answers -------------------------------------------------------------------------------------------- */

static bool subscribed(const struct redisgreet *g, const redisReply *reply)
{
    return respread_begins(reply, "subscribe", 3) && respread_is(reply->element[1], slice_text(g->channel));
}

static enum fault refuse(const char **why, const char *sentence)
{
    *why = sentence;
    return FAULT_STORE_UNAVAILABLE;
}

static const char not_redis[] = "it does not answer as Redis does";

static enum fault role_take(struct redisgreet *g, const redisReply *reply, struct buf *out, const char **why)
{
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements == 0)
        return refuse(why, not_redis);
    const redisReply *role = reply->element[0];

    if (respread_is(role, SLICE("sentinel")))
        return refuse(why, "it is a sentinel: its address begins with sentinel://");
    if (respread_is(role, SLICE("slave")))
        TRY(say(g, out, GREETING_READWRITE, SLICE_NONE, SLICE_NONE));
    else if (!respread_is(role, SLICE("master")))
        return refuse(why, not_redis);
    return purpose_say(g, out);
}

static enum fault master_take(struct redisgreet *g, const redisReply *reply, const char **why)
{
    const redisReply *const *part = (const redisReply *const *)reply->element;
    struct host host;
    uint64_t port;

    if (reply->type == REDIS_REPLY_NIL)
        return refuse(why, "the sentinel knows no master of this name");
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 || part[0]->type != REDIS_REPLY_STRING ||
        part[1]->type != REDIS_REPLY_STRING)
        return refuse(why, not_redis);
    struct slice name = slice_of(part[0]->str, part[0]->len);

    if ((host_canonical(name, &host) != FAULT_NONE && host_literal(name, &host) != FAULT_NONE) ||
        !slice_number(slice_of(part[1]->str, part[1]->len), UINT16_MAX, &port) || port == 0)
        return refuse(why, "the sentinel names a master without a valid address");
    memcpy(g->master.host, host.name, (size_t)host.len + 1);
    g->master.port = (uint16_t)port;
    return FAULT_NONE;
}

static enum fault error_take(struct redisgreet *g, const redisReply *error, struct buf *out, const char **why)
{
    bool asked = slice_starts(slice_of(error->str, error->len), SLICE("NOAUTH"));

    if (g->sentinel && g->count == 1 && asked && g->url->password[0]) {
        TRY(auth_say(g, out));
        return purpose_say(g, out);
    }
    if (g->said[g->answered] == GREETING_READWRITE)
        return refuse(why, "it is a replica");
    return refuse(why, "Redis refused the greeting");
}

bool redisgreet_cut_off(const redisReply *reply)
{
    /* Not "Hash slot not served": then others are. */
    return reply->type == REDIS_REPLY_ERROR &&
           slice_starts(slice_of(reply->str, reply->len), SLICE("CLUSTERDOWN The cluster is down"));
}

static enum fault answer_take(struct redisgreet *g, const redisReply *reply, struct buf *out,
                              const char **why)
{
    if (g->said[g->answered] == GREETING_PROBE)
        return redisgreet_cut_off(reply) ? refuse(why, REDISGREET_CUT_OFF) : FAULT_NONE;
    if (reply->type == REDIS_REPLY_ERROR)
        return error_take(g, reply, out, why);
    switch (g->said[g->answered]) {
    case GREETING_ROLE:
        return role_take(g, reply, out, why);
    case GREETING_MASTER:
        return master_take(g, reply, why);
    case GREETING_SUBSCRIBE:
        return subscribed(g, reply) ? FAULT_NONE : refuse(why, not_redis);
    case GREETING_PING:
        return respread_is(reply, SLICE("PONG")) ? FAULT_NONE : refuse(why, not_redis);
    case GREETING_READWRITE:
        g->cluster = true;
        /* fall through */
    default:
        return respread_is(reply, SLICE("OK")) ? FAULT_NONE : refuse(why, not_redis);
    }
}

enum fault redisgreet_take(struct redisgreet *g, const redisReply *reply, struct buf *out, const char **why)
{
    TRY(answer_take(g, reply, out, why));
    return ++g->answered < g->count ? FAULT_AGAIN : FAULT_NONE;
}

const char *redisgreet_word(const struct redisgreet *g)
{
    return words[g->said[g->answered]];
}

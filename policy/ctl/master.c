#include "master.h"
#include "db.h"
#include <stdarg.h>
#include <stdio.h>

#define SAID_OCTETS 900 /* outcome_say() cuts at 1,000 */

struct search {
    SSL_CTX *tls;
    struct dial *dial;
    char said[SAID_OCTETS]; /* by each that was no master */
    size_t said_len;
};

static void search_note(struct search *s, const char *where, const char *why)
{
    int n = snprintf(s->said + s->said_len, sizeof s->said - s->said_len, "%s%s: %s", s->said_len ? "; " : "",
                     where, why);

    if (n > 0)
        s->said_len = s->said_len + (size_t)n < sizeof s->said ? s->said_len + (size_t)n : sizeof s->said - 1;
}

static bool reply_refuses(struct dial *d, const redisReply *reply)
{
    if (reply->type != REDIS_REPLY_ERROR)
        return false;
    snprintf(d->why, sizeof d->why, "%s", reply->str);
    return true;
}

static bool dial_do(struct dial *d, const struct slice *words, size_t n)
{
    redisReply *reply;
    bool refused;

    if (!dial_ask(d, words, n, &reply))
        return false;
    refused = reply_refuses(d, reply);
    freeReplyObject(reply);
    return !refused;
}

static bool dial_auth(struct dial *d, const struct redis_url *url)
{
    struct slice user = slice_text(url->user), password = slice_text(url->password);

    if (password.len == 0)
        return true;
    if (user.len)
        return dial_do(d, DB_WORDS(SLICE("AUTH"), user, password));
    return dial_do(d, DB_WORDS(SLICE("AUTH"), password));
}

bool dial_login(struct dial *d, const struct redis_url *url)
{
    char number[16];

    if (!dial_auth(d, url))
        return false;
    snprintf(number, sizeof number, "%u", url->db);
    return url->db == 0 || dial_do(d, DB_WORDS(SLICE("SELECT"), slice_text(number)));
}

/* A replica of a cluster says where the master is, key by key; it alone knows READWRITE. */
static bool role_check(struct dial *d)
{
    redisReply *reply;
    bool master, replica;

    if (!dial_ask(d, DB_WORDS(SLICE("ROLE")), &reply))
        return false;
    if (reply_refuses(d, reply)) {
        freeReplyObject(reply);
        return false;
    }
    master = reply->elements > 0 && slice_equal(reply_slice(reply->element[0]), SLICE("master"));
    replica = reply->elements > 0 && slice_equal(reply_slice(reply->element[0]), SLICE("slave"));
    freeReplyObject(reply);
    if (master || (replica && dial_do(d, DB_WORDS(SLICE("READWRITE")))))
        return true;
    snprintf(d->why, sizeof d->why, "%s", replica ? "is a replica" : "is a Sentinel: say sentinel://");
    return false;
}

static bool server_try(struct search *s, const struct redis_url *url, const struct redis_place *place)
{
    char where[REDIS_PLACE_TEXT];
    bool good = dial_open(s->dial, url->unix_path, place, url->tls ? s->tls : NULL);

    if (good && !(dial_login(s->dial, url) && role_check(s->dial))) {
        dial_close(s->dial);
        good = false;
    }
    if (good)
        return true;
    if (*url->unix_path)
        search_note(s, url->unix_path, s->dial->why);
    else {
        redis_place_text(place, where);
        search_note(s, where, s->dial->why);
    }
    return false;
}

/* --- Sentinel ------------------------------------------------------------------------------------------- */

static bool place_take(struct dial *d, const redisReply *reply, struct redis_place *out)
{
    struct slice name, number;
    struct host host;
    uint64_t port;

    if (reply->type == REDIS_REPLY_NIL)
        return snprintf(d->why, sizeof d->why, "knows no master of this name") < 0;
    if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 2) {
        name = reply_slice(reply->element[0]);
        number = reply_slice(reply->element[1]);
        if ((host_literal(name, &host) == FAULT_NONE || host_canonical(name, &host) == FAULT_NONE) &&
            slice_number(number, UINT16_MAX, &port) && port > 0) {
            *out = (struct redis_place){.port = (uint16_t)port};
            memcpy(out->host, host.name, host.len);
            return true;
        }
    }
    return snprintf(d->why, sizeof d->why, "its answer is no Sentinel's") < 0;
}

/* "SENTINEL ${what} NAME". The password is the master's; a Sentinel is told it only where it asks for one. */
static bool sentinel_ask(struct dial *d, const struct redis_url *url, struct slice what, redisReply **reply)
{
    const struct slice words[] = {SLICE("SENTINEL"), what, slice_text(url->sentinel)};

    if (!dial_ask(d, words, 3, reply))
        return false;
    if ((*reply)->type != REDIS_REPLY_ERROR || strncmp((*reply)->str, "NO", 2) != 0) /* NOAUTH, NOPERM */
        return true;
    freeReplyObject(*reply);
    return dial_auth(d, url) && dial_ask(d, words, 3, reply);
}

static bool sentinel_master(struct dial *d, const struct redis_url *url, struct redis_place *out)
{
    redisReply *reply;
    bool good;

    if (!sentinel_ask(d, url, SLICE("get-master-addr-by-name"), &reply))
        return false;
    good = !reply_refuses(d, reply) && place_take(d, reply, out);
    freeReplyObject(reply);
    return good;
}

static bool sentinels_try(struct search *s, const struct redis_url *url, struct redis_place *place)
{
    for (size_t i = 0; i < url->place_count; i++) {
        char where[REDIS_PLACE_TEXT + sizeof(" (Sentinel)")];
        size_t n;
        bool told = dial_open(s->dial, "", &url->places[i], NULL);

        if (told) {
            told = sentinel_master(s->dial, url, place);
            dial_close(s->dial);
        }
        if (told && server_try(s, url, place))
            return true;
        if (told)
            continue;
        redis_place_text(&url->places[i], where);
        n = strlen(where);
        snprintf(where + n, sizeof where - n, " (Sentinel)");
        search_note(s, where, s->dial->why);
    }
    return false;
}

enum outcome master_find(const struct redis_url *urls, size_t n, SSL_CTX *tls, struct dial *d,
                         const struct redis_url **url, struct redis_place *place)
{
    struct search s = {.tls = tls, .dial = d};

    for (size_t i = 0; i < n; i++) {
        *url = &urls[i];
        *place = urls[i].places[0];
        if (*urls[i].sentinel ? sentinels_try(&s, *url, place) : server_try(&s, *url, place))
            return OUTCOME_DONE;
    }
    return outcome_say(OUTCOME_FAILED, "Redis can't be reached: %s", s.said);
}

/* --- replicas that ought to be there -------------------------------------------------------------------- */

/* One replica as a Sentinel tells of it: names and values. "disconnected" alone is no death: each is so for a moment, when
 * it is promoted. */
static bool replica_lives(const redisReply *told)
{
    static const char *const dead[] = {"s_down", "o_down"};
    const redisReply *flags = NULL;

    for (size_t i = 0; told->type == REDIS_REPLY_ARRAY && i + 1 < told->elements; i += 2)
        if (slice_equal(reply_slice(told->element[i]), SLICE("flags")))
            flags = told->element[i + 1];
    if (!flags || flags->type != REDIS_REPLY_STRING)
        return false;
    for (size_t i = 0; i < sizeof dead / sizeof *dead; i++)
        if (strstr(flags->str, dead[i]))
            return false;
    return true;
}

static bool sentinel_owes(struct dial *d, const struct redis_url *url, bool *owes)
{
    redisReply *reply;

    if (!sentinel_ask(d, url, SLICE("replicas"), &reply))
        return false;
    bool answered = reply->type == REDIS_REPLY_ARRAY;

    for (size_t i = 0; answered && i < reply->elements; i++)
        *owes = *owes || replica_lives(reply->element[i]);
    freeReplyObject(reply);
    return answered;
}

/* The first that answers is believed. Where none does, none can have promoted a replica either. */
static bool sentinels_owe(const struct redis_url *url)
{
    bool owes = false, answered = false;

    for (size_t i = 0; i < url->place_count && !answered; i++) {
        struct dial d;

        if (!dial_open(&d, "", &url->places[i], NULL))
            continue;
        answered = sentinel_owes(&d, url, &owes);
        dial_close(&d);
    }
    return owes;
}

/* A replica, and not one of a cluster, where each master has its own. */
static bool server_follows(const struct redis_url *url, SSL_CTX *tls)
{
    struct dial d;
    redisReply *reply;
    bool follows;

    if (!dial_open(&d, url->unix_path, &url->places[0], url->tls ? tls : NULL))
        return false;
    follows = dial_login(&d, url) && dial_ask(&d, DB_WORDS(SLICE("ROLE")), &reply);
    if (follows) {
        follows = reply->type == REDIS_REPLY_ARRAY && reply->elements > 0 &&
                  slice_equal(reply_slice(reply->element[0]), SLICE("slave"));
        freeReplyObject(reply);
    }
    follows = follows && !dial_do(&d, DB_WORDS(SLICE("READWRITE")));
    dial_close(&d);
    return follows;
}

bool master_owes(const struct redis_url *urls, size_t n, const struct redis_url *url, SSL_CTX *tls)
{
    if (*url->sentinel)
        return sentinels_owe(url);
    for (size_t i = 0; i < n; i++)
        if (&urls[i] != url && !*urls[i].sentinel && server_follows(&urls[i], tls))
            return true;
    return false;
}

#include "db.h"
#include "record.h"
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>

#define USER_MAX 256 /* octets of a user or password with its NUL */

struct address {
    char user[USER_MAX], password[USER_MAX], host[USER_MAX];
    uint64_t port, number;
};

static int hex_digit(uint8_t c)
{
    c = octet_lower(c);
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* RFC 3986 s.2.1; a NUL is refused, for what follows is a C string. */
static bool percent_decode(struct slice in, char *out, size_t room)
{
    size_t n = 0;

    for (size_t i = 0; i < in.len; i++) {
        int c = in.at[i];

        if (c == '%') {
            int high = i + 2 < in.len ? hex_digit(in.at[i + 1]) : -1;
            int low = i + 2 < in.len ? hex_digit(in.at[i + 2]) : -1;

            if (high < 0 || low < 0)
                return false;
            c = high << 4 | low;
            i += 2;
        }
        if (c == 0 || n + 1 >= room)
            return false;
        out[n++] = (char)c;
    }
    out[n] = 0;
    return true;
}

/* The part in front of the last '@': passwords hold '@' in the wild, hosts never do. */
static bool login_take(struct slice *rest, struct address *out)
{
    size_t at = rest->len;

    while (at > 0 && rest->at[at - 1] != '@')
        at--;
    if (at == 0)
        return true;
    struct slice login = slice_first(*rest, at - 1);
    size_t colon = slice_find(login, ':');

    *rest = slice_drop(*rest, at);
    return colon < login.len && percent_decode(slice_first(login, colon), out->user, sizeof out->user) &&
           percent_decode(slice_drop(login, colon + 1), out->password, sizeof out->password);
}

static bool address_parse(struct slice rest, struct address *out)
{
    *out = (struct address){.port = 6379};
    if (!login_take(&rest, out))
        return false;
    size_t path = slice_find(rest, '/');
    struct slice place = slice_first(rest, path), number = slice_drop(rest, path + 1), host = place;
    size_t end = place.len;

    while (end > 0 && place.at[end - 1] != ':' && place.at[end - 1] != ']')
        end--;
    if (end > 0 && place.at[end - 1] == ':') {
        if (!slice_number(slice_drop(place, end), 65535, &out->port) || out->port == 0)
            return false;
        host = slice_first(place, end - 1);
    }
    if (host.len >= 2 && host.at[0] == '[' && host.at[host.len - 1] == ']')
        host = slice_of(host.at + 1, host.len - 2);
    if (number.len && !slice_number(number, 65535, &out->number))
        return false;
    return host.len > 0 && percent_decode(host, out->host, sizeof out->host);
}

static enum outcome link_check(struct db *db, const char *where)
{
    if (db->link && db->link->err == 0)
        return OUTCOME_DONE;
    enum outcome o = outcome_say(OUTCOME_FAILED, "Redis at %s can't be reached: %s", where,
                                 db->link ? db->link->errstr : "out of memory");

    db_close(db);
    return o;
}

static enum outcome link_login(struct db *db, const struct address *a)
{
    struct slice user = slice_text(a->user), password = slice_text(a->password);
    char number[24];

    if (password.len && user.len)
        STEP(db_do(db, DB_WORDS(SLICE("AUTH"), user, password)));
    else if (password.len)
        STEP(db_do(db, DB_WORDS(SLICE("AUTH"), password)));
    if (a->number == 0)
        return OUTCOME_DONE;
    snprintf(number, sizeof number, "%llu", (unsigned long long)a->number);
    return db_do(db, DB_WORDS(SLICE("SELECT"), slice_text(number)));
}

static enum outcome link_open(const char *url, struct db *out)
{
    const struct timeval patience = {.tv_sec = DB_TIMEOUT_S};
    struct slice text = slice_text(url);
    struct address a = {0};
    enum outcome o;

    *out = (struct db){0};
    if (slice_starts(text, SLICE("unix:"))) {
        out->link = redisConnectUnixWithTimeout(url + 5, patience);
        STEP(link_check(out, url + 5));
    } else if (slice_starts(text, SLICE("redis://")) && address_parse(slice_drop(text, 8), &a)) {
        out->link = redisConnectWithTimeout(a.host, (int)a.port, patience);
        STEP(link_check(out, a.host));
    } else {
        return outcome_say(OUTCOME_USAGE,
                           "the address of Redis must be unix:PATH or redis://[user:password@]host:port/db");
    }
    redisSetTimeout(out->link, patience);
    o = link_login(out, &a);
    sodium_memzero(&a, sizeof a);
    if (o != OUTCOME_DONE)
        db_close(out);
    return o;
}

enum outcome db_open(const char *const *urls, size_t n, struct db *out)
{
    enum outcome o = OUTCOME_FAILED;

    for (size_t i = 0; i < n; i++)
        if ((o = link_open(urls[i], out)) != OUTCOME_FAILED)
            return o;
    return o;
}

/* A write that only the master knows is lost with it; one replica's word is enough (contract, section 8). */
static void replica_await(struct db *db)
{
    redisReply *role = redisCommand(db->link, "ROLE"), *waited = NULL;

    if (role && role->type == REDIS_REPLY_ARRAY && role->elements >= 3 &&
        role->element[2]->type == REDIS_REPLY_ARRAY && role->element[2]->elements > 0) {
        waited = redisCommand(db->link, "WAIT 1 1000");
        if (!waited || waited->type != REDIS_REPLY_INTEGER || waited->integer < 1)
            outcome_advise("written, but no replica has confirmed it within a second");
    }
    freeReplyObject(waited);
    freeReplyObject(role);
}

void db_close(struct db *db)
{
    if (!db->link)
        return;
    if (db->changed && db->link->err == 0)
        replica_await(db);
    redisFree(db->link);
    *db = (struct db){0};
}

enum outcome db_ask(struct db *db, const struct slice *words, size_t n, redisReply **out)
{
    const char **at = demand(n * sizeof *at);
    size_t *lengths = demand(n * sizeof *lengths);

    for (size_t i = 0; i < n; i++) {
        at[i] = words[i].len ? (const char *)words[i].at : "";
        lengths[i] = words[i].len;
    }
    *out = redisCommandArgv(db->link, (int)n, at, lengths);
    free(lengths);
    free(at);
    if (!*out)
        return outcome_say(OUTCOME_FAILED, "Redis went away: %s", db->link->errstr);
    if ((*out)->type != REDIS_REPLY_ERROR)
        return OUTCOME_DONE;
    enum outcome o =
        outcome_say(OUTCOME_FAILED, "Redis refuses %.*s: %s", SLICE_PRINTF(words[0]), (*out)->str);

    freeReplyObject(*out);
    *out = NULL;
    return o;
}

enum outcome db_do(struct db *db, const struct slice *words, size_t n)
{
    redisReply *reply;

    STEP(db_ask(db, words, n, &reply));
    freeReplyObject(reply);
    return OUTCOME_DONE;
}

enum outcome db_number(struct db *db, const struct slice *words, size_t n, long long *out)
{
    redisReply *reply;

    STEP(db_ask(db, words, n, &reply));
    *out = reply->type == REDIS_REPLY_INTEGER ? reply->integer : 0;
    freeReplyObject(reply);
    return OUTCOME_DONE;
}

enum outcome db_watch(struct db *db, struct slice key)
{
    return db_do(db, DB_WORDS(SLICE("WATCH"), key));
}

enum outcome db_unwatch(struct db *db)
{
    return db_do(db, DB_WORDS(SLICE("UNWATCH")));
}

enum outcome db_begin(struct db *db)
{
    db->changed = true;
    return db_do(db, DB_WORDS(SLICE("MULTI")));
}

enum outcome db_commit(struct db *db, bool *done)
{
    redisReply *reply;
    enum outcome o = OUTCOME_DONE;

    STEP(db_ask(db, DB_WORDS(SLICE("EXEC")), &reply));
    *done = reply->type == REDIS_REPLY_ARRAY;
    for (size_t i = 0; *done && i < reply->elements && o == OUTCOME_DONE; i++)
        if (reply->element[i]->type == REDIS_REPLY_ERROR)
            o = outcome_say(OUTCOME_FAILED, "Redis refuses the change: %s", reply->element[i]->str);
    freeReplyObject(reply);
    return o;
}

enum outcome db_overtaken(void)
{
    return outcome_say(OUTCOME_FAILED, "others keep changing the same thing; nothing was changed, try again");
}

static enum outcome change_publish(struct db *db, const char *text)
{
    db->changed = true;
    return db_do(db, DB_WORDS(SLICE("PUBLISH"), SLICE("osb:changes"), slice_text(text)));
}

enum outcome db_tell_sandbox(struct db *db, const char *id)
{
    char text[DB_KEY_OCTETS];

    snprintf(text, sizeof text, "sandbox %s", id);
    return change_publish(db, text);
}

enum outcome db_tell_address(struct db *db, const char *zone, struct ip ip)
{
    char text[DB_KEY_OCTETS], address[IP_TEXT];

    ip_text(ip, address);
    snprintf(text, sizeof text, "ip %s %s", zone, address);
    return change_publish(db, text);
}

static struct key key_make(const char *kind, const char *id, const char *more)
{
    struct key k;

    snprintf(k.text, sizeof k.text, "osb:%s:{%s}%s", kind, id, more);
    return k;
}

struct key key_sandbox(const char *id)
{
    return key_make("sandbox", id, "");
}

struct key key_store(const char *id)
{
    return key_make("store", id, "");
}

struct key key_store_sandboxes(const char *id)
{
    return key_make("store", id, ":sandboxes");
}

struct key key_address(const char *zone, struct ip ip)
{
    char address[IP_TEXT], kind[RECORD_ID_MAX + sizeof("ip:")];

    ip_text(ip, address);
    snprintf(kind, sizeof kind, "ip:%s", zone);
    return key_make(kind, address, "");
}

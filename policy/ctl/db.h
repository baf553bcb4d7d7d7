#pragma once
#include "ip.h"
#include "outcome.h"
#include "slice.h"
#include <hiredis/hiredis.h>

/*
 * db - a blocking link to Redis, one command at a time, and the names of our keys.
 *
 *   Layer   program (osbctl).
 *   Why     an operator's command waits for its answer; what could not be asked is said in one line.
 *   Bounds  DB_TIMEOUT_S for connecting and for each command.
 *   Fails   every function: OUTCOME_FAILED, said, when Redis is away or refuses.
 */
#define DB_TIMEOUT_S  5
#define DB_ATTEMPTS   100 /* of a change that others keep overtaking */
#define DB_URLS_MAX   8
#define DB_STORES     SLICE("osb:stores")
#define DB_SANDBOXES  SLICE("osb:sandboxes")
#define DB_KEY_OCTETS 256

struct db {
    redisContext *link;
    bool changed; /* something was written: a replica is waited for */
};

/*
 * db_open(urls, n, out): the first of unix:PATH or redis://[user:password@]host:port/db that answers.
 *   Fails   OUTCOME_USAGE for an address of another form.
 */
enum outcome db_open(const char *const *urls, size_t n, struct db *out) CHECKED;

/* db_close(db): where something was written and there are replicas, wait for one first. */
void db_close(struct db *db);

#define DB_WORDS(...) \
    (const struct slice[]){__VA_ARGS__}, sizeof((const struct slice[]){__VA_ARGS__}) / sizeof(struct slice)

/* db_ask(db, words, n, out): send, wait; the answer is the caller's (freeReplyObject) and is never an error. */
enum outcome db_ask(struct db *db, const struct slice *words, size_t n, redisReply **out) CHECKED;

/* db_do(db, words, n): the same where the answer says nothing. */
enum outcome db_do(struct db *db, const struct slice *words, size_t n) CHECKED;

/* db_number(db, words, n, out): the same where the answer is a number. */
enum outcome db_number(struct db *db, const struct slice *words, size_t n, long long *out) CHECKED;

/* db_watch(db, key), db_begin(db), db_commit(db, done): *done is false where a watched key changed: nothing is written. */
enum outcome db_watch(struct db *db, struct slice key) CHECKED;
enum outcome db_unwatch(struct db *db) CHECKED;
enum outcome db_begin(struct db *db) CHECKED;
enum outcome db_commit(struct db *db, bool *done) CHECKED;

/* db_overtaken(): what is said after DB_ATTEMPTS. */
enum outcome db_overtaken(void) CHECKED;

/* db_tell_sandbox, db_tell_address: the proxies drop what they hold of it. */
enum outcome db_tell_sandbox(struct db *db, const char *id) CHECKED;
enum outcome db_tell_address(struct db *db, const char *zone, struct ip ip) CHECKED;

static inline struct slice reply_slice(const redisReply *r)
{
    return r->type == REDIS_REPLY_STRING ? slice_of(r->str, r->len) : SLICE_NONE;
}

/* A key's name; the braces are Redis' hash tag, so that what belongs together lies in one slot of a cluster. */
struct key {
    char text[DB_KEY_OCTETS];
};

struct key key_sandbox(const char *id);
struct key key_store(const char *id);
struct key key_store_sandboxes(const char *id);
struct key key_address(const char *zone, struct ip ip);
#define KEY_SLICE(key) slice_text((key).text)

#pragma once
#include "key.h"
#include "outcome.h"
#include "redisurl.h"
#include <hiredis/hiredis.h>

/*
 * db - Redis as a command sees it: questions and answers, one at a time or many under way, and the names of our keys.
 *
 *   Layer   program (osbctl).
 *   Why     an operator's command waits for its answer; what could not be asked is said in one line. No command here
 *           touches two keys and none leans on a connection, so one server, Sentinel's and a Cluster's are all the same.
 *   Bounds  those of dial.h and master.h; DB_QUEUE_MAX commands under way.
 *   Fails   every function: OUTCOME_FAILED, said, when Redis is away or refuses. Where it is away, or the server as a whole
 *           refuses, that is said once, and all later calls fail without a word: see db_gone.
 */
#define DB_ATTEMPTS   100 /* of a change that others keep overtaking */
#define DB_QUEUE_MAX  1024
#define DB_REPLICA_MS 1000

struct db;

/* db_open(urls, n, ca_file, out): the first writable master. ${urls} stay the caller's, and there. ${ca_file}: roots for
 * rediss://; "": the system's. */
enum outcome db_open(const struct redis_url *urls, size_t n, const char *ca_file, struct db **out) CHECKED;

/* db_close(db): settles first. NULL is allowed. */
enum outcome db_close(struct db *db) CHECKED;

/* db_gone(db): the connection is lost, or the server takes no commands: nothing more will succeed, and that was said. */
bool db_gone(const struct db *db);

/* db_where(db, out): the server that took us, DB_WHERE octets: HOST:PORT, or the socket's path. Of a cluster, the first. */
#define DB_WHERE REDIS_PLACE_TEXT
void db_where(const struct db *db, char *out);

#define DB_WORDS(...) \
    (const struct slice[]){__VA_ARGS__}, sizeof((const struct slice[]){__VA_ARGS__}) / sizeof(struct slice)

/*
 * db_ask(db, words, n, out): send, wait; the answer is the caller's (freeReplyObject) and is never an error.
 *   Takes   words  words[1] is the key (of EVAL: words[3], after the script and "1"), and decides who is asked.
 */
enum outcome db_ask(struct db *db, const struct slice *words, size_t n, redisReply **out) CHECKED;

/* db_do(db, words, n): the same where the answer says nothing. */
enum outcome db_do(struct db *db, const struct slice *words, size_t n) CHECKED;

/* db_number(db, words, n, out): the same where the answer is a number. */
enum outcome db_number(struct db *db, const struct slice *words, size_t n, long long *out) CHECKED;

/*
 * db_send(db, words, n), db_take(db, out): many under way. Answers are taken in the order of what was sent, one db_take()
 * for each db_send() that succeeded; one that fails was said and does not stop the others. Nothing may be under way when
 * db_ask(), db_do(), db_number(), db_settle() or db_tell_...() is called.
 */
enum outcome db_send(struct db *db, const struct slice *words, size_t n) CHECKED;
enum outcome db_take(struct db *db, redisReply **out) CHECKED;

/* db_answerer(db): the server whose answer was taken last, only to be compared: a cluster's keys move, and a cursor of one
 * server means nothing to another. */
const void *db_answerer(const struct db *db);

/*
 * db_settle(db): where something was written and its server has replicas, or ought to have one, one has it too.
 *   Fails   OUTCOME_FAILED when none said so within DB_REPLICA_MS: said, and waited for, once in a program's life.
 */
enum outcome db_settle(struct db *db) CHECKED;

/* db_overtaken(): what is said after DB_ATTEMPTS. */
enum outcome db_overtaken(void) CHECKED;

/* db_tell_sandbox, db_tell_address: settle, then the proxies drop what they hold of it. They are told in any case. */
enum outcome db_tell_sandbox(struct db *db, const char *id) CHECKED;
enum outcome db_tell_address(struct db *db, const char *zone, struct ip ip) CHECKED;

/* db_tell_sandboxes(db, ids, n): the same for many, under way together. */
enum outcome db_tell_sandboxes(struct db *db, const char *const *ids, size_t n) CHECKED;

static inline struct slice reply_slice(const redisReply *r)
{
    return r->type == REDIS_REPLY_STRING ? slice_of(r->str, r->len) : SLICE_NONE;
}

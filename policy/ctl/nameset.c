#include "nameset.h"
#include "record.h"
#include <inttypes.h>
#include <stdio.h>

#define SCORE_OCTETS 24
#define PAGES_MAX    (1 << 16) /* of a thousand names, of a server that never comes to an end */

/* Whole ms are far below 2^53, so a double of Redis holds each exactly. */
static void score_write(int64_t ends_ms, char *out)
{
    if (ends_ms == NAMESET_NEVER)
        snprintf(out, SCORE_OCTETS, "+inf");
    else
        snprintf(out, SCORE_OCTETS, "%" PRId64, ends_ms);
}

static int64_t score_read(struct slice text)
{
    uint64_t ms;

    if (slice_equal(text, SLICE("inf")))
        return NAMESET_NEVER;
    return slice_number(text, (uint64_t)1 << 53, &ms) ? (int64_t)ms : NAMESET_NONE;
}

enum outcome nameset_add(struct desk *d, struct slice key, const char *id, int64_t ends_ms)
{
    char score[SCORE_OCTETS];

    score_write(ends_ms, score);
    return db_do(d->db, DB_WORDS(SLICE("ZADD"), key, SLICE("GT"), slice_text(score), slice_text(id)));
}

enum outcome nameset_ends(struct desk *d, struct slice key, const char *id, int64_t *out)
{
    redisReply *reply;

    STEP(db_ask(d->db, DB_WORDS(SLICE("ZSCORE"), key, slice_text(id)), &reply));
    *out = score_read(reply_slice(reply));
    freeReplyObject(reply);
    return OUTCOME_DONE;
}

enum outcome nameset_drop(struct desk *d, struct slice key, const char *id)
{
    return db_do(d->db, DB_WORDS(SLICE("ZREM"), key, slice_text(id)));
}

enum outcome nameset_tidy(struct desk *d, struct slice key)
{
    char now[SCORE_OCTETS + 1] = "(";

    score_write(d->now_ms, now + 1);
    return db_do(d->db, DB_WORDS(SLICE("ZREMRANGEBYSCORE"), key, SLICE("-inf"), slice_text(now)));
}

/* --- all of them ---------------------------------------------------------------------------------------- */

/* One page: [cursor, [id, score, ...]]. Names that can't be ours are passed over. */
static enum outcome page_take(const redisReply *reply, struct names *n, char *cursor, size_t room)
{
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
        reply->element[0]->type != REDIS_REPLY_STRING || reply->element[0]->len >= room ||
        reply->element[1]->type != REDIS_REPLY_ARRAY)
        return outcome_say(OUTCOME_FAILED, "Redis answers ZSCAN with something else");
    snprintf(cursor, room, "%s", reply->element[0]->str);
    for (size_t i = 0; i + 1 < reply->element[1]->elements; i += 2) {
        struct slice id = reply_slice(reply->element[1]->element[i]);

        if (record_id_ok(id))
            STEP(names_add(n, id));
    }
    return OUTCOME_DONE;
}

/* ZSCAN may give a name twice. From another server than before, the set has moved: then all is asked for once more. */
enum outcome nameset_list(struct desk *d, struct slice key, struct names *out)
{
    char cursor[SCORE_OCTETS] = "0";
    const void *server = NULL;
    bool more;
    int pages = 0;
    enum outcome o;

    *out = (struct names){0};
    do {
        redisReply *reply;
        bool moved;

        o = db_ask(d->db, DB_WORDS(SLICE("ZSCAN"), key, slice_text(cursor), SLICE("COUNT"), SLICE("1000")),
                   &reply);
        moved = server && server != db_answerer(d->db);
        server = db_answerer(d->db);
        if (o == OUTCOME_DONE) {
            o = page_take(reply, out, cursor, sizeof cursor);
            freeReplyObject(reply);
        }
        if (o == OUTCOME_DONE && pages++ == PAGES_MAX)
            o = outcome_say(OUTCOME_FAILED, "Redis' list of names has no end");
        more = moved || strcmp(cursor, "0") != 0;
        if (moved)
            memcpy(cursor, "0", sizeof "0");
    } while (o == OUTCOME_DONE && more);
    names_sort(out);
    if (o != OUTCOME_DONE)
        names_free(out);
    return o;
}

#include "db.h"
#include <stdio.h>

#define CHANNEL SLICE("osb:changes")

static enum outcome change_send(struct db *db, const char *text)
{
    return db_send(db, DB_WORDS(SLICE("PUBLISH"), CHANNEL, slice_text(text)));
}

static enum outcome change_take(struct db *db)
{
    redisReply *reply;

    STEP(db_take(db, &reply));
    freeReplyObject(reply);
    return OUTCOME_DONE;
}

/*
 * Redis answers who publishes before it writes to those who subscribed; when it answers the next question, it has done so.
 * So a request that is made when the command has returned finds the message in front of it.
 */
static enum outcome changes_arrive(struct db *db)
{
    return db_do(db, DB_WORDS(SLICE("PING"), CHANNEL)); /* asked where they were published */
}

enum outcome db_tell_sandbox(struct db *db, const char *id)
{
    return db_tell_sandboxes(db, &id, 1);
}

/* What was taken back must reach the proxies also where no replica has it: so they are told whatever settling says. */
enum outcome db_tell_sandboxes(struct db *db, const char *const *ids, size_t n)
{
    enum outcome o = db_settle(db);

    for (size_t at = 0; at < n; at += DB_QUEUE_MAX) {
        char text[DB_KEY_OCTETS];
        size_t end = n - at < DB_QUEUE_MAX ? n : at + DB_QUEUE_MAX;

        for (size_t i = at; i < end; i++) {
            snprintf(text, sizeof text, "sandbox %s", ids[i]);
            STEP(change_send(db, text));
        }
        for (size_t i = at; i < end; i++)
            STEP(change_take(db));
    }
    STEP(changes_arrive(db));
    return o;
}

enum outcome db_tell_address(struct db *db, const char *zone, struct ip ip)
{
    char text[DB_KEY_OCTETS], address[IP_TEXT];
    enum outcome o = db_settle(db);

    ip_text(ip, address);
    snprintf(text, sizeof text, "ip %s %s", zone, address);
    STEP(change_send(db, text));
    STEP(change_take(db));
    STEP(changes_arrive(db));
    return o;
}

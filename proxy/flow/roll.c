#include "roll.h"
#include "diag.h"
#include "keys.h"
#include "mark.h"

#define FORGET_MOST 256 /* at once: each takes some 33 us */

struct sandbox *roll_find(const struct roll *r, struct slice id)
{
    struct sandbox *s;

    HASH_FIND(hh, r->sandboxes, id.at, id.len, s);
    return s;
}

void roll_forget(struct roll *r, struct sandbox *s)
{
    HASH_DEL(r->sandboxes, s);
    sandbox_end(s);
    waits_tell_all(&s->fresh.waits, FAULT_REVOKED, NULL);
    sandbox_drop(s);
    r->forgotten++;
}

size_t roll_forget_idle(struct roll *r, const struct sandbox *keep)
{
    struct sandbox *s, *next;
    int64_t oldest_ms = -1;
    size_t n = 0;

    for (s = r->sandboxes; s; s = s->hh.next)
        if (s != keep && fresh_idle_ms(s) > oldest_ms)
            oldest_ms = fresh_idle_ms(s);
    HASH_ITER (hh, r->sandboxes, s, next) {
        int64_t idle_ms = fresh_idle_ms(s);

        if (n == FORGET_MOST)
            break;
        if (s == keep || idle_ms < 0 || idle_ms < oldest_ms / 2)
            continue;
        roll_forget(r, s);
        n++;
    }
    return n;
}

/* --- what Redis says ------------------------------------------------------------------------------------ */

static size_t parts_of(const redisReply *reply, struct record_part *parts)
{
    size_t n = 0;

    for (size_t i = 0; i + 1 < reply->elements && n < ROLL_PARTS; i += 2, n++) {
        const redisReply *field = reply->element[i], *value = reply->element[i + 1];

        parts[n].field = slice_of(field->str, field->len);
        parts[n].value = slice_of(value->str, value->len);
    }
    return n;
}

static enum fault record_read(const struct roll *r, const char *id, const redisReply *reply,
                              struct record **out)
{
    struct record_part parts[ROLL_PARTS];

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements == 0)
        return FAULT_NOT_FOUND;
    if (reply->elements > 2 * ROLL_PARTS)
        return FAULT_INVALID;
    TRY(keys_record(r->worker, slice_text(id), parts, parts_of(reply, parts), out));
    if (strcmp((*out)->zone, r->worker->config->zone) == 0)
        return FAULT_NONE;
    record_drop(*out);
    return FAULT_NOT_FOUND; /* another zone's sandbox: not ours to serve */
}

/* Takes the reference of ${record} over. */
static enum fault record_take(struct roll *r, struct record *record, struct sandbox **s)
{
    if (*s && record->version == (*s)->record->version) {
        record_drop(record); /* what is open holds on to what is made of the one that we have */
        return FAULT_NONE;
    }
    if (*s)
        return sandbox_update(*s, record);
    TRY(sandbox_new(r->worker, record, s));
    (*s)->roll = r;
    fresh_begin(*s);
    HASH_ADD_STR(r->sandboxes, id, *s);
    return FAULT_NONE;
}

uint64_t roll_floor(const struct roll *r, struct slice id)
{
    const struct sandbox *s = roll_find(r, id);
    uint64_t mark = mark_seen(id);

    return s && s->record->version > mark ? s->record->version
                                          : mark; /* its mark may have had to make room */
}

static enum fault learn(struct roll *r, const char *id, uint64_t floor, const redisReply *reply,
                        struct sandbox **s)
{
    struct record *record;

    TRY(record_read(r, id, reply, &record));
    if (record->version >= floor && mark_raise(slice_text(id), record->version) <= record->version &&
        !(*s && (*s)->record->version > record->version))
        return record_take(r, record, s);
    enum fault why = record->version < floor ? FAULT_OUTDATED : FAULT_AGAIN;

    record_drop(record);
    return why;
}

static void refusal_tell(const char *id, enum fault why, uint64_t floor)
{
    if (why == FAULT_OUTDATED)
        DIAG(ERROR,
             "a record in Redis is older than one that was seen before, and is refused: any change by osbctl "
             "heals it",
             DIAG_TEXT("sandbox", slice_text(id)), DIAG_NUMBER("seen", floor));
    else if (why != FAULT_KEY_UNKNOWN) /* which keys.c has told of */
        DIAG(ERROR, "a record in Redis is refused: its sandbox gets nothing until it opens again",
             DIAG_TEXT("sandbox", slice_text(id)), DIAG_FAULT(why));
}

enum fault roll_learn(struct roll *r, const char *id, uint64_t floor, const redisReply *reply,
                      struct sandbox **out)
{
    struct sandbox *s = roll_find(r, slice_text(id));
    enum fault why = learn(r, id, floor, reply, &s);

    if (why == FAULT_NO_MEMORY && r->make_room(r, s))
        why = learn(r, id, floor, reply, &s);
    if (why == FAULT_NONE) {
        fresh_learned(s);
        *out = s;
    } else if (why != FAULT_NOT_FOUND && why != FAULT_AGAIN) {
        if (!s || s->fresh.refused != why)
            refusal_tell(id, why, floor);
        if (s)
            s->fresh.refused = why;
    }
    return why;
}

#include "respread.h"
#include "clock.h"
#include "diag.h"

#define COMPLAIN_MS 1000
#define DEPTH_MAX   8 /* hiredis refuses what is nested deeper */

static redisReplyObjectFunctions standard, bounded;

/* hiredis' own constructor behind a bound: an array is allocated when it is announced, not when it comes. */
static void *array_create(const redisReadTask *task, int elements)
{
    struct respread *r = task->privdata;

    if (elements > RESPREAD_ELEMENTS - r->elements)
        return NULL;
    r->elements += elements;
    return standard.createArray(task, elements);
}

enum fault respread_open(struct respread *r)
{
    r->octets = 0;
    r->elements = 0;
    r->reader = redisReaderCreate();
    if (!r->reader)
        return FAULT_NO_MEMORY;
    if (!standard.createArray) {
        standard = bounded = *r->reader->fn;
        bounded.createArray = array_create;
    }
    r->reader->fn = &bounded;
    r->reader->privdata = r;
    r->reader->maxbuf = RESPREAD_CHUNK;
    return FAULT_NONE;
}

void respread_close(struct respread *r)
{
    if (r->reader)
        redisReaderFree(r->reader);
    r->reader = NULL;
}

enum fault respread_feed(struct respread *r, struct slice chunk)
{
    r->octets += chunk.len;
    return redisReaderFeed(r->reader, (const char *)chunk.at, chunk.len) == REDIS_OK ? FAULT_NONE
                                                                                     : FAULT_NO_MEMORY;
}

enum fault respread_next(struct respread *r, redisReply **reply)
{
    void *whole = NULL;

    if (redisReaderGetReply(r->reader, &whole) != REDIS_OK)
        return FAULT_INVALID;
    /* The reader throws away what it has read: a reply is as long as what was fed for it, less the rest. */
    size_t rest = whole ? r->reader->len - r->reader->pos : 0;

    if (r->octets - rest > RESPREAD_OCTETS) {
        if (whole)
            freeReplyObject(whole);
        return FAULT_INVALID;
    }
    if (!whole)
        return FAULT_AGAIN;
    r->octets = rest;
    r->elements = 0;
    *reply = whole;
    return FAULT_NONE;
}

static const redisReply *error_within(const redisReply *reply, int depth)
{
    const redisReply *error = NULL;

    if (reply->type == REDIS_REPLY_ERROR)
        return reply;
    if (reply->type != REDIS_REPLY_ARRAY || depth == 0)
        return NULL;
    for (size_t i = 0; i < reply->elements && !error; i++)
        error = error_within(reply->element[i], depth - 1);
    return error;
}

const redisReply *respread_error(const redisReply *reply)
{
    return error_within(reply, DEPTH_MAX);
}

bool respread_is(const redisReply *reply, struct slice text)
{
    bool is_text = reply->type == REDIS_REPLY_STRING || reply->type == REDIS_REPLY_STATUS;

    return is_text && slice_equal_nocase(slice_of(reply->str, reply->len), text);
}

bool respread_begins(const redisReply *reply, const char *kind, size_t elements)
{
    return reply->type == REDIS_REPLY_ARRAY && reply->elements == elements &&
           respread_is(reply->element[0], slice_text(kind));
}

/* An error can quote the command: AUTH's would hold the password, so its code alone is said. */
void respread_complain(int64_t *said_ms, const char *to, const redisReply *error)
{
    struct slice text = slice_first(slice_of(error->str, error->len), 200);
    int64_t now_ms = clock_mono_ms();

    if (*said_ms && now_ms - *said_ms < COMPLAIN_MS)
        return;
    *said_ms = now_ms;
    if (strcmp(to, "AUTH") == 0)
        text = slice_first(text, slice_find(text, ' '));
    DIAG(WARN, "Redis said an error", DIAG_TEXT("to", slice_text(to)), DIAG_TEXT("error", text));
}

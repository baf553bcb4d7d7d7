#pragma once
#include "fault.h"
#include "slice.h"
#include <hiredis/hiredis.h>

/*
 * respread - hiredis' reader behind bounds.
 *
 *   Layer   flow.
 *   Why     hiredis allocates what a peer announces, and takes replies of any length.
 *   Bounds  a reply of RESPREAD_OCTETS, all its arrays together of RESPREAD_ELEMENTS. RESP2 only: RESP3's push is refused.
 */
#define RESPREAD_OCTETS   (8 * 1024 * 1024)
#define RESPREAD_ELEMENTS (128 * 1024)
#define RESPREAD_CHUNK    (64 * 1024) /* the most to feed at a time */

struct respread {
    redisReader *reader; /* NULL: closed */
    size_t octets;       /* fed since the last whole reply */
    int elements;        /* announced by its arrays */
};

/* respread_open(r): it stays at its place until it is closed. Fails FAULT_NO_MEMORY. */
enum fault respread_open(struct respread *r) CHECKED;
void respread_close(struct respread *r);
enum fault respread_feed(struct respread *r, struct slice chunk) CHECKED; /* Fails FAULT_NO_MEMORY */

/*
 * respread_next(r, reply): one whole reply, to be freed by freeReplyObject.
 *   Fails   FAULT_AGAIN: feed more. FAULT_INVALID: outside the protocol or the bounds, and so is all that follows.
 */
enum fault respread_next(struct respread *r, redisReply **reply) CHECKED;

/* respread_error(reply): the first error that ${reply} is or holds at any depth; NULL where there is none. */
const redisReply *respread_error(const redisReply *reply);

/* respread_is(reply, text): is it this text, as string or status, in any case? */
bool respread_is(const redisReply *reply, struct slice text);

/* respread_begins(reply, kind, elements): is it an array of so many (one at least), and ${kind} its first? */
bool respread_begins(const redisReply *reply, const char *kind, size_t elements);

/* respread_complain(said_ms, to, error): an error, the answer to the command ${to}, goes to diag, at most once a second;
 * ${said_ms} belongs to the caller and begins as 0. */
void respread_complain(int64_t *said_ms, const char *to, const redisReply *error);

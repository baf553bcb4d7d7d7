#pragma once
#include "asks.h"
#include "sandbox.h"

/*
 * roll - the sandboxes that this worker knows.
 *
 *   Layer   flow.
 *   Why     however many addresses a sandbox has, it is one object; and what Redis says of it is checked in one room before
 *           anything is decided on it.
 *   Bounds  a reply of more than ROLL_PARTS fields is refused unread. No memory is kept of a record that does not open.
 */
#define ROLL_PARTS (RECORD_SECRETS_MAX + 16)

struct roll {
    struct worker *worker;
    struct asks *asks;
    struct waitroom waits;
    struct sandbox *sandboxes;                                     /* hash table by id */
    size_t forgotten;                                              /* since memory was last given back */
    bool (*make_room)(struct roll *r, const struct sandbox *keep); /* false: there was nothing to give up */
};

/* roll_find(r, id): NULL: it is not known. */
struct sandbox *roll_find(const struct roll *r, struct slice id);

/* roll_floor(r, id): the version below which the answer to a question that is asked now is an old record, brought back. */
uint64_t roll_floor(const struct roll *r, struct slice id);

/*
 * roll_learn(r, id, floor, reply, out): what HGETALL gave for ${id}: a sandbox made, or brought up to date.
 *   Takes   floor  of the time when it was asked.
 *   Fails   FAULT_NOT_FOUND (no record, or another zone's). FAULT_AGAIN: a newer one was seen since it was asked, by another
 *           worker perhaps: ask again. All else diag has said, of a sandbox that is known once for each reason, and marks it
 *           as refused: FAULT_OUTDATED (below the floor), FAULT_FORGED, FAULT_KEY_UNKNOWN, FAULT_INVALID, FAULT_NO_MEMORY,
 *           FAULT_SYSTEM.
 */
enum fault roll_learn(struct roll *r, const char *id, uint64_t floor, const redisReply *reply,
                      struct sandbox **out) CHECKED;

/* roll_forget_idle(r, keep): those that nobody speaks for, but ${keep}: the half, by time, that was used the longest ago.
 * Gives how many, at most 256. Costs two looks at every sandbox. */
size_t roll_forget_idle(struct roll *r, const struct sandbox *keep);

/* roll_forget(r, s): its connections end, those who wait are told FAULT_REVOKED. The roll's reference is dropped. */
void roll_forget(struct roll *r, struct sandbox *s);

#pragma once
#include "audit.h"
#include "msg.h"
#include "subst.h"
#include "verdict.h"

/*
 * grant - what the tokens of one exchange stand for, and which of them were used or refused.
 *
 *   Layer   flow: joins subst (which sees tokens) with verdict (which knows whose they are).
 *   Why     one place decides, counts and remembers for the audit, for heads, bodies and trailers alike.
 *   Bounds  AUDIT_NAMES names of each kind are remembered; all are counted.
 */
struct grants {
    struct record *record;     /* of the request's beginning; held by the exchange */
    struct record *const *now; /* the newest there is: what it does not grant any more is not put in */
    struct record *counted;    /* the newest when they were counted: what is written is that. Held likewise */
    const struct host *host;
    enum place place; /* where the octets that are looked at stand */
    bool block;       /* denied_token = block */
    bool silent;      /* these tokens were counted before */
    enum fault why;   /* NONE, TOKEN_DENIED, SECRET_UNUSABLE or BODY_TOO_LARGE: the exchange must not go on */
    uint64_t put;     /* values put into the body ... */
    uint64_t grown;   /* ... their octets, escaped ... */
    uint64_t grows;   /* ... and how many these may be: what a small request can make us send is bounded */
    struct granted last; /* put in; so many octets each time */
    uint64_t last_octets;
    const char *used[AUDIT_NAMES], *denied[AUDIT_NAMES];
    size_t used_count, denied_count;
};

/* grants_token: the grant_fn; ${cookie} is a struct grants. In a body a secret for PLACE_FIELD is granted where the token
 * stands alone, and none where it is barred. */
struct granted grants_token(void *cookie, struct slice token, const struct where *where);

/* grants_again(g): the body is written (again) from its beginning. ${silent}: its tokens were counted. */
void grants_again(struct grants *g, bool silent);

/*
 * grants_measure(g, head, most, values): counts the tokens in ${head}'s field values and target, and says what forbids them.
 *   Takes   most: what the head's fields may come to.
 *   Gives   *values: what grants_fill needs; 0: there is nothing to replace.
 *   Fails   FAULT_HEAD_TOO_LARGE, FAULT_TARGET_TOO_LARGE, FAULT_TOKEN_DENIED, FAULT_SECRET_UNUSABLE, FAULT_NO_MEMORY.
 *   Costs   one search per field; no copy and no memory without a token.
 */
enum fault grants_measure(struct grants *g, const struct head *head, size_t most, uint64_t *values) CHECKED;

/*
 * grants_fill(g, head, values, filled): each of these tokens replaced; names and fixed fields are left alone.
 *   Takes   values  grants_measure's, while *g->now was the same. filled  closed; opened when there is anything to replace,
 *                   and then holds the new values.
 *   Fails   FAULT_NO_MEMORY.
 */
enum fault grants_fill(struct grants *g, struct head *head, uint64_t values, struct buf *filled) CHECKED;

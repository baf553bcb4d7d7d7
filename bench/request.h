#pragma once
#include "loadplan.h"

/*
 * request - the octets of one request, rendered once and sent many times.
 *
 *   Layer   program (osb-bench).
 *   Why     what is sent costs no formatting per request; a body of a terabyte is a block said often.
 *   Bounds  REQUEST_HEAD_MAX for the head, as much again for tokens in the body, and one block shared by all; with
 *           --token-every one block each.
 */
#define REQUEST_HEAD_MAX ((size_t)64 << 10)
#define REQUEST_BLOCK    16384 /* of filling, in one record or one chunk */

struct request {
    uint8_t *first; /* the head, and the body up to where it repeats */
    size_t first_octets;
    struct slice block; /* said ${block_count} times: filling */
    uint8_t *own_block; /* it, where there are tokens in it; NULL: shared */
    uint64_t block_count;
    uint8_t last[32]; /* and the rest */
    size_t last_octets;
    uint64_t octets; /* in all */
};

/* request_token: what ${token} of the plan is for this sandbox; NULL: it has none. */
typedef const char *request_token_fn(void *cookie, const char *token);

/*
 * request_open(plan, token, cookie, out): render.
 *   Gives   NULL, or what is wrong, in words.
 */
const char *request_open(const struct loadplan *plan, request_token_fn *token, void *cookie,
                         struct request *out);
void request_close(struct request *r);

/* request_at(r, position): the longest run of octets from there on; empty at the end. */
struct slice request_at(const struct request *r, uint64_t position);

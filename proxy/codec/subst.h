#pragma once
#include "buf.h"
#include "fault.h"
#include "secret.h"
#include "slice.h"

/*
 * subst - swaps tokens for values in one stream of octets.
 *
 *   Layer   codec: octets in, octets out.
 *   Why     the sandbox holds tokens only; this is the one place where a value enters traffic.
 *   Bounds  looks at most SUBST_HOLD octets ahead between calls; allocates nothing; linear in its input, also when the
 *           input is nothing but false starts; one pass, so a token inside a value is never replaced.
 */
#define SUBST_TOKEN 43 /* octets of a token, mark included */
#define SUBST_HOLD  (SUBST_TOKEN - 1)
#define SUBST_MARK  11 /* octets of the mark, "osb_sealed_" */

/*
 * grant_fn: what ${token} stands for at this place, or NULL: it then goes on unchanged.
 *   Takes   token  SUBST_TOKEN octets in the grammar of a token.
 *   Gives   a secret that lives at least as long as the stream (subst may emit it over several calls).
 *   Called exactly once per token of a stream, in order, also by subst_measure.
 */
typedef const struct secret *grant_fn(void *cookie, struct slice token);

struct subst {
    grant_fn *grant;
    void *cookie;
    const struct secret *value; /* being emitted */
    size_t emitted;             /* octets of it that are out */
    bool judged;                /* the token at the front was refused, none of it is out: don't ask again */
};

/*
 * subst_find(in): the offset of the first octet of ${in} that begins, or may begin (cut off by the end), a token.
 *   in.len when there is none. What lies before it can go on as it is.
 *   Costs   a vector search for the mark; portable fallback.
 */
size_t subst_find(struct slice in);

/*
 * subst_feed(s, in, last, out, used): append ${in} to ${out}, tokens replaced.
 *   Takes   in    the next octets; may stop anywhere, even inside a token.
 *           last  nothing follows, so that no tail need be held back.
 *   Gives   *used octets of ${in} dealt with; feed the rest again, with more.
 *   Owns    nothing: ${in} is borrowed for the call.
 *   Fails   FAULT_FULL  ${out} has no room: drain it, call again with the rest (a value may be half out; its token is
 *           then not yet used and stands at the front of the rest).
 *           FAULT_AGAIN  a value is half out and ${in} is shorter than the token that it must begin with.
 *   Costs   one search and one copy; no more of ${in} is looked at than ${out} has room for, so a large ${in} may be
 *           fed again and again through a small ${out}.
 */
enum fault subst_feed(struct subst *s, struct slice in, bool last, struct buf *out, size_t *used) CHECKED;

/*
 * subst_measure(grant, cookie, all): how long a whole body would become.
 *   Gives   the length after substitution; *changed whether a token was replaced at all.
 */
uint64_t subst_measure(grant_fn *grant, void *cookie, struct slice all, bool *changed);

/* The two searches for the mark, for their test alone: the first whole mark in ${in}, in.len where there is none. */
size_t subst_mark_plain(struct slice in);
size_t subst_mark_vector(struct slice in); /* the plain one where the machine has no SSE2 */

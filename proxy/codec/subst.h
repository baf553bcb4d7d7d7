#pragma once
#include "filter.h"
#include "secret.h"
#include "standing.h"

/*
 * subst - swaps tokens for values in one stream of octets.
 *
 *   Layer   codec: a filter.
 *   Why     the sandbox holds tokens only; this is the one place where a value enters traffic.
 *   Bounds  leaves at most SUBST_HOLD octets over, and STANDING_AHEAD more where a standing must see what is behind a token;
 *           allocates nothing; linear in its input, also when the input is nothing but false starts; one pass, so a token
 *           inside a value is never replaced.
 */
#define SUBST_TOKEN 43 /* octets of a token, mark included */
#define SUBST_HOLD  (SUBST_TOKEN - 1)
#define SUBST_MARK  11 /* octets of the mark, "osb_sealed_" */

/* What a token stands for: ${value}, written as ${escape} says. NULL: the token goes on unchanged. */
struct granted {
    const struct secret *value;
    enum escape escape;
};

/*
 * grant_fn: what ${token} stands for at this place.
 *   Takes   token  SUBST_TOKEN octets in the grammar of a token.
 *           where  it stands; a token at a barred place is asked for too: it is for the grant to refuse it.
 *   Gives   a secret that lives at least as long as the stream (it may be emitted over several calls).
 *   Called exactly once per token of a stream, in order, also by subst_measure.
 */
typedef struct granted grant_fn(void *cookie, struct slice token, const struct where *where);

/*
 * The filter's FULL may come while a value is half out; its token is then not yet used and stands at the front of the rest.
 * It gives AGAIN when ${in} is then shorter than that token. What it appends to must have room for ESCAPE_MAX octets when it
 * is drained. No more of ${in} is looked at than ${out} has room for, so a large ${in} may be fed again and again.
 */
struct subst {
    struct filter filter;
    grant_fn *grant;
    void *cookie;
    struct standing *standing;
    struct granted granted; /* its value is being emitted */
    size_t emitted;         /* octets of the value that are out */
    bool judged;            /* the token at the front was refused, none of it is out: don't ask again */
};

/*
 * subst_begin(s, grant, cookie, standing): at the first octet of a stream.
 *   Takes   standing  the same stream's, begun, subst's alone until the stream's end. NULL: every place is {ESCAPE_NONE, not
 *                     alone, not barred}.
 */
void subst_begin(struct subst *s, grant_fn *grant, void *cookie, struct standing *standing);

/*
 * subst_find(in): the offset of the first octet of ${in} that begins, or may begin (cut off by the end), a token.
 *   in.len when there is none. What lies before it can go on as it is.
 *   Costs   a vector search for the mark; portable fallback.
 */
size_t subst_find(struct slice in);

/*
 * subst_measure(grant, cookie, all): how long a whole stream without a standing would become.
 *   Gives   the length after substitution; *changed whether a token was replaced at all.
 */
uint64_t subst_measure(grant_fn *grant, void *cookie, struct slice all, bool *changed);

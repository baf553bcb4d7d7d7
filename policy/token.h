#pragma once
#include "slice.h"

/*
 * token - the sealed token: all that a sandbox ever sees of a secret.
 *
 *   Layer   service (policy).
 *   Why     the grammar stands once: the mark and 32 lower-case hex digits, whatever follows.
 */
#define TOKEN_MARK     "osb_sealed_"
#define TOKEN_MARK_LEN 11
#define TOKEN_LEN      43

/* token_is(s): are the first TOKEN_LEN octets of ${s} a token? */
bool token_is(struct slice s);

/* token_draw(out): a fresh token of 16 random octets; TOKEN_LEN octets, no NUL. */
void token_draw(char *out);

#pragma once
#include "desk.h"

/*
 * staged - osb:staged, which says in Redis that a key is to seal next: it lies in the key file behind the first, and the
 *          operator carries the file to every host before it is used.
 *
 *   Layer   program (osbctl).
 *   Why     a rotation that is interrupted anywhere knows by it that it has to go on, and with which key.
 *
 * In Redis: string osb:staged = a box of nothing, by the staged key, over ("osb1 staged", id of the key that sealed then).
 * So nobody who has no key can stage one, nor an old key again once another seals.
 */

/*
 * staged_read(d, key): which of d->keys is staged; keyring_count(): none.
 *   Fails   OUTCOME_FAILED, said: the key file does not hold it, or that is not its marker.
 */
enum outcome staged_read(struct desk *d, size_t *key) CHECKED;

/* staged_names(d, id, yes): is the key of this id staged, held or not? */
enum outcome staged_names(struct desk *d, const char *id, bool *yes) CHECKED;

/* staged_write(d, key, done): *done is false where one was staged meanwhile. */
enum outcome staged_write(struct desk *d, size_t key, bool *done) CHECKED;

enum outcome staged_drop(struct desk *d) CHECKED;

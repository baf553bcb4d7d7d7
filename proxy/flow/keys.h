#pragma once
#include "house.h"
#include "record.h"

/*
 * keys - the worker's keyring, from the key file.
 *
 *   Layer   flow.
 *   Why     a key that was added after the start must not need a restart: the file is read again when a record is met that
 *           was sealed with an unknown one.
 *   Bounds  read again at once where it is another file than the one that was read, so that no rotation waits; else once
 *           a second at most, however many such records come.
 *   Source  contract section 5.
 */

/* keys_load(w): w->keys from the file. Fails as keyring_load; diag has said why, and the keys held before stay. */
enum fault keys_load(struct worker *w) CHECKED;

/*
 * keys_record(w, id, parts, n, out): record_open under the worker's keys, and under those of the file as it is now where a
 *   key is unknown. Fails as record_open; of FAULT_KEY_UNKNOWN diag has said which key, and which file does not hold it.
 */
enum fault keys_record(struct worker *w, struct slice id, const struct record_part *parts, size_t n,
                       struct record **out) CHECKED;

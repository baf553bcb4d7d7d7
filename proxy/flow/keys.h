#pragma once
#include "house.h"

/*
 * keys - the worker's keyring, from the key file.
 *
 *   Layer   flow.
 *   Why     a key that was added after the start must not need a restart: the file is read again when a record is met that
 *           was sealed with an unknown one.
 *   Bounds  once a second at most, however many such records come.
 *   Source  contract section 5.
 */

/* keys_load(w): w->keys from the file. Fails as keyring_load; diag has said why, and the keys held before stay. */
enum fault keys_load(struct worker *w) CHECKED;

/* keys_reload(w): the same, after an unknown key id. Fails also FAULT_KEY_UNKNOWN: the file was read just now. */
enum fault keys_reload(struct worker *w) CHECKED;

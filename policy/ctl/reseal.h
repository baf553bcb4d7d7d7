#pragma once
#include "chest.h"

/*
 * reseal - everything under the first key: what is sealed stays the same, only the key is another.
 *
 *   Layer   program (osbctl).
 *   Why     then the old key opens nothing any more and can go. Versions stay, so no proxy has to be told: one that reads
 *           the record anew finds the one it has.
 */

/* reseal_chest(d, c): each box opened, and sealed by the first key; the tag is when it is written. Fails OUTCOME_FAILED,
 * said, where one does not open, or the policy and the boxes are not of the same secrets. */
enum outcome reseal_chest(struct desk *d, struct chest *c) CHECKED;

/*
 * reseal_all(d, records): every store and sandbox; again, until all is found under the first key.
 *   Gives   *records  how many were found so.
 *   Fails   OUTCOME_FAILED, said: some don't open, or others go on sealing under another key. The rest is resealed.
 */
enum outcome reseal_all(struct desk *d, size_t *records) CHECKED;

/*
 * reseal_count(d, out): under which key how much lies.
 *   Gives   out  for each key of the file, in its order, in how many stores and sandboxes it sealed something.
 *   Fails   OUTCOME_FAILED, said: some don't open. The rest is counted.
 */
struct reseal_counts {
    char ids[KEYRING_MAX][SEAL_ID_TEXT]; /* as it was at the beginning: what is read may bring a newer ring */
    size_t records[KEYRING_MAX], count;
};
enum outcome reseal_count(struct desk *d, struct reseal_counts *out) CHECKED;

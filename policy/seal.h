#pragma once
#include "buf.h"
#include "fault.h"
#include "secret.h"
#include "slice.h"

/*
 * seal - values and records under the operator's keys: XChaCha20-Poly1305 (libsodium's IETF construction).
 *
 *   Layer   service (policy).
 *   Why     whoever can write to Redis can delete, but neither read, swap, widen nor bring back.
 *   Bounds  a box is: key id (8) | nonce (24) | ciphertext | tag (16). Keys lie in the secret arena.
 *   Source  contract section 8; key id = the first 8 octets of BLAKE2b-256 of the key.
 */
#define SEAL_KEY_OCTETS 32
#define SEAL_KEY_ID     8
#define SEAL_EXTRA      (SEAL_KEY_ID + 24 + 16)
#define SEAL_ID_TEXT    (2 * SEAL_KEY_ID + 1) /* a key id in hex digits, with its NUL */
#define KEYRING_MAX     16

struct keyring;

/*
 * keyring_load(path, out, why): read a key file of n x 32 octets; the first seals, all open.
 *   Gives   *why  a sentence for the operator on failure (borrowed, static).
 *   Fails   FAULT_NOT_FOUND, FAULT_INVALID (empty, not a multiple of 32, too many, readable by others, no regular
 *           file), FAULT_SYSTEM, FAULT_NO_MEMORY.
 */
enum fault keyring_load(const char *path, struct keyring **out, const char **why) CHECKED;
void keyring_free(struct keyring *k);
size_t keyring_count(const struct keyring *k);

/* keyring_id(k, i, out): the key id of key ${i}, SEAL_ID_TEXT octets. */
void keyring_id(const struct keyring *k, size_t i, char *out);

/* keyring_find(k, id): the place of the key with this id; keyring_count(k): it is not held. */
size_t keyring_find(const struct keyring *k, const char *id);

/* keyring_new(out): one without a key, which can't seal yet. */
enum fault keyring_new(struct keyring **out) CHECKED;

/*
 * keyring_draw(k): a new key at the end. keyring_front(k, i): key ${i} seals from now on; the others keep their order.
 * keyring_drop(k, i): without key ${i}. All three change the ring, not the file.
 *   Fails   FAULT_FULL (KEYRING_MAX), FAULT_NO_MEMORY.
 */
enum fault keyring_draw(struct keyring *k) CHECKED;
void keyring_front(struct keyring *k, size_t i);
void keyring_drop(struct keyring *k, size_t i);

/* keyring_lend(k, i, use, cookie): the octets of key ${i}, for the key file alone; as secret_lend. */
enum fault keyring_lend(const struct keyring *k, size_t i, enum fault (*use)(void *cookie, struct slice key),
                        void *cookie) CHECKED;

/* Associated data: each part with its length in front (8 octets, big-endian), so no two lists of parts look alike. */
struct seal_ad {
    struct buf octets;
};
enum fault seal_ad_open(struct seal_ad *ad, size_t most) CHECKED;
enum fault seal_ad_add(struct seal_ad *ad, struct slice part) CHECKED;
enum fault seal_ad_number(struct seal_ad *ad, uint64_t n) CHECKED;
void seal_ad_close(struct seal_ad *ad);

/*
 * seal_box(k, ad, plain, out): append the box of ${plain} to ${out}.
 *   Takes   ad   bound to the box, not in it. plain  may be empty: then the box is a mere signature of ${ad}.
 *   Fails   FAULT_FULL.
 */
enum fault seal_box(const struct keyring *k, const struct seal_ad *ad, struct slice plain,
                    struct buf *out) CHECKED;
enum fault seal_box_secret(const struct keyring *k, const struct seal_ad *ad, const struct secret *plain,
                           struct buf *out) CHECKED;

/* seal_box_with(k, i, ad, plain, out): the same under key ${i}, which need not be the first. */
enum fault seal_box_with(const struct keyring *k, size_t i, const struct seal_ad *ad, struct slice plain,
                         struct buf *out) CHECKED;

/* seal_key_id(box, out): under which key ${box} says that it is, SEAL_ID_TEXT octets; false: too short to be a box. */
bool seal_key_id(struct slice box, char *out);

/*
 * seal_open(k, ad, box, out): the value, in the arena.
 *   Fails   FAULT_FORGED   altered, or sealed over other associated data.
 *           FAULT_KEY_UNKNOWN, FAULT_INVALID (too short or long to be a box), FAULT_NO_MEMORY.
 */
enum fault seal_open(const struct keyring *k, const struct seal_ad *ad, struct slice box,
                     struct secret **out) CHECKED;

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

/* keyring_id(k, i, out): the key id of key ${i} as 16 hex digits and a NUL. */
void keyring_id(const struct keyring *k, size_t i, char *out);

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

/*
 * seal_open(k, ad, box, out): the value, in the arena.
 *   Fails   FAULT_FORGED   altered, or sealed over other associated data.
 *           FAULT_KEY_UNKNOWN, FAULT_INVALID (too short or long to be a box), FAULT_NO_MEMORY.
 */
enum fault seal_open(const struct keyring *k, const struct seal_ad *ad, struct slice box,
                     struct secret **out) CHECKED;

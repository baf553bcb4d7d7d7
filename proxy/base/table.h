#pragma once
#include <sodium.h>

/*
 * table - uthash with a keyed hash, for names that an attacker chooses.
 *
 *   Layer   base.  Include this, never <uthash.h>.
 *   Why     uthash's own hash has no key: a sandbox could pick server names that all fall into one bucket.
 *   Bounds  out of memory leaves the element outside the table (look it up to know), never ends the process.
 */
extern uint8_t table_key[crypto_shorthash_KEYBYTES];

/* table_seed(): draw the process' key. Once, before the first table and after each fork. */
void table_seed(void);

#define HASH_NONFATAL_OOM 1
#define HASH_FUNCTION(keyptr, keylen, hashv)                                                       \
    do {                                                                                           \
        uint64_t table_hash_;                                                                      \
        crypto_shorthash((unsigned char *)&table_hash_, (const unsigned char *)(keyptr), (keylen), \
                         table_key);                                                               \
        (hashv) = (unsigned)table_hash_;                                                           \
    } while (0)
#include <uthash.h>

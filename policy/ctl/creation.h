#pragma once
#include "envfile.h"
#include "storeindex.h"

/*
 * creation - a sandbox in the making: what is asked for, its tokens, what its stores say.
 *
 *   Layer   program (osbctl).
 *   Why     create and fork differ in where tokens and CA come from, and in nothing else.
 */
struct creation {
    const char *id;
    const struct chest *parent; /* whose tokens stay, name by name; NULL: none's */
    struct ip addresses[RECORD_ADDRESSES_MAX];
    size_t address_count;
    char stores[RECORD_STORES_MAX][UUID_LEN + 1]; /* in their order: a later one wins a name */
    size_t store_count;
    int64_t expires_ms; /* 0: no end */
    struct chest chest;
};

/*
 * creation_take(d, id, parent, out): what the options ask for, refused as a whole while nothing was written. The parent's
 *   stores come first; of one that was deleted nothing comes, and stderr says so. chest_close(&out->chest) in any case.
 */
enum outcome creation_take(struct desk *d, const char *id, const struct chest *parent,
                           struct creation *out) CHECKED;

/* creation_ca(d, k, pem, key): its CA; ${key} is sealed for it. */
enum outcome creation_ca(struct desk *d, struct creation *k, const char *pem,
                         const struct secret *key) CHECKED;

/* creation_end(d, k): tokens and values, files, all into Redis; its id is printed. */
enum outcome creation_end(struct desk *d, struct creation *k) CHECKED;

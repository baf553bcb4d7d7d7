#pragma once
#include "hostpat.h"
#include "ip.h"
#include "seal.h"
#include "token.h"

/*
 * record - what Redis holds of a sandbox, opened.
 *
 *   Layer   service (policy).
 *   Why     the one reader of the sealed form; everything after it works on checked values.
 *   Bounds  RECORD_* below; a record beyond them does not open. Counted references: a request in flight keeps the
 *           record that it began with.
 *
 * In Redis: hash osb:sandbox:{ID}
 *   policy      JSON: id zone addresses[] createdAt expiresAt version ca(PEM)
 *               stores[{id name egress[] scrub}] secrets[{name token store(id) hosts[] places[] version}]
 *               (times in ms, expiresAt 0: never; scrub a boolean; a secret names one of the record's own stores;
 *               with a draft (any text) too, it is not finished: as if it were not there)
 *   tag         a box of nothing over ("osb1 sandbox", policy): what policy says is authentic
 *   ca          a box of the CA's key (PKCS#8 DER) over ("osb1 sandbox ca", id, ca PEM)
 *   value:NAME  a box of the value over ("osb1 sandbox value", id, name, token, host..., places, version)
 * and     string osb:ip:ZONE:{ADDR} = ID: an index only; the record's own addresses decide.
 */
#define RECORD_SECRETS_MAX   256
#define RECORD_ADDRESSES_MAX 64
#define RECORD_STORES_MAX    32
#define RECORD_ID_MAX        128 /* [A-Za-z0-9._-], first not '-' or '.' */
#define RECORD_NAME_MAX      128 /* [A-Za-z_][A-Za-z0-9_]* */

enum place { PLACE_HEADER, PLACE_BASIC, PLACE_BODY, PLACE_FIELD, PLACE_URL, PLACE_COUNT };
#define PLACES_DEFAULT (1u << PLACE_HEADER | 1u << PLACE_BASIC | 1u << PLACE_BODY)

/* place_name(p): "header" and so on; place_parse(text, out): the other way, FAULT_INVALID. */
const char *place_name(enum place p);
enum fault place_parse(struct slice text, enum place *out) CHECKED;

struct record_store {
    char id[37]; /* UUID and a NUL */
    char name[RECORD_ID_MAX + 1];
    struct hostlist *egress; /* empty: every name */
    bool scrub;              /* false: answers are not scrubbed of this store's values */
};

struct record_secret {
    char name[RECORD_NAME_MAX + 1];
    char token[TOKEN_LEN];
    const struct record_store *store;
    struct hostlist *hosts; /* empty: every host of the store's list */
    unsigned places;        /* bits 1 << PLACE_x */
    uint64_t version;
    struct secret *value;
};

struct record {
    unsigned references;
    char id[RECORD_ID_MAX + 1], zone[RECORD_ID_MAX + 1];
    struct ip addresses[RECORD_ADDRESSES_MAX];
    size_t address_count;
    struct record_store *stores; /* none: nothing may be reached */
    size_t store_count;
    struct hostlist
        *egress; /* the stores' lists united: an empty one adds nothing, but if all are empty, any name */
    int64_t created_ms, expires_ms; /* expires_ms 0: never */
    uint64_t version;
    char *ca_pem;
    struct secret *ca_key;         /* PKCS#8 DER */
    struct record_secret *secrets; /* sorted by token */
    size_t secret_count;
};

struct record_part { /* one field of the hash, as Redis gave it */
    struct slice field, value;
};

/*
 * record_open(keys, id, parts, n, out): check and open what Redis gave for ${id}.
 *   Takes   parts  the hash, in any order. Borrowed.
 *   Gives   a record with one reference.
 *   Fails   FAULT_NOT_FOUND (no parts, or a draft), FAULT_FORGED, FAULT_KEY_UNKNOWN, FAULT_INVALID (a part missing, too
 *           many, not the shape, or a policy that names another id), FAULT_NO_MEMORY. Nothing of a failed record remains.
 *   Costs   one AEAD per secret; some hundred microseconds. Not for the request path.
 */
enum fault record_open(const struct keyring *keys, struct slice id, const struct record_part *parts, size_t n,
                       struct record **out) CHECKED;

struct record *record_hold(struct record *r);
void record_drop(struct record *r); /* NULL is harmless; the last one wipes and frees */

bool record_has_address(const struct record *r, struct ip ip);

/* record_secret_of(r, token): whose token these TOKEN_LEN octets are; NULL: none of this sandbox's. */
const struct record_secret *record_secret_of(const struct record *r, struct slice token);

/* record_id_ok(text), record_name_ok(text): the grammar of ids and of secret names. */
bool record_id_ok(struct slice text);
bool record_name_ok(struct slice text);

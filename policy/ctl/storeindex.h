#pragma once
#include "chest.h"

/*
 * storeindex - which store has which name: the hash osb:stores, an index beside the records.
 *
 *   Layer   program (osbctl).
 *   Why     a name in the index is a hint that anyone with Redis could change; the record's own name decides.
 */
#define UUID_LEN 36

void uuid_draw(char *out); /* UUID_LEN + 1 octets */

/* storeindex_id(d, word, out): the id for a name or an id. Fails OUTCOME_NOT_FOUND, said. */
enum outcome storeindex_id(struct desk *d, const char *word, char *out) CHECKED;

/* storeindex_read(d, word, out): the store's record. Fails OUTCOME_NOT_FOUND, said; OUTCOME_FAILED, name and record
 * disagree. */
enum outcome storeindex_read(struct desk *d, const char *word, struct chest *out) CHECKED;

/* storeindex_name_ok(d, name, id): may store ${id} be called so? Fails OUTCOME_REFUSED. */
enum outcome storeindex_name_ok(struct desk *d, const char *name, const char *id) CHECKED;

/* storeindex_claim(d, name, id): this name leads to ${id}; so may others. Fails OUTCOME_REFUSED: it is another store's. */
enum outcome storeindex_claim(struct desk *d, const char *name, const char *id) CHECKED;

/* storeindex_tidy(d, id): what the record of ${id} is called leads there, and nothing else; nothing at all where there is
 * none. storeindex_set(d, name, id): claim, then tidy. */
enum outcome storeindex_tidy(struct desk *d, const char *id) CHECKED;
enum outcome storeindex_set(struct desk *d, const char *name, const char *id) CHECKED;

/* storeindex_list(d, out): the ids of all stores, sorted, each once; names_free() them. */
enum outcome storeindex_list(struct desk *d, struct names *out) CHECKED;

#pragma once
#include "chest.h"

/*
 * spread - carries what a store says now into the records of the sandboxes that were made from it.
 *
 *   Layer   program (osbctl).
 *   Why     a record is its sandbox's own copy. A copy is brought to the store's present state, whatever that is, so
 *           that a command which died half way is completed by running it, or any other change of the store, again.
 */

/*
 * spread_one(d, store, id): sandbox ${id}, and the proxies are told. A store that is not there is no failure.
 *   Fails   OUTCOME_NOT_FOUND, not said: no such sandbox.
 */
enum outcome spread_one(struct desk *d, const char *store, const char *id) CHECKED;

/*
 * spread_all(d, store, revoke, doing, changed): every sandbox of the store, and the proxies are told.
 *   Takes   revoke  as if the store were empty, and out of the records. doing  the progress bar's words.
 *   Gives   *changed  true where a record was changed, else as it was. May be NULL.
 */
enum outcome spread_all(struct desk *d, const char *store, bool revoke, const char *doing,
                        bool *changed) CHECKED;

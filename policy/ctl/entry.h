#pragma once
#include "envfile.h"

/*
 * entry - all that Redis holds of a sandbox, kept in step: its record, its names in the sets of sandboxes, its addresses.
 *
 *   Layer   program (osbctl).
 *   Why     any step may be the last of a command that dies, and none is tied to another. Until all is in place the record
 *           is a draft (a nonce in its policy): proxies don't open it, and as it has told nobody its tokens it may be
 *           replaced. Names go in before it is more than that, and out behind it: a stale name is harmless, a missing one
 *           hides a sandbox from rotations. Whoever takes names or addresses away looks afterwards whether the sandbox
 *           is there (again), and whoever makes one puts them in when there is a draft to be found: one of both sees
 *           the other.
 */

bool entry_is_draft(const json_t *policy);

/*
 * entry_make(d, c, stores_must_be, files): a sandbox that is not there yet; the proxies are told.
 *   Takes   c               policy and boxes, whole.
 *           stores_must_be  one of its stores that was deleted meanwhile is a failure.
 *           files           put in place before the last write, so that whoever dies with neither done can be run again.
 *                           NULL: none.
 *   Fails   OUTCOME_REFUSED (there already; an address in use), OUTCOME_NOT_FOUND (a store), OUTCOME_FAILED. Nothing of
 *           it stays then, unless Redis is away.
 */
enum outcome entry_make(struct desk *d, struct chest *c, bool stores_must_be, struct envfile *files) CHECKED;

/* entry_name(d, c): into the sets, for as long as a record with this end can be there. */
enum outcome entry_name(struct desk *d, const struct chest *c) CHECKED;

/* entry_claim(d, c): the addresses, of the policy as it stands. Fails OUTCOME_REFUSED, with the owner's id. */
enum outcome entry_claim(struct desk *d, const struct chest *c) CHECKED;

/* entry_affirm(d, id): both again where there is a record: another command may have made or moved the sandbox while ours
 * took names or addresses of it away. */
enum outcome entry_affirm(struct desk *d, const char *id) CHECKED;

/* entry_remove(d, id, policy): all of it; the proxies are told. ${policy} NULL: not readable. */
enum outcome entry_remove(struct desk *d, const char *id, const json_t *policy) CHECKED;

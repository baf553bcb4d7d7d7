#pragma once
#include "leaf.h"

/*
 * leafcache - the leaves of one sandbox, by name, bounded, least recently used out first.
 *
 *   Layer   service (ca).
 *   Why     names are the sandbox's choice: neither memory nor signatures may be without limit.
 *   Bounds  LEAFCACHE_MAX leaves; a signature only when the caller's budget allows it.
 */
#define LEAFCACHE_MAX 256

struct leafcache;

enum fault leafcache_new(struct leafcache **out) CHECKED;
void leafcache_free(struct leafcache *c);

/* may_mint_fn: one more signature, now? Asked only when one is needed; true counts it. */
typedef bool may_mint_fn(void *cookie);

/*
 * leafcache_get(c, a, name, literal, may_mint, cookie, now_ms, out, minted): the leaf for ${name}.
 *   Gives   *out    borrowed until the next call; take a reference (X509_up_ref) to keep it. *minted: it was signed now.
 *   Fails   FAULT_NAME_REFUSED when ${may_mint} says no (a leaf that is still good is served all the same); leaf_mint's
 *           faults.
 *   Costs   a look-up; a leaf within an hour of its end is made anew.
 */
enum fault leafcache_get(struct leafcache *c, const struct authority *a, struct slice name, bool literal,
                         may_mint_fn *may_mint, void *cookie, int64_t now_ms, X509 **out,
                         bool *minted) CHECKED;

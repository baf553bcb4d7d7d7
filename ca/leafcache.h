#pragma once
#include "leaf.h"

/*
 * leafcache - the leaves of one sandbox, by name, bounded, least recently used out first.
 *
 *   Layer   service (ca).
 *   Why     names are the sandbox's choice: neither memory nor signatures may be without limit.
 *   Bounds  LEAFCACHE_MAX leaves; a budget of mints (a bucket: burst, then so many a second).
 */
#define LEAFCACHE_MAX 256

struct leafcache;

struct mint_budget {
    unsigned burst, per_s;
};

enum fault leafcache_new(struct leafcache **out) CHECKED;
void leafcache_free(struct leafcache *c);

/*
 * leafcache_get(c, a, name, literal, budget, now_ms, out, minted): the leaf for ${name}.
 *   Takes   budget  what applies to this name: a denied name has less than an allowed one. Each of the two budgets that
 *                   a caller passes keeps its own bucket: which = 0 or 1.
 *   Gives   *out    borrowed until the next call; take a reference (X509_up_ref) to keep it. *minted: it was signed now.
 *   Fails   FAULT_NAME_REFUSED when the budget is spent; leaf_mint's faults.
 *   Costs   a look-up; a leaf within an hour of its end is made anew.
 */
enum fault leafcache_get(struct leafcache *c, const struct authority *a, struct slice name, bool literal,
                         unsigned which, struct mint_budget budget, int64_t now_ms, X509 **out,
                         bool *minted) CHECKED;

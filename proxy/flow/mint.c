#include "mint.h"
#include "clock.h"
#include "metric.h"
#include "quota.h"
#include "verdict.h"

static const struct quota_rate rates[QUOTA_KINDS] = {
    [QUOTA_MINT_DENIED] = {20, 2}, [QUOTA_MINT_ALLOWED] = {200, 20}};

struct mint {
    struct sandbox *sandbox;
    enum quota_kind kind;
};

static bool mint_may(void *cookie)
{
    const struct mint *m = cookie;

    return quota_take(m->sandbox->quota, m->kind, rates[m->kind], worker_now_ms(m->sandbox->worker)) == 0;
}

enum fault mint_leaf(struct sandbox *s, const struct host *host, X509 **cert, EVP_PKEY **key)
{
    bool allowed = verdict_host(s->record, host) == FAULT_NONE, minted;
    struct mint mint = {s, allowed ? QUOTA_MINT_ALLOWED : QUOTA_MINT_DENIED};

    TRY(leafcache_get(s->leaves, &s->authority, host_name(host), host->literal, mint_may, &mint,
                      clock_turn_wall_ms(), cert, &minted));
    metric_add(minted ? METRIC_LEAF_MINTS : METRIC_LEAF_CACHE_HITS, 1);
    *key = s->authority.leaf_key;
    return FAULT_NONE;
}

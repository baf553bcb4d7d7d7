#include "leafcache.h"
#include "table.h"
#include <stdlib.h>
#include <sys/queue.h>
#include <time.h>

#define RENEW_MS ((int64_t)3600 * 1000)
#define TOKEN \
    ((uint64_t)1000) /* a bucket counts thousandths of a mint, so that a millisecond adds whole ones */
#define ELAPSED_MS_MAX ((int64_t)1000000000)

struct entry {
    UT_hash_handle hh;
    TAILQ_ENTRY(entry) age;
    X509 *leaf;
    int64_t ends_ms;
    size_t key_len;
    uint8_t key[]; /* 'a' or 'n', for an address or a name, and its text */
};

struct bucket {
    uint64_t level;
    int64_t seen_ms;
    bool begun;
};

struct leafcache {
    struct entry *table;
    TAILQ_HEAD(ages, entry) ages; /* the least recently used first */
    X509 *issuer; /* of every entry; a reference, so that no other certificate can have its address */
    struct bucket bucket[2];
};

enum fault leafcache_new(struct leafcache **out)
{
    struct leafcache *c = calloc(1, sizeof *c);

    if (!c)
        return FAULT_NO_MEMORY;
    TAILQ_INIT(&c->ages);
    *out = c;
    return FAULT_NONE;
}

static void entry_drop(struct leafcache *c, struct entry *e)
{
    HASH_DEL(c->table, e);
    TAILQ_REMOVE(&c->ages, e, age);
    X509_free(e->leaf);
    free(e);
}

static void entries_drop(struct leafcache *c)
{
    while (!TAILQ_EMPTY(&c->ages))
        entry_drop(c, TAILQ_FIRST(&c->ages));
    X509_free(c->issuer);
    c->issuer = NULL;
}

void leafcache_free(struct leafcache *c)
{
    if (!c)
        return;
    entries_drop(c);
    free(c);
}

/* A reopened or new authority has another leaf key, so what the last one signed is of no use. */
static void issuer_is(struct leafcache *c, X509 *issuer)
{
    if (c->issuer == issuer)
        return;
    entries_drop(c);
    X509_up_ref(issuer);
    c->issuer = issuer;
}

static bool bucket_take(struct bucket *b, struct mint_budget budget, int64_t now_ms)
{
    uint64_t most = budget.burst * TOKEN;
    int64_t elapsed_ms = b->begun ? now_ms - b->seen_ms : 0;

    if (elapsed_ms < 0)
        elapsed_ms = 0; /* the date was set back */
    if (elapsed_ms > ELAPSED_MS_MAX)
        elapsed_ms = ELAPSED_MS_MAX;
    b->level = b->begun ? b->level + (uint64_t)elapsed_ms * budget.per_s : most;
    if (b->level > most)
        b->level = most;
    b->seen_ms = now_ms;
    b->begun = true;
    if (b->level < TOKEN)
        return false;
    b->level -= TOKEN;
    return true;
}

static int64_t leaf_ends_ms(const X509 *leaf)
{
    struct tm tm;

    if (ASN1_TIME_to_tm(X509_get0_notAfter(leaf), &tm) != 1)
        return 0;
    return (int64_t)timegm(&tm) * 1000;
}

static struct entry *entry_new(struct slice key)
{
    struct entry *e = calloc(1, sizeof *e + key.len);

    if (!e)
        return NULL;
    memcpy(e->key, key.at, key.len);
    e->key_len = key.len;
    return e;
}

/* Takes over ${leaf}. */
static enum fault entry_add(struct leafcache *c, struct slice key, X509 *leaf)
{
    struct entry *e = entry_new(key), *found = NULL;

    if (!e) {
        X509_free(leaf);
        return FAULT_NO_MEMORY;
    }
    if (HASH_COUNT(c->table) >= LEAFCACHE_MAX)
        entry_drop(c, TAILQ_FIRST(&c->ages));
    e->leaf = leaf;
    e->ends_ms = leaf_ends_ms(leaf);
    HASH_ADD_KEYPTR(hh, c->table, e->key, e->key_len, e);
    HASH_FIND(hh, c->table, key.at, key.len, found);
    if (!found) {
        X509_free(leaf);
        free(e);
        return FAULT_NO_MEMORY;
    }
    TAILQ_INSERT_TAIL(&c->ages, e, age);
    return FAULT_NONE;
}

enum fault leafcache_get(struct leafcache *c, const struct authority *a, struct slice name, bool literal,
                         unsigned which, struct mint_budget budget, int64_t now_ms, X509 **out, bool *minted)
{
    uint8_t text[1 + 253];
    struct entry *e = NULL;
    X509 *leaf = NULL;

    *minted = false;
    if (name.len == 0 || name.len > sizeof text - 1 || which >= 2)
        return FAULT_INVALID;
    text[0] = literal ? 'a' : 'n';
    memcpy(text + 1, name.at, name.len);
    struct slice key = slice_of(text, name.len + 1);

    issuer_is(c, a->cert);
    HASH_FIND(hh, c->table, key.at, key.len, e);
    bool fresh = e && e->ends_ms - now_ms > RENEW_MS,
         budgeted = !fresh && bucket_take(&c->bucket[which], budget, now_ms);

    /* Without budget an old leaf that is still good is better than none. */
    if (fresh || (e && !budgeted && e->ends_ms > now_ms)) {
        TAILQ_REMOVE(&c->ages, e, age);
        TAILQ_INSERT_TAIL(&c->ages, e, age);
        *out = e->leaf;
        return FAULT_NONE;
    }
    if (!budgeted)
        return FAULT_NAME_REFUSED;
    TRY(leaf_mint(a, name, literal, now_ms, &leaf));
    if (e)
        entry_drop(c, e);
    TRY(entry_add(c, key, leaf));
    *out = leaf;
    *minted = true;
    return FAULT_NONE;
}

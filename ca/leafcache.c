#include "leafcache.h"
#include "table.h"
#include <stdlib.h>
#include <sys/queue.h>
#include <time.h>

#define RENEW_MS    ((int64_t)3600 * 1000)
#define SETTLE_USES 8 /* a name that comes so often will come again */

struct entry {
    UT_hash_handle hh;
    TAILQ_ENTRY(entry) age;
    X509 *leaf;
    int64_t ends_ms;
    unsigned uses; /* up to SETTLE_USES */
    size_t key_len;
    uint8_t key[]; /* 'a' or 'n', for an address or a name, and its text */
};

struct leafcache {
    struct entry *table;
    TAILQ_HEAD(ages, entry) ages; /* the least recently used first */
    X509 *issuer; /* of every entry; a reference, so that no other certificate can have its address */
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
                         may_mint_fn *may_mint, void *cookie, int64_t now_ms, X509 **out, bool *minted)
{
    uint8_t text[1 + 253];
    struct entry *e = NULL;
    X509 *leaf = NULL;

    *minted = false;
    if (name.len == 0 || name.len > sizeof text - 1)
        return FAULT_INVALID;
    text[0] = literal ? 'a' : 'n';
    memcpy(text + 1, name.at, name.len);
    struct slice key = slice_of(text, name.len + 1);

    issuer_is(c, a->cert);
    HASH_FIND(hh, c->table, key.at, key.len, e);
    bool fresh = e && e->ends_ms - now_ms > RENEW_MS, budgeted = !fresh && may_mint(cookie);

    /* Without budget an old leaf that is still good is better than none. */
    if (fresh || (e && !budgeted && e->ends_ms > now_ms)) {
        TAILQ_REMOVE(&c->ages, e, age);
        TAILQ_INSERT_TAIL(&c->ages, e, age);
        if (e->uses < SETTLE_USES && ++e->uses == SETTLE_USES)
            leaf_settle(&e->leaf);
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

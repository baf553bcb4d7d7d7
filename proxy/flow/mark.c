#include "mark.h"
#include "shared.h"
#include <sodium.h>
#include <stdatomic.h>

#define PROBES 128 /* half full, a run of so many taken slots is one chance in 10^10 */

struct slot {
    _Atomic uint64_t who; /* hash of the id; 0: free */
    _Atomic uint64_t version;
};

static struct {
    uint8_t key[crypto_shorthash_KEYBYTES];
    struct slot slot[MARK_SLOTS];
} * page;

enum fault mark_open(void)
{
    void *map = shared_open(sizeof *page);

    if (!map)
        return FAULT_NO_MEMORY;
    page = map;
    randombytes_buf(page->key, sizeof page->key);
    return FAULT_NONE;
}

static uint64_t hash_of(struct slice id)
{
    uint64_t who;

    crypto_shorthash((unsigned char *)&who, id.at, id.len, page->key);
    return who ? who : 1;
}

/* The slot of ${who}: its own, a free one, or the one of an older record near it. NULL: all near it are newer. */
static struct slot *slot_of(uint64_t who, uint64_t version)
{
    struct slot *oldest = NULL;
    uint64_t least = version, others = 0;

    for (size_t i = 0; i < PROBES; i++) {
        struct slot *at = &page->slot[(who + i) % MARK_SLOTS];
        uint64_t free = 0, written = atomic_load(&at->version);

        if (atomic_load(&at->who) == who || atomic_compare_exchange_strong(&at->who, &free, who) ||
            free == who)
            return at;
        if (written < least) {
            least = written;
            oldest = at;
            others = free;
        }
    }
    return oldest && atomic_compare_exchange_strong(&oldest->who, &others, who) ? oldest : NULL;
}

uint64_t mark_raise(struct slice id, uint64_t version)
{
    uint64_t who = hash_of(id);
    struct slot *at = slot_of(who, version);

    if (!at)
        return version;
    uint64_t seen = atomic_load(&at->version), raised = version;

    while (seen < version && !atomic_compare_exchange_weak(&at->version, &seen, version))
        ;
    if (atomic_load(&at->who) == who)
        return seen < version ? version : seen;
    /* It was given away just now: what we put into it is not the new one's. */
    if (seen < version)
        atomic_compare_exchange_strong(&at->version, &raised, seen);
    return version;
}

uint64_t mark_seen(struct slice id)
{
    uint64_t who = hash_of(id);

    for (size_t i = 0; i < PROBES; i++) {
        const struct slot *at = &page->slot[(who + i) % MARK_SLOTS];

        if (atomic_load(&at->who) == who)
            return atomic_load(&at->version);
    }
    return 0;
}

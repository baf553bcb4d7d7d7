#include "mark.h"
#include <sodium.h>
#include <stdatomic.h>
#include <sys/mman.h>

#define PROBES 32

static struct {
    uint8_t key[crypto_shorthash_KEYBYTES];
    struct {
        _Atomic uint64_t who; /* hash of the id; 0: free */
        _Atomic uint64_t version;
    } slot[MARK_SLOTS];
} * page;

enum fault mark_open(void)
{
    void *map = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (map == MAP_FAILED)
        return FAULT_NO_MEMORY;
    page = map;
    randombytes_buf(page->key, sizeof page->key);
    return FAULT_NONE;
}

/* The slot of ${who}, taken where it has none yet; MARK_SLOTS: all near it belong to others. */
static size_t slot_of(uint64_t who)
{
    for (size_t i = 0; i < PROBES; i++) {
        size_t at = (size_t)(who + i) % MARK_SLOTS;
        uint64_t free = 0;

        if (atomic_load(&page->slot[at].who) == who ||
            atomic_compare_exchange_strong(&page->slot[at].who, &free, who) || free == who)
            return at;
    }
    return MARK_SLOTS;
}

bool mark_raise(struct slice id, uint64_t version)
{
    uint64_t who;

    crypto_shorthash((unsigned char *)&who, id.at, id.len, page->key);
    size_t at = slot_of(who ? who : 1);

    if (at == MARK_SLOTS)
        return true;
    uint64_t seen = atomic_load(&page->slot[at].version);

    while (seen < version)
        if (atomic_compare_exchange_weak(&page->slot[at].version, &seen, version))
            return true;
    return seen == version;
}

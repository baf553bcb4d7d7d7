#include "census.h"
#include "record.h"
#include "shared.h"
#include <sodium.h>
#include <stdatomic.h>
#include <stdio.h>

#define PROBES 32

enum count { CONNECTIONS, REQUESTS, BLOCKED, ERRORS, BYTES_IN, BYTES_OUT, COUNTS };

struct slot {
    _Atomic uint64_t who;   /* hash of the id; 0: free */
    _Atomic uint64_t named; /* equal to who: ${id} is written whole */
    _Atomic int64_t used_ms;
    _Atomic uint64_t count[COUNTS];
    char id[RECORD_ID_MAX + 1];
};

static struct {
    uint8_t key[crypto_shorthash_KEYBYTES];
    struct slot slot[CENSUS_SLOTS];
} * page;

enum fault census_open(void)
{
    void *map = shared_open(sizeof *page);

    if (!map)
        return FAULT_NO_MEMORY;
    page = map;
    randombytes_buf(page->key, sizeof page->key);
    return FAULT_NONE;
}

/* The slot is ours since a moment: a reader that looks between two lines sees no name, and passes on. */
static void slot_begin(struct slot *s, uint64_t who, const char *id, int64_t now_ms)
{
    atomic_store(&s->used_ms, now_ms);
    atomic_store(&s->named, 0);
    for (size_t i = 0; i < COUNTS; i++)
        atomic_store(&s->count[i], 0);
    snprintf(s->id, sizeof s->id, "%s", id);
    atomic_store(&s->named, who);
}

/* Slots are never given back, so ${who}'s lies before the first free one; else that one is taken, or the quietest. */
static struct slot *slot_take(uint64_t who, const char *id, int64_t now_ms)
{
    struct slot *quietest = NULL;
    uint64_t owner = 0;

    for (size_t i = 0; i < PROBES; i++) {
        struct slot *s = &page->slot[(who + i) % CENSUS_SLOTS];
        uint64_t seen = 0;

        if (atomic_compare_exchange_strong(&s->who, &seen, who)) {
            slot_begin(s, who, id, now_ms);
            return s;
        }
        if (seen == who)
            return s;
        if (!quietest || atomic_load(&s->used_ms) < atomic_load(&quietest->used_ms)) {
            quietest = s;
            owner = seen;
        }
    }
    if (now_ms - atomic_load(&quietest->used_ms) < CENSUS_QUIET_MS ||
        !atomic_compare_exchange_strong(&quietest->who, &owner, who))
        return NULL;
    slot_begin(quietest, who, id, now_ms);
    return quietest;
}

struct census census_join(const char *id, int64_t now_ms)
{
    uint64_t who;
    struct slot *s;

    crypto_shorthash((unsigned char *)&who, (const unsigned char *)id, strlen(id), page->key);
    who = who ? who : 1;
    s = slot_take(who, id, now_ms);
    return (struct census){.slot = s ? (unsigned)(s - page->slot) : CENSUS_SLOTS, .who = who};
}

/* The sandbox' own slot, found anew where it was quiet for so long that another has it now; NULL: none. */
static struct slot *slot_of(struct census *c, const char *id, int64_t now_ms)
{
    if (c->slot < CENSUS_SLOTS &&
        atomic_load_explicit(&page->slot[c->slot].who, memory_order_relaxed) != c->who)
        *c = census_join(id, now_ms);
    if (c->slot == CENSUS_SLOTS)
        return NULL;
    atomic_store_explicit(&page->slot[c->slot].used_ms, now_ms, memory_order_relaxed);
    return &page->slot[c->slot];
}

static void slot_add(struct slot *s, enum count which, uint64_t n)
{
    atomic_fetch_add_explicit(&s->count[which], n, memory_order_relaxed);
}

void census_connection(struct census *c, const char *id, int64_t now_ms)
{
    struct slot *s = slot_of(c, id, now_ms);

    if (s)
        slot_add(s, CONNECTIONS, 1);
}

void census_request(struct census *c, const char *id, int64_t now_ms, enum fault why, uint64_t in,
                    uint64_t out)
{
    struct slot *s = slot_of(c, id, now_ms);

    if (!s)
        return;
    slot_add(s, REQUESTS, 1);
    if (why != FAULT_NONE)
        slot_add(s, fault_blocks(why) ? BLOCKED : ERRORS, 1);
    slot_add(s, BYTES_IN, in);
    slot_add(s, BYTES_OUT, out);
}

/* --- reading -------------------------------------------------------------------------------------------- */

/* A copy that was one sandbox' from its first octet to its last; false: free, or changing hands. */
static bool slot_read(struct slot *from, char id[static RECORD_ID_MAX + 1],
                      unsigned long long count[static COUNTS])
{
    uint64_t who = atomic_load(&from->who);

    if (who == 0 || atomic_load(&from->named) != who)
        return false;
    memcpy(id, from->id, RECORD_ID_MAX);
    id[RECORD_ID_MAX] = 0;
    for (size_t i = 0; i < COUNTS; i++)
        count[i] = atomic_load(&from->count[i]);
    return atomic_load(&from->named) == who && atomic_load(&from->who) == who && record_id_ok(slice_text(id));
}

size_t census_octets(void)
{
    size_t n = 1; /* one more may come before census_text looks */

    for (size_t i = 0; i < CENSUS_SLOTS; i++)
        n += atomic_load_explicit(&page->slot[i].who, memory_order_relaxed) != 0;
    return (n + 64) * CENSUS_LINE;
}

enum fault census_text(struct buf *out)
{
    const char *before = "[";

    for (size_t i = 0; i < CENSUS_SLOTS; i++) {
        char id[RECORD_ID_MAX + 1], line[CENSUS_LINE];
        unsigned long long count[COUNTS];
        int n;

        if (!slot_read(&page->slot[i], id, count))
            continue;
        n = snprintf(
            line, sizeof line,
            "%s\n{\"id\":\"%s\",\"connections\":%llu,\"requests\":%llu,\"blocked\":%llu,\"errors\":%llu,"
            "\"bytesIn\":%llu,\"bytesOut\":%llu}",
            before, id, count[CONNECTIONS], count[REQUESTS], count[BLOCKED], count[ERRORS], count[BYTES_IN],
            count[BYTES_OUT]);
        TRY(buf_append(out, slice_of(line, (size_t)n)));
        before = ",";
    }
    TRY(buf_append(out, *before == '[' ? SLICE("[") : SLICE_NONE));
    return buf_append(out, SLICE("\n]\n"));
}

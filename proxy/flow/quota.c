#include "quota.h"
#include "shared.h"
#include <sodium.h>
#include <stdatomic.h>

struct quota_row {
    _Atomic uint32_t used;
    _Atomic uint32_t connections[QUOTA_SLOTS];
};

static struct {
    uint8_t key[crypto_shorthash_KEYBYTES];
    unsigned rows;
    /* When the next one would be on time, in microseconds: a leaky bucket in one number (GCRA). */
    _Atomic int64_t due_us[QUOTA_KINDS][QUOTA_SLOTS];
    struct quota_row row[];
} * page;

static struct quota_row *mine;

enum fault quota_open(unsigned rows)
{
    size_t octets = sizeof *page + rows * sizeof(struct quota_row);
    void *map = shared_open(octets);

    if (!map)
        return FAULT_NO_MEMORY;
    page = map;
    page->rows = rows;
    randombytes_buf(page->key, sizeof page->key);
    return FAULT_NONE;
}

void quota_row_free(unsigned row)
{
    if (!atomic_load(&page->row[row].used))
        return;
    for (unsigned s = 0; s < QUOTA_SLOTS; s++)
        atomic_store_explicit(&page->row[row].connections[s], 0, memory_order_relaxed);
    atomic_store(&page->row[row].used, 0);
}

void quota_row_take(unsigned row)
{
    quota_row_free(row);
    mine = &page->row[row];
    atomic_store(&mine->used, 1);
}

unsigned quota_slot(struct slice id)
{
    uint64_t hash;

    crypto_shorthash((unsigned char *)&hash, id.at, id.len, page->key);
    return (unsigned)(hash % QUOTA_SLOTS);
}

unsigned quota_connection(unsigned slot)
{
    unsigned sum = 0;

    atomic_fetch_add_explicit(&mine->connections[slot], 1, memory_order_relaxed);
    for (unsigned r = 0; r < page->rows; r++)
        if (atomic_load_explicit(&page->row[r].used, memory_order_relaxed))
            sum += atomic_load_explicit(&page->row[r].connections[slot], memory_order_relaxed);
    return sum;
}

void quota_connection_end(unsigned slot)
{
    atomic_fetch_sub_explicit(&mine->connections[slot], 1, memory_order_relaxed);
}

unsigned quota_take(unsigned slot, enum quota_kind kind, struct quota_rate rate, int64_t now_ms)
{
    _Atomic int64_t *due = &page->due_us[kind][slot];
    int64_t now_us = now_ms * 1000,
            each_us = 1000000 / (int64_t)(rate.per_s < 1000000 ? rate.per_s : 1000000);
    int64_t ahead_us = each_us * (int64_t)(rate.burst - 1);
    int64_t due_us = atomic_load_explicit(due, memory_order_relaxed), from_us;

    do {
        from_us = due_us > now_us ? due_us : now_us;
        if (from_us - now_us > ahead_us)
            return (unsigned)((from_us - now_us - ahead_us) / 1000) + 1;
    } while (!atomic_compare_exchange_weak_explicit(due, &due_us, from_us + each_us, memory_order_relaxed,
                                                    memory_order_relaxed));
    return 0;
}

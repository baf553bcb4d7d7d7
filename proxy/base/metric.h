#pragma once
#include "buf.h"
#include <stdatomic.h>

/*
 * metric - counters and gauges in one page that all processes share.
 *
 *   Layer   base.
 *   Why     each worker writes a row of its own, so counting is one plain store: no lock, no contention. The reader
 *           adds the rows up.
 *   Bounds  a fixed number of rows; no label carries a host, a token or a sandbox.
 */
enum metric {
#define METRIC(name, kind, family, labels, help) METRIC_##name,
#include "metric.def"
#undef METRIC
    METRIC_COUNT
};

enum metric_time { METRIC_REQUEST_SECONDS, METRIC_ADDED_SECONDS, METRIC_STORE_SECONDS, METRIC_TIME_COUNT };

#define METRIC_BUCKETS 18 /* upper bounds 0.1 ms x 2^n, the last one open */

struct metric_row {
    _Atomic uint64_t value[METRIC_COUNT];
    _Atomic uint64_t fault[FAULT_COUNT];
    struct {
        _Atomic uint64_t bucket[METRIC_BUCKETS], sum_us;
    } time[METRIC_TIME_COUNT];
};

/* metric_open(rows): make the page, before the first fork. Until then, and in tests, a private row serves. */
enum fault metric_open(unsigned rows) CHECKED;

/* metric_row_take(row): this process writes row ${row} from now on; its gauges start at zero. */
void metric_row_take(unsigned row);

/* metric_gauges_reset(row): a worker ended: what it held open is gone. */
void metric_gauges_reset(unsigned row);

extern struct metric_row *metric_mine;

/* Only this process writes its row: a load and a store, no locked instruction. */
static inline void metric_grow(_Atomic uint64_t *value, uint64_t n)
{
    atomic_store_explicit(value, atomic_load_explicit(value, memory_order_relaxed) + n, memory_order_relaxed);
}

static inline void metric_add(enum metric m, uint64_t n)
{
    metric_grow(&metric_mine->value[m], n);
}

static inline void metric_drop(enum metric m) /* a gauge goes down by one */
{
    metric_add(m, UINT64_MAX);
}

static inline void metric_set(enum metric m, uint64_t n)
{
    atomic_store_explicit(&metric_mine->value[m], n, memory_order_relaxed);
}

void metric_fault(enum fault f);
void metric_time(enum metric_time t, uint64_t us);

/* metric_sum(m): over all rows. */
uint64_t metric_sum(enum metric m);

/* metric_text(out, version): everything, in Prometheus' text format 0.0.4. Fails FAULT_FULL. */
enum fault metric_text(struct buf *out, const char *version) CHECKED;

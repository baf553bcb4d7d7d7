#pragma once
#include <stdbool.h>
#include <stddef.h>

/*
 * series - the results of many runs, by workload and by who was measured.
 *
 *   Layer   program (osb-bench).
 *   Why     one run says little on a shared machine: a median and how far runs lie apart say more.
 *   Bounds  the constants below; what is beyond is refused, not dropped.
 */
#define SERIES_WORKLOADS 48
#define SERIES_PEERS     8
#define SERIES_RUNS      64
#define SERIES_NAME      80

enum series_metric {
    SERIES_REQUESTS,
    SERIES_OCTETS,
    SERIES_CPU_REQUEST,
    SERIES_CPU_GB,
    SERIES_P50,
    SERIES_P99,
    SERIES_PSS,
    SERIES_GROWTH,
    SERIES_CONNECTION,
    SERIES_SANDBOX,
    SERIES_METRICS
};

struct series_metric_row {
    const char *name, *unit;
    bool more_is_better;
    const char *path; /* in a result's JSON; '.' goes one level down */
};

extern const struct series_metric_row series_metrics[SERIES_METRICS];

struct series_runs {
    size_t count;
    double at[SERIES_RUNS]; /* sorted */
};

struct series_peer {
    char name[SERIES_NAME];
    size_t runs, errors; /* runs, and those of them with errors */
    size_t saturated;    /* runs in which the generator was the limit */
    struct series_runs metrics[SERIES_METRICS];
};

struct series_workload {
    char name[SERIES_NAME];
    size_t peer_count;
    struct series_peer peers[SERIES_PEERS];
};

struct series {
    size_t count;
    struct series_workload workloads[SERIES_WORKLOADS];
};

/* series_read(s, path): add every result in the file: one or several JSON objects, or arrays of them. Says on stderr what
 * is wrong, and gives false. */
bool series_read(struct series *s, const char *path);

/* series_sort(s): once, behind the last series_read. */
void series_sort(struct series *s);

/* series_shown(w, metric): is there anything to draw? */
bool series_shown(const struct series_workload *w, size_t metric);

double series_median(const struct series_runs *r);

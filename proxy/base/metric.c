#include "metric.h"
#include "shared.h"
#include <stdarg.h>
#include <stdio.h>

static struct metric_row private_row;
static struct metric_row *rows = &private_row;
static unsigned row_count = 1;
struct metric_row *metric_mine = &private_row;

enum metric_kind { KIND_COUNTER, KIND_GAUGE };

static const struct {
    const char *family, *labels, *help;
    enum metric_kind kind;
} metric_table[METRIC_COUNT] = {
#define METRIC(name, kind, family, labels, help) {family, labels, help, KIND_##kind},
#include "metric.def"
#undef METRIC
};

static const struct {
    const char *family, *help;
} time_table[METRIC_TIME_COUNT] = {
    {"osb_request_seconds", "From a request's first octet to its answer's last"},
    {"osb_added_seconds", "The proxy's own part of a request, up to the head sent upstream"},
    {"osb_store_seconds", "Time of a fetch from Redis"},
};

enum fault metric_open(unsigned want)
{
    void *page = shared_open(want * sizeof *rows);

    if (!page)
        return FAULT_NO_MEMORY;
    rows = page;
    row_count = want;
    metric_mine = rows;
    return FAULT_NONE;
}

void metric_row_take(unsigned row)
{
    metric_mine = &rows[row];
    metric_gauges_reset(row);
}

void metric_gauges_reset(unsigned row)
{
    for (int m = 0; m < METRIC_COUNT; m++)
        if (metric_table[m].kind == KIND_GAUGE)
            atomic_store(&rows[row].value[m], 0);
}

void metric_fault(enum fault f)
{
    metric_grow(&metric_mine->fault[f], 1);
}

void metric_time(enum metric_time t, uint64_t us)
{
    unsigned bucket = 0;

    for (uint64_t bound = 100; bucket < METRIC_BUCKETS - 1 && us > bound; bound *= 2)
        bucket++;
    metric_grow(&metric_mine->time[t].bucket[bucket], 1);
    metric_grow(&metric_mine->time[t].sum_us, us);
}

uint64_t metric_sum(enum metric m)
{
    uint64_t sum = 0;

    for (unsigned r = 0; r < row_count; r++)
        sum += atomic_load(&rows[r].value[m]);
    return sum;
}

__attribute__((format(printf, 2, 3))) static enum fault say(struct buf *out, const char *format, ...)
{
    char line[400];
    va_list args;

    va_start(args, format);
    int n = vsnprintf(line, sizeof line, format, args);

    va_end(args);
    return n < 0 || (size_t)n >= sizeof line ? FAULT_FULL : buf_append(out, slice_of(line, (size_t)n));
}

static enum fault family_head(struct buf *out, const char *family, const char *help, const char *kind)
{
    return say(out, "# HELP %s %s.\n# TYPE %s %s\n", family, help, family, kind);
}

static enum fault faults_text(struct buf *out)
{
    TRY(family_head(out, "osb_faults_total", "Faults by code", "counter"));
    for (int f = 1; f < FAULT_COUNT; f++) {
        uint64_t sum = 0;
        int first = 0;

        while (strcmp(fault_table[first].code, fault_table[f].code) != 0)
            first++;
        if (first != f)
            continue; /* several faults may share a code: said once, with the first */
        for (int g = f; g < FAULT_COUNT; g++)
            if (strcmp(fault_table[g].code, fault_table[f].code) == 0)
                for (unsigned r = 0; r < row_count; r++)
                    sum += atomic_load(&rows[r].fault[g]);
        TRY(say(out, "osb_faults_total{code=\"%s\"} %llu\n", fault_table[f].code, (unsigned long long)sum));
    }
    return FAULT_NONE;
}

static enum fault time_text(struct buf *out, int t)
{
    uint64_t so_far = 0, sum_us = 0;
    double bound = 0.0001;

    TRY(family_head(out, time_table[t].family, time_table[t].help, "histogram"));
    for (int b = 0; b < METRIC_BUCKETS; b++, bound *= 2) {
        char le[32] = "+Inf";

        for (unsigned r = 0; r < row_count; r++)
            so_far += atomic_load(&rows[r].time[t].bucket[b]);
        if (b < METRIC_BUCKETS - 1)
            snprintf(le, sizeof le, "%g", bound);
        TRY(say(out, "%s_bucket{le=\"%s\"} %llu\n", time_table[t].family, le, (unsigned long long)so_far));
    }
    for (unsigned r = 0; r < row_count; r++)
        sum_us += atomic_load(&rows[r].time[t].sum_us);
    return say(out, "%s_sum %.6f\n%s_count %llu\n", time_table[t].family, (double)sum_us / 1e6,
               time_table[t].family, (unsigned long long)so_far);
}

enum fault metric_text(struct buf *out, const char *version)
{
    for (int m = 0; m < METRIC_COUNT; m++) {
        const char *labels = metric_table[m].labels;

        if (m == 0 || strcmp(metric_table[m].family, metric_table[m - 1].family) != 0)
            TRY(family_head(out, metric_table[m].family, metric_table[m].help,
                            metric_table[m].kind == KIND_GAUGE ? "gauge" : "counter"));
        TRY(say(out, *labels ? "%s{%s} %llu\n" : "%s%s %llu\n", metric_table[m].family, labels,
                (unsigned long long)metric_sum((enum metric)m)));
    }
    TRY(faults_text(out));
    for (int t = 0; t < METRIC_TIME_COUNT; t++)
        TRY(time_text(out, t));
    TRY(family_head(out, "osb_build_info", "The version that runs", "gauge"));
    return say(out, "osb_build_info{version=\"%s\"} 1\n", version);
}

#include "series.h"
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct series_metric_row series_metrics[SERIES_METRICS] = {
    [SERIES_REQUESTS] = {"Requests", "per second", true, "requests_per_s"},
    [SERIES_OCTETS] = {"Throughput", "MB/s", true, "mb_per_s"},
    [SERIES_CPU_REQUEST] = {"Processor time", "\xc2\xb5s per request", false, "cpu_us_per_request"},
    [SERIES_CPU_GB] = {"Processor time", "s per GB", false, "cpu_s_per_gb"},
    [SERIES_P50] = {"Latency, median", "\xc2\xb5s", false, "latency_us.p50"},
    [SERIES_P99] = {"Latency, p99", "\xc2\xb5s", false, "latency_us.p99"},
    [SERIES_PSS] = {"Memory (PSS)", "KiB", false, "pss_kib"},
    [SERIES_GROWTH] = {"Memory, growth at most", "KiB", false, "memory_growth_kib"},
    [SERIES_CONNECTION] = {"Memory of an idle connection", "KiB", false, "kib_per_connection"},
    [SERIES_SANDBOX] = {"Memory of an active sandbox", "KiB", false, "kib_per_sandbox"},
};

static bool metric_find(const json_t *result, const char *path, double *out)
{
    char key[32];
    const char *dot = strchr(path, '.');

    if (dot) {
        snprintf(key, sizeof key, "%.*s", (int)(dot - path), path);
        return metric_find(json_object_get(result, key), dot + 1, out);
    }
    result = json_object_get(result, path);
    *out = json_number_value(result);
    return json_is_number(result) && *out >= 0;
}

static struct series_peer *peer_of(struct series *s, const char *label)
{
    const char *colon = strrchr(label, ':');
    char name[SERIES_NAME];
    struct series_workload *w = s->workloads;
    struct series_peer *p;

    snprintf(name, sizeof name, "%.*s", colon ? (int)(colon - label) : 3, colon ? label : "all");
    while (w < s->workloads + s->count && strcmp(w->name, name) != 0)
        w++;
    if (w == s->workloads + SERIES_WORKLOADS)
        return NULL;
    if (w == s->workloads + s->count) {
        s->count++;
        memcpy(w->name, name, sizeof name);
    }
    snprintf(name, sizeof name, "%s", colon ? colon + 1 : label);
    for (p = w->peers; p < w->peers + w->peer_count && strcmp(p->name, name) != 0;)
        p++;
    if (p == w->peers + SERIES_PEERS)
        return NULL;
    if (p == w->peers + w->peer_count) {
        w->peer_count++;
        memcpy(p->name, name, sizeof name);
    }
    return p;
}

static bool result_add(struct series *s, const json_t *result)
{
    const char *label = json_string_value(json_object_get(result, "label"));
    struct series_peer *peer = label ? peer_of(s, label) : NULL;

    if (!peer || peer->runs == SERIES_RUNS || !json_is_integer(json_object_get(result, "errors")))
        return false;
    peer->runs++;
    peer->errors += json_integer_value(json_object_get(result, "errors")) > 0;
    peer->saturated += json_is_true(json_object_get(result, "generator_saturated"));
    for (size_t i = 0; i < SERIES_METRICS; i++) {
        struct series_runs *runs = &peer->metrics[i];

        if (metric_find(result, series_metrics[i].path, &runs->at[runs->count]))
            runs->count++;
    }
    return true;
}

static bool results_add(struct series *s, const json_t *results)
{
    size_t i;
    json_t *result;

    if (!json_is_array(results))
        return result_add(s, results);
    json_array_foreach (results, i, result)
        if (!result_add(s, result))
            return false;
    return true;
}

/* Nothing but white space before the end? */
static bool file_over(FILE *file)
{
    int c;

    do
        c = fgetc(file);
    while (c == ' ' || c == '\n' || c == '\r' || c == '\t');
    if (c != EOF)
        ungetc(c, file);
    return c == EOF;
}

bool series_read(struct series *s, const char *path)
{
    FILE *file = fopen(path, "re");
    bool good = file != NULL;
    json_error_t error = {.text = "it can't be opened"};

    while (good && !file_over(file)) {
        json_t *results = json_loadf(file, JSON_REJECT_DUPLICATES | JSON_DISABLE_EOF_CHECK, &error);

        good = results != NULL;
        if (good && !results_add(s, results)) {
            snprintf(error.text, sizeof error.text, "this is no result, or there are too many");
            good = false;
        }
        json_decref(results);
    }
    if (file)
        fclose(file);
    if (!good)
        fprintf(stderr, "osb-bench report: %s: %s\n", path, error.text);
    return good;
}

static int double_order(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

void series_sort(struct series *s)
{
    for (size_t w = 0; w < s->count; w++)
        for (size_t p = 0; p < s->workloads[w].peer_count; p++)
            for (size_t m = 0; m < SERIES_METRICS; m++) {
                struct series_runs *runs = &s->workloads[w].peers[p].metrics[m];

                qsort(runs->at, runs->count, sizeof *runs->at, double_order);
            }
}

bool series_shown(const struct series_workload *w, size_t metric)
{
    for (size_t p = 0; p < w->peer_count; p++) {
        const struct series_runs *runs = &w->peers[p].metrics[metric];

        if (runs->count && runs->at[runs->count - 1] > 0)
            return true;
    }
    return false;
}

double series_median(const struct series_runs *r)
{
    if (r->count == 0)
        return 0;
    return (r->at[(r->count - 1) / 2] + r->at[r->count / 2]) / 2;
}

#include "result.h"
#include <jansson.h>
#include <stdio.h>

static double result_cpu_s(const struct result *r)
{
    double sum = 0;

    for (size_t i = 0; i < r->watched_count; i++)
        sum += r->watched[i].use.cpu_s;
    return sum;
}

static double ratio(double of, double by)
{
    return by > 0 ? of / by : 0;
}

static double result_gb(const struct result *r)
{
    return (double)(r->tally->octets_in + r->tally->octets_out) / 1e9;
}

/* A generator that is busy all the time measures itself. */
static bool result_saturated(const struct result *r)
{
    return r->seconds > 0.5 && r->own_cpu_s > 0.9 * r->seconds;
}

void result_line(const struct result *r)
{
    const struct loadplan *plan = r->plan;
    const struct tally *t = r->tally;
    FILE *to = plan->json && strcmp(plan->json, "-") == 0 ? stderr : stdout;

    fprintf(to, "%s%s%lu requests in %.2f s: %.0f/s", plan->label, *plan->label ? ": " : "", t->requests,
            r->seconds, ratio((double)t->requests, r->seconds));
    if (plan->download || t->octets_in + t->octets_out > 100000000)
        fprintf(to, ", %.1f MB/s", ratio(result_gb(r) * 1000, r->seconds));
    fprintf(to, "; us p50 %lu p99 %lu p99.9 %lu max %lu", histogram_at(&t->latency, 50, 100),
            histogram_at(&t->latency, 99, 100), histogram_at(&t->latency, 999, 1000), t->latency.max);
    fprintf(to, "; handshakes %lu (resumed %lu)", t->handshakes, t->resumed);
    if (r->watched_count) {
        fprintf(to, "; cpu %.1f us/request", ratio(result_cpu_s(r) * 1e6, (double)t->requests));
        if (plan->download || result_gb(r) > 0.1)
            fprintf(to, ", %.2f s/GB", ratio(result_cpu_s(r), result_gb(r)));
    }
    fprintf(to, "; errors %lu", tally_errors(t));
    for (size_t i = 0; i < TROUBLE_COUNT; i++)
        if (t->troubles[i])
            fprintf(to, " %s=%lu", trouble_table[i].word, t->troubles[i]);
    if (*t->first_trouble)
        fprintf(to, " (first: %s)", t->first_trouble);
    if (result_saturated(r))
        fprintf(to, "; the generator was at its limit");
    fputc('\n', to);
}

static json_t *histogram_json(const struct histogram *h)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f}", "count", (json_int_t)h->count, "min",
                     (json_int_t)h->min, "p50", (json_int_t)histogram_at(h, 50, 100), "p90",
                     (json_int_t)histogram_at(h, 90, 100), "p99", (json_int_t)histogram_at(h, 99, 100),
                     "p999", (json_int_t)histogram_at(h, 999, 1000), "max", (json_int_t)h->max, "mean",
                     ratio((double)h->sum, (double)h->count));
}

static json_t *troubles_json(const struct tally *t)
{
    json_t *out = json_object();

    for (size_t i = 0; i < TROUBLE_COUNT; i++)
        if (t->troubles[i])
            json_object_set_new(out, trouble_table[i].word, json_integer((json_int_t)t->troubles[i]));
    return out;
}

static json_t *statuses_json(const struct tally *t)
{
    json_t *out = json_object();
    char status[8];

    for (unsigned i = 0; i < 600; i++) {
        snprintf(status, sizeof status, "%u", i);
        if (t->statuses[i])
            json_object_set_new(out, status, json_integer((json_int_t)t->statuses[i]));
    }
    return out;
}

static json_t *plan_json(const struct loadplan *plan)
{
    return json_pack(
        "{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:b, s:b, s:b, s:b, s:b, s:b}", "url",
        plan->url, "method", plan->method, "connections", (json_int_t)plan->connections, "sources",
        (json_int_t)(plan->from.count ? plan->from.count : 1), "rate", (json_int_t)plan->rate, "duration_ms",
        (json_int_t)plan->duration_ms, "warmup_ms", (json_int_t)plan->warmup_ms, "fields",
        (json_int_t)plan->fields, "body_octets", (json_int_t)plan->body_octets, "token_every",
        (json_int_t)plan->token_every, "in_flight", (json_int_t)plan->in_flight, "body_type", plan->body_type,
        "chunked", plan->chunked, "keepalive", plan->keepalive, "resume", plan->resume, "idle", plan->idle,
        "once", plan->once, "tunnel", plan->tunnel);
}

static void watched_json(const struct result *r, json_t *out)
{
    json_t *cpu = json_object(), *user = json_object(), *system = json_object(), *pss = json_object();
    json_int_t pss_sum = 0;

    for (size_t i = 0; i < r->watched_count; i++) {
        const struct result_watched *w = &r->watched[i];
        char pid[24];

        snprintf(pid, sizeof pid, "%lu", w->pid);
        json_object_set_new(cpu, pid, json_real(w->use.cpu_s));
        json_object_set_new(user, pid, json_real(w->use.user_s));
        json_object_set_new(system, pid, json_real(w->use.system_s));
        json_object_set_new(pss, pid, w->pss_kib < 0 ? json_null() : json_integer(w->pss_kib));
        pss_sum += w->pss_kib > 0 ? w->pss_kib : 0;
    }
    json_object_set_new(out, "cpu_s_by_pid", cpu);
    json_object_set_new(out, "cpu_user_s_by_pid", user);
    json_object_set_new(out, "cpu_system_s_by_pid", system);
    json_object_set_new(out, "pss_kib_by_pid", pss);
    if (r->watched_count == 0)
        return;
    json_object_set_new(out, "cpu_s", json_real(result_cpu_s(r)));
    json_object_set_new(out, "cpu_us_per_request",
                        json_real(ratio(result_cpu_s(r) * 1e6, (double)r->tally->requests)));
    json_object_set_new(out, "cpu_s_per_gb", json_real(ratio(result_cpu_s(r), result_gb(r))));
    json_object_set_new(out, "pss_kib", json_integer(pss_sum));
}

static json_t *result_object(const struct result *r)
{
    const struct tally *t = r->tally;
    json_t *out = json_pack(
        "{s:s, s:I, s:I, s:o, s:s, s:o, s:I, s:I, s:I, s:f, s:f, s:f, s:o, s:o, s:o, s:I, s:I, s:I, s:I}",
        "label", r->plan->label, "requests", (json_int_t)t->requests, "errors", (json_int_t)tally_errors(t),
        "errors_by_kind", troubles_json(t), "first_error", t->first_trouble, "statuses", statuses_json(t),
        "bytes_in", (json_int_t)t->octets_in, "bytes_out", (json_int_t)t->octets_out, "body_bytes_in",
        (json_int_t)t->body_octets_in, "seconds", r->seconds, "requests_per_s",
        ratio((double)t->requests, r->seconds), "mb_per_s", ratio(result_gb(r) * 1000, r->seconds),
        "latency_us", histogram_json(&t->latency), "first_octet_us", histogram_json(&t->first_octet),
        "handshake_us", histogram_json(&t->handshake), "connections", (json_int_t)t->connections,
        "handshakes", (json_int_t)t->handshakes, "resumed", (json_int_t)t->resumed, "closed_idle",
        (json_int_t)t->closed_idle);

    if (!out)
        return NULL;
    watched_json(r, out);
    json_object_set_new(out, "own_cpu_s", json_real(r->own_cpu_s));
    json_object_set_new(out, "generator_saturated", json_boolean(result_saturated(r)));
    json_object_set_new(out, "plan", plan_json(r->plan));
    return out;
}

bool result_json(const struct result *r)
{
    const char *path = r->plan->json;
    json_t *out;
    FILE *file;
    bool good;

    if (!path)
        return true;
    file = strcmp(path, "-") == 0 ? stdout : fopen(path, "we");
    out = result_object(r);
    good = file && out && json_dumpf(out, file, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) == 0 &&
           fputc('\n', file) != EOF && fflush(file) == 0;
    if (!good)
        fprintf(stderr, "osb-bench load: %s: the result can't be written\n", path);
    if (file && file != stdout)
        good = fclose(file) == 0 && good;
    json_decref(out);
    return good;
}

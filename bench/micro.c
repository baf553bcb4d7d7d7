#include "micro.h"
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define RUNS_DEFAULT 11
#define RUNS_MIN     9
#define RUNS_MOST    101
#define RUN_NS \
    4e6 /* long beside the clock and short beside a time slice, so that most runs are undisturbed */

static const char usage[] = "osb-micro [--runs N] [--list] [--callgrind TIMES] [NAME...]\n"
                            "  Prints for each row: name ns_per_unit=.. unit=.. ratio_to_floor=.. floor=..  "
                            "(medians of N runs, at least 9;\n"
                            "  floor and row take turns).\n"
                            "  --callgrind TIMES  do each named row exactly so many times and print nothing, "
                            "for counting instructions:\n"
                            "                     the count for one is (count(TIMES) - count(0)) / TIMES.\n";

static double now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* Nanoseconds of this process' own time for one unit. */
static double measure(const struct micro *m, uint64_t times)
{
    double begin = now_ns();

    m->run(times);
    return (now_ns() - begin) / ((double)times * m->units);
}

/* How many times fill a run: doubled until they do, which also warms caches and branch predictors. */
static uint64_t calibrate(const struct micro *m)
{
    uint64_t times = 1;

    while (measure(m, times) * (double)times * m->units < RUN_NS)
        times *= 2;
    return times;
}

static int by_size(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;

    return (left > right) - (left < right);
}

static double median(double *values, size_t n)
{
    qsort(values, n, sizeof *values, by_size);
    return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

static const struct micro *row_named(const char *name)
{
    for (size_t i = 0; i < micro_rows; i++)
        if (strcmp(micro_table[i].name, name) == 0)
            return &micro_table[i];
    return NULL;
}

static void row_report(const struct micro *m, size_t runs)
{
    const struct micro *floor = m->floor ? row_named(m->floor) : m;
    uint64_t times = calibrate(m), floor_times = calibrate(floor);
    double ns[RUNS_MOST], ratio[RUNS_MOST];

    for (size_t i = 0; i < runs; i++) {
        double base = measure(floor, floor_times) * floor->units;

        ns[i] = measure(m, times);
        ratio[i] = ns[i] * m->units / base;
    }
    printf("%s ns_per_unit=%.1f unit=%s", m->name, median(ns, runs), m->unit);
    if (m->floor)
        printf(" ratio_to_floor=%.2f floor=%s", median(ratio, runs), m->floor);
    else
        printf(" ratio_to_floor=1.00 floor=itself");
    printf(" runs=%zu\n", runs);
    fflush(stdout);
}

static int whole(const char *text, unsigned long least, unsigned long most, unsigned long *out)
{
    char *end;

    *out = strtoul(text, &end, 10);
    return *text >= '0' && *text <= '9' && *end == '\0' && *out >= least && *out <= most;
}

static void row_do(const struct micro *m, int counting, unsigned long times, size_t runs)
{
    if (counting)
        m->run(times);
    else
        row_report(m, runs);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"runs", required_argument, NULL, 'r'},
                                            {"list", no_argument, NULL, 'l'},
                                            {"callgrind", required_argument, NULL, 'c'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    unsigned long runs = RUNS_DEFAULT, times = 0;
    int counting = 0, c;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (c == 'r' && whole(optarg, RUNS_MIN, RUNS_MOST, &runs))
            continue;
        if (c == 'c' && whole(optarg, 0, 1000000000, &times)) {
            counting = 1;
            continue;
        }
        if (c == 'l') {
            for (size_t i = 0; i < micro_rows; i++)
                printf("%s %s\n", micro_table[i].name, micro_table[i].floor ? micro_table[i].floor : "-");
            return 0;
        }
        fputs(usage, c == 'h' ? stdout : stderr);
        return c == 'h' ? 0 : 2;
    }
    for (int i = optind; i < argc; i++)
        if (!row_named(argv[i])) {
            fprintf(stderr, "osb-micro: no row is called %s; --list names them\n", argv[i]);
            return 2;
        }
    micro_stage();
    for (size_t i = 0; optind == argc && i < micro_rows; i++)
        row_do(&micro_table[i], counting, times, runs);
    for (int i = optind; i < argc; i++)
        row_do(row_named(argv[i]), counting, times, runs);
    return 0;
}

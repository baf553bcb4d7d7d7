#include "clock.h"
#include "page.h"
#include "print.h"
#include "record.h"
#include "verbs.h"
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define EVERY_MS 1000
#define ID_WIDTH 32

enum count { CONNECTIONS, REQUESTS, BLOCKED, ERRORS, BYTES_IN, BYTES_OUT, COUNTS };

static const char *const count_name[COUNTS] = {"connections", "requests", "blocked",
                                               "errors",      "bytesIn",  "bytesOut"};

/* What people see, in this order. */
static const struct {
    enum count count;
    const char *title;
} columns[] = {{REQUESTS, "REQUESTS/S"}, {BLOCKED, "BLOCKED/S"}, {ERRORS, "ERRORS/S"},
               {CONNECTIONS, "CONNS/S"}, {BYTES_IN, "IN B/S"},   {BYTES_OUT, "OUT B/S"}};
#define COLUMNS (sizeof columns / sizeof *columns)

struct row {
    char id[RECORD_ID_MAX + 1];
    json_int_t count[COUNTS], rate[COUNTS]; /* since it was first seen; a second, lately */
};

struct sample {
    struct row *rows; /* sorted by id */
    size_t n;
    int64_t at_us;
};

static void sample_close(struct sample *s)
{
    free(s->rows);
    *s = (struct sample){0};
}

static int id_compare(const void *a, const void *b)
{
    return strcmp(((const struct row *)a)->id, ((const struct row *)b)->id);
}

static int busy_compare(const void *a, const void *b)
{
    json_int_t x = ((const struct row *)a)->rate[REQUESTS], y = ((const struct row *)b)->rate[REQUESTS];

    return x == y ? id_compare(a, b) : x < y ? 1 : -1;
}

/* An id that is none could write to the terminal what it likes. */
static bool row_take(const json_t *object, struct row *out)
{
    const char *id = json_string_value(json_object_get(object, "id"));

    *out = (struct row){.id = ""};
    if (!id || !record_id_ok(slice_text(id)))
        return false;
    snprintf(out->id, sizeof out->id, "%s", id);
    for (size_t i = 0; i < COUNTS; i++) {
        const json_t *number = json_object_get(object, count_name[i]);

        if (!json_is_integer(number))
            return false;
        out->count[i] = json_integer_value(number);
    }
    return true;
}

static bool rows_take(const json_t *array, struct sample *out)
{
    size_t n = json_array_size(array);

    out->rows = demand(n * sizeof *out->rows);
    for (out->n = 0; out->n < n; out->n++)
        if (!row_take(json_array_get(array, out->n), &out->rows[out->n]))
            return false;
    qsort(out->rows, n, sizeof *out->rows, id_compare);
    return json_is_array(array);
}

static enum outcome sample_take(const struct desk *d, struct sample *out)
{
    char why[PAGE_WHY];
    struct page p = {0};
    json_t *array;
    bool good;

    if (!page_fetch(d->admin, "/sandboxes", &p, why))
        return outcome_say(OUTCOME_FAILED, "the proxy at %s: %s", d->admin, why);
    out->at_us = clock_mono_us();
    array = p.status == 200 ? json_loadb((const char *)p.body.at, p.body.len, JSON_REJECT_DUPLICATES, NULL)
                            : NULL;
    page_close(&p);
    good = rows_take(array, out);
    json_decref(array);
    return good ? OUTCOME_DONE
                : outcome_say(OUTCOME_FAILED,
                              "the proxy at %s does not say what its sandboxes do: is it of "
                              "this version?",
                              d->admin);
}

/* A count that is lower than before began anew, so all of it is new. */
static bool row_rate(struct row *now, const struct row *before, int64_t took_us)
{
    bool busy = false;

    for (size_t i = 0; i < COUNTS; i++) {
        json_int_t past = before && before->count[i] <= now->count[i] ? before->count[i] : 0;
        double rate = (double)(now->count[i] - past) * 1e6 / (double)took_us;

        now->rate[i] = (json_int_t)(rate + 0.5);
        busy = busy || now->count[i] > past;
    }
    return busy;
}

/* Those that did something in between, the busiest first. */
static struct sample sample_busy(const struct sample *before, const struct sample *now)
{
    struct sample busy = {.rows = demand(now->n * sizeof *now->rows)};
    int64_t took_us = now->at_us - before->at_us;

    for (size_t i = 0; i < now->n; i++) {
        struct row *row = &busy.rows[busy.n];

        *row = now->rows[i];
        if (row_rate(row, bsearch(row, before->rows, before->n, sizeof *row, id_compare), took_us))
            busy.n++;
    }
    qsort(busy.rows, busy.n, sizeof *busy.rows, busy_compare);
    return busy;
}

/* --- showing -------------------------------------------------------------------------------------------- */

static json_t *row_json(const struct row *row)
{
    json_t *object = json_pack("{s:s}", "id", row->id), *rates = json_object();

    for (size_t i = 0; i < COUNTS; i++) {
        json_object_set_new(object, count_name[i], json_integer(row->count[i]));
        json_object_set_new(rates, count_name[i], json_integer(row->rate[i]));
    }
    json_object_set_new(object, "perSecond", rates);
    return object;
}

static void lines_print(const struct desk *d, const struct sample *s)
{
    struct listing list;

    if (d->json)
        print_begin(d, NULL, &list);
    for (size_t i = 0; i < s->n; i++) {
        if (d->json) {
            print_row(&list, row_json(&s->rows[i]));
            continue;
        }
        fputs(s->rows[i].id, stdout);
        for (size_t c = 0; c < COLUMNS; c++)
            printf("\t%lld", s->rows[i].rate[columns[c].count]);
        putchar('\n');
    }
    if (d->json)
        print_end(&list);
}

/* One line of the terminal, so that what was above stays above. */
static void line_put(const char *line, size_t width)
{
    printf("%.*s\n", (int)width, line);
}

static void screen_draw(const struct desk *d, const struct sample *s)
{
    struct winsize size = {0};
    size_t height, width;
    char line[512];
    int n;

    ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
    height = size.ws_row > 4 ? size.ws_row : 24;
    width = size.ws_col > 20 ? size.ws_col : 80;
    fputs("\033[H\033[J", stdout);
    snprintf(line, sizeof line, "%zu busy at %.200s; Ctrl-C ends", s->n, d->admin);
    line_put(line, width);
    n = snprintf(line, sizeof line, "%-*s", ID_WIDTH, "SANDBOX");
    for (size_t c = 0; c < COLUMNS; c++)
        n += snprintf(line + n, sizeof line - (size_t)n, " %10s", columns[c].title);
    line_put(line, width);
    for (size_t i = 0; i < s->n && i < height - 3; i++) {
        n = snprintf(line, sizeof line, "%-*.*s", ID_WIDTH, ID_WIDTH, s->rows[i].id);
        for (size_t c = 0; c < COLUMNS; c++)
            n += snprintf(line + n, sizeof line - (size_t)n, " %10lld", s->rows[i].rate[columns[c].count]);
        line_put(line, width);
    }
    fflush(stdout);
}

/* ${before} is a second old: what has happened since. */
static enum outcome second_show(const struct desk *d, struct sample *before, bool live)
{
    struct sample now = {0}, busy;
    enum outcome o;

    poll(NULL, 0, EVERY_MS);
    o = sample_take(d, &now);
    if (o == OUTCOME_DONE) {
        busy = sample_busy(before, &now);
        if (live)
            screen_draw(d, &busy);
        else
            lines_print(d, &busy);
        sample_close(&busy);
    }
    sample_close(before);
    *before = now;
    return o;
}

enum outcome top_show(struct desk *d, const char *const *words)
{
    bool live = isatty(STDOUT_FILENO) && !d->json;
    struct sample before = {0};
    enum outcome o = sample_take(d, &before);

    (void)words;
    while (o == OUTCOME_DONE) {
        o = second_show(d, &before, live);
        if (!live || ferror(stdout))
            break;
    }
    sample_close(&before);
    return o;
}

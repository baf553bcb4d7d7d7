#include "report.h"
#include "argument.h"
#include "series.h"
#include <stdio.h>
#include <string.h>

/* Of the charts, in their own units. */
#define CHART_WIDTH 520
#define CHART_LEFT  110 /* names */
#define CHART_RIGHT 110 /* numbers */
#define ROW_HEIGHT  26

struct report {
    const char *out, *ours, *baseline, *title, *note;
    struct argument_list files;
};

#define ROW(name, kind, member, value, help)                                   \
    {                                                                          \
        name, ARGUMENT_##kind, offsetof(struct report, member), 0, value, help \
    }

static const struct argument rows[] = {
    ROW("out", TEXT, out, "FILE.html", "the page"),
    ROW("ours", TEXT, ours, "PEER", "whose ratio to the best of the others is shown (osb)"),
    ROW("baseline", TEXT, baseline, "PEER", "drawn, but not one of those others: no proxy at all (direct)"),
    ROW("title", TEXT, title, "TEXT", "of the page"),
    ROW("note", TEXT, note, "TEXT", "a sentence under it: machine, versions"),
    ROW("", LIST, files, NULL, ""),
};

static const struct argument_table table = {
    "usage: osb-bench report --out FILE.html [OPTION]... JSON...\n\n"
    "The files come from \"osb-bench load --json\"; each run's label is WORKLOAD:PEER. Runs with the same "
    "label are one bar:\n"
    "its length is their median, its whisker reaches from the lowest to the highest.\n",
    rows, sizeof rows / sizeof *rows};

static const char page_head[] =
    "<style>\n"
    ":root{color-scheme:light "
    "dark;--paper:#fbfbf9;--ink:#1d1f21;--soft:#5d6368;--line:#d9dadb;--ours:#1f6feb;"
    "--peer:#9aa4ad;--bad:#b42318;--good:#1a7f37}\n"
    "@media(prefers-color-scheme:dark){:root{--paper:#15181b;--ink:#e6e8ea;--soft:#9aa1a8;--line:#33383d;"
    "--ours:#6aa6ff;--peer:#6b757e;--bad:#ff8a80;--good:#6fdd8b}}\n"
    "body{margin:0 auto;max-width:1120px;padding:24px 16px;background:var(--paper);color:var(--ink);"
    "font:15px/1.45 system-ui,sans-serif}\n"
    "h1{font-size:26px;margin:0 0 4px}h2{font-size:19px;margin:36px 0 8px}p{margin:4px 0;color:var(--soft)}\n"
    "main{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,460px),1fr));gap:14px 28px}\n"
    "figure{margin:0}figcaption{font-size:13px;color:var(--soft)}svg{width:100%;height:auto;display:block}\n"
    "text{font:12px system-ui,sans-serif;fill:var(--ink)}.ours{fill:var(--ours)}.peer{fill:var(--peer)}"
    ".whisker{stroke:var(--ink);stroke-width:1.4}\n"
    ".wide{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:14px}\n"
    "th,td{padding:4px 12px 4px 0;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap}\n"
    "th:first-child,td:first-child,th:nth-child(2),td:nth-child(2){text-align:left}\n"
    ".bad{color:var(--bad);font-weight:600}.good{color:var(--good);font-weight:600}\n"
    "</style>\n";

static void html_text(FILE *out, const char *text)
{
    static const struct {
        char octet;
        const char *entity;
    } escapes[] = {{'&', "&amp;"}, {'<', "&lt;"}, {'>', "&gt;"}, {'"', "&quot;"}, {'\'', "&#39;"}};

    for (; *text; text++) {
        const char *entity = NULL;

        for (size_t i = 0; i < sizeof escapes / sizeof *escapes; i++)
            if (*text == escapes[i].octet)
                entity = escapes[i].entity;
        if (entity)
            fputs(entity, out);
        else
            fputc(*text, out);
    }
}

/* Three digits that matter; thousands apart are easier to compare in the table than powers. */
static void number_text(double n, char *out, size_t room)
{
    snprintf(out, room, "%.*f", n >= 100 ? 0 : n >= 10 ? 1 : 2, n);
}

static double metric_most(const struct series_workload *w, size_t metric)
{
    double most = 0;

    for (size_t p = 0; p < w->peer_count; p++) {
        const struct series_runs *runs = &w->peers[p].metrics[metric];

        if (runs->count && runs->at[runs->count - 1] > most)
            most = runs->at[runs->count - 1];
    }
    return most;
}

static void bar_write(FILE *out, const struct series_peer *peer, size_t metric, double scale, size_t row,
                      bool ours)
{
    const struct series_runs *runs = &peer->metrics[metric];
    size_t top = row * ROW_HEIGHT, middle = top + ROW_HEIGHT / 2;
    double low, high, median = series_median(runs);
    char number[32];

    fprintf(out, "<text x=\"%d\" y=\"%zu\" text-anchor=\"end\">", CHART_LEFT - 8, middle + 4);
    html_text(out, peer->name);
    fputs("</text>", out);
    if (runs->count == 0) {
        fprintf(out, "<text x=\"%d\" y=\"%zu\">not measured</text>\n", CHART_LEFT + 4, middle + 4);
        return;
    }
    low = CHART_LEFT + runs->at[0] * scale;
    high = CHART_LEFT + runs->at[runs->count - 1] * scale;
    number_text(median, number, sizeof number);
    fprintf(out, "<rect class=\"%s\" x=\"%d\" y=\"%zu\" width=\"%.1f\" height=\"%d\" rx=\"2\"/>",
            ours ? "ours" : "peer", CHART_LEFT, top + 4, median * scale, ROW_HEIGHT - 8);
    fprintf(out, "<path class=\"whisker\" d=\"M%.1f %zuH%.1fM%.1f %zuv8M%.1f %zuv8\"/>", low, middle, high,
            low, middle - 4, high, middle - 4);
    fprintf(out, "<text x=\"%.1f\" y=\"%zu\">%s</text>\n", high + 8, middle + 4, number);
}

static void chart_write(FILE *out, const struct series_workload *w, size_t metric, const char *ours)
{
    const struct series_metric_row *row = &series_metrics[metric];
    double scale = (CHART_WIDTH - CHART_LEFT - CHART_RIGHT) / metric_most(w, metric);

    fprintf(
        out,
        "<figure><figcaption>%s, %s (%s is better)</figcaption><svg viewBox=\"0 0 %d %zu\" role=\"img\">\n",
        row->name, row->unit, row->more_is_better ? "more" : "less", CHART_WIDTH, w->peer_count * ROW_HEIGHT);
    for (size_t p = 0; p < w->peer_count; p++)
        bar_write(out, &w->peers[p], metric, scale, p, strcmp(w->peers[p].name, ours) == 0);
    fputs("</svg></figure>\n", out);
}

static void warnings_write(FILE *out, const struct series_workload *w)
{
    for (size_t p = 0; p < w->peer_count; p++) {
        const struct series_peer *peer = &w->peers[p];

        if (peer->errors) {
            fputs("<p class=\"bad\">", out);
            html_text(out, peer->name);
            fprintf(out, ": %zu of %zu runs had errors.</p>\n", peer->errors, peer->runs);
        }
        if (peer->saturated) {
            fputs("<p class=\"bad\">", out);
            html_text(out, peer->name);
            fprintf(
                out,
                ": in %zu of %zu runs the generator was at its limit; requests per second are too low.</p>\n",
                peer->saturated, peer->runs);
        }
    }
}

static const struct series_peer *peer_find(const struct series_workload *w, const char *name)
{
    for (size_t p = 0; p < w->peer_count; p++)
        if (strcmp(w->peers[p].name, name) == 0)
            return &w->peers[p];
    return NULL;
}

/* The best of the others; NULL: nobody else was measured. */
static const struct series_peer *best_find(const struct report *r, const struct series_workload *w,
                                           size_t metric)
{
    const struct series_peer *best = NULL;
    double best_value = 0;

    for (size_t p = 0; p < w->peer_count; p++) {
        const struct series_peer *peer = &w->peers[p];
        double median = series_median(&peer->metrics[metric]);

        if (peer->metrics[metric].count == 0 || strcmp(peer->name, r->ours) == 0 ||
            strcmp(peer->name, r->baseline) == 0)
            continue;
        if (!best || (series_metrics[metric].more_is_better ? median > best_value : median < best_value)) {
            best = peer;
            best_value = median;
        }
    }
    return best;
}

static void cell_write(FILE *out, const struct series_peer *peer, size_t metric)
{
    char number[32];

    number_text(peer ? series_median(&peer->metrics[metric]) : 0, number, sizeof number);
    fprintf(out, "<td>%s</td>", peer && peer->metrics[metric].count ? number : "");
}

/* Workloads without ours among the bars compare something else. */
static void ratio_write(FILE *out, const struct report *r, const struct series_workload *w, size_t metric)
{
    const struct series_metric_row *row = &series_metrics[metric];
    const struct series_peer *mine = peer_find(w, r->ours), *best = best_find(r, w, metric);
    double value = mine ? series_median(&mine->metrics[metric]) : 0;
    double best_value = best ? series_median(&best->metrics[metric]) : 0, ratio;

    if (!mine)
        return;
    fputs("<tr><td>", out);
    html_text(out, w->name);
    fprintf(out, "</td><td>%s, %s</td>", row->name, row->unit);
    cell_write(out, mine, metric);
    cell_write(out, best, metric);
    fputs("<td>", out);
    html_text(out, best ? best->name : "");
    fputs("</td>", out);
    if (value > 0 && best_value > 0) {
        ratio = row->more_is_better ? value / best_value : best_value / value;
        fprintf(out, "<td class=\"%s\">%.2f&times;</td></tr>\n", ratio >= 1 ? "good" : "bad", ratio);
    } else {
        fputs("<td></td></tr>\n", out);
    }
}

static void table_write(FILE *out, const struct series *s, const struct report *r)
{
    fputs("<h2>Against the best of the others</h2>\n<p>Medians. Above 1&times; ", out);
    html_text(out, r->ours);
    fputs(" is better. What runs without a proxy (", out);
    html_text(out, r->baseline);
    fputs(") is drawn below and not compared here.</p>\n<div class=\"wide\"><table><tr><th>workload</th>"
          "<th>measure</th><th>",
          out);
    html_text(out, r->ours);
    fputs("</th><th>best other</th><th>which</th><th>ratio</th></tr>\n", out);
    for (size_t w = 0; w < s->count; w++)
        for (size_t m = 0; m < SERIES_METRICS; m++)
            if (series_shown(&s->workloads[w], m))
                ratio_write(out, r, &s->workloads[w], m);
    fputs("</table></div>\n", out);
}

static void page_write(FILE *out, const struct report *r, const struct series *s)
{
    fputs("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
          "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>",
          out);
    html_text(out, r->title);
    fprintf(out, "</title>\n%s</head><body>\n<h1>", page_head);
    html_text(out, r->title);
    fputs("</h1>\n<p>", out);
    html_text(out, r->note);
    fputs("</p>\n<p>Bars are medians; whiskers reach from the lowest to the highest run.</p>\n", out);
    table_write(out, s, r);
    for (size_t w = 0; w < s->count; w++) {
        fputs("<h2>", out);
        html_text(out, s->workloads[w].name);
        fputs("</h2>\n", out);
        warnings_write(out, &s->workloads[w]);
        fputs("<main>\n", out);
        for (size_t m = 0; m < SERIES_METRICS; m++)
            if (series_shown(&s->workloads[w], m))
                chart_write(out, &s->workloads[w], m, r->ours);
        fputs("</main>\n", out);
    }
    fputs("</body></html>\n", out);
}

int report_main(int argc, char **argv)
{
    static struct series series;
    static struct report r = {.ours = "osb", .baseline = "direct", .title = "osb-bench", .note = ""};
    enum argument_end end = argument_read(&table, argc, argv, &r);
    FILE *out;
    bool good;

    if (end != ARGUMENT_GO)
        return end == ARGUMENT_HELP ? 0 : 2;
    if (!r.out || r.files.count == 0) {
        fputs("osb-bench report: --out and at least one result are needed\n", stderr);
        return 2;
    }
    for (size_t i = 0; i < r.files.count; i++)
        if (!series_read(&series, r.files.at[i]))
            return 1;
    series_sort(&series);
    out = fopen(r.out, "we");
    if (out)
        page_write(out, &r, &series);
    good = out && fflush(out) == 0 && !ferror(out);
    if (out)
        good = fclose(out) == 0 && good;
    if (!good)
        fprintf(stderr, "osb-bench report: %s: it can't be written\n", r.out);
    return good ? 0 : 1;
}

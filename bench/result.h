#pragma once
#include "account.h"
#include "loadplan.h"
#include "tally.h"

/*
 * result - says what a run was: one line for a human, JSON for "osb-bench report".
 *
 *   Layer   program (osb-bench).
 */
#define RESULT_WATCHED_MAX 16

struct result {
    const struct loadplan *plan;
    const struct tally *tally;
    double seconds, own_cpu_s;
    size_t watched_count;
    struct result_watched {
        uint64_t pid;
        struct account_use use;
        int64_t pss_kib;
    } watched[RESULT_WATCHED_MAX];
};

/* result_line(r): to stdout, or to stderr where stdout is the JSON's. */
void result_line(const struct result *r);

/* result_json(r): to the plan's --json; false when it could not be written, which is said. */
bool result_json(const struct result *r);

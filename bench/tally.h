#pragma once
#include "histogram.h"
#include <stddef.h>

/*
 * tally - what is counted in one run.
 *
 *   Layer   program (osb-bench).
 */
enum trouble {
#define TROUBLE(name, word, meaning) TROUBLE_##name,
#include "tally.def"
#undef TROUBLE
    TROUBLE_COUNT
};

struct trouble_row {
    const char *word, *meaning;
};

extern const struct trouble_row trouble_table[TROUBLE_COUNT];

struct tally {
    uint64_t requests; /* whole answers, whatever their status */
    uint64_t connections, handshakes, resumed, closed_idle;
    uint64_t octets_in, octets_out, body_octets_in; /* inside TLS */
    uint64_t troubles[TROUBLE_COUNT];
    uint64_t statuses[600];
    char first_trouble[200]; /* in words, for the human */
    struct histogram latency, first_octet, handshake;
};

/* tally_trouble(t, what, why): count it, and keep the words of the first one; ${why} may be NULL. */
void tally_trouble(struct tally *t, enum trouble what, const char *why);
uint64_t tally_errors(const struct tally *t);

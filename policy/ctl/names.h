#pragma once
#include "outcome.h"
#include "slice.h"

/*
 * names - ids gathered from Redis, to be worked on in one order.
 *
 *   Layer   program (osbctl).
 *   Bounds  NAMES_MAX.
 */
#define NAMES_MAX ((size_t)1 << 24)

struct names {
    const char **ids;
    size_t count, room;
};

/* names_add(n, id): a copy. Fails OUTCOME_REFUSED beyond NAMES_MAX. */
enum outcome names_add(struct names *n, struct slice id) CHECKED;

/* names_sort(n): by their octets, each once. */
void names_sort(struct names *n);

void names_free(struct names *n);

#include "tally.h"
#include <stdio.h>

const struct trouble_row trouble_table[TROUBLE_COUNT] = {
#define TROUBLE(name, word, meaning) {word, meaning},
#include "tally.def"
#undef TROUBLE
};

void tally_trouble(struct tally *t, enum trouble what, const char *why)
{
    t->troubles[what]++;
    if (!t->first_trouble[0])
        snprintf(t->first_trouble, sizeof t->first_trouble, "%s%s%s", trouble_table[what].meaning,
                 why ? ": " : "", why ? why : "");
}

uint64_t tally_errors(const struct tally *t)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < TROUBLE_COUNT; i++)
        sum += t->troubles[i];
    return sum;
}

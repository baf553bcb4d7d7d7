#include "names.h"
#include <stdlib.h>

static void room_make(struct names *n)
{
    size_t room = n->room ? 2 * n->room : 64;
    const char **more;

    if (n->count < n->room)
        return;
    more = demand(room * sizeof *more);
    if (n->count)
        memcpy(more, n->ids, n->count * sizeof *more);
    free(n->ids);
    n->ids = more;
    n->room = room;
}

enum outcome names_add(struct names *n, struct slice id)
{
    char *copy;

    if (n->count == NAMES_MAX)
        return outcome_say(OUTCOME_REFUSED, "more than %zu names", NAMES_MAX);
    room_make(n);
    copy = demand(id.len + 1);
    if (id.len)
        memcpy(copy, id.at, id.len);
    copy[id.len] = 0;
    n->ids[n->count++] = copy;
    return OUTCOME_DONE;
}

static int name_compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

void names_sort(struct names *n)
{
    size_t kept = 0;

    if (n->count)
        qsort(n->ids, n->count, sizeof *n->ids, name_compare);
    for (size_t i = 0; i < n->count; i++) {
        if (kept && strcmp(n->ids[kept - 1], n->ids[i]) == 0)
            free((char *)n->ids[i]);
        else
            n->ids[kept++] = n->ids[i];
    }
    n->count = kept;
}

void names_free(struct names *n)
{
    for (size_t i = 0; i < n->count; i++)
        free((char *)n->ids[i]);
    free(n->ids);
    *n = (struct names){0};
}

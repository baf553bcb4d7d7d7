#include "backupline.h"
#include "entry.h"
#include "storeindex.h"
#include "verbs.h"
#include <stdio.h>
#include <stdlib.h>

static void line_write(struct backup_sum *s, char *text)
{
    struct slice line = slice_text(text);

    backup_sum_add(s, line);
    backup_sum_add(s, SLICE("\n"));
    fwrite(line.at, 1, line.len, stdout);
    putchar('\n');
    free(text);
}

/* A draft has told nobody its tokens: it is not there yet. */
static enum outcome chest_back(struct desk *d, void *cookie, struct chest *c)
{
    struct backup_sum *s = cookie;
    char *text;

    if (entry_is_draft(c->policy))
        return OUTCOME_DONE;
    STEP(backupline_chest(d, c, &text));
    line_write(s, text);
    s->count++;
    return OUTCOME_DONE;
}

static enum outcome kind_back(struct desk *d, bool sandbox, struct backup_sum *s)
{
    struct names names;
    enum outcome o;

    STEP(sandbox ? nameset_list(d, DB_SANDBOXES, &names) : storeindex_list(d, &names));
    o = chest_show(d, sandbox, names.ids, names.count, chest_back, s);
    names_free(&names);
    return o;
}

/* What does not open is said and left out; the rest is a backup all the same. But without its last line it is none. */
enum outcome backup_write(struct desk *d, const char *const *words)
{
    struct backup_sum s;
    enum outcome sandboxes, stores;
    char *end;

    (void)words;
    backup_sum_open(&s);
    line_write(&s, backupline_head(d));
    sandboxes = kind_back(d, true, &s);
    if (db_gone(d->db))
        return sandboxes;
    stores = kind_back(d, false, &s);
    if (db_gone(d->db))
        return stores;
    STEP(backupline_end(d, &s, &end));
    line_write(&s, end);
    return sandboxes != OUTCOME_DONE ? sandboxes : stores;
}

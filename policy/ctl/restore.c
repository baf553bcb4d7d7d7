#include "backupline.h"
#include "entry.h"
#include "print.h"
#include "progress.h"
#include "reseal.h"
#include "storeindex.h"
#include "verbs.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct restoring {
    struct desk *d;
    FILE
        *spool; /* all lines, so that what comes through a pipe can be checked to its end before it is used */
    char *line;
    size_t number; /* of the line last read */
    long sandboxes_at, stores_at;
    struct backup_sum sum;
    size_t stores, sandboxes, kept, expired, refused;
};

/* --- lines ---------------------------------------------------------------------------------------------- */

/* The next line, of JSON. *out NULL: there is none. */
static enum outcome line_read(struct restoring *r, FILE *in, struct slice *text, json_t **out)
{
    *out = NULL;
    if (!fgets(r->line, (int)BACKUP_LINE_MAX, in))
        return ferror(in) ? outcome_say(OUTCOME_FAILED, "the backup can't be read: %s", strerror(errno))
                          : OUTCOME_DONE;
    r->number++;
    *text = slice_text(r->line);
    if (slice_ends(*text, SLICE("\n")))
        *out = json_loadb(r->line, text->len, JSON_REJECT_DUPLICATES, NULL);
    if (*out)
        return OUTCOME_DONE;
    return outcome_say(OUTCOME_REFUSED, "line %zu is not a line of a backup; nothing was written", r->number);
}

/* --- checked, before anything is written ---------------------------------------------------------------- */

static enum outcome chest_check(struct restoring *r, const json_t *line, long at)
{
    struct chest c;
    enum outcome o;

    STEP(backupline_chest_open(r->d, line, r->number, &c));
    if (!c.sandbox && r->stores_at < 0)
        r->stores_at = at;
    o = reseal_chest(r->d, &c);
    if (o == OUTCOME_DONE && c.sandbox && r->stores_at >= 0)
        o = outcome_say(OUTCOME_REFUSED,
                        "line %zu of the backup: a sandbox behind the stores; nothing was written",
                        r->number);
    chest_close(&c);
    r->sum.count++;
    return o;
}

/* *done: that was the last one. */
static enum outcome line_check(struct restoring *r, const json_t *line, long at, bool *done)
{
    *done = r->number > 1 && json_object_get(line, "end");
    if (r->number == 1)
        return backupline_head_check(line);
    return *done ? backupline_end_check(r->d, line, &r->sum) : chest_check(r, line, at);
}

static enum outcome all_check(struct restoring *r)
{
    bool done = false;

    while (!done) {
        long at = ftell(r->spool);
        struct slice text;
        json_t *line;
        enum outcome o;

        STEP(line_read(r, stdin, &text, &line));
        if (!line)
            return outcome_say(OUTCOME_REFUSED,
                               "the backup is cut short behind line %zu; nothing was written", r->number);
        o = line_check(r, line, at, &done);
        json_decref(line);
        STEP(o);
        if (!done)
            backup_sum_add(&r->sum, text);
        if (fwrite(text.at, 1, text.len, r->spool) != text.len)
            return outcome_say(OUTCOME_FAILED, "the backup can't be kept for checking: %s", strerror(errno));
        if (r->number == 1)
            r->sandboxes_at = ftell(r->spool);
    }
    if (fgetc(stdin) != EOF)
        return outcome_say(OUTCOME_REFUSED, "more follows behind the end of the backup; nothing was written");
    return OUTCOME_DONE;
}

/* --- written -------------------------------------------------------------------------------------------- */

static enum outcome not_restored(struct restoring *r, const struct chest *c, enum outcome o)
{
    r->refused++;
    return outcome_say(o, "%s %s is not restored", c->sandbox ? "sandbox" : "store",
                       c->sandbox ? c->id : json_text_of(c->policy, "name"));
}

/* Newer than what any proxy has seen of it, and under the key that seals now. */
static enum outcome chest_renew(struct restoring *r, struct chest *c)
{
    chest_touch(r->d, c->policy);
    return reseal_chest(r->d, c);
}

static enum outcome store_make(struct restoring *r, struct chest *c)
{
    const char *name = json_text_of(c->policy, "name");
    bool done = false;
    enum outcome o;

    STEP(storeindex_name_ok(r->d, name, c->id));
    STEP(chest_renew(r, c));
    STEP(chest_write(r->d, c, &done));
    o = storeindex_set(r->d, name, c->id);
    if (o == OUTCOME_REFUSED) /* another took the name meanwhile */
        STEP(chest_drop(r->d, c, &done));
    r->stores += o == OUTCOME_DONE;
    return o;
}

/* One that is there keeps what it says; its name may be missing where a restore died before. */
static enum outcome store_restore(struct restoring *r, struct chest *c)
{
    struct chest there;
    enum outcome o = chest_read(r->d, false, c->id, &there);

    if (o == OUTCOME_NOT_FOUND) {
        o = store_make(r, c);
    } else if (o == OUTCOME_DONE) {
        r->kept++;
        o = storeindex_set(r->d, json_text_of(there.policy, "name"), c->id);
        chest_close(&there);
        return o;
    }
    return o == OUTCOME_DONE || db_gone(r->d->db) ? o : not_restored(r, c, o);
}

static enum outcome sandbox_make(struct restoring *r, struct chest *c)
{
    STEP(chest_renew(r, c));
    STEP(entry_make(r->d, c, false, NULL));
    r->sandboxes++;
    return OUTCOME_DONE;
}

static bool is_expired(const struct restoring *r, const struct chest *c)
{
    int64_t expires_ms = json_number_of(c->policy, "expiresAt");

    return expires_ms && expires_ms <= r->d->now_ms;
}

static enum outcome sandbox_restore(struct restoring *r, struct chest *c)
{
    struct chest there;
    bool draft;
    enum outcome o;

    if (is_expired(r, c)) {
        r->expired++;
        return OUTCOME_DONE;
    }
    o = chest_read(r->d, true, c->id, &there);
    if (o == OUTCOME_DONE) {
        draft = entry_is_draft(there.policy);
        chest_close(&there);
        r->kept += !draft;
        if (!draft)
            return OUTCOME_DONE;
        o = OUTCOME_NOT_FOUND; /* what a restore left that died: it is made again */
    }
    if (o == OUTCOME_NOT_FOUND)
        o = sandbox_make(r, c);
    return o == OUTCOME_DONE || db_gone(r->d->db) ? o : not_restored(r, c, o);
}

/* All of one kind from ${at} on; one that fails does not stop the rest. */
static enum outcome kind_restore(struct restoring *r, bool sandbox, long at)
{
    enum outcome worst = OUTCOME_DONE;
    bool same = at >= 0;

    if (same && fseek(r->spool, at, SEEK_SET) != 0)
        return outcome_say(OUTCOME_FAILED, "the backup can't be read again: %s", strerror(errno));
    while (same && !db_gone(r->d->db)) {
        struct slice text;
        struct chest c;
        json_t *line;
        enum outcome o;

        STEP(line_read(r, r->spool, &text, &line));
        same = line && strcmp(json_text_of(line, "kind"), sandbox ? "sandbox" : "store") == 0;
        o = same ? backupline_chest_open(r->d, line, r->number, &c) : OUTCOME_DONE;
        json_decref(line);
        STEP(o);
        if (!same)
            break;
        o = sandbox ? sandbox_restore(r, &c) : store_restore(r, &c);
        chest_close(&c);
        progress_add(1);
        if (o != OUTCOME_DONE)
            worst = o;
    }
    return worst;
}

/* Stores first: a sandbox is then brought to what its stores say, which may be newer than the backup. */
static enum outcome all_restore(struct restoring *r)
{
    enum outcome stores, sandboxes = OUTCOME_DONE;

    progress_begin("restoring", r->sum.count);
    stores = kind_restore(r, false, r->stores_at);
    if (!db_gone(r->d->db))
        sandboxes = kind_restore(r, true, r->sandboxes_at);
    progress_end();
    print_one(r->d, json_pack("{s:I, s:I, s:I, s:I, s:I}", "stores", (json_int_t)r->stores, "sandboxes",
                              (json_int_t)r->sandboxes, "kept", (json_int_t)r->kept, "expired",
                              (json_int_t)r->expired, "refused", (json_int_t)r->refused));
    return stores != OUTCOME_DONE ? stores : sandboxes;
}

enum outcome restore_read(struct desk *d, const char *const *words)
{
    struct restoring r = {.d = d, .spool = tmpfile(), .stores_at = -1, .line = demand(BACKUP_LINE_MAX)};
    enum outcome o;

    (void)words;
    backup_sum_open(&r.sum);
    o = r.spool ? all_check(&r)
                : outcome_say(OUTCOME_FAILED, "no room to check the backup in: %s", strerror(errno));
    if (o == OUTCOME_DONE)
        o = all_restore(&r);
    if (r.spool)
        fclose(r.spool);
    free(r.line);
    return o;
}

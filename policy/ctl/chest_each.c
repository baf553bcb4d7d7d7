#include "chest.h"
#include "progress.h"
#include <stdlib.h>

#define BATCH_OCTETS ((size_t)32 << 20) /* of records, that we want to hold at once */
#define BATCH_FIRST  16                 /* until their size is known */

/*
 * One round: each chest of a batch is read, then each is edited and written. A slot's state says how far it came.
 */
enum slot_state { SLOT_ASKED, SLOT_READ, SLOT_SENT, SLOT_DONE, SLOT_OVERTAKEN, SLOT_NONE, SLOT_FAILED };

struct slot {
    enum slot_state state;
    enum outcome why; /* of SLOT_FAILED */
    struct chest chest;
};

struct batch {
    struct desk *d;
    bool sandbox;
    const char *const *ids;
    size_t count;
    size_t most; /* for the next time */
    struct slot slots[CHEST_BATCH];
};

static void slot_end(struct slot *s, enum slot_state state, enum outcome why)
{
    s->state = state;
    s->why = why;
    chest_close(&s->chest);
}

/* Few where they are large: up to 7 MiB each. */
static void batch_size(struct batch *b)
{
    size_t octets = 1;

    for (size_t i = 0; i < b->count; i++)
        octets += b->slots[i].state == SLOT_READ ? chest_octets(&b->slots[i].chest) : 0;
    b->most = BATCH_OCTETS / (octets / b->count + 1);
    if (b->most > CHEST_BATCH)
        b->most = CHEST_BATCH;
    if (b->most == 0)
        b->most = 1;
}

/* As many of the ${left} at ${ids} as are good. */
static void batch_take(struct batch *b, const char *const *ids, size_t left)
{
    b->ids = ids;
    b->count = left < b->most ? left : b->most;
}

static void batch_read(struct batch *b)
{
    for (size_t i = 0; i < b->count; i++) {
        enum outcome o = chest_ask(b->d, b->sandbox, b->ids[i]);

        b->slots[i] = (struct slot){.state = o == OUTCOME_DONE ? SLOT_ASKED : SLOT_FAILED, .why = o};
    }
    for (size_t i = 0; i < b->count; i++) {
        struct slot *s = &b->slots[i];
        enum outcome o;

        if (s->state != SLOT_ASKED)
            continue;
        o = chest_take(b->d, b->sandbox, b->ids[i], &s->chest);
        s->state = o == OUTCOME_DONE ? SLOT_READ : o == OUTCOME_NOT_FOUND ? SLOT_NONE : SLOT_FAILED;
        s->why = o;
    }
    batch_size(b);
}

static void slot_edit(const struct batch *b, struct slot *s, const struct chest_work *work)
{
    bool changed = false;
    enum outcome o = work->edit(b->d, work->cookie, &s->chest, &changed);

    if (o == OUTCOME_DONE && changed)
        o = chest_swap(b->d, &s->chest);
    if (o != OUTCOME_DONE)
        slot_end(s, SLOT_FAILED, o);
    else
        slot_end(s, changed ? SLOT_SENT : SLOT_DONE, o);
}

static void batch_edit(struct batch *b, const struct chest_work *work)
{
    for (size_t i = 0; i < b->count; i++)
        if (b->slots[i].state == SLOT_READ)
            slot_edit(b, &b->slots[i], work);
    for (size_t i = 0; i < b->count; i++) {
        bool done = false;
        enum outcome o;

        if (b->slots[i].state != SLOT_SENT)
            continue;
        o = chest_swapped(b->d, &done);
        slot_end(&b->slots[i], o != OUTCOME_DONE ? SLOT_FAILED : done ? SLOT_DONE : SLOT_OVERTAKEN, o);
    }
}

static enum outcome batch_begin(const struct batch *b, const struct chest_work *work)
{
    for (size_t i = 0; work->begin && i < b->count; i++)
        if (b->slots[i].state == SLOT_READ)
            return work->begin(b->d, work->cookie);
    return OUTCOME_DONE;
}

static void batch_run(struct batch *b, const struct chest_work *work)
{
    enum outcome o;

    batch_read(b);
    o = batch_begin(b, work);
    for (size_t i = 0; o != OUTCOME_DONE && i < b->count; i++)
        if (b->slots[i].state == SLOT_READ)
            slot_end(&b->slots[i], SLOT_FAILED, o);
    batch_edit(b, work);
}

static struct batch *batch_new(struct desk *d, bool sandbox)
{
    struct batch *b = demand(sizeof *b);

    *b = (struct batch){.d = d, .sandbox = sandbox, .most = BATCH_FIRST};
    return b;
}

static enum outcome edit_until(struct batch *b, const struct chest_work *work)
{
    for (int i = 0; i < DB_ATTEMPTS; i++) {
        const struct slot *s = &b->slots[0];

        batch_run(b, work);
        if (s->state == SLOT_NONE)
            return OUTCOME_NOT_FOUND;
        if (s->state != SLOT_OVERTAKEN)
            return s->why;
    }
    return db_overtaken();
}

enum outcome chest_edit(struct desk *d, bool sandbox, const char *id, edit_fn *edit, void *cookie)
{
    const struct chest_work work = {.edit = edit, .cookie = cookie};
    struct batch *b = batch_new(d, sandbox);
    enum outcome o;

    batch_take(b, &id, 1);
    o = edit_until(b, &work);
    free(b);
    return o;
}

/* A failure of the machinery outweighs a refusal. */
static enum outcome worse(enum outcome a, enum outcome b)
{
    return a == OUTCOME_DONE || b == OUTCOME_FAILED ? b : a;
}

/* Those that were overtaken are gathered at the front of ${ids}. */
static enum outcome batch_sum(const struct batch *b, const struct chest_work *work, const char **ids,
                              size_t *again)
{
    const char *told[CHEST_BATCH];
    size_t tell_count = 0;
    enum outcome worst = OUTCOME_DONE;

    for (size_t i = 0; i < b->count; i++) {
        const struct slot *s = &b->slots[i];

        if (s->state == SLOT_OVERTAKEN)
            ids[(*again)++] = b->ids[i];
        if (s->state == SLOT_DONE)
            told[tell_count++] = b->ids[i];
        if (s->state == SLOT_FAILED)
            worst = worse(worst, s->why);
    }
    if (work->tell && tell_count) {
        enum outcome o = db_tell_sandboxes(b->d->db, told, tell_count);

        if (o != OUTCOME_DONE)
            worst = worse(worst, o);
    }
    return worst;
}

/* One round over ${ids}; *n is then how many are left in it. */
static enum outcome ids_run(struct batch *b, const struct chest_work *work, const char **ids, size_t *n)
{
    size_t again = 0;
    enum outcome worst = OUTCOME_DONE;

    for (size_t at = 0; at < *n && !db_gone(b->d->db); at += b->count) {
        size_t before = again;
        enum outcome o;

        batch_take(b, ids + at, *n - at);
        batch_run(b, work);
        o = batch_sum(b, work, ids, &again);
        if (o != OUTCOME_DONE)
            worst = worse(worst, o);
        progress_add(b->count - (again - before));
    }
    *n = again;
    return worst;
}

enum outcome chest_each(struct desk *d, bool sandbox, const char *const *ids, size_t n,
                        const struct chest_work *work)
{
    struct batch *b = batch_new(d, sandbox);
    const char **left = demand(n * sizeof *left);
    enum outcome worst = OUTCOME_DONE;

    if (n)
        memcpy(left, ids, n * sizeof *left);
    progress_begin(work->doing, n);
    for (int i = 0; i < DB_ATTEMPTS && n && !db_gone(d->db); i++) {
        enum outcome o = ids_run(b, work, left, &n);

        if (o != OUTCOME_DONE)
            worst = worse(worst, o);
    }
    progress_end();
    free(left);
    free(b);
    if (db_gone(d->db))
        return OUTCOME_FAILED;
    return n ? db_overtaken() : worst;
}

enum outcome chest_show(struct desk *d, bool sandbox, const char *const *ids, size_t n, show_fn *show,
                        void *cookie)
{
    struct batch *b = batch_new(d, sandbox);
    enum outcome worst = OUTCOME_DONE;

    for (size_t at = 0; at < n && !db_gone(d->db); at += b->count) {
        batch_take(b, ids + at, n - at);
        batch_read(b);
        for (size_t i = 0; i < b->count; i++) {
            struct slot *s = &b->slots[i];
            enum outcome o = s->state == SLOT_READ     ? show(d, cookie, &s->chest)
                             : s->state == SLOT_FAILED ? s->why
                                                       : OUTCOME_DONE;

            chest_close(&s->chest);
            if (o != OUTCOME_DONE)
                worst = worse(worst, o);
        }
    }
    free(b);
    return db_gone(d->db) ? OUTCOME_FAILED : worst;
}

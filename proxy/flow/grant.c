#include "grant.h"
#include "basic.h"
#include "metric.h"

static const enum metric place_metric[PLACE_COUNT] = {
    [PLACE_HEADER] = METRIC_SUBSTITUTIONS_HEADER, [PLACE_BASIC] = METRIC_SUBSTITUTIONS_BASIC,
    [PLACE_BODY] = METRIC_SUBSTITUTIONS_BODY,     [PLACE_FIELD] = METRIC_SUBSTITUTIONS_FIELD,
    [PLACE_URL] = METRIC_SUBSTITUTIONS_URL,
};

static void name_note(const char **names, size_t *count, const char *name)
{
    for (size_t i = 0; i < *count; i++)
        if (strcmp(names[i], name) == 0)
            return;
    if (*count < AUDIT_NAMES)
        names[(*count)++] = name;
}

/* A value that would end a field's line, or the head, can't stand in one. */
static enum fault value_fits_field(void *cookie, struct slice value)
{
    (void)cookie;
    if (value.len == 0)
        return FAULT_NONE;
    return memchr(value.at, '\r', value.len) || memchr(value.at, '\n', value.len) ||
                   memchr(value.at, 0, value.len)
               ? FAULT_SECRET_UNUSABLE
               : FAULT_NONE;
}

static void token_denied(struct grants *g, enum token_verdict verdict, const struct record_secret *s)
{
    static const enum metric reason[] = {[TOKEN_UNKNOWN] = METRIC_TOKENS_UNKNOWN,
                                         [TOKEN_WRONG_HOST] = METRIC_TOKENS_HOST,
                                         [TOKEN_WRONG_PLACE] = METRIC_TOKENS_PLACE};

    if (g->block && g->why == FAULT_NONE)
        g->why = FAULT_TOKEN_DENIED;
    if (g->silent)
        return;
    metric_add(reason[verdict], 1);
    name_note(g->denied, &g->denied_count, s ? s->name : "unknown");
}

/* In a body, whose rule is the wider one: anywhere, or where the token stands alone. */
static enum token_verdict body_verdict(struct grants *g, struct slice token, const struct where *where,
                                       enum place *place, const struct record_secret **s)
{
    enum token_verdict verdict = verdict_token(g->record, token, g->host, PLACE_BODY, s);

    *place = PLACE_BODY;
    if (verdict != TOKEN_WRONG_PLACE || !where->alone)
        return verdict;
    *place = PLACE_FIELD;
    return verdict_token(g->record, token, g->host, PLACE_FIELD, s);
}

/* A request may last for days, and what it began with be taken back. A body is written as it was counted: its length
 * stands. */
static bool withdrawn(const struct grants *g, struct slice token, enum place place)
{
    const struct record *now = g->silent && g->place == PLACE_BODY ? g->counted : *g->now;
    const struct record_secret *s;

    return now != g->record && (verdict_host(now, g->host) != FAULT_NONE ||
                                verdict_token(now, token, g->host, place, &s) != TOKEN_GRANTED);
}

static enum fault last_measure(void *cookie, struct slice value)
{
    struct grants *g = cookie;

    g->last_octets = escape_octets(g->last.escape, value);
    return FAULT_NONE;
}

/* A value goes into the body. What the head can grow to is bounded by its own limit. */
static enum fault body_grows(struct grants *g, const struct secret *value, enum escape escape)
{
    if (g->last.value != value || g->last.escape != escape) {
        g->last = (struct granted){value, escape};
        TRY(secret_lend(value, last_measure, g));
    }
    g->put++;
    g->grown += g->last_octets;
    return g->grown > g->grows ? FAULT_BODY_TOO_LARGE : FAULT_NONE;
}

static enum escape escape_at(enum place place, const struct where *where)
{
    switch (place) {
    case PLACE_URL:
        return ESCAPE_PERCENT;
    case PLACE_BODY:
    case PLACE_FIELD:
        return where->escape;
    default:
        return ESCAPE_NONE;
    }
}

struct granted grants_token(void *cookie, struct slice token, const struct where *where)
{
    struct grants *g = cookie;
    const struct record_secret *s = NULL;
    const struct granted nothing = {NULL, ESCAPE_NONE};
    enum place place = g->place;
    enum fault why = FAULT_NONE;

    enum token_verdict verdict = place == PLACE_BODY ? body_verdict(g, token, where, &place, &s)
                                                     : verdict_token(g->record, token, g->host, place, &s);

    if (verdict == TOKEN_GRANTED && (where->barred || withdrawn(g, token, place)))
        verdict = TOKEN_WRONG_PLACE;
    if (verdict != TOKEN_GRANTED) {
        token_denied(g, verdict, s);
        return nothing;
    }
    if (place == PLACE_HEADER)
        why = secret_lend(s->value, value_fits_field, NULL);
    else if (g->place == PLACE_BODY)
        why = body_grows(g, s->value, where->escape);
    if (why != FAULT_NONE) {
        g->why = why;
        return nothing;
    }
    if (!g->silent) {
        metric_add(place_metric[place], 1);
        name_note(g->used, &g->used_count, s->name);
    }
    return (struct granted){s->value, escape_at(place, where)};
}

void grants_again(struct grants *g, bool silent)
{
    g->place = PLACE_BODY;
    g->silent = silent;
    g->put = g->grown = 0;
}

/* Where no value may ever stand: the grant_fn of names and fixed fields. */
static struct granted token_misplaced(void *cookie, struct slice token, const struct where *where)
{
    struct grants *g = cookie;
    const struct record_secret *s;
    enum token_verdict verdict = verdict_token(g->record, token, g->host, PLACE_HEADER, &s);

    (void)where;
    token_denied(g, verdict == TOKEN_GRANTED ? TOKEN_WRONG_PLACE : verdict, s);
    return (struct granted){NULL, ESCAPE_NONE};
}

static bool token_in(struct slice text)
{
    return text.len >= SUBST_TOKEN && subst_find(text) + SUBST_TOKEN <= text.len;
}

/* How a field's value is looked at. The credentials of Basic are opened, and closed by the caller. */
enum field_form { FIELD_AS_IT_IS, FIELD_PLAIN, FIELD_BASIC };

static enum fault field_look(const struct field *f, struct buf *credentials, enum field_form *form)
{
    *form = FIELD_AS_IT_IS;
    if (field_table[f->id].traits & TRAIT_FIXED)
        return FAULT_NONE;
    if (token_in(f->value))
        *form = FIELD_PLAIN;
    if (f->id != FIELD_AUTHORIZATION || *form == FIELD_PLAIN)
        return FAULT_NONE;
    enum fault why = basic_open(f->value, credentials);

    if (why == FAULT_NONE && token_in(buf_held(credentials)))
        *form = FIELD_BASIC;
    return why == FAULT_NOT_FOUND ? FAULT_NONE : why;
}

/* Tokens where none is replaced are seen all the same. */
static void field_watch(struct grants *g, const struct field *f)
{
    bool changed;

    if (token_in(f->name))
        subst_measure(token_misplaced, g, f->name, &changed);
    if (field_table[f->id].traits & TRAIT_FIXED && token_in(f->value))
        subst_measure(token_misplaced, g, f->value, &changed);
}

/* What becomes of one field's value: how long it gets (and what forbids it), or the value itself. */
static enum fault field_measure(struct grants *g, const struct field *f, uint64_t *len, bool *filled)
{
    struct buf credentials = {0};
    enum field_form form;
    enum fault why = field_look(f, &credentials, &form);
    bool changed;

    field_watch(g, f);
    *len = f->value.len;
    *filled = form != FIELD_AS_IT_IS;
    g->place = form == FIELD_BASIC ? PLACE_BASIC : PLACE_HEADER;
    if (why == FAULT_NONE && form == FIELD_PLAIN)
        *len = subst_measure(grants_token, g, f->value, &changed);
    if (why == FAULT_NONE && form == FIELD_BASIC)
        *len = basic_octets(subst_measure(grants_token, g, buf_held(&credentials), &changed)) + 1;
    buf_close(&credentials);
    return why == FAULT_NONE ? g->why : why;
}

static enum fault plain_fill(struct grants *g, struct slice value, struct buf *out)
{
    struct subst subst;
    size_t used;

    subst_begin(&subst, grants_token, g, NULL);
    return subst.filter.feed(&subst.filter, value, true, out, &used);
}

static enum fault basic_fill(struct grants *g, struct slice credentials, struct buf *out)
{
    struct buf filled = {0};
    enum fault why = buf_open(&filled, buf_free(out) + 1);

    if (why == FAULT_NONE)
        why = plain_fill(g, credentials, &filled);
    if (why == FAULT_NONE)
        why = basic_write(buf_held(&filled), out);
    buf_close(&filled);
    return why;
}

static enum fault field_fill(struct grants *g, struct field *f, struct buf *out)
{
    struct buf credentials = {0};
    enum field_form form;
    size_t from = buf_held(out).len;
    enum fault why = field_look(f, &credentials, &form);

    g->place = form == FIELD_BASIC ? PLACE_BASIC : PLACE_HEADER;
    if (why == FAULT_NONE && form == FIELD_PLAIN)
        why = plain_fill(g, f->value, out);
    if (why == FAULT_NONE && form == FIELD_BASIC)
        why = basic_fill(g, buf_held(&credentials), out);
    if (why == FAULT_NONE && form != FIELD_AS_IT_IS) {
        f->value = slice_drop(buf_held(out), from);
        f->sensitive = true;
    }
    buf_close(&credentials);
    return why;
}

/* How long the target gets; 0: no token is in it. */
static enum fault target_measure(struct grants *g, struct slice target, size_t most, uint64_t *len)
{
    bool changed;

    *len = 0;
    if (!token_in(target))
        return FAULT_NONE;
    g->place = PLACE_URL;
    *len = subst_measure(grants_token, g, target, &changed);
    TRY(g->why);
    return *len > most ? FAULT_TARGET_TOO_LARGE : FAULT_NONE;
}

static enum fault target_fill(struct grants *g, struct head *head, struct buf *out)
{
    size_t from = buf_held(out).len;

    if (!token_in(head->target))
        return FAULT_NONE;
    g->place = PLACE_URL;
    TRY(plain_fill(g, head->target, out));
    head->target = slice_drop(buf_held(out), from);
    head->target_sensitive = true;
    return FAULT_NONE;
}

/* First pass: how large will it be? Counts, and finds what forbids the request, before anything is written. */
enum fault grants_measure(struct grants *g, const struct head *head, size_t most, uint64_t *values)
{
    uint64_t whole = 0;

    TRY(target_measure(g, head->target, most, values));
    for (size_t i = 0; i < head->fields; i++) {
        const struct field *f = &head->field[i];
        uint64_t len;
        bool filled;

        TRY(field_measure(g, f, &len, &filled));
        *values += filled ? len : 0;
        whole += f->name.len + len + 4;
    }
    return whole > most ? FAULT_HEAD_TOO_LARGE : FAULT_NONE;
}

enum fault grants_fill(struct grants *g, struct head *head, uint64_t values, struct buf *filled)
{
    if (values == 0)
        return FAULT_NONE;
    TRY(buf_open(filled, values));
    g->silent = true;
    enum fault why = target_fill(g, head, filled);

    for (size_t i = 0; i < head->fields && why == FAULT_NONE; i++)
        why = field_fill(g, &head->field[i], filled);
    g->silent = false;
    return why;
}

#include "grant.h"
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
    return memchr(value.at, '\r', value.len) || memchr(value.at, '\n', value.len) || memchr(value.at, 0, value.len)
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

const struct secret *grants_token(void *cookie, struct slice token)
{
    struct grants *g = cookie;
    const struct record_secret *s = NULL;
    enum token_verdict verdict = verdict_token(g->record, token, g->host, g->place, &s);

    if (verdict != TOKEN_GRANTED) {
        token_denied(g, verdict, s);
        return NULL;
    }
    if (g->place == PLACE_HEADER) {
        enum fault why = secret_lend(s->value, value_fits_field, NULL);

        if (why != FAULT_NONE) {
            g->why = why;
            return NULL;
        }
    }
    if (!g->silent) {
        metric_add(place_metric[g->place], 1);
        name_note(g->used, &g->used_count, s->name);
    }
    return s->value;
}

static bool field_fillable(const struct field *f)
{
    return !(field_table[f->id].traits & TRAIT_FIXED) && f->value.len >= SUBST_TOKEN &&
           subst_find(f->value) + SUBST_TOKEN <= f->value.len;
}

/* First pass: how large will it be? Counts, and finds what forbids the request, before anything is written. */
static enum fault fill_measure(struct grants *g, const struct head *head, size_t most, uint64_t *values)
{
    uint64_t whole = 0;
    bool changed;

    *values = 0;
    for (size_t i = 0; i < head->fields; i++) {
        const struct field *f = &head->field[i];
        uint64_t len = f->value.len;

        if (field_fillable(f)) {
            len = subst_measure(grants_token, g, f->value, &changed);
            *values += len;
            TRY(g->why);
        }
        whole += f->name.len + len + 4;
    }
    return whole > most ? FAULT_HEAD_TOO_LARGE : FAULT_NONE;
}

enum fault grants_fill(struct grants *g, struct head *head, struct buf *filled, size_t most)
{
    uint64_t values;

    g->place = PLACE_HEADER;
    TRY(fill_measure(g, head, most, &values));
    if (values == 0)
        return FAULT_NONE;
    TRY(buf_open(filled, values));
    g->silent = true;
    for (size_t i = 0; i < head->fields; i++) {
        struct field *f = &head->field[i];
        struct subst subst = {.grant = grants_token, .cookie = g};
        size_t used, from = buf_held(filled).len;

        if (!field_fillable(f))
            continue;
        enum fault why = subst_feed(&subst, f->value, true, filled, &used);

        if (why != FAULT_NONE)
            return why;
        f->value = slice_drop(buf_held(filled), from);
        f->sensitive = true;
    }
    g->silent = false;
    return FAULT_NONE;
}

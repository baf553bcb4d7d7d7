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

/* What becomes of one field's value: how long it gets (and what forbids it), or the value itself. */
static enum fault field_measure(struct grants *g, const struct field *f, uint64_t *len, bool *filled)
{
    struct buf credentials = {0};
    enum field_form form;
    enum fault why = field_look(f, &credentials, &form);
    bool changed;

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
    struct subst subst = {.grant = grants_token, .cookie = g};
    size_t used;

    return subst_feed(&subst, value, true, out, &used);
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

/* First pass: how large will it be? Counts, and finds what forbids the request, before anything is written. */
static enum fault fill_measure(struct grants *g, const struct head *head, size_t most, uint64_t *values)
{
    uint64_t whole = 0;

    *values = 0;
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

enum fault grants_fill(struct grants *g, struct head *head, struct buf *filled, size_t most)
{
    uint64_t values;
    enum fault why = fill_measure(g, head, most, &values);

    if (why != FAULT_NONE || values == 0)
        return why;
    TRY(buf_open(filled, values));
    g->silent = true;
    for (size_t i = 0; i < head->fields && why == FAULT_NONE; i++)
        why = field_fill(g, &head->field[i], filled);
    g->silent = false;
    return why;
}

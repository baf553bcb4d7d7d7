#include "subst.h"
#include "seek.h"

#define MARK SLICE("osb_sealed_")

static bool hex_digit(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

/* ${in} begins with the mark; is what follows, as far as it is here, that of a token? */
static bool digits_follow(struct slice in)
{
    size_t end = in.len < SUBST_TOKEN ? in.len : SUBST_TOKEN;

    for (size_t i = SUBST_MARK; i < end; i++)
        if (!hex_digit(in.at[i]))
            return false;
    return true;
}

/* Linear: the mark's letters are no hex digits, so no two false starts look at the same octet as a digit. */
size_t subst_find(struct slice in)
{
    if (in.len == 0)
        return 0;
    for (size_t at = 0; at < in.len; at++) {
        at += seek_first(slice_drop(in, at), MARK);
        if (at < in.len && digits_follow(slice_drop(in, at)))
            return at;
    }
    return seek_begun(in, MARK);
}

struct emission {
    struct subst *subst;
    struct buf *out;
};

static enum fault emit(void *cookie, struct slice value)
{
    struct emission *e = cookie;
    struct subst *s = e->subst;

    s->emitted += escape_pour(s->granted.escape, slice_drop(value, s->emitted), e->out);
    return s->emitted == value.len ? FAULT_NONE : FAULT_FULL;
}

/* So much of the stream, a token as itself, is dealt with. */
static void went_by(struct subst *s, struct slice octets, size_t *used)
{
    if (s->standing)
        standing_pass(s->standing, octets);
    *used += octets.len;
}

/* ${rest} begins with a token that was granted: its value, or what is left of it. */
static enum fault feed_value(struct subst *s, struct slice rest, struct buf *out, size_t *used)
{
    struct emission e = {s, out};

    if (rest.len < SUBST_TOKEN)
        return FAULT_AGAIN;
    TRY(secret_lend(s->granted.value, emit, &e));
    s->granted.value = NULL;
    went_by(s, slice_first(rest, SUBST_TOKEN), used);
    return FAULT_NONE;
}

/* ${rest} begins with a token. */
static enum fault token_judge(struct subst *s, struct slice rest, bool last)
{
    struct where where = {.escape = ESCAPE_NONE};

    if (s->standing)
        TRY(standing_at(s->standing, rest, last, &where));
    s->granted = s->grant(s->cookie, slice_first(rest, SUBST_TOKEN), &where);
    s->emitted = 0;
    s->judged = !s->granted.value;
    return FAULT_NONE;
}

/* How many octets at the front of ${rest} can go on as they are. */
static size_t plain_run(const struct subst *s, struct slice rest, bool last)
{
    /* No token begins inside another, so one octet past the start of a refused one, the search is on plain ground. */
    size_t known = s->judged ? 1 : 0, plain = known + subst_find(slice_drop(rest, known));

    return last && rest.len - plain < SUBST_TOKEN ? rest.len : plain;
}

static enum fault subst_feed(struct filter *f, struct slice in, bool last, struct buf *out, size_t *used)
{
    struct subst *s = (struct subst *)(void *)f;

    *used = 0;
    while (*used < in.len) {
        struct slice rest = slice_drop(in, *used);

        if (s->granted.value) {
            TRY(feed_value(s, rest, out, used));
            continue;
        }
        /* Whether a token is cut off is judged right where it counts: what is beyond the room stays here anyway. */
        struct slice seen = slice_first(rest, buf_free(out) + SUBST_TOKEN);
        size_t plain = plain_run(s, seen, last);
        size_t poured = escape_pour(ESCAPE_NONE, slice_first(seen, plain), out);

        went_by(s, slice_first(seen, poured), used);
        if (poured)
            s->judged = false;
        if (poured < plain)
            return FAULT_FULL;
        if (seen.len - plain < SUBST_TOKEN || token_judge(s, slice_drop(rest, plain), last) != FAULT_NONE)
            return FAULT_NONE;
    }
    return FAULT_NONE;
}

void subst_begin(struct subst *s, grant_fn *grant, void *cookie, struct standing *standing)
{
    *s = (struct subst){
        .filter = {.feed = subst_feed, .hold = SUBST_HOLD + (standing ? STANDING_AHEAD : 0)},
        .grant = grant,
        .cookie = cookie,
        .standing = standing,
    };
}

struct measure {
    enum escape escape;
    uint64_t octets;
};

static enum fault value_measure(void *cookie, struct slice value)
{
    struct measure *m = cookie;

    m->octets += escape_octets(m->escape, value);
    return FAULT_NONE;
}

uint64_t subst_measure(grant_fn *grant, void *cookie, struct slice all, bool *changed)
{
    const struct where where = {.escape = ESCAPE_NONE};
    struct measure m = {0};

    *changed = false;
    while (all.len > 0) {
        size_t plain = subst_find(all);

        if (all.len - plain < SUBST_TOKEN)
            break;
        struct granted g = grant(cookie, slice_of(all.at + plain, SUBST_TOKEN), &where);

        m.escape = g.escape;
        if (!g.value || secret_lend(g.value, value_measure, &m) != FAULT_NONE)
            m.octets += SUBST_TOKEN;
        m.octets += plain;
        *changed = *changed || g.value;
        all = slice_drop(all, plain + SUBST_TOKEN);
    }
    return m.octets + all.len;
}

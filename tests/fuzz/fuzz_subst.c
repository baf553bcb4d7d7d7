#include "../support/medley.h"
#include <stdlib.h>

/*
 * Octets that steer, then text: fed in random cuts through a small buffer, with and without a standing, it must become what
 * a reference makes of it that goes an octet at a time; and subst_measure must have known how long.
 */
#define STEER 32
#define MOST  ((size_t)4096) /* of text: the reference begins anew for each token */

static struct secret *values[2]; /* for tokens whose last digit is even: a short value or a long one */
static struct slice plain_values[2];

struct stream_kind {
    enum media media;
    bool standing;
};

/* Which value is given at this place; 2: none. The long one is for where the token is alone. */
static unsigned value_of(struct slice token, struct where where)
{
    uint8_t digit = token.at[SUBST_TOKEN - 1];
    unsigned which = digit / 2 % 2;

    return digit % 2 || where.barred || (which && !where.alone && digit == 'f' - 1) ? 2 : which;
}

static struct granted grant(void *cookie, struct slice token, const struct where *where)
{
    unsigned *asked = cookie, which = value_of(token, *where);

    (*asked)++;
    return (struct granted){which < 2 ? values[which] : NULL, where->escape};
}

static void demand(bool held)
{
    if (!held)
        abort();
}

static struct buf naive(struct stream_kind kind, struct slice text, unsigned *tokens)
{
    struct buf out = {0};
    uint8_t escape[ESCAPE_MAX + 1];

    demand(buf_open(&out, (text.len / SUBST_TOKEN + 1) * plain_values[1].len * ESCAPE_MAX + text.len) ==
           FAULT_NONE);
    for (size_t at = 0; at < text.len;) {
        struct slice rest = slice_drop(text, at);
        bool token = naive_token(rest);
        struct where where = {.escape = ESCAPE_NONE};

        if (token && kind.standing)
            where = naive_where(kind.media, SLICE(MEDLEY_BOUNDARY), text, at);
        unsigned which = token ? value_of(rest, where) : 2;
        struct slice piece = which < 2 ? plain_values[which] : slice_first(rest, token ? SUBST_TOKEN : 1);

        at += token ? SUBST_TOKEN : 1;
        *tokens += token;
        for (size_t i = 0; i < piece.len; i++) {
            size_t n = naive_octet(which < 2 ? where.escape : ESCAPE_NONE, piece.at[i], (char *)escape);

            demand(buf_append(&out, slice_of(escape, n)) == FAULT_NONE);
        }
    }
    return out;
}

/* Take what ${out} holds off it: the reference must go on like that. */
static void compare(struct slice *want, struct buf *out)
{
    struct slice held = buf_held(out);

    demand(slice_starts(*want, held));
    *want = slice_drop(*want, held.len);
    buf_take(out, held.len);
}

static void feed(const uint8_t *steer, struct stream_kind kind, struct slice in)
{
    struct standing standing;
    struct subst s;
    struct buf out = {0};
    unsigned asked = 0, tokens = 0, turn = 1;
    struct buf reference = naive(kind, in, &tokens);
    struct slice want = buf_held(&reference);
    enum fault fault = FAULT_NONE;
    size_t seen = 0, used;
    bool last = false;

    standing_begin(&standing, kind.media, SLICE(MEDLEY_BOUNDARY));
    subst_begin(&s, grant, &asked, kind.standing ? &standing : NULL);
    demand(buf_open(&out, ESCAPE_MAX + (size_t)steer[0]) == FAULT_NONE);
    while (!last || fault == FAULT_FULL) {
        if (fault == FAULT_FULL)
            compare(&want, &out);
        else
            seen += 1u + steer[turn++ % STEER];
        seen = seen < in.len ? seen : in.len;
        last = seen == in.len;
        fault = s.filter.feed(&s.filter, slice_first(in, seen), last, &out, &used);
        demand(fault == FAULT_NONE || fault == FAULT_FULL);
        demand(fault == FAULT_NONE || buf_held(&out).len > 0);
        demand(fault == FAULT_FULL || seen - used <= (last ? 0 : s.filter.hold));
        in = slice_drop(in, used);
        seen -= used;
    }
    compare(&want, &out);
    demand(in.len == 0 && want.len == 0 && asked == tokens);
    buf_close(&out);
    buf_close(&reference);
}

static void measure(struct slice text)
{
    unsigned measured = 0, tokens = 0;
    bool changed;
    struct buf reference = naive((struct stream_kind){MEDIA_TEXT, false}, text, &tokens);

    demand(subst_measure(grant, &measured, text, &changed) == buf_held(&reference).len && measured == tokens);
    buf_close(&reference);
}

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t len)
{
    static char composed[MOST];
    static const char wide[600] = "osb_sealed_0123456789abcdef0123456789abcdef\"\\\n&<>'%+\x01\xff";

    if (!values[0]) {
        plain_values[0] = SLICE("");
        plain_values[1] = slice_of(wide, sizeof wide);
        demand(secret_arena_open((size_t)1 << 20) == FAULT_NONE);
        demand(secret_new(plain_values[0], &values[0]) == FAULT_NONE);
        demand(secret_new(plain_values[1], &values[1]) == FAULT_NONE);
    }
    if (len < STEER)
        return 0;
    struct slice text = slice_first(slice_of(octets + STEER, len - STEER), MOST);

    for (unsigned media = MEDIA_TEXT; media <= MEDIA_MULTIPART; media++) {
        feed(octets, (struct stream_kind){media, true}, text);
        feed(octets, (struct stream_kind){media, true},
             slice_of(composed, medley_from(text, media, composed, MOST)));
    }
    feed(octets, (struct stream_kind){MEDIA_TEXT, false}, text);
    measure(text);
    return 0;
}

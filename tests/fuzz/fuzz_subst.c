#include "subst.h"
#include <stdlib.h>

/*
 * Octets that steer, then text: fed in random cuts through a small buffer, it must become what a reference makes of it
 * that goes an octet at a time; and subst_measure must have known how long.
 */
#define STEER 32

static struct secret *values[2]; /* for tokens whose last digit is even: a short value or a long one */
static struct slice plain_values[2];

static unsigned kind_of(struct slice token)
{
    uint8_t digit = token.at[SUBST_TOKEN - 1];

    return digit % 2 ? 2 : digit / 2 % 2;
}

static const struct secret *grant(void *cookie, struct slice token)
{
    unsigned *asked = cookie, kind = kind_of(token);

    (*asked)++;
    return kind < 2 ? values[kind] : NULL;
}

static bool is_token(struct slice s)
{
    if (s.len < SUBST_TOKEN || !slice_starts(s, SLICE("osb_sealed_")))
        return false;
    for (size_t i = SUBST_MARK; i < SUBST_TOKEN; i++)
        if (!memchr("0123456789abcdef", s.at[i], 16))
            return false;
    return true;
}

/* What the reference gives, for the next octets of ${in}: *taken of them. */
static struct slice naive(struct slice in, size_t *taken, unsigned *tokens)
{
    bool token = is_token(in);

    *taken = token ? SUBST_TOKEN : 1;
    *tokens += token;
    return token && kind_of(in) < 2 ? plain_values[kind_of(in)] : slice_first(in, *taken);
}

static void demand(bool held)
{
    if (!held)
        abort();
}

/* Take what ${out} holds off it, and compare it with the reference, which runs ahead in ${ahead}. */
struct reference {
    struct slice in, ahead;
    uint64_t total;
    unsigned tokens;
};

static void compare(struct reference *ref, struct buf *out)
{
    struct slice held = buf_held(out);
    size_t n, octets = held.len;

    ref->total += octets;
    while (held.len) {
        while (ref->ahead.len == 0) {
            demand(ref->in.len > 0);
            ref->ahead = naive(ref->in, &n, &ref->tokens);
            ref->in = slice_drop(ref->in, n);
        }
        n = held.len < ref->ahead.len ? held.len : ref->ahead.len;
        demand(memcmp(held.at, ref->ahead.at, n) == 0);
        held = slice_drop(held, n);
        ref->ahead = slice_drop(ref->ahead, n);
    }
    buf_take(out, octets);
}

static void feed(const uint8_t *steer, struct slice text)
{
    struct reference ref = {.in = text, .ahead = SLICE("")};
    struct buf out = {0};
    unsigned asked = 0, measured = 0, turn = 0;
    bool changed, last = false;
    struct subst s = {.grant = grant, .cookie = &asked};
    struct slice in = text;
    size_t seen = 0, used, n;
    uint64_t length = subst_measure(grant, &measured, text, &changed);
    enum fault fault = FAULT_NONE;

    demand(buf_open(&out, 1 + (size_t)steer[0]) == FAULT_NONE);
    while (!last || fault == FAULT_FULL) {
        if (fault != FAULT_FULL)
            seen += 1u + steer[turn++ % STEER];
        else
            compare(&ref, &out);
        last = seen >= in.len;
        fault = subst_feed(&s, slice_first(in, seen), last, &out, &used);
        demand(fault == FAULT_NONE || fault == FAULT_FULL);
        demand(fault == FAULT_NONE || buf_held(&out).len > 0);
        demand(fault == FAULT_FULL || last || (seen < in.len ? seen : in.len) - used <= SUBST_HOLD);
        in = slice_drop(in, used);
        seen = seen - used < in.len ? seen - used : in.len;
    }
    compare(&ref, &out);
    demand(in.len == 0 && ref.ahead.len == 0);
    for (; ref.in.len; ref.in = slice_drop(ref.in, n)) /* values of no octets at the end */
        demand(naive(ref.in, &n, &ref.tokens).len == 0);
    demand(length == ref.total && asked == ref.tokens && measured == ref.tokens);
    buf_close(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t len)
{
    static const char wide[600] = "osb_sealed_0123456789abcdef0123456789abcdef";

    if (!values[0]) {
        plain_values[0] = SLICE("");
        plain_values[1] = slice_of(wide, sizeof wide);
        demand(secret_arena_open((size_t)1 << 20) == FAULT_NONE);
        demand(secret_new(plain_values[0], &values[0]) == FAULT_NONE);
        demand(secret_new(plain_values[1], &values[1]) == FAULT_NONE);
    }
    if (len < STEER)
        return 0;
    struct slice text = slice_of(octets + STEER, len - STEER);
    size_t want = 0;

    while (want < text.len && !slice_starts(slice_drop(text, want), SLICE("osb_sealed_")))
        want++;
    demand(subst_mark_vector(text) == want && subst_mark_plain(text) == want);
    feed(octets, text);
    return 0;
}

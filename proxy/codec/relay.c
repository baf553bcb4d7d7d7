#include "relay.h"
#include <sodium.h>

/* Write what becomes of ${in}; *used says how much of it is dealt with. */
static enum fault relay_write(struct relay *r, struct slice in, bool last, size_t *used)
{
    struct buf *out;
    enum fault why = FAULT_NONE;

    *used = 0;
    TRY(r->to->ops->room(r->to, &out));
    size_t before = buf_held(out).len;

    if (r->subst)
        why = subst_feed(r->subst, in, last, out, used);
    else
        *used = buf_some(out, in);

    size_t wrote = buf_held(out).len - before;

    r->to->ops->wrote(r->to, wrote);
    r->octets += wrote;
    if (!r->subst && *used < in.len)
        return FAULT_FULL;
    return why;
}

static void carry_add(struct relay *r, struct slice s)
{
    memcpy(r->carry + r->carried, s.at, s.len);
    r->carried += s.len;
}

static enum fault carry_write(struct relay *r, bool last)
{
    size_t used;
    enum fault why = relay_write(r, slice_of(r->carry, r->carried), last, &used);

    memmove(r->carry, r->carry + used, r->carried - used);
    sodium_memzero(r->carry + r->carried - used, used);
    r->carried -= used;
    return why;
}

static enum fault relay_run(struct relay *r, struct slice run)
{
    size_t used;

    if (r->carried) {
        size_t room = sizeof r->carry - r->carried, n = run.len < room ? run.len : room;

        carry_add(r, slice_first(run, n));
        r->from->ops->took(r->from, n);
        return carry_write(r, false);
    }
    enum fault why = relay_write(r, run, false, &used);

    if (why == FAULT_NONE &&
        used < run.len) { /* less than a token: the run is cut, and the next may complete it */
        carry_add(r, slice_drop(run, used));
        used = run.len;
    }
    r->from->ops->took(r->from, used);
    return why;
}

static enum fault relay_held(struct relay *r)
{
    struct slice held = slice_drop(buf_held(r->held), r->held_at);

    while (held.len) {
        size_t used;
        enum fault why = relay_write(r, held, true, &used);

        r->held_at += used;
        held = slice_drop(held, used);
        TRY(why);
    }
    return FAULT_END;
}

enum fault relay_body(struct relay *r)
{
    if (r->held)
        return relay_held(r);
    for (;;) {
        struct slice run;
        /* A carry that can be written goes first: a value may be half out. */
        enum fault why = r->carried >= SUBST_TOKEN ? carry_write(r, false) : FAULT_NONE;

        TRY(why);
        why = r->from->ops->body(r->from, &run);
        if (why == FAULT_END) {
            while (r->carried)
                TRY(carry_write(r, true));
            return FAULT_END;
        }
        TRY(why);
        TRY(relay_run(r, run));
    }
}

void relay_wipe(struct relay *r)
{
    sodium_memzero(r->carry, sizeof r->carry);
    r->carried = 0;
}

#include "relay.h"

/* Write what becomes of ${in}; *used says how much of it is dealt with. */
static enum fault relay_write(struct relay *r, struct slice in, bool last, size_t *used)
{
    struct buf *out;
    enum fault why = FAULT_NONE;

    *used = 0;
    TRY(r->to->ops->room(r->to, &out));
    size_t before = buf_held(out).len;

    if (r->filter)
        why = r->filter->feed(r->filter, in, last, out, used);
    else
        *used = buf_some(out, in);

    size_t wrote = buf_held(out).len - before;

    r->to->ops->wrote(r->to, wrote);
    r->octets += wrote;
    if (!r->filter && *used < in.len)
        return FAULT_FULL;
    return why == FAULT_AGAIN ? FAULT_NONE : why;
}

/* What is carried, by itself. */
static enum fault carry_write(struct relay *r, bool last)
{
    size_t used;
    enum fault why = relay_write(r, buf_held(&r->carry), last, &used);

    buf_take(&r->carry, used);
    r->stuck = why == FAULT_FULL && !last;
    if (buf_held(&r->carry).len == 0)
        buf_close(&r->carry);
    return why;
}

static enum fault carry_keep(struct relay *r, struct slice rest)
{
    size_t twice = 2 * r->filter->hold;

    TRY(buf_open(&r->carry, twice > RELAY_CARRY ? twice : RELAY_CARRY));
    return buf_append(&r->carry, rest);
}

/* What is carried and the beginning of ${run}, as one. Octets that are left over of ${run} alone stay there. */
static enum fault run_join(struct relay *r, struct slice run)
{
    size_t joined = buf_some(&r->carry, run), used;
    enum fault why = relay_write(r, buf_held(&r->carry), false, &used);

    buf_take(&r->carry, used);
    size_t left = buf_held(&r->carry).len;

    r->stuck = left > joined && why == FAULT_FULL;
    if (left <= joined) {
        buf_close(&r->carry);
        joined -= left;
    }
    r->came += joined;
    r->from->ops->took(r->from, joined);
    return why;
}

static enum fault run_write(struct relay *r, struct slice run)
{
    size_t used;
    enum fault why = relay_write(r, run, false, &used);

    if (why == FAULT_NONE && used < run.len) { /* the run is cut there, and the next one may say what it is */
        TRY(carry_keep(r, slice_drop(run, used)));
        used = run.len;
    }
    r->came += used;
    r->from->ops->took(r->from, used);
    return why;
}

enum fault relay_body(struct relay *r)
{
    if (r->stuck)
        TRY(carry_write(r, false));
    for (;;) {
        struct slice run;
        enum fault why = r->from->ops->body(r->from, &run);

        if (why == FAULT_END) {
            if (r->carry.base)
                TRY(carry_write(r, true));
            return FAULT_END;
        }
        TRY(why);
        TRY(r->carry.base ? run_join(r, run) : run_write(r, run));
    }
}

enum fault relay_ease(struct relay *r)
{
    struct buf *out;

    if (!r->carry.base || r->stuck || !r->filter->ease)
        return FAULT_NONE;
    TRY(r->to->ops->room(r->to, &out));
    size_t before = buf_held(out).len;

    r->filter->ease(r->filter, buf_held(&r->carry), out);
    size_t wrote = buf_held(out).len - before;
    bool full = buf_free(out) == 0;

    r->to->ops->wrote(r->to, wrote);
    r->octets += wrote;
    return full ? FAULT_FULL : FAULT_NONE;
}

void relay_close(struct relay *r)
{
    buf_close(&r->carry);
    r->stuck = false;
}

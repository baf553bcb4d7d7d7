#include "unpack.h"

static struct unpack *of(struct stream *s)
{
    return (struct unpack *)(void *)s;
}

/* Nothing comes behind this, so nothing is kept for it. */
static enum fault unpack_end(struct unpack *u, enum fault why)
{
    u->ended = why;
    decoder_free(u->decoder);
    u->decoder = NULL;
    buf_close(&u->out);
    return why;
}

static bool too_large(const struct unpack *u)
{
    return (u->caps.octets && u->made > u->caps.octets) ||
           (u->caps.ratio && u->made > UNPACK_FREE && (u->made - 1) / u->caps.ratio >= u->came);
}

/* Decode ${in}, as much of it as makes one buffer full. */
static enum fault decode(struct unpack *u, struct slice in, size_t *used)
{
    enum fault why;

    *used = 0;
    TRY(buf_open(&u->out, UNPACK_OCTETS));
    why = decoder_feed(u->decoder, in, &u->out, used);
    u->came += *used;
    u->made += buf_held(&u->out).len;
    u->barren = buf_held(&u->out).len ? 0 : u->barren + *used;
    u->pending = why == FAULT_FULL;
    u->whole = why == FAULT_END;
    if (buf_held(&u->out).len == 0)
        buf_close(&u->out);
    if (why == FAULT_INVALID || u->barren > UNPACK_BARREN)
        return u->bad;
    if (too_large(u))
        return FAULT_BODY_TOO_LARGE;
    return why == FAULT_FULL || why == FAULT_END ? FAULT_NONE : why;
}

/* One piece of ${from}'s octets, or what the decoder still has of the one before. */
static enum fault unpack_more(struct unpack *u)
{
    struct slice in = SLICE("");
    size_t used;
    enum fault why;

    if (!u->pending) {
        why = u->from->ops->body(u->from, &in);
        if (why == FAULT_AGAIN)
            return why;
        if (why == FAULT_END && u->came > 0 && !u->whole)
            why = u->bad;
        if (why != FAULT_NONE)
            return unpack_end(u, why);
    }
    why = decode(u, in, &used);
    if (used)
        u->from->ops->took(u->from, used);
    return why == FAULT_NONE ? why : unpack_end(u, why);
}

static enum fault unpack_body(struct stream *stream, struct slice *run)
{
    struct unpack *u = of(stream);

    while (u->ended == FAULT_NONE && !u->out.base)
        TRY(unpack_more(u));
    *run = buf_held(&u->out);
    return u->ended;
}

static void unpack_took(struct stream *stream, size_t n)
{
    struct unpack *u = of(stream);

    buf_take(&u->out, n);
    if (buf_held(&u->out).len == 0)
        buf_close(&u->out);
}

static enum fault unpack_trailers(struct stream *stream, struct head *out)
{
    struct stream *from = of(stream)->from;

    return from->ops->trailers(from, out);
}

static void unpack_commit(struct stream *stream)
{
    struct stream *from = of(stream)->from;

    from->ops->commit(from);
}

/* The first octet is awaited again. */
static enum fault unpack_begin(struct unpack *u)
{
    u->came = u->made = u->barren = 0;
    u->pending = u->whole = false;
    u->ended = FAULT_NONE;
    return decoder_new(u->coding, u->purse, &u->decoder);
}

static bool unpack_rewind(struct stream *stream)
{
    struct unpack *u = of(stream);

    if (!u->from->ops->rewind(u->from))
        return false;
    unpack_end(u, FAULT_NONE);
    if (unpack_begin(u) == FAULT_NONE)
        return true;
    u->ended = FAULT_NO_MEMORY;
    return false;
}

static size_t unpack_keeps(const struct stream *stream)
{
    (void)stream;
    return 0;
}

static const struct stream_ops unpack_ops = {
    .body = unpack_body,
    .took = unpack_took,
    .trailers = unpack_trailers,
    .commit = unpack_commit,
    .rewind = unpack_rewind,
    .keeps = unpack_keeps,
};

enum fault unpack_open(struct unpack *u, struct stream *from, enum coding coding, struct unpack_caps caps,
                       enum fault bad, struct purse *purse)
{
    *u = (struct unpack){.stream = {&unpack_ops, from->proto},
                         .from = from,
                         .coding = coding,
                         .caps = caps,
                         .bad = bad,
                         .purse = purse};
    return unpack_begin(u);
}

void unpack_close(struct unpack *u)
{
    unpack_end(u, FAULT_END);
    *u = (struct unpack){0};
}

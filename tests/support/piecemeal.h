#pragma once
#include "stream.h"

/*
 * piecemeal - a stream whose body comes in pieces, and says AGAIN before each of them.
 */
struct piecemeal {
    struct stream stream;
    struct slice left; /* of the body */
    size_t piece;
    enum fault end; /* what comes behind the last octet */
    size_t here;    /* octets of ${left} that have come */
    bool waited;
    unsigned trailers, commits;
    struct slice whole;
    bool rewinds;
};

static struct piecemeal *piecemeal_of(struct stream *s)
{
    return (struct piecemeal *)(void *)s;
}

static enum fault piecemeal_body(struct stream *stream, struct slice *run)
{
    struct piecemeal *p = piecemeal_of(stream);

    if (p->here == 0) {
        p->waited = !p->waited;
        if (p->waited)
            return FAULT_AGAIN;
        if (p->left.len == 0) {
            p->waited = true; /* the end stays where it is */
            return p->end;
        }
        p->here = p->piece < p->left.len ? p->piece : p->left.len;
    }
    *run = slice_first(p->left, p->here);
    return FAULT_NONE;
}

static void piecemeal_took(struct stream *stream, size_t n)
{
    struct piecemeal *p = piecemeal_of(stream);

    assert(n <= p->here);
    p->here -= n;
    p->left = slice_drop(p->left, n);
}

/* One field, once, as h1 gives them. */
static enum fault piecemeal_trailers(struct stream *stream, struct head *out)
{
    struct piecemeal *p = piecemeal_of(stream);

    if (p->trailers++)
        return FAULT_BAD_REQUEST;
    head_begin(out);
    return head_add(out, FIELD_CONTENT_TYPE, SLICE("text/trailer"));
}

static void piecemeal_commit(struct stream *stream)
{
    piecemeal_of(stream)->commits++;
}

static bool piecemeal_rewind(struct stream *stream)
{
    struct piecemeal *p = piecemeal_of(stream);

    if (!p->rewinds)
        return false;
    p->left = p->whole;
    p->here = 0;
    return true;
}

static inline void piecemeal_open(struct piecemeal *p, struct slice body, size_t piece)
{
    static const struct stream_ops ops = {
        .body = piecemeal_body,
        .took = piecemeal_took,
        .trailers = piecemeal_trailers,
        .commit = piecemeal_commit,
        .rewind = piecemeal_rewind,
    };

    *p = (struct piecemeal){
        .stream = {&ops, "h1"}, .left = body, .whole = body, .piece = piece, .end = FAULT_END};
}

#pragma once
#include "h2field.h"
#include "h2nv.h"

/* Heads side by side, and fields on their way into h2field: for tests of both readers. */

/* Names in any case: HTTP/2 has them lower-cased. */
static inline bool heads_fields_same(const struct head *a, const struct head *b)
{
    bool same = a->fields == b->fields;

    for (size_t i = 0; same && i < a->fields; i++)
        same = slice_equal_nocase(a->field[i].name, b->field[i].name) &&
               slice_equal(a->field[i].value, b->field[i].value) && a->field[i].id == b->field[i].id;
    return same;
}

/* heads_differ(a, b): what first; NULL: nothing. Scheme and reason are each one protocol's own, close is of the hop. */
static inline const char *heads_differ(const struct head *a, const struct head *b)
{
    return !slice_equal(a->method, b->method)                 ? "method"
           : !slice_equal(a->target, b->target)               ? "target"
           : !slice_equal(a->authority, b->authority)         ? "authority"
           : a->status != b->status                           ? "status"
           : !heads_fields_same(a, b)                         ? "fields"
           : a->body != b->body                               ? "body"
           : a->body == BODY_LENGTH && a->length != b->length ? "length"
           : a->expect_continue != b->expect_continue         ? "expect_continue"
           : a->te_trailers != b->te_trailers                 ? "te_trailers"
           : a->upgrade != b->upgrade                         ? "upgrade"
           : a->minor != b->minor                             ? "minor"
                                                              : NULL;
}

/* heads_feed(f, limits, nv, n): as if nghttp2 had decompressed them. */
static inline void heads_feed(struct h2_fields *f, const struct h1_limits *limits, const nghttp2_nv *nv,
                              size_t n)
{
    for (size_t i = 0; i < n; i++)
        h2_fields_add(f, limits, slice_of(nv[i].name, nv[i].namelen), slice_of(nv[i].value, nv[i].valuelen));
}

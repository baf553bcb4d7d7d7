#pragma once
#include "buf.h"
#include "decimal.h"
#include "msg.h"
#include <nghttp2/nghttp2.h>

/*
 * h2nv - a head as the list of fields that nghttp2 compresses.
 *
 *   Layer   codec.  Used by: h2stream.
 *   Why     the one place that says what HTTP/2 never carries (fields of a hop) and what HPACK never indexes: a value in
 *           a table lives as long as the connection, and its length can be probed by its neighbours.
 *   Bounds  no memory: values are pointed at, never copied. A name that has upper-case letters is the one thing that
 *           nghttp2 copies, lower-cased; names are no secrets.
 *   Source  RFC 9113 s.8.2, s.8.3; RFC 7541 s.7.1.3.
 */
struct h2_nv {
    nghttp2_nv at[MSG_FIELDS_MAX + 8];
    char digits[DECIMAL_MAX], status[DECIMAL_MAX];
};

/*
 * h2_nv_request(h, out), h2_nv_response(h, out): a whole head (a 1xx too); gives how many fields.
 *   Takes   h->authority as :authority. BODY_LENGTH says content-length but on 1xx and 204; the caller sets END_STREAM.
 *   Gives   *out borrowed from ${h} and pointing into itself: good until either changes, so submit and serialise at once.
 */
size_t h2_nv_request(const struct head *h, struct h2_nv *out);
size_t h2_nv_response(const struct head *h, struct h2_nv *out);

/*
 * h2_nv_trailers(h, kept, count): trailers, which can be submitted only behind the last DATA, when ${h} is long gone.
 *   Gives   *count fields, 0: none, and ${kept} stays closed.
 *           ${kept} (closed; opened here, the caller closes it) holds list and octets: h2_nv_kept(kept) is the list.
 *   Fails   FAULT_NO_MEMORY.
 */
enum fault h2_nv_trailers(const struct head *h, struct buf *kept, size_t *count) CHECKED;

static inline const nghttp2_nv *h2_nv_kept(const struct buf *kept)
{
    return (const nghttp2_nv *)(const void *)kept->base;
}

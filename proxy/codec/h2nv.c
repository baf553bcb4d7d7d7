#include "h2nv.h"

static nghttp2_nv nv_make(struct slice name, struct slice value, unsigned flags)
{
    if (value.len == 0)
        value = SLICE(""); /* a place, at least: the library copies no octets from there */
    /* The library's type is for reading and writing; a list that is sent is only read. */
    return (nghttp2_nv){.name = (uint8_t *)name.at,
                        .value = (uint8_t *)value.at,
                        .namelen = name.len,
                        .valuelen = value.len,
                        .flags = (uint8_t)(flags | NGHTTP2_NV_FLAG_NO_COPY_VALUE)};
}

static nghttp2_nv nv_own(struct slice name, struct slice value)
{
    return nv_make(name, value, NGHTTP2_NV_FLAG_NO_COPY_NAME);
}

/* What a table may not hold (RFC 7541 s.7.1.3): values that we put in, and fields that hold credentials of any origin. */
static unsigned index_flag(const struct field *f)
{
    bool never = f->sensitive || f->id == FIELD_AUTHORIZATION || f->id == FIELD_PROXY_AUTHORIZATION ||
                 f->id == FIELD_COOKIE || f->id == FIELD_SET_COOKIE;

    return never ? NGHTTP2_NV_FLAG_NO_INDEX : 0;
}

static nghttp2_nv nv_of(const struct field *f)
{
    unsigned flags = index_flag(f);

    if (f->id != FIELD_OTHER)
        return nv_make(field_table[f->id].name, f->value, flags | NGHTTP2_NV_FLAG_NO_COPY_NAME);
    return nv_make(f->name, f->value, flags | (octets_are_lower(f->name) ? NGHTTP2_NV_FLAG_NO_COPY_NAME : 0));
}

static bool field_sent(const struct field *f, unsigned never)
{
    return !(field_table[f->id].traits & never);
}

static size_t fields_put(const struct head *h, nghttp2_nv *at)
{
    size_t n = 0;

    for (size_t i = 0; i < h->fields; i++)
        if (field_sent(&h->field[i], TRAIT_HOP | TRAIT_MEMBER))
            at[n++] = nv_of(&h->field[i]);
    return n;
}

static nghttp2_nv nv_length(const struct head *h, struct h2_nv *out)
{
    return nv_own(SLICE("content-length"), slice_of(out->digits, decimal_put(h->length, out->digits)));
}

size_t h2_nv_request(const struct head *h, struct h2_nv *out)
{
    size_t n = 0;

    out->at[n++] = nv_own(SLICE(":method"), h->method);
    out->at[n++] = nv_own(SLICE(":scheme"), SLICE("https"));
    out->at[n++] = nv_own(SLICE(":authority"), h->authority);
    out->at[n++] =
        nv_make(SLICE(":path"), h->target,
                NGHTTP2_NV_FLAG_NO_COPY_NAME | (h->target_sensitive ? NGHTTP2_NV_FLAG_NO_INDEX : 0u));
    n += fields_put(h, out->at + n);
    if (h->expect_continue)
        out->at[n++] = nv_own(SLICE("expect"), SLICE("100-continue"));
    if (h->te_trailers)
        out->at[n++] = nv_own(SLICE("te"), SLICE("trailers"));
    if (h->body == BODY_LENGTH)
        out->at[n++] = nv_length(h, out);
    return n;
}

size_t h2_nv_response(const struct head *h, struct h2_nv *out)
{
    size_t n = 0;

    out->at[n++] =
        nv_own(SLICE(":status"), slice_of(out->status, decimal_put((uint64_t)h->status, out->status)));
    n += fields_put(h, out->at + n);
    if (h->body == BODY_LENGTH && h->status >= 200 && h->status != 204)
        out->at[n++] = nv_length(h, out);
    return n;
}

/* A copy of ${s}, lower-cased, in room that was measured before. */
static struct slice octets_keep(struct buf *kept, struct slice s, bool lower)
{
    uint8_t *into = buf_claim(kept, s.len);

    for (size_t i = 0; i < s.len; i++)
        into[i] = lower ? octet_lower(s.at[i]) : s.at[i];
    buf_fill(kept, s.len);
    return slice_of(into, s.len);
}

enum fault h2_nv_trailers(const struct head *h, struct buf *kept, size_t *count)
{
    const unsigned never = TRAIT_HOP | TRAIT_MEMBER | TRAIT_NO_TRAILER;
    size_t octets = 0, n = 0;
    nghttp2_nv *at;

    *count = 0;
    for (size_t i = 0; i < h->fields; i++)
        if (field_sent(&h->field[i], never)) {
            octets += h->field[i].name.len + h->field[i].value.len;
            n++;
        }
    if (n == 0)
        return FAULT_NONE;
    TRY(buf_open(kept, n * sizeof *at + octets));
    at = (nghttp2_nv *)(void *)kept->base;
    buf_fill(kept, n * sizeof *at);
    for (size_t i = 0; i < h->fields; i++) {
        const struct field *f = &h->field[i];

        if (field_sent(f, never))
            at[(*count)++] = nv_make(octets_keep(kept, f->name, true), octets_keep(kept, f->value, false),
                                     index_flag(f) | NGHTTP2_NV_FLAG_NO_COPY_NAME);
    }
    return FAULT_NONE;
}

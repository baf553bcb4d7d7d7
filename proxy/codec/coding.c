#define ZLIB_CONST
#define ZSTD_STATIC_LINKING_ONLY /* for a decoder with memory of our own; the shared library exports it all the same */
#include "coding.h"
#include "wiped.h"
#include <brotli/decode.h>
#include <limits.h>
#include <zlib.h>
#include <zstd.h>

#define ZSTD_WINDOW_LOG 23 /* RFC 9659 s.3 */

struct decoder {
    const struct method *method;
    struct purse *purse;
    union {
        z_stream zlib;
        BrotliDecoderState *br;
        ZSTD_DStream *zstd;
    } by;
    bool open;         /* ${by} has memory */
    bool inside;       /* of a member or frame: it is not whole */
    bool more;         /* it filled all the room there was, and may have more to give */
    bool poor;         /* memory was refused */
    enum fault broken; /* NONE while it can go on */
};

/* One library's way. */
struct method {
    /* A member or frame begins with this octet. INVALID: none can. */
    enum fault (*begin)(struct decoder *d, uint8_t first);
    /* What is used comes off ${in} and ${room}. END: the member or frame is whole. */
    enum fault (*step)(struct decoder *d, struct slice *in, struct iovec *room);
    void (*close)(struct decoder *d);
};

enum coding coding_of(struct slice content_encoding)
{
    static const struct {
        struct slice name;
        enum coding coding;
    } names[] = {
        {SLICE(""), CODING_IDENTITY},   {SLICE("identity"), CODING_IDENTITY}, {SLICE("gzip"), CODING_GZIP},
        {SLICE("x-gzip"), CODING_GZIP}, {SLICE("deflate"), CODING_DEFLATE},   {SLICE("br"), CODING_BR},
        {SLICE("zstd"), CODING_ZSTD},
    };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (slice_equal_nocase(slice_trim(content_encoding), names[i].name))
            return names[i].coding;
    return CODING_UNKNOWN;
}

enum coding head_coding(const struct head *h)
{
    return head_count(h, FIELD_CONTENT_ENCODING) > 1 ? CODING_UNKNOWN
                                                     : coding_of(head_value(h, FIELD_CONTENT_ENCODING));
}

/* --- memory: wiped, and out of the purse ---------------------------------------------------------------- */

static void *taken(void *cookie, size_t octets)
{
    struct decoder *d = cookie;
    void *at = wiped_malloc(octets);

    if (at && (!d->purse || purse_take(&d->purse->memory, wiped_octets(at))))
        return at;
    wiped_free(at);
    d->poor = true;
    return NULL;
}

static void *taken_each(void *cookie, unsigned count, unsigned octets)
{
    return taken(cookie, (size_t)count * octets);
}

static void given(void *cookie, void *at)
{
    const struct decoder *d = cookie;

    if (d->purse)
        purse_give(&d->purse->memory, wiped_octets(at));
    wiped_free(at);
}

/* --- zlib: gzip and deflate ----------------------------------------------------------------------------- */

static enum fault zlib_open(struct decoder *d, int window)
{
    d->by.zlib = (z_stream){.zalloc = taken_each, .zfree = given, .opaque = d};
    if (inflateInit2(&d->by.zlib, window) != Z_OK)
        return FAULT_NO_MEMORY;
    d->open = true;
    return FAULT_NONE;
}

static enum fault gzip_begin(struct decoder *d, uint8_t first)
{
    if (first != 0x1f)
        return FAULT_INVALID;
    if (!d->open)
        return zlib_open(d, 16 + MAX_WBITS);
    return inflateReset(&d->by.zlib) == Z_OK ? FAULT_NONE : FAULT_INVALID;
}

/* zlib's first octet is the method 8 and a window of at most 2^15; in a raw one that would be a stored block, not the last,
 * with padding that is not zero, which no encoder writes. */
static enum fault deflate_begin(struct decoder *d, uint8_t first)
{
    bool wrapped = (first & 0x0f) == Z_DEFLATED && first >> 4 <= MAX_WBITS - 8;

    if (d->open)
        return FAULT_INVALID;
    return zlib_open(d, wrapped ? MAX_WBITS : -MAX_WBITS);
}

static enum fault zlib_step(struct decoder *d, struct slice *in, struct iovec *room)
{
    z_stream *z = &d->by.zlib;
    struct slice now = slice_first(*in, UINT_MAX);
    int code;

    z->next_in = now.at;
    z->avail_in = (unsigned)now.len;
    z->next_out = room->iov_base;
    z->avail_out = room->iov_len < UINT_MAX ? (unsigned)room->iov_len : UINT_MAX;
    code = inflate(z, Z_NO_FLUSH);
    *in = slice_of(z->next_in, in->len - now.len + z->avail_in);
    room->iov_len -= (size_t)(z->next_out - (uint8_t *)room->iov_base);
    return code == Z_STREAM_END                  ? FAULT_END
           : code == Z_OK || code == Z_BUF_ERROR ? FAULT_NONE
                                                 : FAULT_INVALID;
}

static void zlib_close(struct decoder *d)
{
    inflateEnd(&d->by.zlib);
}

/* --- brotli --------------------------------------------------------------------------------------------- */

static enum fault br_begin(struct decoder *d, uint8_t first)
{
    (void)first;
    if (d->open)
        return FAULT_INVALID;
    d->by.br = BrotliDecoderCreateInstance(taken, given, d);
    d->open = d->by.br != NULL;
    return d->open ? FAULT_NONE : FAULT_NO_MEMORY;
}

static enum fault br_step(struct decoder *d, struct slice *in, struct iovec *room)
{
    uint8_t *out = room->iov_base;
    BrotliDecoderResult code =
        BrotliDecoderDecompressStream(d->by.br, &in->len, &in->at, &room->iov_len, &out, NULL);

    return code == BROTLI_DECODER_RESULT_SUCCESS ? FAULT_END
           : code == BROTLI_DECODER_RESULT_ERROR ? FAULT_INVALID
                                                 : FAULT_NONE;
}

static void br_close(struct decoder *d)
{
    BrotliDecoderDestroyInstance(d->by.br);
}

/* --- zstd ----------------------------------------------------------------------------------------------- */

static enum fault zstd_open(struct decoder *d)
{
    d->by.zstd = ZSTD_createDStream_advanced((ZSTD_customMem){taken, given, d});
    d->open = d->by.zstd != NULL;
    if (!d->open)
        return FAULT_NO_MEMORY;
    return ZSTD_isError(ZSTD_DCtx_setParameter(d->by.zstd, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG))
               ? FAULT_SYSTEM
               : FAULT_NONE;
}

/* RFC 8878 s.3.1: a frame, or one of 16 that are skipped. The library alone would also read what was zstd before 0.8, with
 * decoders that know neither our memory nor our window. */
static enum fault zstd_begin(struct decoder *d, uint8_t first)
{
    if (first != 0x28 && (first & 0xf0) != 0x50)
        return FAULT_INVALID;
    return d->open ? FAULT_NONE : zstd_open(d);
}

static enum fault zstd_step(struct decoder *d, struct slice *in, struct iovec *room)
{
    ZSTD_inBuffer from = {in->at, in->len, 0};
    ZSTD_outBuffer to = {room->iov_base, room->iov_len, 0};
    size_t code = ZSTD_decompressStream(d->by.zstd, &to, &from);

    *in = slice_drop(*in, from.pos);
    room->iov_len -= to.pos;
    return ZSTD_isError(code) ? FAULT_INVALID : code == 0 ? FAULT_END : FAULT_NONE;
}

static void zstd_close(struct decoder *d)
{
    ZSTD_freeDStream(d->by.zstd);
}

/* --- all of them ---------------------------------------------------------------------------------------- */

static const struct method methods[CODING_UNKNOWN] = {
    [CODING_GZIP] = {gzip_begin, zlib_step, zlib_close},
    [CODING_DEFLATE] = {deflate_begin, zlib_step, zlib_close},
    [CODING_BR] = {br_begin, br_step, br_close},
    [CODING_ZSTD] = {zstd_begin, zstd_step, zstd_close},
};

enum fault decoder_new(enum coding coding, struct purse *purse, struct decoder **out)
{
    struct decoder first = {.purse = purse};
    struct decoder *d;

    assert(coding > CODING_IDENTITY && coding < CODING_UNKNOWN);
    *out = d = taken(&first, sizeof *d);
    if (!d)
        return FAULT_NO_MEMORY;
    *d = (struct decoder){.method = &methods[coding], .purse = purse};
    return FAULT_NONE;
}

/* What can be done at once. NONE: ${in} is used up, or there is no room any more. */
static enum fault decoder_step(struct decoder *d, struct slice *in, struct buf *out)
{
    struct iovec room = buf_room(out);
    size_t octets = room.iov_len, before = in->len;

    if (!d->inside) {
        TRY(d->method->begin(d, in->at[0]));
        d->inside = true;
    }

    enum fault why = d->method->step(d, in, &room);

    buf_fill(out, octets - room.iov_len);
    d->more = room.iov_len == 0;
    if (why == FAULT_END)
        d->inside = d->more = false;
    else if (why == FAULT_NONE && in->len > 0 && in->len == before && !d->more)
        return FAULT_INVALID; /* no step forward, with octets and with room: it would be none for ever */
    return why;
}

enum fault decoder_feed(struct decoder *d, struct slice in, struct buf *out, size_t *used)
{
    size_t octets = in.len;

    *used = 0;
    if (!in.at)
        in = SLICE("");
    while (d->broken == FAULT_NONE && (in.len > 0 || d->more)) {
        if (buf_room(out).iov_len == 0)
            return FAULT_FULL;

        enum fault why = decoder_step(d, &in, out);

        *used = octets - in.len;
        if (why != FAULT_NONE && why != FAULT_END)
            d->broken = d->poor ? FAULT_NO_MEMORY : why;
    }
    if (d->broken != FAULT_NONE)
        return d->broken;
    return d->inside ? FAULT_NONE : FAULT_END;
}

void decoder_free(struct decoder *d)
{
    if (!d)
        return;

    struct decoder last = {.purse = d->purse};

    if (d->open)
        d->method->close(d);
    given(&last, d);
}

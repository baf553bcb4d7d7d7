#pragma once
#define ZLIB_CONST
#include "coding.h"
#include <brotli/encode.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

/*
 * packing - what the decoders open, made by the encoders of the same libraries.
 */
enum packing { PACK_GZIP, PACK_ZLIB, PACK_RAW, PACK_BR, PACK_ZSTD, PACKINGS };

static const struct {
    const char *name;
    enum coding coding;
    bool checked;  /* it has a checksum of what it says */
    size_t memory; /* what its decoder may take, by the header */
} packing_table[PACKINGS] = {
    [PACK_GZIP] = {"gzip", CODING_GZIP, true, 48 << 10},
    [PACK_ZLIB] = {"zlib", CODING_DEFLATE, true, 48 << 10},
    [PACK_RAW] = {"raw", CODING_DEFLATE, false, 48 << 10},
    [PACK_BR] = {"br", CODING_BR, false, 25 << 20},
    [PACK_ZSTD] = {"zstd", CODING_ZSTD, true, 9017753 /* 8.6 MiB */},
};

static void packing_demand(bool held)
{
    if (!held)
        abort();
}

/* How many octets ${text} takes at most. */
static inline size_t pack_room(size_t text)
{
    return text + text / 64 + 1024;
}

static inline size_t pack_zlib(int window, struct slice text, uint8_t *out, size_t room)
{
    z_stream z = {
        .next_in = text.at, .avail_in = (unsigned)text.len, .next_out = out, .avail_out = (unsigned)room};

    packing_demand(deflateInit2(&z, 6, Z_DEFLATED, window, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    packing_demand(deflate(&z, Z_FINISH) == Z_STREAM_END);
    deflateEnd(&z);
    return room - z.avail_out;
}

static inline size_t pack_zstd(int level, int window_log, struct slice text, uint8_t *out, size_t room)
{
    ZSTD_CCtx *by = ZSTD_createCCtx();
    ZSTD_inBuffer from = {text.at, text.len, 0};
    ZSTD_outBuffer to = {out, room, 0};

    packing_demand(by != NULL);
    ZSTD_CCtx_setParameter(by, ZSTD_c_compressionLevel, level);
    ZSTD_CCtx_setParameter(by, ZSTD_c_checksumFlag, 1);
    if (window_log)
        ZSTD_CCtx_setParameter(by, ZSTD_c_windowLog, window_log);
    packing_demand(ZSTD_compressStream2(by, &to, &from, ZSTD_e_continue) == 0 || from.pos == from.size);
    packing_demand(ZSTD_compressStream2(by, &to, &from, ZSTD_e_end) == 0);
    ZSTD_freeCCtx(by);
    return to.pos;
}

static inline size_t pack_br(int quality, int window_log, struct slice text, uint8_t *out, size_t room)
{
    packing_demand(
        BrotliEncoderCompress(quality, window_log, BROTLI_MODE_GENERIC, text.len, text.at, &room, out));
    return room;
}

/* pack(how, text, out, room): ${text} packed; gives how many octets it is. */
static inline size_t pack(enum packing how, struct slice text, uint8_t *out, size_t room)
{
    switch (how) {
    case PACK_GZIP:
        return pack_zlib(16 + MAX_WBITS, text, out, room);
    case PACK_ZLIB:
        return pack_zlib(MAX_WBITS, text, out, room);
    case PACK_RAW:
        return pack_zlib(-MAX_WBITS, text, out, room);
    case PACK_BR:
        return pack_br(5, 18, text, out, room);
    default:
        return pack_zstd(3, 0, text, out, room);
    }
}

#pragma once
#include "buf.h"
#include "fault.h"
#include "msg.h"
#include "purse.h"
#include "slice.h"

/*
 * coding - content codings: which one a body has, and its octets back to what they were.
 *
 *   Layer   codec.  Uses: zlib, libbrotlidec, libzstd, with memory from wiped.  Used by: unpack.
 *   Why     a token or a value inside a compressed body is found in what it says, not in how it is packed.
 *   Bounds  memory of one decoder at most, windows included, taken from the purse as the library asks for it:
 *               gzip, deflate     48 KiB    (window 32 KiB, RFC 1951)
 *               br                25 MiB    (window 16 MiB, RFC 7932; a large one is built beside a smaller one)
 *               zstd             8.6 MiB    (window 8 MiB, RFC 9659)
 *           A library's working memory is wiped when it frees it. Never looks ahead: an octet that can be given is given.
 *   Source  RFC 9110 s.8.4.1, RFC 1950, 1951, 1952, 7932, 8878, 9659.
 */
enum coding { CODING_IDENTITY, CODING_GZIP, CODING_DEFLATE, CODING_BR, CODING_ZSTD, CODING_UNKNOWN };

/* coding_of(content_encoding): empty is IDENTITY, "x-gzip" GZIP; a list, or any other name, is UNKNOWN. Any case. */
enum coding coding_of(struct slice content_encoding);

/* head_coding(h): what its Content-Encoding says; two such fields are a list. */
enum coding head_coding(const struct head *h);

struct decoder;

/*
 * decoder_new(coding, purse, out): a decoder that awaits the first octet.
 *   Takes   coding  GZIP to ZSTD.  purse  NULL: the memory is not accounted.
 *   Fails   FAULT_NO_MEMORY, also where the purse is too small.
 */
enum fault decoder_new(enum coding coding, struct purse *purse, struct decoder **out) CHECKED;

/*
 * decoder_feed(d, in, out, used): append what becomes of ${in} to ${out}.
 *   Gives   *used octets of ${in} dealt with.
 *   Fails   FAULT_NONE       all of ${in} is used; more must come.
 *           FAULT_FULL       ${out} has no room: drain it, call again with the rest of ${in}, be it empty.
 *           FAULT_END        all of ${in} is used, and what came so far is whole; a gzip member or a zstd frame may follow.
 *           FAULT_INVALID    not of this coding: also a wrong checksum, octets behind the end, a dictionary, a window
 *                            that is larger than above. FAULT_NO_MEMORY. Nothing can follow these two but decoder_free.
 *   deflate is taken with zlib's wrapping (as it must be) and raw (as many send it).
 */
enum fault decoder_feed(struct decoder *d, struct slice in, struct buf *out, size_t *used) CHECKED;

/* decoder_free(d): the windows are wiped, the purse repaid. NULL is harmless. */
void decoder_free(struct decoder *d);

#pragma once
#include "slice.h"

/*
 * h2cut - where one frame ends and the next begins, and nothing else about them.
 *
 *   Layer   codec.  Used by: h2.
 *   Why     nghttp2 tells nothing of frames that it ignores (unknown types, DATA of streams that are gone); they cost too,
 *           so each frame is counted before it is read, and a flood ends in the middle of what came with it.
 *   Bounds  its own few octets.
 *   Source  RFC 9113 s.3.4, s.4.1, s.4.3.
 */
#define H2_FRAME_HEAD 9
#define H2_PREFACE    24

enum { H2_TYPE_HEADERS = 1, H2_TYPE_PRIORITY = 2, H2_TYPE_CONTINUATION = 9, H2_END_HEADERS = 4 };

struct h2_cut {
    size_t preface;              /* octets of a client's preface to come */
    uint8_t head[H2_FRAME_HEAD]; /* of a frame, while it is not whole */
    size_t held;                 /* octets of it */
    size_t left;                 /* octets of payload to come */
    uint32_t stream;             /* that the frame is of */
    bool ends_block;             /* what is read has END_HEADERS */
    bool in_block;               /* a block of fields has begun and is not whole */
};

/*
 * h2_cut_next(c, in, piece, type): the next piece of one frame.
 *   Gives   how many octets of ${in} (not empty) are dealt with.
 *           *piece  octets to be read, of ${in} or of ${c}; none while a frame's head is not whole: nghttp2 1.52 counts each
 *                   piece of a CONTINUATION's head as a CONTINUATION.
 *           *type   of the frame that begins with *piece; -1: none does.
 */
size_t h2_cut_next(struct h2_cut *c, struct slice in, struct slice *piece, int *type);

#pragma once
#include "slice.h"

/*
 * media - what a body is, by its Content-Type.
 *
 *   Layer   codec.
 *   Why     what may be put into a body, and how it is escaped there, depends on it; so does what is never looked into.
 *   Bounds  no memory; linear in the field's value.
 */
enum media {
    MEDIA_TEXT,
    MEDIA_JSON, /* also several in a row, as x-ndjson */
    MEDIA_FORM,
    MEDIA_XML, /* and HTML */
    MEDIA_MULTIPART,
    MEDIA_GRPC,  /* messages in envelopes of 5 octets: a flag, and a big-endian length of 4 */
    MEDIA_BINARY /* octets that are no text */
};

/*
 * media_of(content_type): any case, parameters passed over.
 *   Gives   MEDIA_TEXT for what is not known, for an empty value, and for a multipart without a boundary.
 */
enum media media_of(struct slice content_type);

/*
 * media_boundary(content_type): the parameter boundary, without its quotes, borrowed.
 *   Gives   an empty slice where there is none, where there are two, or where it can't be one.
 *   Source  RFC 2046 s.5.1.1: 1 to MEDIA_BOUNDARY_MAX of bchars, the last one no blank.
 */
#define MEDIA_BOUNDARY_MAX 70
struct slice media_boundary(struct slice content_type);

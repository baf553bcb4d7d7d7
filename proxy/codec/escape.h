#pragma once
#include "buf.h"

/*
 * escape - a value written so that it can stand where it is put.
 *
 *   Layer   codec: octets in, octets out.
 *   Why     a document stays valid, and says exactly the value, whatever octets the value has.
 *   Bounds  an octet becomes at most ESCAPE_MAX; allocates nothing; linear.
 */
enum escape {
    ESCAPE_NONE,
    ESCAPE_JSON,    /* in a string: '"', '\' and C0 (RFC 8259 s.7); other octets as they are */
    ESCAPE_PERCENT, /* all but the unreserved of RFC 3986 s.2.3, upper case: good in a URL and in a form alike */
    ESCAPE_XML      /* & < > " ' */
};
#define ESCAPE_MAX 6

/* escape_octets(how, value): how long ${value} becomes. */
uint64_t escape_octets(enum escape how, struct slice value);

/*
 * escape_pour(how, value, out): append as much of ${value} as ${out} has room for; an octet's escape is never cut.
 *   Gives   how many octets of ${value} are out: all of them, or there was no room for the next one's escape.
 *   Costs   no more of ${value} is looked at than ${out} has room for.
 */
size_t escape_pour(enum escape how, struct slice value, struct buf *out);

#pragma once
#include "slice.h"

/*
 * spelling - the forms in which a host may repeat a value.
 *
 *   Layer   codec: octets in, octets out.
 *   Why     what is sent in a JSON string, a form or a Basic login comes back in the same form, or in that of the
 *           library which writes the answer; those differ in what they escape, so there is one table of them.
 *   Bounds  a spelling is at most SPELLING_MAX times as long as the value; linear; the value is copied nowhere else.
 *
 * As it is; JSON strings (as escape.h; with "\/"; ASCII only; safe in HTML; as .NET writes them); percent-encoded with
 * each of the usual sets of octets left as they are, lower or upper case, blanks as "+"; XML and HTML text; and base64,
 * standard and URL-safe, at the three places a value may have in it: then only the characters that the value alone
 * determines.
 */
#define SPELLING_MAX 6

/* How many there are; the first, 0, is the value as it is. Many are the same for most values. */
#define SPELLINGS 33

/*
 * spelling_write(i, value, into): spelling ${i} of ${value}.
 *   Takes   into  room for it; NULL: it is only measured.
 *   Gives   its octets; 0 where the value can't be spelled so (ASCII for what is no UTF-8).
 */
size_t spelling_write(size_t i, struct slice value, uint8_t *into);

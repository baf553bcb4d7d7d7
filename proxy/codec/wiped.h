#pragma once
#include <stddef.h>

/*
 * wiped - memory that is wiped when it is given back, for libraries that don't.
 *
 *   Layer   codec.  Used by: h2mem, coding.
 *   Why     a library frees what held a value as it is, and malloc would hand it on.
 *   Bounds  no state; each call costs what malloc costs and one pass over what is freed. Whole pages of a large piece are
 *           given to the system instead, which costs nothing for those that were never touched.
 */
void *wiped_malloc(size_t octets);
void *wiped_realloc(void *at, size_t octets);
void wiped_free(void *at);

/* wiped_octets(at): what the piece takes. */
size_t wiped_octets(void *at);

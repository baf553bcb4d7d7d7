#pragma once
#include <stddef.h>

/*
 * shared - memory that this process and those that it forks later have together.
 *
 *   Layer   base.  Used by: metric, mark, census, quota.
 *   Why     workers share nothing but such pages of numbers, and each is made in the same way.
 */

/* shared_open(octets): zeroed, for the life of the process; nobody gives it back. NULL: it can't be had. */
void *shared_open(size_t octets);

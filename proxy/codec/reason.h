#pragma once
#include "slice.h"

/*
 * reason - the reason phrase of a status, for those who read HTTP/1.1 by it.
 *
 *   Layer   codec.
 *   Why     HTTP/2 has none, and some clients take a status line without one for no answer at all.
 *   Source  RFC 9110 s.15, and the registry of status codes.
 */

/* reason_of(status): static; empty where the status is none of the registered ones. */
struct slice reason_of(int status);

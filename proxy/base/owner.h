#pragma once
#include <stddef.h>
#include <stdint.h>

/*
 * owner - from a member back to the struct that it lies in.
 *
 *   Layer   base.
 *   Why     a callback is handed the timer, the link or the wait that it belongs to: the way back is written once.
 */

/* OWNER(at, type, member): the ${type} whose ${member} is at ${at}. */
#define OWNER(at, type, member) ((type *)(void *)((uint8_t *)(at)-offsetof(type, member)))

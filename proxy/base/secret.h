#pragma once
#include "fault.h"
#include "slice.h"

/*
 * secret - values that live only in one locked arena.
 *
 *   Layer   base.
 *   Why     a value never reaches swap, a core file or a log: the memory is locked and left out of dumps, and there
 *           is no accessor that gives the value to code that could print it. It is lent, to a function.
 *   Bounds  the arena grows by locked chunks up to its limit; a lock that fails is a failed allocation (unlike
 *           sodium_malloc, which hides it). A freed value is wiped.
 */
#define SECRET_OCTETS_MAX 65536

struct secret;

/*
 * secret_arena_open(octets): reserve the process' arena; it can't be moved or closed.
 *   Takes   octets   the most it may ever hold; locked only as it is used. Rounded to whole chunks, lowered to what
 *                    RLIMIT_MEMLOCK lets this process lock.
 *   Fails   FAULT_NO_MEMORY when not even the first chunk can be locked.
 *   Costs   after fork the child's arena is empty (zeroed): each process opens its own.
 */
enum fault secret_arena_open(size_t octets) CHECKED;

/* Octets locked so far, octets in use, and the most that these can become. */
size_t secret_arena_locked(void);
size_t secret_arena_used(void);
size_t secret_arena_most(void);

/*
 * secret_new(value, out): a copy of ${value} in the arena. The caller wipes where it came from.
 *   Takes   value   0 to SECRET_OCTETS_MAX octets.
 *   Fails   FAULT_NO_MEMORY; FAULT_INVALID when longer.
 */
enum fault secret_new(struct slice value, struct secret **out) CHECKED;

/* secret_blank(len, out): ${len} zero octets, to be written by secret_fill. */
enum fault secret_blank(size_t len, struct secret **out) CHECKED;

/* secret_table(len, out): as secret_blank, for what is made of many values: up to SECRET_TABLE_MAX octets. */
#define SECRET_TABLE_MAX ((size_t)32 << 20)
enum fault secret_table(size_t len, struct secret **out) CHECKED;

/* secret_fill(s, make, cookie): let ${make} write the value in place; its fault is passed on. */
enum fault secret_fill(struct secret *s, enum fault (*make)(void *cookie, uint8_t *into, size_t len),
                       void *cookie) CHECKED;

/* secret_free(s): wipe and give back. NULL is harmless. */
void secret_free(struct secret *s);

/* The length is not secret: Content-Length tells it anyway. */
size_t secret_len(const struct secret *s);

/* secret_lend(s, use, cookie): call ${use} with the value; the slice must not outlive the call. */
enum fault secret_lend(const struct secret *s, enum fault (*use)(void *cookie, struct slice value),
                       void *cookie) CHECKED;

#pragma once
#include "desk.h"
#include "names.h"

/*
 * nameset - ids in a sorted set of Redis, each with the time at which Redis drops its record.
 *
 *   Layer   program (osbctl).
 *   Why     who looks for all sandboxes, or all of a store, must find each that is there. So a name is written before its
 *           record, and taken out after it; one whose record is gone does no harm, and goes when its time is over.
 */
#define NAMESET_NEVER INT64_MAX /* the record has no end */
#define NAMESET_NONE  (-1)      /* no such name */

/* nameset_add(d, key, id, ends_ms): in, until then at least: never brings an end nearer, so that of two writers the later
 * end stays. */
enum outcome nameset_add(struct desk *d, struct slice key, const char *id, int64_t ends_ms) CHECKED;

/* nameset_ends(d, key, id, out): NAMESET_NEVER, NAMESET_NONE, or when. */
enum outcome nameset_ends(struct desk *d, struct slice key, const char *id, int64_t *out) CHECKED;

enum outcome nameset_drop(struct desk *d, struct slice key, const char *id) CHECKED;

/* nameset_list(d, key, out): all, sorted, each once; names_free() them. */
enum outcome nameset_list(struct desk *d, struct slice key, struct names *out) CHECKED;

/* nameset_tidy(d, key): out with those whose time is over. */
enum outcome nameset_tidy(struct desk *d, struct slice key) CHECKED;

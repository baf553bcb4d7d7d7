#pragma once
#include "desk.h"
#include <jansson.h>

/*
 * print - what a command answers, on stdout: for people lines, with --json one object or array.
 *
 *   Layer   program (osbctl).
 *   Why     verbs build the SDK's JSON; the lines for people are cut from it, so the two can't say different things.
 *   Owns    every function takes its json_t over.
 */

/* print_made(d, object): the id alone. */
void print_made(const struct desk *d, json_t *object);

/* print_quiet(d, object): nothing; only --json shows it. */
void print_quiet(const struct desk *d, json_t *object);

/* print_one(d, object): a line a key, "key TAB value". */
void print_one(const struct desk *d, json_t *object);

/*
 * A list, printed as it comes: print_begin(), print_row() for each in the order wanted, print_end(). A line an element, with
 * --json too, so that nobody need hold thousands.
 *   Takes   columns  the keys that people see; ends with NULL.
 */
struct listing {
    const struct desk *d;
    const char *const *columns;
    size_t rows;
};

void print_begin(const struct desk *d, const char *const *columns, struct listing *out);
void print_row(struct listing *l, json_t *object);
void print_end(struct listing *l);

/* print_list(d, array, columns): all of it, sorted by the first column. */
void print_list(const struct desk *d, json_t *array, const char *const *columns);

/* print_text(d, key, text): ${text} as it is; with --json, an object of that one ${key}. */
void print_text(const struct desk *d, const char *key, const char *text);

/* print_time(ms): RFC 3339; null for 0. */
json_t *print_time(int64_t ms);

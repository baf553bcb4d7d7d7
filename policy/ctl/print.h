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

/* print_list(d, array, columns): a line an element, sorted by the first column. ${columns} ends with NULL. */
void print_list(const struct desk *d, json_t *array, const char *const *columns);

/* print_text(d, key, text): ${text} as it is; with --json, an object of that one ${key}. */
void print_text(const struct desk *d, const char *key, const char *text);

/* print_time(ms): RFC 3339; null for 0. */
json_t *print_time(int64_t ms);

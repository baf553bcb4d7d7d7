#pragma once
#include "chest.h"
#include <sodium.h>

/*
 * backupline - the lines of a backup, each one JSON object.
 *
 *   Layer   program (osbctl).
 *   Why     a backup goes through many hands: what is in it stays sealed, and a line that was cut off, altered or brought
 *           from an older backup shows before anything of it is written.
 *   Bounds  BACKUP_LINE_MAX octets a line.
 *
 *   {"osb":"backup","version":1,"createdAt":"2026-01-01T00:00:00.000Z"}
 *   {"kind":"sandbox","id":ID,"fields":{"policy":TEXT,"tag":BASE64,"ca":BASE64,"value:NAME":BASE64...}}
 *   {"kind":"store",...}                 as in Redis; all sandboxes, then all stores: these are then never the older ones
 *   {"end":COUNT,"seal":BASE64}          a box of nothing over ("osb1 backup", digest of all lines before this one)
 */
#define BACKUP_LINE_MAX ((size_t)16 << 20)

/* What the end says of the lines before it. */
struct backup_sum {
    crypto_hash_sha256_state state;
    size_t count; /* stores and sandboxes */
};

void backup_sum_open(struct backup_sum *s);
void backup_sum_add(struct backup_sum *s, struct slice line); /* its line end included */

/* Written. The texts are the caller's (free), without a line end. Fails OUTCOME_FAILED, said. */
char *backupline_head(const struct desk *d);
enum outcome backupline_chest(struct desk *d, const struct chest *c, char **out) CHECKED;
enum outcome backupline_end(struct desk *d, struct backup_sum *s, char **out) CHECKED;

/*
 * Read: ${line} is of JSON; ${number} is for the message.
 *   Fails   OUTCOME_REFUSED: not in this form; OUTCOME_FAILED: it does not open, with the key's id where that is not held.
 */
enum outcome backupline_head_check(const json_t *line) CHECKED;
enum outcome backupline_chest_open(struct desk *d, const json_t *line, size_t number,
                                   struct chest *out) CHECKED;
enum outcome backupline_end_check(struct desk *d, const json_t *line, struct backup_sum *s) CHECKED;

#pragma once
#include "buf.h"

/*
 * json - appends JSON to a buf: for the audit log and the error answers, which are written per request.
 *
 *   Layer   base.
 *   Why     a tree of nodes per line would be allocation on the hot path; reading JSON is jansson's work.
 *   Bounds  any octets are safe: controls, DEL and everything above ASCII are escaped (octets above ASCII as Latin-1),
 *           so a peer can neither end a line nor colour a terminal.
 *   Fails   every function: FAULT_FULL, with a part written; the caller drops the line.
 */

#define JSON_ESCAPED 6 /* octets that one octet of a text becomes at most */

/* "text" with its quotes; json_octets tells how many octets that will be. */
enum fault json_text(struct buf *out, struct slice text) CHECKED;
size_t json_octets(struct slice text);

/* ,"name":"text" and so on: the comma is left out right behind '{' or '['. */
enum fault json_member_text(struct buf *out, const char *name, struct slice text) CHECKED;
enum fault json_member_number(struct buf *out, const char *name, int64_t number) CHECKED;
enum fault json_member_null(struct buf *out, const char *name) CHECKED;

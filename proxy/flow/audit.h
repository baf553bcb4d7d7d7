#pragma once
#include "ip.h"
#include <ev.h>

/*
 * audit - one JSON object a line for each request and each refused connection.
 *
 *   Layer   flow.
 *   Why     what left, for whom, with which secrets, and what was refused and why.
 *   Bounds  lines of one loop turn go out in one write (to a pipe in whole lines of up to PIPE_BUF octets). A write that
 *           fails or would block is tried again; what finds no room meanwhile is lost whole and counted
 *           (osb_audit_lost_total): a full disk never stops traffic. A line has at most AUDIT_LINE octets: a text that is
 *           longer than its share of them is cut. An empty text is null.
 *   Source  contract section 7: the field names and their order.
 */
#define AUDIT_LINE  8192
#define AUDIT_NAMES 16 /* secrets, and denied tokens, that one line can name */

struct audit_entry {
    struct slice request_id, sandbox, host, method, path; /* path as sent; query and tokens are cut here */
    struct endpoint client, original;                     /* src, dst; original.port 0: dst is null */
    const char *proto, *upstream_proto;                   /* "h1", "h2"; NULL: null */
    int status;                                           /* 0: null */
    enum fault reason; /* NONE: forward; blame POLICY or CLIENT: block; else error */
    struct slice secrets[AUDIT_NAMES], denied[AUDIT_NAMES]; /* names; "unknown" for a token of nobody's */
    size_t secret_count, denied_count;
    uint64_t scrubbed, bytes_in, bytes_out;
    int64_t ms, upstream_ms; /* upstream_ms < 0: null */
};

struct audit;

/*
 * audit_new(loop, target, out): "stdout", "syslog", "off", or a file (appended, made 0640).
 *   Fails   FAULT_SYSTEM: the file can't be opened (diag says why).
 */
enum fault audit_new(struct ev_loop *loop, const char *target, struct audit **out) CHECKED;
void audit_free(struct audit *a); /* writes what is left */
void audit_reopen(struct audit *a);

/* audit_write(a, e): never fails, never blocks; every slice is copied. */
void audit_write(struct audit *a, const struct audit_entry *e);

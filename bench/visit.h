#pragma once
#include "framing.h"
#include "spotter.h"
#include <ev.h>
#include <openssl/ssl.h>

/*
 * visit - one connection to the origin: read a request, answer it, again.
 *
 *   Layer   program (osb-bench).
 *   Bounds  VISIT_TEXT octets of its own; everything long is made of one shared block. Requests are not pipelined: a
 *           client that sends ahead is dropped, and counted.
 */
#define VISIT_TEXT  512
#define VISIT_BLOCK 16384

/* What all visits share. */
struct hall {
    struct ev_loop *loop;
    SSL_CTX *tls;
    struct slice expect; /* empty: nothing is looked for */
    struct slice answer; /* head and body, rendered */
    size_t answer_head;  /* octets of its head */
    bool binary;
    bool keepalive; /* else each connection is closed behind its first answer */
    uint8_t block[VISIT_BLOCK];
    uint64_t connections, active, handshakes, resumed, requests, dropped, octets_in, octets_out, value_seen;
};

/* visit_open(hall, fd): serve ${fd}, close it, free; false: there is no memory, ${fd} is closed. */
bool visit_open(struct hall *hall, int fd);

/* hall_text(h, out, room): the counts as JSON; gives the length. */
size_t hall_text(const struct hall *h, char *out, size_t room);

#pragma once
#include "audit.h"
#include "clock.h"
#include "config.h"
#include "ease.h"
#include "grave.h"
#include "h1.h"
#include "link.h"
#include "resolve.h"
#include "seal.h"
#include "turn.h"
#include "worker.h"
#include <openssl/ssl.h>
#include <sys/queue.h>

/*
 * house - what all rooms of one worker share.
 *
 *   Layer   flow.
 *   Why     one value that is passed down, instead of globals that can't be told apart in a test.
 */
struct who;

/* Which key file was read: keys.c's own. */
struct keys_mark {
    dev_t device;
    ino_t inode;
    off_t octets;
    int64_t changed_s, changed_ns;
};

struct worker {
    struct ev_loop *loop;
    const struct config *config;
    uint8_t ticket_root[32]; /* the seat's */
    struct h1_limits limits;
    struct keyring *keys;
    struct keys_mark keys_read;
    int64_t keys_read_ms,
        keys_told_ms;    /* when the key file was read, and when an unknown key was spoken of */
    SSL_CTX *client_ctx; /* for all upstreams: it holds the roots, and nobody's identity */
    struct resolver *resolver;
    struct audit *audit;
    struct who *who;
    struct grave grave;
    struct turn turn;
    struct eases eases;
    TAILQ_HEAD(conn_list, conn) conns;
    struct links links;
    unsigned conn_count, conn_most; /* this worker's share of max_connections; 0: no limit */
    bool draining;
    uint64_t request_prefix, request_count;   /* request ids: unguessable, and cheap */
    void (*on_store_known)(struct worker *w); /* Redis answers, or does not: each time that this changes */
    void (*on_conn_end)(struct worker *w);    /* a place is free, or the last one has gone */
};

/* The next request's id: 64 bits that don't repeat in this worker, and don't tell how many there were. */
static inline uint64_t worker_request_id(struct worker *w)
{
    return w->request_prefix ^ (++w->request_count * 0x9e3779b97f4a7c15u);
}

#define REQUEST_ID 16 /* octets of its text */

static inline struct slice request_id_text(uint64_t id, char out[static REQUEST_ID])
{
    for (unsigned i = 0; i < REQUEST_ID; i++)
        out[i] = "0123456789abcdef"[id >> (60 - 4 * i) & 15];
    return slice_of(out, REQUEST_ID);
}

/* For ages and waits: a clock that is set (ev_now's) would make a record fresh for ever, or a wait endless. */
static inline int64_t worker_now_ms(const struct worker *w)
{
    (void)w;
    return clock_turn_mono_ms();
}

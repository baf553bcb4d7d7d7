#pragma once
#include "answer.h"
#include "grant.h"
#include "relay.h"
#include "route.h"
#include "scrub.h"
#include "spool.h"
#include "tally.h"
#include "unpack.h"
#include "websocket.h"
#include "who.h"

/*
 * exchange - one request and its answer: joins a client's stream to an upstream's.
 *
 *   Layer   flow.
 *   Why     the corridor of the house: every door (policy, tokens, address, certificate) is passed in one order, whatever
 *           protocols stand at its two ends.
 *   Bounds  a body that must be counted first: as spool; else what the two connections' buffers hold.
 *   Source  contract sections 2 (order), 3 (bodies).
 */
enum exchange_state {
#define STATE(name, meaning) EXCHANGE_##name,
#include "exchange_states.def"
#undef STATE
    EXCHANGE_STATES
};

/* What becomes of a request's body: plan.h has the table. */
enum body_plan { PLAN_NONE, PLAN_VERBATIM, PLAN_STREAM, PLAN_COUNT, PLAN_OPEN };

#define EXCHANGE_METHOD 32
#define EXCHANGE_PATH   1024 /* longer ones are cut in the audit */

/* The client's end, as its connection knows it. */
struct exchange_client {
    struct stream *stream;
    struct sandbox *sandbox;
    const struct host *host; /* of the TLS connection; NULL on plain HTTP: each request names its own */
    uint16_t port;           /* that a Host may name; the port that is dialled */
    struct endpoint from;
    struct endpoint original;   /* port 0: unknown */
    void (*wake)(void *cookie); /* something happened on the upstream's side: step again */
    void *cookie;
};

struct exchange {
    enum exchange_state state;
    struct worker *worker;
    struct exchange_client client;
    struct host host; /* canonical */
    uint64_t id;
    struct record *record; /* held */
    struct grants grants;
    bool looks; /* at bodies that go up: some secret may be put into them, or denied tokens must be seen */
    struct scrubs *scrubs; /* held; NULL: nothing is masked in the answer */
    struct who_wait wait;

    /* The way up: source, then what opens a coded body, then subst; the tally stands for the host while it is counted. */
    struct stream *source; /* the client's stream, or the spool's */
    struct spool spool;
    struct unpack unpacked;
    struct subst subst;
    struct tally tally;
    struct relay up;
    bool held;           /* it is being collected */
    size_t used_by_head; /* of grants.used_count: what a body that is given up did not use */
    uint64_t fills;      /* octets of the head's values once their tokens are replaced; 0: none is */
    struct buf filled;   /* these */
    struct buf saved;    /* the head, where the stream's buffer has no room for it any more */
    enum media media;    /* of the body */
    enum body_plan plan;
    enum coding coding; /* of what is opened: the head may not say it any more */

    /* The way down. */
    struct unpack down_unpacked;
    struct scrub scrub;
    struct relay down;
    struct ease ease; /* of what scrub left over */
    bool eased;       /* it waited long enough */
    uint64_t
        ease_at; /* octets that had come when it was looked at last: where nothing has come, nothing waits anew */
    uint64_t scrubbed; /* values masked so far; of scrub's hits, so many are in it */
    uint64_t scrub_seen;

    struct frames *frames; /* the host switched to WebSocket */
    enum { WRITE_HEAD, WRITE_BODY, WRITE_END, WRITE_DONE } up_at, down_at;
    unsigned interim; /* 1xx responses passed on */
    unsigned retries;
    bool answered;       /* the client has been sent a head: no answer of our own is possible any more */
    bool close;          /* the client's connection must end after this exchange */
    bool upstream_close; /* the upstream's must */
    bool head_only;
    enum fault opened; /* what became of that which the state waits for: AGAIN while it is under way */
    const char *detail;
    const char *upstream_proto; /* NULL: nothing was sent */
    uint32_t retry_after_ms;
    int status;
    uint64_t progress; /* octets moved; grows while anything happens */
    int64_t began_us, sent_us, upstream_us;
    TAILQ_ENTRY(exchange) list; /* of the spare ones */

    /* From here on each member is written at the beginning, and nothing is cleared. */
    char method[EXCHANGE_METHOD],
        path[EXCHANGE_PATH]; /* for the audit, when the stream's buffer has moved on */
    size_t method_len, path_len;
    struct answer_to style; /* how this client wants to be told, likewise */
    struct lease lease;
    struct standing standing; /* of subst */
    struct head request;
};

/* exchange_begin(w, client, request): ${request} is copied; its slices stay the stream's. NULL: out of memory. */
struct exchange *exchange_begin(struct worker *w, const struct exchange_client *client,
                                const struct head *request);

/*
 * exchange_step(x): go on as far as possible. The caller reads and writes the client's connection before and after.
 *   Gives   FAULT_NONE   over: the whole answer is in the client's stream. x->close: its connection must end then.
 *           FAULT_AGAIN  waits for an event.
 *   Fails   any other fault: over, badly. Unless x->answered, the client can still be told.
 */
enum fault exchange_step(struct exchange *x) CHECKED;

/* exchange_scrubbed(x, hits): so many values were masked in its answer, beside what scrub has counted so far. */
void exchange_scrubbed(struct exchange *x, uint64_t hits);

/* exchange_late(x): nothing has moved for too long: whose fault is it? */
enum fault exchange_late(const struct exchange *x);

/*
 * exchange_end(x, why, status): audit, metrics, the upstream given back; the memory too.
 *   Takes   why  NONE or what it failed with; status  what the client was told (0: nothing).
 */
void exchange_end(struct exchange *x, enum fault why, int status);

/* exchange_trim(all): memory that is kept for the next exchanges and was not needed since the last call, or ${all} of it. */
void exchange_trim(bool all);

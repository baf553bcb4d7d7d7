#pragma once
#include "desk.h"
#include "nameset.h"
#include "store.h"

/*
 * chest - one sealed hash of Redis, a store's or a sandbox's: its policy, opened, and its boxes, closed.
 *
 *   Layer   program (osbctl).
 *   Why     both kinds are read, checked, changed and written in one way, so that readers see all of a change or nothing
 *           and concurrent commands lose nothing.
 *   Bounds  CHEST_OCTETS_MAX in all, so that the proxies' limit on a reply (8 MiB) is never met.
 */
#define CHEST_OCTETS_MAX ((size_t)7 << 20)
#define CHEST_BOXES_MAX  (RECORD_SECRETS_MAX + 1)
#define CHEST_GRACE_MS \
    ((int64_t)86400 * 1000) /* an expired record can be looked at, or extended, that long */
#define CHEST_BATCH 128     /* under way at once; fewer where they are large */

struct chest_box {
    char *field; /* "ca" or "value:NAME" */
    uint8_t *at;
    size_t len;
};

struct chest {
    bool sandbox;
    char id[RECORD_ID_MAX + 1];
    json_t *policy;
    struct chest_box boxes[CHEST_BOXES_MAX];
    size_t box_count;
    uint8_t
        was[SEAL_EXTRA]; /* the tag in Redis when it was read, or written: names exactly one state of it */
    size_t was_len;      /* 0: there is none */
};

/* chest_new(sandbox, id, out): an empty one with an empty object as policy. */
void chest_new(bool sandbox, const char *id, struct chest *out);
void chest_close(struct chest *c);

/*
 * chest_read(d, sandbox, id, out): from Redis, the policy's tag and its id checked.
 *   Fails   OUTCOME_NOT_FOUND, which alone is not said: the caller knows what was looked for. OUTCOME_FAILED.
 */
enum outcome chest_read(struct desk *d, bool sandbox, const char *id, struct chest *out) CHECKED;

/*
 * chest_write(d, c, done): tag the policy and write everything, if Redis still holds what ${c} was read with (or nothing,
 * for a new one). Afterwards ${c} stands for what is there now, and can be written again.
 *   Gives   *done  false: overtaken by another; nothing was written, ${c} is of no use any more.
 *   Fails   OUTCOME_REFUSED beyond CHEST_OCTETS_MAX.
 */
enum outcome chest_write(struct desk *d, struct chest *c, bool *done) CHECKED;

/* chest_drop(d, c, done): the record out of Redis, if it is still what ${c} was read with, or written as. */
enum outcome chest_drop(struct desk *d, const struct chest *c, bool *done) CHECKED;

/* chest_read() and chest_write() in halves, for many under way: chest_ask() then chest_take(), chest_swap() then
 * chest_swapped(), the second halves in the order of the first. */
enum outcome chest_ask(struct desk *d, bool sandbox, const char *id) CHECKED;
enum outcome chest_take(struct desk *d, bool sandbox, const char *id, struct chest *out) CHECKED;
enum outcome chest_swap(struct desk *d, struct chest *c) CHECKED;
enum outcome chest_swapped(struct desk *d, bool *done) CHECKED;

/*
 * chest_edit(d, sandbox, id, edit, cookie): read, change, write, until nobody overtakes it.
 *   Takes   edit  sets *changed where there is something to write; may be called again on what others wrote meanwhile. Must
 *               not ask Redis.
 *   Fails   OUTCOME_NOT_FOUND, not said; what ${edit} fails with.
 */
typedef enum outcome edit_fn(struct desk *d, void *cookie, struct chest *c, bool *changed);
enum outcome chest_edit(struct desk *d, bool sandbox, const char *id, edit_fn *edit, void *cookie) CHECKED;

/*
 * chest_each(d, sandbox, ids, n, work): the same for many, CHEST_BATCH under way at a time.
 *   Takes   work  doing  the progress bar's words; NULL: none.
 *                 begin  called after records were read and before they are edited; may ask Redis. May be NULL.
 *                 tell   tell the proxies of each that is there, changed or not: a command that is run again may have died
 *                        between the two.
 *   Fails   the worst of all; one that fails is said and does not stop the rest. An id without a record is no failure.
 */
struct chest_work {
    edit_fn *edit;
    enum outcome (*begin)(struct desk *d, void *cookie);
    void *cookie;
    const char *doing;
    bool tell;
};
enum outcome chest_each(struct desk *d, bool sandbox, const char *const *ids, size_t n,
                        const struct chest_work *work) CHECKED;

/*
 * chest_show(d, sandbox, ids, n, show, cookie): read many, CHEST_BATCH under way at a time; ${show} sees each that opens,
 * in the order of ${ids}. ${show} must not ask Redis.
 *   Fails   as chest_each().
 */
typedef enum outcome show_fn(struct desk *d, void *cookie, struct chest *c);
enum outcome chest_show(struct desk *d, bool sandbox, const char *const *ids, size_t n, show_fn *show,
                        void *cookie) CHECKED;

/* chest_octets(c): of its boxes, about what it takes in memory. */
size_t chest_octets(const struct chest *c);

/* chest_ends_ms(c): when Redis drops the record, for its name in a nameset. */
int64_t chest_ends_ms(const struct chest *c);

/* chest_put(c, field, octets): a box in place of the old one. OUTCOME_REFUSED where there are too many. */
enum outcome chest_put(struct chest *c, const char *field, struct slice octets) CHECKED;
struct slice chest_get(const struct chest *c, const char *field);

/* The policy's own words; "" and 0 where there is none. */
const char *json_text_of(const json_t *object, const char *key);
int64_t json_number_of(const json_t *object, const char *key);

/* chest_touch(d, object): the next version, contract section 8. */
void chest_touch(const struct desk *d, json_t *object);

/* chest_secret(c, name, at): the policy's entry; NULL: none. */
json_t *chest_secret(const struct chest *c, const char *name, size_t *at);
void chest_secret_drop(struct chest *c, size_t at);

/* chest_value_put(d, c, secret, value): seal for this chest and this entry as it stands. chest_value_take: open. */
enum outcome chest_value_put(struct desk *d, struct chest *c, const json_t *secret,
                             const struct secret *value) CHECKED;
enum outcome chest_value_take(struct desk *d, const struct chest *c, const json_t *secret,
                              struct secret **out) CHECKED;

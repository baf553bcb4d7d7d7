#include "sandbox.h"
#include "quota.h"
#include "tlsio.h"
#include <stdlib.h>

/* What one sandbox' bodies may hold of a worker, or one body of the largest kind. */
#define PURSE_MEMORY ((uint64_t)128 << 20)
#define PURSE_DISK   ((uint64_t)1 << 30)
#define PURSE_LOCKED ((uint64_t)16 << 20) /* a quarter of the arena */

static struct purse purse_new(const struct config *config)
{
    uint64_t memory = config->body_memory_octets, disk = config->body_spool_octets;

    return (struct purse){.memory = memory > PURSE_MEMORY ? memory : PURSE_MEMORY,
                          .disk = disk > PURSE_DISK ? disk : PURSE_DISK,
                          .locked = PURSE_LOCKED};
}

/* What hangs on the sandbox' CA: made together, replaced together. */
struct identity {
    struct authority authority;
    struct leafcache *leaves;
    SSL_CTX *server_ctx;
};

static void identity_close(struct identity *i)
{
    authority_close(&i->authority);
    leafcache_free(i->leaves);
    SSL_CTX_free(i->server_ctx);
    *i = (struct identity){0};
}

/* A new sandbox of the same id must not take the old one's tickets: the CA is part of what the keys derive from. */
static enum fault identity_tickets(struct identity *i, const struct worker *w, const struct record *r)
{
    struct buf id = {0};
    struct slice pem = slice_text(r->ca_pem);

    TRY(buf_open(&id, sizeof r->id + 1 + pem.len));
    enum fault why = buf_append(&id, slice_text(r->id));

    if (why == FAULT_NONE)
        why = buf_append(&id, SLICE("\n"));
    if (why == FAULT_NONE)
        why = buf_append(&id, pem);
    if (why == FAULT_NONE)
        why = tlsio_server_tickets(i->server_ctx, slice_of(w->ticket_root, sizeof w->ticket_root),
                                   buf_held(&id));
    buf_close(&id);
    return why;
}

static enum fault identity_open(struct identity *i, const struct worker *w, const struct record *r)
{
    enum fault why = authority_open(slice_text(r->ca_pem), r->ca_key, &i->authority);

    if (why == FAULT_NONE)
        why = leafcache_new(&i->leaves);
    if (why == FAULT_NONE)
        why = tlsio_server_ctx(&i->server_ctx);
    if (why == FAULT_NONE)
        why = identity_tickets(i, w, r);
    if (why != FAULT_NONE)
        identity_close(i);
    return why;
}

static void identity_give(struct sandbox *s, const struct identity *i)
{
    s->authority = i->authority;
    s->leaves = i->leaves;
    s->server_ctx = i->server_ctx;
}

static struct identity identity_of(const struct sandbox *s)
{
    return (struct identity){s->authority, s->leaves, s->server_ctx};
}

enum fault sandbox_new(struct worker *w, struct record *record, struct sandbox **out)
{
    struct identity identity = {0};
    struct sandbox *s = calloc(1, sizeof *s);
    enum fault why = s ? identity_open(&identity, w, record) : FAULT_NO_MEMORY;

    if (why != FAULT_NONE) {
        free(s);
        record_drop(record);
        return why;
    }
    identity_give(s, &identity);
    s->worker = w;
    s->references = 1;
    s->record = record;
    memcpy(s->id, record->id, sizeof s->id);
    s->purse = purse_new(w->config);
    s->quota = quota_slot(slice_text(s->id));
    s->census = census_join(s->id, worker_now_ms(w));
    TAILQ_INIT(&s->members);
    *out = s;
    return FAULT_NONE;
}

/* An end may take other members along, so the list is looked at from its front again after each. */
static void members_end(struct sandbox *s, bool all)
{
    struct member *m = TAILQ_FIRST(&s->members);

    while (m) {
        bool ends = all || (m->from && !record_has_address(s->record, *m->from));

        if (ends)
            m->end(m, FAULT_REVOKED);
        m = ends ? TAILQ_FIRST(&s->members) : TAILQ_NEXT(m, list);
    }
}

enum fault sandbox_update(struct sandbox *s, struct record *record)
{
    bool same_ca = strcmp(record->ca_pem, s->record->ca_pem) == 0;

    if (!same_ca) {
        struct identity fresh = {0}, old = identity_of(s);
        enum fault why = identity_open(&fresh, s->worker, record);

        if (why != FAULT_NONE) {
            record_drop(record);
            return why;
        }
        identity_give(s, &fresh);
        identity_close(&old);
    }
    scrubcache_clear(&s->scrubs);
    record_drop(s->record);
    s->record = record;
    members_end(s, !same_ca);
    return FAULT_NONE;
}

void sandbox_end(struct sandbox *s)
{
    s->ended = true;
    members_end(s, true);
}

void sandbox_join(struct sandbox *s, struct member *m)
{
    TAILQ_INSERT_TAIL(&s->members, m, list);
}

void sandbox_leave(struct sandbox *s, struct member *m)
{
    TAILQ_REMOVE(&s->members, m, list);
}

struct sandbox *sandbox_hold(struct sandbox *s)
{
    s->references++;
    return s;
}

void sandbox_drop(struct sandbox *s)
{
    if (!s || --s->references)
        return;
    struct identity identity = identity_of(s);

    identity_close(&identity);
    scrubcache_clear(&s->scrubs);
    record_drop(s->record);
    free(s);
}

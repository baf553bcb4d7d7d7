#include "response.h"
#include "clock.h"
#include "frames.h"

#define INTERIM_MAX 8

/* --- values in a head ----------------------------------------------------------------------------------- */

static bool head_repeats(const struct scrubs *scrubs, const struct head *h)
{
    for (size_t i = 0; i < h->fields; i++)
        if (scrubs_seen(scrubs, h->field[i].value) || scrubs_seen(scrubs, h->field[i].name))
            return true;
    return scrubs_seen(scrubs, h->reason);
}

/* In ${own}, which is not const: all slices of a saved head point into its buffer. */
static size_t slice_mask(const struct scrubs *scrubs, struct buf *own, struct slice s)
{
    return s.len ? scrubs_mask(scrubs, own->base + (s.at - own->base), s.len) : 0;
}

/* ${h} without values; *hits of them. ${own}: closed; holds what ${h} then points to, where there was one. */
static enum fault head_scrub(const struct exchange *x, struct head *h, struct buf *own, size_t *hits)
{
    *hits = 0;
    if (!x->scrubs || !head_repeats(x->scrubs, h))
        return FAULT_NONE;
    TRY(head_save(h, own));
    *hits = slice_mask(x->scrubs, own, h->reason);
    for (size_t i = 0; i < h->fields; i++) {
        *hits += slice_mask(x->scrubs, own, h->field[i].name);
        *hits += slice_mask(x->scrubs, own, h->field[i].value);
        h->field[i].id = field_identify(h->field[i].name);
    }
    return FAULT_NONE;
}

/* ${write} is the stream's write_head or write_end. */
static enum fault head_write(struct exchange *x, struct head *h,
                             enum fault (*write)(struct stream *, const struct head *))
{
    struct buf own = {0};
    size_t hits;
    enum fault why = head_scrub(x, h, &own, &hits);

    if (why == FAULT_NONE)
        why = write(x->down.to, h);
    buf_close(&own);
    if (why == FAULT_NONE)
        exchange_scrubbed(x, hits);
    return why;
}

/* --- head ----------------------------------------------------------------------------------------------- */

/* 1xx that help the client are passed on, a few of them; others end here. */
static enum fault pass_interim(struct exchange *x, struct head *h)
{
    if (x->interim == INTERIM_MAX)
        return FAULT_UPSTREAM_PROTOCOL;
    if ((h->status == 100 || h->status == 103) && x->request.minor > 0)
        TRY(head_write(x, h, x->down.to->ops->write_head));
    x->interim++;
    x->down.from->ops->commit(x->down.from);
    return FAULT_NONE;
}

static bool has_body(const struct exchange *x, const struct head *h)
{
    return h->body != BODY_NONE && !x->head_only && h->status != 204 && h->status != 304;
}

/* Messages are followed only in an exchange that is gRPC on both sides: nobody else waits for where one ends. */
static enum media answer_media(const struct exchange *x, const struct head *h)
{
    if (x->media != MEDIA_GRPC || h->body != BODY_STREAM)
        return MEDIA_TEXT;
    return media_of(head_value(h, FIELD_CONTENT_TYPE));
}

/* What is looked into must be open, and is then delivered so: what its digests were of is gone. */
static enum fault body_open(struct exchange *x, struct head *h)
{
    enum coding coding = head_coding(h);

    if (!x->scrubs || !has_body(x, h))
        return FAULT_NONE;
    if (coding == CODING_UNKNOWN)
        return FAULT_UPSTREAM_PROTOCOL;
    if (coding != CODING_IDENTITY && !x->down_unpacked.from) {
        TRY(unpack_open(&x->down_unpacked, x->lease.stream, coding, (struct unpack_caps){0, 0},
                        FAULT_UPSTREAM_PROTOCOL, &x->client.sandbox->purse));
        x->down.from = &x->down_unpacked.stream;
    }
    if (coding != CODING_IDENTITY) {
        head_remove(h, TRAIT_CODING | TRAIT_DIGEST);
        h->body = BODY_STREAM;
    }
    scrub_begin(&x->scrub, x->scrubs, answer_media(x, h));
    x->down.filter = &x->scrub.filter;
    return FAULT_NONE;
}

static enum fault pass_final(struct exchange *x, struct head *h)
{
    if (x->upstream_us < 0)
        x->upstream_us = clock_mono_us() - x->sent_us;
    x->upstream_close = h->close;
    TRY(body_open(x, h));
    /* To a 1.0 client a body without a length ends with the connection. */
    x->close = x->close || x->worker->draining || (x->request.minor == 0 && h->body == BODY_STREAM);
    h->close = x->close;
    head_remove(h, TRAIT_DETOUR);
    TRY(head_write(x, h, x->down.to->ops->write_head));
    x->status = h->status;
    x->answered = true;
    x->lease.stream->ops->commit(x->lease.stream);
    x->down_at = WRITE_BODY;
    return FAULT_NONE;
}

/* The host switches to what was asked for, and only to that: RFC 6455 s.4.1. */
static enum fault pass_switch(struct exchange *x, struct head *h)
{
    if (!x->request.websocket || !h->websocket || !websocket_answer_ok(&x->request, h))
        return FAULT_UPSTREAM_PROTOCOL;
    TRY(frames_open(x));
    x->upstream_us = clock_mono_us() - x->sent_us;
    x->close = x->upstream_close = true;
    TRY(head_write(x, h, x->down.to->ops->write_head));
    x->status = h->status;
    x->answered = true;
    x->source->ops->commit(x->source);
    x->lease.stream->ops->commit(x->lease.stream);
    frames_begin(x);
    x->down_at = WRITE_BODY;
    return FAULT_NONE;
}

static enum fault pass_head(struct exchange *x)
{
    struct head h HEAD_UNSET;

    do {
        TRY(x->lease.stream->ops->head(x->lease.stream, &h));
        if (h.status == 101)
            return pass_switch(x, &h);
        /* Something was answered: from here on the request is not sent again. */
        x->source->ops->commit(x->source);
        TRY(h.status < 200 ? pass_interim(x, &h) : pass_final(x, &h));
    } while (h.status < 200);
    return FAULT_NONE;
}

/* --- body and end --------------------------------------------------------------------------------------- */

/* Octets are left over: their time begins when something has come. What was eased stays so until then: there may have been
 * no room for it. */
static void left_watch(struct exchange *x)
{
    if (x->down.carry.base && x->ease_at == x->down.came)
        return;
    x->eased = false;
    x->ease_at = x->down.came;
    if (x->down.carry.base)
        ease_wait(&x->worker->eases, &x->ease);
    else
        ease_cancel(&x->worker->eases, &x->ease);
}

static enum fault pass_body(struct exchange *x)
{
    uint64_t before = x->down.octets;
    enum fault why = relay_body(&x->down);

    left_watch(x);
    if (why == FAULT_AGAIN && x->eased) {
        enum fault eased = relay_ease(&x->down);

        x->eased = eased == FAULT_FULL;
        why = eased == FAULT_NONE ? why : eased;
    }
    x->progress += x->down.octets - before;
    exchange_scrubbed(x, 0);
    if (why != FAULT_END)
        return why;
    x->down_at = WRITE_END;
    return FAULT_NONE;
}

static enum fault pass_end(struct exchange *x)
{
    struct head trailers HEAD_UNSET;

    head_begin(&trailers);
    TRY(x->lease.stream->ops->trailers(x->lease.stream, &trailers));
    TRY(head_write(x, &trailers, x->down.to->ops->write_end));
    x->lease.stream->ops->commit(x->lease.stream);
    x->down_at = WRITE_DONE;
    return FAULT_NONE;
}

enum fault response_pass(struct exchange *x)
{
    if (x->up_at == WRITE_HEAD)
        return FAULT_AGAIN;
    if (x->down_at == WRITE_HEAD)
        TRY(pass_head(x));
    if (x->down_at == WRITE_BODY)
        TRY(pass_body(x));
    return x->down_at == WRITE_END ? pass_end(x) : FAULT_NONE;
}

void response_close(struct exchange *x)
{
    ease_cancel(&x->worker->eases, &x->ease);
    relay_close(&x->down);
    unpack_close(&x->down_unpacked);
    scrubs_drop(x->scrubs);
    x->scrubs = NULL;
}

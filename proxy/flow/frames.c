#include "frames.h"
#include <stdlib.h>

struct frames {
    struct websocket up, down;
};

static enum media message_media(struct slice first)
{
    size_t at = 0;

    while (at < first.len && memchr(" \t\r\n", first.at[at], 4))
        at++;
    return at < first.len && (first.at[at] == '{' || first.at[at] == '[') ? MEDIA_JSON : MEDIA_TEXT;
}

static void up_begins(void *cookie, struct slice first)
{
    struct exchange *x = cookie;

    grants_again(&x->grants, false);
    standing_begin(&x->standing, message_media(first), SLICE_NONE);
    subst_begin(&x->subst, grants_token, &x->grants, &x->standing);
}

static void down_begins(void *cookie, struct slice first)
{
    struct exchange *x = cookie;

    (void)first;
    exchange_scrubbed(x, 0);
    scrub_begin(&x->scrub, x->scrubs, MEDIA_TEXT);
    x->scrub_seen = 0;
}

static void down_control(void *cookie, uint8_t *payload, size_t octets)
{
    struct exchange *x = cookie;

    exchange_scrubbed(x, scrubs_mask(x->scrubs, payload, octets));
}

enum fault frames_open(struct exchange *x)
{
    if (!x->frames)
        x->frames = calloc(1, sizeof *x->frames);
    return x->frames ? FAULT_NONE : FAULT_NO_MEMORY;
}

void frames_begin(struct exchange *x)
{
    struct frames *f = x->frames;

    websocket_begin(&f->up, true, x->looks ? &x->subst.filter : NULL, NULL);
    f->up.begins = up_begins;
    f->up.cookie = x;
    x->up.filter = &f->up.filter;
    websocket_begin(&f->down, false, x->scrubs ? &x->scrub.filter : NULL,
                    x->scrubs ? &x->scrub.filter : NULL);
    if (x->scrubs) {
        f->down.begins = down_begins;
        f->down.control = down_control;
        f->down.cookie = x;
    }
    x->down.filter = &f->down.filter;
    x->client.stream->ops->tunnel(x->client.stream);
    x->lease.stream->ops->tunnel(x->lease.stream);
    x->up_at = WRITE_BODY; /* the request was whole, and goes on */
}

bool frames_over(const struct exchange *x)
{
    return x->frames && x->frames->up.closed && x->frames->down.closed;
}

void frames_close(struct exchange *x)
{
    if (!x->frames)
        return;
    websocket_close(&x->frames->up);
    websocket_close(&x->frames->down);
    free(x->frames);
    x->frames = NULL;
}

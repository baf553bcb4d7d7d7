#include "tell.h"

static struct answer_to tell_what(const struct telling *t)
{
    const struct exchange *x = t->exchange;
    struct answer_to to = x ? x->style : (struct answer_to){0};

    to.fault = t->why;
    to.request_id = t->request_id;
    to.host = host_name(x && x->host.len ? &x->host : t->client->host);
    if (x) {
        to.detail = x->detail;
        to.retry_after_s = (x->retry_after_ms + 999) / 1000;
        to.head_only = x->head_only;
    }
    if (t->why == FAULT_TOO_MANY_CONNECTIONS)
        to.retry_after_s = 1;
    return to;
}

static enum fault tell_body(struct stream *to, struct slice body)
{
    struct buf *out;

    if (body.len == 0)
        return FAULT_NONE;
    if (to->ops->room(to, &out) != FAULT_NONE)
        return FAULT_SYSTEM;
    size_t n = buf_some(out, body);

    to->ops->wrote(to, n);
    return n == body.len ? FAULT_NONE : FAULT_SYSTEM;
}

enum fault tell(const struct telling *t, bool *close)
{
    struct answer_to what = tell_what(t);
    struct stream *to = t->client->stream;
    struct head head HEAD_UNSET;
    struct buf text = {0};
    struct slice body;
    enum fault why;

    TRY(buf_open(&text, ANSWER_OCTETS));
    why = answer_make(&what, &text, &head, &body);
    if (why != FAULT_NONE)
        goto close_text;
    head.close = *close = head.close || *close;
    why = to->ops->write_head(to, &head);
    if (why == FAULT_NONE)
        why = tell_body(to, body);
    if (why == FAULT_NONE && to->ops->write_end(to, NULL) != FAULT_NONE)
        why = FAULT_SYSTEM; /* not FULL: a part is written */
close_text:
    buf_close(&text);
    return why;
}

void tell_audit(const struct worker *w, const struct telling *t, int status)
{
    const struct exchange_client *client = t->client;
    struct audit_entry e = {.request_id = t->request_id,
                            .client = client->from,
                            .original = client->original,
                            .host = host_name(client->host),
                            .status = status,
                            .reason = t->why,
                            .upstream_ms = -1};

    if (client->sandbox) {
        e.sandbox = slice_text(client->sandbox->id);
        sandbox_count(client->sandbox, t->why, 0, 0);
    }
    audit_write(w->audit, &e);
}

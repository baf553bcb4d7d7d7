#include "h1.h"
#include <stdlib.h>

/*
 * A message: cut anywhere it reads the same; what was read and is written reads the same again; no slice of it holds
 * what could begin another line; its body is never longer than its octets.
 * Input: an octet of flags (1: response, 2: of HEAD), an octet of where to cut (in 256ths), the message.
 */
#define OCTETS_MAX 65536

static const struct h1_limits limits = {16384, 64}, again_limits = {65536, MSG_FIELDS_MAX};

struct message {
    bool response, head_only;
    enum fault why; /* of the step that ended it */
    size_t used;
    struct head head, trailers;
    size_t len;
    uint8_t body[OCTETS_MAX];
};

static void must(bool held)
{
    if (!held)
        abort();
}

static void message_read(struct message *m, const struct h1_limits *within, struct slice all, size_t held)
{
    struct h1_reader r = {0};
    enum { HEAD, BODY, TRAILERS } step = HEAD;

    m->used = m->len = m->trailers.fields = 0;
    head_begin(&m->head);
    for (;;) {
        struct slice in = slice_drop(slice_first(all, held), m->used), run = SLICE_NONE;
        size_t used = 0;

        if (step == HEAD)
            m->why = m->response ? h1_read_response(&r, within, in, m->head_only, &m->head, &used)
                                 : h1_read_request(&r, within, in, &m->head, &used);
        else if (step == BODY)
            m->why = h1_body(&r, in, held == all.len, &used, &run);
        else
            m->why = h1_trailers(&r, within, in, &m->trailers, &used);
        must(used + run.len <= in.len);
        if (m->why == FAULT_NONE || step == BODY)
            m->used += used;
        if (m->why == FAULT_AGAIN && held < all.len)
            held = all.len;
        else if (m->why == FAULT_END && step == BODY)
            step = TRAILERS;
        else if (m->why != FAULT_NONE || step == TRAILERS)
            return;
        else
            step = BODY;
        if (run.len > 0)
            memcpy(m->body + m->len, run.at, run.len);
        m->len += run.len;
        m->used += run.len;
        h1_took(&r, run.len);
    }
}

static void fields_same(const struct head *a, const struct head *b)
{
    must(a->fields == b->fields);
    for (size_t i = 0; i < a->fields; i++) {
        must(slice_equal(a->field[i].name, b->field[i].name) && a->field[i].id == b->field[i].id);
        must(slice_equal(a->field[i].value, b->field[i].value));
        must(field_name_ok(a->field[i].name) && field_value_ok(a->field[i].value));
    }
}

/* An empty body may be said in two ways. */
static bool body_same(const struct head *a, const struct head *b)
{
    bool a_none = a->body == BODY_NONE || (a->body == BODY_LENGTH && a->length == 0);
    bool b_none = b->body == BODY_NONE || (b->body == BODY_LENGTH && b->length == 0);

    return a_none || b_none ? a_none == b_none : a->body == b->body && a->length == b->length;
}

static void head_same(const struct head *a, const struct head *b)
{
    fields_same(a, b);
    must(slice_equal(a->method, b->method) && slice_equal(a->target, b->target));
    must(a->status == b->status && slice_equal(a->reason, b->reason));
    must(a->expect_continue == b->expect_continue && a->te_trailers == b->te_trailers);
    must(octets_are(a->method, OCTET_TCHAR) && octets_are(a->target, OCTET_TARGET));
    must(octets_are(a->reason, OCTET_VALUE) && octets_are(a->authority, OCTET_AUTHORITY));
}

/* Write what was read, read it again. */
static void message_return(const struct message *m, struct buf *out)
{
    static struct message again;
    struct h1_writer w;
    struct slice host = m->head.authority.len ? m->head.authority : SLICE("a.test");
    size_t mark, used = 0;
    bool no_body = m->head_only || m->head.status == 304;

    if (m->response)
        must(h1_write_response(&w, &m->head, 1, m->head_only, out) == FAULT_NONE);
    else
        must(h1_write_request(&w, &m->head, host, out) == FAULT_NONE);
    for (used = 0; used < m->len;) {
        struct slice run = slice_first(slice_of(m->body + used, m->len - used), 1000);

        must(h1_chunk_open(&w, out, &mark) == FAULT_NONE && buf_append(out, run) == FAULT_NONE);
        h1_chunk_close(&w, out, mark, run.len);
        used += run.len;
    }
    must(h1_write_end(&w, &m->trailers, out) == FAULT_NONE);
    again.response = m->response;
    again.head_only = m->head_only;
    message_read(&again, &again_limits, buf_held(out), buf_held(out).len);
    must(again.why == FAULT_NONE && again.used == buf_held(out).len);
    head_same(&m->head, &again.head);
    must(m->response || slice_equal(again.head.authority, host));
    must(body_same(&m->head, &again.head) || (no_body && m->head.body != BODY_LENGTH));
    must(m->head.status < 200 || m->head.close == again.head.close);
    must(again.len == m->len && memcmp(again.body, m->body, m->len) == 0);
    fields_same(&m->trailers, &again.trailers);
}

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len)
{
    static struct message whole, cut;
    static struct buf out;
    struct slice in = slice_of(at, len);

    if (len < 2 || len > OCTETS_MAX)
        return 0;
    if (!out.base && buf_open(&out, 4 * OCTETS_MAX) != FAULT_NONE)
        abort();
    whole.response = cut.response = at[0] & 1;
    whole.head_only = cut.head_only = whole.response && at[0] & 2;
    in = slice_drop(in, 2);
    message_read(&whole, &limits, in, in.len);
    message_read(&cut, &limits, in, in.len * at[1] / 256);
    must(whole.why == cut.why && whole.len == cut.len && memcmp(whole.body, cut.body, whole.len) == 0);
    must(whole.len <= in.len);
    if (whole.why != FAULT_NONE)
        return 0;
    must(whole.used == cut.used);
    head_same(&whole.head, &cut.head);
    must(body_same(&whole.head, &cut.head) && whole.head.close == cut.head.close);
    fields_same(&whole.trailers, &cut.trailers);
    message_return(&whole, &out);
    buf_take(&out, buf_held(&out).len);
    return 0;
}

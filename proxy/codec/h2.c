#include "h2.h"
#include "h2mem.h"
#include "h2stream.h"
#include <sodium.h>

#define CONNECTION_WINDOW (16 << 20) /* given back at receipt: only streams hold their senders back */
#define ACKS_MAX          100
#define SETTINGS_MAX      16
#define UPSTREAM_SHARE    4 /* of h2flood's budgets: it serves many clients */
#define URGENCY           3

struct h2stream h2_dismissed;

/* --- lines ---------------------------------------------------------------------------------------------- */

void h2_forget(struct h2 *h, struct h2stream *s)
{
    if (s->ready)
        TAILQ_REMOVE(&h->ready, s, line);
    if (s->starved)
        TAILQ_REMOVE(&h->starved, s, line);
    s->ready = s->starved = false;
}

void h2_ready(struct h2 *h, struct h2stream *s)
{
    if (s->ready)
        return;
    h2_forget(h, s);
    TAILQ_INSERT_TAIL(&h->ready, s, line);
    s->ready = true;
}

enum fault h2_room(struct h2 *h, struct h2stream *s, struct buf **out)
{
    enum fault why = h->owner.room(h->owner.cookie, out);

    if (why == FAULT_FULL) {
        h2_forget(h, s);
        TAILQ_INSERT_TAIL(&h->starved, s, line);
        s->starved = true;
    }
    return why;
}

struct h2stream *h2_next_ready(struct h2 *h)
{
    struct h2stream *s;
    struct buf *out;

    while ((s = TAILQ_FIRST(&h->starved)) && h->owner.room(h->owner.cookie, &out) != FAULT_FULL)
        h2_ready(h, s);
    s = TAILQ_FIRST(&h->ready);
    if (s)
        h2_forget(h, s);
    return s;
}

/* --- callbacks: notes, and nothing else ------------------------------------------------------------------- */

static struct h2stream *stream_of(nghttp2_session *session, int32_t id)
{
    struct h2stream *s = id ? nghttp2_session_get_stream_user_data(session, id) : NULL;

    return s == &h2_dismissed ? NULL : s;
}

static bool dismissed(nghttp2_session *session, int32_t id)
{
    return nghttp2_session_get_stream_user_data(session, id) == &h2_dismissed;
}

static void why_note(struct h2 *h, enum fault why)
{
    if (h->why == FAULT_NONE)
        h->why = why;
}

static enum fault wrong(const struct h2 *h)
{
    return h->role == H2_SERVER ? FAULT_BAD_REQUEST : FAULT_UPSTREAM_PROTOCOL;
}

static enum fault flooded(const struct h2 *h)
{
    return h->role == H2_SERVER ? FAULT_CLIENT_FLOOD : FAULT_UPSTREAM_PROTOCOL;
}

/* A stream that need not have ended did, by the peer's doing. */
static void reset_count(struct h2 *h)
{
    if (!h2_flood_reset(&h->flood, h->now_ms) ||
        (h->owner.reset_granted && !h->owner.reset_granted(h->owner.cookie)))
        why_note(h, flooded(h));
}

static struct h2stream *request_begin(struct h2 *h, nghttp2_session *session, int32_t id)
{
    const nghttp2_extpri alike = {.urgency = URGENCY, .inc = 1};
    struct h2stream *s = h->owner.opened(h->owner.cookie);

    if (!s) {
        (void)nghttp2_session_set_stream_user_data(session, id, &h2_dismissed);
        (void)nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, id, NGHTTP2_REFUSED_STREAM);
        return NULL;
    }
    h2stream_begin(s, h, id);
    (void)nghttp2_session_set_stream_user_data(session, id, s);
    /* Streams take turns: by the client's own word one could starve the others. */
    (void)nghttp2_session_change_extpri_stream_priority(session, id, &alike, 1);
    return s;
}

static enum h2_section section_of(const struct h2 *h, const struct h2stream *s, nghttp2_headers_category cat)
{
    if (cat == NGHTTP2_HCAT_REQUEST)
        return H2_REQUEST;
    if (cat == NGHTTP2_HCAT_RESPONSE || (h->role == H2_CLIENT && s->informational))
        return H2_RESPONSE;
    return H2_TRAILERS;
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *cookie)
{
    struct h2 *h = cookie;
    struct h2stream *s = frame->headers.cat == NGHTTP2_HCAT_REQUEST
                             ? request_begin(h, session, frame->hd.stream_id)
                             : stream_of(session, frame->hd.stream_id);

    if (!s)
        return 0;
    enum h2_section section = section_of(h, s, frame->headers.cat);

    s->informational = false;
    return h2stream_block(s, section) ? 0 : NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags, void *cookie)
{
    struct h2 *h = cookie;
    struct h2stream *s = stream_of(session, frame->hd.stream_id);
    struct h2_fields *f = s ? h2stream_fields(s) : NULL;

    (void)flags;
    if (!f)
        return 0;
    if (f->section == H2_RESPONSE && slice_equal(slice_of(name, name_len), SLICE(":status")))
        s->informational = value_len > 0 && value[0] == '1';
    h2_fields_add(f, h->limits.head, slice_of(name, name_len), slice_of(value, value_len));
    if (!h2_fields_bomb(f, h->limits.head))
        return 0;
    why_note(h, flooded(h));
    return NGHTTP2_ERR_CALLBACK_FAILURE;
}

/* nghttp2 would drop the field and go on. */
static int on_invalid_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                             size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                             void *cookie)
{
    (void)session, (void)frame, (void)name, (void)name_len, (void)value, (void)value_len, (void)flags;
    (void)cookie;
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *at, size_t len,
                   void *cookie)
{
    struct h2 *h = cookie;
    struct h2stream *s = stream_of(session, id);

    (void)flags;
    if (nghttp2_session_consume_connection(session, len) != 0)
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    if (!s)
        return 0;
    if (!h2stream_octets(s, slice_of(at, len))) {
        why_note(h, FAULT_NO_MEMORY);
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    h2_ready(h, s);
    return 0;
}

static void message_frame(struct h2 *h, struct h2stream *s, const nghttp2_frame *frame)
{
    bool ended = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;

    if (frame->hd.type == NGHTTP2_HEADERS) {
        h2stream_block_end(s, ended);
        h2_flood_earn(&h->flood, s->informational ? 0 : H2_EARN_HEAD);
    } else if (frame->hd.length > frame->data.padlen) {
        h2_flood_earn(&h->flood, H2_EARN_CONTENT);
    }
    s->whole_in = s->whole_in || ended;
    h2_ready(h, s);
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *cookie)
{
    struct h2 *h = cookie;
    struct h2stream *s = stream_of(session, frame->hd.stream_id);

    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
    case NGHTTP2_DATA:
        if (s)
            message_frame(h, s, frame);
        break;
    case NGHTTP2_RST_STREAM:
        if (s)
            s->by_peer = true;
        if (s ? !s->sent : !dismissed(session, frame->hd.stream_id))
            reset_count(h);
        break;
    case NGHTTP2_SETTINGS:
        h->greeted = h->greeted || !(frame->hd.flags & NGHTTP2_FLAG_ACK);
        break;
    case NGHTTP2_GOAWAY:
        h->draining = true;
        h->goaway_code = frame->goaway.error_code;
        break;
    default:
        break;
    }
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *cookie)
{
    struct h2 *h = cookie;
    struct h2stream *s = nghttp2_session_get_stream_user_data(session, id);
    bool refused = code == NGHTTP2_REFUSED_STREAM && h->goaway_code == NGHTTP2_HTTP_1_1_REQUIRED;

    if (!s)
        return 0;
    if (h->role == H2_CLIENT && (s == &h2_dismissed || s->live))
        h->live--;
    if (s == &h2_dismissed)
        return 0;
    s->closed = true;
    s->code = refused ? NGHTTP2_HTTP_1_1_REQUIRED : code;
    h2_ready(h, s);
    return 0;
}

static void headers_sent(struct h2 *h, struct h2stream *s, const nghttp2_frame *frame)
{
    s->head_out = true;
    if (frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
        s->live = true;
        h->live++;
    }
}

static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *cookie)
{
    struct h2 *h = cookie;
    struct h2stream *s = stream_of(session, frame->hd.stream_id);

    if (frame->hd.type == NGHTTP2_RST_STREAM && frame->rst_stream.error_code != NGHTTP2_REFUSED_STREAM &&
        !dismissed(session, frame->hd.stream_id))
        reset_count(h); /* none of ours: the peer made nghttp2 do it */
    if (frame->hd.type == NGHTTP2_GOAWAY && frame->goaway.error_code != NGHTTP2_NO_ERROR)
        why_note(h, wrong(h));
    if (!s)
        return 0;
    if (frame->hd.type == NGHTTP2_HEADERS)
        headers_sent(h, s, frame);
    if ((frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) &&
        frame->hd.flags & NGHTTP2_FLAG_END_STREAM) {
        s->sent = true;
        h2_ready(h, s);
    }
    return 0;
}

static int on_frame_not_send(nghttp2_session *session, const nghttp2_frame *frame, int why, void *cookie)
{
    struct h2stream *s = stream_of(session, frame->hd.stream_id);

    (void)why, (void)cookie;
    if (s && frame->hd.type == NGHTTP2_HEADERS)
        s->head_lost = true;
    return 0;
}

/* From the stream's buffer to the link's: nghttp2 sees no octet of a body. */
static int send_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *head, size_t len,
                     nghttp2_data_source *source, void *cookie)
{
    struct h2 *h = cookie;
    struct h2stream *s = stream_of(session, frame->hd.stream_id);

    (void)source;
    if (!s || buf_held(&s->out).len < len)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    if (buf_append(h->out, slice_of(head, H2_FRAME_HEAD)) != FAULT_NONE ||
        buf_append(h->out, slice_first(buf_held(&s->out), len)) != FAULT_NONE)
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    buf_take(&s->out, len);
    if (buf_held(&s->out).len == 0)
        buf_close(&s->out);
    h2_flood_earn(&h->flood, H2_EARN_SENT);
    h2_ready(h, s);
    return 0;
}

/* --- the session ------------------------------------------------------------------------------------------ */

static nghttp2_session_callbacks *callbacks_make(void)
{
    nghttp2_session_callbacks *c;

    if (nghttp2_session_callbacks_new(&c) != 0)
        return NULL;
    nghttp2_session_callbacks_set_on_begin_headers_callback(c, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(c, on_header);
    nghttp2_session_callbacks_set_on_invalid_header_callback(c, on_invalid_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(c, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(c, on_frame_recv);
    nghttp2_session_callbacks_set_on_stream_close_callback(c, on_stream_close);
    nghttp2_session_callbacks_set_on_frame_send_callback(c, on_frame_send);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(c, on_frame_not_send);
    nghttp2_session_callbacks_set_send_data_callback(c, send_data);
    return c;
}

static nghttp2_option *option_make(const struct h2 *h)
{
    nghttp2_option *o;

    if (nghttp2_option_new(&o) != 0)
        return NULL;
    nghttp2_option_set_no_auto_window_update(o, 1);
    nghttp2_option_set_no_closed_streams(o, 1);
    nghttp2_option_set_max_reserved_remote_streams(o, 0);
    nghttp2_option_set_max_outbound_ack(o, ACKS_MAX);
    nghttp2_option_set_max_settings(o, SETTINGS_MAX);
    nghttp2_option_set_max_send_header_block_length(o, 2 * h->limits.head->head_octets + 16384);
    if (h->role == H2_SERVER) /* what upstream echoes must not stay in a table */
        nghttp2_option_set_max_deflate_dynamic_table_size(o, 0);
    return o;
}

/* An upstream's echoes must not stay in our table either, and it has nothing to push. */
static int settings_submit(const struct h2 *h)
{
    const uint32_t list = (uint32_t)h->limits.head->head_octets;
    const nghttp2_settings_entry server[] =
        {
            {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, h->limits.streams},
            {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, list},
            {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
        },
                                 client[] = {
                                     {NGHTTP2_SETTINGS_HEADER_TABLE_SIZE, 0},
                                     {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
                                     {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 0},
                                     {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, list},
                                     {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
                                 };

    return h->role == H2_SERVER ? nghttp2_submit_settings(h->session, NGHTTP2_FLAG_NONE, server,
                                                          sizeof server / sizeof *server)
                                : nghttp2_submit_settings(h->session, NGHTTP2_FLAG_NONE, client,
                                                          sizeof client / sizeof *client);
}

static enum fault session_make(struct h2 *h)
{
    nghttp2_session_callbacks *callbacks = callbacks_make();
    nghttp2_option *option = option_make(h);
    int err = NGHTTP2_ERR_NOMEM;

    if (callbacks && option)
        err = h->role == H2_SERVER ? nghttp2_session_server_new3(&h->session, callbacks, h, option, h2mem())
                                   : nghttp2_session_client_new3(&h->session, callbacks, h, option, h2mem());
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    return err == 0 ? FAULT_NONE : FAULT_NO_MEMORY;
}

enum fault h2_open(struct h2 *h, enum h2_role role, const struct h2_limits *limits,
                   const struct h2_owner *owner, int64_t now_ms)
{
    *h = (struct h2){.role = role, .limits = *limits, .owner = *owner, .now_ms = now_ms};
    TAILQ_INIT(&h->streams);
    TAILQ_INIT(&h->ready);
    TAILQ_INIT(&h->starved);
    h->cut.preface = role == H2_SERVER ? H2_PREFACE : 0;
    h2_flood_begin(&h->flood, role == H2_SERVER ? 1 : UPSTREAM_SHARE, now_ms);
    TRY(session_make(h));
    if (settings_submit(h) == 0 &&
        nghttp2_session_set_local_window_size(h->session, NGHTTP2_FLAG_NONE, 0, CONNECTION_WINDOW) == 0)
        return FAULT_NONE;
    h2_close(h);
    return FAULT_NO_MEMORY;
}

void h2_close(struct h2 *h)
{
    struct h2stream *s;

    if (!h->session)
        return;
    nghttp2_session_del(h->session);
    h->session = NULL;
    h->deaf = h->mute = h->draining = true;
    while ((s = TAILQ_FIRST(&h->streams)))
        h2stream_detach(s);
}

/* --- octets in -------------------------------------------------------------------------------------------- */

void h2_end(struct h2 *h, enum fault why)
{
    uint32_t code = why == FAULT_CLIENT_FLOOD               ? NGHTTP2_ENHANCE_YOUR_CALM
                    : why == wrong(h)                       ? NGHTTP2_PROTOCOL_ERROR
                    : fault_table[why].blame == BLAME_LOCAL ? NGHTTP2_INTERNAL_ERROR
                                                            : NGHTTP2_NO_ERROR;

    why_note(h, why);
    h->deaf = h->draining = true;
    if (h->ending || h->mute)
        return;
    h->ending = true;
    if (nghttp2_session_terminate_session(h->session, code) != 0)
        h2_mute(h, FAULT_NO_MEMORY);
}

void h2_mute(struct h2 *h, enum fault why)
{
    why_note(h, why);
    h->mute = h->deaf = h->draining = true;
}

static enum fault frame_feed(struct h2 *h, struct slice piece)
{
    ssize_t n = nghttp2_session_mem_recv(h->session, piece.at, piece.len);

    if (n >= 0)
        return h->why;
    if (h->why != FAULT_NONE)
        return h->why;
    if (n == NGHTTP2_ERR_NOMEM)
        return FAULT_NO_MEMORY;
    return n == NGHTTP2_ERR_FLOODED || n == NGHTTP2_ERR_TOO_MANY_CONTINUATIONS ? flooded(h) : wrong(h);
}

/* s.5.1.1: a new stream's number is above all before it, so one that was passed over is never begun. nghttp2 passes such
 * HEADERS over; those of streams that were begun may be on their way when we reset these. */
static bool number_ok(struct h2 *h)
{
    uint32_t stream = h->cut.stream, back = (h->newest - stream) / 2;

    if (h->role == H2_CLIENT || stream % 2 == 0)
        return true;
    if (stream <= h->newest)
        return back > 63 || h->begun >> back & 1;
    back = (stream - h->newest) / 2;
    h->begun = (back > 63 ? 0 : h->begun << back) | 1;
    h->newest = stream;
    return true;
}

/* What RFC 9113 calls an error of the connection, and nghttp2 does not. */
static bool frame_ok(struct h2 *h, int type)
{
    return (type != H2_TYPE_PRIORITY || h->cut.stream != 0) && (type != H2_TYPE_HEADERS || number_ok(h));
}

enum fault h2_feed(struct h2 *h, struct slice in, int64_t now_ms)
{
    enum fault why = h->why;

    h->now_ms = now_ms;
    while (in.len > 0 && !h->deaf && why == FAULT_NONE) {
        struct slice piece;
        int type;

        in = slice_drop(in, h2_cut_next(&h->cut, in, &piece, &type));
        if (type >= 0 && !h2_flood_frame(&h->flood, (uint8_t)type, now_ms))
            why = flooded(h);
        else if (type >= 0 && !frame_ok(h, type))
            why = wrong(h);
        if (why == FAULT_NONE && piece.len > 0)
            why = frame_feed(h, piece);
    }
    if (why != FAULT_NONE)
        h2_end(h, why);
    return why;
}

/* --- octets out ------------------------------------------------------------------------------------------- */

/* nghttp2 keeps the memory of a block of fields; what is in it has values. */
static void chunk_wipe(const uint8_t *at, size_t len)
{
    if (len >= H2_FRAME_HEAD && (at[3] == NGHTTP2_HEADERS || at[3] == NGHTTP2_CONTINUATION))
        sodium_memzero((void *)(uintptr_t)at, len);
}

static enum fault chunk_append(struct buf *out, struct slice chunk)
{
    if (chunk.len > buf_free(out))
        TRY(buf_grow(out, buf_held(out).len + 2 * chunk.len + H2_DATA_ROOM));
    enum fault why = buf_append(out, chunk);

    chunk_wipe(chunk.at, chunk.len);
    return why;
}

/* Until nghttp2 has no more, or ${out} no room for a body's octets. */
static enum fault frames_write(struct h2 *h, struct buf *out, bool heads_only)
{
    enum fault why = FAULT_NONE;

    if (h->mute)
        return FAULT_NONE;
    h->out = out;
    h->heads_only = heads_only;
    h->full = false;
    while (why == FAULT_NONE) {
        const uint8_t *at;

        if (!heads_only && buf_free(out) < H2_DATA_ROOM) {
            h->full = true;
            break;
        }
        ssize_t n = nghttp2_session_mem_send(h->session, &at);

        if (n == 0)
            break;
        why = n < 0 ? FAULT_NO_MEMORY : chunk_append(out, slice_of(at, (size_t)n));
    }
    h->out = NULL;
    if (why != FAULT_NONE)
        h2_mute(h, why);
    return why;
}

enum fault h2_write_heads(struct h2 *h, struct buf *out)
{
    return frames_write(h, out, true);
}

enum fault h2_drain(struct h2 *h, struct buf *out)
{
    TRY(frames_write(h, out, false));
    if (h->why != FAULT_NONE && !h->ending) {
        h2_end(h, h->why);
        TRY(frames_write(h, out, false));
    }
    return h->full ? FAULT_FULL : FAULT_NONE;
}

/* --- the connection as a whole ------------------------------------------------------------------------------ */

bool h2_over(const struct h2 *h)
{
    return h->mute || (!nghttp2_session_want_read(h->session) && !nghttp2_session_want_write(h->session));
}

enum fault h2_why(const struct h2 *h)
{
    return h->why;
}

uint32_t h2_slots(const struct h2 *h)
{
    if (h->draining || h->mute || nghttp2_session_get_next_stream_id(h->session) > INT32_MAX)
        return 0;
    uint32_t most = nghttp2_session_get_remote_settings(h->session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);

    most = most < h->limits.streams ? most : h->limits.streams;
    return most > h->live + h->joined ? most - h->live - h->joined : 0;
}

void h2_goaway(struct h2 *h, bool notice)
{
    if (h->mute || h->ending)
        return;
    if (notice) {
        (void)nghttp2_submit_shutdown_notice(h->session);
        return;
    }
    h->draining = true;
    (void)nghttp2_submit_goaway(h->session, NGHTTP2_FLAG_NONE,
                                nghttp2_session_get_last_proc_stream_id(h->session), NGHTTP2_NO_ERROR, NULL,
                                0);
}

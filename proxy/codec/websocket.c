#include "websocket.h"
#include "hop.h"
#include "owner.h"
#include <openssl/evp.h>
#include <sodium.h>

#define KEY_OCTETS    16 /* decoded */
#define KEY_TEXT      24
#define ACCEPT_OCTETS 20 /* of a SHA-1 */
#define GUID          "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

/* --- the handshake --------------------------------------------------------------------------------------- */

/* The one field of this id; empty: none, or several. */
static struct slice field_single(const struct head *h, enum field_id id)
{
    return head_count(h, id) == 1 ? head_value(h, id) : SLICE_NONE;
}

static bool key_ok(struct slice key)
{
    uint8_t octets[KEY_OCTETS];
    size_t n = 0;

    return key.len == KEY_TEXT &&
           sodium_base642bin(octets, sizeof octets, (const char *)key.at, key.len, NULL, &n, NULL,
                             sodium_base64_VARIANT_ORIGINAL) == 0 &&
           n == sizeof octets;
}

bool websocket_asked(const struct head *h)
{
    return slice_equal(h->method, SLICE("GET")) && h->minor == 1 && h->body == BODY_NONE &&
           slice_equal(field_single(h, FIELD_WEBSOCKET_VERSION), SLICE("13")) &&
           key_ok(field_single(h, FIELD_WEBSOCKET_KEY));
}

bool websocket_accepts(struct slice key, struct slice accept)
{
    uint8_t text[KEY_TEXT + sizeof GUID - 1], hash[EVP_MAX_MD_SIZE];
    char want[sodium_base64_ENCODED_LEN(ACCEPT_OCTETS, sodium_base64_VARIANT_ORIGINAL)];

    if (key.len != KEY_TEXT)
        return false;
    memcpy(text, key.at, KEY_TEXT);
    memcpy(text + KEY_TEXT, GUID, sizeof GUID - 1);
    if (EVP_Digest(text, sizeof text, hash, NULL, EVP_sha1(), NULL) != 1)
        return false;
    sodium_bin2base64(want, sizeof want, hash, ACCEPT_OCTETS, sodium_base64_VARIANT_ORIGINAL);
    return slice_equal(accept, slice_text(want));
}

static bool protocol_asked(const struct head *request, struct slice protocol)
{
    for (size_t i = 0; i < request->fields; i++) {
        struct slice list = request->field[i].value, name;

        if (request->field[i].id != FIELD_WEBSOCKET_PROTOCOL)
            continue;
        while (hop_list_next(&list, &name))
            if (slice_equal(name, protocol))
                return true;
    }
    return false;
}

bool websocket_answer_ok(const struct head *request, const struct head *response)
{
    if (!websocket_accepts(field_single(request, FIELD_WEBSOCKET_KEY),
                           field_single(response, FIELD_WEBSOCKET_ACCEPT)) ||
        head_find(response, FIELD_WEBSOCKET_EXTENSIONS))
        return false;
    return !head_find(response, FIELD_WEBSOCKET_PROTOCOL) ||
           protocol_asked(request, field_single(response, FIELD_WEBSOCKET_PROTOCOL));
}

/* --- frames ---------------------------------------------------------------------------------------------- */

enum { MORE = 0, TEXT = 1, BINARY = 2, CLOSE = 8, PING = 9, PONG = 10 }; /* RFC 6455 s.11.8 */

#define FIN      0x80
#define RSV      0x70
#define MASKED   0x80
#define HEAD_MAX 14

struct frame {
    bool final;
    uint8_t opcode;
    uint64_t length;
    uint8_t mask[4]; /* zero: not masked */
    size_t head;     /* octets before the payload */
};

static enum fault outside(const struct websocket *w)
{
    return w->from_client ? FAULT_BAD_REQUEST : FAULT_UPSTREAM_PROTOCOL;
}

static bool opcode_ok(const struct websocket *w, const struct frame *f)
{
    switch (f->opcode) {
    case MORE:
        return w->message != 0;
    case TEXT:
    case BINARY:
        return w->message == 0;
    case CLOSE:
    case PING:
    case PONG:
        return f->final;
    default:
        return false;
    }
}

/* The extended length behind the first two octets: minimal, and below 2^63 (s.5.2). */
static bool length_read(struct slice digits, uint64_t *length)
{
    *length = 0;
    for (size_t i = 0; i < digits.len; i++)
        *length = *length << 8 | digits.at[i];
    return digits.len == 2 ? *length > WEBSOCKET_CONTROL
                           : *length > UINT16_MAX && *length < UINT64_C(1) << 63;
}

/* What a frame says of itself, refused as soon as it can be seen. */
static enum fault frame_read(const struct websocket *w, struct slice in, struct frame *f)
{
    if (in.len == 0)
        return FAULT_AGAIN;
    *f = (struct frame){.final = in.at[0] & FIN, .opcode = in.at[0] & 15};
    if (w->closed || in.at[0] & RSV || !opcode_ok(w, f))
        return outside(w);
    if (in.len < 2)
        return FAULT_AGAIN;
    uint8_t length = in.at[1] & (uint8_t)~MASKED;
    size_t more = length == 126 ? 2 : length == 127 ? 8 : 0, mask = w->from_client ? sizeof f->mask : 0;

    if (!(in.at[1] & MASKED) == w->from_client || (f->opcode >= CLOSE && length > WEBSOCKET_CONTROL) ||
        (f->opcode == CLOSE && length == 1))
        return outside(w);
    f->head = 2 + more + mask;
    f->length = length;
    if (in.len < f->head)
        return FAULT_AGAIN;
    if (more && !length_read(slice_of(in.at + 2, more), &f->length))
        return outside(w);
    if (mask)
        memcpy(f->mask, in.at + 2 + more, mask);
    return FAULT_NONE;
}

/* A frame's first octets, all or none; a client's with a mask that nobody can know before (s.5.3). */
static enum fault head_write(const struct websocket *w, uint8_t first, uint64_t length,
                             uint8_t mask[static 4], struct buf *out)
{
    size_t more = length <= WEBSOCKET_CONTROL ? 0 : length <= UINT16_MAX ? 2 : 8, n = 0;
    uint8_t head[HEAD_MAX];

    head[n++] = first;
    head[n++] = (uint8_t)((w->from_client ? MASKED : 0) | (more == 8 ? 127 : more == 2 ? 126 : length));
    for (; more > 0; more--)
        head[n++] = (uint8_t)(length >> (8 * (more - 1)));
    if (w->from_client) {
        randombytes_buf(mask, 4);
        memcpy(head + n, mask, 4);
        n += 4;
    } else {
        memset(mask, 0, 4);
    }
    return buf_append(out, slice_of(head, n));
}

/* ${n} octets under ${mask}, of which ${phase} have gone by; ${to} may be ${from}. */
static void octets_mask(uint8_t *to, const uint8_t *from, size_t n, const uint8_t mask[static 4],
                        size_t phase)
{
    uint8_t turned[sizeof(uint64_t)];
    uint64_t key, run;
    size_t i = 0;

    for (size_t k = 0; k < sizeof turned; k++)
        turned[k] = mask[(phase + k) % 4];
    memcpy(&key, turned, sizeof key);
    for (; n - i >= sizeof run; i += sizeof run) {
        memcpy(&run, from + i, sizeof run);
        run ^= key;
        memcpy(to + i, &run, sizeof run);
    }
    for (; i < n; i++)
        to[i] = from[i] ^ turned[i % 4];
}

/* As many of the frame's octets as are there and fit, unmasked, into ${to}. */
static size_t payload_take(struct websocket *w, struct slice in, struct buf *to)
{
    struct iovec room = buf_room(to);

    if (room.iov_len == 0 && buf_free(to) > 0) { /* so little that buf_room did not move for it */
        buf_front(to);
        room = buf_room(to);
    }
    size_t n = in.len < room.iov_len ? in.len : room.iov_len;

    if (n > w->left)
        n = (size_t)w->left;
    if (n == 0)
        return 0;
    octets_mask(room.iov_base, in.at, n, w->mask, w->phase);
    buf_fill(to, n);
    w->phase = (uint8_t)((w->phase + n) % 4);
    w->left -= n;
    return n;
}

/* --- what passes as it is -------------------------------------------------------------------------------- */

/* Whole or not at all, since one may stand between the fragments of a message (s.5.5). */
static enum fault control_pass(struct websocket *w, const struct frame *f, struct slice in, struct buf *out,
                               size_t *used)
{
    uint8_t payload[WEBSOCKET_CONTROL], mask[4];
    size_t n = (size_t)f->length;

    if (in.len < f->head + n)
        return FAULT_AGAIN;
    if (buf_free(out) < WEBSOCKET_ROOM)
        return FAULT_FULL;
    octets_mask(payload, in.at + f->head, n, f->mask, 0);
    if (w->control && n > 0)
        w->control(w->cookie, payload, n);
    TRY(head_write(w, FIN | f->opcode, n, mask, out));
    octets_mask(payload, payload, n, mask, 0);
    TRY(buf_append(out, slice_of(payload, n)));
    sodium_memzero(payload, sizeof payload);
    w->closed = f->opcode == CLOSE;
    *used = f->head + n;
    return FAULT_NONE;
}

static void frame_end(struct websocket *w)
{
    w->framed = false;
    if (w->final)
        w->message = 0;
}

static enum fault payload_pass(struct websocket *w, struct slice in, struct buf *out, size_t *used)
{
    *used = payload_take(w, in, out);
    if (w->left == 0)
        frame_end(w);
    else if (*used == 0)
        return in.len == 0 ? FAULT_AGAIN : FAULT_FULL;
    return FAULT_NONE;
}

/* --- what a filter changes ------------------------------------------------------------------------------- */

static enum fault buffers_open(struct websocket *w)
{
    if (!w->payload.base)
        TRY(buf_open(&w->payload, WEBSOCKET_FRAME));
    return w->made.base ? FAULT_NONE : buf_open(&w->made, WEBSOCKET_FRAME);
}

static void buffers_close(struct websocket *w)
{
    if (!buf_held(&w->payload).len)
        buf_close(&w->payload);
    buf_close(&w->made);
}

/* ${made} is a frame of ours. */
static void frame_seal(struct websocket *w, bool final)
{
    w->pour = POUR_HEAD;
    w->sealed = final;
}

static enum fault frame_pour(struct websocket *w, struct buf *out)
{
    struct slice made = buf_held(&w->made);

    if (w->pour == POUR_HEAD) {
        uint8_t mask[4];

        TRY(head_write(w, (uint8_t)((w->sealed ? FIN : 0) | w->opcode), made.len, mask, out));
        octets_mask(w->made.base + w->made.head, made.at, made.len, mask, 0);
        w->opcode = MORE;
        w->pour = POUR_REST;
    }
    for (size_t n = 1; made.len && n > 0; made = buf_held(&w->made)) {
        n = buf_some(out, made);
        buf_take(&w->made, n);
    }
    if (made.len)
        return FAULT_FULL;
    w->pour = POUR_NOTHING;
    if (!w->framed)
        buffers_close(w);
    return FAULT_NONE;
}

/* The frame is whole, and all that can be judged of it is in ${made}. */
static enum fault frame_made(struct websocket *w)
{
    frame_end(w);
    if (w->final && buf_held(&w->payload).len)
        return FAULT_SYSTEM;
    if (w->final || buf_held(&w->made).len)
        frame_seal(w, w->final);
    else
        buffers_close(w);
    return FAULT_NONE;
}

/* The frame is whole, or there is no room for more of it: what can be made of it? */
static enum fault payload_make(struct websocket *w)
{
    bool whole = w->left == 0, last = whole && w->final;
    size_t used = 0;

    if (!buf_held(&w->payload).len && !last)
        return frame_made(w);
    if (!w->begun && w->begins)
        w->begins(w->cookie, buf_held(&w->payload));
    w->begun = true;
    /* What it leaves over must leave room for more. */
    if (w->inside->hold > WEBSOCKET_FRAME / 2)
        TRY(buf_grow(&w->payload, w->inside->hold + WEBSOCKET_FRAME));
    if (!whole && buf_free(&w->payload) > 0)
        return FAULT_NONE;

    enum fault why = w->inside->feed(w->inside, buf_held(&w->payload), last, &w->made, &used);

    if (why != FAULT_NONE && why != FAULT_FULL && why != FAULT_AGAIN)
        return why;
    buf_take(&w->payload, used);
    if (why == FAULT_FULL && buf_held(&w->made).len)
        frame_seal(w, false);
    else if (why == FAULT_FULL || (!whole && used == 0))
        return FAULT_SYSTEM;
    else if (whole)
        return frame_made(w);
    return FAULT_NONE;
}

static enum fault payload_filter(struct websocket *w, struct slice in, size_t *used)
{
    *used = payload_take(w, in, &w->payload);
    if (w->left == 0 || buf_free(&w->payload) == 0)
        return payload_make(w);
    return *used == 0 ? FAULT_AGAIN : FAULT_NONE;
}

/* --- one direction --------------------------------------------------------------------------------------- */

static enum fault frame_begin(struct websocket *w, struct slice in, struct buf *out, size_t *used)
{
    uint8_t ours[4] = {0};
    struct frame f;

    TRY(frame_read(w, in, &f));
    if (f.opcode >= CLOSE)
        return control_pass(w, &f, in, out, used);
    struct filter *inside = f.opcode == TEXT ? w->text : f.opcode == BINARY ? w->binary : w->inside;

    if (inside)
        TRY(buffers_open(w));
    else
        TRY(head_write(w, (uint8_t)((f.final ? FIN : 0) | f.opcode), f.length, ours, out));
    if (f.opcode != MORE) {
        w->message = w->opcode = f.opcode;
        w->begun = false;
    }
    for (size_t i = 0; i < sizeof ours; i++)
        w->mask[i] = f.mask[i] ^ ours[i];
    w->inside = inside;
    w->framed = true;
    w->final = f.final;
    w->left = f.length;
    w->phase = 0;
    *used = f.head;
    return FAULT_NONE;
}

/* One step on: NONE when there is another. */
static enum fault websocket_step(struct websocket *w, struct slice in, struct buf *out, size_t *used)
{
    *used = 0;
    if (w->pour != POUR_NOTHING)
        return frame_pour(w, out);
    if (!w->framed)
        return frame_begin(w, in, out, used);
    return w->inside ? payload_filter(w, in, used) : payload_pass(w, in, out, used);
}

static enum fault websocket_feed(struct filter *f, struct slice in, bool last, struct buf *out, size_t *used)
{
    struct websocket *w = OWNER(f, struct websocket, filter);
    enum fault why = FAULT_NONE;

    *used = w->owed && in.len > 0 ? 1 : 0;
    while (why == FAULT_NONE) {
        size_t n;

        why = websocket_step(w, slice_drop(in, *used), out, &n);
        *used += n;
    }
    w->owed = why == FAULT_FULL && in.len > 0 && *used == in.len;
    if (w->owed)
        *used -= 1;
    if (why != FAULT_AGAIN)
        return why;
    if (last && (w->framed || *used < in.len))
        return w->from_client ? FAULT_CLIENT_GONE : FAULT_UPSTREAM_GONE;
    return FAULT_NONE;
}

void websocket_begin(struct websocket *w, bool from_client, struct filter *text, struct filter *binary)
{
    *w = (struct websocket){
        .filter = {.feed = websocket_feed, .hold = WEBSOCKET_ROOM - 1},
        .text = text,
        .binary = binary,
        .from_client = from_client,
    };
}

void websocket_close(struct websocket *w)
{
    buf_close(&w->payload);
    buf_close(&w->made);
    w->pour = POUR_NOTHING;
}

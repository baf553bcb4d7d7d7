#include "framing.h"

enum state {
    STATE_FIRST,
    STATE_FIELD,
    STATE_BODY,
    STATE_CLOSE,
    STATE_SIZE,
    STATE_CHUNK,
    STATE_CRLF,
    STATE_TRAILER
};

void framing_start(struct framing *f, bool request)
{
    f->request = request;
    f->bodiless = f->close = f->chunked = f->sized = false;
    f->status = 0;
    f->left = 0;
    f->state = STATE_FIRST;
    f->line_len = 0;
    f->first[0] = 0;
}

static enum framing_end first_read(struct framing *f, struct slice line)
{
    uint64_t status;

    memcpy(f->first, line.at, line.len);
    f->first[line.len] = 0;
    f->state = STATE_FIELD;
    if (f->request)
        return FRAMING_MORE;
    if (!slice_starts(line, SLICE("HTTP/1.")) || line.len < 12 || line.at[8] != ' ' ||
        !slice_number(slice_of(line.at + 9, 3), 599, &status) || status < 100)
        return FRAMING_BROKEN;
    f->status = (unsigned)status;
    f->close = line.at[7] == '0';
    return FRAMING_MORE;
}

/* What says how long the body is was read: where does it begin, if there is one? */
static enum framing_end head_end(struct framing *f)
{
    if (!f->request && f->status < 200) {
        framing_start(f, false); /* an interim answer: the real one follows, RFC 9110 s.15.2 */
        return FRAMING_MORE;
    }
    if (f->bodiless || f->status == 204 || f->status == 304)
        return FRAMING_DONE;
    if (f->chunked)
        f->state = STATE_SIZE;
    else if (f->sized && f->left)
        f->state = STATE_BODY;
    else if (f->sized || f->request)
        return FRAMING_DONE;
    else
        f->state = STATE_CLOSE;
    return FRAMING_MORE;
}

static enum framing_end field_read(struct framing *f, struct slice line)
{
    size_t colon = slice_find(line, ':');
    struct slice name = slice_first(line, colon), value = slice_trim(slice_drop(line, colon + 1));

    if (line.len == 0)
        return head_end(f);
    if (slice_equal_nocase(name, SLICE("content-length"))) {
        if (f->sized || !slice_number(value, INT64_MAX, &f->left))
            return FRAMING_BROKEN;
        f->sized = true;
    } else if (slice_equal_nocase(name, SLICE("transfer-encoding"))) {
        f->chunked = slice_equal_nocase(value, SLICE("chunked"));
        if (!f->chunked)
            return FRAMING_BROKEN;
    } else if (slice_equal_nocase(name, SLICE("connection"))) {
        f->close = f->close || slice_equal_nocase(value, SLICE("close"));
    }
    return FRAMING_MORE;
}

static enum framing_end size_read(struct framing *f, struct slice line)
{
    struct slice digits = slice_trim(slice_first(line, slice_find(line, ';')));
    uint64_t size = 0;

    if (digits.len == 0 || digits.len > 12)
        return FRAMING_BROKEN;
    for (size_t i = 0; i < digits.len; i++) {
        uint8_t c = octet_lower(digits.at[i]);
        bool letter = c >= 'a' && c <= 'f';

        if (!letter && (c < '0' || c > '9'))
            return FRAMING_BROKEN;
        size = size << 4 | (uint64_t)(letter ? c - 'a' + 10 : c - '0');
    }
    f->left = size;
    f->state = size ? STATE_CHUNK : STATE_TRAILER;
    return FRAMING_MORE;
}

static enum framing_end crlf_read(struct framing *f, struct slice line)
{
    f->state = STATE_SIZE;
    return line.len ? FRAMING_BROKEN : FRAMING_MORE;
}

static enum framing_end trailer_read(struct framing *f, struct slice line)
{
    (void)f;
    return line.len ? FRAMING_MORE : FRAMING_DONE;
}

static enum framing_end (*const line_read[])(struct framing *, struct slice) = {
    [STATE_FIRST] = first_read, [STATE_FIELD] = field_read,     [STATE_SIZE] = size_read,
    [STATE_CRLF] = crlf_read,   [STATE_TRAILER] = trailer_read,
};

static void line_keep(struct framing *f, struct slice more)
{
    more = slice_first(more, sizeof f->line - f->line_len);
    memcpy(f->line + f->line_len, more.at, more.len);
    f->line_len += more.len;
}

static enum framing_end line_feed(struct framing *f, struct slice in, size_t *used)
{
    size_t lf = slice_find(in, '\n');
    struct slice line;

    if (lf == in.len) {
        line_keep(f, in);
        *used = in.len;
        return FRAMING_MORE;
    }
    *used = lf + 1;
    line = slice_first(slice_first(in, lf), sizeof f->line);
    if (f->line_len) {
        line_keep(f, line);
        line = slice_of(f->line, f->line_len);
        f->line_len = 0;
    }
    if (slice_ends(line, SLICE("\r")))
        line.len--;
    return line_read[f->state](f, line);
}

enum framing_end framing_feed(struct framing *f, struct slice in, size_t *used, struct slice *body)
{
    *body = SLICE_NONE;
    if (f->state == STATE_CLOSE) {
        *body = in;
        *used = in.len;
        return FRAMING_MORE;
    }
    if (f->state != STATE_BODY && f->state != STATE_CHUNK)
        return line_feed(f, in, used);
    *body = f->left < in.len ? slice_first(in, (size_t)f->left) : in;
    *used = body->len;
    f->left -= body->len;
    if (f->left)
        return FRAMING_MORE;
    if (f->state == STATE_BODY)
        return FRAMING_DONE;
    f->state = STATE_CRLF;
    return FRAMING_MORE;
}

enum framing_end framing_close(const struct framing *f)
{
    return f->state == STATE_CLOSE ? FRAMING_DONE : FRAMING_BROKEN;
}

#include "h1.h"
#include "h1lex.h"
#include "hop.h"
#include "websocket.h"
#include <llhttp.h>

/* --- the parser: llhttp's spans become slices ----------------------------------------------------------- */

/* The head lies in one run, so a span that comes in pieces is joined by its ends. */
static int span_join(struct slice *to, const char *at, size_t len)
{
    if (to->len == 0)
        *to = slice_of(at, len);
    else if (to->at + to->len == (const uint8_t *)at)
        to->len += len;
    else
        return HPE_USER;
    return HPE_OK;
}

static int on_method(llhttp_t *parser, const char *at, size_t len)
{
    return span_join(&((struct head *)parser->data)->method, at, len);
}

static int on_target(llhttp_t *parser, const char *at, size_t len)
{
    return span_join(&((struct head *)parser->data)->target, at, len);
}

static int on_reason(llhttp_t *parser, const char *at, size_t len)
{
    return span_join(&((struct head *)parser->data)->reason, at, len);
}

static int on_name(llhttp_t *parser, const char *at, size_t len)
{
    struct head *h = parser->data;

    if (h->fields > 0) {
        struct slice *last = &h->field[h->fields - 1].name;

        if (last->at + last->len == (const uint8_t *)at)
            return span_join(last, at, len);
    }
    if (h->fields == MSG_FIELDS_MAX)
        return HPE_USER;
    h->field[h->fields++] = (struct field){.name = slice_of(at, len)};
    return HPE_OK;
}

static int on_value(llhttp_t *parser, const char *at, size_t len)
{
    struct head *h = parser->data;

    return h->fields > 0 ? span_join(&h->field[h->fields - 1].value, at, len) : HPE_USER;
}

static int on_head(llhttp_t *parser)
{
    (void)parser;
    return HPE_PAUSED; /* bodies are chunk's and our own: llhttp never sees one */
}

static const llhttp_settings_t settings = {
    .on_method = on_method,
    .on_url = on_target,
    .on_status = on_reason,
    .on_header_field = on_name,
    .on_header_value = on_value,
    .on_headers_complete = on_head,
};

/* Two readers must agree on where the head ends and how many fields it has. */
static enum fault head_parse(llhttp_type_t type, struct slice text, size_t lines, struct head *out)
{
    llhttp_t parser;

    llhttp_init(&parser, type, &settings);
    parser.data = out;
    if (llhttp_execute(&parser, (const char *)text.at, text.len) != HPE_PAUSED || out->fields != lines ||
        (const uint8_t *)llhttp_get_error_pos(&parser) != text.at + text.len)
        return FAULT_BAD_REQUEST;
    out->status = parser.status_code;
    out->minor = parser.http_minor;
    return FAULT_NONE;
}

/* --- requests ------------------------------------------------------------------------------------------- */

/* "/path", "*" for OPTIONS, or absolute-form taken apart; nothing else (RFC 9112 s.3.2). */
static enum fault target_settle(struct head *h)
{
    struct slice target = h->target, rest, path;
    size_t scheme;

    if (hop_target_ok(h->method, target))
        return FAULT_NONE;
    scheme = slice_find(target, ':');
    rest = slice_drop(target, scheme);
    if (!slice_starts(rest, SLICE("://")))
        return FAULT_BAD_REQUEST;
    h->scheme = slice_first(target, scheme);
    if (!hop_scheme_ok(h->scheme))
        return FAULT_BAD_REQUEST;
    rest = slice_drop(rest, 3);
    h->authority = slice_first(rest, slice_find(rest, '/'));
    path = slice_drop(rest, h->authority.len);
    /* A query without a path is caught here: '?' is no octet of an authority. */
    if (h->authority.len == 0 || !octets_are(h->authority, OCTET_AUTHORITY))
        return FAULT_BAD_REQUEST;
    h->target = path.len ? path : slice_equal(h->method, SLICE("OPTIONS")) ? SLICE("*") : SLICE("/");
    return FAULT_NONE;
}

/* Blanks around the value, beyond the one SP that everybody writes. The field lay in a whole head, so a CR stands behind its
 * value, or blanks and a CR. */
static bool single_padded(const struct single *s)
{
    const uint8_t *from;

    if (s->value.len == 0)
        return false;
    from = s->name.at + s->name.len + 1;
    return s->value.at[s->value.len] != '\r' ||
           !(s->value.at == from || (s->value.at == from + 1 && *from == ' '));
}

/* A whole head at the front of ${in}, within its limit, whatever lies behind it. */
static enum fault head_hold(struct h1_reader *r, const struct h1_limits *limits, struct slice in,
                            struct slice *text)
{
    struct slice within = slice_first(in, limits->head_octets);
    size_t end;
    enum fault why = h1lex_end(within, &r->looked, &end);

    if (why == FAULT_AGAIN && in.len >= limits->head_octets)
        return slice_find(within, '\n') == within.len ? FAULT_TARGET_TOO_LARGE : FAULT_HEAD_TOO_LARGE;
    TRY(why);
    *text = slice_first(within, end);
    r->looked = 0;
    return FAULT_NONE;
}

static bool lines_too_many(const struct h1_limits *limits, size_t lines)
{
    return lines > limits->fields || lines > MSG_FIELDS_MAX;
}

static void reader_start(struct h1_reader *r, enum body_kind body, uint64_t length)
{
    *r = (struct h1_reader){.body = body, .left = body == BODY_LENGTH ? length : 0};
}

static enum fault request_settle(struct head *h)
{
    struct hop hop;

    TRY(hop_fields(&hop, h));
    if (single_padded(&hop.length) || single_padded(&hop.coding) || single_padded(&hop.host))
        return FAULT_BAD_REQUEST;
    TRY(hop_framing(&hop, h));
    TRY(hop_expect(&hop, h));
    TRY(target_settle(h));
    if (hop.host.count == 0 && h->minor > 0)
        return FAULT_BAD_REQUEST;
    h->websocket = hop_websocket(&hop) && websocket_asked(h);
    if (h->websocket)
        head_remove(h, TRAIT_EXTENDS);
    return hop_host(&hop, h);
}

enum fault h1_read_request(struct h1_reader *r, const struct h1_limits *limits, struct slice in,
                           struct head *out, size_t *used)
{
    size_t empty_line = slice_starts(in, SLICE("\r\n")) ? 2 : 0, lines;
    struct slice text;

    head_begin(out);
    if (slice_equal(in, SLICE("\r")))
        return FAULT_AGAIN;
    TRY(head_hold(r, limits, slice_drop(in, empty_line), &text));
    TRY(h1lex_screen(text, true, &lines));
    if (hop_method_refused(slice_first(text, slice_find(text, ' '))))
        return FAULT_METHOD_NOT_ALLOWED;
    if (lines_too_many(limits, lines))
        return FAULT_HEAD_TOO_LARGE;
    TRY(head_parse(HTTP_REQUEST, text, lines, out));
    TRY(request_settle(out));
    reader_start(r, out->body, out->length);
    r->chunked = out->body == BODY_STREAM;
    *used = empty_line + text.len;
    return FAULT_NONE;
}

/* --- responses ------------------------------------------------------------------------------------------ */

static enum fault response_settle(struct h1_reader *r, enum h1_asked asked, struct head *h)
{
    struct hop hop;
    bool bodiless;

    TRY(hop_fields(&hop, h));
    TRY(hop_framing(&hop, h));
    h->websocket = h->status == 101 && asked == H1_ASKED_WEBSOCKET && hop_websocket(&hop);
    TRY(hop_status(h, asked == H1_ASKED_HEAD, &bodiless));
    reader_start(r, bodiless ? BODY_NONE : h->body, h->length);
    r->chunked = r->body == BODY_STREAM;
    if (!bodiless && h->body == BODY_NONE) {
        r->body = h->body = BODY_STREAM;
        r->until_close = h->close = true;
    }
    return FAULT_NONE;
}

static enum fault response_read(struct h1_reader *r, const struct h1_limits *limits, struct slice in,
                                enum h1_asked asked, struct head *out, size_t *used)
{
    struct slice text;
    size_t lines;

    head_begin(out);
    TRY(head_hold(r, limits, in, &text));
    TRY(h1lex_screen(text, false, &lines));
    if (lines_too_many(limits, lines))
        return FAULT_HEAD_TOO_LARGE;
    TRY(head_parse(HTTP_RESPONSE, text, lines, out));
    TRY(response_settle(r, asked, out));
    *used = text.len;
    return FAULT_NONE;
}

enum fault h1_read_response(struct h1_reader *r, const struct h1_limits *limits, struct slice in,
                            enum h1_asked asked, struct head *out, size_t *used)
{
    enum fault why = response_read(r, limits, in, asked, out, used);

    return why == FAULT_NONE || why == FAULT_AGAIN ? why : FAULT_UPSTREAM_PROTOCOL;
}

/* --- bodies --------------------------------------------------------------------------------------------- */

static enum fault body_plain(struct h1_reader *r, struct slice in, struct slice *run)
{
    if (r->body == BODY_NONE || (r->body == BODY_LENGTH && r->left == 0))
        return FAULT_END;
    if (in.len == 0)
        return FAULT_AGAIN;
    *run = r->until_close || in.len < r->left ? in : slice_first(in, (size_t)r->left);
    return FAULT_NONE;
}

enum fault h1_body(struct h1_reader *r, struct slice in, bool eof, size_t *skip, struct slice *run)
{
    enum fault why = FAULT_END;

    *skip = 0;
    *run = SLICE_NONE;
    if (!r->ended)
        why = r->chunked ? chunk_next(&r->chunk, in, skip, run) : body_plain(r, in, run);
    if (why == FAULT_AGAIN && eof)
        why = r->until_close ? FAULT_END : FAULT_CLIENT_GONE;
    if (why == FAULT_END)
        r->ended = true;
    return why;
}

void h1_took(struct h1_reader *r, size_t n)
{
    if (r->chunked)
        chunk_took(&r->chunk, n);
    else if (r->body == BODY_LENGTH)
        r->left -= n < r->left ? n : r->left;
}

/* ${section} is screened: every line has a colon behind a name. */
static enum fault trailers_parse(struct slice section, struct head *out)
{
    struct slice name, value;

    while (h1lex_next(&section, &name, &value))
        TRY(hop_trailer((struct field){.name = name, .value = value}, out));
    return FAULT_NONE;
}

enum fault h1_trailers(struct h1_reader *r, const struct h1_limits *limits, struct slice in, struct head *out,
                       size_t *used)
{
    out->fields = 0;
    *used = 0;
    if (!r->ended)
        return FAULT_INVALID;
    if (r->chunked) {
        struct slice text;
        size_t lines;
        enum fault why = head_hold(r, limits, in, &text);

        if (why == FAULT_TARGET_TOO_LARGE)
            return FAULT_HEAD_TOO_LARGE;
        TRY(why);
        TRY(h1lex_fields(text, &lines));
        if (lines_too_many(limits, lines))
            return FAULT_HEAD_TOO_LARGE;
        TRY(trailers_parse(text, out));
        *used = text.len;
    }
    reader_start(r, BODY_NONE, 0);
    return FAULT_NONE;
}

#include "h1.h"
#include "h1lex.h"
#include <llhttp.h>

#define LENGTH_MAX  ((UINT64_C(1) << 62) - 1)
#define OPTIONS_MAX 16 /* names of fields that one head's Connection may nominate */

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

/* --- what the fields say about this hop ----------------------------------------------------------------- */

/* A field that may stand once. */
struct single {
    struct slice value;
    unsigned count;
    bool padded; /* blanks around the value, beyond the one SP that everybody writes */
};

struct hop {
    struct single host, length, coding, expect;
    struct slice option[OPTIONS_MAX];
    size_t options;
    bool close, keep_alive;
};

/* ${f} lies in a whole head, so a CR stands behind its value, or blanks and a CR. */
static void single_note(struct single *s, const struct field *f)
{
    const uint8_t *from = f->name.at + f->name.len + 1;

    s->value = f->value;
    s->count++;
    if (f->value.len == 0)
        return;
    s->padded = f->value.at[f->value.len] != '\r' ||
                !(f->value.at == from || (f->value.at == from + 1 && *from == ' '));
}

/* The next element of a list; empty ones are passed over (RFC 9110 s.5.6.1.2). False: none is left. */
static bool list_next(struct slice *list, struct slice *element)
{
    while (list->len > 0) {
        struct slice part = slice_first(*list, slice_find(*list, ','));

        *list = slice_drop(*list, part.len + 1);
        *element = slice_trim(part);
        if (element->len > 0)
            return true;
    }
    return false;
}

static enum fault connection_note(struct hop *hop, struct slice list)
{
    struct slice option;

    while (list_next(&list, &option)) {
        unsigned traits;

        if (!field_name_ok(option))
            return FAULT_BAD_REQUEST;
        traits = field_table[field_identify(option)].traits;
        if (slice_equal_nocase(option, SLICE("close")))
            hop->close = true;
        else if (slice_equal_nocase(option, SLICE("keep-alive")))
            hop->keep_alive = true;
        else if (traits & TRAIT_GUARDED)
            return FAULT_BAD_REQUEST;
        else if (traits & TRAIT_HOP)
            continue;
        else if (hop->options == OPTIONS_MAX)
            return FAULT_BAD_REQUEST;
        else
            hop->option[hop->options++] = option;
    }
    return FAULT_NONE;
}

static void te_note(struct head *h, struct slice list)
{
    struct slice coding;

    while (list_next(&list, &coding))
        if (slice_equal_nocase(coding, SLICE("trailers")))
            h->te_trailers = true;
}

static enum fault field_note(struct hop *hop, struct head *h, const struct field *f)
{
    switch (f->id) {
    case FIELD_HOST:
        single_note(&hop->host, f);
        break;
    case FIELD_CONTENT_LENGTH:
        single_note(&hop->length, f);
        break;
    case FIELD_TRANSFER_ENCODING:
        single_note(&hop->coding, f);
        break;
    case FIELD_EXPECT:
        single_note(&hop->expect, f);
        break;
    case FIELD_CONNECTION:
        return connection_note(hop, f->value);
    case FIELD_TE:
        te_note(h, f->value);
        break;
    case FIELD_UPGRADE:
        h->upgrade = true;
        break;
    default:
        break;
    }
    return FAULT_NONE;
}

static void nominated_remove(const struct hop *hop, struct head *h)
{
    size_t kept = 0;

    for (size_t i = 0; i < h->fields; i++) {
        size_t o = 0;

        while (o < hop->options && !slice_equal_nocase(hop->option[o], h->field[i].name))
            o++;
        if (o == hop->options)
            h->field[kept++] = h->field[i];
    }
    h->fields = kept;
}

/* Raw fields become end-to-end fields; what the others said is in ${hop} and in members of ${h}. */
static enum fault fields_settle(struct hop *hop, struct head *h)
{
    bool dropped = false;

    *hop = (struct hop){0};
    for (size_t i = 0; i < h->fields; i++) {
        struct field *f = &h->field[i];

        f->value = slice_trim(f->value);
        f->id = field_identify(f->name);
        dropped |= field_table[f->id].traits & (TRAIT_HOP | TRAIT_MEMBER);
        TRY(field_note(hop, h, f));
    }
    if (dropped)
        head_remove(h, TRAIT_HOP | TRAIT_MEMBER);
    if (hop->options > 0)
        nominated_remove(hop, h);
    h->close = hop->close || (h->minor == 0 && !hop->keep_alive);
    return FAULT_NONE;
}

/*
 * What frames the body (RFC 9112 s.6.3), where only one reading is possible. Two equal lengths are legal to repair,
 * but upstream might not; a coding besides chunked would have to be undone to be scanned.
 */
static enum fault framing_settle(const struct hop *hop, struct head *h)
{
    struct slice digits = hop->length.value;

    h->body = BODY_NONE;
    if (hop->coding.count > 0) {
        if (hop->coding.count > 1 || hop->length.count > 0 || h->minor == 0 ||
            !slice_equal_nocase(hop->coding.value, SLICE("chunked")))
            return FAULT_BAD_REQUEST;
        h->body = BODY_STREAM;
    } else if (hop->length.count > 0) {
        if (hop->length.count > 1 || !slice_number(digits, LENGTH_MAX, &h->length) ||
            (digits.len > 1 && digits.at[0] == '0'))
            return FAULT_BAD_REQUEST;
        h->body = BODY_LENGTH;
    }
    return FAULT_NONE;
}

/* --- requests ------------------------------------------------------------------------------------------- */

/* "/path", "*" for OPTIONS, or absolute-form taken apart; nothing else (RFC 9112 s.3.2). */
static enum fault target_settle(struct head *h)
{
    struct slice target = h->target, rest, path;
    bool options = slice_equal(h->method, SLICE("OPTIONS"));
    size_t scheme;

    if (slice_starts(target, SLICE("/")))
        return FAULT_NONE;
    if (slice_equal(target, SLICE("*")))
        return options ? FAULT_NONE : FAULT_BAD_REQUEST;
    scheme = slice_find(target, ':');
    rest = slice_drop(target, scheme);
    if (!slice_starts(rest, SLICE("://")))
        return FAULT_BAD_REQUEST;
    h->scheme = slice_first(target, scheme);
    if (!slice_equal_nocase(h->scheme, SLICE("https")) && !slice_equal_nocase(h->scheme, SLICE("http")))
        return FAULT_BAD_REQUEST;
    rest = slice_drop(rest, 3);
    h->authority = slice_first(rest, slice_find(rest, '/'));
    path = slice_drop(rest, h->authority.len);
    /* A query without a path is caught here: '?' is no octet of an authority. */
    if (h->authority.len == 0 || !octets_are(h->authority, OCTET_AUTHORITY))
        return FAULT_BAD_REQUEST;
    h->target = path.len ? path : options ? SLICE("*") : SLICE("/");
    return FAULT_NONE;
}

static enum fault host_settle(const struct single *host, struct head *h)
{
    if (host->count > 1 || (host->count == 0 && h->minor > 0))
        return FAULT_BAD_REQUEST;
    if (host->count == 0)
        return FAULT_NONE;
    if (host->value.len == 0 || host->padded || !octets_are(host->value, OCTET_AUTHORITY))
        return FAULT_BAD_REQUEST;
    if (h->authority.len > 0)
        return slice_equal_nocase(h->authority, host->value) ? FAULT_NONE : FAULT_HOST_MISMATCH;
    h->authority = host->value;
    return FAULT_NONE;
}

/* An expectation that we don't know can't be passed on: nobody here would wait for what it promises. */
static enum fault expect_settle(const struct single *expect, struct head *h)
{
    if (expect->count == 0)
        return FAULT_NONE;
    if (expect->count > 1 || !slice_equal_nocase(expect->value, SLICE("100-continue")))
        return FAULT_BAD_REQUEST;
    /* RFC 9110 s.10.1.1: from a 1.0 client, or without content, it is ignored. */
    h->expect_continue = h->minor > 0 && h->body != BODY_NONE;
    return FAULT_NONE;
}

static bool method_refused(struct slice method)
{
    const struct slice refused[] = {SLICE("CONNECT"), SLICE("TRACE"), SLICE("TRACK")};

    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (slice_equal(method, refused[i]))
            return true;
    return false;
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

    TRY(fields_settle(&hop, h));
    if (hop.length.padded || hop.coding.padded)
        return FAULT_BAD_REQUEST;
    TRY(framing_settle(&hop, h));
    TRY(expect_settle(&hop.expect, h));
    TRY(target_settle(h));
    return host_settle(&hop.host, h);
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
    if (method_refused(slice_first(text, slice_find(text, ' '))))
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

static enum fault response_settle(struct h1_reader *r, bool head_only, struct head *h)
{
    struct hop hop;
    bool bare = h->status < 200 || h->status == 204; /* can have no body, so nothing may frame one */

    /* We ask for no other protocol, so a 101 is nobody's answer. */
    if (h->status < 100 || h->status > 599 || h->status == 101)
        return FAULT_BAD_REQUEST;
    TRY(fields_settle(&hop, h));
    TRY(framing_settle(&hop, h));
    h->upgrade = h->te_trailers = false; /* a response asks for nothing */
    /* "Content-Length: 0" on a 204 is common and can be read in one way only. */
    if (bare && (h->body == BODY_STREAM || (h->body == BODY_LENGTH && (h->length > 0 || h->status != 204))))
        return FAULT_BAD_REQUEST;
    if (bare || head_only || h->status == 304) {
        if (bare || h->body == BODY_STREAM)
            h->body = BODY_NONE;
        reader_start(r, BODY_NONE, 0);
        return FAULT_NONE;
    }
    reader_start(r, h->body, h->length);
    r->chunked = h->body == BODY_STREAM;
    if (h->body == BODY_NONE) {
        r->body = h->body = BODY_STREAM;
        r->until_close = h->close = true;
    }
    return FAULT_NONE;
}

static enum fault response_read(struct h1_reader *r, const struct h1_limits *limits, struct slice in,
                                bool head_only, struct head *out, size_t *used)
{
    struct slice text;
    size_t lines;

    head_begin(out);
    TRY(head_hold(r, limits, in, &text));
    TRY(h1lex_screen(text, false, &lines));
    if (lines_too_many(limits, lines))
        return FAULT_HEAD_TOO_LARGE;
    TRY(head_parse(HTTP_RESPONSE, text, lines, out));
    TRY(response_settle(r, head_only, out));
    *used = text.len;
    return FAULT_NONE;
}

enum fault h1_read_response(struct h1_reader *r, const struct h1_limits *limits, struct slice in,
                            bool head_only, struct head *out, size_t *used)
{
    enum fault why = response_read(r, limits, in, head_only, out, used);

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
    while (section.len > 2) {
        struct slice line = slice_first(section, slice_find(section, '\r'));
        size_t colon = slice_find(line, ':');
        struct field f = {.name = slice_first(line, colon), .value = slice_trim(slice_drop(line, colon + 1))};

        f.id = field_identify(f.name);
        if (field_table[f.id].traits & TRAIT_NO_TRAILER)
            return FAULT_BAD_REQUEST;
        if (!(field_table[f.id].traits & TRAIT_HOP))
            out->field[out->fields++] = f;
        section = slice_drop(section, line.len + 2);
    }
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

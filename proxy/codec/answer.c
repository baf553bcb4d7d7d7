#include "answer.h"
#include "json.h"
#include <stdio.h>

#define HOST_OCTETS   253 /* RFC 1035 s.2.3.4, without the last dot */
#define ID_OCTETS     64
#define DETAIL_OCTETS 160

/* What ANSWER_OCTETS is sized for: the host stands in it four times, the message twice. */
#define MESSAGE_OCTETS 768

/* By who is to blame: the type that an SDK shows, and the reason phrase around the host's name. */
static const struct voice {
    const char *type, *before, *after;
} voice_table[] = {
    [BLAME_NOBODY] = {"proxy_error", "Egress", "is not possible now"},
    [BLAME_CLIENT] = {"invalid_request", "Request", "is refused"},
    [BLAME_POLICY] = {"egress_blocked", "Egress", "is blocked"},
    [BLAME_UPSTREAM] = {"upstream_error", "Egress", "failed"},
    [BLAME_STORE] = {"proxy_error", "Egress", "is not possible now"},
    [BLAME_LOCAL] = {"proxy_error", "Egress", "is not possible now"},
    [BLAME_CALLER] = {"proxy_error", "Egress", "is not possible now"},
};

enum grpc_code { /* gRPC's status codes */
                 GRPC_INVALID_ARGUMENT = 3,
                 GRPC_DEADLINE_EXCEEDED = 4,
                 GRPC_PERMISSION_DENIED = 7,
                 GRPC_RESOURCE_EXHAUSTED = 8,
                 GRPC_FAILED_PRECONDITION = 9,
                 GRPC_UNIMPLEMENTED = 12,
                 GRPC_INTERNAL = 13,
                 GRPC_UNAVAILABLE = 14
};

/* Types of RFC 9209 s.2.3, and what the reader can do about it: whole sentences, for people and agents act on them. */
static const struct counsel {
    const char *proxy_error;
    enum grpc_code grpc;
    const char *advice;
} counsel_table[FAULT_COUNT] = {
    [FAULT_BAD_REQUEST] = {"http_request_error", GRPC_INVALID_ARGUMENT,
                           "The request was not sent on; check how the client builds it."},
    [FAULT_HOST_NOT_ALLOWED] =
        {"http_request_denied", GRPC_PERMISSION_DENIED,
         "Retrying does not help: ask the operator to add the host to the secret store's egress allowlist."},
    [FAULT_ADDRESS_NOT_ALLOWED] =
        {"destination_ip_prohibited", GRPC_PERMISSION_DENIED,
         "Retrying does not help: ask the operator to allow its network (allow_net) if this is meant."},
    [FAULT_TOKEN_DENIED] =
        {"http_request_denied", GRPC_PERMISSION_DENIED,
         "Leave sealed tokens out of this request, or ask the operator about the rules of this proxy."},
    [FAULT_PLAIN_HTTP_DENIED] = {"http_request_denied", GRPC_PERMISSION_DENIED,
                                 "Use the same URL with https:// instead."},
    [FAULT_METHOD_NOT_ALLOWED] = {"http_request_denied", GRPC_UNIMPLEMENTED,
                                  "Connect to the host directly: this proxy needs no proxy settings."},
    [FAULT_REQUEST_TIMEOUT] = {"http_request_error", GRPC_DEADLINE_EXCEEDED,
                               "Send the request again, without pauses."},
    [FAULT_BODY_TOO_LARGE] = {"http_request_error", GRPC_RESOURCE_EXHAUSTED, "Send less in one request."},
    [FAULT_TARGET_TOO_LARGE] = {"http_request_error", GRPC_INVALID_ARGUMENT, "Use a shorter URL."},
    [FAULT_HOST_MISMATCH] = {"http_request_denied", GRPC_PERMISSION_DENIED,
                             "Use a connection of its own for each host, with the host as TLS server name."},
    [FAULT_TOO_MANY_CONNECTIONS] = {"http_request_denied", GRPC_RESOURCE_EXHAUSTED,
                                    "Close or reuse connections, then try again."},
    [FAULT_TOO_MANY_REQUESTS] = {"http_request_denied", GRPC_RESOURCE_EXHAUSTED,
                                 "Wait, then try again more slowly."},
    [FAULT_HEAD_TOO_LARGE] = {"http_request_error", GRPC_RESOURCE_EXHAUSTED,
                              "Send fewer or shorter header fields."},
    [FAULT_UPSTREAM_TLS] = {"tls_protocol_error", GRPC_UNAVAILABLE,
                            "The proxy checks every certificate, whatever the client's own settings are."},
    [FAULT_UPSTREAM_UNREACHABLE] = {"destination_unavailable", GRPC_UNAVAILABLE,
                                    "Check the name, or try again later."},
    [FAULT_UPSTREAM_REFUSED] = {"destination_unavailable", GRPC_UNAVAILABLE, "Try again."},
    [FAULT_UPSTREAM_PROTOCOL] = {"http_protocol_error", GRPC_INTERNAL, "Nothing of the answer was used."},
    [FAULT_SECRET_UNUSABLE] = {"proxy_configuration_error", GRPC_FAILED_PRECONDITION,
                               "Ask the operator to set the secret again, without line breaks."},
    [FAULT_STORE_UNAVAILABLE] = {"proxy_internal_error", GRPC_UNAVAILABLE, "Try again later."},
    [FAULT_OVERLOADED] = {"proxy_internal_error", GRPC_UNAVAILABLE, "Try again later."},
    [FAULT_UPSTREAM_TIMEOUT] = {"http_response_timeout", GRPC_DEADLINE_EXCEEDED, "Try again later."},
    [FAULT_UPSTREAM_GONE] = {"connection_terminated", GRPC_UNAVAILABLE, "Try again."},
    [FAULT_NO_MEMORY] = {"proxy_internal_error", GRPC_UNAVAILABLE, "Try again later."},
    [FAULT_SYSTEM] = {"proxy_internal_error", GRPC_UNAVAILABLE, "Try again later."},
};

/* One answer while it is written. */
struct draft {
    const struct answer_to *to;
    const struct fault_row *row;
    const struct counsel *counsel;
    const struct voice *voice;
    struct slice host, id, detail;
    struct buf *text;
    struct head *head;
    char message[MESSAGE_OCTETS];
    struct slice said; /* the part of message that is written */
};

/* ${s} if it is short and made of visible ASCII (and spaces, where they may be) without the quotes' own characters:
 * it goes into a status line, a quoted string and JSON alike. Else nothing: an answer does without. */
static struct slice harmless(struct slice s, size_t most, uint8_t lowest)
{
    if (s.len > most)
        return SLICE("");
    for (size_t i = 0; i < s.len; i++)
        if (s.at[i] < lowest || s.at[i] > '~' || s.at[i] == '"' || s.at[i] == '\\')
            return SLICE("");
    return s.len ? s : SLICE("");
}

static enum fault put(struct draft *d, const char *text)
{
    return buf_append(d->text, slice_text(text));
}

/* What was written since the text was ${from} octets long. */
static struct slice written(const struct draft *d, size_t from)
{
    return slice_drop(buf_held(d->text), from);
}

static size_t written_octets(const struct draft *d)
{
    return buf_held(d->text).len;
}

static void message_make(struct draft *d)
{
    bool detailed = d->detail.len > 0, named = d->host.len > 0;
    int n = snprintf(d->message, sizeof d->message, "%s%s%.*s%s%s%.*s. %s", d->row->meaning,
                     detailed ? " (" : "", SLICE_PRINTF(d->detail), detailed ? ")" : "", named ? ": " : "",
                     SLICE_PRINTF(d->host), d->counsel->advice);

    d->said = slice_first(slice_of(d->message, sizeof d->message - 1), n > 0 ? (size_t)n : 0);
}

/* wget, apt and pip show nothing but this. */
static enum fault reason_make(struct draft *d)
{
    size_t from = written_octets(d);

    TRY(put(d, d->voice->before));
    if (d->host.len) {
        TRY(put(d, " to "));
        TRY(buf_append(d->text, d->host));
    }
    TRY(put(d, " "));
    TRY(put(d, d->voice->after));
    TRY(put(d, " ("));
    TRY(put(d, d->row->code));
    TRY(put(d, ")"));
    d->head->reason = written(d, from);
    return FAULT_NONE;
}

/* RFC 9209 s.2: osb; error=TYPE; details="CODE: which check failed" */
static enum fault proxy_status_add(struct draft *d)
{
    size_t from = written_octets(d);

    TRY(put(d, "osb; error="));
    TRY(put(d, d->counsel->proxy_error));
    TRY(put(d, "; details=\""));
    TRY(put(d, d->row->code));
    if (d->detail.len) {
        TRY(put(d, ": "));
        TRY(buf_append(d->text, d->detail));
    }
    TRY(put(d, "\""));
    return head_add(d->head, FIELD_PROXY_STATUS, written(d, from));
}

static enum fault number_put(struct draft *d, unsigned number, struct slice *out)
{
    char digits[16];
    size_t from = written_octets(d);
    int n = snprintf(digits, sizeof digits, "%u", number);

    TRY(buf_append(d->text, slice_of(digits, (size_t)n)));
    *out = written(d, from);
    return FAULT_NONE;
}

static enum fault fields_add(struct draft *d)
{
    struct slice wait;

    TRY(head_add(d->head, FIELD_CACHE_CONTROL, SLICE("no-store")));
    TRY(head_add(d->head, FIELD_X_OSB_ERROR, slice_text(d->row->code)));
    if (d->id.len) {
        size_t from = written_octets(d);

        TRY(buf_append(d->text, d->id));
        TRY(head_add(d->head, FIELD_X_REQUEST_ID, written(d, from)));
    }
    TRY(proxy_status_add(d));
    if (d->to->retry_after_s) {
        TRY(number_put(d, d->to->retry_after_s, &wait));
        return head_add(d->head, FIELD_RETRY_AFTER, wait);
    }
    if (d->row->blame == BLAME_POLICY)
        return head_add(d->head, FIELD_X_SHOULD_RETRY, SLICE("false"));
    return FAULT_NONE;
}

/* A field that no rule names, so field.def doesn't hold it. */
static void field_add(struct head *h, struct slice name, struct slice value)
{
    h->field[h->fields++] = (struct field){.name = name, .value = value, .id = FIELD_OTHER};
}

/* gRPC over HTTP/2, Status-Message: percent-encoded but for 0x20 to 0x7E without '%'. */
static enum fault percent_put(struct draft *d, struct slice s)
{
    static const char hex[] = "0123456789ABCDEF";

    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = s.at[i];
        const char escaped[3] = {'%', hex[c >> 4], hex[c & 15]};
        bool plain = c >= 0x20 && c <= 0x7e && c != '%';

        TRY(buf_append(d->text, plain ? slice_of(s.at + i, 1) : slice_of(escaped, sizeof escaped)));
    }
    return FAULT_NONE;
}

static enum fault grpc_make(struct draft *d)
{
    struct slice code;

    d->head->status = 200;
    d->head->reason = SLICE("OK");
    TRY(head_add(d->head, FIELD_CONTENT_TYPE, SLICE("application/grpc")));
    TRY(number_put(d, d->counsel->grpc, &code));
    field_add(d->head, SLICE("grpc-status"), code);

    size_t from = written_octets(d);

    TRY(percent_put(d, d->said));
    field_add(d->head, SLICE("grpc-message"), written(d, from));
    return FAULT_NONE;
}

static enum fault plain_make(struct draft *d)
{
    TRY(head_add(d->head, FIELD_CONTENT_TYPE, SLICE("text/plain; charset=utf-8")));
    TRY(buf_append(d->text, d->said));
    TRY(put(d, "\n"));
    TRY(put(d, d->voice->type));
    TRY(put(d, ": "));
    TRY(put(d, d->row->code));
    if (d->id.len) {
        TRY(put(d, ", request "));
        TRY(buf_append(d->text, d->id));
    }
    return put(d, "\n");
}

static enum fault json_make(struct draft *d)
{
    struct buf *out = d->text;

    TRY(head_add(d->head, FIELD_CONTENT_TYPE, SLICE("application/json")));
    TRY(put(d, "{\"error\":{"));
    TRY(json_member_text(out, "type", slice_text(d->voice->type)));
    TRY(json_member_text(out, "code", slice_text(d->row->code)));
    TRY(json_member_text(out, "message", d->said));
    TRY(put(d, "}"));
    TRY(json_member_text(out, "message", d->said));
    TRY(d->host.len ? json_member_text(out, "host", d->host) : json_member_null(out, "host"));
    TRY(d->id.len ? json_member_text(out, "request_id", d->id) : json_member_null(out, "request_id"));
    return put(d, "}\n");
}

static enum fault body_make(struct draft *d, struct slice *body)
{
    size_t from;

    if (d->to->grpc) {
        d->head->body =
            BODY_NONE; /* with a body, even of no octets, an h2 answer would not be trailers-only */
        return grpc_make(d);
    }
    d->head->body = BODY_LENGTH;
    from = written_octets(d);
    TRY(d->to->plain ? plain_make(d) : json_make(d));
    *body = written(d, from);
    d->head->length = body->len;
    if (d->to->head_only)
        body->len = 0;
    return FAULT_NONE;
}

enum fault answer_make(const struct answer_to *to, struct buf *text, struct head *out, struct slice *body)
{
    /* A fault below HTTP has no status of its own; if one gets here, it is this house's trouble. */
    enum fault fault =
        fault_table[to->fault].status && counsel_table[to->fault].advice ? to->fault : FAULT_SYSTEM;
    struct draft d = {
        .to = to,
        .row = &fault_table[fault],
        .counsel = &counsel_table[fault],
        .voice = &voice_table[fault_table[fault].blame],
        .host = harmless(to->host, HOST_OCTETS, '!'),
        .id = harmless(to->request_id, ID_OCTETS, '!'),
        .detail = harmless(slice_text(to->detail), DETAIL_OCTETS, ' '),
        .text = text,
        .head = out,
    };

    head_begin(out);
    *body = SLICE_NONE;
    out->status = d.row->status;
    out->minor = 1;
    /* What follows in the stream can't be told apart from what was refused (RFC 9112 s.9.6). */
    out->close = d.row->blame == BLAME_CLIENT;
    message_make(&d);
    TRY(reason_make(&d));
    TRY(fields_add(&d));
    return body_make(&d, body);
}

/* The media type of one member of Accept, or of Content-Type: what stands before its parameters. */
static struct slice media_type(struct slice member)
{
    return slice_trim(slice_first(member, slice_find(member, ';')));
}

enum wish { WISH_NONE, WISH_PLAIN, WISH_JSON };

/* Which is named first? Quality values don't matter: nobody names both and means the later one. */
static enum wish accept_wish(struct slice accept)
{
    while (accept.len) {
        struct slice member = slice_first(accept, slice_find(accept, ','));
        struct slice type = media_type(member);

        if (slice_equal_nocase(type, SLICE("text/plain")))
            return WISH_PLAIN;
        if (slice_equal_nocase(type, SLICE("application/json")))
            return WISH_JSON;
        accept = slice_drop(accept, member.len + 1);
    }
    return WISH_NONE;
}

void answer_style(const struct head *request, struct answer_to *to)
{
    const struct field *agent = head_find(request, FIELD_USER_AGENT);
    const struct field *type = head_find(request, FIELD_CONTENT_TYPE);
    struct slice grpc = SLICE("application/grpc");
    enum wish wish = agent && slice_starts(agent->value, SLICE("git/")) ? WISH_PLAIN : WISH_NONE;

    for (size_t i = 0; i < request->fields && wish == WISH_NONE; i++)
        if (request->field[i].id == FIELD_ACCEPT)
            wish = accept_wish(request->field[i].value);
    to->plain = wish == WISH_PLAIN;
    to->grpc = type && slice_equal_nocase(slice_first(type->value, grpc.len), grpc);
}

#include "hop.h"

#define LENGTH_MAX ((UINT64_C(1) << 62) - 1)

bool hop_list_next(struct slice *list, struct slice *element)
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

    while (hop_list_next(&list, &option)) {
        unsigned traits;

        if (!field_name_ok(option))
            return FAULT_BAD_REQUEST;
        traits = field_table[field_identify(option)].traits;
        if (slice_equal_nocase(option, SLICE("close")))
            hop->close = true;
        else if (slice_equal_nocase(option, SLICE("keep-alive")))
            hop->keep_alive = true;
        else if (slice_equal_nocase(option, SLICE("upgrade")))
            hop->upgrades = true;
        else if (traits & TRAIT_GUARDED)
            return FAULT_BAD_REQUEST;
        else if (traits & TRAIT_HOP)
            continue;
        else if (hop->options == HOP_OPTIONS_MAX)
            return FAULT_BAD_REQUEST;
        else
            hop->option[hop->options++] = option;
    }
    return FAULT_NONE;
}

static void te_note(struct head *h, struct slice list)
{
    struct slice coding;

    while (hop_list_next(&list, &coding))
        if (slice_equal_nocase(coding, SLICE("trailers")))
            h->te_trailers = true;
}

static void single_note(struct single *s, const struct field *f)
{
    s->name = f->name;
    s->value = f->value;
    s->count++;
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
        single_note(&hop->upgrade, f);
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

enum fault hop_fields(struct hop *hop, struct head *h)
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

enum fault hop_framing(const struct hop *hop, struct head *h)
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

bool hop_websocket(const struct hop *hop)
{
    return hop->upgrades && hop->upgrade.count == 1 &&
           slice_equal_nocase(hop->upgrade.value, SLICE("websocket"));
}

enum fault hop_expect(const struct hop *hop, struct head *h)
{
    if (hop->expect.count == 0)
        return FAULT_NONE;
    if (hop->expect.count > 1 || !slice_equal_nocase(hop->expect.value, SLICE("100-continue")))
        return FAULT_BAD_REQUEST;
    /* RFC 9110 s.10.1.1: from a 1.0 client, or without content, it is ignored. */
    h->expect_continue = h->minor > 0 && h->body != BODY_NONE;
    return FAULT_NONE;
}

enum fault hop_host(const struct hop *hop, struct head *h)
{
    struct slice host = hop->host.value;

    if (hop->host.count == 0)
        return FAULT_NONE;
    if (hop->host.count > 1 || host.len == 0 || !octets_are(host, OCTET_AUTHORITY))
        return FAULT_BAD_REQUEST;
    if (h->authority.len > 0)
        return slice_equal_nocase(h->authority, host) ? FAULT_NONE : FAULT_HOST_MISMATCH;
    h->authority = host;
    return FAULT_NONE;
}

enum fault hop_status(struct head *h, bool head_only, bool *bodiless)
{
    bool bare = h->status < 200 || h->status == 204; /* can have no body, so nothing may frame one */

    /* We ask for no other protocol, so any other 101 is nobody's answer. */
    if (h->status < 100 || h->status > 599 || (h->status == 101 && !h->websocket))
        return FAULT_BAD_REQUEST;
    h->upgrade = h->te_trailers = false; /* a response asks for nothing */
    /* "Content-Length: 0" on a 204 is common and can be read in one way only. */
    if (bare && (h->body == BODY_STREAM || (h->body == BODY_LENGTH && (h->length > 0 || h->status != 204))))
        return FAULT_BAD_REQUEST;
    *bodiless = bare || head_only || h->status == 304;
    if (bare || (*bodiless && h->body == BODY_STREAM))
        h->body = BODY_NONE;
    return FAULT_NONE;
}

enum fault hop_trailer(struct field f, struct head *out)
{
    f.id = field_identify(f.name);
    if (field_table[f.id].traits & TRAIT_NO_TRAILER)
        return FAULT_BAD_REQUEST;
    if (field_table[f.id].traits & TRAIT_HOP)
        return FAULT_NONE;
    if (out->fields == MSG_FIELDS_MAX)
        return FAULT_HEAD_TOO_LARGE;
    out->field[out->fields++] = f;
    return FAULT_NONE;
}

bool hop_method_refused(struct slice method)
{
    const struct slice refused[] = {SLICE("CONNECT"), SLICE("TRACE"), SLICE("TRACK")};

    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (slice_equal(method, refused[i]))
            return true;
    return false;
}

bool hop_target_ok(struct slice method, struct slice target)
{
    return slice_starts(target, SLICE("/")) ||
           (slice_equal(target, SLICE("*")) && slice_equal(method, SLICE("OPTIONS")));
}

bool hop_scheme_ok(struct slice scheme)
{
    return slice_equal_nocase(scheme, SLICE("https")) || slice_equal_nocase(scheme, SLICE("http"));
}

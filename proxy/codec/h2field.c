#include "h2field.h"
#include "hop.h"
#include "reason.h"
#include <llhttp.h>

#define FIRST_OCTETS 1024 /* what most heads need */
#define BOMB_TIMES   4

enum pseudo { METHOD, SCHEME, AUTHORITY, PATH, STATUS, PSEUDOS };

#define TEXT(literal)                                   \
    {                                                   \
        (const uint8_t *)(literal), sizeof(literal) - 1 \
    }

static const struct {
    struct slice name;
    enum h2_section section;
} pseudo_table[PSEUDOS] = {
    [METHOD] = {TEXT(":method"), H2_REQUEST},       [SCHEME] = {TEXT(":scheme"), H2_REQUEST},
    [AUTHORITY] = {TEXT(":authority"), H2_REQUEST}, [PATH] = {TEXT(":path"), H2_REQUEST},
    [STATUS] = {TEXT(":status"), H2_RESPONSE},
};

/* The methods that h1's parser knows: a client of either protocol can send the same ones. */
static const struct slice method_table[] = {
#define METHOD_NAME(number, name, text) TEXT(#text),
    HTTP_METHOD_MAP(METHOD_NAME)
#undef METHOD_NAME
};

void h2_fields_begin(struct h2_fields *f, enum h2_section section)
{
    h2_fields_wipe(f);
    f->section = section;
}

void h2_fields_wipe(struct h2_fields *f)
{
    buf_close(&f->octets);
    buf_close(&f->cookie);
    *f = (struct h2_fields){0};
}

bool h2_fields_bomb(const struct h2_fields *f, const struct h1_limits *limits)
{
    return f->count > BOMB_TIMES * limits->fields || f->weight > BOMB_TIMES * limits->head_octets;
}

/* --- one field ------------------------------------------------------------------------------------------ */

/* Stands in front of each field's name and value. */
struct mark {
    uint32_t name_len, value_len;
};

/* Room for ${n} octets more: never more than twice what the limits let in. */
static enum fault buf_widen(struct buf *b, size_t n)
{
    size_t held = buf_held(b).len, cap = b->base ? b->cap : FIRST_OCTETS;

    while (cap - held < n)
        cap *= 2;
    return b->base ? buf_grow(b, cap) : buf_open(b, cap);
}

static enum fault field_keep(struct h2_fields *f, struct slice name, struct slice value)
{
    struct mark mark = {(uint32_t)name.len, (uint32_t)value.len};

    TRY(buf_widen(&f->octets, sizeof mark + name.len + value.len));
    TRY(buf_append(&f->octets, slice_of(&mark, sizeof mark)));
    TRY(buf_append(&f->octets, name));
    return buf_append(&f->octets, value);
}

/* An empty crumb adds nothing: joined, it would leave a blank at an end. */
static enum fault crumb_keep(struct h2_fields *f, struct slice name, struct slice crumb)
{
    struct slice between = buf_held(&f->cookie).len > 0 ? SLICE("; ") : SLICE_NONE;

    if (!f->crumbs)
        TRY(field_keep(f, name, SLICE_NONE));
    f->crumbs = true;
    if (crumb.len == 0)
        return FAULT_NONE;
    TRY(buf_widen(&f->cookie, between.len + crumb.len));
    TRY(buf_append(&f->cookie, between));
    return buf_append(&f->cookie, crumb);
}

static enum pseudo pseudo_find(struct slice name, enum h2_section section)
{
    unsigned p = 0;

    while (p < PSEUDOS && !(pseudo_table[p].section == section && slice_equal(name, pseudo_table[p].name)))
        p++;
    return (enum pseudo)p;
}

/* RFC 9113 s.8.3: of this kind of message, once, in front of all regular ones. */
static bool pseudo_ok(struct h2_fields *f, struct slice name)
{
    unsigned bit = 1u << pseudo_find(name, f->section);

    if (f->regular || bit == 1u << PSEUDOS || f->seen & bit)
        return false;
    f->seen |= bit;
    return true;
}

static bool is_pseudo(struct slice name)
{
    return slice_starts(name, SLICE(":"));
}

static bool name_ok(struct slice name)
{
    return field_name_ok(name) && octets_are_lower(name);
}

/* RFC 9113 s.8.2.1, s.8.2.2. */
static bool regular_ok(enum field_id id, struct slice name, struct slice value)
{
    if (!name_ok(name) || !field_value_ok(value))
        return false;
    switch (id) {
    case FIELD_CONNECTION:
    case FIELD_KEEP_ALIVE:
    case FIELD_PROXY_CONNECTION:
    case FIELD_TRANSFER_ENCODING:
    case FIELD_UPGRADE:
        return false;
    case FIELD_TE:
        return slice_equal_nocase(value, SLICE("trailers"));
    default:
        return true;
    }
}

/* Crumbs count and weigh like all fields, though they end as one (CVE-2026-47774). */
static enum fault limits_obey(const struct h2_fields *f, const struct h1_limits *limits, struct slice name)
{
    if (f->weight > limits->head_octets)
        return slice_equal(name, SLICE(":path")) ? FAULT_TARGET_TOO_LARGE : FAULT_HEAD_TOO_LARGE;
    return f->count > limits->fields || f->count > MSG_FIELDS_MAX ? FAULT_HEAD_TOO_LARGE : FAULT_NONE;
}

static enum fault field_take(struct h2_fields *f, const struct h1_limits *limits, struct slice name,
                             struct slice value)
{
    enum field_id id = field_identify(name);

    if (is_pseudo(name) ? !pseudo_ok(f, name) : !regular_ok(id, name, value))
        return FAULT_BAD_REQUEST;
    TRY(limits_obey(f, limits, name));
    if (id == FIELD_COOKIE && f->section == H2_REQUEST)
        return crumb_keep(f, name, value);
    return field_keep(f, name, value);
}

void h2_fields_add(struct h2_fields *f, const struct h1_limits *limits, struct slice name, struct slice value)
{
    bool pseudo = is_pseudo(name);

    f->weight += name.len + value.len + 4;
    f->count += !pseudo;
    if (f->why == FAULT_NONE)
        f->why = field_take(f, limits, name, value);
    f->regular |= !pseudo;
}

/* --- the head ------------------------------------------------------------------------------------------- */

struct walk {
    struct slice rest;
    struct field field;
};

static bool walk_next(struct walk *w)
{
    struct mark mark;

    if (w->rest.len == 0)
        return false;
    memcpy(&mark, w->rest.at, sizeof mark);
    w->rest = slice_drop(w->rest, sizeof mark);
    w->field = (struct field){.name = slice_first(w->rest, mark.name_len)};
    w->rest = slice_drop(w->rest, mark.name_len);
    w->field.value = slice_first(w->rest, mark.value_len);
    w->rest = slice_drop(w->rest, mark.value_len);
    return true;
}

/* Pseudo-fields into ${part}, the others into ${out}. */
static void fields_part(const struct h2_fields *f, struct slice part[PSEUDOS], struct head *out)
{
    struct walk w = {.rest = buf_held(&f->octets)};

    while (walk_next(&w)) {
        if (is_pseudo(w.field.name))
            part[pseudo_find(w.field.name, f->section)] = w.field.value;
        else
            out->field[out->fields++] = w.field;
    }
}

static void crumbs_settle(const struct h2_fields *f, struct head *h)
{
    for (size_t i = 0; f->crumbs && i < h->fields; i++)
        if (h->field[i].id == FIELD_COOKIE)
            h->field[i].value = buf_held(&f->cookie);
}

/* What RFC 9112 s.6.3 is to HTTP/1.1: the length, and the end of the stream, which must be of one mind. */
static enum fault body_settle(bool ended, struct head *h)
{
    if (h->body == BODY_NONE)
        h->body = ended ? BODY_NONE : BODY_STREAM;
    return ended && h->body == BODY_LENGTH && h->length > 0 ? FAULT_BAD_REQUEST : FAULT_NONE;
}

static bool method_known(struct slice method)
{
    for (size_t i = 0; i < sizeof method_table / sizeof *method_table; i++)
        if (slice_equal(method, method_table[i]))
            return true;
    return false;
}

static bool control_ok(const struct head *h, bool authority_seen)
{
    return method_known(h->method) && hop_scheme_ok(h->scheme) && octets_are(h->target, OCTET_TARGET) &&
           hop_target_ok(h->method, h->target) && octets_are(h->authority, OCTET_AUTHORITY) &&
           (h->authority.len > 0 || !authority_seen);
}

static enum fault request_settle(const struct h2_fields *f, bool ended, struct head *out)
{
    struct slice part[PSEUDOS] = {SLICE_NONE};
    struct hop hop;

    fields_part(f, part, out);
    out->method = part[METHOD];
    out->scheme = part[SCHEME];
    out->authority = part[AUTHORITY];
    out->target = part[PATH];
    if (hop_method_refused(out->method))
        return FAULT_METHOD_NOT_ALLOWED;
    if (!control_ok(out, f->seen & 1u << AUTHORITY))
        return FAULT_BAD_REQUEST;
    TRY(hop_fields(&hop, out));
    crumbs_settle(f, out);
    TRY(hop_framing(&hop, out));
    TRY(body_settle(ended, out));
    TRY(hop_expect(&hop, out));
    TRY(hop_host(&hop, out));
    return out->authority.len > 0 ? FAULT_NONE : FAULT_BAD_REQUEST;
}

static enum fault response_settle(const struct h2_fields *f, bool ended, bool head_only, struct head *out)
{
    struct slice part[PSEUDOS] = {SLICE_NONE};
    struct hop hop;
    uint64_t status;
    bool bodiless;

    fields_part(f, part, out);
    if (part[STATUS].len != 3 || !slice_number(part[STATUS], 999, &status))
        return FAULT_BAD_REQUEST;
    out->status = (int)status;
    out->reason = reason_of(out->status);
    TRY(hop_fields(&hop, out));
    TRY(hop_framing(&hop, out));
    TRY(hop_status(out, head_only, &bodiless));
    if (bodiless)
        return ended && status < 200 ? FAULT_BAD_REQUEST : FAULT_NONE; /* a final response is still to come */
    return body_settle(ended, out);
}

static enum fault trailers_settle(const struct h2_fields *f, bool ended, struct head *out)
{
    struct walk w = {.rest = buf_held(&f->octets)};

    if (!ended)
        return FAULT_BAD_REQUEST;
    while (walk_next(&w))
        TRY(hop_trailer(w.field, out));
    return FAULT_NONE;
}

bool h2_fields_for_head(const struct h2_fields *f)
{
    struct walk w = {.rest = buf_held(&f->octets)};

    while (f->section == H2_REQUEST && walk_next(&w) && is_pseudo(w.field.name))
        if (pseudo_find(w.field.name, f->section) == METHOD)
            return slice_equal(w.field.value, SLICE("HEAD"));
    return false;
}

static enum fault head_settle(const struct h2_fields *f, bool ended, bool head_only, struct head *out)
{
    if (f->section == H2_TRAILERS) {
        out->fields = 0;
        TRY(f->why);
        return trailers_settle(f, ended, out);
    }
    head_begin(out);
    out->minor = 1;
    TRY(f->why);
    return f->section == H2_REQUEST ? request_settle(f, ended, out)
                                    : response_settle(f, ended, head_only, out);
}

enum fault h2_fields_head(const struct h2_fields *f, bool ended, bool head_only, struct head *out)
{
    enum fault why = head_settle(f, ended, head_only, out);

    if (f->section != H2_RESPONSE || why == FAULT_NONE || why == FAULT_NO_MEMORY)
        return why;
    return FAULT_UPSTREAM_PROTOCOL;
}

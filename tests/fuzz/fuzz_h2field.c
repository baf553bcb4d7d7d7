#include "../support/h2heads.h"
#include <stdlib.h>

/*
 * A header block: what is let through holds nothing of a hop and no octet that could begin another line; written as
 * HTTP/1.1 it is read by h1 as the same head, and sent as HTTP/2 it is collected as the same head.
 * Input: an octet of flags (1: response, 2: trailers, 4: ended, 8: of HEAD, 16: behind a request's usual pseudo-fields),
 * then fields: two octets of lengths, name, value. A length of a name from 192 on is the number of one that we know.
 */
#define OUT_OCTETS 262144

static const struct h1_limits limits = {4096, 32}, again_limits = {OUT_OCTETS, MSG_FIELDS_MAX};
static struct h2_fields fields, again;
static struct head head, other;
static struct h2_nv list;

static void must(bool held)
{
    if (!held)
        abort();
}

static struct slice take(struct slice *in, size_t n)
{
    struct slice s = slice_first(*in, n);

    *in = slice_drop(*in, n);
    return s;
}

static struct slice name_known(unsigned number)
{
    static const char *const pseudo[] = {":method", ":scheme", ":authority", ":path", ":status"};
    const unsigned pseudos = sizeof pseudo / sizeof *pseudo;

    return number < pseudos ? slice_text(pseudo[number]) : field_table[(number - pseudos) % FIELD_COUNT].name;
}

static void fields_collect(struct slice in, bool usual)
{
    if (usual) {
        h2_fields_add(&fields, &limits, SLICE(":method"), SLICE("POST"));
        h2_fields_add(&fields, &limits, SLICE(":scheme"), SLICE("https"));
        h2_fields_add(&fields, &limits, SLICE(":authority"), SLICE("api.test"));
        h2_fields_add(&fields, &limits, SLICE(":path"), SLICE("/"));
    }
    while (in.len >= 2) {
        unsigned name_len = in.at[0], value_len = in.at[1];
        struct slice name;

        in = slice_drop(in, 2);
        name = name_len < 192 ? take(&in, name_len) : name_known(name_len - 192);
        h2_fields_add(&fields, &limits, name, take(&in, value_len));
    }
    must(fields.octets.cap + fields.cookie.cap <= 4 * (limits.head_octets + 8 * limits.fields));
}

static void head_is_clean(void)
{
    must(head.fields <= limits.fields);
    for (size_t i = 0; i < head.fields; i++) {
        const struct field *f = &head.field[i];

        must(f->id == field_identify(f->name) && !f->sensitive);
        must(!(field_table[f->id].traits & (TRAIT_HOP | TRAIT_MEMBER)));
        must(field_name_ok(f->name) && octets_are_lower(f->name) && field_value_ok(f->value));
    }
}

static void heads_are_same(void)
{
    must(heads_differ(&head, &other) == NULL);
}

static void back_by_h1(bool head_only)
{
    static struct buf out;
    struct h1_writer w = {0};
    struct h1_reader r = {0};
    size_t used;
    bool request = fields.section == H2_REQUEST;

    if (!out.base)
        must(buf_open(&out, OUT_OCTETS) == FAULT_NONE);
    buf_take(&out, buf_held(&out).len);
    if (request) {
        must(h1_write_request(&w, &head, head.authority, &out) == FAULT_NONE);
        must(h1_read_request(&r, &again_limits, buf_held(&out), &other, &used) == FAULT_NONE);
    } else {
        must(h1_write_response(&w, &head, 1, head_only, &out) == FAULT_NONE);
        must(h1_read_response(&r, &again_limits, buf_held(&out), head_only, &other, &used) == FAULT_NONE);
    }
    must(used == buf_held(&out).len);
    /* No content may be said as a length of nothing, or not at all. */
    if (head.body == BODY_NONE && other.body == BODY_LENGTH && other.length == 0)
        other.body = BODY_NONE;
    if (head.body == BODY_NONE && !request)
        other.body = BODY_NONE;
    heads_are_same();
}

static void back_by_h2(bool ended, bool head_only)
{
    size_t n = fields.section == H2_REQUEST ? h2_nv_request(&head, &list) : h2_nv_response(&head, &list);

    h2_fields_begin(&again, fields.section);
    heads_feed(&again, &again_limits, list.at, n);
    must(h2_fields_head(&again, ended, head_only, &other) == FAULT_NONE);
    heads_are_same();
}

static void trailers_back(void)
{
    struct buf kept = {0};
    size_t n;

    must(h2_nv_trailers(&head, &kept, &n) == FAULT_NONE && n == head.fields);
    h2_fields_begin(&again, H2_TRAILERS);
    if (n > 0)
        heads_feed(&again, &again_limits, h2_nv_kept(&kept), n);
    buf_close(&kept);
    must(h2_fields_head(&again, true, false, &other) == FAULT_NONE && heads_fields_same(&head, &other));
}

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len)
{
    bool ended, head_only;

    if (len < 1)
        return 0;
    ended = at[0] & 4;
    head_only = at[0] & 8;
    h2_fields_begin(&fields, at[0] & 2 ? H2_TRAILERS : at[0] & 1 ? H2_RESPONSE : H2_REQUEST);
    fields_collect(slice_of(at + 1, len - 1), at[0] & 16 && fields.section == H2_REQUEST);
    if (h2_fields_head(&fields, ended, head_only, &head) != FAULT_NONE)
        return 0;
    head_is_clean();
    if (fields.section == H2_TRAILERS) {
        trailers_back();
        return 0;
    }
    back_by_h1(head_only);
    back_by_h2(ended, head_only);
    must(h2_fields_head(&fields, ended, head_only, &other) == FAULT_NONE);
    heads_are_same();
    return 0;
}

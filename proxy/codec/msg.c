#include "msg.h"

const struct field_row field_table[FIELD_COUNT] = {
#define FIELD(id, name, traits) {{(const uint8_t *)(name), sizeof(name) - 1}, traits},
#include "field.def"
#undef FIELD
};

/* Sums of the OCTET bits: 2 is a blank or above ASCII, 15 an octet that may stand anywhere. */
const uint8_t msg_octet_class[256] = {
    0,  0,  0,  0,  0,  0,  0,  0,  0,  2,  0,  0,  0,  0,  0,  0,  /* 00: HTAB */
    0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  /* 10 */
    2,  15, 2,  3,  15, 15, 15, 15, 14, 14, 15, 15, 14, 15, 15, 6,  /* 20: SP ! " # ... / */
    15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 14, 14, 2,  14, 2,  6,  /* 30: 0 ... ; < = > ? */
    6,  15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, /* 40: @ A ... O */
    15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 14, 2,  14, 3,  15, /* 50: P ... [ \ ] ^ _ */
    3,  15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, /* 60: ` a ... o */
    15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 2,  3,  2,  15, 0,  /* 70: p ... { | } ~ DEL */
    2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  /* 80: obs-text */
    2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  /* 90 */
    2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  /* a0 */
    2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  /* b0 */
    2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  /* c0 */
    2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  /* d0 */
    2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  /* e0 */
    2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  /* f0 */
};

#define NAME_OCTETS_MAX 31 /* longer than every name of field.def */

/* The fields of each length, as chains through next; OTHER ends a chain. Made at first use: C has no way to say
 * it at compile time, and field.def stays the only list. */
static struct {
    uint8_t first[NAME_OCTETS_MAX + 1], next[FIELD_COUNT];
    bool made;
} chains;

static void chains_make(void)
{
    for (unsigned id = FIELD_OTHER + 1; id < FIELD_COUNT; id++) {
        uint8_t *first = &chains.first[field_table[id].name.len];

        chains.next[id] = *first;
        *first = (uint8_t)id;
    }
    chains.made = true;
}

static bool name_is(const uint8_t *name, struct slice lower)
{
    for (size_t i = 0; i < lower.len; i++)
        if (octet_lower(name[i]) != lower.at[i])
            return false;
    return true;
}

enum field_id field_identify(struct slice name)
{
    unsigned id;

    if (name.len > NAME_OCTETS_MAX)
        return FIELD_OTHER;
    if (!chains.made)
        chains_make();
    for (id = chains.first[name.len]; id != FIELD_OTHER; id = chains.next[id])
        if (name_is(name.at, field_table[id].name))
            break;
    return (enum field_id)id;
}

void head_begin(struct head *h)
{
    memset(h, 0, offsetof(struct head, field));
    memset(&h->fields, 0, sizeof *h - offsetof(struct head, fields));
}

const struct field *head_find(const struct head *h, enum field_id id)
{
    for (size_t i = 0; i < h->fields; i++)
        if (h->field[i].id == id)
            return &h->field[i];
    return NULL;
}

struct slice head_value(const struct head *h, enum field_id id)
{
    const struct field *f = head_find(h, id);

    return f ? f->value : SLICE_NONE;
}

size_t head_count(const struct head *h, enum field_id id)
{
    size_t n = 0;

    for (size_t i = 0; i < h->fields; i++)
        n += h->field[i].id == id;
    return n;
}

enum fault head_add(struct head *h, enum field_id id, struct slice value)
{
    if (h->fields == MSG_FIELDS_MAX)
        return FAULT_HEAD_TOO_LARGE;
    h->field[h->fields++] = (struct field){.name = field_table[id].name, .value = value, .id = id};
    return FAULT_NONE;
}

void head_remove(struct head *h, unsigned traits)
{
    size_t kept = 0;

    for (size_t i = 0; i < h->fields; i++) {
        if (field_table[h->field[i].id].traits & traits)
            continue;
        if (kept != i)
            h->field[kept] = h->field[i];
        kept++;
    }
    h->fields = kept;
}

void head_copy(struct head *to, const struct head *from)
{
    if (to == from)
        return;
    memcpy(to, from, offsetof(struct head, field));
    memcpy(to->field, from->field, from->fields * sizeof *from->field);
    memcpy(&to->fields, &from->fields, sizeof *to - offsetof(struct head, fields));
}

bool field_name_ok(struct slice name)
{
    return name.len > 0 && octets_are(name, OCTET_TCHAR);
}

bool field_value_ok(struct slice value)
{
    return octets_are(value, OCTET_VALUE) && slice_trim(value).len == value.len;
}

static size_t head_octets(const struct head *h)
{
    size_t n = h->method.len + h->target.len + h->authority.len + h->scheme.len + h->reason.len;

    for (size_t i = 0; i < h->fields; i++)
        n += h->field[i].name.len + h->field[i].value.len;
    return n;
}

static enum fault slice_save(struct slice *s, struct buf *into)
{
    size_t from = buf_held(into).len;

    TRY(buf_append(into, *s));
    *s = slice_drop(buf_held(into), from);
    return FAULT_NONE;
}

enum fault head_save(struct head *h, struct buf *into)
{
    struct slice *const parts[] = {&h->method, &h->target, &h->authority, &h->scheme, &h->reason};

    TRY(buf_open(into, head_octets(h) + 1));
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        TRY(slice_save(parts[i], into));
    for (size_t i = 0; i < h->fields; i++) {
        TRY(slice_save(&h->field[i].name, into));
        TRY(slice_save(&h->field[i].value, into));
    }
    return FAULT_NONE;
}

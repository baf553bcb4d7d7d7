#include "record.h"
#include "store.h"
#include <stdlib.h>

#define UUID_LEN   36
#define CA_PEM_MAX 16384

static const char *const place_names[PLACE_COUNT] = {
    [PLACE_HEADER] = "header", [PLACE_BASIC] = "basic", [PLACE_BODY] = "body",
    [PLACE_FIELD] = "field",   [PLACE_URL] = "url",
};

const char *place_name(enum place p)
{
    return place_names[p];
}

enum fault place_parse(struct slice text, enum place *out)
{
    for (unsigned p = 0; p < PLACE_COUNT; p++)
        if (slice_equal(text, slice_text(place_names[p]))) {
            *out = (enum place)p;
            return FAULT_NONE;
        }
    return FAULT_INVALID;
}

/* --- grammars ------------------------------------------------------------------------------------------- */

static bool is_word(uint8_t c)
{
    uint8_t lower = octet_lower(c);

    return (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') || c == '_';
}

bool record_id_ok(struct slice text)
{
    if (text.len == 0 || text.len > RECORD_ID_MAX || text.at[0] == '-' || text.at[0] == '.')
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (!is_word(text.at[i]) && text.at[i] != '-' && text.at[i] != '.')
            return false;
    return true;
}

bool record_name_ok(struct slice text)
{
    if (text.len == 0 || text.len > RECORD_NAME_MAX || (text.at[0] >= '0' && text.at[0] <= '9'))
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (!is_word(text.at[i]))
            return false;
    return true;
}

static bool uuid_ok(struct slice text)
{
    if (text.len != UUID_LEN)
        return false;
    for (size_t i = 0; i < UUID_LEN; i++) {
        uint8_t c = text.at[i];
        bool hyphen = i == 8 || i == 13 || i == 18 || i == 23;

        if (hyphen ? c != '-' : !(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f'))
            return false;
    }
    return true;
}

/* A store's name is the operator's own and only shown, so anything that can't break a line will do. */
static bool label_ok(struct slice text)
{
    if (text.len == 0 || text.len > RECORD_ID_MAX)
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (text.at[i] < ' ' || text.at[i] == 0x7f)
            return false;
    return true;
}

/* --- shapes of JSON ------------------------------------------------------------------------------------- */

/* Every grammar above ends below ${into}'s size. */
static enum fault text_copy(const json_t *text, bool (*ok)(struct slice), char *into)
{
    struct slice s = slice_of(json_string_value(text), json_string_length(text));

    if (!json_is_string(text) || !ok(s))
        return FAULT_INVALID;
    memcpy(into, s.at, s.len);
    into[s.len] = 0;
    return FAULT_NONE;
}

static enum fault number_read(const json_t *number, uint64_t *out)
{
    if (!json_is_integer(number) || json_integer_value(number) < 0)
        return FAULT_INVALID;
    *out = (uint64_t)json_integer_value(number);
    return FAULT_NONE;
}

static enum fault time_read(const json_t *number, int64_t *out)
{
    uint64_t n;

    TRY(number_read(number, &n));
    *out = (int64_t)n;
    return FAULT_NONE;
}

/*
 * The object must have exactly these members: what a newer writer adds may narrow the policy, so a reader that
 * does not know it must not go on.
 */
struct member {
    const char *name;
    json_t **out;
};

static enum fault members_read(json_t *object, const struct member *members, size_t n)
{
    if (!json_is_object(object) || json_object_size(object) != n)
        return FAULT_INVALID;
    for (size_t i = 0; i < n; i++) {
        *members[i].out = json_object_get(object, members[i].name);
        if (!*members[i].out)
            return FAULT_INVALID;
    }
    return FAULT_NONE;
}

#define MEMBERS_READ(object, ...)                              \
    members_read(object, (const struct member[]){__VA_ARGS__}, \
                 sizeof((const struct member[]){__VA_ARGS__}) / sizeof(struct member))

/* Adds the strings of ${array} to ${into} where it is not NULL; *n counts on. */
static enum fault strings_read(const json_t *array, struct slice *into, size_t *n)
{
    size_t i;
    json_t *text;

    if (!json_is_array(array))
        return FAULT_INVALID;
    json_array_foreach (array, i, text) {
        if (!json_is_string(text))
            return FAULT_INVALID;
        if (into)
            into[*n] = slice_of(json_string_value(text), json_string_length(text));
        ++*n;
    }
    return FAULT_NONE;
}

/* One list of the patterns of all ${arrays}. */
static enum fault list_read(json_t *const *arrays, size_t count, struct hostlist **out)
{
    size_t n = 0, at = 0;
    struct slice *patterns;
    enum fault why = FAULT_NONE;

    for (size_t i = 0; i < count; i++)
        TRY(strings_read(arrays[i], NULL, &n));
    patterns = calloc(n + 1, sizeof *patterns);
    if (!patterns)
        return FAULT_NO_MEMORY;
    for (size_t i = 0; i < count && why == FAULT_NONE; i++)
        why = strings_read(arrays[i], patterns, &at);
    if (why == FAULT_NONE)
        why = hostlist_new(patterns, n, out);
    free(patterns);
    return why;
}

static enum fault places_read(const json_t *array, unsigned *out)
{
    size_t i;
    json_t *text;
    enum place place;

    if (!json_is_array(array) || json_array_size(array) == 0)
        return FAULT_INVALID;
    *out = 0;
    json_array_foreach (array, i, text) {
        if (!json_is_string(text))
            return FAULT_INVALID;
        TRY(place_parse(slice_of(json_string_value(text), json_string_length(text)), &place));
        if (*out & 1u << place)
            return FAULT_INVALID;
        *out |= 1u << place;
    }
    return FAULT_NONE;
}

/* --- the record ----------------------------------------------------------------------------------------- */

/* What opening needs beside the record that it fills. */
struct opening {
    const struct keyring *keys;
    const struct record_part *parts;
    size_t part_count;
    struct record *r;
};

static const struct record_part *part_find(const struct opening *o, struct slice prefix, struct slice name)
{
    for (size_t i = 0; i < o->part_count; i++) {
        struct slice field = o->parts[i].field;

        if (slice_starts(field, prefix) && slice_equal(slice_drop(field, prefix.len), name))
            return &o->parts[i];
    }
    return NULL;
}

static enum fault addresses_read(struct record *r, const json_t *array)
{
    size_t i;
    json_t *text;

    if (!json_is_array(array) || json_array_size(array) > RECORD_ADDRESSES_MAX)
        return FAULT_INVALID;
    json_array_foreach (array, i, text) {
        if (!json_is_string(text))
            return FAULT_INVALID;
        TRY(ip_parse(slice_of(json_string_value(text), json_string_length(text)), &r->addresses[i]));
        r->address_count++;
    }
    return FAULT_NONE;
}

static const struct record_store *store_find(const struct record *r, const json_t *id)
{
    for (size_t i = 0; json_is_string(id) && i < r->store_count; i++)
        if (slice_equal(slice_text(r->stores[i].id), slice_of(json_string_value(id), json_string_length(id))))
            return &r->stores[i];
    return NULL;
}

static enum fault store_read(struct record *r, json_t *object, json_t **egress)
{
    struct record_store *s = &r->stores[r->store_count];
    json_t *id, *name, *scrub;

    TRY(MEMBERS_READ(object, {"id", &id}, {"name", &name}, {"egress", egress}, {"scrub", &scrub}));
    if (store_find(r, id) || !json_is_boolean(scrub))
        return FAULT_INVALID;
    TRY(text_copy(id, uuid_ok, s->id));
    TRY(text_copy(name, label_ok, s->name));
    s->scrub = json_is_true(scrub);
    TRY(list_read(egress, 1, &s->egress));
    r->store_count++;
    return FAULT_NONE;
}

static enum fault stores_read(struct record *r, const json_t *array)
{
    json_t *egress[RECORD_STORES_MAX], *object;
    size_t i;

    if (!json_is_array(array) || json_array_size(array) > RECORD_STORES_MAX)
        return FAULT_INVALID;
    r->stores = calloc(json_array_size(array) + 1, sizeof *r->stores);
    if (!r->stores)
        return FAULT_NO_MEMORY;
    json_array_foreach (array, i, object)
        TRY(store_read(r, object, &egress[i]));
    return list_read(egress, r->store_count, &r->egress);
}

static bool token_exact(struct slice text)
{
    return text.len == TOKEN_LEN && token_is(text);
}

static bool secret_is_known(const struct record *r, const struct record_secret *s)
{
    for (size_t i = 0; i < r->secret_count; i++)
        if (strcmp(r->secrets[i].name, s->name) == 0 || memcmp(r->secrets[i].token, s->token, TOKEN_LEN) == 0)
            return true;
    return false;
}

static enum fault secret_value_open(const struct opening *o, struct record_secret *s, const json_t *hosts)
{
    const struct record_part *part = part_find(o, SLICE("value:"), slice_text(s->name));
    struct value_binding binding = {
        .sandbox = true,
        .owner = slice_text(o->r->id),
        .name = slice_text(s->name),
        .token = slice_of(s->token, TOKEN_LEN),
        .hosts = hosts,
        .places = s->places,
        .version = s->version,
    };

    if (!part)
        return FAULT_INVALID;
    TRY(value_open(o->keys, &binding, part->value, &s->value));
    return secret_len(s->value) > 0 ? FAULT_NONE : FAULT_INVALID;
}

static enum fault secret_read(const struct opening *o, struct record_secret *s, json_t *object)
{
    json_t *name, *token, *store, *hosts, *places, *version;
    char word[TOKEN_LEN + 1];

    TRY(MEMBERS_READ(object, {"name", &name}, {"token", &token}, {"store", &store}, {"hosts", &hosts},
                     {"places", &places}, {"version", &version}));
    TRY(text_copy(name, record_name_ok, s->name));
    TRY(text_copy(token, token_exact, word));
    memcpy(s->token, word, TOKEN_LEN);
    s->store = store_find(o->r, store);
    if (!s->store || secret_is_known(o->r, s))
        return FAULT_INVALID;
    TRY(places_read(places, &s->places));
    TRY(number_read(version, &s->version));
    TRY(list_read(&hosts, 1, &s->hosts));
    return secret_value_open(o, s, hosts);
}

static int secret_order(const void *a, const void *b)
{
    const struct record_secret *x = a, *y = b;

    return memcmp(x->token, y->token, TOKEN_LEN);
}

static void secret_close(struct record_secret *s)
{
    hostlist_free(s->hosts);
    secret_free(s->value);
}

static enum fault secrets_read(const struct opening *o, const json_t *array)
{
    struct record *r = o->r;
    size_t i;
    json_t *object;

    /* policy, tag, ca and one value each: since all of these are looked for, no other can be among as many. */
    if (!json_is_array(array) || json_array_size(array) > RECORD_SECRETS_MAX ||
        o->part_count != json_array_size(array) + 3)
        return FAULT_INVALID;
    r->secrets = calloc(json_array_size(array) + 1, sizeof *r->secrets);
    if (!r->secrets)
        return FAULT_NO_MEMORY;
    json_array_foreach (array, i, object) {
        enum fault why = secret_read(o, &r->secrets[i], object);

        if (why != FAULT_NONE) {
            secret_close(&r->secrets[i]);
            return why;
        }
        r->secret_count++;
    }
    qsort(r->secrets, r->secret_count, sizeof *r->secrets, secret_order);
    return FAULT_NONE;
}

static enum fault ca_read(const struct opening *o, const json_t *pem)
{
    const struct record_part *part = part_find(o, SLICE("ca"), SLICE_NONE);
    struct slice text = slice_of(json_string_value(pem), json_string_length(pem));

    if (!part || !json_is_string(pem) || text.len == 0 || text.len > CA_PEM_MAX)
        return FAULT_INVALID;
    o->r->ca_pem = strdup((const char *)text.at);
    if (!o->r->ca_pem)
        return FAULT_NO_MEMORY;
    TRY(store_ca_key_open(o->keys, slice_text(o->r->id), text, part->value, &o->r->ca_key));
    return secret_len(o->r->ca_key) > 0 ? FAULT_NONE : FAULT_INVALID;
}

static enum fault policy_read(const struct opening *o, struct slice asked, json_t *root)
{
    struct record *r = o->r;
    json_t *id, *zone, *addresses, *created, *expires, *version, *ca, *stores, *secrets;

    if (json_object_get(root, "draft"))
        return FAULT_NOT_FOUND;
    TRY(MEMBERS_READ(root, {"id", &id}, {"zone", &zone}, {"addresses", &addresses}, {"createdAt", &created},
                     {"expiresAt", &expires}, {"version", &version}, {"ca", &ca}, {"stores", &stores},
                     {"secrets", &secrets}));
    TRY(text_copy(id, record_id_ok, r->id));
    TRY(text_copy(zone, record_id_ok, r->zone));
    if (!slice_equal(slice_text(r->id), asked))
        return FAULT_INVALID;
    TRY(time_read(created, &r->created_ms));
    TRY(time_read(expires, &r->expires_ms));
    TRY(number_read(version, &r->version));
    TRY(addresses_read(r, addresses));
    TRY(stores_read(r, stores));
    TRY(secrets_read(o, secrets));
    return ca_read(o, ca);
}

enum fault record_open(const struct keyring *keys, struct slice id, const struct record_part *parts, size_t n,
                       struct record **out)
{
    struct opening o = {keys, parts, n, NULL};
    const struct record_part *policy, *tag;
    json_t *root;
    enum fault why;

    if (n == 0)
        return FAULT_NOT_FOUND;
    if (n > RECORD_SECRETS_MAX + 3)
        return FAULT_INVALID;
    policy = part_find(&o, SLICE("policy"), SLICE_NONE);
    tag = part_find(&o, SLICE("tag"), SLICE_NONE);
    if (!policy || !tag)
        return FAULT_INVALID;
    TRY(policy_open(keys, true, policy->value, tag->value, &root));
    o.r = calloc(1, sizeof *o.r);
    why = FAULT_NO_MEMORY;
    if (!o.r)
        goto drop_json;
    o.r->references = 1;
    why = policy_read(&o, id, root);
    if (why == FAULT_NONE)
        *out = o.r;
    else
        record_drop(o.r);
drop_json:
    json_decref(root);
    return why;
}

struct record *record_hold(struct record *r)
{
    r->references++;
    return r;
}

void record_drop(struct record *r)
{
    if (!r || --r->references > 0)
        return;
    for (size_t i = 0; i < r->secret_count; i++)
        secret_close(&r->secrets[i]);
    for (size_t i = 0; i < r->store_count; i++)
        hostlist_free(r->stores[i].egress);
    hostlist_free(r->egress);
    secret_free(r->ca_key);
    free(r->ca_pem);
    free(r->secrets);
    free(r->stores);
    free(r);
}

bool record_has_address(const struct record *r, struct ip ip)
{
    for (size_t i = 0; i < r->address_count; i++)
        if (ip_equal(r->addresses[i], ip))
            return true;
    return false;
}

const struct record_secret *record_secret_of(const struct record *r, struct slice token)
{
    struct record_secret key;

    if (token.len != TOKEN_LEN || r->secret_count == 0)
        return NULL;
    memcpy(key.token, token.at, TOKEN_LEN);
    return bsearch(&key, r->secrets, r->secret_count, sizeof key, secret_order);
}

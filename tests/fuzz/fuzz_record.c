#include "record.h"
#include "store.h"
#include <stdlib.h>
#include <unistd.h>

/*
 * The octets are a policy, tagged with the right key and joined by boxes as a careless writer would make them: so
 * the parser and the checks behind the tag are reached. A record that opens keeps what record.h promises, and opens
 * no more once an octet of a part is changed. The first octet chooses which.
 */
#define MUST(holds)   \
    do {              \
        if (!(holds)) \
            abort();  \
    } while (0)

static struct keyring *keys;
static struct buf boxes;

static void keys_make(void)
{
    static const uint8_t key[SEAL_KEY_OCTETS] = "a key that is known to everybody";
    char path[] = "/tmp/fuzz_record.XXXXXX";
    const char *why;
    int fd = mkstemp(path);

    MUST(secret_arena_open(4 << 20) == FAULT_NONE && buf_open(&boxes, 1 << 20) == FAULT_NONE);
    MUST(fd >= 0 && write(fd, key, sizeof key) == (ssize_t)sizeof key);
    close(fd);
    MUST(keyring_load(path, &keys, &why) == FAULT_NONE);
    unlink(path);
}

static struct slice text_of(const json_t *object, const char *name)
{
    const json_t *text = json_object_get(object, name);

    return slice_of(json_string_value(text), json_string_length(text));
}

/* A binding that can't be sealed leaves an empty box. */
static void secret_seal(const json_t *object, struct slice owner, const struct secret *value)
{
    const json_t *places = json_object_get(object, "places");
    struct value_binding b = {
        .sandbox = true,
        .owner = owner,
        .name = text_of(object, "name"),
        .token = text_of(object, "token"),
        .hosts = json_object_get(object, "hosts"),
        .version = (uint64_t)json_integer_value(json_object_get(object, "version")),
    };
    json_t *text;
    size_t i;

    json_array_foreach (places, i, text) {
        enum place p;

        if (place_parse(slice_of(json_string_value(text), json_string_length(text)), &p) == FAULT_NONE)
            b.places |= 1u << p;
    }
    (void)!value_seal(keys, &b, value, &boxes);
}

/* The box that came to the end of ${boxes} since ${from}; the buffer never moves what it holds. */
static struct slice box_since(size_t from)
{
    return slice_drop(buf_held(&boxes), from);
}

#define FIELD_MAX 160

static size_t parts_make(struct slice policy, struct record_part *parts, char (*fields)[FIELD_MAX],
                         size_t most)
{
    json_t *root = json_loadb((const char *)policy.at, policy.len, JSON_REJECT_DUPLICATES, NULL), *object;
    struct slice id = text_of(root, "id");
    struct secret *value;
    size_t i, n = 0, from = 0;

    MUST(secret_new(SLICE("value"), &value) == FAULT_NONE);
    parts[n++] = (struct record_part){SLICE("policy"), policy};
    MUST(policy_tag(keys, true, policy, &boxes) == FAULT_NONE);
    parts[n++] = (struct record_part){SLICE("tag"), box_since(from)};
    from = buf_held(&boxes).len;
    MUST(store_ca_key_seal(keys, id, text_of(root, "ca"), value, &boxes) == FAULT_NONE);
    parts[n++] = (struct record_part){SLICE("ca"), box_since(from)};
    json_array_foreach (json_object_get(root, "secrets"), i, object) {
        struct slice name = text_of(object, "name");

        if (n == most || name.len > FIELD_MAX - sizeof "value:")
            break;
        from = buf_held(&boxes).len;
        secret_seal(object, id, value);
        memcpy(fields[i], "value:", 6);
        if (name.len)
            memcpy(fields[i] + 6, name.at, name.len);
        parts[n++] = (struct record_part){slice_of(fields[i], name.len + 6), box_since(from)};
    }
    secret_free(value);
    json_decref(root);
    return n;
}

static void record_check(const struct record *r, struct slice id)
{
    MUST(r->references == 1 && slice_equal(slice_text(r->id), id) && record_id_ok(slice_text(r->zone)));
    MUST(r->secret_count <= RECORD_SECRETS_MAX && r->store_count <= RECORD_STORES_MAX);
    MUST(r->address_count <= RECORD_ADDRESSES_MAX && r->ca_key && r->ca_pem && r->egress);
    MUST(r->created_ms >= 0 && r->expires_ms >= 0);
    for (size_t i = 0; i < r->secret_count; i++) {
        const struct record_secret *s = &r->secrets[i];
        struct slice token = slice_of(s->token, TOKEN_LEN);

        MUST(token_is(token) && record_secret_of(r, token) == s && record_name_ok(slice_text(s->name)));
        MUST(i == 0 || memcmp(s[-1].token, s->token, TOKEN_LEN) < 0);
        MUST(s->store >= r->stores && s->store < r->stores + r->store_count);
        MUST(s->value && s->hosts && s->places && s->places < 1u << PLACE_COUNT);
    }
}

/* The tag or a box with one bit changed: the whole record must fail. */
static void spoiled_check(struct slice id, struct record_part *parts, size_t n, uint8_t choice)
{
    struct record_part *p = &parts[1 + choice % (n - 1)];
    uint8_t *octet = (uint8_t *)(uintptr_t)p->value.at + choice % p->value.len;
    struct record *r = NULL;

    *octet ^= (uint8_t)(1 << choice % 8);
    MUST(record_open(keys, id, parts, n, &r) != FAULT_NONE && !r);
}

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len)
{
    static struct record_part parts[RECORD_SECRETS_MAX + 8];
    static char fields[RECORD_SECRETS_MAX + 8][FIELD_MAX];
    struct slice policy = slice_of(at, len), id;
    struct record *r = NULL;
    json_t *root;
    size_t n, used;

    if (len < 2 || len > 65536)
        return 0;
    if (!keys)
        keys_make();
    policy = slice_drop(policy, 1);
    used = secret_arena_used();
    n = parts_make(policy, parts, fields, sizeof parts / sizeof *parts);
    root = json_loadb((const char *)policy.at, policy.len, 0, NULL);
    id = text_of(root, "id");
    if (record_open(keys, id, parts, n, &r) == FAULT_NONE) {
        record_check(r, id);
        record_drop(r);
        spoiled_check(id, parts, n, at[0]);
    }
    MUST(secret_arena_used() == used);
    json_decref(root);
    buf_take(&boxes, buf_held(&boxes).len);
    return 0;
}

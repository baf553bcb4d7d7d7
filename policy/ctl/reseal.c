#include "reseal.h"
#include "nameset.h"
#include "storeindex.h"

/* A second one finds what was written meanwhile by commands that had read the key file before. */
#define ROUNDS 5

/* --- one chest ------------------------------------------------------------------------------------------ */

static enum outcome ca_reseal(struct desk *d, struct chest *c)
{
    struct slice id = slice_text(c->id), pem = slice_text(json_text_of(c->policy, "ca"));
    struct secret *key;
    struct buf box = {0};
    enum outcome o;

    STEP(outcome_fault(store_ca_key_open(d->keys, id, pem, chest_get(c, "ca"), &key), "the CA's key"));
    o = outcome_fault(buf_open(&box, secret_len(key) + SEAL_EXTRA), "the CA's key");
    if (o == OUTCOME_DONE)
        o = outcome_fault(store_ca_key_seal(d->keys, id, pem, key, &box), "the CA's key");
    if (o == OUTCOME_DONE)
        o = chest_put(c, "ca", buf_held(&box));
    buf_close(&box);
    secret_free(key);
    return o;
}

static enum outcome value_reseal(struct desk *d, struct chest *c, const json_t *secret)
{
    struct secret *value;
    enum outcome o;

    STEP(chest_value_take(d, c, secret, &value));
    o = chest_value_put(d, c, secret, value);
    secret_free(value);
    return o;
}

static enum outcome boxes_reseal(struct desk *d, struct chest *c)
{
    const json_t *secrets = json_object_get(c->policy, "secrets"), *secret;
    size_t i;

    if (c->box_count != json_array_size(secrets) + c->sandbox)
        return outcome_say(OUTCOME_FAILED, "its policy and its boxes are not of the same secrets");
    if (c->sandbox)
        STEP(ca_reseal(d, c));
    json_array_foreach (secrets, i, secret)
        STEP(value_reseal(d, c, secret));
    return OUTCOME_DONE;
}

enum outcome reseal_chest(struct desk *d, struct chest *c)
{
    enum outcome o = boxes_reseal(d, c);

    if (o == OUTCOME_DONE)
        return o;
    return outcome_say(o, "%s %s can't be sealed anew", c->sandbox ? "sandbox" : "store", c->id);
}

/* --- all of them ---------------------------------------------------------------------------------------- */

/* Is the box of ${octets} under the key of this id? */
static bool box_under(const uint8_t *octets, size_t len, const char *id)
{
    char under[SEAL_ID_TEXT];

    return seal_key_id(slice_of(octets, len), under) && strcmp(under, id) == 0;
}

/* How many of its boxes and its tag are. */
static size_t boxes_under(const struct chest *c, const char *id)
{
    size_t n = box_under(c->was, c->was_len, id);

    for (size_t i = 0; i < c->box_count; i++)
        n += box_under(c->boxes[i].at, c->boxes[i].len, id);
    return n;
}

/* Whatever Redis holds a name of. */
static enum outcome names_list(struct desk *d, bool sandbox, struct names *out)
{
    return sandbox ? nameset_list(d, DB_SANDBOXES, out) : storeindex_list(d, out);
}

struct round {
    const char *first; /* the id of the key that seals */
    size_t found, changed;
};

static enum outcome reseal_edit(struct desk *d, void *cookie, struct chest *c, bool *changed)
{
    struct round *r = cookie;

    if (boxes_under(c, r->first) == c->box_count + 1) {
        r->found++;
        return OUTCOME_DONE;
    }
    STEP(reseal_chest(d, c));
    r->changed++;
    *changed = true;
    return OUTCOME_DONE;
}

static enum outcome kind_reseal(struct desk *d, bool sandbox, struct round *r)
{
    const struct chest_work work = {
        .edit = reseal_edit, .cookie = r, .doing = sandbox ? "resealing sandboxes" : "resealing stores"};
    struct names names;
    enum outcome o;

    STEP(names_list(d, sandbox, &names));
    o = chest_each(d, sandbox, names.ids, names.count, &work);
    names_free(&names);
    return o;
}

enum outcome reseal_all(struct desk *d, size_t *records)
{
    char first[SEAL_ID_TEXT];

    keyring_id(d->keys, 0, first);
    for (int i = 0; i < ROUNDS; i++) {
        struct round r = {.first = first};
        enum outcome stores = kind_reseal(d, false, &r), sandboxes = kind_reseal(d, true, &r);

        STEP(stores);
        STEP(sandboxes);
        *records = r.found;
        if (r.changed == 0)
            return OUTCOME_DONE;
    }
    return outcome_say(
        OUTCOME_FAILED,
        "others go on sealing under a key that is not the first of %s: copy it to every host that "
        "runs osbctl, then run this again",
        d->key_file);
}

static enum outcome count_show(struct desk *d, void *cookie, struct chest *c)
{
    struct reseal_counts *k = cookie;

    (void)d;
    for (size_t i = 0; i < k->count; i++)
        k->records[i] += boxes_under(c, k->ids[i]) > 0;
    return OUTCOME_DONE;
}

static enum outcome kind_count(struct desk *d, bool sandbox, struct reseal_counts *k)
{
    struct names names;
    enum outcome o;

    STEP(names_list(d, sandbox, &names));
    o = chest_show(d, sandbox, names.ids, names.count, count_show, k);
    names_free(&names);
    return o;
}

enum outcome reseal_count(struct desk *d, struct reseal_counts *out)
{
    enum outcome stores, sandboxes;

    *out = (struct reseal_counts){.count = keyring_count(d->keys)};
    for (size_t i = 0; i < out->count; i++)
        keyring_id(d->keys, i, out->ids[i]);
    stores = kind_count(d, false, out);
    sandboxes = kind_count(d, true, out);
    return stores != OUTCOME_DONE ? stores : sandboxes;
}

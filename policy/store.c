#include "store.h"

/* What a part adds to associated data beside itself. */
#define PART_EXTRA 8

static struct slice slice_json(const json_t *text)
{
    return slice_of(json_string_value(text), json_string_length(text));
}

/* --- policies ------------------------------------------------------------------------------------------- */

static enum fault policy_ad(struct seal_ad *ad, bool sandbox, struct slice policy)
{
    struct slice label = sandbox ? SLICE("osb1 sandbox") : SLICE("osb1 store");

    TRY(seal_ad_open(ad, label.len + policy.len + 2 * PART_EXTRA));
    TRY(seal_ad_add(ad, label));
    return seal_ad_add(ad, policy);
}

enum fault policy_tag(const struct keyring *keys, bool sandbox, struct slice policy, struct buf *out)
{
    struct seal_ad ad;
    enum fault why = policy_ad(&ad, sandbox, policy);

    if (why == FAULT_NONE)
        why = seal_box(keys, &ad, SLICE_NONE, out);
    seal_ad_close(&ad);
    return why;
}

static enum fault tag_check(const struct keyring *keys, bool sandbox, struct slice policy, struct slice tag)
{
    struct seal_ad ad;
    struct secret *nothing = NULL;
    enum fault why;

    if (tag.len != SEAL_EXTRA)
        return FAULT_INVALID;
    why = policy_ad(&ad, sandbox, policy);
    if (why == FAULT_NONE)
        why = seal_open(keys, &ad, tag, &nothing);
    seal_ad_close(&ad);
    secret_free(nothing);
    return why;
}

enum fault policy_open(const struct keyring *keys, bool sandbox, struct slice policy, struct slice tag,
                       json_t **out)
{
    json_t *root;

    TRY(tag_check(keys, sandbox, policy, tag));
    root = json_loadb((const char *)policy.at, policy.len, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(root)) {
        json_decref(root);
        return FAULT_INVALID;
    }
    *out = root;
    return FAULT_NONE;
}

/* --- values --------------------------------------------------------------------------------------------- */

static enum fault hosts_measure(const json_t *hosts, size_t *octets)
{
    size_t i;
    json_t *host;

    if (!json_is_array(hosts))
        return FAULT_INVALID;
    json_array_foreach (hosts, i, host) {
        if (!json_is_string(host))
            return FAULT_INVALID;
        *octets += json_string_length(host) + PART_EXTRA;
    }
    return FAULT_NONE;
}

static enum fault value_parts(struct seal_ad *ad, const struct value_binding *b, struct slice label)
{
    size_t i;
    json_t *host;

    TRY(seal_ad_add(ad, label));
    TRY(seal_ad_add(ad, b->owner));
    TRY(seal_ad_add(ad, b->name));
    if (b->sandbox)
        TRY(seal_ad_add(ad, b->token));
    json_array_foreach (b->hosts, i, host)
        TRY(seal_ad_add(ad, slice_json(host)));
    TRY(seal_ad_number(ad, b->places));
    return seal_ad_number(ad, b->version);
}

/* The hosts stand between parts of a fixed number, so a list can't run into its neighbours. */
static enum fault value_ad(struct seal_ad *ad, const struct value_binding *b)
{
    struct slice label = b->sandbox ? SLICE("osb1 sandbox value") : SLICE("osb1 store value");
    size_t octets = label.len + b->owner.len + b->name.len + b->token.len + 8 * PART_EXTRA;

    *ad = (struct seal_ad){0};
    TRY(hosts_measure(b->hosts, &octets));
    TRY(seal_ad_open(ad, octets));
    return value_parts(ad, b, label);
}

enum fault value_seal(const struct keyring *keys, const struct value_binding *b, const struct secret *value,
                      struct buf *out)
{
    struct seal_ad ad;
    enum fault why = value_ad(&ad, b);

    if (why == FAULT_NONE)
        why = seal_box_secret(keys, &ad, value, out);
    seal_ad_close(&ad);
    return why;
}

enum fault value_open(const struct keyring *keys, const struct value_binding *b, struct slice box,
                      struct secret **out)
{
    struct seal_ad ad;
    enum fault why = value_ad(&ad, b);

    if (why == FAULT_NONE)
        why = seal_open(keys, &ad, box, out);
    seal_ad_close(&ad);
    return why;
}

/* --- the key of a sandbox's CA -------------------------------------------------------------------------- */

static enum fault ca_ad(struct seal_ad *ad, struct slice id, struct slice ca_pem)
{
    struct slice label = SLICE("osb1 sandbox ca");

    TRY(seal_ad_open(ad, label.len + id.len + ca_pem.len + 3 * PART_EXTRA));
    TRY(seal_ad_add(ad, label));
    TRY(seal_ad_add(ad, id));
    return seal_ad_add(ad, ca_pem);
}

enum fault store_ca_key_seal(const struct keyring *keys, struct slice id, struct slice ca_pem,
                             const struct secret *key, struct buf *out)
{
    struct seal_ad ad;
    enum fault why = ca_ad(&ad, id, ca_pem);

    if (why == FAULT_NONE)
        why = seal_box_secret(keys, &ad, key, out);
    seal_ad_close(&ad);
    return why;
}

enum fault store_ca_key_open(const struct keyring *keys, struct slice id, struct slice ca_pem,
                             struct slice box, struct secret **out)
{
    struct seal_ad ad;
    enum fault why = ca_ad(&ad, id, ca_pem);

    if (why == FAULT_NONE)
        why = seal_open(keys, &ad, box, out);
    seal_ad_close(&ad);
    return why;
}

/* JSON holds versions as signed numbers, so they end there. */
uint64_t store_version_next(uint64_t stored, int64_t now_ms)
{
    uint64_t now = now_ms > 0 ? (uint64_t)now_ms : 0;
    uint64_t next = stored < INT64_MAX ? stored + 1 : INT64_MAX;

    return next > now ? next : now;
}

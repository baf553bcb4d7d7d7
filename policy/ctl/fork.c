#include "creation.h"
#include "sandboxes.h"
#include "verbs.h"

/* The clone's programs trust the parent's CA already; its key is sealed for the fork, whose record outlives the parent's. */
static enum outcome ca_inherit(struct desk *d, struct creation *k)
{
    const struct chest *parent = k->parent;
    const char *pem = json_text_of(parent->policy, "ca");
    struct secret *key;
    enum outcome o;

    if (!sandbox_ca_lasts(parent, k->expires_ms))
        return outcome_say(OUTCOME_REFUSED, "sandbox %s: the CA of sandbox %s would end before it does",
                           k->id, parent->id);
    STEP(outcome_fault(
        store_ca_key_open(d->keys, slice_text(parent->id), slice_text(pem), chest_get(parent, "ca"), &key),
        "the parent's CA"));
    o = creation_ca(d, k, pem, key);
    secret_free(key);
    return o;
}

enum outcome sandbox_fork(struct desk *d, const char *const *words)
{
    const char *from = order_value(d->order, OPTION_FROM, 0);
    struct creation k = {0};
    struct chest parent;
    enum outcome o;

    if (!from)
        return outcome_say(OUTCOME_USAGE, "--from ID is needed");
    STEP(sandbox_read(d, from, &parent));
    o = creation_take(d, words[0], &parent, &k);
    if (o == OUTCOME_DONE)
        o = ca_inherit(d, &k);
    if (o == OUTCOME_DONE)
        o = creation_end(d, &k);
    chest_close(&k.chest);
    chest_close(&parent);
    return o;
}

#include "addresses.h"
#include "claim.h"
#include "entry.h"
#include "print.h"
#include "sandboxes.h"
#include "verbs.h"
#include <stdio.h>

struct spot {
    char zone[RECORD_ID_MAX + 1]; /* "": it stays in its own */
    struct ip at[RECORD_ADDRESSES_MAX];
    size_t count;
};

struct moving {
    struct spot to, left;
    json_t *result;
};

static void spot_write(const struct spot *s, json_t *policy)
{
    json_object_set_new(policy, "addresses", addresses_json(s->at, s->count));
    if (*s->zone)
        json_object_set_new(policy, "zone", json_string(s->zone));
}

static void spot_read(const json_t *policy, struct spot *out)
{
    out->count = claims_of(policy, out->at);
    snprintf(out->zone, sizeof out->zone, "%s", json_text_of(policy, "zone"));
}

/* All are looked at before the first is taken, so that a refusal leaves things as they were. */
static enum outcome addresses_claim(struct desk *d, const struct moving *m, const char *id)
{
    struct chest c;
    enum outcome o;

    STEP(sandbox_read(d, id, &c));
    spot_write(&m->to, c.policy);
    o = OUTCOME_DONE;
    for (size_t i = 0; i < m->to.count && o == OUTCOME_DONE; i++)
        o = claim_check(d, json_text_of(c.policy, "zone"), m->to.at[i], id);
    if (o == OUTCOME_DONE)
        o = entry_claim(d, &c);
    chest_close(&c);
    return o;
}

/* Another move may have been quicker: what is left is what that gave, not what was read first. */
static enum outcome move_edit(struct desk *d, void *cookie, struct chest *c, bool *changed)
{
    struct moving *m = cookie;
    json_t *before = json_copy(c->policy);

    spot_read(before, &m->left);
    spot_write(&m->to, c->policy);
    *changed = !json_equal(before, c->policy);
    json_decref(before);
    if (*changed)
        chest_touch(d, c->policy);
    json_decref(m->result);
    m->result = sandbox_object(c);
    return OUTCOME_DONE;
}

static enum outcome spot_release(struct desk *d, const struct spot *s, const struct spot *kept,
                                 const char *id)
{
    bool zone_stays = strcmp(s->zone, kept->zone) == 0;

    for (size_t i = 0; i < s->count; i++)
        if (!zone_stays || !addresses_have(kept->at, kept->count, s->at[i]))
            STEP(claim_release(d, s->zone, s->at[i], id));
    return OUTCOME_DONE;
}

/* Only what we wrote is taken back. */
static enum outcome back_edit(struct desk *d, void *cookie, struct chest *c, bool *changed)
{
    const struct moving *m = cookie;
    json_t *ours = addresses_json(m->to.at, m->to.count);

    *changed = json_equal(ours, json_object_get(c->policy, "addresses"));
    json_decref(ours);
    if (!*changed)
        return OUTCOME_DONE;
    spot_write(&m->left, c->policy);
    chest_touch(d, c->policy);
    return OUTCOME_DONE;
}

/* An address is another's, who took it while our record did not list it: what is refused leaves the sandbox where it was. */
static enum outcome move_back(struct desk *d, struct moving *m, const char *id)
{
    enum outcome o = chest_edit(d, true, id, back_edit, m);

    if (o == OUTCOME_NOT_FOUND)
        return sandbox_missing(id);
    STEP(o);
    STEP(db_tell_sandbox(d->db, id));
    STEP(spot_release(d, &m->to, &m->left, id));
    STEP(entry_affirm(d, id));
    return OUTCOME_REFUSED;
}

/*
 * New addresses first, then the record, which decides, then the old ones: whoever dies in between leaves a sandbox that is
 * at one place or at the other. The last step also tells proxies that asked for a new address too early.
 */
static enum outcome move_run(struct desk *d, struct moving *m, const char *id)
{
    enum outcome o;

    STEP(addresses_claim(d, m, id));
    o = chest_edit(d, true, id, move_edit, m);
    if (o == OUTCOME_NOT_FOUND)
        return sandbox_missing(id);
    STEP(o);
    STEP(db_tell_sandbox(d->db, id));
    if (!*m->to.zone)
        memcpy(m->to.zone, m->left.zone, sizeof m->to.zone);
    STEP(spot_release(d, &m->left, &m->to, id));
    o = entry_affirm(d, id);
    return o == OUTCOME_REFUSED ? move_back(d, m, id) : o;
}

enum outcome sandbox_move(struct desk *d, const char *const *words)
{
    struct moving m = {.result = NULL};
    enum outcome o;

    if (d->zone_said)
        snprintf(m.to.zone, sizeof m.to.zone, "%.*s", RECORD_ID_MAX, d->zone);
    STEP(addresses_take(d, m.to.at, &m.to.count));
    o = move_run(d, &m, words[0]);
    if (o == OUTCOME_DONE)
        print_quiet(d, m.result);
    else
        json_decref(m.result);
    return o;
}

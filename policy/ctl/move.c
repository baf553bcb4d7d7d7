#include "addresses.h"
#include "claim.h"
#include "entry.h"
#include "print.h"
#include "sandboxes.h"
#include "verbs.h"
#include <stdio.h>

struct moving {
    struct ip to[RECORD_ADDRESSES_MAX], left[RECORD_ADDRESSES_MAX];
    size_t to_count, left_count;
    const char *zone; /* NULL: it stays in its own */
    char left_zone[RECORD_ID_MAX + 1];
    json_t *result;
};

static void policy_move(const struct moving *m, json_t *policy)
{
    json_object_set_new(policy, "addresses", addresses_json(m->to, m->to_count));
    if (m->zone)
        json_object_set_new(policy, "zone", json_string(m->zone));
}

/* All are looked at before the first is taken, so that a refusal leaves things as they were. */
static enum outcome addresses_claim(struct desk *d, const struct moving *m, const char *id)
{
    struct chest c;
    enum outcome o;

    STEP(sandbox_read(d, id, &c));
    policy_move(m, c.policy);
    o = OUTCOME_DONE;
    for (size_t i = 0; i < m->to_count && o == OUTCOME_DONE; i++)
        o = claim_check(d, json_text_of(c.policy, "zone"), m->to[i], id);
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

    m->left_count = claims_of(before, m->left);
    snprintf(m->left_zone, sizeof m->left_zone, "%s", json_text_of(before, "zone"));
    policy_move(m, c->policy);
    *changed = !json_equal(before, c->policy);
    json_decref(before);
    if (*changed)
        chest_touch(d, c->policy);
    json_decref(m->result);
    m->result = sandbox_object(c);
    return OUTCOME_DONE;
}

static enum outcome addresses_release(struct desk *d, const struct moving *m, const char *id)
{
    bool zone_stays = !m->zone || strcmp(m->zone, m->left_zone) == 0;

    for (size_t i = 0; i < m->left_count; i++)
        if (!zone_stays || !addresses_have(m->to, m->to_count, m->left[i]))
            STEP(claim_release(d, m->left_zone, m->left[i], id));
    return OUTCOME_DONE;
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
    STEP(addresses_release(d, m, id));
    return entry_affirm(d, id);
}

enum outcome sandbox_move(struct desk *d, const char *const *words)
{
    struct moving m = {.zone = d->zone_said ? d->zone : NULL};
    enum outcome o;

    STEP(addresses_take(d, m.to, &m.to_count));
    o = move_run(d, &m, words[0]);
    if (o == OUTCOME_DONE)
        print_quiet(d, m.result);
    else
        json_decref(m.result);
    return o;
}

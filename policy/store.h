#pragma once
#include "record.h"
#include <jansson.h>

/*
 * store - secret stores and sandbox records as osbctl writes them: JSON policies, their tags, their boxes.
 *
 *   Layer   service (policy).
 *   Why     the writer of what record.h reads, next to it, so the two can't drift.
 *   Bounds  runs in osbctl, once per command: plain, not fast.
 *
 * In Redis: hash osb:store:{UUID}
 *   policy      JSON: id name egress[] createdAt updatedAt version scrub
 *               secrets[{id name hosts[] places[] createdAt updatedAt version}]
 *   tag         a box of nothing over ("osb1 store", policy)
 *   value:NAME  a box of the value over ("osb1 store value", store id, name, host..., places, version)
 * and     hash   osb:stores = name -> UUID; set osb:store:{UUID}:sandboxes = ids; set osb:sandboxes = ids.
 */

/*
 * policy_tag(keys, sandbox, policy, out): the tag of a store's policy text, or of a sandbox's (${sandbox}).
 *   Fails   FAULT_FULL, FAULT_NO_MEMORY.
 */
enum fault policy_tag(const struct keyring *keys, bool sandbox, struct slice policy, struct buf *out) CHECKED;

/* policy_open(keys, sandbox, policy, tag, out): check the tag, parse. Fails FAULT_FORGED, FAULT_KEY_UNKNOWN,
 * FAULT_INVALID. The caller owns *out (json_decref). */
enum fault policy_open(const struct keyring *keys, bool sandbox, struct slice policy, struct slice tag,
                       json_t **out) CHECKED;

/*
 * What a value is bound to. owner: sandbox or store id; token: empty for a store. hosts in the policy's order.
 */
struct value_binding {
    bool sandbox;
    struct slice owner, name, token;
    const json_t *hosts; /* array of strings */
    unsigned places;
    uint64_t version;
};
enum fault value_seal(const struct keyring *keys, const struct value_binding *b, const struct secret *value,
                      struct buf *out) CHECKED;
enum fault value_open(const struct keyring *keys, const struct value_binding *b, struct slice box,
                      struct secret **out) CHECKED;

enum fault store_ca_key_seal(const struct keyring *keys, struct slice id, struct slice ca_pem,
                             const struct secret *key, struct buf *out) CHECKED;
enum fault store_ca_key_open(const struct keyring *keys, struct slice id, struct slice ca_pem,
                             struct slice box, struct secret **out) CHECKED;

/* store_version_next(stored, now_ms): max(stored + 1, now), contract section 8. */
uint64_t store_version_next(uint64_t stored, int64_t now_ms);

#pragma once
#include "chest.h"

/*
 * claim - which sandbox has which address: the keys osb:ip:ZONE:{ADDR}, an index beside the records.
 *
 *   Layer   program (osbctl).
 *   Why     an entry holds only while a record that has not expired lists the address; all others may be taken over.
 */

/* claim_check(d, zone, ip, id): may ${id} have it? Fails OUTCOME_REFUSED, with the owner's id. */
enum outcome claim_check(struct desk *d, const char *zone, struct ip ip, const char *id) CHECKED;

/* claim_take(d, zone, ip, id, expires_ms): the same, and take it. */
enum outcome claim_take(struct desk *d, const char *zone, struct ip ip, const char *id,
                        int64_t expires_ms) CHECKED;

/* claim_release(d, zone, ip, id): give up what is still ${id}'s. */
enum outcome claim_release(struct desk *d, const char *zone, struct ip ip, const char *id) CHECKED;

/* claims_of(policy, out): the addresses of a sandbox's policy; room for RECORD_ADDRESSES_MAX. Gives their number. */
size_t claims_of(const json_t *policy, struct ip *out);

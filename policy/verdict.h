#pragma once
#include "record.h"

/*
 * verdict - what a record says to a question. Pure: no clock but the one passed, no I/O, no memory.
 *
 *   Layer   service (policy).
 *   Why     policy is decided in one room that a reader can hold in the head and a test can enumerate.
 */

/* verdict_alive(r, from, now_ms): is ${r} still ${from}'s? FAULT_UNKNOWN_SOURCE (address not its own), FAULT_REVOKED
 * (expired), FAULT_NONE. */
enum fault verdict_alive(const struct record *r, struct ip from, int64_t now_ms) CHECKED;

/* verdict_host(r, h): may this sandbox reach ${h} at all? FAULT_HOST_NOT_ALLOWED or FAULT_NONE. */
enum fault verdict_host(const struct record *r, const struct host *h) CHECKED;

/*
 * verdict_secret(s, h): may ${s} be given to ${h}, in any place? Empty hosts: every host of its store's list, and an
 *   empty store list every name.
 */
bool verdict_secret(const struct record_secret *s, const struct host *h);

enum token_verdict { TOKEN_GRANTED, TOKEN_UNKNOWN, TOKEN_WRONG_HOST, TOKEN_WRONG_PLACE };

/* verdict_token(r, token, h, place, out): *out is the secret where it is known, else NULL. */
enum token_verdict verdict_token(const struct record *r, struct slice token, const struct host *h,
                                 enum place place, const struct record_secret **out);

/* Some of a record's secrets, as bits by their place in it. */
struct secret_set {
    uint64_t bits[RECORD_SECRETS_MAX / 64];
};

/* verdict_places(r, h, given): the places in which some secret may go to ${h}, as bits; 0: bodies and heads go verbatim.
 * *given: which secrets these are. */
unsigned verdict_places(const struct record *r, const struct host *h, struct secret_set *given);

/* verdict_same(old, now, h): may ${h} still be reached, and have the same values of the same places? For what goes on long.
 */
bool verdict_same(const struct record *old, const struct record *now, const struct host *h);

/*
 * verdict_authority(value, h, original_port): does a Host or :authority name ${h}, and no port or the original one?
 *   Takes   original_port  443 on direct_listen. A literal v6 ${h} stands in brackets in ${value}.
 *   Fails   FAULT_BAD_REQUEST (not the grammar of an authority), FAULT_HOST_MISMATCH.
 */
enum fault verdict_authority(struct slice value, const struct host *h, uint16_t original_port) CHECKED;

/*
 * verdict_address(ip, allow, n): may an upstream have this address? Refused unless ${allow} lists it: loopback,
 *   link-local, private, shared, multicast, reserved (documentation networks may be dialled); also when it stands
 *   inside a v4-mapped, v4-compatible, NAT64, 6to4 or Teredo address.
 *   Fails   FAULT_ADDRESS_NOT_ALLOWED.
 */
enum fault verdict_address(struct ip ip, const struct net *allow, size_t n) CHECKED;

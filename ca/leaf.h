#pragma once
#include "authority.h"

/*
 * leaf - a certificate for one name, signed by a sandbox's authority.
 *
 *   Layer   service (ca).
 *   Why     one signature per name, no key generation: a name costs microseconds, not milliseconds.
 *   Source  RFC 5280, RFC 6125: SAN only (critical where there is no CN), CN where it fits in 64; CA:FALSE; keyUsage
 *           digitalSignature; EKU serverAuth; SKI, AKI; serial of 128 random bits; from an hour ago for LEAF_DAYS.
 */
#define LEAF_DAYS 3

/*
 * leaf_mint(a, name, literal, now_ms, out): a fresh leaf; its key is a->leaf_key.
 *   Takes   name     canonical, 1 to 253 octets; an address in text where ${literal}.
 *   Gives   *out     owned by the caller. Never outlives the authority's own notAfter.
 *   Fails   FAULT_INVALID, FAULT_SYSTEM.
 *   Costs   one P-256 signature and the certificate around it.
 */
enum fault leaf_mint(const struct authority *a, struct slice name, bool literal, int64_t now_ms,
                     X509 **out) CHECKED;

/*
 * leaf_settle(leaf): read the leaf back from its own octets, so that OpenSSL keeps them and does not encode it anew in every
 *   handshake.
 *   Takes   *leaf    replaced, or left as it is where that fails: it is as good, and slower.
 *   Costs   as much as three mints, once; saves a fortieth of each handshake.
 */
void leaf_settle(X509 **leaf);

#pragma once
#include "sandbox.h"

/*
 * mint - the leaf that a client is shown for a host, within its sandbox's budget of signatures.
 *
 *   Layer   flow.
 *   Why     a name costs a client nothing, and us a signature; a denied one is signed too, so that there is TLS in which to
 *           say so.
 *   Bounds  20 denied names at once and 2 a second, 200 and 20 of allowed ones: wildcards invite floods.
 *   Source  contract section 2.
 */

/* mint_leaf(s, host, cert, key): out of ${s}'s cache, or made now; both stay ${s}'s. Fails FAULT_NAME_REFUSED beyond the
 * budget; any of leafcache_get's. */
enum fault mint_leaf(struct sandbox *s, const struct host *host, X509 **cert, EVP_PKEY **key) CHECKED;

#pragma once
#include "fault.h"
#include "secret.h"
#include "slice.h"
#include <openssl/evp.h>
#include <openssl/x509.h>

/*
 * authority - a sandbox's own CA: P-256, pathlen 0, backdated an hour.
 *
 *   Layer   service (ca).
 *   Why     one sandbox's trust never vouches for another's connections.
 *   Bounds  the private key lives in the arena at rest, and in OpenSSL's secure heap (where the program opened one) while
 *           the authority is in use.
 */
struct authority {
    X509 *cert;
    EVP_PKEY *key;      /* signs leaves */
    EVP_PKEY *leaf_key; /* the one key of all its leaves, made at authority_open; never stored */
};

/*
 * authority_new(id, now_ms, days, pem, key): draw a CA for sandbox ${id}.
 *   Gives   *pem  the certificate (malloc'd, NUL-terminated; free it). *key  PKCS#8 DER in the arena.
 *   Fails   FAULT_SYSTEM, FAULT_NO_MEMORY.
 *   Source  RFC 5280: basicConstraints critical CA:TRUE pathlen:0; keyUsage critical keyCertSign; SKI; serial of 128
 *           random bits; subject CN "osb sandbox ID" cut to 64.
 */
enum fault authority_new(struct slice id, int64_t now_ms, unsigned days, char **pem,
                         struct secret **key) CHECKED;

/*
 * authority_open(pem, key, out): ready to sign. Checks that the key is the certificate's.
 *   Fails   FAULT_INVALID, FAULT_SYSTEM, FAULT_NO_MEMORY.
 */
enum fault authority_open(struct slice pem, const struct secret *key, struct authority *out) CHECKED;
void authority_close(struct authority *a);

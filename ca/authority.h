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
 *   Bounds  the private key lives in the arena at rest, and in OpenSSL's secure heap (where the program opened
 *           one) while the authority is in use. It never passes through OpenSSL's encoders and decoders, which
 *           leave copies behind.
 */
struct authority {
    X509 *cert;         /* all of it, but what it says was not verified: it came with the key, sealed */
    EVP_PKEY *key;      /* signs leaves */
    EVP_PKEY *leaf_key; /* the one key of all its leaves, made at authority_open; never stored */
    X509 *leaf_mould;   /* what all its leaves have in common */
};

/*
 * authority_new(id, now_ms, days, pem, key): draw a CA for sandbox ${id}.
 *   Takes   id     printable ASCII.
 *   Gives   *pem  the certificate (malloc'd, NUL-terminated; free it). *key  PKCS#8 DER in the arena.
 *   Fails   FAULT_SYSTEM, FAULT_NO_MEMORY, FAULT_INVALID.
 *   Source  RFC 5280: basicConstraints critical CA:TRUE pathlen:0; keyUsage critical keyCertSign; SKI; serial of 128
 *           random bits; subject CN "osb sandbox ID" cut to 64.
 */
enum fault authority_new(struct slice id, int64_t now_ms, unsigned days, char **pem,
                         struct secret **key) CHECKED;

/*
 * authority_open(pem, key, out): ready to sign. Checks that the key's public half is the certificate's, octet by octet.
 *   Takes   pem   as authority_new wrote it: one certificate in DER, a CA's with a key id, and nothing around it.
 *           key   as authority_new wrote it: another encoding of the same key is refused. That its two halves belong
 *                 together is not checked: it comes sealed, and if they did not, no client would accept a leaf.
 *   Fails   FAULT_INVALID, FAULT_SYSTEM, FAULT_NO_MEMORY.
 *   Costs   as much as to draw five keys; the first one in a process four times that, and 30 KiB that are kept.
 */
enum fault authority_open(struct slice pem, const struct secret *key, struct authority *out) CHECKED;
void authority_close(struct authority *a);

/* authority_fault(doing): OpenSSL failed at ${doing}: its reason goes to the log. Gives FAULT_SYSTEM. */
enum fault authority_fault(const char *doing);

/* authority_serial(x): RFC 5280 s.4.1.2.2: positive, at most 20 octets, here with 128 random bits. */
bool authority_serial(X509 *x);

/* authority_dates(x, now_ms, days): from an hour before ${now_ms}, for clocks that are behind, until ${days} after. */
bool authority_dates(X509 *x, int64_t now_ms, unsigned days);

#pragma once
#include "request.h"
#include <openssl/ssl.h>

/*
 * caller - one simulated sandbox: a source address, the roots it trusts, its own tokens.
 *
 *   Layer   program (osb-bench).
 *   Why     the proxy tells sandboxes apart by address and gives each a CA, so a load of many sandboxes needs many of these.
 *   Bounds  ENV_OCTETS_MAX of an --env file.
 */
#define ENV_OCTETS_MAX 65536

struct caller {
    struct sockaddr_storage from; /* from_len 0: whatever the kernel picks */
    socklen_t from_len;
    SSL_CTX *tls; /* shared by callers with the same roots */
    struct request request;
    char *env;
};

struct callers {
    struct caller *at;
    size_t count;
};

/* callers_open(plan, out): says on stderr what is wrong, and gives false. callers_close after that is harmless. */
bool callers_open(const struct loadplan *plan, struct callers *out);
void callers_close(struct callers *c);

#include "caller.h"
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>

/* caller_trust(ca): verified always: a load on a proxy whose certificates nobody checks would measure another program. */
static SSL_CTX *caller_trust(const struct loadplan *plan, const char *ca)
{
    SSL_CTX *tls = SSL_CTX_new(TLS_client_method());
    long mode = SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER;

    if (!tls)
        return NULL;
    if (plan->idle) /* the generator's own memory must not be the limit of how many it holds */
        mode |= SSL_MODE_RELEASE_BUFFERS;
    SSL_CTX_set_mode(tls, mode);
    SSL_CTX_set_verify(tls, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_read_ahead(tls, !plan->idle);
    SSL_CTX_set_session_cache_mode(tls, plan->resume ? SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL
                                                     : SSL_SESS_CACHE_OFF);
    if (SSL_CTX_set_min_proto_version(tls, TLS1_2_VERSION) != 1 ||
        (ca ? SSL_CTX_load_verify_locations(tls, ca, NULL) : SSL_CTX_set_default_verify_paths(tls)) != 1) {
        fprintf(stderr, "osb-bench load: %s: no certificates can be read from it\n",
                ca ? ca : "system's roots");
        SSL_CTX_free(tls);
        return NULL;
    }
    return tls;
}

static char *env_read(const char *path)
{
    FILE *file = fopen(path, "re");
    char *text = file ? calloc(1, ENV_OCTETS_MAX + 1) : NULL;

    if (text)
        text[fread(text, 1, ENV_OCTETS_MAX, file)] = 0;
    if (file)
        fclose(file);
    if (!text)
        fprintf(stderr, "osb-bench load: %s: can't be read\n", path);
    for (char *c = text; c && *c; c++)
        if (*c == '\n')
            *c = 0;
    return text;
}

/* Lines are separated by NUL by now, and the text ends with two of them at the latest. */
static const char *caller_token(void *cookie, const char *token)
{
    const struct caller *c = cookie;
    size_t len = strlen(token + 1);

    if (token[0] != '@')
        return token;
    for (const char *at = c->env, *end = c->env ? c->env + ENV_OCTETS_MAX : NULL; at < end;
         at += strlen(at) + 1)
        if (strncmp(at, token + 1, len) == 0 && at[len] == '=')
            return at + len + 1;
    return NULL;
}

static bool caller_open(const struct loadplan *plan, size_t at, struct caller *out)
{
    struct endpoint from = {.port = 0};
    const char *wrong;

    if (plan->from.count) {
        if (ip_parse(slice_text(plan->from.at[at]), &from.ip) != FAULT_NONE) {
            fprintf(stderr, "osb-bench load: --from %s: no address\n", plan->from.at[at]);
            return false;
        }
        out->from_len = endpoint_sockaddr(from, &out->from);
    }
    if (plan->env.count && !(out->env = env_read(plan->env.at[plan->env.count > 1 ? at : 0])))
        return false;
    wrong = request_open(plan, caller_token, out, &out->request);
    if (wrong)
        fprintf(stderr, "osb-bench load: %s\n", wrong);
    return !wrong;
}

bool callers_open(const struct loadplan *plan, struct callers *out)
{
    out->count = plan->from.count ? plan->from.count : 1;
    out->at = calloc(out->count, sizeof *out->at);
    if (!out->at)
        return false;
    for (size_t i = 0; i < out->count; i++) {
        if (i && plan->ca.count < 2) {
            out->at[i].tls = out->at[0].tls;
            SSL_CTX_up_ref(out->at[i].tls);
        } else {
            out->at[i].tls = caller_trust(plan, plan->ca.count ? plan->ca.at[i] : NULL);
        }
        if (!out->at[i].tls || !caller_open(plan, i, &out->at[i]))
            return false;
    }
    return true;
}

void callers_close(struct callers *c)
{
    for (size_t i = 0; c->at && i < c->count; i++) {
        SSL_CTX_free(c->at[i].tls);
        request_close(&c->at[i].request);
        free(c->at[i].env);
    }
    free(c->at);
    c->at = NULL;
}

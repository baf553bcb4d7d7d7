#include "envfile.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define SYSTEM_ROOTS "/etc/ssl/certs/ca-certificates.crt"

/* These add to the roots that the program has: they get the CA alone. */
static const char *const adding[] = {"NODE_EXTRA_CA_CERTS", "DENO_CERT", "CODEX_CA_CERTIFICATE", NULL};

/* These replace the roots: with the CA alone, nothing that is not intercepted could be verified. */
static const char *const replacing[] = {
    "SSL_CERT_FILE",
    "CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "PIP_CERT",
    "AWS_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "CARGO_HTTP_CAINFO",
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
    "PERL_LWP_SSL_CA_FILE",
    "HTTPLIB2_CA_CERTS",
    "NIX_SSL_CERT_FILE",
    "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE",
    "BUNDLE_SSL_CA_CERT",
    "HEX_CACERTS_PATH",
    "JULIA_SSL_CA_ROOTS_PATH",
    "YARN_HTTPS_CA_FILE_PATH",
    NULL,
};

static const char *const others[] = {"PATH", "NODE_OPTIONS", "SSL_CERT_DIR", NULL};

static bool names_have(const char *const *names, const char *name)
{
    for (; *names; names++)
        if (strcmp(*names, name) == 0)
            return true;
    return false;
}

bool envfile_reserves(const char *name)
{
    return strncmp(name, "LD_", 3) == 0 || names_have(adding, name) || names_have(replacing, name) ||
           names_have(others, name);
}

static enum outcome path_ok(const char *option, const char *path)
{
    if (!path)
        return OUTCOME_DONE;
    for (const char *c = path; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            return outcome_say(OUTCOME_REFUSED, "%s: control characters do not fit into a line", option);
    if (path[0] != '/')
        return outcome_say(OUTCOME_REFUSED, "%s %s: the sandbox needs an absolute path", option, path);
    return OUTCOME_DONE;
}

enum outcome envfile_paths_ok(const struct order *order)
{
    STEP(path_ok("--ca-path", order_value(order, OPTION_CA_PATH, 0)));
    return path_ok("--bundle-path", order_value(order, OPTION_BUNDLE_PATH, 0));
}

static void variables_add(json_t *env, const char *const *names, const char *path)
{
    for (; path && *names; names++)
        json_object_set_new(env, *names, json_string(path));
}

json_t *envfile_json(const struct order *order, const struct chest *sandbox)
{
    json_t *env = json_object(), *secret;
    size_t i;

    json_array_foreach (json_object_get(sandbox->policy, "secrets"), i, secret)
        json_object_set(env, json_text_of(secret, "name"), json_object_get(secret, "token"));
    variables_add(env, adding, order_value(order, OPTION_CA_PATH, 0));
    variables_add(env, replacing, order_value(order, OPTION_BUNDLE_PATH, 0));
    return env;
}

char *envfile_text(const struct order *order, const struct chest *sandbox)
{
    json_t *env = envfile_json(order, sandbox), *value;
    size_t octets = 1, at = 0;
    const char *name;
    char *text;

    json_object_foreach (env, name, value)
        octets += strlen(name) + json_string_length(value) + sizeof("=\n");
    text = demand(octets);
    text[0] = 0;
    json_object_foreach (env, name, value)
        at += (size_t)snprintf(text + at, octets - at, "%s=%s\n", name, json_string_value(value));
    json_decref(env);
    return text;
}

/* The system's roots, as they are today; free them. */
static enum outcome roots_read(char **out, size_t *len)
{
    FILE *file = fopen(SYSTEM_ROOTS, "re");
    size_t room = 0, n;

    *out = NULL;
    *len = 0;
    if (!file)
        return outcome_say(OUTCOME_FAILED, "the system's roots %s can't be read: %s", SYSTEM_ROOTS,
                           strerror(errno));
    do {
        char *grown = realloc(*out, room += 65536);

        if (!grown)
            break;
        *out = grown;
        n = fread(*out + *len, 1, room - *len, file);
        *len += n;
    } while (*len == room);
    bool whole = feof(file) && !ferror(file) && *len > 0;

    fclose(file);
    if (whole)
        return OUTCOME_DONE;
    free(*out);
    return outcome_say(OUTCOME_FAILED, "the system's roots %s can't be read, or are none", SYSTEM_ROOTS);
}

static enum outcome bundle_write(const char *path, const char *ca, struct outfile *out)
{
    char *roots;
    size_t len;
    enum outcome o;

    *out = (struct outfile){0};
    if (!path)
        return OUTCOME_DONE;
    STEP(roots_read(&roots, &len));
    o = outfile_write(path, slice_text(ca), slice_of(roots, len), out);
    free(roots);
    return o;
}

enum outcome envfile_write(const struct order *order, const struct chest *sandbox, struct envfile *out)
{
    const char *ca = json_text_of(sandbox->policy, "ca");
    char *text = envfile_text(order, sandbox);
    enum outcome o;

    *out = (struct envfile){0};
    o = outfile_write(order_value(order, OPTION_ENV_FILE, 0), slice_text(text), SLICE_NONE, &out->env);
    free(text);
    if (o == OUTCOME_DONE)
        o = outfile_write(order_value(order, OPTION_CA_FILE, 0), slice_text(ca), SLICE_NONE, &out->ca);
    if (o == OUTCOME_DONE)
        o = bundle_write(order_value(order, OPTION_BUNDLE_FILE, 0), ca, &out->bundle);
    if (o != OUTCOME_DONE)
        envfile_drop(out);
    return o;
}

enum outcome envfile_commit(struct envfile *f)
{
    STEP(outfile_commit(&f->env));
    STEP(outfile_commit(&f->ca));
    return outfile_commit(&f->bundle);
}

void envfile_drop(struct envfile *f)
{
    outfile_drop(&f->env);
    outfile_drop(&f->ca);
    outfile_drop(&f->bundle);
}

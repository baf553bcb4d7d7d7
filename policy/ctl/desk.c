#include "desk.h"
#include "clock.h"
#include "record.h"
#include "secret.h"
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#define ARENA_OCTETS  ((size_t)8 << 20) /* locked as it is used: osbctl check opens all values of a record */
#define REDIS_DEFAULT "unix:/run/redis/redis-server.sock"
#define ADMIN_DEFAULT "unix:/run/osb/admin.sock"
#define ZONE_DEFAULT  "default"

static enum outcome text_keep(const char *what, struct slice text, char *out)
{
    if (text.len >= DESK_TEXT)
        return outcome_say(OUTCOME_REFUSED, "%s is too long", what);
    if (text.len)
        memcpy(out, text.at, text.len);
    out[text.len] = 0;
    return OUTCOME_DONE;
}

static enum outcome url_add(struct desk *d, struct slice text)
{
    const char *why;

    if (d->url_count == REDIS_URLS_MAX)
        return outcome_say(OUTCOME_REFUSED, "more than %d lines of redis", REDIS_URLS_MAX);
    why = redisurl_parse(text, &d->urls[d->url_count]);
    if (why)
        return outcome_say(OUTCOME_USAGE, "the address of Redis %s", why);
    d->url_count++;
    return OUTCOME_DONE;
}

/* Of the proxy's file only what osbctl shares with it; the rest is the proxy's to judge (osb-proxy --check). */
static enum outcome line_take(struct desk *d, struct slice line)
{
    size_t equals = slice_find(line, '=');
    struct slice key = slice_trim(slice_first(line, equals));
    struct slice value = slice_trim(slice_drop(line, equals + 1));

    if (equals == line.len || slice_starts(line, SLICE("#")))
        return OUTCOME_DONE;
    if (slice_equal(key, SLICE("redis")))
        return url_add(d, value);
    if (slice_equal(key, SLICE("key_file")))
        return text_keep("key_file", value, d->key_file);
    if (slice_equal(key, SLICE("zone")))
        return text_keep("zone", value, d->zone);
    if (slice_equal(key, SLICE("admin")))
        return text_keep("admin", value, d->admin);
    if (slice_equal(key, SLICE("redis_ca_file")))
        return text_keep("redis_ca_file", value, d->redis_ca_file);
    if (slice_equal(key, SLICE("upstream_ca_file")))
        return text_keep("upstream_ca_file", value, d->upstream_ca_file);
    return OUTCOME_DONE;
}

static enum outcome file_read(struct desk *d, const char *path)
{
    FILE *file = fopen(path, "re");
    char *line = NULL;
    size_t room = 0;
    ssize_t n;
    enum outcome o = OUTCOME_DONE;

    if (!file)
        return outcome_say(OUTCOME_FAILED, "%s can't be read: %s", path, strerror(errno));
    while (o == OUTCOME_DONE && (n = getline(&line, &room, file)) >= 0) {
        struct slice text = slice_of(line, (size_t)n);

        if (slice_ends(text, SLICE("\n")))
            text.len--;
        o = line_take(d, text);
    }
    if (o == OUTCOME_DONE && ferror(file))
        o = outcome_say(OUTCOME_FAILED, "%s can't be read", path);
    if (line)
        sodium_memzero(line, room); /* an address of Redis may hold its password */
    free(line);
    fclose(file);
    return o;
}

/* An option beats the environment; NULL: neither. */
static const char *setting_text(const struct order *order, enum option option, const char *variable)
{
    const char *text = order_value(order, option, 0);

    if (!text && (text = getenv(variable)) && !*text)
        text = NULL;
    return text;
}

static enum outcome setting_find(const struct order *order, enum option option, const char *variable,
                                 char *out)
{
    const char *text = setting_text(order, option, variable);

    return text ? text_keep(variable, slice_text(text), out) : OUTCOME_DONE;
}

static enum outcome ca_file_find(struct desk *d)
{
    const char *text = getenv("OSB_REDIS_CA_FILE");

    if (text && *text)
        return text_keep("OSB_REDIS_CA_FILE", slice_text(text), d->redis_ca_file);
    if (!*d->redis_ca_file)
        memcpy(d->redis_ca_file, d->upstream_ca_file, sizeof d->redis_ca_file);
    return OUTCOME_DONE;
}

enum outcome desk_settle(const struct order *order, struct desk *out)
{
    const char *path = order_value(order, OPTION_CONFIG, 0);
    const char *url = setting_text(order, OPTION_REDIS, "OSB_REDIS_URL");

    *out = (struct desk){.order = order, .admin = ADMIN_DEFAULT, .now_ms = clock_wall_ms()};
    out->json = order_has(order, OPTION_JSON);
    if (path)
        STEP(file_read(out, path));
    STEP(setting_find(order, OPTION_KEY_FILE, "OSB_KEY_FILE", out->key_file));
    STEP(setting_find(order, OPTION_ZONE, "OSB_ZONE", out->zone));
    STEP(ca_file_find(out));
    out->zone_said = *out->zone;
    if (!out->zone_said)
        memcpy(out->zone, ZONE_DEFAULT, sizeof ZONE_DEFAULT);
    if (!record_id_ok(slice_text(out->zone)))
        return outcome_say(OUTCOME_REFUSED, "zone %s: letters, digits, '.', '_' and '-' are allowed",
                           out->zone);
    if (url)
        out->url_count = 0;
    else if (out->url_count == 0)
        url = REDIS_DEFAULT;
    return url ? url_add(out, slice_text(url)) : OUTCOME_DONE;
}

enum outcome desk_keys(struct desk *d)
{
    const char *why = "it can't be used";

    if (!*d->key_file)
        return outcome_say(OUTCOME_USAGE,
                           "which key file? say --key-file FILE, set OSB_KEY_FILE, or name it in -c FILE");
    STEP(outcome_fault(secret_arena_open(ARENA_OCTETS), "memory for secrets (see ulimit -l)"));
    if (keyring_load(d->key_file, &d->keys, &why) != FAULT_NONE)
        return outcome_say(OUTCOME_FAILED, "key file %s: %s", d->key_file, why);
    return OUTCOME_DONE;
}

bool desk_keys_again(struct desk *d)
{
    struct keyring *keys;
    const char *why;

    if (d->keys_again || keyring_load(d->key_file, &keys, &why) != FAULT_NONE)
        return false;
    d->keys_again = true;
    keyring_free(d->keys);
    d->keys = keys;
    return true;
}

enum outcome desk_open(struct desk *d)
{
    STEP(desk_keys(d));
    return db_open(d->urls, d->url_count, d->redis_ca_file, &d->db);
}

enum outcome desk_close(struct desk *d)
{
    enum outcome o = db_close(d->db);

    keyring_free(d->keys);
    sodium_memzero(d, sizeof *d);
    return o;
}

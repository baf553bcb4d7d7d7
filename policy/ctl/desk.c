#include "desk.h"
#include "clock.h"
#include "record.h"
#include "secret.h"
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#define ARENA_OCTETS  ((size_t)1 << 20)
#define REDIS_DEFAULT "unix:/run/redis/redis-server.sock"

static enum outcome text_keep(const char *what, struct slice text, char *out)
{
    if (text.len >= DESK_TEXT)
        return outcome_say(OUTCOME_REFUSED, "%s is too long", what);
    if (text.len)
        memcpy(out, text.at, text.len);
    out[text.len] = 0;
    return OUTCOME_DONE;
}

static enum outcome url_add(struct desk *d, struct slice url)
{
    if (d->url_count == DB_URLS_MAX)
        return outcome_say(OUTCOME_REFUSED, "more than %d lines of redis", DB_URLS_MAX);
    return text_keep("the address of Redis", url, d->urls[d->url_count++]);
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

static enum outcome setting_find(const struct desk *d, enum option option, const char *variable, char *out)
{
    const char *text = order_value(d->order, option, 0);

    if (!text && (text = getenv(variable)) && !*text)
        text = NULL;
    return text ? text_keep(variable, slice_text(text), out) : OUTCOME_DONE;
}

enum outcome desk_settle(const struct order *order, struct desk *out)
{
    const char *path = order_value(order, OPTION_CONFIG, 0);
    char url[DESK_TEXT] = "";

    *out = (struct desk){.order = order, .zone = "default", .now_ms = clock_wall_ms()};
    out->json = order_has(order, OPTION_JSON);
    if (path)
        STEP(file_read(out, path));
    STEP(setting_find(out, OPTION_REDIS, "OSB_REDIS_URL", url));
    STEP(setting_find(out, OPTION_KEY_FILE, "OSB_KEY_FILE", out->key_file));
    STEP(setting_find(out, OPTION_ZONE, "OSB_ZONE", out->zone));
    if (!record_id_ok(slice_text(out->zone)))
        return outcome_say(OUTCOME_REFUSED, "zone %s: letters, digits, '.', '_' and '-' are allowed",
                           out->zone);
    if (*url)
        out->url_count = 0;
    else if (out->url_count == 0)
        memcpy(url, REDIS_DEFAULT, sizeof REDIS_DEFAULT);
    return *url ? url_add(out, slice_text(url)) : OUTCOME_DONE;
}

enum outcome desk_open(struct desk *d)
{
    const char *urls[DB_URLS_MAX], *why = "it can't be used";

    if (!*d->key_file)
        return outcome_say(OUTCOME_USAGE,
                           "which key file? say --key-file FILE, set OSB_KEY_FILE, or name it in -c FILE");
    STEP(outcome_fault(secret_arena_open(ARENA_OCTETS), "memory for secrets (see ulimit -l)"));
    if (keyring_load(d->key_file, &d->keys, &why) != FAULT_NONE)
        return outcome_say(OUTCOME_FAILED, "key file %s: %s", d->key_file, why);
    for (size_t i = 0; i < d->url_count; i++)
        urls[i] = d->urls[i];
    return db_open(urls, d->url_count, &d->db);
}

void desk_close(struct desk *d)
{
    db_close(&d->db);
    keyring_free(d->keys);
    sodium_memzero(d, sizeof *d);
}

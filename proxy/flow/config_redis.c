#include "config_key.h"
#include <sodium.h>

#define REDIS_PORT   6379
#define REDIS_DB_MAX 65535

static const char not_url[] = "must be unix:PATH or redis://[user:password@]host[:port][/db]";

static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = octet_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* RFC 3986 s.2.1. A NUL, which C and hiredis would read as the end, is refused. */
static bool percent_decode(struct slice from, char *into, size_t room)
{
    size_t n = 0;

    while (from.len) {
        int octet = from.at[0], high, low;
        size_t taken = 1;

        if (octet == '%') {
            if (from.len < 3 || (high = hex_value(from.at[1])) < 0 || (low = hex_value(from.at[2])) < 0)
                return false;
            octet = high << 4 | low;
            taken = 3;
        }
        if (octet == 0 || n + 1 >= room)
            return false;
        into[n++] = (char)octet;
        from = slice_drop(from, taken);
    }
    into[n] = 0;
    return true;
}

static const char *redis_credentials(struct slice text, struct config_redis *out)
{
    size_t colon = slice_find(text, ':');

    if (colon == text.len)
        return "must have user:password (or :password) in front of '@'";
    if (!percent_decode(slice_first(text, colon), out->user, sizeof out->user))
        return "has a user that is too long or badly percent-encoded";
    if (!percent_decode(slice_drop(text, colon + 1), out->password, sizeof out->password))
        return "has a password that is too long or badly percent-encoded";
    return NULL;
}

static const char *redis_host(struct slice text, struct config_redis *out)
{
    bool bracketed = text.len && text.at[0] == '[';
    size_t end = bracketed ? slice_find(text, ']') + 1 : slice_find(text, ':');
    struct slice name = slice_first(text, end), port = slice_drop(text, end);
    uint64_t number = REDIS_PORT;
    struct host host;

    if (host_canonical(name, &host) != FAULT_NONE && host_literal(name, &host) != FAULT_NONE)
        return "has no valid host";
    if (port.len && (port.at[0] != ':' || !slice_number(slice_drop(port, 1), UINT16_MAX, &number) || !number))
        return "has no valid port";
    memcpy(out->host, host.name, (size_t)host.len + 1);
    out->port = (uint16_t)number;
    return NULL;
}

static const char *redis_tcp(struct slice text, struct config_redis *out)
{
    size_t slash = slice_find(text, '/');
    struct slice place = slice_first(text, slash), db = slice_drop(text, slash + 1);
    const uint8_t *at = place.len ? memrchr(place.at, '@', place.len) : NULL;
    uint64_t number = 0;

    if (db.len && !slice_number(db, REDIS_DB_MAX, &number))
        return "has no valid database number behind the host";
    out->db = (unsigned)number;
    if (at) {
        size_t before = (size_t)(at - place.at);
        const char *why = redis_credentials(slice_first(place, before), out);

        if (why)
            return why;
        place = slice_drop(place, before + 1);
    }
    return redis_host(place, out);
}

static const char *redis_unix(struct slice path, struct config_redis *out)
{
    if (path.len == 0 || path.len >= sizeof out->unix_path)
        return "must have a path of 1 to 107 octets behind unix:";
    memcpy(out->unix_path, path.at, path.len);
    return NULL;
}

static const char *redis_tls(struct slice rest, struct config_redis *out)
{
    (void)rest;
    (void)out;
    return "rediss:// is not supported by this version: use a unix socket, or redis:// within a private "
           "network";
}

static const char *redis_sentinel(struct slice rest, struct config_redis *out)
{
    (void)rest;
    (void)out;
    return "sentinel:// is not supported by this version: name one server";
}

static const struct {
    struct slice scheme;
    const char *(*read)(struct slice rest, struct config_redis *out);
} scheme_table[] = {
    {{(const uint8_t *)"unix:", 5}, redis_unix},
    {{(const uint8_t *)"redis://", 8}, redis_tcp},
    {{(const uint8_t *)"rediss://", 9}, redis_tls},
    {{(const uint8_t *)"sentinel://", 11}, redis_sentinel},
};

const char *config_redis_parse(struct slice url, struct config_redis *out)
{
    const char *why = not_url;

    sodium_memzero(out, sizeof *out);
    for (size_t i = 0; i < sizeof scheme_table / sizeof *scheme_table; i++)
        if (slice_starts(url, scheme_table[i].scheme))
            why = scheme_table[i].read(slice_drop(url, scheme_table[i].scheme.len), out);
    if (why)
        sodium_memzero(out, sizeof *out);
    return why;
}

#include "redisurl.h"
#include <sodium.h>
#include <stdio.h>

#define REDIS_PORT    6379
#define SENTINEL_PORT 26379
#define REDIS_DB_MAX  65535

static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = octet_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A NUL, which C and hiredis would read as the end, is refused. */
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

/* What stands before the last '@' of ${places}, which is cut off: an address has none. */
static const char *credentials_read(struct slice *places, struct redis_url *out)
{
    const uint8_t *at = places->len ? memrchr(places->at, '@', places->len) : NULL;
    struct slice text;
    size_t colon;

    if (!at)
        return NULL;
    text = slice_first(*places, (size_t)(at - places->at));
    *places = slice_drop(*places, text.len + 1);
    colon = slice_find(text, ':');
    if (colon == text.len)
        return "must have user:password (or :password) in front of '@'";
    if (!percent_decode(slice_first(text, colon), out->user, sizeof out->user))
        return "has a user that is too long or badly percent-encoded";
    if (!percent_decode(slice_drop(text, colon + 1), out->password, sizeof out->password))
        return "has a password that is too long or badly percent-encoded";
    return NULL;
}

static const char *place_read(struct slice text, uint16_t port_default, struct redis_place *out)
{
    bool bracketed = text.len && text.at[0] == '[';
    size_t end = bracketed ? slice_find(text, ']') + 1 : slice_find(text, ':');
    struct slice name = slice_first(text, end), port = slice_drop(text, end);
    uint64_t number = port_default;
    struct host host;

    if (host_canonical(name, &host) != FAULT_NONE && host_literal(name, &host) != FAULT_NONE)
        return "has no valid host";
    if (port.len && (port.at[0] != ':' || !slice_number(slice_drop(port, 1), UINT16_MAX, &number) || !number))
        return "has no valid port";
    memcpy(out->host, host.name, (size_t)host.len + 1);
    out->port = (uint16_t)number;
    return NULL;
}

static const char *db_read(struct slice text, struct redis_url *out)
{
    uint64_t number = 0;

    if (text.len && !slice_number(text, REDIS_DB_MAX, &number))
        return "has no valid database number at its end";
    out->db = (unsigned)number;
    return NULL;
}

static const char *tcp_read(struct slice rest, struct redis_url *out)
{
    size_t slash = slice_find(rest, '/');
    struct slice place = slice_first(rest, slash);
    const char *why = db_read(slice_drop(rest, slash + 1), out);

    if (!why)
        why = credentials_read(&place, out);
    out->place_count = 1;
    return why ? why : place_read(place, REDIS_PORT, &out->places[0]);
}

static const char *tls_read(struct slice rest, struct redis_url *out)
{
    out->tls = true;
    return tcp_read(rest, out);
}

static const char *unix_read(struct slice path, struct redis_url *out)
{
    if (path.len == 0 || path.len >= sizeof out->unix_path || memchr(path.at, 0, path.len))
        return "must have a path of 1 to 107 octets behind unix:";
    memcpy(out->unix_path, path.at, path.len);
    return NULL;
}

static const char *sentinels_read(struct slice list, struct redis_url *out)
{
    const char *why = NULL;
    bool more = true;

    while (more && !why) {
        size_t comma = slice_find(list, ',');

        if (out->place_count == REDIS_PLACES_MAX)
            return "names too many sentinels: 8 are the most";
        why = place_read(slice_first(list, comma), SENTINEL_PORT, &out->places[out->place_count++]);
        more = comma < list.len;
        list = slice_drop(list, comma + 1);
    }
    return why;
}

static const char *sentinel_read(struct slice rest, struct redis_url *out)
{
    size_t slash = slice_find(rest, '/');
    struct slice places = slice_first(rest, slash), path = slice_drop(rest, slash + 1);
    struct slice name = slice_first(path, slice_find(path, '/'));
    const char *why;

    if (!record_id_ok(name))
        return "must have the master's name behind the sentinels: sentinel://host,host/name";
    memcpy(out->sentinel, name.at, name.len);
    why = db_read(slice_drop(path, name.len + 1), out);
    if (!why)
        why = credentials_read(&places, out);
    return why ? why : sentinels_read(places, out);
}

static const struct {
    struct slice scheme;
    const char *(*read)(struct slice rest, struct redis_url *out);
} scheme_table[] = {
    {{(const uint8_t *)"unix:", 5}, unix_read},
    {{(const uint8_t *)"redis://", 8}, tcp_read},
    {{(const uint8_t *)"rediss://", 9}, tls_read},
    {{(const uint8_t *)"sentinel://", 11}, sentinel_read},
};

const char *redisurl_parse(struct slice url, struct redis_url *out)
{
    const char *why =
        "must be unix:PATH, redis://[user:password@]host[:port][/db], rediss:// (the same, over "
        "TLS) or sentinel://host[:port],host[:port]/name[/db]";

    sodium_memzero(out, sizeof *out);
    for (size_t i = 0; i < sizeof scheme_table / sizeof *scheme_table; i++)
        if (slice_starts(url, scheme_table[i].scheme))
            why = scheme_table[i].read(slice_drop(url, scheme_table[i].scheme.len), out);
    if (why)
        sodium_memzero(out, sizeof *out);
    return why;
}

void redis_place_text(const struct redis_place *p, char *out)
{
    const char *form = strchr(p->host, ':') ? "[%s]:%u" : "%s:%u";

    snprintf(out, REDIS_PLACE_TEXT, form, p->host, (unsigned)p->port);
}

void redisurl_text(const struct redis_url *url, char *out)
{
    size_t n;

    if (*url->unix_path) {
        snprintf(out, REDIS_URL_TEXT, "unix:%s", url->unix_path);
        return;
    }
    n = (size_t)snprintf(out, REDIS_URL_TEXT, "%s://",
                         *url->sentinel ? "sentinel"
                         : url->tls     ? "rediss"
                                        : "redis");
    for (size_t i = 0; i < url->place_count; i++) {
        if (i)
            out[n++] = ',';
        redis_place_text(&url->places[i], out + n);
        n += strlen(out + n);
    }
    if (*url->sentinel)
        n += (size_t)snprintf(out + n, REDIS_URL_TEXT - n, "/%s", url->sentinel);
    if (url->db)
        snprintf(out + n, REDIS_URL_TEXT - n, "/%u", url->db);
}

#pragma once
#include "hostpat.h"
#include "record.h"

/*
 * redisurl - where a Redis is, as an operator writes it.
 *
 *   Layer   service (policy).
 *   Why     the proxy and osbctl read the same line, and must find the same server behind it.
 *   Source  unix:PATH
 *           redis://[user:password@]host[:6379][/db]     rediss:// the same, over TLS
 *           sentinel://[user:password@]host[:26379],host[:port].../name[/db]
 *           user, password: percent-encoded (RFC 3986 s.2.1); with sentinel:// they are the master's.
 */
#define REDIS_PLACES_MAX 8
#define REDIS_URLS_MAX   8

struct redis_place {
    char host[HOST_MAX + 1]; /* a name, or an address without brackets; canonical */
    uint16_t port;
};

struct redis_url {
    char unix_path[108]; /* set: a unix socket, and no places */
    bool tls;
    char sentinel[RECORD_ID_MAX + 1]; /* set: the master's name; the places are sentinels */
    struct redis_place places[REDIS_PLACES_MAX];
    size_t place_count; /* one, unless sentinels */
    char user[128], password[512];
    unsigned db;
};

/*
 * redisurl_parse(url, out): one line.
 *   Gives   NULL and *out; or a static sentence that goes behind the key's name ("must be ...", "has no ..."), never a part
 *           of ${url}. *out is then wiped. It may hold a password: who has it wipes it.
 */
const char *redisurl_parse(struct slice url, struct redis_url *out);

/* redisurl_text(url, out): for messages; without user and password. redis_place_text(p, out): HOST:PORT, v6 in brackets. */
#define REDIS_PLACE_TEXT (HOST_MAX + sizeof("[]:65535"))
#define REDIS_URL_TEXT   (sizeof("sentinel:///65535/") + REDIS_PLACES_MAX * REDIS_PLACE_TEXT + RECORD_ID_MAX)
void redisurl_text(const struct redis_url *url, char *out);
void redis_place_text(const struct redis_place *p, char *out);

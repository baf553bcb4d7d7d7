#include "config_key.h"
#include "msg.h"
#include "record.h"
#include "seal.h"
#include "worker.h"
#include <fcntl.h>
#include <stddef.h>
#include <sys/stat.h>
#include <unistd.h>

#define DNS_PORT 53

#define SECOND_MS ((uint64_t)1000)
#define HOUR_MS   (3600 * SECOND_MS)
#define KIB       ((uint64_t)1024)
#define MIB       (1024 * KIB)
#define GIB       (1024 * MIB)

static void *member_at(struct config *out, size_t offset)
{
    return (char *)out + offset;
}

/* --- numbers -------------------------------------------------------------------------------------------- */

struct unit {
    const char *name;
    uint64_t times;
};

static const struct unit time_units[] = {{"", SECOND_MS},       {"ms", 1},      {"s", SECOND_MS},
                                         {"m", 60 * SECOND_MS}, {"h", HOUR_MS}, {NULL, 0}};
static const struct unit size_units[] = {{"", 1}, {"KiB", KIB}, {"MiB", MIB}, {"GiB", GIB}, {NULL, 0}};
static const struct unit no_units[] = {{"", 1}, {NULL, 0}};

/* Digits, blanks, a unit of the list. The limit is divided first, so that nothing wraps. */
static bool number_parse(const struct config_key *key, struct slice value, const struct unit *unit,
                         uint64_t *out)
{
    size_t digits = 0;
    uint64_t number;

    while (digits < value.len && value.at[digits] >= '0' && value.at[digits] <= '9')
        digits++;
    for (; unit->name; unit++)
        if (slice_equal(slice_trim(slice_drop(value, digits)), slice_text(unit->name)))
            break;
    if (!unit->name || !slice_number(slice_first(value, digits), key->most / unit->times, &number))
        return false;
    *out = number * unit->times;
    return *out >= key->least;
}

static const char *read_long(const struct config_key *key, struct slice value, const struct unit *units,
                             struct config *out)
{
    uint64_t number;

    if (!number_parse(key, value, units, &number))
        return key->form;
    *(uint64_t *)member_at(out, key->at) = number;
    return NULL;
}

static const char *read_count(const struct config_key *key, struct slice value, struct config *out)
{
    return read_long(key, value, no_units, out);
}

static const char *read_duration(const struct config_key *key, struct slice value, struct config *out)
{
    return read_long(key, value, time_units, out);
}

static const char *read_workers(const struct config_key *key, struct slice value, struct config *out)
{
    uint64_t number;

    if (!number_parse(key, value, no_units, &number))
        return key->form;
    out->workers = (unsigned)number;
    return NULL;
}

static const char *read_fields(const struct config_key *key, struct slice value, struct config *out)
{
    uint64_t number;

    if (!number_parse(key, value, no_units, &number))
        return key->form;
    out->head_fields = (size_t)number;
    return NULL;
}

/* Where 0 is accepted it means no limit: then no length is above it. */
static const char *read_size(const struct config_key *key, struct slice value, struct config *out)
{
    uint64_t number;

    if (!number_parse(key, value, size_units, &number))
        return key->form;
    *(size_t *)member_at(out, key->at) = number ? (size_t)number : SIZE_MAX;
    return NULL;
}

/* --- words and texts ------------------------------------------------------------------------------------ */

/* Which of the choices in key->form it is; -1 for none. */
static int choice_parse(const struct config_key *key, struct slice value)
{
    struct slice left = slice_text(key->form);

    for (int which = 0; left.len; which++) {
        struct slice word = slice_first(left, slice_find(left, '|'));

        if (slice_equal(word, value))
            return which;
        left = slice_drop(left, word.len + 1);
    }
    return -1;
}

static const char *read_flag(const struct config_key *key, struct slice value, struct config *out)
{
    int which = choice_parse(key, value);

    if (which < 0)
        return key->form;
    *(bool *)member_at(out, key->at) = which == 1;
    return NULL;
}

static const char *read_http(const struct config_key *key, struct slice value, struct config *out)
{
    int which = choice_parse(key, value);

    if (which < 0)
        return key->form;
    out->http = (enum http_mode)which;
    return NULL;
}

static const char *text_store(const struct config_key *key, struct slice value, struct config *out)
{
    char *into = member_at(out, key->at);

    if (value.len < key->least || value.len >= key->room)
        return key->form;
    memset(into, 0, key->room);
    if (value.len)
        memcpy(into, value.at, value.len);
    return NULL;
}

/* What an account's name is made of, so that a slip is seen here and not when rights are to be dropped. */
static const char *read_account(const struct config_key *key, struct slice value, struct config *out)
{
    for (size_t i = 0; i < value.len; i++)
        if (value.at[i] <= ' ' || value.at[i] > '~' || value.at[i] == ':' || value.at[i] == '/')
            return key->form;
    return text_store(key, value, out);
}

static const char *read_zone(const struct config_key *key, struct slice value, struct config *out)
{
    return record_id_ok(value) ? text_store(key, value, out) : key->form;
}

static const char *read_log(const struct config_key *key, struct slice value, struct config *out)
{
    bool word = slice_equal(value, SLICE("stdout")) || slice_equal(value, SLICE("syslog")) ||
                slice_equal(value, SLICE("off"));

    /* A misspelt word would else be a file of that name in whatever folder we run in. */
    return word || slice_find(value, '/') < value.len ? text_store(key, value, out) : key->form;
}

/* Opening and fstat, not access(2): what counts is the effective user, and a FIFO must not make us wait. */
static const char *file_check(const char *path, mode_t forbidden, off_t *octets)
{
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    struct stat st;
    const char *why = NULL;

    if (fd < 0)
        return "names a file that can't be opened";
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        why = "must name a regular file";
    else if (st.st_mode & forbidden)
        why = "names a file that others can reach: chmod 600";
    *octets = st.st_size;
    close(fd);
    return why;
}

static const char *read_key_file(const struct config_key *key, struct slice value, struct config *out)
{
    const char *why = text_store(key, value, out);
    off_t octets;

    if (!why)
        why = file_check(out->key_file, S_IRWXG | S_IRWXO, &octets);
    if (!why && (octets == 0 || octets % SEAL_KEY_OCTETS))
        why =
            "names a file that holds no keys: it must be a multiple of 32 octets (osbctl key init makes one)";
    return why;
}

static const char *read_ca_file(const struct config_key *key, struct slice value, struct config *out)
{
    const char *why = text_store(key, value, out);
    off_t octets;

    return why || value.len == 0 ? why : file_check(member_at(out, key->at), 0, &octets);
}

/* --- places --------------------------------------------------------------------------------------------- */

static bool endpoint_equal(struct endpoint a, struct endpoint b)
{
    return ip_equal(a.ip, b.ip) && a.port == b.port;
}

static bool endpoint_among(const struct endpoint *list, size_t n, struct endpoint wanted)
{
    for (size_t i = 0; i < n; i++)
        if (endpoint_equal(list[i], wanted))
            return true;
    return false;
}

/* The kernel would let two listeners of this process share a port and spread clients over both at random. */
static bool listener_taken(const struct config *c, struct endpoint wanted)
{
    return endpoint_among(c->listen, c->listens, wanted) ||
           endpoint_among(c->direct_listen, c->direct_listens, wanted) ||
           endpoint_among(c->http_listen, c->http_listens, wanted) ||
           endpoint_among(c->connect_listen, c->connect_listens, wanted);
}

/* The next free element of a list is at index *count, for config has seen that there is one. */
static const char *read_listener(const struct config_key *key, struct slice value, struct config *out)
{
    struct endpoint *list = member_at(out, key->at), e;
    size_t *count = member_at(out, key->count);

    if (endpoint_parse(value, &e) != FAULT_NONE)
        return key->form;
    if (listener_taken(out, e))
        return "names an address and port that is listened on already";
    list[(*count)++] = e;
    return NULL;
}

static const char *read_resolver(const struct config_key *key, struct slice value, struct config *out)
{
    struct endpoint e = {.port = DNS_PORT};

    if (ip_parse(value, &e.ip) != FAULT_NONE && endpoint_parse(value, &e) != FAULT_NONE)
        return key->form;
    out->resolver[out->resolvers++] = e;
    return NULL;
}

static const char *read_net(const struct config_key *key, struct slice value, struct config *out)
{
    struct net net;

    if (net_parse(value, &net) != FAULT_NONE)
        return key->form;
    out->allow_net[out->allow_nets++] = net;
    return NULL;
}

static const char *read_connect(const struct config_key *key, struct slice value, struct config *out)
{
    size_t equals = slice_find(value, '=');
    struct config_connect new = {0};

    if (equals == value.len ||
        host_port(slice_trim(slice_first(value, equals)), &new.host, &new.port) != FAULT_NONE ||
        endpoint_parse(slice_trim(slice_drop(value, equals + 1)), &new.to) != FAULT_NONE)
        return key->form;
    for (size_t i = 0; i < out->connect_tos; i++)
        if (out->connect_to[i].port == new.port &&
            slice_equal(host_name(&out->connect_to[i].host), host_name(&new.host)))
            return "sends the same HOST:PORT to two places";
    out->connect_to[out->connect_tos++] = new;
    return NULL;
}

static const char *read_admin(const struct config_key *key, struct slice value, struct config *out)
{
    struct slice scheme = SLICE("unix:");

    out->admin = (struct endpoint){0};
    memset(out->admin_path, 0, sizeof out->admin_path);
    if (slice_starts(value, scheme))
        return text_store(key, slice_drop(value, scheme.len), out);
    return endpoint_parse(value, &out->admin) == FAULT_NONE ? NULL : key->form;
}

static const char *read_redis(const struct config_key *key, struct slice value, struct config *out)
{
    const char *why = redisurl_parse(value, &out->redis[out->redis_count]);

    (void)key;
    if (!why)
        out->redis_count++;
    return why;
}

/* --- the table ------------------------------------------------------------------------------------------ */

#define AT(member)       .at = offsetof(struct config, member)
#define RANGE(low, high) .least = (low), .most = (high)
#define LIST(member, total) \
    AT(member), .count = offsetof(struct config, total), .room = CONFIG_MANY, .many = true
#define TEXT(member, low) AT(member), .room = sizeof((struct config *)0)->member, .least = (low)

#define LISTENER(member)                                         \
    LIST(member, member##s), .off = true, .read = read_listener, \
                             .form = "off, or ADDRESS:PORT with an IPv6 address in brackets"
#define TIMEOUT(member)                                        \
    AT(member), RANGE(0, 24 * HOUR_MS), .read = read_duration, \
                                        .form = "0 (none) to 24h; units ms, s, m, h (bare: seconds)"
#define STORE_TIME(member)                                     \
    AT(member), RANGE(1, 24 * HOUR_MS), .read = read_duration, \
                                        .form = "1ms to 24h; units ms, s, m, h (bare: seconds)"
#define COUNT(member) AT(member), RANGE(0, 10000000), .read = read_count, .form = "0 (no limit) to 10000000"
#define SIZE(member)  AT(member), .read = read_size
#define FLAG(member)  AT(member), .read = read_flag
#define ACCOUNT       .read = read_account, .form = "an account's name of at most 63 octets, or empty"

/* Two generations of workers live side by side while a reload goes on. */
#define WORKERS_MAX (WORKER_ROWS / 2)
_Static_assert(WORKERS_MAX == 64 && MSG_FIELDS_MAX == 256, "the sentences below name these numbers");

/* clang-format off */
const struct config_key config_key_table[] = {
    {"listen",                "[::]:8443", LISTENER(listen)},
    {"direct_listen",         "off",       LISTENER(direct_listen)},
    {"http_listen",           "[::]:8080", LISTENER(http_listen)},
    {"connect_listen",        "off",       LISTENER(connect_listen)},
    {"workers",               NULL,        RANGE(1, WORKERS_MAX), .read = read_workers, .form = "1 to 64"},
    {"zone",                  "default",   TEXT(zone, 1), .read = read_zone, .environment = "OSB_ZONE",
                                           .form = "1 to 128 of A-Z a-z 0-9 . _ - and begin with none of . -"},
    {"redis",                 "unix:/run/redis/redis-server.sock",
                                           AT(redis), .count = offsetof(struct config, redis_count),
                                           .room = REDIS_URLS_MAX, .many = true, .read = read_redis,
                                           .environment = "OSB_REDIS_URL",
                                           .full = "is given too often: 8 addresses are the most"},
    {"redis_ca_file",         "",          TEXT(redis_ca_file, 0), .read = read_ca_file,
                                           .form = "a path of at most 255 octets, or empty"},
    {"key_file",              NULL,        TEXT(key_file, 1), .read = read_key_file, .required = true,
                                           .environment = "OSB_KEY_FILE",
                                           .form = "a path of 1 to 255 octets"},
    {"upstream",              "resolve",   FLAG(upstream_original), .form = "resolve|original"},
    {"resolver",              NULL,        LIST(resolver, resolvers), .read = read_resolver,
                                           .form = "ADDRESS or ADDRESS:PORT"},
    {"connect_to",            NULL,        LIST(connect_to, connect_tos), .read = read_connect,
                                           .form = "HOST:PORT=ADDRESS:PORT, IPv6 addresses in brackets"},
    {"allow_net",             NULL,        LIST(allow_net, allow_nets), .read = read_net,
                                           .form = "ADDRESS or ADDRESS/PREFIX with no bit set beyond the prefix"},
    {"upstream_ca_file",      "",          TEXT(upstream_ca_file, 0), .read = read_ca_file,
                                           .form = "a path of at most 255 octets, or empty"},
    {"http",                  "upgrade",   .read = read_http, .form = "deny|upgrade|pass"},
    {"denied_token",          "pass",      FLAG(denied_token_block), .form = "pass|block"},
    {"scrub",                 "on",        FLAG(scrub), .form = "off|on"},
    {"store_timeout",         "1s",        STORE_TIME(store_timeout_ms)},
    {"cache_ttl",             "30s",       STORE_TIME(cache_ttl_ms)},
    {"cache_stale",           "300s",      STORE_TIME(cache_stale_ms)},
    {"admin",                 "unix:/run/osb/admin.sock", TEXT(admin_path, 1), .read = read_admin,
                                           .form = "unix:PATH (1 to 107 octets) or ADDRESS:PORT"},
    {"audit_log",             "stdout",    TEXT(audit_log, 1), .read = read_log,
                                           .form = "stdout, syslog, off, or a path with a '/' in it"},
    {"user",                  "",          TEXT(user, 0), ACCOUNT},
    {"group",                 "",          TEXT(group, 0), ACCOUNT},
    {"max_connections",       NULL,        COUNT(max_connections)},
    {"sandbox_connections",   "1000",      COUNT(sandbox_connections)},
    {"sandbox_requests_per_s", "0",        COUNT(sandbox_requests_per_s)},
    {"head_bytes",            "64KiB",     SIZE(head_octets), RANGE(KIB, MIB),
                                           .form = "1KiB to 1MiB; units KiB, MiB (bare: octets)"},
    {"head_fields",           "128",       RANGE(1, MSG_FIELDS_MAX), .read = read_fields, .form = "1 to 256"},
    {"body_memory",           "1MiB",      SIZE(body_memory_octets), RANGE(1, GIB),
                                           .form = "1 to 1GiB; units KiB, MiB, GiB (bare: octets)"},
    {"body_spool",            "64MiB",     SIZE(body_spool_octets), RANGE(0, 1024 * GIB),
                                           .form = "0 (no limit) to 1024GiB; units KiB, MiB, GiB (bare: octets)"},
    {"handshake_timeout",     "10s",       TIMEOUT(handshake_timeout_ms)},
    {"head_timeout",          "30s",       TIMEOUT(head_timeout_ms)},
    {"idle_timeout",          "600s",      TIMEOUT(idle_timeout_ms)},
    {"connect_timeout",       "10s",       TIMEOUT(connect_timeout_ms)},
    {"drain_timeout",         "30s",       TIMEOUT(drain_timeout_ms)},
};
/* clang-format on */
const size_t config_key_count = sizeof config_key_table / sizeof *config_key_table;
_Static_assert(sizeof config_key_table / sizeof *config_key_table <= CONFIG_KEYS_MAX,
               "config counts them in an array");

const struct config_key *config_key_find(struct slice name)
{
    for (size_t i = 0; i < config_key_count; i++)
        if (slice_equal(slice_text(config_key_table[i].name), name))
            return &config_key_table[i];
    return NULL;
}

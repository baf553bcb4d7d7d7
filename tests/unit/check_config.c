#include "config.h"
#include "config_key.h"
#include <check.h>
#include <libgen.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEY_LINE "key_file = key\n"

/* Each test has a folder of its own, with a key file in it; the configuration is "f", so that lines begin with "f:". */
static char folder[] = "/tmp/check_config.XXXXXX";
static struct config config;
static char *said;

static void file_write(const char *name, struct slice text)
{
    FILE *file = fopen(name, "w");

    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(text.at, 1, text.len, file), text.len);
    ck_assert_int_eq(fclose(file), 0);
    ck_assert_int_eq(chmod(name, 0600), 0);
}

static void folder_make(void)
{
    unsetenv("OSB_KEY_FILE");
    unsetenv("OSB_ZONE");
    unsetenv("OSB_REDIS_URL");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    ck_assert_int_eq(chdir(folder), 0);
    file_write("key", SLICE("0123456789abcdef0123456789abcdef"));
}

static void folder_clear(void)
{
    free(said);
    unlink("key");
    unlink("open");
    unlink("f");
    rmdir(folder);
}

static enum fault read_as(struct slice text, const char *const *sets, size_t n)
{
    size_t octets;
    FILE *errors;
    enum fault fault;

    free(said);
    file_write("f", text);
    errors = open_memstream(&said, &octets);
    ck_assert_ptr_nonnull(errors);
    fault = config_read("f", sets, n, &config, errors);
    fclose(errors);
    ck_assert_msg((fault == FAULT_NONE) == (octets == 0), "%s, and said '%s'", fault_table[fault].name, said);
    return fault;
}

static enum fault read_text(const char *lines)
{
    char text[8192];
    int n = snprintf(text, sizeof text, "%s%s", KEY_LINE, lines);

    return read_as(slice_of(text, (size_t)n), NULL, 0);
}

static const struct {
    const char *lines, *want;
} wrong_lines[] = {
    {"lissen = [::]:1", "f:2: lissen: is not a key that this program knows\n"},
    {"Zone = a", "f:2: is not a key that this program knows\n"},
    {"= x", "f:2: is not a key that this program knows\n"},
    {"\n\nzone", "f:4: the line is not of the form KEY = VALUE\n"},
    {"zone = a\r\n", "f:2: the line has a CR: end lines with LF alone, as Unix does\n"},
    {"zone = a\x01", "f:2: the line has a control character\n"},
    {"zone = a # b", "f:2: zone: must be 1 to 128 of A-Z a-z 0-9 . _ - and begin with none of . -\n"},
    {"zone =", "f:2: zone: must be 1 to 128 of A-Z a-z 0-9 . _ - and begin with none of . -\n"},
    {"zone = a\nscrub = on\nzone = a", "f:4: zone: is given twice\n"},
    {"key_file = key", "f:2: key_file: is given twice\n"},
    {"scrub = yes", "f:2: scrub: must be off|on\n"},
    {"scrub = off|on", "f:2: scrub: must be off|on\n"},
    {"http = allow", "f:2: http: must be deny|upgrade|pass\n"},
    {"denied_token =", "f:2: denied_token: must be pass|block\n"},
    {"upstream = Resolve", "f:2: upstream: must be resolve|original\n"},
    {"listen = 8443", "f:2: listen: must be off, or ADDRESS:PORT with an IPv6 address in brackets\n"},
    {"listen = ::1:8443", "f:2: listen: must be off, or ADDRESS:PORT with an IPv6 address in brackets\n"},
    {"listen = localhost:1", "f:2: listen: must be off, or ADDRESS:PORT with an IPv6 address in brackets\n"},
    {"listen = 1.1.1.1:0", "f:2: listen: must be off, or ADDRESS:PORT with an IPv6 address in brackets\n"},
    {"listen = off\nlisten = 1.1.1.1:1", "f:3: listen: can't be off and have values as well\n"},
    {"listen = 1.1.1.1:1\nlisten = off", "f:3: listen: can't be off and have values as well\n"},
    {"listen = 1.1.1.1:1\ndirect_listen = [::ffff:1.1.1.1]:1",
     "f:3: direct_listen: names an address and port that is listened on already\n"},
    {"listen = [::]:8080",
     "f: http_listen: its default names an address and port that is listened on already\n"},
    {"connect_listen = 3128",
     "f:2: connect_listen: must be off, or ADDRESS:PORT with an IPv6 address in brackets\n"},
    {"connect_listen = off\nconnect_listen = 1.1.1.1:1",
     "f:3: connect_listen: can't be off and have values as well\n"},
    {"connect_listen = 1.1.1.1:1\ndirect_listen = 1.1.1.1:1",
     "f:3: direct_listen: names an address and port that is listened on already\n"},
    {"http_listen = 1.1.1.1:1\nconnect_listen = 1.1.1.1:1",
     "f:3: connect_listen: names an address and port that is listened on already\n"},
    {"workers = 0", "f:2: workers: must be 1 to 64\n"},
    {"workers = 65", "f:2: workers: must be 1 to 64\n"},
    {"workers = 2s", "f:2: workers: must be 1 to 64\n"},
    {"head_fields = 257", "f:2: head_fields: must be 1 to 256\n"},
    {"head_fields = 0", "f:2: head_fields: must be 1 to 256\n"},
    {"head_bytes = 1023", "f:2: head_bytes: must be 1KiB to 1MiB; units KiB, MiB (bare: octets)\n"},
    {"head_bytes = 1025KiB", "f:2: head_bytes: must be 1KiB to 1MiB; units KiB, MiB (bare: octets)\n"},
    {"head_bytes = 17179869185GiB", "f:2: head_bytes: must be 1KiB to 1MiB; units KiB, MiB (bare: octets)\n"},
    {"head_bytes = 64kb", "f:2: head_bytes: must be 1KiB to 1MiB; units KiB, MiB (bare: octets)\n"},
    {"body_memory = 0", "f:2: body_memory: must be 1 to 1GiB; units KiB, MiB, GiB (bare: octets)\n"},
    {"idle_timeout = 25h", "f:2: idle_timeout: must be 0 (none) to 24h; units ms, s, m, h (bare: seconds)\n"},
    {"idle_timeout = 1.5s",
     "f:2: idle_timeout: must be 0 (none) to 24h; units ms, s, m, h (bare: seconds)\n"},
    {"idle_timeout = -1", "f:2: idle_timeout: must be 0 (none) to 24h; units ms, s, m, h (bare: seconds)\n"},
    {"idle_timeout = s", "f:2: idle_timeout: must be 0 (none) to 24h; units ms, s, m, h (bare: seconds)\n"},
    {"idle_timeout = 5 minutes",
     "f:2: idle_timeout: must be 0 (none) to 24h; units ms, s, m, h (bare: seconds)\n"},
    {"idle_timeout = 5124095576030432h",
     "f:2: idle_timeout: must be 0 (none) to 24h; units ms, s, m, h (bare: seconds)\n"},
    {"cache_ttl = 0", "f:2: cache_ttl: must be 1ms to 24h; units ms, s, m, h (bare: seconds)\n"},
    {"max_connections = 1k", "f:2: max_connections: must be 0 (no limit) to 10000000\n"},
    {"max_connections = 18446744073709551617", "f:2: max_connections: must be 0 (no limit) to 10000000\n"},
    {"resolver = dns.test", "f:2: resolver: must be ADDRESS or ADDRESS:PORT\n"},
    {"resolver = ::1:53x", "f:2: resolver: must be ADDRESS or ADDRESS:PORT\n"},
    {"connect_to = a.test:443",
     "f:2: connect_to: must be HOST:PORT=ADDRESS:PORT, IPv6 addresses in brackets\n"},
    {"connect_to = a.test=1.1.1.1:1",
     "f:2: connect_to: must be HOST:PORT=ADDRESS:PORT, IPv6 addresses in brackets\n"},
    {"connect_to = a.test:443=b.test:1",
     "f:2: connect_to: must be HOST:PORT=ADDRESS:PORT, IPv6 addresses in brackets\n"},
    {"connect_to = a.test:0443=1.1.1.1:1",
     "f:2: connect_to: must be HOST:PORT=ADDRESS:PORT, IPv6 addresses in brackets\n"},
    {"connect_to = ::1:443=1.1.1.1:1",
     "f:2: connect_to: must be HOST:PORT=ADDRESS:PORT, IPv6 addresses in brackets\n"},
    {"connect_to = a.test:1=1.1.1.1:1\nconnect_to = A.TEST.:1=1.1.1.1:2",
     "f:3: connect_to: sends the same HOST:PORT to two places\n"},
    {"allow_net = 10.0.0.1/8",
     "f:2: allow_net: must be ADDRESS or ADDRESS/PREFIX with no bit set beyond the prefix\n"},
    {"allow_net = 10.0.0.0/33",
     "f:2: allow_net: must be ADDRESS or ADDRESS/PREFIX with no bit set beyond the prefix\n"},
    {"admin = /run/admin.sock", "f:2: admin: must be unix:PATH (1 to 107 octets) or ADDRESS:PORT\n"},
    {"admin = unix:", "f:2: admin: must be unix:PATH (1 to 107 octets) or ADDRESS:PORT\n"},
    {"audit_log = stdot", "f:2: audit_log: must be stdout, syslog, off, or a path with a '/' in it\n"},
    {"user = a b", "f:2: user: must be an account's name of at most 63 octets, or empty\n"},
    {"upstream_ca_file = none", "f:2: upstream_ca_file: names a file that can't be opened\n"},
    {"upstream_ca_file = .", "f:2: upstream_ca_file: must name a regular file\n"},
    {"redis_ca_file = none", "f:2: redis_ca_file: names a file that can't be opened\n"},
    {"redis_ca_file = .", "f:2: redis_ca_file: must name a regular file\n"},
    {"redis = unix:/1\nredis = unix:/2\nredis = unix:/3\nredis = unix:/4\nredis = unix:/5\nredis = unix:/6\n"
     "redis = unix:/7\nredis = unix:/8\nredis = unix:/9",
     "f:10: redis: is given too often: 8 addresses are the most\n"},
    {"zone = -\nscrub = 1", "f:2: zone: must be 1 to 128 of A-Z a-z 0-9 . _ - and begin with none of . "
                            "-\nf:3: scrub: must be off|on\n"},
};

START_TEST(a_wrong_line_is_refused_where_it_stands)
{
    for (size_t i = 0; i < sizeof wrong_lines / sizeof *wrong_lines; i++) {
        ck_assert_msg(read_text(wrong_lines[i].lines) == FAULT_INVALID, "'%s' is accepted",
                      wrong_lines[i].lines);
        ck_assert_msg(strcmp(said, wrong_lines[i].want) == 0, "'%s': said '%s' instead of '%s'",
                      wrong_lines[i].lines, said, wrong_lines[i].want);
    }
}
END_TEST

/* Each holds the word that an operator would not want to find in a log. */
START_TEST(no_part_of_a_password_is_ever_said)
{
    static const struct {
        const char *line, *want;
    } rows[] = {
        {"redis://u:hunter2@h", "f:2: the line is not of the form KEY = VALUE\n"},
        {"redis://u:hunter2@h/?a=b", "f:2: is not a key that this program knows\n"},
        {"redis = hunter2",
         "f:2: redis: must be unix:PATH, redis://[user:password@]host[:port][/db], rediss:// (the same, over "
         "TLS) or sentinel://host[:port],host[:port]/name[/db]\n"},
        {"redis = redis://hunter2@h", "f:2: redis: must have user:password (or :password) in front of '@'\n"},
        {"redis = redis://u:hunter2%0@h",
         "f:2: redis: has a password that is too long or badly percent-encoded\n"},
        {"redis = rediss://u:hunter2@h_:0", "f:2: redis: has no valid port\n"},
        {"redis = sentinel://u:hunter2@h",
         "f:2: redis: must have the master's name behind the sentinels: sentinel://host,host/name\n"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ck_assert_msg(read_text(rows[i].line) == FAULT_INVALID, "'%s' is accepted", rows[i].line);
        ck_assert_msg(!strstr(said, "hunter"), "said '%s'", said);
        ck_assert_msg(strcmp(said, rows[i].want) == 0, "'%s': said '%s'", rows[i].line, said);
        ck_assert_msg(!memmem(&config, sizeof config, "hunter", 6), "'%s': it is still held", rows[i].line);
    }
}
END_TEST

START_TEST(the_key_file_must_be_given_private_and_regular)
{
    static const struct {
        const char *text, *want;
    } rows[] = {
        {"", "f: key_file: must be given: it has no default\n"},
        {"key_file =\n", "f:1: key_file: must be a path of 1 to 255 octets\n"},
        {"key_file = nowhere\n", "f:1: key_file: names a file that can't be opened\n"},
        {"key_file = /dev/null\n", "f:1: key_file: must name a regular file\n"},
        {"key_file = open\n", "f:1: key_file: names a file that others can reach: chmod 600\n"},
    };

    file_write("open", SLICE("0123456789abcdef0123456789abcdef"));
    ck_assert_int_eq(chmod("open", 0640), 0);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ck_assert_int_eq(read_as(slice_text(rows[i].text), NULL, 0), FAULT_INVALID);
        ck_assert_str_eq(said, rows[i].want);
    }
}
END_TEST

START_TEST(a_file_that_cant_be_read_is_not_found)
{
    static const struct {
        const char *path, *want;
    } rows[] = {{"nowhere", "nowhere: can't be read: No such file or directory\n"},
                {".", ".: can't be read: Is a directory\n"}};

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t octets;
        FILE *errors = open_memstream(&said, &octets);

        ck_assert_int_eq(config_read(rows[i].path, NULL, 0, &config, errors), FAULT_NOT_FOUND);
        fclose(errors);
        ck_assert_str_eq(said, rows[i].want);
        free(said);
        said = NULL;
    }
}
END_TEST

START_TEST(a_line_may_have_1023_octets_and_no_nul)
{
    char text[2048];

    for (size_t len = 1022; len <= 1025; len++) {
        memset(text, '#', len);
        memcpy(text + len, "\n" KEY_LINE, sizeof KEY_LINE);
        ck_assert_int_eq(read_as(slice_of(text, len + sizeof KEY_LINE), NULL, 0),
                         len <= 1023 ? FAULT_NONE : FAULT_INVALID);
        ck_assert_str_eq(said, len <= 1023 ? "" : "f:1: the line is longer than 1023 octets\n");
    }
    ck_assert_int_eq(read_as(SLICE(KEY_LINE "zone = a\0b"), NULL, 0), FAULT_INVALID);
    ck_assert_str_eq(said, "f:2: the line has a control character\n");
}
END_TEST

START_TEST(a_list_has_64_values_at_most)
{
    char text[4096];
    size_t n = (size_t)snprintf(text, sizeof text, KEY_LINE);

    for (int i = 0; i < 65; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "resolver = 10.0.0.%d\n", i);
    ck_assert_int_eq(read_as(slice_of(text, n), NULL, 0), FAULT_INVALID);
    ck_assert_str_eq(said, "f:66: resolver: is given too often: 64 values are the most\n");
}
END_TEST

static void expect_defaults(void)
{
    char at[ENDPOINT_TEXT];

    ck_assert_uint_eq(config.listens, 1);
    endpoint_text(config.listen[0], at);
    ck_assert_str_eq(at, "[::]:8443");
    ck_assert_uint_eq(config.http_listens, 1);
    endpoint_text(config.http_listen[0], at);
    ck_assert_str_eq(at, "[::]:8080");
    ck_assert_uint_eq(config.direct_listens + config.connect_listens + config.resolvers, 0);
    ck_assert_uint_eq(config.connect_tos + config.allow_nets, 0);
    ck_assert(config.workers >= 1 && config.workers <= 64);
    ck_assert_str_eq(config.zone, "default");
    ck_assert_uint_eq(config.redis_count, 1);
    ck_assert_str_eq(config.redis[0].unix_path, "/run/redis/redis-server.sock");
    ck_assert_str_eq(config.redis_ca_file, "");
    ck_assert_str_eq(config.upstream_ca_file, "");
    ck_assert_str_eq(config.admin_path, "/run/osb/admin.sock");
    ck_assert_str_eq(config.audit_log, "stdout");
    ck_assert_str_eq(config.user, "");
    ck_assert_str_eq(config.group, "");
    ck_assert(!config.upstream_original && !config.denied_token_block && config.scrub);
    ck_assert_int_eq(config.http, HTTP_UPGRADE);
    ck_assert_uint_gt(config.max_connections, 0);
}

START_TEST(a_silent_file_has_the_contracts_defaults)
{
    static const struct {
        size_t at;
        uint64_t want;
    } numbers[] = {
        {offsetof(struct config, store_timeout_ms), 1000},
        {offsetof(struct config, cache_ttl_ms), 30000},
        {offsetof(struct config, cache_stale_ms), 300000},
        {offsetof(struct config, sandbox_connections), 1000},
        {offsetof(struct config, sandbox_requests_per_s), 0},
        {offsetof(struct config, head_octets), 65536},
        {offsetof(struct config, head_fields), 128},
        {offsetof(struct config, body_memory_octets), 1048576},
        {offsetof(struct config, body_spool_octets), 67108864},
        {offsetof(struct config, handshake_timeout_ms), 10000},
        {offsetof(struct config, head_timeout_ms), 30000},
        {offsetof(struct config, idle_timeout_ms), 600000},
        {offsetof(struct config, connect_timeout_ms), 10000},
        {offsetof(struct config, drain_timeout_ms), 30000},
    };

    ck_assert_int_eq(read_text("\n  # a comment\n\t\n#scrub = nonsense"), FAULT_NONE);
    expect_defaults();
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        uint64_t got;

        memcpy(&got, (const char *)&config + numbers[i].at, sizeof got);
        ck_assert_msg(got == numbers[i].want, "number %zu is %lu", i, (unsigned long)got);
    }
}
END_TEST

START_TEST(every_key_takes_its_values)
{
    char at[ENDPOINT_TEXT];

    ck_assert_msg(
        read_text(
            "listen=off\nhttp_listen = 127.0.0.1:81\n  http_listen=[::1]:82\ndirect_listen = 127.0.0.1:8443\n"
            "workers = 3\nzone = rack-1.a_b\nupstream = original\nresolver = 9.9.9.9\nresolver = "
            "[2620:fe::fe]:5353\n"
            "connect_to = API.test.:443=10.0.0.7:8443\nconnect_to = [::1]:443 = [::2]:1\n"
            "allow_net = 10.0.0.0/8\nallow_net = fd00::/8\nallow_net = 192.168.0.1\nupstream_ca_file = key\n"
            "http = pass\ndenied_token = block\nscrub = off\nstore_timeout = 250ms\ncache_ttl = 1 m\n"
            "cache_stale = 2h\nadmin = 127.0.0.1:9090\naudit_log = ./a = b.log\nuser = osb\ngroup = osb-x\n"
            "max_connections = 0\nsandbox_connections = 5\nsandbox_requests_per_s = 7\nhead_bytes = 8 KiB\n"
            "head_fields = 256\nbody_memory = 1GiB\nbody_spool = 0\nhandshake_timeout = 0\nhead_timeout = 5\n"
            "connect_listen = off\n") == FAULT_NONE,
        "%s", said);
    ck_assert_uint_eq(config.listens, 0);
    ck_assert_uint_eq(config.http_listens, 2);
    endpoint_text(config.http_listen[1], at);
    ck_assert_str_eq(at, "[::1]:82");
    ck_assert_uint_eq(config.direct_listens, 1);
    ck_assert_uint_eq(config.workers, 3);
    ck_assert_str_eq(config.zone, "rack-1.a_b");
    ck_assert(config.upstream_original && config.denied_token_block && !config.scrub);
    ck_assert_uint_eq(config.resolvers, 2);
    endpoint_text(config.resolver[0], at);
    ck_assert_str_eq(at, "9.9.9.9:53");
    endpoint_text(config.resolver[1], at);
    ck_assert_str_eq(at, "[2620:fe::fe]:5353");
    ck_assert_uint_eq(config.connect_tos, 2);
    ck_assert_str_eq(config.connect_to[0].host.name, "api.test");
    ck_assert_uint_eq(config.connect_to[0].port, 443);
    endpoint_text(config.connect_to[0].to, at);
    ck_assert_str_eq(at, "10.0.0.7:8443");
    ck_assert(config.connect_to[1].host.literal);
    ck_assert_str_eq(config.connect_to[1].host.name, "::1");
    ck_assert_uint_eq(config.allow_nets, 3);
    ck_assert_uint_eq(config.allow_net[0].prefix, 104);
    ck_assert_int_eq(config.http, HTTP_PASS);
    ck_assert_uint_eq(config.store_timeout_ms, 250);
    ck_assert_uint_eq(config.cache_ttl_ms, 60000);
    ck_assert_uint_eq(config.cache_stale_ms, 7200000);
    ck_assert_str_eq(config.admin_path, "");
    ck_assert_uint_eq(config.admin.port, 9090);
    ck_assert_str_eq(config.audit_log, "./a = b.log");
    ck_assert_str_eq(config.user, "osb");
    ck_assert_str_eq(config.group, "osb-x");
    ck_assert_uint_eq(config.max_connections, 0);
    ck_assert_uint_eq(config.sandbox_connections, 5);
    ck_assert_uint_eq(config.sandbox_requests_per_s, 7);
    ck_assert_uint_eq(config.head_octets, 8192);
    ck_assert_uint_eq(config.head_fields, 256);
    ck_assert_uint_eq(config.body_memory_octets, 1u << 30);
    ck_assert_uint_eq(config.body_spool_octets, SIZE_MAX);
    ck_assert_uint_eq(config.handshake_timeout_ms, 0);
    ck_assert_uint_eq(config.head_timeout_ms, 5000);
    ck_assert_str_eq(config.upstream_ca_file, "key");
}
END_TEST

START_TEST(several_addresses_of_redis_are_kept_in_their_order)
{
    ck_assert_msg(read_text("redis = redis://a%40b:p%3Aw:@[::1]:7000/15\nredis = sentinel://s1,s2/main\n"
                            "redis_ca_file = key\n") == FAULT_NONE,
                  "%s", said);
    ck_assert_uint_eq(config.redis_count, 2);
    ck_assert_str_eq(config.redis[0].password, "p:w:");
    ck_assert_str_eq(config.redis[0].places[0].host, "::1");
    ck_assert_str_eq(config.redis[1].sentinel, "main");
    ck_assert_str_eq(config.redis_ca_file, "key");
    ck_assert_str_eq(config.upstream_ca_file, "");
}
END_TEST

START_TEST(an_explicit_proxy_may_listen_at_several_addresses)
{
    char at[ENDPOINT_TEXT];

    ck_assert_msg(read_text("connect_listen = 127.0.0.1:3128\nconnect_listen=[::1]:3128") == FAULT_NONE, "%s",
                  said);
    ck_assert_uint_eq(config.connect_listens, 2);
    endpoint_text(config.connect_listen[1], at);
    ck_assert_str_eq(at, "[::1]:3128");
}
END_TEST

START_TEST(set_is_the_last_word)
{
    static const char *const good[] = {
        "zone=b",          "zone = c",         "redis=unix:/c",  "resolver=10.0.0.2",
        "http_listen=off", "listen=1.1.1.1:1", "key_file = key", "admin=unix:/x"};
    static const char *const bad[] = {"zone", "", "# zone = a", "scrub=1", "nokey=1", "zone=a\nscrub=on"};
    static const char text[] =
        KEY_LINE "zone = a\nredis = unix:/a\nresolver = 10.0.0.1\nadmin = 127.0.0.1:1\n";

    ck_assert_msg(read_as(slice_text(text), good, sizeof good / sizeof *good) == FAULT_NONE, "%s", said);
    ck_assert_str_eq(config.zone, "c");
    ck_assert_uint_eq(config.redis_count, 2);
    ck_assert_str_eq(config.redis[1].unix_path, "/c");
    ck_assert_uint_eq(config.resolvers, 2);
    ck_assert_uint_eq(config.listens, 1);
    ck_assert_uint_eq(config.http_listens, 0);
    ck_assert_str_eq(config.admin_path, "/x");
    ck_assert_int_eq(read_as(slice_text(text), bad, sizeof bad / sizeof *bad), FAULT_INVALID);
    ck_assert_str_eq(said, "--set: the line is not of the form KEY = VALUE\n"
                           "--set: the line is not of the form KEY = VALUE\n"
                           "--set: is not a key that this program knows\n"
                           "--set: scrub: must be off|on\n"
                           "--set: nokey: is not a key that this program knows\n"
                           "--set: the line has a control character\n");
}
END_TEST

static const char *example(void)
{
    static char source[] = __FILE__, path[1024];
    static char text[16384];
    FILE *file;

    snprintf(path, sizeof path, "%s/../../proxy/osb-proxy.conf", dirname(source));
    file = fopen(path, "r");
    ck_assert_msg(file != NULL, "%s", path);
    text[fread(text, 1, sizeof text - 1, file)] = 0;
    fclose(file);
    return text;
}

/* What the shipped file says is the default is the default. */
START_TEST(the_environment_speaks_where_the_file_is_silent)
{
    setenv("OSB_KEY_FILE", "key", 1);
    setenv("OSB_ZONE", "west", 1);
    setenv("OSB_REDIS_URL", "redis://r.test:1", 1);
    ck_assert_int_eq(read_as(SLICE("workers = 1\n"), NULL, 0), FAULT_NONE);
    ck_assert_str_eq(config.zone, "west");
    ck_assert_uint_eq(config.redis_count, 1);
    ck_assert_str_eq(config.redis[0].places[0].host, "r.test");
    ck_assert_int_eq(read_as(SLICE("zone = east\n"), NULL, 0), FAULT_NONE);
    ck_assert_str_eq(config.zone, "east");
    setenv("OSB_ZONE", "-", 1);
    ck_assert_int_eq(read_as(SLICE("workers = 1\n"), NULL, 0), FAULT_INVALID);
    ck_assert_msg(strstr(said, "f: zone: the environment's must be ") != NULL, "%s", said);
    unsetenv("OSB_KEY_FILE");
    unsetenv("OSB_ZONE");
    unsetenv("OSB_REDIS_URL");
}
END_TEST

START_TEST(the_example_names_every_key_with_its_default)
{
    const char *text = example();

    for (size_t i = 0; i < config_key_count; i++) {
        const struct config_key *key = &config_key_table[i];
        char line[256];

        if (key->preset)
            snprintf(line, sizeof line, "\n#%s =%s%s\n", key->name, *key->preset ? " " : "", key->preset);
        else
            snprintf(line, sizeof line, "\n%s%s = ", key->required ? "" : "#", key->name);
        ck_assert_msg(strstr(text, line) != NULL, "it lacks '%s'", line);
    }
}
END_TEST

START_TEST(the_example_is_accepted_with_and_without_its_comment_signs)
{
    static const char *const sets[] = {"key_file=key"};
    static char bare[16384];
    const char *text = example();
    size_t n = 0;

    /* The key's path is of another machine; the last line of this test's text gives one that is here. */
    for (const char *at = text; *at; at++) {
        bool commented = at[0] == '#' && at[1] >= 'a' && at[1] <= 'z' && (at == text || at[-1] == '\n');

        if (strncmp(at, "key_file", 8) == 0 && (at == text || at[-1] == '\n'))
            at += strcspn(at, "\n");
        if (!commented)
            bare[n++] = *at;
    }
    ck_assert_msg(read_as(slice_of(bare, n), sets, 1) == FAULT_NONE, "%s", said);
    ck_assert_uint_eq(config.connect_tos, 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("config");
    TCase *tc = tcase_create("config");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tc);
    tcase_add_checked_fixture(tc, folder_make, folder_clear);
    tcase_add_test(tc, a_wrong_line_is_refused_where_it_stands);
    tcase_add_test(tc, no_part_of_a_password_is_ever_said);
    tcase_add_test(tc, the_key_file_must_be_given_private_and_regular);
    tcase_add_test(tc, a_file_that_cant_be_read_is_not_found);
    tcase_add_test(tc, a_line_may_have_1023_octets_and_no_nul);
    tcase_add_test(tc, a_list_has_64_values_at_most);
    tcase_add_test(tc, a_silent_file_has_the_contracts_defaults);
    tcase_add_test(tc, every_key_takes_its_values);
    tcase_add_test(tc, several_addresses_of_redis_are_kept_in_their_order);
    tcase_add_test(tc, an_explicit_proxy_may_listen_at_several_addresses);
    tcase_add_test(tc, set_is_the_last_word);
    tcase_add_test(tc, the_environment_speaks_where_the_file_is_silent);
    tcase_add_test(tc, the_example_names_every_key_with_its_default);
    tcase_add_test(tc, the_example_is_accepted_with_and_without_its_comment_signs);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

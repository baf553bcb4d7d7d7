#include "config.h"
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * A file of any octets, with a password behind it: it is refused with sentences or read whole; every sentence is of
 * printable ASCII, says where, and holds nothing of the password.
 */
#define PASSWORD "hUnTeR2"

static void demand(bool held)
{
    if (!held)
        abort();
}

static void check_sentences(const char *said, size_t octets, const char *path)
{
    demand(memmem(said, octets, PASSWORD, sizeof PASSWORD - 1) == NULL);
    while (octets) {
        const char *end = memchr(said, '\n', octets);
        size_t len;

        demand(end != NULL);
        len = (size_t)(end - said);
        demand((len > strlen(path) && memcmp(said, path, strlen(path)) == 0) ||
               (len > 5 && memcmp(said, "--set", 5) == 0));
        for (size_t i = 0; i < len; i++)
            demand(said[i] >= ' ' && said[i] <= '~');
        said += len + 1;
        octets -= len + 1;
    }
}

static bool ended(const char *text, size_t room)
{
    return memchr(text, 0, room) != NULL;
}

static void check_redis(const struct redis_url *url)
{
    demand(ended(url->unix_path, sizeof url->unix_path) && ended(url->sentinel, sizeof url->sentinel));
    demand(ended(url->user, sizeof url->user) && ended(url->password, sizeof url->password));
    demand((url->unix_path[0] != 0) == (url->place_count == 0) && url->place_count <= REDIS_PLACES_MAX);
    for (size_t i = 0; i < url->place_count; i++)
        demand(ended(url->places[i].host, sizeof url->places[i].host) && url->places[i].host[0] &&
               url->places[i].port);
}

static void check_whole(const struct config *c)
{
    demand(c->listens <= CONFIG_MANY && c->direct_listens <= CONFIG_MANY && c->http_listens <= CONFIG_MANY);
    demand(c->connect_listens <= CONFIG_MANY);
    demand(c->resolvers <= CONFIG_MANY && c->connect_tos <= CONFIG_MANY && c->allow_nets <= CONFIG_MANY);
    demand(c->workers >= 1 && c->workers <= 64 && c->head_fields >= 1 && c->head_fields <= 256);
    demand(c->head_octets >= 1024 && c->body_memory_octets >= 1);
    demand(c->store_timeout_ms && c->cache_ttl_ms && c->cache_stale_ms);
    demand(ended(c->zone, sizeof c->zone) && c->zone[0] && ended(c->key_file, sizeof c->key_file) &&
           c->key_file[0]);
    demand(ended(c->user, sizeof c->user) && ended(c->group, sizeof c->group));
    demand(ended(c->audit_log, sizeof c->audit_log) &&
           ended(c->upstream_ca_file, sizeof c->upstream_ca_file));
    demand(ended(c->admin_path, sizeof c->admin_path) && (c->admin_path[0] || c->admin.port));
    demand(ended(c->redis_ca_file, sizeof c->redis_ca_file));
    demand(c->redis_count >= 1 && c->redis_count <= REDIS_URLS_MAX);
    for (size_t i = 0; i < c->redis_count; i++)
        check_redis(&c->redis[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t len)
{
    static struct config config;
    static int fd = -1, key = -1;
    static char path[40], set[60];
    const char *const sets[] = {set};
    char *said = NULL;
    size_t said_octets = 0;
    FILE *errors = open_memstream(&said, &said_octets);

    if (fd < 0) {
        fd = memfd_create("config", MFD_CLOEXEC);
        key = memfd_create("key", MFD_CLOEXEC);
        demand(fd >= 0 && key >= 0 && fchmod(key, 0600) == 0);
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        snprintf(set, sizeof set, "key_file=/proc/self/fd/%d", key);
    }
    demand(errors && ftruncate(fd, 0) == 0 && pwrite(fd, octets, len, 0) == (ssize_t)len);
    demand(pwrite(fd, ":" PASSWORD "@h", sizeof PASSWORD + 2, (off_t)len) == (ssize_t)sizeof PASSWORD + 2);

    enum fault fault = config_read(path, sets, 1, &config, errors);

    fclose(errors);
    demand(fault == FAULT_NONE || fault == FAULT_INVALID);
    demand((fault == FAULT_NONE) == (said_octets == 0));
    check_sentences(said, said_octets, path);
    if (fault == FAULT_NONE)
        check_whole(&config);
    free(said);
    return 0;
}

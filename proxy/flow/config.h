#pragma once
#include "ip.h"
#include "redisurl.h"
#include <stdio.h>

/*
 * config - osb-proxy's configuration file, checked whole.
 *
 *   Layer   flow.
 *   Why     an operator's slip is found at the line where it stands, before anything listens.
 *   Source  contract section 6: every key, its default, its unit.
 */
#define CONFIG_MANY 64 /* the most values of a key that may repeat */
#define CONFIG_PATH 256

enum http_mode { HTTP_DENY, HTTP_UPGRADE, HTTP_PASS };

struct config_connect { /* connect_to = HOST:PORT=ADDR:PORT */
    struct host host;
    uint16_t port;
    struct endpoint to;
};

struct config {
    struct endpoint listen[CONFIG_MANY], direct_listen[CONFIG_MANY], http_listen[CONFIG_MANY],
        connect_listen[CONFIG_MANY];
    size_t listens, direct_listens, http_listens, connect_listens;
    unsigned workers;
    char zone[129];
    struct redis_url redis[REDIS_URLS_MAX]; /* in the order in which they are tried */
    size_t redis_count;
    char redis_ca_file[CONFIG_PATH]; /* empty: upstream_ca_file, or the system's roots */
    char key_file[CONFIG_PATH];
    bool upstream_original;
    struct endpoint resolver[CONFIG_MANY];
    size_t resolvers;
    struct config_connect connect_to[CONFIG_MANY];
    size_t connect_tos;
    struct net allow_net[CONFIG_MANY];
    size_t allow_nets;
    char upstream_ca_file[CONFIG_PATH]; /* empty: the system's roots */
    enum http_mode http;
    bool denied_token_block;
    bool scrub;
    uint64_t store_timeout_ms, cache_ttl_ms, cache_stale_ms;
    char admin_path[108]; /* unix socket; empty: admin */
    struct endpoint admin;
    char audit_log[CONFIG_PATH]; /* "stdout", "syslog", "off" or a path */
    char user[64], group[64];
    uint64_t max_connections, sandbox_connections, sandbox_requests_per_s; /* 0: no limit */
    size_t head_octets, head_fields, body_memory_octets;
    size_t body_spool_octets; /* SIZE_MAX: no limit */
    uint64_t handshake_timeout_ms, head_timeout_ms, idle_timeout_ms, connect_timeout_ms,
        drain_timeout_ms; /* 0: none */
};

/*
 * config_read(path, sets, n, out, errors): the file, then each KEY=VALUE of --set as if it stood behind the last line (a
 *   key that may not repeat is replaced by --set instead of refused). Where both are silent, OSB_REDIS_URL, OSB_KEY_FILE and
 *   OSB_ZONE are asked before the key's default holds.
 *   Gives   *out whole; every mistake is written to ${errors} as "FILE:LINE: KEY: why" ("--set: KEY: why").
 *   Fails   FAULT_INVALID (at least one line was written), FAULT_NOT_FOUND (the file can't be read; one line says
 *           why). *out is then wiped. No part of a value is ever written to ${errors}.
 *   Checks what can be seen without side effects: grammar, ranges, required keys, that key_file and the files of roots can
 *   be read.
 */
enum fault config_read(const char *path, const char *const *sets, size_t n, struct config *out,
                       FILE *errors) CHECKED;

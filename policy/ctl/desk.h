#pragma once
#include "db.h"
#include "order.h"
#include "seal.h"

/*
 * desk - where a command works: the order, the keys, the link to Redis, the zone, the time.
 *
 *   Layer   program (osbctl).
 *   Why     an option beats the environment, the environment the file, the file the default: decided once, here.
 */
#define DESK_TEXT 1024

struct desk {
    const struct order *order;
    struct redis_url urls[REDIS_URLS_MAX];
    size_t url_count;
    char key_file[DESK_TEXT], zone[DESK_TEXT], redis_ca_file[DESK_TEXT], upstream_ca_file[DESK_TEXT];
    char admin[DESK_TEXT]; /* of the proxy, as its file says */
    bool zone_said;        /* --zone, OSB_ZONE or the file: not the default */
    struct keyring *keys;
    bool keys_again; /* the file was read a second time */
    struct db *db;   /* NULL: not opened */
    int64_t now_ms;
    bool json;
};

/* desk_settle(order, out): find the settings; opens nothing. */
enum outcome desk_settle(const struct order *order, struct desk *out) CHECKED;

/* desk_keys(d): the arena and the key file. desk_open(d): these, and Redis. */
enum outcome desk_keys(struct desk *d) CHECKED;
enum outcome desk_open(struct desk *d) CHECKED;

/* desk_keys_again(d): a key that we don't have was met, and may have come into the file since we read it. False: no use in
 * looking again. */
bool desk_keys_again(struct desk *d);

/* desk_close(d): Fails as db_close(): written, but not confirmed. */
enum outcome desk_close(struct desk *d) CHECKED;

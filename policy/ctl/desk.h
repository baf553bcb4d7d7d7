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
    char urls[DB_URLS_MAX][DESK_TEXT], key_file[DESK_TEXT], zone[DESK_TEXT];
    size_t url_count;
    struct keyring *keys;
    struct db db;
    int64_t now_ms;
    bool json;
};

/* desk_settle(order, out): find the settings; opens nothing. */
enum outcome desk_settle(const struct order *order, struct desk *out) CHECKED;

/* desk_open(d): the arena, the key file, Redis. */
enum outcome desk_open(struct desk *d) CHECKED;
void desk_close(struct desk *d);

#pragma once
#include "redisurl.h"

/*
 * redisslot - which node of a Redis Cluster holds a key, and what a node says that does not.
 *
 *   Layer   service (policy).
 *   Source  the Redis Cluster specification: "Key distribution model", "Hash tags", "Redirection".
 */
#define REDIS_SLOTS 16384

/* redis_slot(key): 0 to 16383. Of "a{b}c" only b counts; "{}" is no tag. */
unsigned redis_slot(struct slice key);

enum redirect { REDIRECT_NONE, REDIRECT_MOVED, REDIRECT_ASK };

/*
 * redirect_parse(error, slot, to): "MOVED SLOT HOST:PORT" or "ASK ...", as an error reply has it, without its '-'.
 *   Gives   REDIRECT_NONE for anything else, *slot and *to then untouched. A host that is empty or "?" stands for the node
 *           that said it: to->host is then "".
 */
enum redirect redirect_parse(struct slice error, unsigned *slot, struct redis_place *to);

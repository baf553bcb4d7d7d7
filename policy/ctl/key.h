#pragma once
#include "ip.h"
#include "slice.h"

/*
 * key - what our keys in Redis are called.
 *
 *   Layer   program (osbctl).
 *   Source  contract, section 8.
 */
#define DB_STORES     SLICE("osb:stores")
#define DB_SANDBOXES  SLICE("osb:sandboxes")
#define DB_KEY_OCTETS 256

/* The braces are Redis' hash tag, so that what belongs together lies in one slot of a cluster. */
struct key {
    char text[DB_KEY_OCTETS];
};

struct key key_sandbox(const char *id);
struct key key_store(const char *id);
struct key key_store_sandboxes(const char *id);
struct key key_address(const char *zone, struct ip ip);
#define KEY_SLICE(key) slice_text((key).text)

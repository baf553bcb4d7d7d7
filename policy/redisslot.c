#include "redisslot.h"

/* CRC-16/XMODEM: polynomial 0x1021, nothing in front, nothing reflected. Keys are short: no table. */
static unsigned crc16(struct slice s)
{
    unsigned crc = 0;

    for (size_t i = 0; i < s.len; i++) {
        crc ^= (unsigned)s.at[i] << 8;
        for (int bit = 0; bit < 8; bit++)
            crc = (crc & 0x8000 ? crc << 1 ^ 0x1021 : crc << 1) & 0xffff;
    }
    return crc;
}

unsigned redis_slot(struct slice key)
{
    struct slice rest = slice_drop(key, slice_find(key, '{') + 1);
    size_t end = slice_find(rest, '}');

    return crc16(end > 0 && end < rest.len ? slice_first(rest, end) : key) % REDIS_SLOTS;
}

static struct slice word_take(struct slice *text)
{
    struct slice word = slice_first(*text, slice_find(*text, ' '));

    *text = slice_drop(*text, word.len + 1);
    return word;
}

/* A v6 address stands without brackets here, so the last ':' is the port's. */
static bool node_parse(struct slice text, struct redis_place *out)
{
    const uint8_t *colon = text.len ? memrchr(text.at, ':', text.len) : NULL;
    struct host host = {.len = 0};
    struct slice name;
    uint64_t port;

    if (!colon)
        return false;
    name = slice_first(text, (size_t)(colon - text.at));
    if (!slice_number(slice_drop(text, name.len + 1), UINT16_MAX, &port) || port == 0)
        return false;
    if (name.len && !slice_equal(name, SLICE("?")) && host_canonical(name, &host) != FAULT_NONE &&
        host_literal(name, &host) != FAULT_NONE)
        return false;
    *out = (struct redis_place){.port = (uint16_t)port};
    memcpy(out->host, host.name, host.len);
    return true;
}

enum redirect redirect_parse(struct slice error, unsigned *slot, struct redis_place *to)
{
    struct slice kind = word_take(&error), number = word_take(&error);
    bool moved = slice_equal(kind, SLICE("MOVED"));
    uint64_t n;

    if (!moved && !slice_equal(kind, SLICE("ASK")))
        return REDIRECT_NONE;
    if (!slice_number(number, REDIS_SLOTS - 1, &n) || !node_parse(error, to))
        return REDIRECT_NONE;
    *slot = (unsigned)n;
    return moved ? REDIRECT_MOVED : REDIRECT_ASK;
}

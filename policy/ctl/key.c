#include "key.h"
#include "record.h"
#include <stdio.h>

static struct key key_make(const char *kind, const char *id, const char *more)
{
    struct key k;

    snprintf(k.text, sizeof k.text, "osb:%s:{%s}%s", kind, id, more);
    return k;
}

struct key key_sandbox(const char *id)
{
    return key_make("sandbox", id, "");
}

struct key key_store(const char *id)
{
    return key_make("store", id, "");
}

struct key key_store_sandboxes(const char *id)
{
    return key_make("store", id, ":sandboxes");
}

struct key key_address(const char *zone, struct ip ip)
{
    char address[IP_TEXT], kind[RECORD_ID_MAX + sizeof("ip:")];

    ip_text(ip, address);
    snprintf(kind, sizeof kind, "ip:%s", zone);
    return key_make(kind, address, "");
}

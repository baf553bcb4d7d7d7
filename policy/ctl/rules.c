#include "rules.h"
#include "print.h"
#include "record.h"
#include <stdlib.h>

#define RULES_SOURCES_MAX (sizeof((struct rules *)0)->sources[0] / sizeof(struct ip))

/* What both iptables and nft take literally: no wildcard, nothing that would need quoting in a shell. */
static bool interface_ok(struct slice name)
{
    return name.len <= RULES_IF_MAX && record_id_ok(name);
}

static enum outcome source_take(struct rules *r, const char *text)
{
    struct ip ip;
    enum family f;

    if (ip_parse(slice_text(text), &ip) != FAULT_NONE)
        return outcome_say(OUTCOME_REFUSED, "--ip %s is no address", text);
    f = ip_is_v4(ip) ? FAMILY_V4 : FAMILY_V6;
    for (size_t i = 0; i < r->source_count[f]; i++)
        if (ip_equal(r->sources[f][i], ip))
            return OUTCOME_DONE;
    if (r->source_count[f] == RULES_SOURCES_MAX)
        return outcome_say(OUTCOME_REFUSED, "at most %zu addresses", RULES_SOURCES_MAX);
    r->sources[f][r->source_count[f]++] = ip;
    return OUTCOME_DONE;
}

enum outcome rules_take(const struct order *order, struct rules *out)
{
    const char *dns = order_value(order, OPTION_DNS, 0), *ip;

    *out = (struct rules){
        .port = 8443, .http_port = 8080, .interface = order_value(order, OPTION_SANDBOX_IF, 0)};
    if (!out->interface || !order_has(order, OPTION_IP))
        return outcome_say(OUTCOME_USAGE, "--sandbox-if INTERFACE and --ip ADDRESS are needed");
    if (!interface_ok(slice_text(out->interface)))
        return outcome_say(OUTCOME_REFUSED, "--sandbox-if %s: letters, digits, '.', '_' and '-', at most %d",
                           out->interface, RULES_IF_MAX);
    for (size_t i = 0; (ip = order_value(order, OPTION_IP, i)); i++)
        STEP(source_take(out, ip));
    STEP(order_number(order, OPTION_PORT, 65535, &out->port));
    STEP(order_number(order, OPTION_HTTP_PORT, 65535, &out->http_port));
    out->has_dns = dns != NULL;
    if (dns && ip_parse(slice_text(dns), &out->dns) != FAULT_NONE)
        return outcome_say(OUTCOME_REFUSED, "--dns %s is no address", dns);
    return OUTCOME_DONE;
}

bool rules_has_dns(const struct rules *r, enum family f)
{
    return r->has_dns && r->source_count[f] && ip_is_v4(r->dns) == (f == FAMILY_V4);
}

void rules_print(const struct desk *d, char *text)
{
    print_text(d, "rules", text);
    free(text);
}

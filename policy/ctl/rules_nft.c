#include "rules.h"
#include "verbs.h"
#include <stdio.h>

static const char *const family_word[FAMILY_COUNT] = {"ip", "ip6"};

/* A table's name is an identifier; an interface's may have '.' and '-', which become '_' and two of them. */
static void table_name(const char *interface, char *out)
{
    size_t n = 0;

    for (; *interface; interface++) {
        if (*interface == '-')
            out[n++] = '_';
        out[n++] = *interface == '.' || *interface == '-' ? '_' : *interface;
    }
    out[n] = 0;
}

static void sources_put(FILE *to, const struct rules *r, enum family f)
{
    char text[IP_TEXT];

    if (r->source_count[f] == 0)
        return;
    fprintf(to, "    set sources_%s {\n        type %s_addr\n        elements = {", family_word[f],
            f == FAMILY_V4 ? "ipv4" : "ipv6");
    for (size_t i = 0; i < r->source_count[f]; i++) {
        ip_text(r->sources[f][i], text);
        fprintf(to, "%s %s", i ? "," : "", text);
    }
    fputs(" }\n    }\n\n", to);
}

static void redirect_put(FILE *to, const struct rules *r)
{
    fputs("    # HTTPS and plain HTTP go to the proxy, wherever they were meant for.\n"
          "    chain redirect_out {\n"
          "        type nat hook prerouting priority dstnat - 1; policy accept;\n",
          to);
    for (int f = 0; f < FAMILY_COUNT; f++)
        if (r->source_count[f])
            fprintf(to,
                    "        iifname \"%s\" %s saddr @sources_%s tcp dport 443 redirect to :%u\n"
                    "        iifname \"%s\" %s saddr @sources_%s tcp dport 80 redirect to :%u\n",
                    r->interface, family_word[f], family_word[f], (unsigned)r->port, r->interface,
                    family_word[f], family_word[f], (unsigned)r->http_port);
    fputs("    }\n\n", to);
}

/* For input and forward alike: the one name server may be this host or another. */
static void common_put(FILE *to, const struct rules *r)
{
    char text[IP_TEXT];

    for (int f = 0; f < FAMILY_COUNT; f++) {
        if (!rules_has_dns(r, (enum family)f))
            continue;
        ip_text(r->dns, text);
        fprintf(to, "        %s saddr @sources_%s %s daddr %s meta l4proto { tcp, udp } th dport 53 accept\n",
                family_word[f], family_word[f], family_word[f], text);
    }
    fputs("        # QUIC is refused aloud, so that clients fall back to TCP at once.\n"
          "        udp dport 443 reject with icmpx type port-unreachable\n"
          "        drop\n",
          to);
}

static void input_put(FILE *to, const struct rules *r)
{
    fprintf(to,
            "    # To this host: what was redirected above, and nothing that came to the proxy's ports "
            "directly.\n"
            "    chain input_from {\n"
            "        type filter hook input priority filter - 1; policy accept;\n"
            "        iifname != \"%s\" return\n",
            r->interface);
    for (int f = 0; f < FAMILY_COUNT; f++)
        if (r->source_count[f])
            fprintf(to, "        %s saddr @sources_%s tcp dport { %u, %u } ct status dnat accept\n",
                    family_word[f], family_word[f], (unsigned)r->port, (unsigned)r->http_port);
    if (r->source_count[FAMILY_V6])
        fputs("        # Without neighbour discovery there is no IPv6 at all (RFC 4861: hop limit 255).\n"
              "        icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit } "
              "ip6 hoplimit 255 accept\n",
              to);
    common_put(to, r);
    fputs("    }\n\n", to);
}

static void forward_put(FILE *to, const struct rules *r)
{
    fprintf(to,
            "    # Past this host: nothing but names.\n"
            "    chain forward_from {\n"
            "        type filter hook forward priority filter - 1; policy accept;\n"
            "        iifname != \"%s\" return\n",
            r->interface);
    common_put(to, r);
    fputs("    }\n}\n", to);
}

enum outcome rules_nft(struct desk *d, const char *const *words)
{
    char table[2 * RULES_IF_MAX + 1], *text = NULL;
    size_t octets;
    struct rules r;
    FILE *to;

    (void)words;
    STEP(rules_take(d->order, &r));
    to = open_memstream(&text, &octets);
    if (!to)
        return outcome_say(OUTCOME_FAILED, "out of memory");
    table_name(r.interface, table);
    fprintf(to,
            "# osb-egress: what comes from %s. Load with nft -f -; loading it again replaces it, at once.\n"
            "# A table of its own: other tables may drop more, but can't allow what is dropped here.\n"
            "add table inet osb_%s\n"
            "delete table inet osb_%s\n\n"
            "table inet osb_%s {\n",
            r.interface, table, table, table);
    for (int f = 0; f < FAMILY_COUNT; f++)
        sources_put(to, &r, (enum family)f);
    redirect_put(to, &r);
    input_put(to, &r);
    forward_put(to, &r);
    if (fclose(to) != 0)
        return outcome_say(OUTCOME_FAILED, "out of memory");
    rules_print(d, text);
    return OUTCOME_DONE;
}

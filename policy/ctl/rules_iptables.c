#include "rules.h"
#include "verbs.h"
#include <stdio.h>

static const struct family_words {
    const char *tool, *port_unreachable;
} family_words[FAMILY_COUNT] = {
    {"iptables", "icmp-port-unreachable"},
    {"ip6tables", "icmp6-port-unreachable"},
};

static void sources_put(FILE *to, const struct rules *r, enum family f)
{
    const char *in = r->interface;
    char text[IP_TEXT];

    for (size_t i = 0; i < r->source_count[f]; i++) {
        ip_text(r->sources[f][i], text);
        for (int p = 0; p < 2; p++)
            fprintf(to, "-A OSB-IN-%s -s %s -p tcp --dport %u -m conntrack --ctstate DNAT -j ACCEPT\n", in,
                    text, (unsigned)(p ? r->http_port : r->port));
    }
}

static void names_put(FILE *to, const struct rules *r, enum family f, const char *chain)
{
    char text[IP_TEXT], server[IP_TEXT];

    if (!rules_has_dns(r, f))
        return;
    ip_text(r->dns, server);
    for (size_t i = 0; i < r->source_count[f]; i++) {
        ip_text(r->sources[f][i], text);
        for (int p = 0; p < 2; p++)
            fprintf(to, "-A OSB-%s-%s -s %s -d %s -p %s --dport 53 -j ACCEPT\n", chain, r->interface, text,
                    server, p ? "tcp" : "udp");
    }
}

static void end_put(FILE *to, const struct rules *r, enum family f, const char *chain)
{
    names_put(to, r, f, chain);
    fprintf(to,
            "-A OSB-%s-%s -p udp --dport 443 -j REJECT --reject-with %s\n"
            "-A OSB-%s-%s -j DROP\n",
            chain, r->interface, family_words[f].port_unreachable, chain, r->interface);
}

static void filter_put(FILE *to, const struct rules *r, enum family f)
{
    static const char *const discovery[] = {"neighbour-solicitation", "neighbour-advertisement",
                                            "router-solicitation"};
    const char *in = r->interface;

    fprintf(to, "*filter\n:OSB-IN-%s - [0:0]\n:OSB-FWD-%s - [0:0]\n", in, in);
    fputs("# To this host: what was redirected, and nothing that came to the proxy's ports directly.\n", to);
    sources_put(to, r, f);
    if (f == FAMILY_V6 && r->source_count[f])
        for (size_t i = 0; i < sizeof discovery / sizeof *discovery; i++)
            fprintf(to, "-A OSB-IN-%s -p icmpv6 --icmpv6-type %s -m hl --hl-eq 255 -j ACCEPT\n", in,
                    discovery[i]);
    end_put(to, r, f, "IN");
    fputs("# Past this host: nothing but names. QUIC is refused aloud, so that clients fall back to TCP.\n",
          to);
    end_put(to, r, f, "FWD");
    fputs("COMMIT\n", to);
}

static void nat_put(FILE *to, const struct rules *r, enum family f)
{
    const char *in = r->interface;
    char text[IP_TEXT];

    if (r->source_count[f] == 0)
        return;
    fprintf(to, "*nat\n:OSB-NAT-%s - [0:0]\n", in);
    fputs("# HTTPS and plain HTTP go to the proxy, wherever they were meant for.\n", to);
    for (size_t i = 0; i < r->source_count[f]; i++) {
        ip_text(r->sources[f][i], text);
        fprintf(to,
                "-A OSB-NAT-%s -s %s -p tcp --dport 443 -j REDIRECT --to-ports %u\n"
                "-A OSB-NAT-%s -s %s -p tcp --dport 80 -j REDIRECT --to-ports %u\n",
                in, text, (unsigned)r->port, in, text, (unsigned)r->http_port);
    }
    fputs("COMMIT\n", to);
}

/* The chains are filled before anything leads into them, so at no moment is half of it in force. */
static void family_put(FILE *to, const struct rules *r, enum family f)
{
    const char *tool = family_words[f].tool, *in = r->interface;

    fprintf(to, "%s-restore --wait --noflush <<'RULES'\n", tool);
    filter_put(to, r, f);
    nat_put(to, r, f);
    fputs("RULES\n", to);
    fprintf(to, "lead %s filter INPUT OSB-IN-%s\nlead %s filter FORWARD OSB-FWD-%s\n", tool, in, tool, in);
    if (r->source_count[f])
        fprintf(to, "lead %s nat PREROUTING OSB-NAT-%s\n", tool, in);
    fputc('\n', to);
}

enum outcome rules_iptables(struct desk *d, const char *const *words)
{
    char *text = NULL;
    size_t octets;
    struct rules r;
    FILE *to;

    (void)words;
    STEP(rules_take(d->order, &r));
    to = open_memstream(&text, &octets);
    if (!to)
        return outcome_say(OUTCOME_FAILED, "out of memory");
    fprintf(
        to,
        "#!/bin/sh\n"
        "# osb-egress: what comes from %s. Run with sh, as root; running it again replaces it.\n"
        "set -eu\n\n"
        "# lead TOOL TABLE FROM TO: what comes from the sandbox takes its own chain, before any other rule.\n"
        "lead() {\n"
        "    \"$1\" -w -t \"$2\" -C \"$3\" -i %s -j \"$4\" 2>/dev/null ||\n"
        "        \"$1\" -w -t \"$2\" -I \"$3\" 1 -i %s -j \"$4\"\n"
        "}\n\n",
        r.interface, r.interface, r.interface);
    for (int f = 0; f < FAMILY_COUNT; f++)
        family_put(to, &r, (enum family)f);
    if (fclose(to) != 0)
        return outcome_say(OUTCOME_FAILED, "out of memory");
    rules_print(d, text);
    return OUTCOME_DONE;
}

#include "verdict.h"

enum fault verdict_alive(const struct record *r, struct ip from, int64_t now_ms)
{
    if (!record_has_address(r, from))
        return FAULT_UNKNOWN_SOURCE;
    return r->expires_ms != 0 && now_ms >= r->expires_ms ? FAULT_REVOKED : FAULT_NONE;
}

/* An empty list stands for every name, and an address is not a name. */
static bool list_allows(const struct hostlist *l, const struct host *h)
{
    return hostlist_count(l) == 0 ? h->len > 0 && !h->literal : hostlist_match(l, h);
}

enum fault verdict_host(const struct record *r, const struct host *h)
{
    return r->store_count > 0 && list_allows(r->egress, h) ? FAULT_NONE : FAULT_HOST_NOT_ALLOWED;
}

bool verdict_secret(const struct record_secret *s, const struct host *h)
{
    if (hostlist_count(s->hosts) == 0)
        return list_allows(s->store->egress, h);
    return hostlist_match(s->hosts, h);
}

enum token_verdict verdict_token(const struct record *r, struct slice token, const struct host *h,
                                 enum place place, const struct record_secret **out)
{
    *out = record_secret_of(r, token);
    if (!*out)
        return TOKEN_UNKNOWN;
    if (!verdict_secret(*out, h))
        return TOKEN_WRONG_HOST;
    return (*out)->places & 1u << place ? TOKEN_GRANTED : TOKEN_WRONG_PLACE;
}

unsigned verdict_places(const struct record *r, const struct host *h, struct secret_set *given)
{
    unsigned places = 0;

    *given = (struct secret_set){{0}};
    for (size_t i = 0; i < r->secret_count; i++) {
        if (!verdict_secret(&r->secrets[i], h))
            continue;
        places |= r->secrets[i].places;
        given->bits[i / 64] |= (uint64_t)1 << i % 64;
    }
    return places;
}

/* --- authorities ---------------------------------------------------------------------------------------- */

static enum fault authority_host(struct slice name, struct host *out)
{
    bool bracketed = name.len && name.at[0] == '[';

    if (!bracketed && host_canonical(name, out) == FAULT_NONE)
        return FAULT_NONE;
    return host_literal(name, out) == FAULT_NONE ? FAULT_NONE : FAULT_BAD_REQUEST;
}

enum fault verdict_authority(struct slice value, const struct host *h, uint16_t original_port)
{
    size_t name_len = value.len && value.at[0] == '[' ? slice_find(value, ']') + 1 : slice_find(value, ':');
    struct slice port = slice_drop(value, name_len);
    uint64_t number = original_port;
    struct host got;

    TRY(authority_host(slice_first(value, name_len), &got));
    /* RFC 3986 s.3.2.3 lets a port be empty or begin with zeros; nobody sends that, and readers differ on it. */
    if (port.len && (port.len < 2 || port.at[0] != ':' || port.at[1] == '0' ||
                     !slice_number(slice_drop(port, 1), 65535, &number)))
        return FAULT_BAD_REQUEST;
    if (number != original_port || got.literal != h->literal || !slice_equal(host_name(&got), host_name(h)))
        return FAULT_HOST_MISMATCH;
    return FAULT_NONE;
}

/* --- addresses ------------------------------------------------------------------------------------------ */

/* IANA's registry of special-purpose v4 addresses (RFC 6890), without the documentation networks. */
static const struct {
    uint32_t network;
    unsigned prefix;
} v4_refused[] = {
    {0x00000000, 8},  /* this network, RFC 791 */
    {0x0a000000, 8},  /* private, RFC 1918 */
    {0x64400000, 10}, /* shared, RFC 6598 */
    {0x7f000000, 8},  /* loopback, RFC 1122 */
    {0xa9fe0000, 16}, /* link-local, RFC 3927: the clouds' metadata */
    {0xac100000, 12}, /* private, RFC 1918 */
    {0xc0000000, 24}, /* protocol assignments, RFC 6890 */
    {0xc0586300, 24}, /* 6to4 relays, RFC 7526 */
    {0xc0a80000, 16}, /* private, RFC 1918 */
    {0xc6120000, 15}, /* benchmarking, RFC 2544 */
    {0xe0000000, 4},  /* multicast, RFC 1112 */
    {0xf0000000, 4},  /* reserved and broadcast, RFC 1112 */
};

static bool v4_global(const uint8_t *at)
{
    uint32_t address = (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];

    for (size_t i = 0; i < sizeof v4_refused / sizeof *v4_refused; i++)
        if ((address ^ v4_refused[i].network) >> (32 - v4_refused[i].prefix) == 0)
            return false;
    return true;
}

/* Where packets to a v6 address leave v6 again: the v4 address inside is what they reach. */
static const struct {
    struct net net;
    unsigned at;
    uint8_t flip;
} v4_inside[] = {
    {{{{0}}, 96}, 12, 0},                         /* v4-compatible, RFC 4291 s.2.5.5.1 */
    {{{{0x00, 0x64, 0xff, 0x9b}}, 96}, 12, 0},    /* NAT64, RFC 6052 */
    {{{{0x20, 0x02}}, 16}, 2, 0},                 /* 6to4, RFC 3056 */
    {{{{0x20, 0x01, 0x00, 0x00}}, 32}, 12, 0xff}, /* Teredo's client, RFC 4380 s.4 */
};

/* IANA's registry of v6: only 2000::/3 is given out, and of it 2001::/23 went to protocols. */
static bool v6_global(struct ip ip)
{
    static const struct net unicast = {{{0x20}}, 3}, protocols = {{{0x20, 0x01}}, 23};

    return net_holds(unicast, ip) && !net_holds(protocols, ip);
}

static bool nets_hold(const struct net *nets, size_t n, struct ip ip)
{
    for (size_t i = 0; i < n; i++)
        if (net_holds(nets[i], ip))
            return true;
    return false;
}

static enum fault v4_judge(const uint8_t at[4], uint8_t flip, const struct net *allow, size_t n)
{
    struct ip ip = {{[10] = 0xff, [11] = 0xff}};

    for (unsigned i = 0; i < 4; i++)
        ip.at[12 + i] = at[i] ^ flip;
    return v4_global(ip.at + 12) || nets_hold(allow, n, ip) ? FAULT_NONE : FAULT_ADDRESS_NOT_ALLOWED;
}

enum fault verdict_address(struct ip ip, const struct net *allow, size_t n)
{
    if (nets_hold(allow, n, ip))
        return FAULT_NONE;
    if (ip_is_v4(ip))
        return v4_judge(ip.at + 12, 0, allow, n);
    for (size_t i = 0; i < sizeof v4_inside / sizeof *v4_inside; i++)
        if (net_holds(v4_inside[i].net, ip))
            return v4_judge(ip.at + v4_inside[i].at, v4_inside[i].flip, allow, n);
    return v6_global(ip) ? FAULT_NONE : FAULT_ADDRESS_NOT_ALLOWED;
}

/* Both are sorted by token, and a secret keeps its own. */
bool verdict_same(const struct record *old, const struct record *now, const struct host *h)
{
    size_t i = 0, k = 0;

    if (old == now)
        return true;
    if (verdict_host(now, h) != FAULT_NONE)
        return false;
    for (;; i++, k++) {
        while (i < old->secret_count && !verdict_secret(&old->secrets[i], h))
            i++;
        while (k < now->secret_count && !verdict_secret(&now->secrets[k], h))
            k++;
        if (i == old->secret_count || k == now->secret_count)
            return i == old->secret_count && k == now->secret_count;
        if (old->secrets[i].version != now->secrets[k].version ||
            old->secrets[i].places != now->secrets[k].places ||
            memcmp(old->secrets[i].token, now->secrets[k].token, TOKEN_LEN) != 0)
            return false;
    }
}

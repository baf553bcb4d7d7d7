#include "ip.h"
#include "decimal.h"
#include <arpa/inet.h>

static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

bool ip_is_v4(struct ip ip)
{
    return memcmp(ip.at, mapped, sizeof mapped) == 0;
}

enum fault ip_parse(struct slice text, struct ip *out)
{
    char word[IP_TEXT];

    if (text.len == 0 || text.len >= sizeof word || memchr(text.at, 0, text.len))
        return FAULT_INVALID;
    memcpy(word, text.at, text.len);
    word[text.len] = 0;
    if (inet_pton(AF_INET6, word, out->at) == 1)
        return FAULT_NONE;
    memcpy(out->at, mapped, sizeof mapped);
    return inet_pton(AF_INET, word, out->at + 12) == 1 ? FAULT_NONE : FAULT_INVALID;
}

size_t ip_text(struct ip ip, char *out)
{
    size_t n = 0;

    if (!ip_is_v4(ip)) {
        inet_ntop(AF_INET6, ip.at, out, IP_TEXT);
        return strlen(out);
    }
    for (size_t i = 12; i < 16; i++) {
        n += decimal_put(ip.at[i], out + n);
        out[n++] = '.';
    }
    out[--n] = 0;
    return n;
}

enum fault net_parse(struct slice text, struct net *out)
{
    size_t slash = slice_find(text, '/');
    uint64_t prefix = 128;

    TRY(ip_parse(slice_first(text, slash), &out->ip));
    bool v4 = slice_find(slice_first(text, slash), ':') == slash;

    if (slash < text.len && !slice_number(slice_drop(text, slash + 1), v4 ? 32 : 128, &prefix))
        return FAULT_INVALID;
    out->prefix = (unsigned)prefix + (v4 && slash < text.len ? 96 : 0);
    for (unsigned bit = out->prefix; bit < 128; bit++)
        if (out->ip.at[bit / 8] >> (7 - bit % 8) & 1)
            return FAULT_INVALID;
    return FAULT_NONE;
}

bool net_holds(struct net net, struct ip ip)
{
    unsigned whole = net.prefix / 8, rest = net.prefix % 8;

    if (memcmp(net.ip.at, ip.at, whole) != 0)
        return false;
    return rest == 0 || (net.ip.at[whole] ^ ip.at[whole]) >> (8 - rest) == 0;
}

enum fault endpoint_parse(struct slice text, struct endpoint *out)
{
    struct slice host, port;
    uint64_t number;

    if (text.len && text.at[0] == '[') {
        size_t end = slice_find(text, ']');

        host = slice_drop(slice_first(text, end), 1);
        port = slice_drop(text, end + 1);
        if (slice_find(host, ':') == host.len)
            return FAULT_INVALID;
    } else {
        size_t colon = slice_find(text, ':');

        host = slice_first(text, colon);
        port = slice_drop(text, colon);
    }
    if (port.len < 2 || port.at[0] != ':' || !slice_number(slice_drop(port, 1), 65535, &number) ||
        number == 0)
        return FAULT_INVALID;
    out->port = (uint16_t)number;
    return ip_parse(host, &out->ip);
}

size_t endpoint_text(struct endpoint e, char *out)
{
    bool v6 = !ip_is_v4(e.ip);
    size_t n = 0;

    if (v6)
        out[n++] = '[';
    n += ip_text(e.ip, out + n);
    if (v6)
        out[n++] = ']';
    out[n++] = ':';
    n += decimal_put(e.port, out + n);
    out[n] = 0;
    return n;
}

enum fault endpoint_of(const struct sockaddr *sa, struct endpoint *out)
{
    if (sa->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const void *)sa;

        memcpy(out->ip.at, mapped, sizeof mapped);
        memcpy(out->ip.at + 12, &v4->sin_addr, 4);
        out->port = ntohs(v4->sin_port);
        return FAULT_NONE;
    }
    if (sa->sa_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const void *)sa;

        memcpy(out->ip.at, &v6->sin6_addr, 16);
        out->port = ntohs(v6->sin6_port);
        return FAULT_NONE;
    }
    return FAULT_INVALID;
}

socklen_t endpoint_sockaddr(struct endpoint e, struct sockaddr_storage *out)
{
    memset(out, 0, sizeof *out);
    if (ip_is_v4(e.ip)) {
        struct sockaddr_in *v4 = (void *)out;

        v4->sin_family = AF_INET;
        v4->sin_port = htons(e.port);
        memcpy(&v4->sin_addr, e.ip.at + 12, 4);
        return sizeof *v4;
    }
    struct sockaddr_in6 *v6 = (void *)out;

    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(e.port);
    memcpy(&v6->sin6_addr, e.ip.at, 16);
    return sizeof *v6;
}

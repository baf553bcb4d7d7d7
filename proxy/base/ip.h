#pragma once
#include "fault.h"
#include "slice.h"
#include <netinet/in.h>
#include <sys/socket.h>

/*
 * ip - an address, a network, an endpoint: values.
 *
 *   Layer   base.
 *   Why     one form only: v4 is kept as v4-mapped v6, so 127.0.0.1 and ::ffff:127.0.0.1 are the same sixteen octets
 *           everywhere: as a key, in a comparison, in a filter.
 */
struct ip {
    uint8_t at[16];
};

struct net {
    struct ip ip;
    unsigned prefix; /* 0 to 128, of the mapped form: 10.0.0.0/8 has 104 */
};

struct endpoint {
    struct ip ip;
    uint16_t port;
};

#define IP_TEXT       INET6_ADDRSTRLEN                        /* with its NUL */
#define ENDPOINT_TEXT (INET6_ADDRSTRLEN + sizeof("[]:65535")) /* with its NUL */

static inline bool ip_equal(struct ip a, struct ip b)
{
    return memcmp(a.at, b.at, sizeof a.at) == 0;
}

bool ip_is_v4(struct ip ip);

/* ip_parse(text, out): dotted quad (four plain decimals, no leading zeros) or RFC 4291 text; no scope, no brackets.
 *   Fails   FAULT_INVALID. */
enum fault ip_parse(struct slice text, struct ip *out) CHECKED;

/* ip_text(ip, out): canonical text (RFC 5952; v4 as dotted quad) and a NUL, IP_TEXT octets. Gives its length. */
size_t ip_text(struct ip ip, char *out);

/* net_parse(text, out): an address, or ADDRESS/PREFIX with no bit set beyond the prefix. Fails FAULT_INVALID. */
enum fault net_parse(struct slice text, struct net *out) CHECKED;
bool net_holds(struct net net, struct ip ip);

/* endpoint_parse(text, out): "1.2.3.4:80" or "[::1]:80"; port 1 to 65535. Fails FAULT_INVALID. */
enum fault endpoint_parse(struct slice text, struct endpoint *out) CHECKED;
size_t endpoint_text(struct endpoint e, char *out); /* ENDPOINT_TEXT octets */

/* endpoint_of(sa, out): from the kernel; FAULT_INVALID for another family. */
enum fault endpoint_of(const struct sockaddr *sa, struct endpoint *out) CHECKED;

/* endpoint_sockaddr(e, out): to the kernel, as AF_INET for v4 and AF_INET6 otherwise. Gives the length. */
socklen_t endpoint_sockaddr(struct endpoint e, struct sockaddr_storage *out);

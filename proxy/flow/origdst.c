#include "origdst.h"
#include <linux/netfilter_ipv4.h>
#include <sys/socket.h>

#define IP6T_ORIGINAL_DST 80 /* its header does not go together with libc's */

enum fault origdst_get(int fd, struct endpoint *out)
{
    struct sockaddr_storage own, dst;
    socklen_t own_len = sizeof own, dst_len = sizeof dst;
    struct endpoint here;

    memset(&own, 0, sizeof own);
    if (getsockname(fd, (struct sockaddr *)&own, &own_len) != 0 ||
        endpoint_of((struct sockaddr *)&own, &here) != FAULT_NONE)
        return FAULT_NOT_REDIRECTED;
    /* A v4 connection to a dual-stack listener is asked for as v4, whatever the socket's family is. */
    int level = ip_is_v4(here.ip) ? IPPROTO_IP : IPPROTO_IPV6;
    int option = ip_is_v4(here.ip) ? SO_ORIGINAL_DST : IP6T_ORIGINAL_DST;

    memset(&dst, 0, sizeof dst);
    if (getsockopt(fd, level, option, &dst, &dst_len) != 0 ||
        endpoint_of((struct sockaddr *)&dst, out) != FAULT_NONE)
        return FAULT_NOT_REDIRECTED;
    return ip_equal(out->ip, here.ip) && out->port == here.port ? FAULT_NOT_REDIRECTED : FAULT_NONE;
}

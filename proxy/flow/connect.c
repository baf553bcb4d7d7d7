#include "connect.h"
#include "metric.h"
#include "tunnel.h"
#include <stdlib.h>

static enum fault target_keep(struct connect *k, struct slice target, struct host **host)
{
    struct host named;

    if (host_port(target, &named, &k->port) != FAULT_NONE)
        return FAULT_BAD_REQUEST;
    free(*host);
    *host = host_keep(&named);
    return *host ? FAULT_NONE : FAULT_NO_MEMORY;
}

enum fault connect_read(struct connect *k, struct link *l, const struct record *record, struct host **host)
{
    struct slice held = buf_held(&l->in), target;
    enum fault why = tunnel_read(held, &k->looked, &target);

    if (why == FAULT_AGAIN && l->eof)
        return held.len ? FAULT_CLIENT_GONE : FAULT_END;
    TRY(why);
    TRY(target_keep(k, target, host));
    buf_close(&l->in);
    return verdict_host(record, *host);
}

enum fault connect_grant(struct link *l)
{
    TRY(link_room(l));
    TRY(buf_append(&l->out, TUNNEL_GRANTED));
    metric_add(METRIC_BYTES_CLIENT_OUT, link_write(l));
    /* The first octets on this socket: what a kernel has no room for now, it will have none for later. */
    return l->mute || link_unsent(l) ? FAULT_CLIENT_GONE : FAULT_NONE;
}

enum fault connect_hello(const struct host *asked, struct slice name, struct host *out)
{
    if (name.len ? host_canonical(name, out) != FAULT_NONE : !asked->literal)
        return FAULT_NAME_REFUSED;
    if (!name.len)
        host_copy(out, asked);
    return slice_equal(host_name(out), host_name(asked)) ? FAULT_NONE : FAULT_NAME_REFUSED;
}

#include "lease.h"
#include "h2up.h"

void lease_begin(struct lease *l, struct lease_user user)
{
    l->user = user;
    l->route = NULL;
    l->upstream = NULL;
    l->stream = NULL;
    l->reused = false;
}

enum fault lease_join(struct lease *l, struct upstream *u)
{
    if (u->many)
        TRY(h2up_join(u->many, l));
    else
        l->stream = &u->stream.stream;
    l->upstream = u;
    l->reused = u->reused;
    TAILQ_INSERT_TAIL(&u->leases, l, list);
    u->reused = true;
    return FAULT_NONE;
}

void lease_leave(struct lease *l)
{
    TAILQ_REMOVE(&l->upstream->leases, l, list);
    if (l->upstream->many)
        h2up_leave(l->upstream->many, l);
    l->upstream = NULL;
    l->stream = NULL;
}

bool lease_stale(const struct lease *l)
{
    return l->reused && (!l->upstream->many || h2up_ended(l->upstream->many));
}

bool lease_leaving(const struct lease *l)
{
    return l->upstream->many && !h2up_usable(l->upstream->many);
}

bool lease_h1_wanted(const struct lease *l)
{
    const struct h2up *m = l->upstream->many;

    return m && (h2stream_code(&l->own) == H2_HTTP_1_1_REQUIRED || h2up_strange(m));
}

size_t lease_read(struct lease *l)
{
    return l->upstream->many ? 0 : link_read(&l->upstream->link);
}

size_t lease_write(struct lease *l)
{
    if (!l->upstream->many)
        return link_write(&l->upstream->link);
    h2up_soon(l->upstream->many);
    return 0;
}

void lease_wait(struct lease *l)
{
    if (l->upstream->many)
        h2up_soon(l->upstream->many);
    else
        link_arm(&l->upstream->link, true);
}

bool lease_unsent(const struct lease *l)
{
    return link_unsent(&l->upstream->link) || (l->upstream->many && h2stream_unsent(&l->own));
}

bool lease_clean(const struct lease *l)
{
    const struct upstream *u = l->upstream;

    return u->many || (!u->link.mute && upstream_reusable(u) && h1stream_idle(&u->stream));
}

#include "door.h"
#include "diag.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define DOOR_BACKLOG 4096

static enum fault refused(const char *what, struct endpoint at)
{
    int why = errno;
    char text[ENDPOINT_TEXT];
    size_t len = endpoint_text(at, text);

    DIAG(ERROR, what, DIAG_TEXT("address", slice_of(text, len)), DIAG_ERRNO(why));
    return FAULT_SYSTEM;
}

/* A bound socket, or -1 and errno. */
static int bound(struct endpoint at, bool shared)
{
    struct sockaddr_storage name;
    socklen_t len = endpoint_sockaddr(at, &name);
    const int on = 1, off = 0;
    int fd = socket(name.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), why;

    if (fd < 0)
        return -1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
        (!shared || setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) == 0) &&
        (name.ss_family != AF_INET6 || setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) == 0) &&
        bind(fd, (const struct sockaddr *)&name, len) == 0)
        return fd;
    why = errno;
    close(fd);
    errno = why;
    return -1;
}

static int bound_anyhow(struct endpoint at, bool shared)
{
    static const struct ip any;
    const struct endpoint any_v4 = {{{[10] = 0xff, [11] = 0xff}}, at.port};
    int fd = bound(at, shared);

    if (fd < 0 && (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL) && ip_equal(at.ip, any))
        fd = bound(any_v4, shared); /* a kernel without v6 */
    return fd;
}

static enum fault socket_open(struct endpoint at, bool first, int *out)
{
    int fd;

    if (first) {
        /* Sockets that share a port never collide, so a second proxy would silently take half of the
         * connections: only one that does not share finds out. */
        fd = bound_anyhow(at, false);
        if (fd < 0)
            return refused("the address can't be listened on", at);
        close(fd);
    }
    fd = bound_anyhow(at, true);
    if (fd < 0)
        return refused("the address can't be listened on", at);
    if (listen(fd, DOOR_BACKLOG) < 0) {
        enum fault why = refused("the address can't be listened on", at);

        close(fd);
        return why;
    }
    *out = fd;
    return FAULT_NONE;
}

static enum fault row_add(struct doors *d, struct door row)
{
    struct door *more = realloc(d->row, (d->count + 1) * sizeof *more);

    if (!more)
        return FAULT_NO_MEMORY;
    d->row = more;
    d->row[d->count++] = row;
    return FAULT_NONE;
}

static const struct door *row_find(const struct doors *d, struct endpoint at, unsigned index)
{
    for (size_t i = 0; d && i < d->count; i++)
        if (ip_equal(d->row[i].at.ip, at.ip) && d->row[i].at.port == at.port && d->row[i].index == index)
            return &d->row[i];
    return NULL;
}

static enum fault address_open(struct doors *d, struct endpoint at, enum listener_kind kind, unsigned workers,
                               const struct doors *before)
{
    char text[ENDPOINT_TEXT];

    if (row_find(d, at, 0)) {
        size_t len = endpoint_text(at, text);

        DIAG(ERROR, "the address is configured twice", DIAG_TEXT("address", slice_of(text, len)));
        return FAULT_INVALID;
    }
    for (unsigned i = 0; i < workers || row_find(before, at, i); i++) {
        const struct door *had = row_find(before, at, i);
        struct door row = {.at = at, .kind = kind, .index = i, .fd = -1};
        enum fault why;

        if (!had)
            TRY(socket_open(at, i == 0, &row.fd));
        else if ((row.fd = fcntl(had->fd, F_DUPFD_CLOEXEC, 0)) < 0)
            return refused("the listener can't be kept", at);
        why = row_add(d, row);
        if (why != FAULT_NONE) {
            close(row.fd);
            return why;
        }
    }
    return FAULT_NONE;
}

enum fault doors_open(const struct config *config, unsigned workers, const struct doors *before,
                      struct doors *out)
{
    const struct {
        enum listener_kind kind;
        const struct endpoint *at;
        size_t count;
    } wanted[] = {
        {LISTENER_REDIRECT, config->listen, config->listens},
        {LISTENER_DIRECT, config->direct_listen, config->direct_listens},
        {LISTENER_HTTP, config->http_listen, config->http_listens},
        {LISTENER_CONNECT, config->connect_listen, config->connect_listens},
    };

    *out = (struct doors){.count = 0};
    for (size_t k = 0; k < sizeof wanted / sizeof *wanted; k++) {
        for (size_t i = 0; i < wanted[k].count; i++) {
            enum fault why = address_open(out, wanted[k].at[i], wanted[k].kind, workers, before);

            if (why != FAULT_NONE) {
                doors_close(out);
                return why;
            }
        }
    }
    return FAULT_NONE;
}

void doors_close(struct doors *d)
{
    for (size_t i = 0; i < d->count; i++)
        if (d->row[i].fd >= 0)
            close(d->row[i].fd);
    free(d->row);
    *d = (struct doors){.count = 0};
}

enum fault doors_seat(struct doors *d, unsigned seat, unsigned workers, struct listener **out, size_t *count)
{
    struct listener *mine = calloc(d->count + 1, sizeof *mine);

    *count = 0;
    if (!mine)
        return FAULT_NO_MEMORY;
    for (size_t i = 0; i < d->count; i++) {
        if (d->row[i].index % workers != seat)
            continue;
        mine[(*count)++] = (struct listener){d->row[i].fd, d->row[i].kind};
        d->row[i].fd = -1;
    }
    doors_close(d);
    *out = mine;
    return FAULT_NONE;
}

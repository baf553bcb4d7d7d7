#include "link.h"
#include "owner.h"
#include <errno.h>
#include <malloc.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#define TRIM_LINKS 64

static long wire_read(void *cookie, uint8_t *into, size_t room)
{
    struct link *l = cookie;

    if (l->drained)
        return -EAGAIN;
    ssize_t n = recv(l->fd, into, room, MSG_DONTWAIT);

    if (n < 0) {
        l->drained = errno == EAGAIN;
        return errno == EINTR ? -EAGAIN : -errno;
    }
    /* Level-triggered: what arrives after this is told by the next event, so a short read needs no second call. */
    l->drained = n > 0 && (size_t)n < room;
    return n;
}

static long socket_write(const struct link *l, struct slice from)
{
    ssize_t n = send(l->fd, from.at, from.len, MSG_DONTWAIT | MSG_NOSIGNAL);

    if (n < 0)
        return errno == EINTR ? -EAGAIN : -errno;
    return n;
}

/* What is left of an earlier send goes before anything else: 0 when it has gone, else why not. */
static long unsent_write(struct link *l)
{
    l->lazy = false;
    while (buf_held(&l->unsent).len) {
        long n = socket_write(l, buf_held(&l->unsent));

        if (n < 0)
            return n;
        buf_take(&l->unsent, (size_t)n);
    }
    buf_close(&l->unsent);
    return 0;
}

/* The records of one link_write are gathered here, and go out in one system call. */
static struct {
    uint8_t octets[LINK_BULK_OCTETS + 4096];
    size_t len;
    const struct link *owner; /* whose link_write runs */
} pen;

/*
 * From here on what ${l} writes is gathered. A lazy ticket of the handshake goes first; other unsent octets have their own
 * event to wait for.
 */
static void pen_take(struct link *l)
{
    pen.owner = l;
    if (!l->lazy)
        return;
    struct slice ticket = buf_held(&l->unsent);

    memcpy(pen.octets, ticket.at, ticket.len);
    pen.len = ticket.len;
    buf_close(&l->unsent);
    l->lazy = false;
}

/* One call for what was gathered; what the socket does not take waits in ${unsent}. (While something waits there, wire_write
 * gathers nothing: so it is empty here.) */
static void pen_write(struct link *l)
{
    struct slice all = slice_of(pen.octets, pen.len);
    long n = all.len ? socket_write(l, all) : 0;

    pen.len = 0;
    if (n < 0 && n != -EAGAIN) {
        l->mute = true;
        return;
    }
    all = slice_drop(all, n > 0 ? (size_t)n : 0);
    l->bulk_out = l->bulk_out && !all.len;
    if (all.len && (buf_open(&l->unsent, all.len) != FAULT_NONE || buf_append(&l->unsent, all) != FAULT_NONE))
        l->mute = true;
}

static long wire_write(void *cookie, const uint8_t *from, size_t len)
{
    struct link *l = cookie;
    long why = unsent_write(l);

    if (why < 0)
        return why;
    if (pen.owner != l)
        return socket_write(l, slice_of(from, len));
    if (len > sizeof pen.octets - pen.len)
        pen_write(l);
    if (l->mute || buf_held(&l->unsent).len)
        return l->mute ? -EPIPE : -EAGAIN;
    if (len > sizeof pen.octets)
        return socket_write(l, slice_of(from, len));
    memcpy(pen.octets + pen.len, from, len);
    pen.len += len;
    return (long)len;
}

static bool wire_dry(void *cookie)
{
    return ((const struct link *)cookie)->drained;
}

static void link_event(struct ev_loop *loop, ev_io *io, int events)
{
    struct link *l = io->data;

    (void)loop;
    l->busy = true;
    l->rested = false;
    if (events & EV_READ)
        l->drained = false;
    l->on_event(l);
}

static void link_turn(struct soon *s)
{
    struct link *l = OWNER(s, struct link, again);

    l->busy = true;
    l->on_event(l);
}

void link_open(struct link *l, struct turn *turn, struct links *links, int fd,
               void (*on_event)(struct link *l))
{
    int on = 1;

    *l = (struct link){.loop = turn->loop,
                       .links = links,
                       .turn = turn,
                       .again = {.run = link_turn},
                       .fd = fd,
                       .busy = true,
                       .on_event = on_event};
    TAILQ_INSERT_TAIL(links, l, list);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    ev_io_init(&l->io, link_event, fd, EV_READ);
    l->io.data = l;
}

struct wire link_wire(struct link *l)
{
    return (struct wire){wire_read, wire_write, wire_dry, l};
}

/* One plain read: the same answers as tlsio_read gives. */
static enum fault plain_read(struct link *l, struct iovec room, size_t *n)
{
    long got = wire_read(l, room.iov_base, room.iov_len);

    *n = got > 0 ? (size_t)got : 0;
    if (got > 0)
        return FAULT_NONE;
    return got == 0 ? FAULT_END : got == -EAGAIN ? FAULT_AGAIN : FAULT_CLIENT_GONE;
}

static enum fault plain_write(struct link *l, struct slice from, size_t *n)
{
    long took = wire_write(l, from.at, from.len);

    *n = took > 0 ? (size_t)took : 0;
    return took >= 0 ? FAULT_NONE : took == -EAGAIN ? FAULT_AGAIN : FAULT_CLIENT_GONE;
}

size_t link_read(struct link *l)
{
    size_t all = 0;

    if (l->fd < 0 || l->eof || l->broken)
        return 0;
    if (l->drained && !(l->secure && tlsio_pending(&l->tls)))
        return 0;
    if (!l->in.base && buf_open(&l->in, l->bulk_in ? LINK_BULK_OCTETS : LINK_OCTETS) != FAULT_NONE) {
        l->broken = FAULT_NO_MEMORY;
        return 0;
    }
    for (;;) {
        struct iovec room = buf_room(&l->in);
        size_t n = 0;

        if (room.iov_len == 0) {
            l->bulk_in = true;
            return all;
        }
        enum fault why = l->secure ? tlsio_read(&l->tls, room, &n) : plain_read(l, room, &n);

        buf_fill(&l->in, n);
        all += n;
        if (why == FAULT_NONE)
            continue;
        if (why == FAULT_END)
            l->eof = true;
        else if (why != FAULT_AGAIN)
            l->broken = why;
        return all;
    }
}

static void out_write(struct link *l, size_t *all)
{
    /* More than a record at once is worth gathering, and whatever a ticket waits for. */
    if (l->secure && (l->lazy || buf_held(&l->out).len > LINK_OCTETS))
        pen_take(l);
    while (!l->mute && buf_held(&l->out).len) {
        size_t n = 0;
        enum fault why =
            l->secure ? tlsio_write(&l->tls, buf_held(&l->out), &n) : plain_write(l, buf_held(&l->out), &n);

        buf_take(&l->out, n);
        *all += n;
        if (why == FAULT_AGAIN) {
            l->bulk_out = false;
            break;
        }
        if (why != FAULT_NONE)
            l->mute = true;
    }
}

static void out_done(struct link *l)
{
    if (pen.owner)
        pen_write(l);
    pen.owner = NULL;
    if (l->mute || !buf_held(&l->out).len)
        buf_close(&l->out);
}

/* What waits for the socket, but is not lazy, goes first: false when it could not, and nothing else is to be tried. */
static bool unsent_gone(struct link *l)
{
    long why = l->mute || l->lazy ? 0 : unsent_write(l);

    l->mute = l->mute || (why < 0 && why != -EAGAIN);
    return !l->mute && why == 0;
}

size_t link_write(struct link *l)
{
    size_t all = 0;

    if (l->last)
        return link_end(l);
    if (l->fd < 0)
        return 0;
    if ((!unsent_gone(l) && !l->mute) || !buf_held(&l->out).len)
        return 0;
    if (buf_held(&l->out).len >= LINK_OCTETS - LINK_OCTETS / 8)
        l->bulk_out = true;
    out_write(l, &all);
    out_done(l);
    return all;
}

enum fault link_shake(struct link *l, const char **why)
{
    *why = NULL;
    if (!unsent_gone(l))
        return l->mute ? FAULT_CLIENT_GONE : FAULT_AGAIN;
    pen.owner = l;
    enum fault fault = tlsio_shake(&l->tls, why);

    pen.owner = NULL;
    if (fault != FAULT_NONE || !tlsio_may_wait(&l->tls)) {
        pen_write(l);
        return fault;
    }
    if (pen.len && (buf_open(&l->unsent, pen.len) != FAULT_NONE ||
                    buf_append(&l->unsent, slice_of(pen.octets, pen.len)) != FAULT_NONE))
        l->mute = true;
    l->lazy = pen.len > 0;
    pen.len = 0;
    return FAULT_NONE;
}

static bool octets_unsent(const struct link *l)
{
    return buf_held(&l->out).len || (!l->lazy && buf_held(&l->unsent).len);
}

bool link_unsent(const struct link *l)
{
    return !l->mute && (octets_unsent(l) || (l->last && !l->finned));
}

enum fault link_room(struct link *l)
{
    return l->out.base ? FAULT_NONE : buf_open(&l->out, l->bulk_out ? LINK_BULK_OCTETS : LINK_OCTETS);
}

static void link_wait(struct link *l, int want)
{
    if (l->fd < 0 || want == (ev_is_active(&l->io) ? l->io.events & (EV_READ | EV_WRITE) : 0))
        return;
    ev_io_stop(l->loop, &l->io);
    ev_io_set(&l->io, l->fd, want);
    if (want)
        ev_io_start(l->loop, &l->io);
}

void link_arm(struct link *l, bool read)
{
    /* The next octets may be minutes away. */
    if (!buf_held(&l->in).len)
        buf_close(&l->in);

    bool room = !l->in.base || buf_free(&l->in) > 0;
    int want = 0;

    if (l->broken || l->fd < 0) {
        link_wait(l, 0);
        return;
    }
    if (read && room && !l->eof)
        want |= EV_READ;
    if (link_unsent(l))
        want |= EV_WRITE;
    link_wait(l, want);
    if (want & EV_READ && l->secure && tlsio_pending(&l->tls))
        link_again(l);
}

void link_arm_shake(struct link *l)
{
    link_wait(l, (l->tls.wants_in ? EV_READ : 0) | (l->tls.wants_out || link_unsent(l) ? EV_WRITE : 0));
}

void link_again(struct link *l)
{
    turn_soon(l->turn, &l->again);
}

void links_sweep(struct links *links)
{
    struct link *l;
    size_t rested = 0;

    TAILQ_FOREACH (l, links, list) {
        if (!l->busy && !l->rested && l->secure) {
            l->rested = tlsio_rest(&l->tls);
            l->bulk_in = l->bulk_out = false;
            rested += l->rested;
        }
        l->busy = false;
    }
    /* The allocator keeps what lies between memory in use; after many links at once that is worth giving to the kernel. */
    if (rested >= TRIM_LINKS)
        malloc_trim(0);
}

size_t link_end(struct link *l)
{
    size_t all = 0;

    if (l->fd < 0 || !unsent_gone(l))
        return 0;
    if (!l->ended) { /* the last octets and the goodbye are one call */
        if (l->secure)
            pen_take(l);
        out_write(l, &all);
        l->ended = !l->mute && !buf_held(&l->out).len;
        if (l->ended && l->secure)
            tlsio_end(&l->tls);
        out_done(l);
    }
    if (l->ended && !l->finned && !l->mute && !octets_unsent(l)) {
        shutdown(l->fd, SHUT_WR);
        l->finned = true;
    }
    return all;
}

void link_last(struct link *l)
{
    l->last = true;
}

void link_close(struct link *l)
{
    if (l->fd < 0)
        return;
    TAILQ_REMOVE(l->links, l, list);
    ev_io_stop(l->loop, &l->io);
    ev_clear_pending(l->loop, &l->io);
    turn_forget(l->turn, &l->again);
    if (l->secure)
        tlsio_close(&l->tls);
    close(l->fd);
    l->fd = -1;
    buf_close(&l->in);
    buf_close(&l->out);
    buf_close(&l->unsent);
}

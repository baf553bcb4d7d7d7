#include "page.h"
#include "clock.h"
#include "ip.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>
#include <unistd.h>

#define PAGE_BEGIN 65536

/* One fetch under way. */
struct fetch {
    int fd;
    int64_t until_ms;
    char *octets;
    size_t len, room;
};

static bool failed(char *why, const char *what, int number)
{
    snprintf(why, PAGE_WHY, "%s%s%s", what, number ? ": " : "", number ? strerror(number) : "");
    return false;
}

static bool address_take(const char *admin, struct sockaddr_storage *out, socklen_t *len)
{
    struct sockaddr_un *name = (struct sockaddr_un *)(void *)out;
    struct slice text = slice_text(admin), path = slice_drop(text, 5);
    struct endpoint e;

    *out = (struct sockaddr_storage){0};
    if (!slice_starts(text, SLICE("unix:"))) {
        if (endpoint_parse(text, &e) != FAULT_NONE)
            return false;
        *len = endpoint_sockaddr(e, out);
        return true;
    }
    if (path.len == 0 || path.len >= sizeof name->sun_path)
        return false;
    name->sun_family = AF_UNIX;
    memcpy(name->sun_path, path.at, path.len);
    *len = sizeof *name;
    return true;
}

/* Until the socket can be written to or read from, or time is over. */
static bool socket_await(const struct fetch *f, short events, char *why)
{
    struct pollfd wait = {.fd = f->fd, .events = events};
    int64_t left_ms = f->until_ms - clock_mono_ms();

    if (left_ms <= 0 || poll(&wait, 1, (int)left_ms) == 0)
        return failed(why, "it does not answer", 0);
    return true; /* an interrupted wait is a short one */
}

static bool fetch_connect(struct fetch *f, const char *admin, char *why)
{
    struct sockaddr_storage to;
    socklen_t len, error_len = sizeof(int);
    int error = 0;

    if (!address_take(admin, &to, &len))
        return failed(why, "admin must be unix:PATH or ADDRESS:PORT", 0);
    f->fd = socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (f->fd < 0)
        return failed(why, "no socket can be made", errno);
    if (connect(f->fd, (struct sockaddr *)&to, len) == 0)
        return true;
    if (errno != EINPROGRESS)
        return failed(why, "it can't be reached", errno);
    if (!socket_await(f, POLLOUT, why))
        return false;
    if (getsockopt(f->fd, SOL_SOCKET, SO_ERROR, &error, &error_len) != 0 || error)
        return failed(why, "it can't be reached", error ? error : errno);
    return true;
}

/* A few octets on a new connection: they go at once, or not at all. */
static bool fetch_ask(const struct fetch *f, const char *path, char *why)
{
    char text[256];
    int n = snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n\r\n", path);

    if (n < 0 || send(f->fd, text, (size_t)n, MSG_NOSIGNAL) != n)
        return failed(why, "it can't be asked", errno);
    return true;
}

static bool fetch_grow(struct fetch *f, char *why)
{
    size_t room = f->room ? 2 * f->room : PAGE_BEGIN;
    char *larger;

    if (f->len < f->room)
        return true;
    if (room > PAGE_OCTETS_MAX)
        return failed(why, "its answer is too long", 0);
    larger = demand(room);
    if (f->len)
        memcpy(larger, f->octets, f->len);
    free(f->octets);
    f->octets = larger;
    f->room = room;
    return true;
}

/* To its end: the server closes behind its answer. */
static bool fetch_read(struct fetch *f, char *why)
{
    for (;;) {
        ssize_t n;

        if (!fetch_grow(f, why) || !socket_await(f, POLLIN, why))
            return false;
        n = recv(f->fd, f->octets + f->len, f->room - f->len, 0);
        if (n == 0)
            return true;
        if (n > 0)
            f->len += (size_t)n;
        else if (errno != EAGAIN && errno != EINTR)
            return failed(why, "its answer broke off", errno);
    }
}

/* Our own server's form and no other: a status, Content-Length, and that many octets behind the head. */
static bool page_take(struct fetch *f, struct page *out, char *why)
{
    struct slice all = slice_of(f->octets, f->len), begin = SLICE("HTTP/1.1 "),
                 field = SLICE("Content-Length: ");
    const uint8_t *end = all.len ? memmem(all.at, all.len, "\r\n\r\n", 4) : NULL;
    struct slice head = slice_first(all, end ? (size_t)(end - all.at) + 2 : 0);
    const uint8_t *length = head.len ? memmem(head.at, head.len, field.at, field.len) : NULL;
    uint64_t status, octets;
    struct slice text;

    if (!length || !slice_starts(head, begin) ||
        !slice_number(slice_first(slice_drop(head, begin.len), 3), 599, &status))
        return failed(why, "it does not answer as a proxy does", 0);
    text = slice_drop(head, (size_t)(length - head.at) + field.len);
    out->body = slice_drop(all, head.len + 2);
    if (!slice_number(slice_first(text, slice_find(text, '\r')), PAGE_OCTETS_MAX, &octets) ||
        octets != out->body.len)
        return failed(why, "its answer broke off", 0);
    out->status = (int)status;
    out->octets = f->octets;
    f->octets = NULL;
    return true;
}

bool page_fetch(const char *admin, const char *path, struct page *out, char *why)
{
    struct fetch f = {.fd = -1, .until_ms = clock_mono_ms() + PAGE_TIMEOUT_MS};
    bool got = fetch_connect(&f, admin, why) && fetch_ask(&f, path, why) && fetch_read(&f, why) &&
               page_take(&f, out, why);

    if (f.fd >= 0)
        close(f.fd);
    free(f.octets);
    return got;
}

void page_close(struct page *p)
{
    free(p->octets);
    *p = (struct page){0};
}

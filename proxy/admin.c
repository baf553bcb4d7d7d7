#include "admin.h"
#include "census.h"
#include "diag.h"
#include "metric.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define ADMIN_CALLS      32
#define ADMIN_HEAD       4096
#define ADMIN_BODY       65536
#define ADMIN_DEADLINE_S 5.0
#define ADMIN_REST_S     1.0

struct call {
    ev_io io; /* its fd is -1 when the place is free */
    ev_timer deadline;
    struct admin *admin;
    size_t held;
    struct buf out;
    uint8_t head[ADMIN_HEAD];
};

struct admin {
    struct ev_loop *loop;
    ev_io io;
    ev_timer rest;
    char path[sizeof(((struct config *)0)->admin_path)];
    struct endpoint at;
    bool draining;
    struct call call[ADMIN_CALLS];
};

/* --- what is answered ----------------------------------------------------------------------------------- */

enum answer { OK, NOT_READY, BAD, NO_PAGE, NO_METHOD, NO_ROOM };

static const struct {
    const char *status, *fields, *sentence;
} answers[] = {
    [OK] = {"200 OK", "", "ok\n"},
    [NOT_READY] = {"503 Service Unavailable", "", ""},
    [BAD] = {"400 Bad Request", "", "The request is outside the grammar of HTTP.\n"},
    [NO_PAGE] = {"404 Not Found", "", "There are /healthz, /readyz, /metrics and /sandboxes.\n"},
    [NO_METHOD] = {"405 Method Not Allowed", "Allow: GET\r\n", "Only GET is served here.\n"},
    [NO_ROOM] = {"500 Internal Server Error", "", "The page could not be written.\n"},
};

static enum answer healthz(const struct admin *a, struct buf *body)
{
    (void)a;
    (void)body;
    return OK;
}

static enum answer readyz(const struct admin *a, struct buf *body)
{
    struct slice why;

    if (a->draining)
        why = SLICE("The proxy is ending.\n");
    else if (metric_sum(METRIC_WORKER_READY) == 0)
        why = SLICE("No worker reaches Redis or holds a usable record.\n");
    else
        return OK;
    return buf_append(body, why) == FAULT_NONE ? NOT_READY : NO_ROOM;
}

static enum answer metrics(const struct admin *a, struct buf *body)
{
    (void)a;
    return metric_text(body, OSB_VERSION) == FAULT_NONE ? OK : NO_ROOM;
}

/* As large as it has to be now: what was reserved for all the sandboxes there might be would be wasted. */
static enum answer sandboxes(const struct admin *a, struct buf *body)
{
    (void)a;
    return buf_grow(body, census_octets()) == FAULT_NONE && census_text(body) == FAULT_NONE ? OK : NO_ROOM;
}

static const struct {
    const char *path, *type;
    enum answer (*write)(const struct admin *a, struct buf *body);
} pages[] = {
    {"/healthz", "text/plain; charset=utf-8", healthz},
    {"/readyz", "text/plain; charset=utf-8", readyz},
    {"/metrics", "text/plain; version=0.0.4; charset=utf-8", metrics},
    {"/sandboxes", "application/json", sandboxes},
};

/* Cuts the octets before the next space, which goes too; all of ${s} when there is none. */
static struct slice word_cut(struct slice *s)
{
    const uint8_t *space = s->len ? memchr(s->at, ' ', s->len) : NULL;
    struct slice word = slice_of(s->at, space ? (size_t)(space - s->at) : s->len);

    *s = slice_drop(*s, word.len + (space ? 1 : 0));
    return word;
}

/* RFC 9112 s.3: method SP request-target SP HTTP-version. */
static enum answer line_read(struct slice line, struct slice *path)
{
    struct slice method = word_cut(&line), target = word_cut(&line);

    if (!slice_equal(line, SLICE("HTTP/1.1")) && !slice_equal(line, SLICE("HTTP/1.0")))
        return BAD;
    if (method.len == 0)
        return BAD;
    for (size_t i = 0; i < method.len; i++)
        if (method.at[i] < 'A' || method.at[i] > 'Z')
            return BAD;
    if (!slice_equal(method, SLICE("GET")))
        return NO_METHOD;
    *path = target;
    return OK;
}

static enum answer page_write(const struct admin *a, struct slice line, struct buf *body, const char **type)
{
    struct slice path = SLICE_NONE;
    enum answer got = line_read(line, &path);

    if (got != OK)
        return got;
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++) {
        if (slice_equal(path, slice_text(pages[i].path))) {
            *type = pages[i].type;
            return pages[i].write(a, body);
        }
    }
    return NO_PAGE;
}

static enum fault answer_write(struct call *c, struct slice line)
{
    const char *type = pages[0].type;
    struct buf body = {0};
    struct slice text;
    enum answer got;
    enum fault why;
    char head[256];
    int n;

    TRY(buf_open(&body, ADMIN_BODY));
    got = page_write(c->admin, line, &body, &type);
    text = got != NO_ROOM && buf_held(&body).len ? buf_held(&body) : slice_text(answers[got].sentence);
    n = snprintf(head, sizeof head,
                 "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n%sCache-Control: no-store\r\n"
                 "Connection: close\r\n\r\n",
                 answers[got].status, type, text.len, answers[got].fields);
    why = n < 0 || (size_t)n >= sizeof head ? FAULT_FULL : buf_open(&c->out, (size_t)n + text.len);
    if (why == FAULT_NONE)
        why = buf_append(&c->out, slice_of(head, (size_t)n));
    if (why == FAULT_NONE)
        why = buf_append(&c->out, text);
    buf_close(&body);
    return why;
}

/* --- one connection ------------------------------------------------------------------------------------- */

static void call_end(struct call *c)
{
    struct admin *a = c->admin;

    ev_io_stop(a->loop, &c->io);
    ev_timer_stop(a->loop, &c->deadline);
    close(c->io.fd);
    c->io.fd = -1;
    buf_close(&c->out);
    if (!ev_is_active(&a->rest))
        ev_io_start(a->loop, &a->io);
}

static void call_late(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    call_end(timer->data);
}

static void call_send(struct call *c)
{
    struct slice left = buf_held(&c->out);
    ssize_t n = send(c->io.fd, left.at, left.len, MSG_NOSIGNAL);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n < 0) {
        call_end(c);
        return;
    }
    buf_take(&c->out, (size_t)n);
    if (buf_held(&c->out).len == 0)
        call_end(c);
}

/* The first line once the head is whole; no line but a whole head when it can't become one. */
static bool head_whole(const struct call *c, struct slice *line)
{
    const uint8_t *end = memmem(c->head, c->held, "\r\n\r\n", 4);

    *line = SLICE_NONE;
    if (!end)
        return c->held == sizeof c->head;
    end = memmem(c->head, c->held, "\r\n", 2);
    *line = slice_of(c->head, (size_t)(end - c->head));
    return true;
}

static void call_receive(struct call *c)
{
    ssize_t n = recv(c->io.fd, c->head + c->held, sizeof c->head - c->held, 0);
    struct slice line;

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        call_end(c);
        return;
    }
    c->held += (size_t)n;
    if (!head_whole(c, &line))
        return;
    if (answer_write(c, line) != FAULT_NONE) {
        call_end(c);
        return;
    }
    ev_io_stop(c->admin->loop, &c->io);
    ev_io_set(&c->io, c->io.fd, EV_WRITE);
    ev_io_start(c->admin->loop, &c->io);
    call_send(c);
}

static void call_event(struct ev_loop *loop, ev_io *io, int events)
{
    struct call *c = io->data;

    (void)loop;
    if (events & EV_WRITE)
        call_send(c);
    else
        call_receive(c);
}

static struct call *call_free_one(struct admin *a)
{
    for (size_t i = 0; i < ADMIN_CALLS; i++)
        if (a->call[i].io.fd < 0)
            return &a->call[i];
    return NULL;
}

static void rest_over(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct admin *a = timer->data;

    (void)events;
    ev_io_start(loop, &a->io);
}

static void admin_event(struct ev_loop *loop, ev_io *io, int events)
{
    struct admin *a = io->data;
    struct call *c = call_free_one(a);
    int fd;

    (void)events;
    if (!c) {
        ev_io_stop(loop, &a->io); /* until a place is free */
        return;
    }
    fd = accept4(io->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            ev_io_stop(loop, &a->io); /* the socket stays readable: without a rest this would spin */
            ev_timer_set(&a->rest, ADMIN_REST_S, 0.);
            ev_timer_start(loop, &a->rest);
        }
        return;
    }
    c->held = 0;
    ev_io_set(&c->io, fd, EV_READ);
    ev_io_start(loop, &c->io);
    ev_timer_set(&c->deadline, ADMIN_DEADLINE_S, 0.);
    ev_timer_start(loop, &c->deadline);
}

/* --- where it listens ----------------------------------------------------------------------------------- */

static enum fault refused(const char *what, struct slice where)
{
    DIAG(ERROR, what, DIAG_TEXT("admin", where), DIAG_ERRNO(errno));
    return FAULT_SYSTEM;
}

/* A name that a proxy left behind when it was killed is in the way; everything else is somebody's. */
static enum fault stale_remove(const struct sockaddr_un *name)
{
    struct slice where = slice_text(name->sun_path);
    struct stat st;
    int fd, answer;

    if (lstat(name->sun_path, &st) < 0)
        return errno == ENOENT ? FAULT_NONE : refused("the admin socket's name can't be looked at", where);
    if (!S_ISSOCK(st.st_mode)) {
        errno = EEXIST;
        return refused("the admin socket's name is taken by something that is no socket", where);
    }
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return refused("a socket can't be made", where);
    answer = connect(fd, (const struct sockaddr *)name, sizeof *name) == 0 ? EADDRINUSE : errno;
    close(fd);
    if (answer != ECONNREFUSED) {
        errno = answer;
        return refused("the admin socket is in use", where);
    }
    return unlink(name->sun_path) == 0 ? FAULT_NONE
                                       : refused("the stale admin socket can't be removed", where);
}

/* /run is empty after a boot, and only root may fill it. */
static enum fault folder_make(const char *path)
{
    char folder[sizeof(((struct sockaddr_un *)0)->sun_path)];
    const char *slash = strrchr(path, '/');
    size_t len = slash ? (size_t)(slash - path) : 0;

    if (len == 0 || len >= sizeof folder || geteuid() != 0)
        return FAULT_NONE;
    memcpy(folder, path, len);
    folder[len] = '\0';
    if (mkdir(folder, 0755) < 0 && errno != EEXIST)
        return refused("the admin socket's folder can't be made", slice_of(path, len));
    return FAULT_NONE;
}

static enum fault path_listen(const char *path, gid_t group, int *out)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    struct slice where = slice_text(path);
    mode_t mask;
    int fd, bound;

    if (where.len >= sizeof name.sun_path)
        return FAULT_INVALID;
    memcpy(name.sun_path, path, where.len);
    TRY(folder_make(path));
    TRY(stale_remove(&name));
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return refused("a socket can't be made", where);
    mask = umask(0117); /* 0660 from its first moment, not by a later chmod */
    bound = bind(fd, (const struct sockaddr *)&name, sizeof name);
    umask(mask);
    if (bound < 0 || listen(fd, ADMIN_CALLS) < 0) {
        enum fault why = refused("the admin socket can't be listened on", where);

        close(fd);
        return why;
    }
    if (group != (gid_t)-1 && lchown(path, (uid_t)-1, group) < 0)
        DIAG(WARN, "the admin socket's group can't be set", DIAG_TEXT("admin", where), DIAG_ERRNO(errno));
    *out = fd;
    return FAULT_NONE;
}

static enum fault endpoint_listen(struct endpoint at, int *out)
{
    struct sockaddr_storage name;
    socklen_t len = endpoint_sockaddr(at, &name);
    char text[ENDPOINT_TEXT];
    struct slice where = slice_of(text, endpoint_text(at, text));
    const int on = 1;
    int fd = socket(name.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return refused("a socket can't be made", where);
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
        bind(fd, (const struct sockaddr *)&name, len) < 0 || listen(fd, ADMIN_CALLS) < 0) {
        enum fault why = refused("the admin address can't be listened on", where);

        close(fd);
        return why;
    }
    *out = fd;
    return FAULT_NONE;
}

enum fault admin_open(struct ev_loop *loop, const struct config *config, gid_t group, struct admin **out)
{
    struct admin *a = calloc(1, sizeof *a);
    enum fault why;
    int fd = -1;

    if (!a)
        return FAULT_NO_MEMORY;
    why = *config->admin_path ? path_listen(config->admin_path, group, &fd)
                              : endpoint_listen(config->admin, &fd);
    if (why != FAULT_NONE) {
        free(a);
        return why;
    }
    a->loop = loop;
    a->at = config->admin;
    memcpy(a->path, config->admin_path, sizeof a->path);
    for (size_t i = 0; i < ADMIN_CALLS; i++) {
        struct call *c = &a->call[i];

        c->admin = a;
        ev_io_init(&c->io, call_event, -1, EV_READ);
        ev_timer_init(&c->deadline, call_late, ADMIN_DEADLINE_S, 0.);
        c->io.data = c->deadline.data = c;
    }
    ev_io_init(&a->io, admin_event, fd, EV_READ);
    ev_timer_init(&a->rest, rest_over, ADMIN_REST_S, 0.);
    a->io.data = a->rest.data = a;
    ev_io_start(loop, &a->io);
    *out = a;
    return FAULT_NONE;
}

bool admin_serves(const struct admin *a, const struct config *config)
{
    if (*a->path || *config->admin_path)
        return strcmp(a->path, config->admin_path) == 0;
    return ip_equal(a->at.ip, config->admin.ip) && a->at.port == config->admin.port;
}

void admin_drain(struct admin *a)
{
    a->draining = true;
}

void admin_close(struct admin *a)
{
    for (size_t i = 0; i < ADMIN_CALLS; i++)
        if (a->call[i].io.fd >= 0)
            call_end(&a->call[i]);
    ev_io_stop(a->loop, &a->io);
    ev_timer_stop(a->loop, &a->rest);
    close(a->io.fd);
    if (*a->path)
        unlink(a->path);
    free(a);
}

void admin_forget(struct admin *a)
{
    for (size_t i = 0; i < ADMIN_CALLS; i++) {
        if (a->call[i].io.fd >= 0)
            close(a->call[i].io.fd);
        buf_close(&a->call[i].out);
    }
    close(a->io.fd);
    free(a);
}

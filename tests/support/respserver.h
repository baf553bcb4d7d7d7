#pragma once
#include "slice.h"
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <ev.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/*
 * respserver - servers on the test's own loop that take Redis' commands and say whatever a test wants.
 *
 *   Why     what a real Redis says only once in a year must be said each time.
 *   Bounds  RESPSERVER_PEERS connections to each.
 */
#define RESPSERVER_PEERS 48
#define MASTER           "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n"
#define REPLICA          "*5\r\n$5\r\nslave\r\n$9\r\n127.0.0.1\r\n:1\r\n$9\r\nconnected\r\n:0\r\n"
#define NO_CLUSTER       "-ERR This instance has cluster support disabled\r\n"

struct server;

struct peer {
    struct server *server;
    ev_io io; /* fd < 0: none */
    redisReader *reader;
    unsigned commands, asked; /* all, and those that were no greeting */
};

/* Zeroed, it greets as a master does and is silent to all else. */
struct server {
    const char *greeting; /* to the first command of a connection; NULL: as Redis */
    const char *role;     /* to ROLE; NULL: a master's */
    /* Before the two above: to a command that begins with these words; the first such line, and the last has none. */
    const struct line {
        const char *begins, *answer;
    } * lines;
    const char *answer[8]; /* to what is no greeting, one by one; NULL: nothing */
    const uint8_t *large;  /* sent instead of the first answer */
    size_t large_octets;
    bool closes; /* instead of answering */
    bool deaf;   /* takes connections, and never reads */

    unsigned connections, commands,
        asked;      /* since it was started, but for commands: since the last connection */
    char last[256]; /* the last command, its words joined by spaces */
    uint16_t port;

    struct ev_loop *loop;
    ev_io listener;
    struct peer peers[RESPSERVER_PEERS];
};

static inline void peer_say(const struct peer *p, const void *text, size_t len)
{
    struct slice left = slice_of(text, len);

    while (left.len) {
        ssize_t n = send(p->io.fd, left.at, left.len, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n > 0)
            left = slice_drop(left, (size_t)n);
        else if (errno == EAGAIN)
            ev_run(p->server->loop, EVRUN_NOWAIT); /* the other side lives on the same loop */
        else
            return;
    }
}

static inline void hang_up(struct peer *p)
{
    if (!p->reader)
        return;
    ev_io_stop(p->server->loop, &p->io);
    close(p->io.fd);
    redisReaderFree(p->reader);
    p->reader = NULL;
}

/* What a Redis says to a command with which a connection begins; NULL: that is none. */
static inline const char *greeting_answer(const struct server *s, const char *command)
{
    static char subscribed[128];

    if (strcmp(command, "PING") == 0)
        return "+PONG\r\n";
    if (strcmp(command, "ROLE") == 0)
        return s->role ? s->role : MASTER;
    if (strcmp(command, "READWRITE") == 0)
        return NO_CLUSTER;
    if (strcmp(command, "GET osb:staged") == 0)
        return "$-1\r\n";
    if (strncmp(command, "AUTH ", 5) == 0 || strncmp(command, "SELECT ", 7) == 0)
        return "+OK\r\n";
    if (strncmp(command, "SUBSCRIBE ", 10) != 0)
        return NULL;
    snprintf(subscribed, sizeof subscribed, "*3\r\n$9\r\nsubscribe\r\n$%zu\r\n%s\r\n:1\r\n",
             strlen(command + 10), command + 10);
    return subscribed;
}

static inline const char *server_answer(struct server *s, struct peer *p)
{
    const char *text;

    for (const struct line *line = s->lines; line && line->begins; line++)
        if (strncmp(s->last, line->begins, strlen(line->begins)) == 0)
            return line->answer;
    if (p->commands == 1 && s->greeting)
        return s->greeting;
    if ((text = greeting_answer(s, s->last)))
        return text;
    s->asked++;
    return p->asked++ < 8 ? s->answer[p->asked - 1] : NULL;
}

static inline void obey(struct peer *p, const redisReply *command)
{
    struct server *s = p->server;
    bool greeting;

    s->commands++;
    p->commands++;
    for (size_t i = 0, len = 0; i < command->elements && len < sizeof s->last; i++)
        len +=
            (size_t)snprintf(s->last + len, sizeof s->last - len, i ? " %s" : "%s", command->element[i]->str);
    greeting = greeting_answer(s, s->last) != NULL;
    if (s->closes && !greeting) {
        hang_up(p);
    } else if (s->large && !greeting) {
        ev_io_stop(s->loop, &p->io); /* peer_say runs the loop */
        peer_say(p, s->large, s->large_octets);
        ev_io_start(s->loop, &p->io);
    } else {
        const char *text = server_answer(s, p);

        if (text)
            peer_say(p, text, strlen(text));
    }
}

static inline void on_octets(struct ev_loop *loop, ev_io *w, int events)
{
    struct peer *p = w->data;
    char chunk[65536];
    ssize_t n = recv(w->fd, chunk, sizeof chunk, MSG_DONTWAIT);
    void *command;

    (void)loop;
    (void)events;
    if (n <= 0) {
        hang_up(p);
        return;
    }
    ck_assert_int_eq(redisReaderFeed(p->reader, chunk, (size_t)n), REDIS_OK);
    while (p->reader && redisReaderGetReply(p->reader, &command) == REDIS_OK && command) {
        obey(p, command);
        freeReplyObject(command);
    }
}

static inline void on_connection(struct ev_loop *loop, ev_io *w, int events)
{
    struct server *s = w->data;
    struct peer *p = s->peers;
    int fd = accept4(w->fd, NULL, NULL, SOCK_CLOEXEC);

    (void)events;
    ck_assert_int_ge(fd, 0);
    while (p < s->peers + RESPSERVER_PEERS && p->reader)
        p++;
    ck_assert_msg(p < s->peers + RESPSERVER_PEERS, "too many connections to one server");
    *p = (struct peer){.server = s, .reader = redisReaderCreate()};
    s->connections++;
    s->commands = 0;
    ev_io_init(&p->io, on_octets, fd, EV_READ);
    p->io.data = p;
    if (!s->deaf)
        ev_io_start(loop, &p->io);
}

static inline void server_listen(struct server *s, struct ev_loop *loop, const struct sockaddr *at,
                                 socklen_t len)
{
    int fd = socket(at->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

    s->loop = loop;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    ck_assert_int_eq(bind(fd, at, len), 0);
    ck_assert_int_eq(listen(fd, 16), 0);
    ev_io_init(&s->listener, on_connection, fd, EV_READ);
    s->listener.data = s;
    ev_io_start(loop, &s->listener);
}

static inline void server_unix(struct server *s, struct ev_loop *loop, const char *path)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};

    strcpy(un.sun_path, path);
    server_listen(s, loop, (void *)&un, sizeof un);
}

/* On s->port of all loopback addresses; 0: on one that is free. */
static inline void server_tcp(struct server *s, struct ev_loop *loop)
{
    struct sockaddr_in in = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_ANY), .sin_port = htons(s->port)};
    socklen_t len = sizeof in;

    server_listen(s, loop, (void *)&in, sizeof in);
    ck_assert_int_eq(getsockname(s->listener.fd, (void *)&in, &len), 0);
    s->port = ntohs(in.sin_port);
}

/* All of its connections, at once. */
static inline void server_cut(struct server *s)
{
    for (size_t i = 0; i < RESPSERVER_PEERS; i++)
        hang_up(&s->peers[i]);
}

static inline void server_stop(struct server *s)
{
    if (!s->loop)
        return;
    server_cut(s);
    ev_io_stop(s->loop, &s->listener);
    close(s->listener.fd);
    s->loop = NULL;
}

/* To all who are connected. */
static inline void server_say(const struct server *s, const char *text)
{
    for (size_t i = 0; i < RESPSERVER_PEERS; i++)
        if (s->peers[i].reader)
            peer_say(&s->peers[i], text, strlen(text));
}

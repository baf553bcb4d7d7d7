#pragma once
#include "slice.h"
#include <check.h>
#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * respserver - a server on the test's own loop that takes Redis' commands and says whatever a test wants.
 *
 *   Bounds  one connection: a new one ends the last.
 */

static struct server {
    struct ev_loop *loop;
    ev_io listener, peer;
    redisReader *reader;
    const char *greeting;  /* the answer to the first command of a connection; NULL: +PONG */
    const char *answer[8]; /* to the commands behind it, one by one; NULL: nothing */
    const uint8_t *large;  /* sent instead of the first answer */
    size_t large_octets;
    bool closes; /* instead of answering */
    unsigned connections, commands;
    char last[256]; /* the last command, its words joined by spaces */
} server;

static void say(const void *text, size_t len)
{
    struct slice left = slice_of(text, len);

    while (left.len) {
        ssize_t n = send(server.peer.fd, left.at, left.len, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n > 0)
            left = slice_drop(left, (size_t)n);
        else if (errno == EAGAIN)
            ev_run(server.loop, EVRUN_NOWAIT); /* our peer lives on the same loop */
        else
            return;
    }
}

static void hang_up(void)
{
    if (server.peer.fd < 0)
        return;
    ev_io_stop(server.loop, &server.peer);
    close(server.peer.fd);
    redisReaderFree(server.reader);
    server.peer.fd = -1;
}

static void obey(const redisReply *command)
{
    unsigned n = server.commands++;

    for (size_t i = 0, len = 0; i < command->elements && len < sizeof server.last; i++)
        len += (size_t)snprintf(server.last + len, sizeof server.last - len, i ? " %s" : "%s",
                                command->element[i]->str);
    if (n == 0) {
        const char *text = server.greeting ? server.greeting : "+PONG\r\n";

        say(text, strlen(text));
    } else if (server.closes) {
        hang_up();
    } else if (server.large) {
        ev_io_stop(server.loop, &server.peer); /* say() runs the loop */
        say(server.large, server.large_octets);
        ev_io_start(server.loop, &server.peer);
    } else if (n <= 8 && server.answer[n - 1]) {
        say(server.answer[n - 1], strlen(server.answer[n - 1]));
    }
}

static void on_command(struct ev_loop *l, ev_io *w, int events)
{
    char chunk[65536];
    ssize_t n = recv(w->fd, chunk, sizeof chunk, MSG_DONTWAIT);
    void *command;

    (void)l;
    (void)events;
    if (n <= 0) {
        hang_up();
        return;
    }
    ck_assert_int_eq(redisReaderFeed(server.reader, chunk, (size_t)n), REDIS_OK);
    while (server.peer.fd >= 0 && redisReaderGetReply(server.reader, &command) == REDIS_OK && command) {
        obey(command);
        freeReplyObject(command);
    }
}

static void on_connection(struct ev_loop *l, ev_io *w, int events)
{
    (void)events;
    hang_up();
    int fd = accept4(w->fd, NULL, NULL, SOCK_CLOEXEC);

    ck_assert_int_ge(fd, 0);
    server.connections++;
    server.commands = 0;
    server.reader = redisReaderCreate();
    ev_io_init(&server.peer, on_command, fd, EV_READ);
    ev_io_start(l, &server.peer);
}

static void listen_on(struct ev_loop *loop, const struct sockaddr *at, socklen_t len)
{
    int fd = socket(at->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    server.loop = loop;
    server.peer.fd = -1;
    ck_assert_int_eq(bind(fd, at, len), 0);
    ck_assert_int_eq(listen(fd, 16), 0);
    ev_io_init(&server.listener, on_connection, fd, EV_READ);
    ev_io_start(server.loop, &server.listener);
}

static void server_stop(void)
{
    if (!server.loop)
        return;
    hang_up();
    ev_io_stop(server.loop, &server.listener);
    close(server.listener.fd);
}

/* The real one; it dies with its test. */
static pid_t redis_start(const char *dir, const char *socket_path, const char *password)
{
    pid_t pid = fork();

    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(open("/dev/null", O_WRONLY), STDOUT_FILENO);
        execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", socket_path, "--save", "",
               "--dir", dir, "--requirepass", password, (char *)NULL);
        _exit(127);
    }
    ck_assert_int_gt(pid, 0);
    return pid;
}

static void redis_stop(pid_t pid, const char *socket_path)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    unlink(socket_path);
}

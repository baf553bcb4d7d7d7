#pragma once
#include <arpa/inet.h>
#include <check.h>
#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * realredis - real servers, sentinels and nodes on loopback, each dying with its test.
 */
#define REALREDIS_WORDS 48

/* Execute it; its options are separated by single spaces. */
static inline pid_t real_start(const char *form, ...) __attribute__((format(printf, 1, 2)));
static inline pid_t real_start(const char *form, ...)
{
    char line[1024], *words[REALREDIS_WORDS + 1], *rest = line;
    va_list with;
    size_t n = 0;

    va_start(with, form);
    ck_assert_int_lt(vsnprintf(line, sizeof line, form, with), (int)sizeof line);
    va_end(with);
    while ((words[n] = strsep(&rest, " ")))
        ck_assert_uint_lt(++n, REALREDIS_WORDS);
    pid_t pid = fork();

    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(open("/dev/null", O_WRONLY), STDOUT_FILENO);
        execvp(words[0], words);
        _exit(127);
    }
    ck_assert_int_gt(pid, 0);
    return pid;
}

static inline void real_stop(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

/* A port that nobody has now. */
static inline uint16_t port_free(void)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof in;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    ck_assert_int_eq(bind(fd, (void *)&in, sizeof in), 0);
    ck_assert_int_eq(getsockname(fd, (void *)&in, &len), 0);
    close(fd);
    return ntohs(in.sin_port);
}

/* Until somebody takes connections there. */
static inline void port_await(uint16_t port)
{
    struct sockaddr_in in = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};

    for (unsigned tries = 0; tries < 2000; tries++, usleep(5000)) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        int failed = connect(fd, (void *)&in, sizeof in);

        close(fd);
        if (!failed)
            return;
    }
    ck_abort_msg("nobody came to port %u", (unsigned)port);
}

/* Connected to 127.0.0.1:${port}, which may take a while to come. */
static inline redisContext *real_open(uint16_t port)
{
    port_await(port);
    redisContext *c = redisConnect("127.0.0.1", port);

    ck_assert_ptr_nonnull(c);
    ck_assert_msg(c->err == 0, "%s", c->errstr);
    return c;
}

/* One command, its words separated by single spaces; the beginning of the answer's text, or of its first element's. */
static inline const char *real_do(uint16_t port, const char *form, ...) __attribute__((format(printf, 2, 3)));
static inline const char *real_do(uint16_t port, const char *form, ...)
{
    static char text[512];
    const char *words[REALREDIS_WORDS + 1];
    char *rest = text;
    redisContext *c = real_open(port);
    va_list with;
    int n = 0;

    va_start(with, form);
    vsnprintf(text, sizeof text, form, with);
    va_end(with);
    while ((words[n] = strsep(&rest, " ")))
        ck_assert_int_lt(++n, REALREDIS_WORDS);
    redisReply *reply = redisCommandArgv(c, n, words, NULL);
    const redisReply *first = reply;

    while (first && first->type == REDIS_REPLY_ARRAY && first->elements)
        first = first->element[0];
    snprintf(text, sizeof text, "%s", first && first->str ? first->str : "");
    if (reply)
        freeReplyObject(reply);
    redisFree(c);
    return text;
}

/* ${command} again and again, until the answer begins with ${wanted}. */
static inline void real_await(uint16_t port, const char *command, const char *wanted)
{
    const char *text = "";

    for (unsigned tries = 0; tries < 2000; tries++, usleep(5000))
        if (strncmp(text = real_do(port, "%s", command), wanted, strlen(wanted)) == 0)
            return;
    ck_abort_msg("%s at port %u says %s, never %s", command, (unsigned)port, text, wanted);
}

#define OPENSSL \
    "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -batch 2>/dev/null "

/* A root, and a certificate for ${subject} below it, in ${dir}; the port at which a server shows it. */
static inline uint16_t real_tls(const char *dir, const char *password, const char *subject, pid_t *pid)
{
    uint16_t port = port_free();
    char command[2048];

    snprintf(command, sizeof command,
             "cd %s && " OPENSSL "-subj /CN=root -keyout root.key -out root.pem && " OPENSSL
             "-CA root.pem -CAkey root.key -subj /CN=redis -addext 'subjectAltName=%s'"
             " -addext basicConstraints=critical,CA:FALSE -keyout redis.key -out redis.pem",
             dir, subject);
    ck_assert_int_eq(system(command), 0);
    *pid = real_start(
        "redis-server --port 0 --bind 127.0.0.1 --tls-port %u --save  --dir %s --tls-auth-clients no"
        " --tls-cert-file %s/redis.pem --tls-key-file %s/redis.key --tls-ca-cert-file %s/root.pem"
        " --requirepass %s",
        port, dir, dir, dir, dir, password);
    return port;
}

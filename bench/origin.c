#include "origin.h"
#include "argument.h"
#include "ip.h"
#include "visit.h"
#include <errno.h>
#include <openssl/err.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#define ACCEPT_BATCH   64
#define ANSWER_MIN     sizeof("{\"pad\":\"\"}") - 1
#define ANSWER_MAX     ((uint64_t)64 << 20)
#define ANSWER_DEFAULT 64

struct origin {
    const char *listen, *cert, *key, *expect;
    uint64_t answer_octets;
    bool binary, keepalive, resume;

    struct hall hall;
    int fd;
    ev_io accept;
    ev_signal interrupt, terminate;
};

#define ROW(name, kind, member, most, value, help)                                \
    {                                                                             \
        name, ARGUMENT_##kind, offsetof(struct origin, member), most, value, help \
    }

static const struct argument rows[] = {
    ROW("listen", TEXT, listen, 0, "ADDR:PORT", "port 0: the kernel picks it, and READY says which"),
    ROW("cert", TEXT, cert, 0, "FILE", "certificate and chain, PEM"),
    ROW("key", TEXT, key, 0, "FILE", "its key, PEM"),
    ROW("answer", SIZE, answer_octets, ANSWER_MAX, "OCTETS", "of the JSON that every other path gives (64)"),
    ROW("expect", TEXT, expect, 0, "VALUE", "count how often it arrives in heads and bodies"),
    ROW("keepalive", SWITCH, keepalive, 0, "on|off", "off: one answer for each connection (on)"),
    ROW("resume", SWITCH, resume, 0, "on|off", "off: no tickets, each handshake is a full one (on)"),
    ROW("binary", FLAG, binary, 0, NULL, "/source is application/octet-stream instead of text/plain"),
};

static const struct argument_table table = {
    "usage: osb-bench origin --listen ADDR:PORT --cert FILE --key FILE [OPTION]...\n\n"
    "Prints \"READY ADDR:PORT\", serves until INT or TERM, then prints its counts. HTTP/1.1 over TLS 1.2 or "
    "newer, with\n"
    "tickets.  GET /source/N: N octets.  POST /sink: counts the body.  GET /sse?n=N&ms=M: N events, M ms "
    "apart.\n"
    "GET /stats: the counts.  Everything else: a small JSON answer.\n",
    rows, sizeof rows / sizeof *rows};

static void origin_accept(struct ev_loop *loop, ev_io *io, int events)
{
    struct origin *o = io->data;

    (void)loop;
    (void)events;
    for (int i = 0; i < ACCEPT_BATCH; i++) {
        int fd = accept4(o->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd < 0 || !visit_open(&o->hall, fd))
            return;
    }
}

static void origin_stop(struct ev_loop *loop, ev_signal *w, int events)
{
    (void)w;
    (void)events;
    ev_break(loop, EVBREAK_ALL);
}

static bool origin_tls(struct origin *o)
{
    SSL_CTX *tls = o->hall.tls = SSL_CTX_new(TLS_server_method());

    if (!tls)
        return false;
    SSL_CTX_set_mode(tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                              SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_OFF);
    if (!o->resume)
        SSL_CTX_set_options(tls, SSL_OP_NO_TICKET); /* of TLS 1.2 */
    if (SSL_CTX_set_min_proto_version(tls, TLS1_2_VERSION) == 1 &&
        SSL_CTX_set_num_tickets(tls, o->resume ? 1 : 0) == 1 &&
        SSL_CTX_set_session_id_context(tls, (const uint8_t *)"bench", 5) == 1 &&
        SSL_CTX_use_certificate_chain_file(tls, o->cert) == 1 &&
        SSL_CTX_use_PrivateKey_file(tls, o->key, SSL_FILETYPE_PEM) == 1 &&
        SSL_CTX_check_private_key(tls) == 1)
        return true;
    fprintf(stderr, "osb-bench origin: --cert, --key: %s\n", ERR_reason_error_string(ERR_peek_error()));
    return false;
}

static bool origin_answer(struct origin *o)
{
    char head[128];
    int n = snprintf(head, sizeof head,
                     "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %lu\r\n%s\r\n",
                     o->answer_octets, o->keepalive ? "" : "connection: close\r\n");
    size_t len = (size_t)n + (size_t)o->answer_octets;
    uint8_t *answer = malloc(len);

    if (!answer)
        return false;
    memset(answer, 'a', len);
    memcpy(answer, head, (size_t)n);
    memcpy(answer + n, "{\"pad\":\"", 8);
    memcpy(answer + len - 2, "\"}", 2);
    o->hall.answer = slice_of(answer, len);
    return true;
}

static bool origin_listen(struct origin *o)
{
    struct sockaddr_storage at;
    struct endpoint where;
    socklen_t len;
    char text[ENDPOINT_TEXT];
    bool any_port = slice_ends(slice_text(o->listen), SLICE(":0"));
    char named[ENDPOINT_TEXT];
    int on = 1, n = snprintf(named, sizeof named, "%s", o->listen);

    if (any_port && n < (int)sizeof named) /* an endpoint has no port 0 */
        named[n - 1] = '1';
    if (n >= (int)sizeof named || endpoint_parse(slice_text(named), &where) != FAULT_NONE) {
        fputs("osb-bench origin: --listen: ADDR:PORT, with a literal address\n", stderr);
        return false;
    }
    where.port = any_port ? 0 : where.port;
    len = endpoint_sockaddr(where, &at);
    o->fd = socket(at.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (o->fd < 0 || setsockopt(o->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(o->fd, (struct sockaddr *)&at, len) != 0 || listen(o->fd, 4096) != 0) {
        fprintf(stderr, "osb-bench origin: %s: %s\n", o->listen, strerrorname_np(errno));
        return false;
    }
    len = sizeof at;
    if (getsockname(o->fd, (struct sockaddr *)&at, &len) != 0 ||
        endpoint_of((struct sockaddr *)&at, &where) != FAULT_NONE)
        return false;
    endpoint_text(where, text);
    printf("READY %s\n", text);
    return fflush(stdout) == 0;
}

static bool origin_open(struct origin *o)
{
    struct rlimit files;

    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    for (size_t i = 0; i < sizeof o->hall.block; i++)
        o->hall.block[i] = o->binary ? (uint8_t)(0x80 | (i * 167 >> 3)) : (uint8_t)('a' + i % 23);
    o->hall.binary = o->binary;
    o->hall.keepalive = o->keepalive;
    o->hall.expect = slice_text(o->expect);
    o->hall.loop = ev_default_loop(EVFLAG_NOENV);
    if (!o->hall.loop || !origin_tls(o) || !origin_answer(o) || !origin_listen(o))
        return false;
    ev_io_init(&o->accept, origin_accept, o->fd, EV_READ);
    o->accept.data = o;
    ev_io_start(o->hall.loop, &o->accept);
    ev_signal_init(&o->interrupt, origin_stop, SIGINT);
    ev_signal_init(&o->terminate, origin_stop, SIGTERM);
    ev_signal_start(o->hall.loop, &o->interrupt);
    ev_signal_start(o->hall.loop, &o->terminate);
    return true;
}

int origin_main(int argc, char **argv)
{
    static struct origin o = {.answer_octets = ANSWER_DEFAULT, .keepalive = true, .resume = true, .fd = -1};
    enum argument_end end = argument_read(&table, argc, argv, &o);
    char text[VISIT_TEXT];
    bool good;

    if (end != ARGUMENT_GO)
        return end == ARGUMENT_HELP ? 0 : 2;
    if (!o.listen || !o.cert || !o.key || o.answer_octets < ANSWER_MIN ||
        (o.expect && (!*o.expect || strlen(o.expect) > SPOTTER_MAX))) {
        fputs("osb-bench origin: --listen, --cert and --key are needed; --answer is 10 octets or more; "
              "--expect 1 to "
              "4096\n",
              stderr);
        return 2;
    }
    good = origin_open(&o);
    if (good)
        ev_run(o.hall.loop, 0);
    hall_text(&o.hall, text, sizeof text);
    if (good)
        puts(text);
    if (o.fd >= 0)
        close(o.fd);
    SSL_CTX_free(o.hall.tls);
    return good ? 0 : 1;
}

#include "visit.h"
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum visit_state { VISIT_SHAKING, VISIT_READING, VISIT_WRITING, VISIT_PAUSING };

struct visit {
    struct hall *hall;
    enum visit_state state;
    ev_io io;
    ev_timer pause;
    SSL *ssl;
    struct framing request;
    struct spotter head, body; /* a body's octets are looked at without the framing between them */
    uint64_t body_octets, seen_before;

    struct slice first; /* of the answer: borrowed from the hall or from text */
    uint64_t left;      /* octets of the block behind it */
    uint64_t events, events_all, every_ms;
    char text[VISIT_TEXT];
    uint8_t tails[]; /* of the spotters */
};

static uint8_t visit_octets[64 << 10];

static void visit_close(struct visit *v)
{
    ev_io_stop(v->hall->loop, &v->io);
    ev_timer_stop(v->hall->loop, &v->pause);
    if (v->state != VISIT_SHAKING)
        (void)SSL_shutdown(v->ssl);
    SSL_free(v->ssl);
    ERR_clear_error();
    close(v->io.fd);
    v->hall->active--;
    free(v);
}

static void visit_want(struct visit *v, int events)
{
    if (ev_is_active(&v->io) && (v->io.events & (EV_READ | EV_WRITE)) == events)
        return;
    ev_io_stop(v->hall->loop, &v->io);
    ev_io_set(&v->io, v->io.fd, events);
    ev_io_start(v->hall->loop, &v->io);
}

/* Gives false, and the end of ${v}, when an OpenSSL call failed. */
static bool visit_waits(struct visit *v, int result)
{
    int error = SSL_get_error(v->ssl, result);

    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) {
        visit_want(v, error == SSL_ERROR_WANT_READ ? EV_READ : EV_WRITE);
        return true;
    }
    if (error != SSL_ERROR_ZERO_RETURN)
        SSL_set_shutdown(v->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    visit_close(v);
    return false;
}

size_t hall_text(const struct hall *h, char *out, size_t room)
{
    return (size_t)snprintf(
        out, room,
        "{\"connections\":%lu,\"active\":%lu,\"handshakes\":%lu,\"resumed\":%lu,\"requests\":%lu,"
        "\"dropped\":%lu,\"octets_in\":%lu,\"octets_out\":%lu,\"value_seen\":%lu}",
        h->connections, h->active, h->handshakes, h->resumed, h->requests, h->dropped, h->octets_in,
        h->octets_out, h->value_seen);
}

/* --- answers -------------------------------------------------------------------------------------------- */
static void answer_json(struct visit *v, const char *json, size_t len)
{
    int n = snprintf(v->text, sizeof v->text,
                     "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %zu\r\n\r\n%.*s",
                     len, (int)len, json);

    v->first = slice_of(v->text, (size_t)n);
}

static void answer_stats(struct visit *v, struct slice argument)
{
    char json[VISIT_TEXT - 128];

    (void)argument;
    answer_json(v, json, hall_text(v->hall, json, sizeof json));
}

static void answer_sink(struct visit *v, struct slice argument)
{
    char json[128];
    uint64_t seen = v->head.seen + v->body.seen - v->seen_before;

    (void)argument;
    answer_json(
        v, json,
        (size_t)snprintf(json, sizeof json, "{\"octets\":%lu,\"value_seen\":%lu}", v->body_octets, seen));
}

static void answer_source(struct visit *v, struct slice argument)
{
    uint64_t octets;
    int n;

    if (!slice_number(argument, (uint64_t)1 << 50, &octets)) {
        v->first = SLICE("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n");
        return;
    }
    n = snprintf(v->text, sizeof v->text,
                 "HTTP/1.1 200 OK\r\ncontent-type: %s\r\ncontent-length: %lu\r\n\r\n",
                 v->hall->binary ? "application/octet-stream" : "text/plain", octets);
    v->first = slice_of(v->text, (size_t)n);
    v->left = octets;
}

static void answer_event(struct visit *v)
{
    char event[64];
    int len, n;

    len = snprintf(event, sizeof event, "data: {\"n\":%lu}\n\n", v->events_all - v->events);
    n = snprintf(v->text, sizeof v->text, "%x\r\n%s\r\n%s", (unsigned)len, event,
                 v->events == 1 ? "0\r\n\r\n" : "");
    v->events--;
    v->first = slice_of(v->text, (size_t)n);
}

/* n=NUMBER&ms=NUMBER, in any order; what is missing or no number counts as the default. */
static void answer_sse(struct visit *v, struct slice argument)
{
    v->events_all = 10;
    v->every_ms = 0;
    while (argument.len) {
        struct slice word = slice_first(argument, slice_find(argument, '&'));

        if (slice_starts(word, SLICE("n=")))
            (void)slice_number(slice_drop(word, 2), 100000000, &v->events_all);
        if (slice_starts(word, SLICE("ms=")))
            (void)slice_number(slice_drop(word, 3), 3600000, &v->every_ms);
        argument = slice_drop(argument, word.len + 1);
    }
    v->events = v->events_all;
    v->first = v->events ? SLICE("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
                                 "cache-control: no-store\r\ntransfer-encoding: chunked\r\n\r\n")
                         : SLICE("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
}

static const struct path {
    struct slice prefix;
    void (*answer)(struct visit *v, struct slice argument);
} paths[] = {
    {SLICE("/source/"), answer_source},
    {SLICE("/sink"), answer_sink},
    {SLICE("/stats"), answer_stats},
    {SLICE("/sse"), answer_sse},
};

static void visit_answer(struct visit *v)
{
    struct slice line = slice_text(v->request.first), target = slice_drop(line, slice_find(line, ' ') + 1),
                 query;

    target = slice_first(target, slice_find(target, ' '));
    query = slice_drop(target, slice_find(target, '?') + 1);
    v->hall->requests++;
    v->hall->value_seen += v->head.seen + v->body.seen - v->seen_before;
    v->left = v->events = 0;
    v->first = v->hall->answer;
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        if (slice_starts(target, paths[i].prefix)) {
            struct slice rest = slice_drop(target, paths[i].prefix.len);

            rest = slice_first(rest, slice_find(rest, '?'));
            paths[i].answer(v, rest.len ? rest : query);
            break;
        }
    if (slice_starts(line, SLICE("HEAD "))) {
        const uint8_t *end = memmem(v->first.at, v->first.len, "\r\n\r\n", 4);

        v->first.len = (size_t)(end - v->first.at) + 4;
        v->left = v->events = 0;
    }
    v->seen_before = v->head.seen + v->body.seen;
    v->state = VISIT_WRITING;
}

/* --- the connection ------------------------------------------------------------------------------------- */
static void visit_request(struct visit *v)
{
    framing_start(&v->request, true);
    v->body_octets = 0;
    v->head.kept = v->body.kept = 0;
    v->state = VISIT_READING;
}

static void visit_pause(struct visit *v)
{
    v->state = VISIT_PAUSING;
    visit_want(v, EV_READ);
    ev_timer_set(&v->pause, (double)v->every_ms / 1000, 0);
    ev_timer_start(v->hall->loop, &v->pause);
}

/* Gives false when ${v} is over, or has to wait. */
static bool visit_write(struct visit *v)
{
    while (v->first.len || v->left) {
        struct slice block = slice_of(v->hall->block, v->left < VISIT_BLOCK ? (size_t)v->left : VISIT_BLOCK);
        struct slice next = v->first.len ? v->first : block;
        int n = SSL_write(v->ssl, next.at, (int)next.len);

        if (n <= 0) {
            visit_waits(v, n);
            return false;
        }
        v->hall->octets_out += (uint64_t)n;
        if (v->first.len)
            v->first = slice_drop(v->first, (size_t)n);
        else
            v->left -= (uint64_t)n;
        if (v->first.len || !v->events)
            continue;
        if (v->every_ms) {
            visit_pause(v);
            return false;
        }
        answer_event(v);
    }
    visit_want(v, EV_READ);
    if (v->request.close || !v->hall->keepalive) {
        visit_close(v);
        return false;
    }
    visit_request(v);
    return true;
}

static enum framing_end visit_take(struct visit *v, struct slice in)
{
    enum framing_end end = FRAMING_MORE;
    struct slice head = slice_of(in.at, 0); /* what is no body, in runs as long as they come */

    v->hall->octets_in += in.len;
    while (in.len && end == FRAMING_MORE) {
        struct slice body;
        size_t used;

        end = framing_feed(&v->request, in, &used, &body);
        if (body.len) {
            spotter_feed(&v->head, v->hall->expect, head);
            spotter_feed(&v->body, v->hall->expect, body);
            head = slice_of(in.at + used, 0);
        } else {
            head.len += used;
        }
        v->body_octets += body.len;
        in = slice_drop(in, used);
    }
    spotter_feed(&v->head, v->hall->expect, head);
    return in.len ? FRAMING_BROKEN : end;
}

static void visit_read(struct visit *v)
{
    for (;;) {
        int n = SSL_read(v->ssl, visit_octets, sizeof visit_octets);
        enum framing_end end;

        if (n <= 0) {
            visit_waits(v, n);
            return;
        }
        end = v->state == VISIT_READING ? visit_take(v, slice_of(visit_octets, (size_t)n)) : FRAMING_BROKEN;
        if (end == FRAMING_BROKEN) {
            v->hall->dropped++;
            visit_close(v);
            return;
        }
        if (end == FRAMING_MORE)
            continue;
        visit_answer(v);
        if (!visit_write(v))
            return;
    }
}

static void visit_shake(struct visit *v)
{
    int done = SSL_accept(v->ssl);

    if (done != 1) {
        visit_waits(v, done);
        return;
    }
    v->hall->handshakes++;
    v->hall->resumed += SSL_session_reused(v->ssl) ? 1 : 0;
    visit_want(v, EV_READ);
    visit_request(v);
    visit_read(v);
}

static void visit_resume(struct visit *v)
{
    if (visit_write(v))
        visit_read(v);
}

static void (*const visit_step[])(struct visit *) = {
    [VISIT_SHAKING] = visit_shake,
    [VISIT_READING] = visit_read,
    [VISIT_WRITING] = visit_resume,
    [VISIT_PAUSING] = visit_read,
};

static void visit_event(struct ev_loop *loop, ev_io *io, int events)
{
    struct visit *v = io->data;

    (void)loop;
    (void)events;
    ERR_clear_error();
    visit_step[v->state](v);
}

static void visit_paused(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct visit *v = timer->data;

    (void)loop;
    (void)events;
    ERR_clear_error();
    answer_event(v);
    v->state = VISIT_WRITING;
    visit_resume(v);
}

bool visit_open(struct hall *hall, int fd)
{
    size_t tail = hall->expect.len ? 2 * (hall->expect.len - 1) : 0;
    int on = 1;
    struct visit *v = calloc(1, sizeof *v + 2 * tail);

    if (v)
        v->ssl = SSL_new(hall->tls);
    if (!v || !v->ssl || SSL_set_fd(v->ssl, fd) != 1) {
        if (v)
            SSL_free(v->ssl);
        free(v);
        close(fd);
        return false;
    }
    v->hall = hall;
    v->head.tail = v->tails;
    v->body.tail = v->tails + tail;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    ev_io_init(&v->io, visit_event, fd, EV_READ);
    ev_timer_init(&v->pause, visit_paused, 0, 0);
    v->io.data = v->pause.data = v;
    hall->connections++;
    hall->active++;
    ev_io_start(hall->loop, &v->io);
    return true;
}

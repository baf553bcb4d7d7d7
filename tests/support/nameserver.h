#pragma once
#include "ip.h"
#include <arpa/inet.h>
#include <check.h>
#include <ev.h>
#include <stdio.h>
#include <unistd.h>

/*
 * nameserver - DNS over UDP and TCP on one loopback port and the test's own loop.
 *
 *   Why     it plays the part that a name's first label begins with, so a test reads as what it asks for.
 */
#define MESSAGE_OCTETS 65535

enum play { ANSWER, CODE, SILENT, WRONG_QUESTION, WRONG_ID, GARBAGE, CUT };

static const struct part {
    const char *label;
    enum play play;
    unsigned code;    /* of the header */
    unsigned a, aaaa; /* how many records of either kind */
    unsigned aliases; /* before them, in a chain */
    unsigned ttl, alias_ttl;
    bool loops; /* the last alias points at the first name */
} parts[] = {
    {.label = "ok", .a = 1, .aaaa = 1, .ttl = 300, .alias_ttl = 300},
    {.label = "v4", .a = 3, .ttl = 300},
    {.label = "v6", .aaaa = 2, .ttl = 300},
    {.label = "brief", .a = 1, .ttl = 1},
    {.label = "zero", .a = 1},
    {.label = "alias", .a = 1, .ttl = 300, .aliases = 1, .alias_ttl = 1},
    {.label = "chain", .a = 1, .ttl = 300, .aliases = 50, .alias_ttl = 300},
    {.label = "thousand", .a = 1000, .ttl = 300},
    {.label = "loop", .aliases = 2, .alias_ttl = 300, .loops = true},
    {.label = "empty"},
    {.label = "nx", .play = CODE, .code = 3},
    {.label = "servfail", .play = CODE, .code = 2},
    {.label = "refused", .play = CODE, .code = 5},
    {.label = "formerr", .play = CODE, .code = 1},
    {.label = "silent", .play = SILENT},
    {.label = "question", .play = WRONG_QUESTION, .a = 1, .ttl = 300},
    {.label = "id", .play = WRONG_ID, .a = 1, .ttl = 300},
    {.label = "garbage", .play = GARBAGE},
    {.label = "cut", .play = CUT, .a = 1, .ttl = 300},
};

static struct {
    ev_io udp, tcp, stream[16];
    unsigned streams;
    unsigned questions, over_tcp;
    char asked[256];
} dns;

struct message {
    uint8_t at[MESSAGE_OCTETS];
    size_t len;
};

static void put(struct message *m, const void *octets, size_t len)
{
    ck_assert_uint_le(m->len + len, sizeof m->at);
    memcpy(m->at + m->len, octets, len);
    m->len += len;
}

static void put_number(struct message *m, unsigned number, unsigned octets)
{
    while (octets--)
        put(m, &(uint8_t){(uint8_t)(number >> 8 * octets)}, 1);
}

static void put_record(struct message *m, const void *name, size_t name_len, unsigned type, unsigned ttl,
                       const void *value, size_t len)
{
    put(m, name, name_len);
    put_number(m, type, 2);
    put_number(m, 1, 2);
    put_number(m, ttl, 4);
    put_number(m, (unsigned)len, 2);
    put(m, value, len);
}

/* Aliases are called "\1c\4NNNN"; the first record's owner is a pointer to the question. */
static void put_records(struct message *m, const struct part *p, unsigned type)
{
    uint8_t owner[16] = {0xc0, 12}, alias[16], address[16] = {0x20, 1, 0xd, 0xb8};
    size_t owner_len = 2;

    for (unsigned i = 0; i < p->aliases; i++) {
        size_t len = (size_t)snprintf((char *)alias, sizeof alias, "\1c\4%04u", i) + 1;

        if (p->loops && i == p->aliases - 1) {
            put_record(m, owner, owner_len, 5, p->alias_ttl, "\xc0\x0c", 2);
            continue;
        }
        put_record(m, owner, owner_len, 5, p->alias_ttl, alias, len);
        memcpy(owner, alias, owner_len = len);
    }
    for (unsigned i = 0; i < (type == 1 ? p->a : p->aaaa); i++) {
        size_t len = type == 1 ? 4 : 16;

        if (type == 1)
            memcpy(address, (uint8_t[]){192, 0, (uint8_t)(i >> 8), (uint8_t)i}, 4);
        address[len - 1] = (uint8_t)(i + 1);
        put_record(m, owner, owner_len, type, p->ttl, address, len);
    }
}

/* The answer to ${query}, in ${m}; empty for none. */
static void play(struct slice query, bool tcp, struct message *m)
{
    const struct part *p = &parts[0];
    size_t at = 12, n = 0;

    m->len = 0;
    ck_assert_uint_ge(query.len, 17);
    for (; query.at[at]; at += query.at[at] + 1u)
        n += (size_t)snprintf(dns.asked + n, sizeof dns.asked - n, "%s%.*s", n ? "." : "", query.at[at],
                              (const char *)query.at + at + 1);
    size_t end = at + 5;
    unsigned type = query.at[at + 2];

    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (query.at[12] >= strlen(parts[i].label) &&
            memcmp(query.at + 13, parts[i].label, strlen(parts[i].label)) == 0)
            p = &parts[i];
    dns.questions++;
    dns.over_tcp += tcp;
    if (p->play == SILENT)
        return;
    if (p->play == GARBAGE) {
        put(m, query.at, 7);
        return;
    }
    bool truncated = !tcp && p->a > 20;
    unsigned records = truncated ? 0 : p->aliases + (type == 1 ? p->a : p->aaaa);

    put(m, query.at, 2);
    put_number(m, 0x8180 | p->code | (truncated ? 0x200 : 0), 2);
    put_number(m, 1, 2);
    put_number(m, records, 2);
    put_number(m, 0, 4);
    put(m, query.at + 12, end - 12);
    if (records)
        put_records(m, p, type);
    if (p->play == WRONG_ID)
        m->at[0] ^= 0xff;
    if (p->play == WRONG_QUESTION)
        m->at[14] ^= 1;
    if (p->play == CUT)
        m->len -= type == 1 ? 6 : 0;
}

static void on_datagram(struct ev_loop *l, ev_io *w, int events)
{
    static struct message reply;
    struct sockaddr_storage from;
    socklen_t len = sizeof from;
    uint8_t query[512];
    ssize_t n = recvfrom(w->fd, query, sizeof query, 0, (void *)&from, &len);

    (void)l;
    (void)events;
    play(slice_of(query, (size_t)n), false, &reply);
    if (reply.len)
        ck_assert_int_eq(sendto(w->fd, reply.at, reply.len, 0, (void *)&from, len), (ssize_t)reply.len);
}

/* A question over TCP is small and comes whole; its answer fits into the socket's buffer. */
static void on_stream(struct ev_loop *l, ev_io *w, int events)
{
    static struct message reply;
    uint8_t query[512], length[2];
    ssize_t n = recv(w->fd, query, sizeof query, 0);

    (void)events;
    if (n <= 0) {
        ev_io_stop(l, w);
        close(w->fd);
        return;
    }
    for (size_t at = 0, len; at + 2 < (size_t)n; at += 2 + len) {
        len = (size_t)query[at] << 8 | query[at + 1];
        play(slice_of(query + at + 2, len), true, &reply);
        length[0] = (uint8_t)(reply.len >> 8);
        length[1] = (uint8_t)reply.len;
        ck_assert_int_eq(send(w->fd, length, 2, MSG_NOSIGNAL), 2);
        ck_assert_int_eq(send(w->fd, reply.at, reply.len, MSG_NOSIGNAL), (ssize_t)reply.len);
    }
}

static void on_connection(struct ev_loop *l, ev_io *w, int events)
{
    ev_io *stream = &dns.stream[dns.streams++];

    (void)events;
    ck_assert_uint_le(dns.streams, sizeof dns.stream / sizeof *dns.stream);
    ev_io_init(stream, on_stream, accept(w->fd, NULL, NULL), EV_READ);
    ev_io_start(l, stream);
}

/* The kernel draws a port for UDP; for TCP it may be in use, by whoever runs beside us: then another is drawn. */
static void dns_bind(int *udp, int *tcp, struct sockaddr_in *in)
{
    bool bound = false;

    for (int tries = 0; !bound && tries < 100; tries++) {
        socklen_t len = sizeof *in;

        *in = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        *udp = socket(AF_INET, SOCK_DGRAM, 0);
        *tcp = socket(AF_INET, SOCK_STREAM, 0);
        ck_assert_int_eq(bind(*udp, (void *)in, len), 0);
        getsockname(*udp, (void *)in, &len);
        bound = bind(*tcp, (void *)in, len) == 0;
        if (!bound) {
            close(*udp);
            close(*tcp);
        }
    }
    ck_assert_msg(bound, "no port is free for both UDP and TCP");
}

static struct endpoint dns_open(struct ev_loop *loop)
{
    struct sockaddr_in in;
    int udp, tcp, room = 4 << 20;
    struct endpoint e;

    dns_bind(&udp, &tcp, &in);
    setsockopt(udp, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    ck_assert_int_eq(listen(tcp, 64), 0);
    ev_io_init(&dns.udp, on_datagram, udp, EV_READ);
    ev_io_init(&dns.tcp, on_connection, tcp, EV_READ);
    ev_io_start(loop, &dns.udp);
    ev_io_start(loop, &dns.tcp);
    ck_assert_int_eq(endpoint_of((void *)&in, &e), FAULT_NONE);
    return e;
}

static void dns_close(struct ev_loop *loop)
{
    ev_io_stop(loop, &dns.udp);
    ev_io_stop(loop, &dns.tcp);
    close(dns.udp.fd);
    close(dns.tcp.fd);
}

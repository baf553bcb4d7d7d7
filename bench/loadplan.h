#pragma once
#include "argument.h"
#include "ip.h"

/*
 * loadplan - what "osb-bench load" was asked to do, checked.
 *
 *   Layer   program (osb-bench).
 */
#define LOADPLAN_HOST_MAX 253

struct loadplan {
    /* as given */
    const char *url, *connect, *method, *body_type, *label, *json;
    struct argument_list ca, from, env, token, token_in, pid;
    uint64_t connections, requests, fields, rate, in_flight, opening;
    uint64_t duration_ms, warmup_ms, timeout_ms, body_octets, token_every;
    bool keepalive, resume, chunked, body_given, idle, once, sequential, tunnel, download, progress,
        allow_errors;

    /* out of the URL */
    char host[LOADPLAN_HOST_MAX + 1];
    const char *target; /* path and query, with its slash */
    uint16_t port;
    struct endpoint peer; /* what is dialled */
};

/* loadplan_read(argc, argv, out): ARGUMENT_WRONG is said on stderr. */
enum argument_end loadplan_read(int argc, char **argv, struct loadplan *out);

#include "loadplan.h"
#include "request.h"
#include <netdb.h>
#include <stdio.h>
#include <unistd.h>

#define ROW(name, kind, member, most, value, help)                                  \
    {                                                                               \
        name, ARGUMENT_##kind, offsetof(struct loadplan, member), most, value, help \
    }

#define DAY_MS     ((uint64_t)86400 * 1000)
#define OCTETS_MAX ((uint64_t)1 << 40)

#define TOKEN_EVERY_MIN 128 /* a token, blanks around it, and something between */

static const struct argument rows[] = {
    ROW("url", TEXT, url, 0, "URL", "https://HOST[:PORT]/path; HOST is the name sent and verified"),
    ROW("connect", TEXT, connect, 0, "ADDR:PORT", "dial this instead of the URL's host"),
    ROW("tunnel", FLAG, tunnel, 0, NULL, "ask --connect for a tunnel to the URL's host first (CONNECT)"),
    ROW("ca", LIST, ca, 0, "FILE", "roots to trust: one for all, or one for each --from, in order"),
    ROW("from", LIST, from, 0, "ADDR", "source address, i.e. a sandbox; connections are spread over them"),
    ROW("env", LIST, env, 0, "FILE",
        "NAME=value lines for @NAME tokens: one for all, or one for each --from"),
    ROW("connections", NUMBER, connections, 1000000, "N", "open at the same time (1)"),
    ROW("opening", NUMBER, opening, 1000000, "N", "handshakes at the same time, at most (64)"),
    ROW("in-flight", NUMBER, in_flight, 1000000, "N",
        "requests under way, at most; the connections take turns, so that all are used (one each)"),
    ROW("duration", TIME, duration_ms, DAY_MS, "TIME", "how long to send (10 s, unless --requests is given)"),
    ROW("requests", NUMBER, requests, UINT32_MAX, "N", "how many to send"),
    ROW("warmup", TIME, warmup_ms, DAY_MS, "TIME", "runs before the duration and is not counted (0)"),
    ROW("timeout", TIME, timeout_ms, DAY_MS, "TIME", "for one connection and for one answer (30 s)"),
    ROW("keepalive", SWITCH, keepalive, 0, "on|off", "off: a new connection for each request (on)"),
    ROW("resume", SWITCH, resume, 0, "on|off", "resume TLS sessions, per source address (off)"),
    ROW("method", TEXT, method, 0, "M", "(GET, or POST with a body)"),
    ROW("fields", NUMBER, fields, 500, "N", "more header fields, 32 octets each (0)"),
    ROW("body", SIZE, body_octets, OCTETS_MAX, "OCTETS", "request body"),
    ROW("body-type", TEXT, body_type, 0, "TYPE", "json, text or binary (json)"),
    ROW("chunked", FLAG, chunked, 0, NULL, "send the body in chunks instead of with a length"),
    ROW("token", LIST, token, 0, "TOKEN", "goes into each request; @NAME: that variable of --env"),
    ROW("token-in", LIST, token_in, 0, "PLACE",
        "header, body, url or none, for each --token in order (header)"),
    ROW("token-every", SIZE, token_every, REQUEST_BLOCK, "OCTETS",
        "the first --token stands once in so many octets of the body's filling as well"),
    ROW("download", FLAG, download, 0, NULL,
        "large answers: say octets per second, and do not wait for the last one"),
    ROW("rate", NUMBER, rate, 1000000, "R",
        "open loop: R requests a second are due at fixed times, and latency counts from then"),
    ROW("idle", FLAG, idle, 0, NULL,
        "open all, one request each, print READY, hold until INT, TERM or --duration"),
    ROW("once", FLAG, once, 0, NULL, "each connection is opened, sends one request and is closed for good"),
    ROW("sequential", FLAG, sequential, 0, NULL, "one connection, one request after another"),
    ROW("pid", LIST, pid, 0, "PID", "account for this process, its threads and what descends from it"),
    ROW("json", TEXT, json, 0, "FILE", "write the result; - is stdout"),
    ROW("label", TEXT, label, 0, "TEXT", "name of this run: WORKLOAD:PEER for \"osb-bench report\""),
    ROW("progress", FLAG, progress, 0, NULL, "show it even where stderr is no terminal"),
    ROW("allow-errors", FLAG, allow_errors, 0, NULL, "exit 0 whatever was counted"),
};

static const struct argument_table table = {
    "usage: osb-bench load --url URL [OPTION]...\n\n"
    "Sends requests over TLS 1.2 or newer, verifies certificates, and counts. Exits 1 on any error: one that "
    "is not\n"
    "2xx, a broken connection, a late answer, a request that was due and not sent.\n",
    rows, sizeof rows / sizeof *rows};

static enum argument_end wrong(const char *what)
{
    fprintf(stderr, "osb-bench load: %s\n", what);
    return ARGUMENT_WRONG;
}

static enum argument_end url_read(struct loadplan *plan)
{
    struct slice rest = slice_text(plan->url), authority;
    uint64_t port = 443;
    size_t colon;

    if (!slice_starts(rest, SLICE("https://")))
        return wrong("--url must be given, and begin with https://");
    rest = slice_drop(rest, 8);
    authority = slice_first(rest, slice_find(rest, '/'));
    plan->target = authority.len < rest.len ? (const char *)rest.at + authority.len : "/";
    colon = slice_find(authority, ':');
    if (colon < authority.len && (!slice_number(slice_drop(authority, colon + 1), 65535, &port) || port == 0))
        return wrong("--url: the port is no port");
    authority = slice_first(authority, colon);
    if (authority.len == 0 || authority.len > LOADPLAN_HOST_MAX)
        return wrong("--url: there is no host in it");
    memcpy(plan->host, authority.at, authority.len);
    plan->port = (uint16_t)port;
    for (const char *c = plan->url; *c; c++)
        if ((unsigned char)*c <= ' ' || (unsigned char)*c > '~')
            return wrong("--url: octets that no URL has");
    return ARGUMENT_GO;
}

static enum argument_end peer_read(struct loadplan *plan)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *found;

    if (plan->connect)
        return endpoint_parse(slice_text(plan->connect), &plan->peer) == FAULT_NONE
                   ? ARGUMENT_GO
                   : wrong("--connect: ADDR:PORT, with a literal address");
    if (getaddrinfo(plan->host, NULL, &hints, &found) != 0)
        return wrong("the host of --url has no address; --connect gives one");
    if (endpoint_of(found->ai_addr, &plan->peer) != FAULT_NONE)
        plan->peer = (struct endpoint){.port = 0};
    freeaddrinfo(found);
    plan->peer.port = plan->port;
    return ARGUMENT_GO;
}

static bool word_is(const char *word, const char *const *words)
{
    for (; *words; words++)
        if (strcmp(word, *words) == 0)
            return true;
    return false;
}

static enum argument_end words_check(const struct loadplan *plan)
{
    static const char *const types[] = {"json", "text", "binary", NULL};
    static const char *const places[] = {"header", "body", "url", "none", NULL};

    if (!word_is(plan->body_type, types))
        return wrong("--body-type: json, text or binary");
    for (size_t i = 0; i < plan->token_in.count; i++)
        if (!word_is(plan->token_in.at[i], places))
            return wrong("--token-in: header, body, url or none");
    if (plan->token_in.count > plan->token.count)
        return wrong("--token-in without its --token");
    if (plan->token_every &&
        (plan->token.count == 0 || !plan->body_given || plan->token_every < TOKEN_EVERY_MIN))
        return wrong("--token-every: 128 octets at least, a --token and a --body");
    for (const char *c = plan->method; *c; c++)
        if (*c < 'A' || *c > 'Z')
            return wrong("--method: capital letters");
    for (size_t i = 0; i < plan->token.count; i++)
        for (const char *c = plan->token.at[i]; *c; c++)
            if (*c <= ' ' || *c > '~' || *c == '"' || *c == '\\')
                return wrong("--token: a word of ASCII, without quotes");
    return ARGUMENT_GO;
}

/* --once is a connection for each request, and as many of both. */
static enum argument_end once_check(struct loadplan *plan)
{
    if (!plan->once)
        return ARGUMENT_GO;
    if (plan->idle || plan->sequential || plan->rate || plan->requests || plan->duration_ms ||
        plan->warmup_ms)
        return wrong("--once takes no --idle, --sequential, --rate, --requests, --duration or --warmup");
    plan->keepalive = false;
    plan->requests = plan->connections;
    return ARGUMENT_GO;
}

static enum argument_end modes_check(struct loadplan *plan)
{
    size_t sources = plan->from.count ? plan->from.count : 1;

    if (plan->connections == 0)
        return wrong("--connections: at least one");
    if (plan->opening == 0)
        return wrong("--opening: at least one");
    if (plan->in_flight && (!plan->keepalive || plan->idle))
        return wrong("--in-flight takes no --keepalive off, --once or --idle");
    if (plan->tunnel && !plan->connect)
        return wrong("--tunnel needs --connect, whom to ask");
    if (plan->timeout_ms == 0)
        return wrong("--timeout: it can't be 0");
    if (plan->ca.count > 1 && plan->ca.count != sources)
        return wrong("--ca: one for all, or one for each --from");
    if (plan->env.count > 1 && plan->env.count != sources)
        return wrong("--env: one for all, or one for each --from");
    if (plan->sequential && (plan->connections > 1 || plan->rate))
        return wrong("--sequential is one connection, without a rate");
    if (plan->idle && (plan->rate || plan->requests || plan->warmup_ms || !plan->keepalive))
        return wrong("--idle takes no --rate, --requests, --warmup or --keepalive off");
    if (plan->requests && (plan->duration_ms || plan->warmup_ms))
        return wrong("--requests takes no --duration and no --warmup");
    if (!plan->requests && !plan->duration_ms && !plan->idle)
        plan->duration_ms = 10000;
    return ARGUMENT_GO;
}

enum argument_end loadplan_read(int argc, char **argv, struct loadplan *out)
{
    enum argument_end end;

    *out = (struct loadplan){.connections = 1,
                             .opening = 64, /* more only wait in the listener's queue */
                             .timeout_ms = 30000,
                             .keepalive = true,
                             .body_octets = UINT64_MAX,
                             .body_type = "json",
                             .label = "",
                             .method = ""};
    end = argument_read(&table, argc, argv, out);
    if (end != ARGUMENT_GO)
        return end;
    out->body_given = out->body_octets != UINT64_MAX;
    out->body_octets = out->body_given ? out->body_octets : 0;
    if (!*out->method)
        out->method = out->body_given ? "POST" : "GET";
    if (!out->url)
        out->url = "";
    if (url_read(out) != ARGUMENT_GO || words_check(out) != ARGUMENT_GO || once_check(out) != ARGUMENT_GO ||
        modes_check(out) != ARGUMENT_GO)
        return ARGUMENT_WRONG;
    out->progress = out->progress || isatty(STDERR_FILENO);
    return peer_read(out);
}

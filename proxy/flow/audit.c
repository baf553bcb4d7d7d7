#include "audit.h"
#include "clock.h"
#include "diag.h"
#include "json.h"
#include "metric.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#define HELD_OCTETS (256 * 1024)
#define RETRY_S     0.1

/* Escaped octets that each text may fill; with sixteen names of either kind, still less than AUDIT_LINE. */
#define ID_ROOM     64
#define METHOD_ROOM 64
#define HOST_ROOM   256
#define PATH_ROOM   3072
#define NAME_ROOM   96

#define MARK_DIGITS 4 /* what is shown of a token behind its mark */

enum target { TARGET_OFF, TARGET_FILE, TARGET_STDOUT, TARGET_SYSLOG };

struct audit {
    struct ev_loop *loop;
    ev_prepare turn;
    ev_timer retry; /* active while the last write failed */
    enum target target;
    char *path;
    int fd;
    bool socket;         /* of the descriptor: send(2) can be told not to block, whoever shares it */
    bool torn;           /* the last octet written was not a line's last */
    size_t piece_octets; /* the most that goes out in one write */
    struct buf held;
    int64_t second; /* that ts holds; its milliseconds are set per line */
    char ts[CLOCK_RFC3339];
    uint8_t cut[PATH_ROOM]; /* here, not on the stack, which is zeroed at each call */
};

/* --- composing a line ----------------------------------------------------------------------------------- */

static size_t hex_run(struct slice s)
{
    size_t n = 0;

    while (n < s.len && ((s.at[n] >= '0' && s.at[n] <= '9') || (s.at[n] >= 'a' && s.at[n] <= 'f')))
        n++;
    return n;
}

/* Tokens are cut before the text is: a text that ends inside a token would show more of its digits. */
static struct slice text_cut(struct audit *a, struct slice text, size_t room)
{
    const struct slice mark = SLICE("osb_sealed_");
    size_t n = 0;

    /* Nearly always; '_' is rarer than anything else of the mark. */
    if (text.len <= room / JSON_ESCAPED && (text.len < mark.len || slice_find(text, '_') == text.len ||
                                            !memmem(text.at, text.len, mark.at, mark.len)))
        return text;
    while (text.len) {
        const uint8_t *hit = memmem(text.at, text.len, mark.at, mark.len);
        size_t plain = hit ? (size_t)(hit - text.at) + mark.len : text.len;
        size_t digits = hit ? hex_run(slice_drop(text, plain)) : 0;
        size_t shown = plain + (digits < MARK_DIGITS ? digits : MARK_DIGITS);

        for (size_t i = 0; i < shown; i++) {
            size_t cost = json_octets(slice_of(text.at + i, 1)) - 2;

            if (cost > room)
                return slice_of(a->cut, n);
            room -= cost;
            a->cut[n++] = text.at[i];
        }
        text = slice_drop(text, plain + digits);
    }
    return slice_of(a->cut, n);
}

static enum fault member_text(struct audit *a, const char *name, struct slice text, size_t room)
{
    if (text.len == 0)
        return json_member_null(&a->held, name);
    return json_member_text(&a->held, name, text_cut(a, text, room));
}

static enum fault member_endpoint(struct buf *out, const char *name, struct endpoint e)
{
    char text[ENDPOINT_TEXT];

    if (e.port == 0)
        return json_member_null(out, name);
    return json_member_text(out, name, slice_of(text, endpoint_text(e, text)));
}

static enum fault member_names(struct audit *a, const char *name, const struct slice *names, size_t n)
{
    struct buf *out = &a->held;

    TRY(buf_append(out, SLICE(",\"")));
    TRY(buf_append(out, slice_text(name)));
    TRY(buf_append(out, SLICE("\":[")));
    for (size_t i = 0; i < n && i < AUDIT_NAMES; i++) {
        if (i)
            TRY(buf_append(out, SLICE(",")));
        TRY(json_text(out, text_cut(a, names[i], NAME_ROOM)));
    }
    return buf_append(out, SLICE("]"));
}

static struct slice action_of(enum fault reason)
{
    if (reason == FAULT_NONE)
        return SLICE("forward");
    return fault_blocks(reason) ? SLICE("block") : SLICE("error");
}

/* Splitting a date costs more than the rest of the line: once a second is enough. */
static struct slice ts_now(struct audit *a)
{
    int64_t now_ms = clock_wall_ms();
    unsigned ms = (unsigned)(now_ms % 1000);

    if (now_ms / 1000 != a->second)
        clock_rfc3339(now_ms, a->ts);
    a->second = now_ms / 1000;
    a->ts[20] = (char)('0' + ms / 100);
    a->ts[21] = (char)('0' + ms / 10 % 10);
    a->ts[22] = (char)('0' + ms % 10);
    return slice_of(a->ts, sizeof a->ts - 1);
}

static enum fault member_count(struct buf *out, const char *name, uint64_t count)
{
    return json_member_number(out, name, count > INT64_MAX ? INT64_MAX : (int64_t)count);
}

static enum fault line_who(struct audit *a, const struct audit_entry *e)
{
    struct buf *out = &a->held;

    TRY(buf_append(out, SLICE("{")));
    TRY(json_member_text(out, "ts", ts_now(a)));
    TRY(member_text(a, "request_id", e->request_id, ID_ROOM));
    TRY(member_text(a, "sandbox", e->sandbox, HOST_ROOM));
    TRY(member_endpoint(out, "src", e->client));
    TRY(member_endpoint(out, "dst", e->original));
    TRY(member_text(a, "host", e->host, HOST_ROOM));
    TRY(member_text(a, "method", e->method, METHOD_ROOM));
    return member_text(a, "path", slice_first(e->path, slice_find(e->path, '?')), PATH_ROOM);
}

static enum fault line_what(struct audit *a, const struct audit_entry *e)
{
    struct buf *out = &a->held;

    TRY(member_text(a, "proto", slice_text(e->proto), METHOD_ROOM));
    TRY(member_text(a, "upstream_proto", slice_text(e->upstream_proto), METHOD_ROOM));
    TRY(e->status ? json_member_number(out, "status", e->status) : json_member_null(out, "status"));
    TRY(json_member_text(out, "action", action_of(e->reason)));
    TRY(e->reason == FAULT_NONE ? json_member_null(out, "reason")
                                : json_member_text(out, "reason", slice_text(fault_table[e->reason].code)));
    TRY(member_names(a, "secrets", e->secrets, e->secret_count));
    TRY(member_names(a, "tokens_denied", e->denied, e->denied_count));
    TRY(member_count(out, "scrubbed", e->scrubbed));
    TRY(member_count(out, "bytes_in", e->bytes_in));
    TRY(member_count(out, "bytes_out", e->bytes_out));
    TRY(json_member_number(out, "ms", e->ms));
    TRY(e->upstream_ms < 0 ? json_member_null(out, "upstream_ms")
                           : json_member_number(out, "upstream_ms", e->upstream_ms));
    return buf_append(out, SLICE("}\n"));
}

/* --- writing -------------------------------------------------------------------------------------------- */

/* A pipe takes up to PIPE_BUF octets whole or not at all: so lines of several processes don't mix. */
static struct slice next_piece(const struct audit *a)
{
    struct slice held = buf_held(&a->held), piece = slice_first(held, a->piece_octets);

    if (piece.len == held.len)
        return piece;
    const uint8_t *end = memrchr(piece.at, '\n', piece.len);

    return end ? slice_first(piece, (size_t)(end - piece.at) + 1) : piece;
}

/* O_NONBLOCK on a shared stdout would change it for whoever else holds it: it is asked, or told per call. */
static ssize_t piece_write(const struct audit *a, struct slice piece)
{
    struct pollfd room = {.fd = a->fd, .events = POLLOUT};

    if (a->socket)
        return send(a->fd, piece.at, piece.len, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (a->target == TARGET_STDOUT && (poll(&room, 1, 0) != 1 || !(room.revents & POLLOUT)))
        return -1;
    return write(a->fd, piece.at, piece.len);
}

static void syslog_lines(struct audit *a)
{
    while (buf_held(&a->held).len) {
        struct slice line = slice_first(buf_held(&a->held), slice_find(buf_held(&a->held), '\n'));

        syslog(LOG_INFO, "%.*s", SLICE_PRINTF(line));
        buf_take(&a->held, line.len + 1);
    }
}

/* The timer does not keep the loop alive: a drained worker must not wait for a full disk. */
static void retry_want(struct audit *a, bool want)
{
    if (want == (bool)ev_is_active(&a->retry))
        return;
    if (want) {
        ev_timer_again(a->loop, &a->retry);
        ev_unref(a->loop);
    } else {
        ev_ref(a->loop);
        ev_timer_stop(a->loop, &a->retry);
    }
}

static void held_flush(struct audit *a)
{
    struct slice piece;

    if (a->target == TARGET_SYSLOG)
        syslog_lines(a);
    while ((piece = next_piece(a)).len) {
        ssize_t n = piece_write(a, piece);

        if (n <= 0)
            break;
        a->torn = piece.at[n - 1] != '\n';
        buf_take(&a->held, (size_t)n);
    }
    retry_want(a, buf_held(&a->held).len > 0);
}

static void on_turn(struct ev_loop *loop, ev_prepare *w, int events)
{
    struct audit *a = w->data;

    (void)loop;
    (void)events;
    if (!ev_is_active(&a->retry))
        held_flush(a);
}

static void on_retry(struct ev_loop *loop, ev_timer *w, int events)
{
    (void)loop;
    (void)events;
    held_flush(w->data);
}

void audit_write(struct audit *a, const struct audit_entry *e)
{
    if (a->target == TARGET_OFF)
        return;
    if (buf_held(&a->held).len > HELD_OCTETS / 2 && !ev_is_active(&a->retry))
        held_flush(a);
    size_t held = buf_held(&a->held).len;

    if (buf_free(&a->held) >= AUDIT_LINE && line_who(a, e) == FAULT_NONE && line_what(a, e) == FAULT_NONE)
        return;
    a->held.tail = a->held.head + held;
    metric_add(METRIC_AUDIT_LOST, 1);
}

/* --- opening and closing -------------------------------------------------------------------------------- */

static enum fault target_open(const char *path, int *fd)
{
    *fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0640);
    if (*fd >= 0)
        return FAULT_NONE;
    DIAG(ERROR, "the audit log can't be opened", DIAG_TEXT("path", slice_text(path)), DIAG_ERRNO(errno));
    return FAULT_SYSTEM;
}

static void target_use(struct audit *a, int fd)
{
    struct stat kind = {0};

    a->fd = fd;
    a->socket = fstat(fd, &kind) == 0 && S_ISSOCK(kind.st_mode);
    a->piece_octets = S_ISREG(kind.st_mode) ? HELD_OCTETS : PIPE_BUF;
}

static enum fault target_start(struct audit *a, const char *target)
{
    int fd = STDOUT_FILENO;

    if (strcmp(target, "off") == 0) {
        a->target = TARGET_OFF;
        return FAULT_NONE;
    }
    if (strcmp(target, "syslog") == 0) {
        a->target = TARGET_SYSLOG;
        openlog("osb-proxy", LOG_PID | LOG_NDELAY, LOG_DAEMON);
    } else if (strcmp(target, "stdout") == 0) {
        a->target = TARGET_STDOUT;
        target_use(a, fd);
    } else {
        a->target = TARGET_FILE;
        a->path = strdup(target);
        if (!a->path)
            return FAULT_NO_MEMORY;
        TRY(target_open(a->path, &fd));
        target_use(a, fd);
    }
    return buf_open(&a->held, HELD_OCTETS);
}

enum fault audit_new(struct ev_loop *loop, const char *target, struct audit **out)
{
    struct audit *a = calloc(1, sizeof *a);

    if (!a)
        return FAULT_NO_MEMORY;
    a->loop = loop;
    a->fd = -1;
    a->second = -1;
    ev_timer_init(&a->retry, on_retry, 0, RETRY_S);
    ev_prepare_init(&a->turn, on_turn);
    a->retry.data = a->turn.data = a;
    enum fault why = target_start(a, target);

    if (why != FAULT_NONE)
        goto drop_audit;
    ev_prepare_start(loop, &a->turn);
    ev_unref(loop);
    *out = a;
    return FAULT_NONE;
drop_audit:
    if (a->target == TARGET_FILE && a->fd >= 0)
        close(a->fd);
    free(a->path);
    free(a);
    return why;
}

static size_t held_lines(struct audit *a)
{
    struct slice held = buf_held(&a->held);
    size_t lines = 0;

    for (size_t i = 0; i < held.len; i++)
        lines += held.at[i] == '\n';
    return lines;
}

void audit_free(struct audit *a)
{
    if (!a)
        return;
    held_flush(a);
    metric_add(METRIC_AUDIT_LOST, held_lines(a));
    retry_want(a, false);
    ev_ref(a->loop);
    ev_prepare_stop(a->loop, &a->turn);
    if (a->target == TARGET_SYSLOG)
        closelog();
    if (a->target == TARGET_FILE)
        close(a->fd);
    buf_close(&a->held);
    free(a->path);
    free(a);
}

void audit_reopen(struct audit *a)
{
    int fd;

    if (a->target != TARGET_FILE)
        return;
    held_flush(a);
    if (target_open(a->path, &fd) != FAULT_NONE)
        return; /* the old file still takes lines */
    close(a->fd);
    target_use(a, fd);
    if (!a->torn)
        return;
    /* A line's end without its beginning has no place in a new file. */
    buf_take(&a->held, slice_find(buf_held(&a->held), '\n') + 1);
    a->torn = false;
    metric_add(METRIC_AUDIT_LOST, 1);
}

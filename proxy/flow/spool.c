#include "spool.h"
#include "diag.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define LEAST_OCTETS 16384 /* of memory, where as much is allowed: a pooled size */
#define GROWTH       4

static struct spool *of(struct stream *s)
{
    return (struct spool *)(void *)s;
}

/* --- the purse ------------------------------------------------------------------------------------------ */

/* Of the purse's memory, ${octets} are ours from now on. */
static enum fault memory_take(struct spool *s, uint64_t octets)
{
    if (s->purse && octets > s->memory_taken && !purse_take(&s->purse->memory, octets - s->memory_taken))
        return FAULT_OVERLOADED;
    if (s->purse && octets < s->memory_taken)
        purse_give(&s->purse->memory, s->memory_taken - octets);
    s->memory_taken = octets;
    return FAULT_NONE;
}

static enum fault disk_take(struct spool *s, uint64_t octets)
{
    if (s->purse && !purse_take(&s->purse->disk, octets))
        return FAULT_OVERLOADED;
    s->disk_taken += octets;
    return FAULT_NONE;
}

/* --- the file ------------------------------------------------------------------------------------------- */

/* What errno says of the disk. Told once, until it works again: each request would say the same. */
static enum fault disk_answer(bool well)
{
    static bool ill;
    int number = errno;

    if (well) {
        ill = false;
        return FAULT_NONE;
    }
    if (!ill)
        DIAG(ERROR, "bodies can't be spooled", DIAG_ERRNO(number));
    ill = true;
    return number == ENOSPC || number == EDQUOT || number == EFBIG || number == EMFILE || number == ENFILE
               ? FAULT_OVERLOADED
               : FAULT_SYSTEM;
}

static enum fault file_open(struct spool *s)
{
    const char *folders[] = {secure_getenv("TMPDIR"), "/var/tmp", "/tmp"};
    int file = -1;

    for (size_t i = 0; i < sizeof folders / sizeof *folders && file < 0; i++)
        if (folders[i]) /* O_EXCL: it can't be given a name later either */
            file = open(folders[i], O_TMPFILE | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
    s->file = file + 1;
    return disk_answer(file >= 0);
}

/* What is held and not in the file yet goes there. */
static enum fault file_write(struct spool *s)
{
    TRY(disk_take(s, s->octets - s->filed));
    while (buf_held(&s->held).len) {
        struct slice held = buf_held(&s->held);
        ssize_t n = pwrite(s->file - 1, held.at, held.len, (off_t)s->filed);

        if (n < 0 && errno == EINTR)
            continue;
        if (n == 0)
            errno = ENOSPC;
        TRY(disk_answer(n > 0));
        s->filed += (uint64_t)n;
        buf_take(&s->held, (size_t)n);
    }
    s->window = s->filed;
    return FAULT_NONE;
}

/* The octets from ${at} on are held. */
static enum fault file_read(struct spool *s)
{
    uint64_t left = s->octets - s->at;
    ssize_t n;

    buf_take(&s->held, buf_held(&s->held).len);
    s->window = s->at;
    do
        n = pread(s->file - 1, buf_room(&s->held).iov_base, left < SPOOL_RUN ? (size_t)left : SPOOL_RUN,
                  (off_t)s->at);
    while (n < 0 && errno == EINTR);
    if (n == 0)
        errno = EIO; /* nobody else has this file, to make it shorter */
    TRY(disk_answer(n > 0));
    buf_fill(&s->held, (size_t)n);
    return FAULT_NONE;
}

/* All that is held moves into a file; from now on the buffer is a window on it. */
static enum fault spill(struct spool *s)
{
    TRY(file_open(s));
    TRY(file_write(s));
    buf_close(&s->held);
    TRY(memory_take(s, SPOOL_RUN));
    return buf_open(&s->held, SPOOL_RUN);
}

/* --- the first pass ------------------------------------------------------------------------------------- */

/* Room in memory for ${octets} of body, which are no more than may be there. */
static enum fault memory_grow(struct spool *s, size_t octets)
{
    size_t cap = s->held.cap ? s->held.cap : LEAST_OCTETS;

    while (cap < octets)
        cap = cap > SIZE_MAX / GROWTH ? octets : cap * GROWTH;
    if (cap > s->memory)
        cap = s->memory;
    if (cap <= s->held.cap)
        return FAULT_NONE;
    TRY(memory_take(s, cap));
    return buf_grow(&s->held, cap);
}

/* At most SPOOL_RUN octets go behind what is held, and are held in one run. */
static enum fault keep(struct spool *s, struct slice run)
{
    size_t held = buf_held(&s->held).len;

    if (!s->file && run.len <= s->memory - held)
        TRY(memory_grow(s, held + run.len));
    else if (!s->file)
        TRY(spill(s));
    else if (run.len > buf_free(&s->held))
        TRY(file_write(s));
    TRY(buf_append(&s->held, run));
    s->octets += run.len;
    return FAULT_NONE;
}

static enum fault keep_next(struct spool *s)
{
    struct slice run;
    enum fault why = s->from->ops->body(s->from, &run);

    s->whole = why == FAULT_END;
    TRY(why);
    if (s->octets == s->most)
        return FAULT_BODY_TOO_LARGE;
    run = slice_first(run, SPOOL_RUN);
    if (run.len > s->most - s->octets)
        run.len = (size_t)(s->most - s->octets);
    TRY(keep(s, run));
    s->from->ops->took(s->from, run.len);
    return FAULT_NONE;
}

/* --- as a stream ---------------------------------------------------------------------------------------- */

static enum fault spool_body(struct stream *stream, struct slice *run)
{
    struct spool *s = of(stream);

    if (s->at == s->octets && s->whole)
        return FAULT_END;
    if (s->at == s->octets && !s->keeping)
        return s->from->ops->body(s->from, run);
    if (s->at == s->octets)
        TRY(keep_next(s));
    if (s->at < s->window || s->at >= s->window + buf_held(&s->held).len)
        TRY(file_read(s));
    *run = slice_drop(buf_held(&s->held), (size_t)(s->at - s->window));
    return FAULT_NONE;
}

static void spool_took(struct stream *stream, size_t n)
{
    struct spool *s = of(stream);

    if (s->at == s->octets) {
        s->beyond = s->beyond || n > 0;
        s->from->ops->took(s->from, n);
        return;
    }
    assert(n <= s->octets - s->at);
    s->at += n;
}

/* ${from} gives them once, but they are sent as often as the body. */
static enum fault spool_trailers(struct stream *stream, struct head *out)
{
    struct spool *s = of(stream);

    if (s->trailed) {
        head_begin(out);
        if (s->trailers)
            head_copy(out, s->trailers);
        return FAULT_NONE;
    }
    TRY(s->from->ops->trailers(s->from, out));
    s->trailed = true;
    if (out->fields == 0)
        return FAULT_NONE;
    s->trailers = malloc(sizeof *s->trailers);
    if (!s->trailers)
        return FAULT_NO_MEMORY;
    head_copy(s->trailers, out);
    return FAULT_NONE;
}

static void spool_commit(struct stream *stream)
{
    struct spool *s = of(stream);

    s->committed = true;
    s->from->ops->commit(s->from);
}

static bool spool_rewind(struct stream *stream)
{
    struct spool *s = of(stream);

    if (s->committed || s->beyond)
        return false;
    s->at = 0;
    return true;
}

static size_t spool_keeps(const struct stream *stream)
{
    (void)stream;
    return 0;
}

static const struct stream_ops spool_ops = {
    .body = spool_body,
    .took = spool_took,
    .trailers = spool_trailers,
    .commit = spool_commit,
    .rewind = spool_rewind,
    .keeps = spool_keeps,
};

void spool_open(struct spool *s, struct stream *from, size_t memory, uint64_t most, struct purse *purse)
{
    *s = (struct spool){.stream = {&spool_ops, from->proto},
                        .from = from,
                        .memory = memory,
                        .most = most,
                        .purse = purse,
                        .keeping = true};
}

enum fault spool_again(struct spool *s)
{
    assert(!s->beyond);
    if (s->file && s->filed < s->octets)
        TRY(file_write(s));
    s->keeping = false;
    s->at = 0;
    return FAULT_NONE;
}

void spool_close(struct spool *s)
{
    buf_close(&s->held);
    if (s->file)
        close(s->file - 1);
    if (s->purse) {
        purse_give(&s->purse->memory, s->memory_taken);
        purse_give(&s->purse->disk, s->disk_taken);
    }
    free(s->trailers);
    *s = (struct spool){0};
}

#include "value.h"
#include "record.h"
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <unistd.h>

#define SCRUB_OCTETS_MIN 16 /* contract, section 3: shorter values are not looked for in answers */

struct reading {
    int fd;
    size_t len;
};

static enum fault octets_read(int fd, uint8_t *into, size_t room, size_t *len)
{
    while (*len < room) {
        ssize_t n = read(fd, into + *len, room - *len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return FAULT_SYSTEM;
        if (n == 0)
            break;
        *len += (size_t)n;
    }
    return FAULT_NONE;
}

static enum fault reading_make(void *cookie, uint8_t *into, size_t len)
{
    struct reading *r = cookie;

    return octets_read(r->fd, into, len, &r->len);
}

/* What stands in the arena, cut to its length. */
struct cutting {
    size_t len;
    bool full; /* one more octet followed, and it was an LF */
    struct secret *out;
};

static enum fault cutting_lend(void *cookie, struct slice room)
{
    struct cutting *c = cookie;
    struct slice value = slice_first(room, c->len);
    size_t line = slice_find(value, '\n');

    if (c->full && line < value.len)
        return FAULT_INVALID;
    if (!c->full && line + 1 == value.len)
        value.len--;
    if (value.len == 0)
        return FAULT_INVALID;
    return secret_new(value, &c->out);
}

static enum fault value_take(int fd, struct secret *room, struct secret **out)
{
    struct reading r = {fd, 0};
    uint8_t behind[2] = {0};
    size_t more = 0;

    TRY(secret_fill(room, reading_make, &r));
    if (r.len == SECRET_OCTETS_MAX)
        TRY(octets_read(fd, behind, sizeof behind, &more));
    struct cutting c = {.len = r.len, .full = more == 1 && behind[0] == '\n'};

    sodium_memzero(behind, sizeof behind);
    if (more > 0 && !c.full)
        return FAULT_INVALID;
    TRY(secret_lend(room, cutting_lend, &c));
    *out = c.out;
    return FAULT_NONE;
}

enum outcome value_read(const char *path, struct secret **out)
{
    int fd = strcmp(path, "-") == 0 ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    struct secret *room = NULL;
    enum fault f;
    int number;

    if (fd < 0)
        return outcome_say(OUTCOME_FAILED, "value file %s can't be read: %s", path, strerror(errno));
    f = secret_blank(SECRET_OCTETS_MAX, &room);
    if (f == FAULT_NONE)
        f = value_take(fd, room, out);
    number = errno;
    secret_free(room);
    if (fd != STDIN_FILENO)
        close(fd);
    if (f == FAULT_INVALID)
        return outcome_say(OUTCOME_REFUSED, "value file %s: 1 octet to 64 KiB is needed", path);
    if (f == FAULT_SYSTEM)
        return outcome_say(OUTCOME_FAILED, "value file %s can't be read: %s", path, strerror(number));
    return outcome_fault(f, "the value");
}

static enum fault header_lend(void *cookie, struct slice value)
{
    bool *fits = cookie;

    *fits = slice_find(value, 0) == value.len && slice_find(value, '\r') == value.len &&
            slice_find(value, '\n') == value.len;
    return FAULT_NONE;
}

void value_advise(const char *name, const struct secret *value, unsigned places)
{
    bool fits = true;

    if (secret_len(value) < SCRUB_OCTETS_MIN)
        outcome_advise("%s is shorter than %d octets: it will not be scrubbed from answers", name,
                       SCRUB_OCTETS_MIN);
    if (places & 1u << PLACE_HEADER && secret_lend(value, header_lend, &fits) == FAULT_NONE && !fits)
        outcome_advise("%s has a line break or a NUL: a header with its token will be refused", name);
}

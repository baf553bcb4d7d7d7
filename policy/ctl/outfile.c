#include "outfile.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static bool octets_write(int fd, struct slice s)
{
    while (s.len) {
        ssize_t n = write(fd, s.at, s.len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        s = slice_drop(s, (size_t)n);
    }
    return true;
}

enum outcome outfile_write(const char *path, struct slice text, struct slice more, struct outfile *out)
{
    int length, fd;
    bool written;

    *out = (struct outfile){0};
    if (!path)
        return OUTCOME_DONE;
    length = snprintf(out->beside, sizeof out->beside, "%s.XXXXXX", path);
    if (length < 0 || (size_t)length >= sizeof out->beside)
        return outcome_say(OUTCOME_REFUSED, "the path %s is too long", path);
    fd = mkostemp(out->beside, O_CLOEXEC); /* 0600 by itself */
    if (fd < 0)
        return outcome_say(OUTCOME_FAILED, "%s can't be written: %s", path, strerror(errno));
    out->path = path;
    written = octets_write(fd, text) && octets_write(fd, more) && fsync(fd) == 0;
    if (close(fd) == 0 && written)
        return OUTCOME_DONE;
    enum outcome o = outcome_say(OUTCOME_FAILED, "%s can't be written: %s", path, strerror(errno));

    outfile_drop(out);
    return o;
}

enum outcome outfile_commit(struct outfile *f)
{
    if (!f->path)
        return OUTCOME_DONE;
    if (rename(f->beside, f->path) != 0)
        return outcome_say(OUTCOME_FAILED, "%s can't be written: %s", f->path, strerror(errno));
    f->path = NULL;
    return OUTCOME_DONE;
}

void outfile_drop(struct outfile *f)
{
    if (f->path)
        unlink(f->beside);
    f->path = NULL;
}

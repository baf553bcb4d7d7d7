#include "keyfile.h"
#include "print.h"
#include "secret.h"
#include "verbs.h"
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define ARENA_OCTETS ((size_t)1 << 18) /* for the one key of key init; else the desk's */

static enum outcome not_written(const char *path)
{
    return outcome_say(OUTCOME_FAILED, "the key file %s can't be written: %s", path, strerror(errno));
}

static int folder_open(const char *path)
{
    char own[DESK_TEXT];
    int n = snprintf(own, sizeof own, "%s", path);

    return n >= 0 && (size_t)n < sizeof own ? open(dirname(own), O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
}

/* --- one at a time -------------------------------------------------------------------------------------- */

static enum outcome path_find(const struct desk *d, struct keyfile *f)
{
    char *path = realpath(d->key_file, NULL);
    int n = path ? snprintf(f->path, sizeof f->path, "%s", path) : -1;
    bool fits = n >= 0 && (size_t)n < sizeof f->path;

    if (!path)
        return not_written(d->key_file);
    free(path);
    if (!fits)
        return outcome_say(OUTCOME_REFUSED, "the path of the key file %s is too long", d->key_file);
    snprintf(f->beside, sizeof f->beside, "%s.new", f->path);
    return OUTCOME_DONE;
}

static enum outcome in_use(const char *path)
{
    return outcome_say(OUTCOME_FAILED, "another osbctl is at work on the key file %s: wait for its end",
                       path);
}

/* The folder stays when the file is replaced, so all commands lock the same thing. */
static enum outcome folder_lock(struct keyfile *f)
{
    f->folder = folder_open(f->path);
    if (f->folder < 0)
        return not_written(f->path);
    if (flock(f->folder, LOCK_EX | LOCK_NB) == 0)
        return OUTCOME_DONE;
    enum outcome o = errno == EWOULDBLOCK ? in_use(f->path) : not_written(f->path);

    keyfile_release(f);
    return o;
}

enum outcome keyfile_hold(struct desk *d, struct keyfile *out)
{
    struct keyring *now;
    const char *why;

    STEP(path_find(d, out));
    STEP(folder_lock(out));
    if (keyring_load(out->path, &now, &why) != FAULT_NONE) {
        keyfile_release(out);
        return outcome_say(OUTCOME_FAILED, "key file %s: %s", d->key_file, why);
    }
    keyring_free(d->keys);
    d->keys = now;
    return OUTCOME_DONE;
}

void keyfile_release(struct keyfile *f)
{
    close(f->folder);
}

/* --- written -------------------------------------------------------------------------------------------- */

static enum fault key_write(void *cookie, struct slice key)
{
    int fd = *(int *)cookie;

    while (key.len) {
        ssize_t n = write(fd, key.at, key.len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return FAULT_SYSTEM;
        key = slice_drop(key, (size_t)n);
    }
    return FAULT_NONE;
}

static bool keys_write(int fd, const struct keyring *k)
{
    for (size_t i = 0; i < keyring_count(k); i++)
        if (keyring_lend(k, i, key_write, &fd) != FAULT_NONE)
            return false;
    return fsync(fd) == 0;
}

/* The proxies run under another user than osbctl may: who could read the file still can, and nobody else. */
static bool rights_copy(int fd, const char *from)
{
    struct stat st;

    return stat(from, &st) == 0 && fchown(fd, st.st_uid, st.st_gid) == 0 &&
           fchmod(fd, st.st_mode & 0700) == 0;
}

enum outcome keyfile_save(const struct desk *d, const struct keyfile *f)
{
    int fd;
    bool written;

    unlink(f->beside); /* what a command left that died: the lock is ours */
    fd = open(f->beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return not_written(f->beside);
    written = rights_copy(fd, f->path) && keys_write(fd, d->keys);
    if (close(fd) == 0 && written && rename(f->beside, f->path) == 0 && fsync(f->folder) == 0)
        return OUTCOME_DONE;
    enum outcome o = not_written(f->path);

    unlink(f->beside);
    return o;
}

/* --- the first ------------------------------------------------------------------------------------------ */

/* One drawn key into ${fd}; the file's name outlives a crash too. */
static enum outcome first_write(int fd, const char *path)
{
    int folder = folder_open(path);
    struct keyring *k = NULL;
    enum fault f = keyring_new(&k);
    bool written = false;

    if (f == FAULT_NONE)
        f = keyring_draw(k);
    if (f == FAULT_NONE)
        written = fchmod(fd, 0600) == 0 && keys_write(fd, k) && fsync(folder) == 0;
    keyring_free(k);
    if (folder >= 0)
        close(folder);
    STEP(outcome_fault(f, "a new key"));
    return written ? OUTCOME_DONE : not_written(path);
}

/* Never over a file that is there: the old key is what opens everything that is stored. */
enum outcome key_init(struct desk *d, const char *const *words)
{
    enum outcome o;
    int fd;

    STEP(outcome_fault(secret_arena_open(ARENA_OCTETS), "memory for a key (see ulimit -l)"));
    fd = open(words[0], O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 && errno == EEXIST)
        return outcome_say(OUTCOME_REFUSED, "%s exists; a key file is never overwritten", words[0]);
    if (fd < 0)
        return not_written(words[0]);
    o = first_write(fd, words[0]);
    if (close(fd) != 0 && o == OUTCOME_DONE)
        o = not_written(words[0]);
    if (o == OUTCOME_DONE)
        print_quiet(d, json_pack("{s:s}", "file", words[0]));
    else
        unlink(words[0]);
    return o;
}

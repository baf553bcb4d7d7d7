#pragma once
#include "outcome.h"
#include "slice.h"

/*
 * outfile - a file that appears whole, or not at all.
 *
 *   Layer   program (osbctl).
 *   Why     it is written beside its place before anything is changed, and renamed after everything was: a full disk is
 *           met early, and nobody ever reads half of it.
 */
#define OUTFILE_PATH 4096

struct outfile {
    const char *path; /* NULL: nothing to do */
    char beside[OUTFILE_PATH];
};

/* outfile_write(path, text, more, out): ${text} and ${more}, mode 0600. ${path} NULL: no file is asked for. */
enum outcome outfile_write(const char *path, struct slice text, struct slice more,
                           struct outfile *out) CHECKED;

/* outfile_commit(f): to its place. outfile_drop(f): away, where it was not committed; harmless twice. */
enum outcome outfile_commit(struct outfile *f) CHECKED;
void outfile_drop(struct outfile *f);

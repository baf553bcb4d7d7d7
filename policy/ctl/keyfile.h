#pragma once
#include "desk.h"

/*
 * keyfile - the key file, changed: a key more, a key less, another one first.
 *
 *   Layer   program (osbctl).
 *   Why     the file is all that opens what is stored. Whatever dies, there is one whole file; of two commands on a host
 *           one alone changes it, or the key that the other drew would be lost with all that lies under it.
 *   Bounds  the keys' octets go from the arena to the file, nowhere else. It keeps its owner and mode.
 */
struct keyfile {
    char path[DESK_TEXT];       /* with no symbolic link in it: what is renamed is the file, not the link */
    char beside[DESK_TEXT + 8]; /* where it is written before it takes its place */
    int folder;                 /* locked as long as it is held */
};

/*
 * keyfile_hold(d, out): no other osbctl of this host changes the file until keyfile_release(); d->keys is what it holds now.
 *   Fails   OUTCOME_FAILED, said; nothing is held then.
 */
enum outcome keyfile_hold(struct desk *d, struct keyfile *out) CHECKED;
void keyfile_release(struct keyfile *f);

/* keyfile_save(d, f): d->keys into the file, safe from a crash when it returns. Fails OUTCOME_FAILED, said. */
enum outcome keyfile_save(const struct desk *d, const struct keyfile *f) CHECKED;

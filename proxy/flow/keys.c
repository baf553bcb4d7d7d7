#include "keys.h"
#include "diag.h"
#include <sys/stat.h>

#define RELOAD_MS 1000
#define TELL_MS   1000

/* Whatever is written, renamed or copied to the path shows here, but for a second write within one tick of the clock. */
static struct keys_mark mark_of(const char *path)
{
    struct stat st;

    if (stat(path, &st) != 0)
        return (struct keys_mark){0};
    return (struct keys_mark){st.st_dev, st.st_ino, st.st_size, st.st_ctim.tv_sec, st.st_ctim.tv_nsec};
}

static bool mark_same(struct keys_mark a, struct keys_mark b)
{
    return a.device == b.device && a.inode == b.inode && a.octets == b.octets && a.changed_s == b.changed_s &&
           a.changed_ns == b.changed_ns;
}

enum fault keys_load(struct worker *w)
{
    const char *why_text = NULL;
    struct keyring *fresh = NULL;

    w->keys_read = mark_of(w->config->key_file); /* first: what comes in between is then read again */
    w->keys_read_ms = worker_now_ms(w); /* also when it fails: a broken file is not read for every record */
    enum fault why = keyring_load(w->config->key_file, &fresh, &why_text);

    if (why != FAULT_NONE) {
        DIAG(ERROR, "the key file can't be used", DIAG_TEXT("file", slice_text(w->config->key_file)),
             DIAG_TEXT("why", slice_text(why_text)));
        return why;
    }
    keyring_free(w->keys);
    w->keys = fresh;
    return FAULT_NONE;
}

static bool keys_reread(struct worker *w)
{
    if (mark_same(mark_of(w->config->key_file), w->keys_read) &&
        worker_now_ms(w) - w->keys_read_ms < RELOAD_MS)
        return false;
    return keys_load(w) == FAULT_NONE;
}

/* The first box of the record whose key is not held. */
static void unknown_tell(struct worker *w, struct slice id, const struct record_part *parts, size_t n)
{
    char key[SEAL_ID_TEXT];
    size_t i = 0;

    if (w->keys_told_ms && worker_now_ms(w) - w->keys_told_ms < TELL_MS)
        return;
    while (i < n && (slice_equal(parts[i].field, SLICE("policy")) || !seal_key_id(parts[i].value, key) ||
                     keyring_find(w->keys, key) < keyring_count(w->keys)))
        i++;
    if (i == n)
        return;
    w->keys_told_ms = worker_now_ms(w);
    DIAG(ERROR, "a record is sealed under a key that the key file does not hold: its sandbox gets nothing",
         DIAG_TEXT("key", slice_text(key)), DIAG_TEXT("file", slice_text(w->config->key_file)),
         DIAG_TEXT("sandbox", id));
}

enum fault keys_record(struct worker *w, struct slice id, const struct record_part *parts, size_t n,
                       struct record **out)
{
    enum fault why = record_open(w->keys, id, parts, n, out);

    if (why == FAULT_KEY_UNKNOWN && keys_reread(w))
        why = record_open(w->keys, id, parts, n, out);
    if (why == FAULT_KEY_UNKNOWN)
        unknown_tell(w, id, parts, n);
    return why;
}

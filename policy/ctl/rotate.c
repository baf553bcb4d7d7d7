#include "keyfile.h"
#include "print.h"
#include "reseal.h"
#include "staged.h"
#include "verbs.h"
#include <stdio.h>

static bool is_staged(const struct desk *d, size_t key)
{
    return key < keyring_count(d->keys);
}

/* --- rotate --------------------------------------------------------------------------------------------- */

/*
 * A new key at the end of the file, then the word of it: who reads the word finds the key. One that was drawn and of
 * which no word went out does no harm.
 */
static enum outcome key_stage(struct desk *d, const struct keyfile *file, size_t *key)
{
    enum fault f = keyring_draw(d->keys);
    bool done = false;

    if (f == FAULT_FULL)
        return outcome_say(OUTCOME_REFUSED,
                           "%s holds %d keys already: osbctl key list shows which can go, by osbctl key drop",
                           d->key_file, KEYRING_MAX);
    STEP(outcome_fault(f, "a new key"));
    *key = keyring_count(d->keys) - 1;
    STEP(keyfile_save(d, file));
    STEP(staged_write(d, *key, &done));
    if (done)
        return OUTCOME_DONE;
    keyring_drop(d->keys, *key);
    STEP(keyfile_save(d, file));
    return outcome_say(OUTCOME_FAILED, "a key was staged on another host meanwhile: copy its key file here");
}

static json_t *rotation_object(const struct desk *d, size_t key)
{
    char id[SEAL_ID_TEXT];

    keyring_id(d->keys, key, id);
    return json_pack("{s:s, s:s}", "id", id, "file", d->key_file);
}

static enum outcome stage_only(struct desk *d, const struct keyfile *file, size_t staged)
{
    char id[SEAL_ID_TEXT];

    if (staged == 0)
        return outcome_say(OUTCOME_REFUSED, "a rotation is under way: complete it by osbctl key rotate");
    if (!is_staged(d, staged))
        STEP(key_stage(d, file, &staged));
    keyring_id(d->keys, staged, id);
    print_made(d, rotation_object(d, staged));
    outcome_advise("key %s seals nothing yet: copy %s to every host, then run osbctl key rotate", id,
                   d->key_file);
    return OUTCOME_DONE;
}

static void rotation_print(struct desk *d, size_t records)
{
    json_t *object = rotation_object(d, 0), *old = json_array();
    char id[SEAL_ID_TEXT];

    for (size_t i = 1; i < keyring_count(d->keys); i++) {
        keyring_id(d->keys, i, id);
        json_array_append_new(old, json_string(id));
    }
    json_object_set_new(object, "records", json_integer((json_int_t)records));
    json_object_set_new(object, "old", old);
    print_made(d, object);
    outcome_advise(
        "%s: only its first key opens anything in Redis now; copy it to every host once more, then the "
        "others can go, by osbctl key drop",
        d->key_file);
}

/* Each step may be the last of a command that dies: the file is whole, both keys open, and the marker says to go on. */
static enum outcome rotate(struct desk *d, const struct keyfile *file, size_t staged)
{
    size_t records = 0;

    if (!is_staged(d, staged))
        STEP(key_stage(d, file, &staged));
    if (staged != 0) {
        keyring_front(d->keys, staged);
        STEP(keyfile_save(d, file));
    }
    STEP(reseal_all(d, &records));
    STEP(db_settle(d->db)); /* else the command that is run again would begin another rotation */
    STEP(staged_drop(d));
    rotation_print(d, records);
    return OUTCOME_DONE;
}

enum outcome key_rotate(struct desk *d, const char *const *words)
{
    struct keyfile file;
    size_t staged;
    enum outcome o;

    (void)words;
    STEP(keyfile_hold(d, &file));
    o = staged_read(d, &staged);
    if (o == OUTCOME_DONE)
        o = order_has(d->order, OPTION_STAGE) ? stage_only(d, &file, staged) : rotate(d, &file, staged);
    keyfile_release(&file);
    return o;
}

/* --- list ----------------------------------------------------------------------------------------------- */

static void counts_print(const struct desk *d, const struct reseal_counts *k, size_t staged)
{
    json_t *list = json_array();

    for (size_t i = 0; i < k->count; i++) {
        const char *state = i == 0 ? "seals" : i == staged ? "staged" : "opens";

        if (!d->json)
            printf("%s\t%s\t%zu\n", k->ids[i], state, k->records[i]);
        json_array_append_new(list, json_pack("{s:s, s:s, s:I}", "id", k->ids[i], "state", state, "records",
                                              (json_int_t)k->records[i]));
    }
    print_quiet(d, list);
}

enum outcome key_list(struct desk *d, const char *const *words)
{
    struct reseal_counts counts;
    size_t staged = KEYRING_MAX;
    enum outcome o = staged_read(d, &staged), counted = reseal_count(d, &counts);

    (void)words;
    counts_print(d, &counts, staged);
    if (staged == 0)
        outcome_advise("a rotation is under way: complete it by osbctl key rotate");
    return o != OUTCOME_DONE ? o : counted;
}

/* --- drop ----------------------------------------------------------------------------------------------- */

/* What can't be read may lie under the key: then it stays. */
static enum outcome drop_check(struct desk *d, const char *id)
{
    struct reseal_counts counts;
    size_t key = keyring_find(d->keys, id);

    if (key == 0)
        return outcome_say(OUTCOME_REFUSED, "key %s seals: osbctl key rotate puts a new one in its place",
                           id);
    STEP(reseal_count(d, &counts));
    if (counts.records[key] == 0)
        return OUTCOME_DONE;
    return outcome_say(OUTCOME_REFUSED,
                       "%zu stores and sandboxes lie under key %s: osbctl key rotate reseals them",
                       counts.records[key], id);
}

static enum outcome drop_held(struct desk *d, const struct keyfile *file, const char *id)
{
    size_t key = keyring_find(d->keys, id);

    if (key == keyring_count(d->keys))
        return OUTCOME_DONE;
    keyring_drop(d->keys, key);
    return keyfile_save(d, file);
}

static enum outcome drop(struct desk *d, const struct keyfile *file, const char *id)
{
    bool held = keyring_find(d->keys, id) < keyring_count(d->keys), staged;

    STEP(staged_names(d, id, &staged));
    if (!held && !staged)
        return outcome_say(OUTCOME_NOT_FOUND, "%s holds no key %s", d->key_file, id);
    if (held)
        STEP(drop_check(d, id));
    if (staged)
        STEP(staged_drop(d));
    STEP(drop_held(d, file, id));
    print_quiet(d, json_pack("{s:s, s:s}", "id", id, "file", d->key_file));
    if (held && !staged)
        outcome_advise(
            "backups and snapshots of Redis from before the rotation need key %s still: keep a copy "
            "as long as they are kept",
            id);
    return OUTCOME_DONE;
}

enum outcome key_drop(struct desk *d, const char *const *words)
{
    struct keyfile file;
    enum outcome o;

    STEP(keyfile_hold(d, &file));
    o = drop(d, &file, words[0]);
    keyfile_release(&file);
    return o;
}

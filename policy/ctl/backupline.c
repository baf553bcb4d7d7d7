#include "backupline.h"
#include "clock.h"
#include "storeindex.h"
#include <stdlib.h>

#define VERSION     1
#define LABEL       SLICE("osb1 backup")
#define BASE64      sodium_base64_VARIANT_ORIGINAL
#define WHOLE_LINES "nothing was written"

/* --- the sum of all lines ------------------------------------------------------------------------------- */

void backup_sum_open(struct backup_sum *s)
{
    *s = (struct backup_sum){0};
    crypto_hash_sha256_init(&s->state);
}

void backup_sum_add(struct backup_sum *s, struct slice line)
{
    crypto_hash_sha256_update(&s->state, line.at, line.len);
}

static enum fault sum_ad(struct backup_sum *s, struct seal_ad *ad)
{
    uint8_t digest[crypto_hash_sha256_BYTES];

    crypto_hash_sha256_final(&s->state, digest);
    TRY(seal_ad_open(ad, LABEL.len + sizeof digest + 2 * 8));
    TRY(seal_ad_add(ad, LABEL));
    return seal_ad_add(ad, slice_of(digest, sizeof digest));
}

/* --- octets as text ------------------------------------------------------------------------------------- */

static json_t *base64_json(const uint8_t *octets, size_t len)
{
    size_t room = sodium_base64_encoded_len(len, BASE64);
    char *text = demand(room);
    json_t *out;

    sodium_bin2base64(text, room, octets, len, BASE64);
    out = json_string(text);
    free(text);
    return out;
}

/* The octets are the caller's (free); NULL: no such text. */
static uint8_t *base64_octets(const json_t *text, size_t *len)
{
    size_t room = json_string_length(text) / 4 * 3 + 1;
    uint8_t *octets;

    if (!json_is_string(text))
        return NULL;
    octets = demand(room);
    if (sodium_base642bin(octets, room, json_string_value(text), json_string_length(text), NULL, len, NULL,
                          BASE64) == 0)
        return octets;
    free(octets);
    return NULL;
}

/* --- written -------------------------------------------------------------------------------------------- */

static char *line_text(json_t *line)
{
    char *text = json_dumps(line, JSON_COMPACT);

    json_decref(line);
    return text;
}

char *backupline_head(const struct desk *d)
{
    char now[CLOCK_RFC3339];

    clock_rfc3339(d->now_ms, now);
    return line_text(json_pack("{s:s, s:i, s:s}", "osb", "backup", "version", VERSION, "createdAt", now));
}

/* The policy is text again: the tag must fit it, or the backup would be of no use. */
static enum outcome policy_check(struct desk *d, const struct chest *c, const char *policy)
{
    json_t *again;
    enum fault f = policy_open(d->keys, c->sandbox, slice_text(policy), slice_of(c->was, c->was_len), &again);

    if (f != FAULT_NONE)
        return outcome_say(OUTCOME_FAILED, "%s %s: the record is not as osbctl writes it",
                           c->sandbox ? "sandbox" : "store", c->id);
    json_decref(again);
    return OUTCOME_DONE;
}

enum outcome backupline_chest(struct desk *d, const struct chest *c, char **out)
{
    char *policy = json_dumps(c->policy, JSON_COMPACT);
    enum outcome o = policy_check(d, c, policy);
    json_t *fields = o == OUTCOME_DONE
                         ? json_pack("{s:s, s:o}", "policy", policy, "tag", base64_json(c->was, c->was_len))
                         : NULL;

    free(policy);
    STEP(o);
    for (size_t i = 0; i < c->box_count; i++)
        json_object_set_new(fields, c->boxes[i].field, base64_json(c->boxes[i].at, c->boxes[i].len));
    *out = line_text(json_pack("{s:s, s:s, s:o}", "kind", c->sandbox ? "sandbox" : "store", "id", c->id,
                               "fields", fields));
    return OUTCOME_DONE;
}

enum outcome backupline_end(struct desk *d, struct backup_sum *s, char **out)
{
    struct seal_ad ad;
    struct buf box = {0};
    enum fault f = buf_open(&box, SEAL_EXTRA);

    STEP(outcome_fault(f, "the backup's seal"));
    f = sum_ad(s, &ad);
    if (f == FAULT_NONE)
        f = seal_box(d->keys, &ad, SLICE_NONE, &box);
    seal_ad_close(&ad);
    if (f == FAULT_NONE)
        *out = line_text(json_pack("{s:I, s:o}", "end", (json_int_t)s->count, "seal",
                                   base64_json(buf_held(&box).at, buf_held(&box).len)));
    buf_close(&box);
    return outcome_fault(f, "the backup's seal");
}

/* --- read ----------------------------------------------------------------------------------------------- */

static enum outcome line_refused(size_t number)
{
    return outcome_say(OUTCOME_REFUSED, "line %zu of the backup is not in its form; " WHOLE_LINES, number);
}

enum outcome backupline_head_check(const json_t *line)
{
    json_t *version = json_object_get(line, "version");

    if (strcmp(json_text_of(line, "osb"), "backup") != 0 || !json_is_integer(version))
        return outcome_say(OUTCOME_REFUSED, "this is no backup made by osbctl backup");
    if (json_integer_value(version) != VERSION)
        return outcome_say(OUTCOME_REFUSED,
                           "the backup is of version %" JSON_INTEGER_FORMAT ", this osbctl knows version %d",
                           json_integer_value(version), VERSION);
    return OUTCOME_DONE;
}

static enum outcome not_opened(const struct desk *d, size_t number, struct slice box, enum fault f)
{
    char id[SEAL_ID_TEXT];

    if (f == FAULT_KEY_UNKNOWN && seal_key_id(box, id))
        return outcome_say(
            OUTCOME_FAILED,
            "line %zu of the backup is sealed under key %s, which %s does not hold; " WHOLE_LINES, number, id,
            d->key_file);
    return outcome_say(OUTCOME_REFUSED, "line %zu of the backup: %s; " WHOLE_LINES, number,
                       fault_table[f].meaning);
}

static enum outcome policy_take(struct desk *d, const json_t *fields, size_t number, struct chest *out)
{
    const json_t *policy = json_object_get(fields, "policy");
    struct slice text = slice_of(json_string_value(policy), json_string_length(policy)), box;
    json_t *opened;
    size_t len = 0;
    uint8_t *tag = base64_octets(json_object_get(fields, "tag"), &len);
    enum outcome o = OUTCOME_DONE;

    if (!json_is_string(policy) || !tag) {
        free(tag);
        return line_refused(number);
    }
    box = slice_of(tag, len);
    enum fault f = policy_open(d->keys, out->sandbox, text, box, &opened);

    if (f != FAULT_NONE)
        o = not_opened(d, number, box, f);
    free(tag);
    STEP(o);
    json_decref(out->policy);
    out->policy = opened;
    return strcmp(json_text_of(opened, "id"), out->id) == 0 ? OUTCOME_DONE : line_refused(number);
}

/* Each box must be of a key that is held; what they hold is opened by who writes them. */
static enum outcome box_take(struct desk *d, const char *field, const json_t *text, size_t number,
                             struct chest *out)
{
    char id[SEAL_ID_TEXT];
    size_t len = 0;
    uint8_t *octets = base64_octets(text, &len);
    struct slice box = slice_of(octets, len);
    enum outcome o;

    if (!octets || !seal_key_id(box, id))
        o = line_refused(number);
    else if (keyring_find(d->keys, id) == keyring_count(d->keys))
        o = not_opened(d, number, box, FAULT_KEY_UNKNOWN);
    else
        o = chest_put(out, field, box);
    free(octets);
    return o;
}

static enum outcome fields_take(struct desk *d, json_t *fields, size_t number, struct chest *out)
{
    const char *field;
    json_t *text;

    STEP(policy_take(d, fields, number, out));
    json_object_foreach (fields, field, text)
        if (strcmp(field, "policy") != 0 && strcmp(field, "tag") != 0)
            STEP(box_take(d, field, text, number, out));
    return OUTCOME_DONE;
}

enum outcome backupline_chest_open(struct desk *d, const json_t *line, size_t number, struct chest *out)
{
    const char *kind = json_text_of(line, "kind"), *id = json_text_of(line, "id");
    bool sandbox = strcmp(kind, "sandbox") == 0;
    json_t *fields = json_object_get(line, "fields");
    enum outcome o;

    if ((!sandbox && strcmp(kind, "store") != 0) || !record_id_ok(slice_text(id)) || !json_is_object(fields))
        return line_refused(number);
    chest_new(sandbox, id, out);
    o = fields_take(d, fields, number, out);
    if (o != OUTCOME_DONE)
        chest_close(out);
    return o;
}

static enum outcome end_open(struct desk *d, struct slice box, struct backup_sum *s, size_t number)
{
    struct seal_ad ad;
    struct secret *nothing = NULL;
    enum fault f = sum_ad(s, &ad);

    if (f == FAULT_NONE)
        f = seal_open(d->keys, &ad, box, &nothing);
    seal_ad_close(&ad);
    secret_free(nothing);
    if (f == FAULT_FORGED)
        return outcome_say(OUTCOME_REFUSED, "the backup was altered after it was made; " WHOLE_LINES);
    return f == FAULT_NONE ? OUTCOME_DONE : not_opened(d, number, box, f);
}

enum outcome backupline_end_check(struct desk *d, const json_t *line, struct backup_sum *s)
{
    const json_t *end = json_object_get(line, "end");
    size_t len = 0, number = s->count + 2;
    uint8_t *box;
    enum outcome o;

    if (!json_is_integer(end) || (size_t)json_integer_value(end) != s->count)
        return outcome_say(OUTCOME_REFUSED,
                           "the backup does not hold as many stores and sandboxes as it says; " WHOLE_LINES);
    box = base64_octets(json_object_get(line, "seal"), &len);
    if (!box)
        return line_refused(number);
    o = end_open(d, slice_of(box, len), s, number);
    free(box);
    return o;
}

#include "seal.h"
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define NONCE_OCTETS crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define TAG_OCTETS   crypto_aead_xchacha20poly1305_ietf_ABYTES
#define FILE_MAX     ((size_t)KEYRING_MAX * SEAL_KEY_OCTETS)

_Static_assert(SEAL_KEY_OCTETS == crypto_aead_xchacha20poly1305_ietf_KEYBYTES, "one key size");
_Static_assert(SEAL_EXTRA == SEAL_KEY_ID + NONCE_OCTETS + TAG_OCTETS, "a box as the header draws it");

struct keyring {
    size_t count;
    struct sealing_key {
        uint8_t id[SEAL_KEY_ID];
        struct secret *key;
    } keys[KEYRING_MAX];
};

/* --- the key file --------------------------------------------------------------------------------------- */

static const char *file_refused(const struct stat *st)
{
    if (!S_ISREG(st->st_mode))
        return "the key file is not a regular file";
    if (st->st_mode & 077)
        return "the key file may be used by others than its owner: chmod 600";
    if (st->st_size == 0)
        return "the key file is empty";
    if (st->st_size % SEAL_KEY_OCTETS != 0)
        return "the key file is not a whole number of 32-octet keys";
    if (st->st_size > (off_t)FILE_MAX)
        return "the key file holds more than 16 keys";
    return NULL;
}

static enum fault key_digest(void *cookie, struct slice key)
{
    uint8_t digest[crypto_generichash_BYTES];

    crypto_generichash(digest, sizeof digest, key.at, key.len, NULL, 0);
    memcpy(cookie, digest, SEAL_KEY_ID);
    return FAULT_NONE;
}

/* Takes ${key} over. */
static enum fault keyring_add(struct keyring *k, struct secret *key)
{
    struct sealing_key *slot = &k->keys[k->count++];

    slot->key = key;
    return secret_lend(key, key_digest, slot->id);
}

/* The octets go from the file to the arena; they are nowhere else. */
static enum fault key_read(void *cookie, uint8_t *into, size_t len)
{
    int fd = *(int *)cookie;

    for (size_t done = 0; done < len;) {
        ssize_t n = read(fd, into + done, len - done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return FAULT_SYSTEM;
        done += (size_t)n;
    }
    return FAULT_NONE;
}

static enum fault key_make(struct keyring *k, enum fault (*make)(void *, uint8_t *, size_t), void *cookie)
{
    struct secret *key;
    enum fault why;

    TRY(secret_blank(SEAL_KEY_OCTETS, &key));
    why = secret_fill(key, make, cookie);
    if (why == FAULT_NONE)
        return keyring_add(k, key);
    secret_free(key);
    return why;
}

static enum fault keyring_read(int fd, struct keyring *k, const char **why)
{
    struct stat st;
    enum fault fault = FAULT_NONE;

    *why = "the key file can't be read";
    if (fstat(fd, &st) != 0)
        return FAULT_SYSTEM;
    const char *refused = file_refused(&st);

    if (refused) {
        *why = refused;
        return FAULT_INVALID;
    }
    for (off_t at = 0; fault == FAULT_NONE && at < st.st_size; at += SEAL_KEY_OCTETS)
        fault = key_make(k, key_read, &fd);
    if (fault == FAULT_NO_MEMORY)
        *why = "no locked memory for the keys";
    return fault;
}

enum fault keyring_load(const char *path, struct keyring **out, const char **why)
{
    /* NONBLOCK: a fifo in the file's place must be refused, not waited for. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct keyring *k;
    enum fault fault;

    if (fd < 0) {
        bool absent = errno == ENOENT || errno == ENOTDIR;

        *why = absent ? "there is no key file" : "the key file can't be opened";
        return absent ? FAULT_NOT_FOUND : FAULT_SYSTEM;
    }
    *why = "no memory for the keys";
    fault = keyring_new(&k);
    if (fault == FAULT_NONE)
        fault = keyring_read(fd, k, why);
    close(fd);
    if (fault != FAULT_NONE) {
        keyring_free(k);
        return fault;
    }
    *why = NULL;
    *out = k;
    return FAULT_NONE;
}

void keyring_free(struct keyring *k)
{
    if (!k)
        return;
    for (size_t i = 0; i < k->count; i++)
        secret_free(k->keys[i].key);
    free(k);
}

size_t keyring_count(const struct keyring *k)
{
    return k->count;
}

void keyring_id(const struct keyring *k, size_t i, char *out)
{
    sodium_bin2hex(out, SEAL_ID_TEXT, k->keys[i].id, SEAL_KEY_ID);
}

size_t keyring_find(const struct keyring *k, const char *id)
{
    char text[SEAL_ID_TEXT];
    size_t i;

    for (i = 0; i < k->count; i++) {
        keyring_id(k, i, text);
        if (strcmp(text, id) == 0)
            break;
    }
    return i;
}

/* --- another ring --------------------------------------------------------------------------------------- */

enum fault keyring_new(struct keyring **out)
{
    *out = calloc(1, sizeof **out);
    return *out ? FAULT_NONE : FAULT_NO_MEMORY;
}

static enum fault key_random(void *cookie, uint8_t *into, size_t len)
{
    (void)cookie;
    randombytes_buf(into, len);
    return FAULT_NONE;
}

enum fault keyring_draw(struct keyring *k)
{
    return k->count < KEYRING_MAX ? key_make(k, key_random, NULL) : FAULT_FULL;
}

void keyring_front(struct keyring *k, size_t i)
{
    struct sealing_key first = k->keys[i];

    memmove(k->keys + 1, k->keys, i * sizeof *k->keys);
    k->keys[0] = first;
}

void keyring_drop(struct keyring *k, size_t i)
{
    secret_free(k->keys[i].key);
    k->count--;
    memmove(k->keys + i, k->keys + i + 1, (k->count - i) * sizeof *k->keys);
}

enum fault keyring_lend(const struct keyring *k, size_t i, enum fault (*use)(void *cookie, struct slice key),
                        void *cookie)
{
    return secret_lend(k->keys[i].key, use, cookie);
}

/* --- associated data ------------------------------------------------------------------------------------ */

static void put_number(uint8_t *into, uint64_t n)
{
    for (unsigned i = 0; i < 8; i++)
        into[i] = (uint8_t)(n >> (56 - 8 * i));
}

enum fault seal_ad_open(struct seal_ad *ad, size_t most)
{
    *ad = (struct seal_ad){0};
    return buf_open(&ad->octets, most);
}

enum fault seal_ad_add(struct seal_ad *ad, struct slice part)
{
    uint8_t length[8];

    put_number(length, part.len);
    TRY(buf_append(&ad->octets, slice_of(length, sizeof length)));
    return buf_append(&ad->octets, part);
}

enum fault seal_ad_number(struct seal_ad *ad, uint64_t n)
{
    uint8_t octets[8];

    put_number(octets, n);
    return seal_ad_add(ad, slice_of(octets, sizeof octets));
}

void seal_ad_close(struct seal_ad *ad)
{
    buf_close(&ad->octets);
}

/* --- boxes ---------------------------------------------------------------------------------------------- */

/* What one lend of a key, and inside it one of a value, have to know. */
struct sealing {
    const struct sealing_key *key;
    struct slice ad, plain, box;
    struct buf *out;
    uint8_t *into;
};

/* ${len} octets at the tail, in one run. */
static enum fault tail_reserve(struct buf *out, size_t len, uint8_t **at)
{
    if (buf_free(out) < len)
        return FAULT_FULL;
    buf_front(out);
    *at = out->base + out->tail;
    buf_fill(out, len);
    return FAULT_NONE;
}

static enum fault box_with_key(void *cookie, struct slice key)
{
    struct sealing *s = cookie;
    uint8_t *at;

    TRY(tail_reserve(s->out, s->plain.len + SEAL_EXTRA, &at));
    memcpy(at, s->key->id, SEAL_KEY_ID);
    randombytes_buf(at + SEAL_KEY_ID, NONCE_OCTETS);
    crypto_aead_xchacha20poly1305_ietf_encrypt(at + SEAL_KEY_ID + NONCE_OCTETS, NULL, s->plain.at,
                                               s->plain.len, s->ad.at, s->ad.len, NULL, at + SEAL_KEY_ID,
                                               key.at);
    return FAULT_NONE;
}

static enum fault box_with_plain(void *cookie, struct slice plain)
{
    struct sealing *s = cookie;

    s->plain = plain;
    return secret_lend(s->key->key, box_with_key, s);
}

enum fault seal_box(const struct keyring *k, const struct seal_ad *ad, struct slice plain, struct buf *out)
{
    return seal_box_with(k, 0, ad, plain, out);
}

enum fault seal_box_with(const struct keyring *k, size_t i, const struct seal_ad *ad, struct slice plain,
                         struct buf *out)
{
    struct sealing s = {.key = &k->keys[i], .ad = buf_held(&ad->octets), .out = out};

    return box_with_plain(&s, plain);
}

enum fault seal_box_secret(const struct keyring *k, const struct seal_ad *ad, const struct secret *plain,
                           struct buf *out)
{
    struct sealing s = {.key = &k->keys[0], .ad = buf_held(&ad->octets), .out = out};

    return secret_lend(plain, box_with_plain, &s);
}

bool seal_key_id(struct slice box, char *out)
{
    if (box.len < SEAL_EXTRA)
        return false;
    sodium_bin2hex(out, SEAL_ID_TEXT, box.at, SEAL_KEY_ID);
    return true;
}

static enum fault open_with_key(void *cookie, struct slice key)
{
    const struct sealing *s = cookie;
    struct slice nonce = slice_drop(s->box, SEAL_KEY_ID), sealed = slice_drop(nonce, NONCE_OCTETS);

    if (crypto_aead_xchacha20poly1305_ietf_decrypt(s->into, NULL, NULL, sealed.at, sealed.len, s->ad.at,
                                                   s->ad.len, nonce.at, key.at) != 0)
        return FAULT_FORGED;
    return FAULT_NONE;
}

static enum fault open_into(void *cookie, uint8_t *into, size_t len)
{
    struct sealing *s = cookie;

    (void)len; /* made to the box's measure */
    s->into = into;
    return secret_lend(s->key->key, open_with_key, s);
}

enum fault seal_open(const struct keyring *k, const struct seal_ad *ad, struct slice box, struct secret **out)
{
    struct sealing s = {.ad = buf_held(&ad->octets), .box = box};
    struct secret *plain;
    enum fault why;

    if (box.len < SEAL_EXTRA || box.len > SEAL_EXTRA + SECRET_OCTETS_MAX)
        return FAULT_INVALID;
    for (size_t i = 0; i < k->count && !s.key; i++)
        if (memcmp(k->keys[i].id, box.at, SEAL_KEY_ID) == 0)
            s.key = &k->keys[i];
    if (!s.key)
        return FAULT_KEY_UNKNOWN;
    TRY(secret_blank(box.len - SEAL_EXTRA, &plain));
    why = secret_fill(plain, open_into, &s);
    if (why != FAULT_NONE) {
        secret_free(plain);
        return why;
    }
    *out = plain;
    return FAULT_NONE;
}

#include "clock.h"
#include "h1.h"
#include "leaf.h"
#include "micro.h"
#include "micro_scrub.h"
#include "store.h"
#include "subst.h"
#include "verdict.h"
#include <openssl/ec.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define COUNT(table) (sizeof(table) / sizeof *(table))

#define BODY_OCTETS ((size_t)16 << 10) /* one TLS record's worth */
#define BODY_KIB    ((double)BODY_OCTETS / 1024)
#define TOKEN       "osb_sealed_00000000000000000000000000000003"
#define BOUNDARY    "----bench7MA4YWxkTrZu0gW"
#define SECRETS     8
#define PATTERNS    64

#define ID    "sb1"
#define STORE "11111111-1111-4111-8111-111111111111"

static const char request_text[] = "POST /v1/messages HTTP/1.1\r\nHost: api.bench.test\r\nUser-Agent: "
                                   "bench/1.0\r\nAccept: application/json\r\n"
                                   "Content-Type: application/json\r\nX-Api-Key: " TOKEN
                                   "\r\nX-Request-Number: 1234567\r\nContent-Length: 300\r\n\r\n";
static const char response_text[] =
    "HTTP/1.1 200 OK\r\nDate: Tue, 24 Nov 2026 06:00:00 GMT\r\nContent-Type: application/json\r\n"
    "Cache-Control: no-store\r\nX-Request-Id: 0123456789abcdef\r\nServer: origin\r\nContent-Length: "
    "120\r\n\r\n";

static const struct h1_limits limits = {.head_octets = 65536, .fields = 128};

/* What the rows work on. */
static uint8_t clean[BODY_OCTETS], tokens[BODY_OCTETS], marked[BODY_OCTETS], copy[BODY_OCTETS];
static struct buf out;
static struct secret *value;
static struct authority authority;
static struct keyring *keys;
static struct buf boxes;
static char policy[32768], fields[SECRETS][32];
static struct record_part parts[SECRETS + 3];
static size_t part_count;
static struct record *record;
static struct host host;

void micro_must(int held, const char *what)
{
    if (held)
        return;
    fprintf(stderr, "osb-micro: %s\n", what);
    exit(1);
}

static void must(enum fault f, const char *what)
{
    if (f == FAULT_NONE)
        return;
    fprintf(stderr, "osb-micro: %s: %s\n", what, fault_table[f].name);
    exit(1);
}

/* The compiler must believe that someone reads what is at ${p}. */
static void used(const void *p)
{
    __asm__ volatile("" : : "r"(p) : "memory");
}

/* --- floors --------------------------------------------------------------------------------------------- */

static void copy_octets(size_t n, uint64_t times)
{
    for (uint64_t i = 0; i < times; i++) {
        memcpy(copy, clean, n);
        used(copy);
    }
}

static void run_memcpy_body(uint64_t times)
{
    copy_octets(BODY_OCTETS, times);
}

static void run_memcpy_head(uint64_t times)
{
    copy_octets(sizeof request_text - 1, times);
}

static void run_memmem_body(uint64_t times)
{
    for (uint64_t i = 0; i < times; i++)
        used(memmem(clean, BODY_OCTETS, TOKEN_MARK, TOKEN_MARK_LEN));
}

static void run_ecdsa_sign(uint64_t times)
{
    static const uint8_t digest[32] = {1};
    uint8_t signature[128];
    EVP_PKEY_CTX *signer = EVP_PKEY_CTX_new(authority.key, NULL);

    micro_must(signer && EVP_PKEY_sign_init(signer) == 1, "no signer");
    for (uint64_t i = 0; i < times; i++) {
        size_t n = sizeof signature;

        micro_must(EVP_PKEY_sign(signer, signature, &n, digest, sizeof digest) == 1, "no signature");
    }
    EVP_PKEY_CTX_free(signer);
}

/* --- rows ----------------------------------------------------------------------------------------------- */

static struct granted give(void *cookie, struct slice token, const struct where *where)
{
    (void)cookie;
    used(token.at);
    return (struct granted){value, where->escape};
}

/* ${media}: what the body is told to be; NULL: no standing. */
static void feed_body(const uint8_t *at, const enum media *media, uint64_t times)
{
    for (uint64_t i = 0; i < times; i++) {
        struct standing standing;
        struct subst s;
        size_t done;

        if (media)
            standing_begin(&standing, *media, SLICE(BOUNDARY));
        subst_begin(&s, give, NULL, media ? &standing : NULL);
        must(s.filter.feed(&s.filter, slice_of(at, BODY_OCTETS), true, &out, &done), "subst");
        micro_must(done == BODY_OCTETS, "subst left something over");
        out.head = out.tail = 0; /* buf_take would wipe as well: that is not subst's cost */
    }
}

static void run_subst_clean(uint64_t times)
{
    feed_body(clean, NULL, times);
}

static void run_subst_tokens(uint64_t times)
{
    feed_body(tokens, NULL, times);
}

static void run_subst_json(uint64_t times)
{
    feed_body(clean, &(enum media){MEDIA_JSON}, times);
}

static void run_subst_json_tokens(uint64_t times)
{
    feed_body(tokens, &(enum media){MEDIA_JSON}, times);
}

static void run_subst_form(uint64_t times)
{
    feed_body(clean, &(enum media){MEDIA_FORM}, times);
}

static void run_subst_xml(uint64_t times)
{
    feed_body(marked, &(enum media){MEDIA_XML}, times);
}

static void run_subst_multipart(uint64_t times)
{
    feed_body(clean, &(enum media){MEDIA_MULTIPART}, times);
}

/* The standing alone, over the octets that it must look at. */
static void pass_body(const uint8_t *at, enum media media, uint64_t times)
{
    for (uint64_t i = 0; i < times; i++) {
        struct standing standing;

        standing_begin(&standing, media, SLICE_NONE);
        standing_pass(&standing, slice_of(at, BODY_OCTETS));
        used(&standing);
    }
}

static void run_standing_json(uint64_t times)
{
    pass_body(clean, MEDIA_JSON, times);
}

static void run_standing_xml(uint64_t times)
{
    pass_body(marked, MEDIA_XML, times);
}

static void run_subst_find(uint64_t times)
{
    for (uint64_t i = 0; i < times; i++)
        micro_must(subst_find(slice_of(clean, BODY_OCTETS)) == BODY_OCTETS, "subst_find found something");
}

static void run_h1_request(uint64_t times)
{
    for (uint64_t i = 0; i < times; i++) {
        struct h1_reader r = {0};
        struct h1_writer w = {0};
        struct head head;
        size_t n;

        head_begin(&head);
        must(h1_read_request(&r, &limits, SLICE(request_text), &head, &n), "h1_read_request");
        must(h1_write_request(&w, &head, SLICE("api.bench.test"), &out), "h1_write_request");
        out.head = out.tail = 0;
    }
}

static void run_h1_response(uint64_t times)
{
    for (uint64_t i = 0; i < times; i++) {
        struct h1_reader r = {0};
        struct h1_writer w = {0};
        struct head head;
        size_t n;

        head_begin(&head);
        must(h1_read_response(&r, &limits, SLICE(response_text), false, &head, &n), "h1_read_response");
        must(h1_write_response(&w, &head, 1, false, &out), "h1_write_response");
        out.head = out.tail = 0;
    }
}

static void run_mint(uint64_t times)
{
    int64_t now_ms = clock_wall_ms();

    for (uint64_t i = 0; i < times; i++) {
        X509 *leaf;

        must(leaf_mint(&authority, SLICE("api.bench.test"), false, now_ms, &leaf), "leaf_mint");
        X509_free(leaf);
    }
}

static void run_record_open(uint64_t times)
{
    for (uint64_t i = 0; i < times; i++) {
        struct record *r;

        must(record_open(keys, SLICE(ID), parts, part_count, &r), "record_open");
        record_drop(r);
    }
}

static void run_verdict(uint64_t times)
{
    for (uint64_t i = 0; i < times; i++) {
        const struct record_secret *s;

        must(verdict_host(record, &host), "verdict_host");
        micro_must(verdict_token(record, SLICE(TOKEN), &host, PLACE_HEADER, &s) == TOKEN_GRANTED,
                   "verdict_token");
    }
}

const struct micro micro_table[] = {
    {"memcpy_body", "KiB", BODY_KIB, run_memcpy_body, NULL},
    {"memcpy_head", "head", 1, run_memcpy_head, NULL},
    {"memmem_body", "KiB", BODY_KIB, run_memmem_body, NULL},
    {"ecdsa_sign", "signature", 1, run_ecdsa_sign, NULL},
    {"subst_find", "KiB", BODY_KIB, run_subst_find, "memmem_body"},
    {"subst_clean", "KiB", BODY_KIB, run_subst_clean, "memcpy_body"},
    {"subst_tokens", "KiB", BODY_KIB, run_subst_tokens, "memcpy_body"},
    {"subst_json", "KiB", BODY_KIB, run_subst_json, "memcpy_body"},
    {"subst_json_tokens", "KiB", BODY_KIB, run_subst_json_tokens, "memcpy_body"},
    {"subst_form", "KiB", BODY_KIB, run_subst_form, "memcpy_body"},
    {"subst_xml", "KiB", BODY_KIB, run_subst_xml, "memcpy_body"},
    {"subst_multipart", "KiB", BODY_KIB, run_subst_multipart, "memcpy_body"},
    {"standing_json", "KiB", BODY_KIB, run_standing_json, "memcpy_body"},
    {"standing_xml", "KiB", BODY_KIB, run_standing_xml, "memcpy_body"},
    {"scrub_1", "KiB", SCRUB_BODY_KIB, micro_scrub_1, "memcpy_body"},
    {"scrub_10", "KiB", SCRUB_BODY_KIB, micro_scrub_10, "memcpy_body"},
    {"scrub_200", "KiB", SCRUB_BODY_KIB, micro_scrub_200, "memcpy_body"},
    {"scrub_begun", "KiB", SCRUB_BODY_KIB, micro_scrub_begun, "memcpy_body"},
    {"scrub_cut", "KiB", SCRUB_BODY_KIB, micro_scrub_cut, "memcpy_body"},
    {"scrub_hits", "KiB", SCRUB_BODY_KIB, micro_scrub_hits, "memcpy_body"},
    {"scrub_set", "set", 1, micro_scrub_set, "ecdsa_sign"},
    {"h1_request", "head", 1, run_h1_request, "memcpy_head"},
    {"h1_response", "head", 1, run_h1_response, "memcpy_head"},
    {"verdict", "question", 1, run_verdict, "memcpy_head"},
    {"mint", "leaf", 1, run_mint, "ecdsa_sign"},
    {"record_open", "record", 1, run_record_open, "ecdsa_sign"},
};
const size_t micro_rows = COUNT(micro_table);

/* --- the stage ------------------------------------------------------------------------------------------ */

/* JSON-like text that holds no mark; then the same with one token in each KiB; and XML-like text. */
static void stage_bodies(void)
{
    static const char line[] =
        "{\"role\":\"user\",\"content\":\"one sandbox,\\n one \\\"bill\\\" of lading\"},";
    static const char element[] = "<item role=\"user\"><text>one sandbox, one bill of lading</text></item>";

    for (size_t i = 0; i < BODY_OCTETS; i++) {
        clean[i] = (uint8_t)line[i % (sizeof line - 1)];
        marked[i] = (uint8_t)element[i % (sizeof element - 1)];
    }
    clean[BODY_OCTETS - 1] = '}'; /* nothing that a mark may begin with */
    memcpy(tokens, clean, BODY_OCTETS);
    for (size_t at = 512; at + SUBST_TOKEN < BODY_OCTETS; at += 1024)
        memcpy(tokens + at, TOKEN, SUBST_TOKEN);
    must(buf_open(&out, 2 * BODY_OCTETS), "buf_open");
    must(secret_new(SLICE("sk-bench-0123456789abcdef0123456789abcdef"), &value), "secret_new");
}

static void stage_keys(void)
{
    char path[] = "/tmp/osb-micro.XXXXXX";
    uint8_t key[SEAL_KEY_OCTETS];
    const char *why = "no key file";
    int fd = mkstemp(path);

    randombytes_buf(key, sizeof key);
    micro_must(fd >= 0 && write(fd, key, sizeof key) == (ssize_t)sizeof key && close(fd) == 0, why);
    enum fault f = keyring_load(path, &keys, &why);

    unlink(path);
    micro_must(f == FAULT_NONE, why);
}

/* The sandbox' policy: one store of PATTERNS patterns, SECRETS secrets for one host of them each. */
static json_t *policy_make(const char *pem)
{
    json_t *egress = json_array(), *secrets = json_array();
    char text[64];

    for (int i = 0; i < PATTERNS; i++) {
        snprintf(text, sizeof text, i % 2 ? "*.h%02d.bench.test" : "h%02d.bench.test", i);
        json_array_append_new(egress, json_string(text));
    }
    json_array_append_new(egress, json_string("api.bench.test"));
    for (int i = 0; i < SECRETS; i++) {
        snprintf(fields[i], sizeof fields[i], "value:SECRET_%d", i);
        snprintf(text, sizeof text, "osb_sealed_%032d", i);
        json_array_append_new(secrets,
                              json_pack("{s:s s:s s:s s:[ss] s:[ss] s:i}", "name", fields[i] + 6, "token",
                                        text, "store", STORE, "hosts", "api.bench.test", "b.bench.test",
                                        "places", "header", "body", "version", i + 1));
    }
    return json_pack("{s:s s:s s:[s] s:i s:i s:i s:s s:[{s:s s:s s:o s:b}] s:o}", "id", ID, "zone", "default",
                     "addresses", "10.0.0.7", "createdAt", 1000, "expiresAt", 0, "version", 3, "ca", pem,
                     "stores", "id", STORE, "name", "bench", "egress", egress, "scrub", 1, "secrets",
                     secrets);
}

/* What was appended to boxes since ${from} is the value of ${field}. */
static void part_add(const char *field, size_t from)
{
    parts[part_count++] = (struct record_part){slice_text(field), slice_drop(buf_held(&boxes), from)};
}

static void stage_values(const json_t *root)
{
    const json_t *object;
    size_t i;

    json_array_foreach (json_object_get(root, "secrets"), i, object) {
        size_t from = buf_held(&boxes).len;
        struct value_binding b = {
            .sandbox = true,
            .owner = SLICE(ID),
            .name = slice_text(json_string_value(json_object_get(object, "name"))),
            .token = slice_text(json_string_value(json_object_get(object, "token"))),
            .hosts = json_object_get(object, "hosts"),
            .places = 1u << PLACE_HEADER | 1u << PLACE_BODY,
            .version = i + 1,
        };

        must(value_seal(keys, &b, value, &boxes), "value_seal");
        part_add(fields[i], from);
    }
}

static void stage_record(void)
{
    char *pem;
    struct secret *key;
    size_t from;

    must(authority_new(SLICE(ID), clock_wall_ms(), 30, &pem, &key), "authority_new");
    must(authority_open(slice_text(pem), key, &authority), "authority_open");
    must(buf_open(&boxes, 65536), "buf_open");
    json_t *root = policy_make(pem);

    micro_must(root != NULL, "no policy");
    size_t n = json_dumpb(root, policy, sizeof policy - 1, JSON_COMPACT);

    micro_must(n < sizeof policy, "the policy is too long");
    parts[part_count++] = (struct record_part){SLICE("policy"), slice_of(policy, n)};
    must(policy_tag(keys, true, slice_of(policy, n), &boxes), "policy_tag");
    part_add("tag", 0);
    from = buf_held(&boxes).len;
    must(store_ca_key_seal(keys, SLICE(ID), slice_text(pem), key, &boxes), "store_ca_key_seal");
    part_add("ca", from);
    stage_values(root);
    json_decref(root);
    secret_free(key);
    free(pem);
    must(record_open(keys, SLICE(ID), parts, part_count, &record), "record_open");
    must(host_canonical(SLICE("api.bench.test"), &host), "host_canonical");
}

void micro_stage(void)
{
    micro_must(sodium_init() >= 0, "libsodium does not start");
    must(secret_arena_open(4 << 20), "secret_arena_open");
    stage_bodies();
    micro_scrub_stage();
    stage_keys();
    stage_record();
}

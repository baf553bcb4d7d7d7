#include "clock.h"
#include "page.h"
#include "print.h"
#include "staged.h"
#include "storeindex.h"
#include "verbs.h"
#include <stdarg.h>
#include <stdio.h>

#define SAYS_OCTETS 1024
#define LOOKED_AT   128 /* sandboxes whose record's key is looked at; osbctl key list counts all */

/* One line of the screen. */
struct part {
    const char *name;
    bool well;
    char says[SAYS_OCTETS];
    json_t *object; /* what it says in numbers */
};

enum { REDIS, KEYS, RECORDS, PROXY, PARTS };

/* What a line says; what finds no room is cut, and a stranger's octets can't write to the terminal. */
__attribute__((format(printf, 2, 3))) static void part_add(struct part *p, const char *format, ...)
{
    size_t n = strlen(p->says);
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(p->says + n, sizeof p->says - n, format, arguments);
    va_end(arguments);
    for (char *c = p->says + n; *c; c++)
        if (*c < ' ' || *c > '~')
            *c = '?';
}

static void part_number(struct part *p, const char *key, uint64_t n)
{
    json_object_set_new(p->object, key, json_integer((json_int_t)n));
}

static void part_text(struct part *p, const char *key, struct slice text)
{
    json_object_set_new(p->object, key, json_stringn((const char *)text.at, text.len));
}

/* The rest of the line that begins with ${key}; nothing where there is none. */
static struct slice line_find(struct slice text, const char *key)
{
    while (text.len) {
        struct slice line = slice_first(text, slice_find(text, '\n'));

        text = slice_drop(text, line.len + 1);
        if (slice_starts(line, slice_text(key)))
            return slice_first(slice_drop(line, strlen(key)), slice_find(line, '\r') - strlen(key));
    }
    return SLICE_NONE;
}

static uint64_t number_find(struct slice text, const char *key)
{
    uint64_t n = 0;

    return slice_number(line_find(text, key), INT64_MAX, &n) ? n : 0;
}

/* --- Redis ---------------------------------------------------------------------------------------------- */

static void urls_add(const struct desk *d, struct part *p)
{
    char text[REDIS_URL_TEXT];

    for (size_t i = 0; i < d->url_count; i++) {
        redisurl_text(&d->urls[i], text);
        part_add(p, "%s%s", i ? ", " : "", text);
    }
}

/* A record that is evicted is a sandbox that is cut off. */
static bool redis_keeps(struct slice info, struct part *p)
{
    struct slice policy = line_find(info, "maxmemory_policy:");

    if (number_find(info, "maxmemory:") == 0 || slice_equal(policy, SLICE("noeviction")))
        return true;
    part_add(p, "; it may evict records: its maxmemory-policy is %.*s, not noeviction", SLICE_PRINTF(policy));
    return false;
}

static void redis_tell(const struct desk *d, struct slice info, int64_t took_us, struct part *p)
{
    struct slice version = line_find(info, "redis_version:"), role = line_find(info, "role:");
    bool cluster = number_find(info, "cluster_enabled:") == 1;
    uint64_t replicas = number_find(info, "connected_slaves:");
    char where[DB_WHERE];

    db_where(d->db, where);
    part_add(p, "%s, version %.*s, %.*s", where, SLICE_PRINTF(version), SLICE_PRINTF(role));
    part_add(p, "%s%s, replicas %llu, %lld.%02lld ms", cluster ? " in a cluster" : "",
             d->url_count == 1 && *d->urls[0].sentinel ? " by Sentinel" : "", (unsigned long long)replicas,
             (long long)took_us / 1000, (long long)took_us / 10 % 100);
    p->well = redis_keeps(info, p);
    part_text(p, "address", slice_text(where));
    part_text(p, "version", version);
    part_text(p, "role", role);
    part_number(p, "replicas", replicas);
    part_number(p, "microseconds", (uint64_t)took_us);
    json_object_set_new(p->object, "cluster", json_boolean(cluster));
}

static void redis_look(struct desk *d, struct part *p)
{
    redisReply *info = NULL;
    int64_t began_us;

    if (db_open(d->urls, d->url_count, d->redis_ca_file, &d->db) != OUTCOME_DONE) {
        d->db = NULL;
        part_add(p, "not to be used: ");
        urls_add(d, p);
        return;
    }
    began_us = clock_mono_us();
    if (db_do(d->db, DB_WORDS(SLICE("PING"))) == OUTCOME_DONE) {
        int64_t took_us = clock_mono_us() - began_us;

        if (db_ask(d->db, DB_WORDS(SLICE("INFO")), &info) == OUTCOME_DONE)
            redis_tell(d, reply_slice(info), took_us, p);
    }
    if (!info)
        part_add(p, "it does not answer");
    freeReplyObject(info);
}

/* --- keys and records ----------------------------------------------------------------------------------- */

static void keys_tell(const struct desk *d, struct part *p)
{
    json_t *ids = json_array();
    char id[SEAL_ID_TEXT];

    for (size_t i = 0; i < keyring_count(d->keys); i++) {
        keyring_id(d->keys, i, id);
        json_array_append_new(ids, json_string(id));
        part_add(p, i == 0 ? "%s seals" : i == 1 ? "; also opens %s" : ", %s", id);
    }
    json_object_set_new(p->object, "ids", ids);
}

static void staged_tell(struct desk *d, struct part *p)
{
    size_t key;
    char id[SEAL_ID_TEXT];

    p->well = staged_read(d, &key) == OUTCOME_DONE;
    if (!p->well) {
        part_add(p, "; the key that is staged can't be used");
    } else if (key < keyring_count(d->keys)) {
        keyring_id(d->keys, key, id);
        part_add(p, "; %s %s: osbctl key rotate goes on", key ? "staged is" : "a rotation has begun to", id);
        part_text(p, "staged", slice_text(id));
    }
}

static void keys_look(struct desk *d, struct part *p)
{
    p->well = desk_keys(d) == OUTCOME_DONE;
    if (!p->well) {
        part_add(p, "no keys can be read");
        return;
    }
    keys_tell(d, p);
    if (d->db)
        staged_tell(d, p);
}

/* How many of these records lie under a key that we lack; *which: one such key. */
static enum outcome records_locked(struct desk *d, bool sandbox, const struct names *n, size_t *locked,
                                   char *which)
{
    enum outcome o = OUTCOME_DONE;
    size_t sent = 0;

    for (; sent < n->count && sent < DB_QUEUE_MAX && o == OUTCOME_DONE; sent += o == OUTCOME_DONE) {
        struct key key = sandbox ? key_sandbox(n->ids[sent]) : key_store(n->ids[sent]);

        o = db_send(d->db, DB_WORDS(SLICE("HGET"), KEY_SLICE(key), SLICE("tag")));
    }
    for (size_t i = 0; i < sent; i++) {
        redisReply *reply = NULL;
        char id[SEAL_ID_TEXT];

        if (db_take(d->db, &reply) != OUTCOME_DONE)
            o = OUTCOME_FAILED;
        else if (seal_key_id(reply_slice(reply), id) && keyring_find(d->keys, id) == keyring_count(d->keys)) {
            memcpy(which, id, sizeof id);
            ++*locked;
        }
        freeReplyObject(reply);
    }
    return o;
}

/* Some of the sandboxes that are there, the first to end first. */
static enum outcome sandboxes_some(struct desk *d, long long *count, struct names *out)
{
    char now[24], most[24];
    redisReply *reply;

    snprintf(now, sizeof now, "%lld", (long long)d->now_ms);
    snprintf(most, sizeof most, "%d", LOOKED_AT - 1);
    STEP(db_number(d->db, DB_WORDS(SLICE("ZCOUNT"), DB_SANDBOXES, slice_text(now), SLICE("+inf")), count));
    STEP(db_ask(d->db, DB_WORDS(SLICE("ZRANGE"), DB_SANDBOXES, SLICE("0"), slice_text(most)), &reply));
    for (size_t i = 0; i < reply->elements; i++)
        if (names_add(out, reply_slice(reply->element[i])) != OUTCOME_DONE)
            break;
    freeReplyObject(reply);
    return OUTCOME_DONE;
}

static void records_tell(struct desk *d, const struct names *stores, const struct names *some,
                         long long sandboxes, struct part *p)
{
    char which[SEAL_ID_TEXT] = "";
    size_t locked = 0;

    part_number(p, "stores", stores->count);
    part_number(p, "sandboxes", (uint64_t)sandboxes);
    part_add(p, "stores %zu, sandboxes %lld", stores->count, sandboxes);
    p->well = true;
    if (!d->keys)
        return;
    p->well = records_locked(d, false, stores, &locked, which) == OUTCOME_DONE &&
              records_locked(d, true, some, &locked, which) == OUTCOME_DONE;
    if (locked == 0)
        return;
    p->well = false;
    part_add(p, "; %zu of those looked at are sealed under a key that %s does not hold: %s", locked,
             d->key_file, which);
}

static void records_look(struct desk *d, struct part *p)
{
    struct names stores = {0}, some = {0};
    long long sandboxes = 0;

    if (!d->db || storeindex_list(d, &stores) != OUTCOME_DONE ||
        sandboxes_some(d, &sandboxes, &some) != OUTCOME_DONE)
        part_add(p, "they can't be looked at");
    else
        records_tell(d, &stores, &some, sandboxes, p);
    names_free(&stores);
    names_free(&some);
}

/* --- the proxy of this host ----------------------------------------------------------------------------- */

static bool ready_look(const struct desk *d, struct part *p)
{
    char why[PAGE_WHY];
    struct page page = {0};
    bool ready;

    if (!page_fetch(d->admin, "/readyz", &page, why)) {
        part_add(p, "%s: %s", d->admin, why);
        return false;
    }
    ready = page.status == 200;
    if (ready)
        part_add(p, "%s, ready", d->admin);
    else
        part_add(p, "%s, not ready: %.*s", d->admin,
                 SLICE_PRINTF(slice_first(page.body, slice_find(page.body, '\n'))));
    page_close(&page);
    return ready;
}

static void metrics_tell(struct slice text, struct part *p)
{
    static const struct {
        const char *line, *key, *words;
    } rows[] = {
        {"osb_workers_ready ", "workers", "workers"},
        {"osb_connections_active ", "connections", "connections"},
        {"osb_requests_total{result=\"forward\"} ", "forwarded", "requests forwarded"},
        {"osb_requests_total{result=\"block\"} ", "blocked", "blocked"},
        {"osb_requests_total{result=\"error\"} ", "errors", "failed"},
        {"osb_store_fetches_total{result=\"failed\"} ", "storeFailures", "failed fetches from Redis"},
        {"osb_audit_lost_total ", "auditLost", "lost audit lines"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint64_t n = number_find(text, rows[i].line);

        part_number(p, rows[i].key, n);
        part_add(p, ", %s %llu", rows[i].words, (unsigned long long)n);
    }
}

static void proxy_look(struct desk *d, struct part *p)
{
    char why[PAGE_WHY];
    struct page page = {0};

    part_text(p, "address", slice_text(d->admin));
    p->well = ready_look(d, p);
    if (page_fetch(d->admin, "/metrics", &page, why) && page.status == 200)
        metrics_tell(page.body, p);
    page_close(&page);
}

/* --- the screen ----------------------------------------------------------------------------------------- */

static enum outcome parts_print(const struct desk *d, struct part *parts)
{
    json_t *all = json_object();
    char unwell[64] = "";
    size_t n = 0;

    for (size_t i = 0; i < PARTS; i++) {
        struct part *p = &parts[i];

        if (!d->json)
            printf("%s\t%s\t%s\n", p->name, p->well ? "ok" : "FAILED", p->says);
        if (!p->well)
            n += (size_t)snprintf(unwell + n, sizeof unwell - n, "%s%s", n ? ", " : "", p->name);
        json_object_set_new(p->object, "well", json_boolean(p->well));
        json_object_set_new(p->object, "says", json_string(p->says));
        json_object_set_new(all, p->name, p->object);
    }
    json_object_set_new(all, "well", json_boolean(n == 0));
    print_quiet(d, all);
    return n ? outcome_say(OUTCOME_FAILED, "not well: %s", unwell) : OUTCOME_DONE;
}

enum outcome status_show(struct desk *d, const char *const *words)
{
    struct part parts[PARTS] = {[REDIS] = {.name = "redis"},
                                [KEYS] = {.name = "keys"},
                                [RECORDS] = {.name = "records"},
                                [PROXY] = {.name = "proxy"}};

    (void)words;
    for (size_t i = 0; i < PARTS; i++)
        parts[i].object = json_object();
    redis_look(d, &parts[REDIS]);
    keys_look(d, &parts[KEYS]);
    records_look(d, &parts[RECORDS]);
    proxy_look(d, &parts[PROXY]);
    return parts_print(d, parts);
}

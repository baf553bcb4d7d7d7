#include "db.h"
#include "master.h"
#include "redisslot.h"
#include <assert.h>
#include <errno.h>
#include <openssl/pem.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#define NODES_MAX     64 /* servers of one cluster that we talk to */
#define REDIRECTS_MAX 5
#define WHAT_OCTETS   (DB_KEY_OCTETS + 24)

/* A command under way, or answered and not taken yet. */
struct ask {
    struct ask *next;   /* that was sent by the caller after it */
    struct ask *behind; /* that its node answers after it */
    struct node *node;
    struct slice octets; /* until it is answered: another node may have to be asked */
    redisReply *reply;
    unsigned redirects;
    bool writes, silent; /* silent: our own, nobody takes the answer */
    char what[WHAT_OCTETS];
};

struct node {
    struct dial dial;
    struct redis_place place;
    struct ask *first, **last; /* those that it has not answered */
    bool written;              /* since it was settled */
};

struct db {
    const struct redis_url *urls,
        *url; /* borrowed; and the one that led to the first node: how to log in at others */
    size_t url_count;
    SSL_CTX *tls;
    struct node *nodes[NODES_MAX];
    size_t node_count;
    uint8_t slots[REDIS_SLOTS]; /* which of the nodes has it; as long as that is not known, the first */
    struct ask *first, **last;
    size_t count;
    const struct node *answerer;
    bool gone, unconfirmed;
    bool alone_asked, owed; /* master_owes(), where a master listed no replica */
};

bool db_gone(const struct db *db)
{
    return db->gone;
}

static void node_where(const struct db *db, const struct node *n, char *out)
{
    if (*n->place.host)
        redis_place_text(&n->place, out);
    else
        snprintf(out, DB_WHERE, "%s", db->url->unix_path);
}

void db_where(const struct db *db, char *out)
{
    node_where(db, db->nodes[0], out);
}

static enum outcome node_lost(struct db *db, const struct node *n)
{
    char where[DB_WHERE];

    if (db->gone)
        return OUTCOME_FAILED;
    db->gone = true;
    node_where(db, n, where);
    return outcome_say(OUTCOME_FAILED, "Redis at %s went away: %s; run the command again", where,
                       n->dial.why);
}

/* --- opening and closing -------------------------------------------------------------------------------- */

static struct node *node_new(void)
{
    struct node *n = demand(sizeof *n);

    *n = (struct node){.dial.fd = -1};
    n->last = &n->first;
    return n;
}

static void ask_free(struct ask *a)
{
    command_free(a->octets);
    if (a->reply)
        freeReplyObject(a->reply);
    free(a);
}

static void node_free(struct node *n)
{
    for (struct ask *a = n->first, *behind; a; a = behind) {
        behind = a->behind;
        if (a->silent)
            ask_free(a);
    }
    dial_close(&n->dial);
    free(n);
}

/* So that what is wrong with it is said in one line, ours. */
static enum outcome roots_check(const char *ca_file)
{
    FILE *file = fopen(ca_file, "re");
    X509 *cert;

    if (!file)
        return outcome_say(OUTCOME_FAILED, "the roots for rediss://, %s: %s", ca_file, strerror(errno));
    cert = PEM_read_X509_AUX(file, NULL, NULL, NULL);
    fclose(file);
    if (!cert)
        return outcome_say(OUTCOME_FAILED, "the roots for rediss://, %s: no certificate is in it", ca_file);
    X509_free(cert);
    return OUTCOME_DONE;
}

static enum outcome tls_open(const struct redis_url *urls, size_t n, const char *ca_file, SSL_CTX **out)
{
    size_t i = 0;

    *out = NULL;
    while (i < n && !urls[i].tls)
        i++;
    if (i == n)
        return OUTCOME_DONE;
    if (*ca_file)
        STEP(roots_check(ca_file));
    return outcome_fault(tlsio_client_ctx(*ca_file ? ca_file : NULL, out), "the roots for rediss://");
}

enum outcome db_open(const struct redis_url *urls, size_t n, const char *ca_file, struct db **out)
{
    struct db *db = demand(sizeof *db);
    struct node *node = node_new();
    enum outcome o;

    *out = NULL;
    *db = (struct db){.urls = urls, .url_count = n, .nodes = {node}, .node_count = 1};
    db->last = &db->first;
    o = tls_open(urls, n, ca_file, &db->tls);
    if (o == OUTCOME_DONE)
        o = master_find(urls, n, db->tls, &node->dial, &db->url, &node->place);
    if (o == OUTCOME_DONE) {
        *out = db;
        return OUTCOME_DONE;
    }
    db->gone = true; /* nothing to settle */
    return db_close(db) == OUTCOME_DONE ? o : OUTCOME_FAILED;
}

/* Only where the connection was lost before they were answered. */
static void asks_free(struct db *db)
{
    while (db->first) {
        struct ask *a = db->first;

        db->first = a->next;
        ask_free(a);
    }
}

enum outcome db_close(struct db *db)
{
    enum outcome o;

    if (!db)
        return OUTCOME_DONE;
    o = db->gone || db->count ? OUTCOME_DONE : db_settle(db);
    for (size_t i = 0; i < db->node_count; i++)
        node_free(db->nodes[i]);
    asks_free(db);
    SSL_CTX_free(db->tls);
    sodium_memzero(db, sizeof *db);
    free(db);
    return o;
}

/* --- asking --------------------------------------------------------------------------------------------- */

static enum outcome ask_post(struct db *db, struct node *n, struct ask *a)
{
    a->node = n;
    a->behind = NULL;
    if (!dial_send(&n->dial, a->octets))
        return node_lost(db, n);
    *n->last = a;
    n->last = &a->behind;
    return OUTCOME_DONE;
}

static struct ask *ask_new(const struct slice *words, size_t n)
{
    struct ask *a = demand(sizeof *a);

    *a = (struct ask){.octets = command_format(words, n)};
    return a;
}

/* A node of the cluster that we may not have met yet. */
static struct node *node_reach(struct db *db, const struct redis_place *place, uint8_t *at)
{
    struct node *n;
    char where[REDIS_PLACE_TEXT];

    for (*at = 0; *at < db->node_count; ++*at)
        if (strcmp(db->nodes[*at]->place.host, place->host) == 0 && db->nodes[*at]->place.port == place->port)
            return db->nodes[*at];
    if (db->node_count == NODES_MAX) {
        db->gone = true;
        outcome_say(OUTCOME_FAILED, "more than %d servers in the cluster", NODES_MAX);
        return NULL;
    }
    n = node_new();
    n->place = *place;
    if (dial_open(&n->dial, "", place, db->url->tls ? db->tls : NULL) && dial_login(&n->dial, db->url))
        return db->nodes[db->node_count++] = n;
    redis_place_text(place, where);
    outcome_say(OUTCOME_FAILED, "Redis at %s, of the cluster, can't be reached: %s; run the command again",
                where, n->dial.why);
    db->gone = true;
    node_free(n);
    return NULL;
}

/* ASK: this once, under ASKING; MOVED: from now on. False: it is no redirection, or one too many. */
static bool ask_redirect(struct db *db, struct ask *a, struct slice error)
{
    struct redis_place place;
    struct node *n;
    unsigned slot;
    uint8_t at;
    enum redirect kind = redirect_parse(error, &slot, &place);
    enum outcome o = OUTCOME_DONE;

    if (kind == REDIRECT_NONE || a->redirects++ == REDIRECTS_MAX)
        return false;
    if (!*place.host)
        memcpy(place.host, a->node->place.host, sizeof place.host);
    n = node_reach(db, &place, &at);
    if (!n)
        return true;
    if (kind == REDIRECT_MOVED) {
        db->slots[slot] = at;
    } else {
        struct ask *asking = ask_new(DB_WORDS(SLICE("ASKING")));

        asking->silent = true;
        o = ask_post(db, n, asking);
        if (o != OUTCOME_DONE)
            ask_free(asking);
    }
    if (o == OUTCOME_DONE)
        o = ask_post(db, n, a);
    return true; /* or it is said, and gone */
}

/* The next answer of this node, to whatever it was asked. */
static enum outcome answer_read(struct db *db, struct node *n)
{
    struct ask *a = n->first;
    redisReply *reply;

    if (!dial_take(&n->dial, &reply))
        return node_lost(db, n);
    n->first = a->behind;
    if (!n->first)
        n->last = &n->first;
    if (reply->type == REDIS_REPLY_ERROR && !a->silent &&
        ask_redirect(db, a, slice_of(reply->str, reply->len))) {
        freeReplyObject(reply);
        return db->gone ? OUTCOME_FAILED : OUTCOME_DONE;
    }
    a->reply = reply;
    n->written = n->written || a->writes;
    if (a->silent)
        ask_free(a);
    return OUTCOME_DONE;
}

/* Those after which a replica's word is waited for. What tidies up may be lost. */
static bool command_writes(struct slice name)
{
    static const char *const writing[] = {"SET", "DEL", "HSET", "HDEL", "ZADD", "ZREM", "EVAL"};

    for (size_t i = 0; i < sizeof writing / sizeof *writing; i++)
        if (slice_equal(name, slice_text(writing[i])))
            return true;
    return false;
}

enum outcome db_send(struct db *db, const struct slice *words, size_t n)
{
    size_t key_at = slice_equal(words[0], SLICE("EVAL")) ? 3 : 1;
    struct slice key = n > key_at ? words[key_at] : SLICE_NONE;
    struct ask *a;
    enum outcome o;

    if (db->gone)
        return OUTCOME_FAILED;
    assert(db->count < DB_QUEUE_MAX);
    a = ask_new(words, n);
    a->writes = command_writes(words[0]);
    snprintf(a->what, sizeof a->what, "%.*s%s%.*s", SLICE_PRINTF(words[0]), key.len ? " " : "",
             SLICE_PRINTF(key));
    o = ask_post(db, db->nodes[key.len ? db->slots[redis_slot(key)] : 0], a);
    if (o != OUTCOME_DONE) {
        ask_free(a);
        return o;
    }
    *db->last = a;
    db->last = &a->next;
    db->count++;
    return OUTCOME_DONE;
}

/* Not of this key, but of the server: every other command would meet the same. */
static bool error_is_general(const char *error)
{
    static const char *const general[] = {"READONLY",   "LOADING", "CLUSTERDOWN", "MASTERDOWN", "MISCONF",
                                          "NOREPLICAS", "OOM",     "BUSY",        "NOPERM",     "NOAUTH"};

    for (size_t i = 0; i < sizeof general / sizeof *general; i++)
        if (strncmp(error, general[i], strlen(general[i])) == 0)
            return true;
    return false;
}

static enum outcome answer_judge(struct db *db, const struct ask *a)
{
    if (a->reply->type != REDIS_REPLY_ERROR)
        return OUTCOME_DONE;
    db->gone = error_is_general(a->reply->str);
    return outcome_say(OUTCOME_FAILED, "Redis refuses %s: %s", a->what, a->reply->str);
}

enum outcome db_take(struct db *db, redisReply **out)
{
    struct ask *a = db->first;
    enum outcome o = db->gone ? OUTCOME_FAILED : OUTCOME_DONE;

    *out = NULL;
    assert(a);
    while (o == OUTCOME_DONE && !a->reply)
        o = answer_read(db, a->node);
    if (o != OUTCOME_DONE)
        return o; /* asks_free() frees it: its node may still have it */
    db->first = a->next;
    if (!db->first)
        db->last = &db->first;
    db->count--;
    db->answerer = a->node;
    o = answer_judge(db, a);
    if (o == OUTCOME_DONE) {
        *out = a->reply;
        a->reply = NULL;
    }
    ask_free(a);
    return o;
}

const void *db_answerer(const struct db *db)
{
    return db->answerer;
}

enum outcome db_ask(struct db *db, const struct slice *words, size_t n, redisReply **out)
{
    *out = NULL;
    assert(db->gone || db->count == 0);
    STEP(db_send(db, words, n));
    return db_take(db, out);
}

enum outcome db_do(struct db *db, const struct slice *words, size_t n)
{
    redisReply *reply;

    STEP(db_ask(db, words, n, &reply));
    freeReplyObject(reply);
    return OUTCOME_DONE;
}

enum outcome db_number(struct db *db, const struct slice *words, size_t n, long long *out)
{
    redisReply *reply;

    STEP(db_ask(db, words, n, &reply));
    *out = reply->type == REDIS_REPLY_INTEGER ? reply->integer : 0;
    freeReplyObject(reply);
    return OUTCOME_DONE;
}

enum outcome db_overtaken(void)
{
    return outcome_say(OUTCOME_FAILED, "others keep changing the same thing; nothing was changed, try again");
}

/* --- a replica has it too ------------------------------------------------------------------------------- */

static enum outcome node_ask(struct db *db, struct node *n, const struct slice *words, size_t count,
                             redisReply **out)
{
    assert(!n->first);
    return dial_ask(&n->dial, words, count, out) ? OUTCOME_DONE : node_lost(db, n);
}

/* What a master that was demoted meanwhile took may be lost. */
static bool role_is_alone(const redisReply *role, bool *demoted)
{
    *demoted = role->type != REDIS_REPLY_ARRAY || role->elements < 3 ||
               !slice_equal(reply_slice(role->element[0]), SLICE("master"));
    return !*demoted && role->element[2]->type == REDIS_REPLY_ARRAY && role->element[2]->elements == 0;
}

/* Asked once: what changes while a command runs is seen by ROLE. */
static bool replica_is_owed(struct db *db)
{
    if (!db->alone_asked)
        db->owed = master_owes(db->urls, db->url_count, db->url, db->tls);
    db->alone_asked = true;
    return db->owed;
}

static enum outcome node_settle(struct db *db, struct node *n)
{
    char where[DB_WHERE], patience_ms[16];
    redisReply *reply;
    bool alone, demoted, confirmed;

    STEP(node_ask(db, n, DB_WORDS(SLICE("ROLE")), &reply));
    alone = role_is_alone(reply, &demoted);
    freeReplyObject(reply);
    if (alone && !replica_is_owed(db))
        return OUTCOME_DONE;
    node_where(db, n, where);
    if (demoted)
        return outcome_say(OUTCOME_FAILED, "Redis at %s is no master any more; run the command again", where);
    snprintf(patience_ms, sizeof patience_ms, "%d", DB_REPLICA_MS);
    STEP(node_ask(db, n, DB_WORDS(SLICE("WAIT"), SLICE("1"), slice_text(patience_ms)), &reply));
    confirmed = reply->type == REDIS_REPLY_INTEGER && reply->integer > 0;
    freeReplyObject(reply);
    if (confirmed)
        return OUTCOME_DONE;
    return outcome_say(
        OUTCOME_FAILED,
        "written to Redis at %s, but no replica has confirmed it in time; run the command again", where);
}

/* A write that only the master knows is lost with it; one replica's word is enough (contract, section 8). */
enum outcome db_settle(struct db *db)
{
    assert(db->gone || db->count == 0);
    for (size_t i = 0; i < db->node_count && !db->gone && !db->unconfirmed; i++) {
        if (!db->nodes[i]->written)
            continue;
        db->nodes[i]->written = false;
        db->unconfirmed = node_settle(db, db->nodes[i]) != OUTCOME_DONE;
    }
    return db->gone || db->unconfirmed ? OUTCOME_FAILED : OUTCOME_DONE;
}

#include "sandboxes.h"
#include "entry.h"
#include "print.h"
#include "progress.h"
#include "verbs.h"
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define LIST_PAGE 500

json_t *sandbox_object(const struct chest *c)
{
    json_t *secrets = json_array(), *stores = json_array(), *entry;
    size_t i;

    json_array_foreach (json_object_get(c->policy, "secrets"), i, entry)
        json_array_append_new(secrets, json_pack("{s:s, s:s}", "name", json_text_of(entry, "name"), "token",
                                                 json_text_of(entry, "token")));
    json_array_foreach (json_object_get(c->policy, "stores"), i, entry)
        json_array_append(stores, json_object_get(entry, "name"));
    return json_pack("{s:s, s:O, s:o, s:o, s:o, s:o}", "id", c->id, "addresses",
                     json_object_get(c->policy, "addresses"), "stores", stores, "secrets", secrets,
                     "createdAt", print_time(json_number_of(c->policy, "createdAt")), "expiresAt",
                     print_time(json_number_of(c->policy, "expiresAt")));
}

enum outcome sandbox_missing(const char *id)
{
    return outcome_say(OUTCOME_NOT_FOUND, "there is no sandbox %s", id);
}

enum outcome sandbox_read(struct desk *d, const char *id, struct chest *out)
{
    enum outcome o = record_id_ok(slice_text(id)) ? chest_read(d, true, id, out) : OUTCOME_NOT_FOUND;

    if (o == OUTCOME_DONE && entry_is_draft(out->policy)) {
        chest_close(out);
        o = OUTCOME_NOT_FOUND;
    }
    return o == OUTCOME_NOT_FOUND ? sandbox_missing(id) : o;
}

static enum outcome row_show(struct desk *d, void *cookie, struct chest *c)
{
    (void)d;
    if (entry_is_draft(c->policy))
        return OUTCOME_DONE;
    print_row(cookie, sandbox_object(c));
    return ferror(stdout) ? OUTCOME_FAILED : OUTCOME_DONE; /* main says it */
}

/* What does not open is said, and does not hide the rest. */
static enum outcome pages_show(struct desk *d, const struct names *names, struct listing *l)
{
    enum outcome o, worst = OUTCOME_DONE;

    for (size_t at = 0, page; at < names->count && !db_gone(d->db) && !ferror(stdout); at += page) {
        page = names->count - at < LIST_PAGE ? names->count - at : LIST_PAGE;
        o = chest_show(d, true, names->ids + at, page, row_show, l);
        if (o != OUTCOME_DONE)
            worst = o;
        progress_add(page);
    }
    return worst;
}

enum outcome sandbox_list(struct desk *d, const char *const *words)
{
    static const char *const columns[] = {"id", "addresses", "stores", "expiresAt", NULL};
    struct listing l;
    struct names names;
    enum outcome o;

    (void)words;
    STEP(nameset_tidy(d, DB_SANDBOXES));
    STEP(nameset_list(d, DB_SANDBOXES, &names));
    print_begin(d, columns, &l);
    progress_begin(isatty(STDOUT_FILENO) ? NULL : "listing", names.count);
    o = pages_show(d, &names, &l);
    progress_end();
    print_end(&l);
    names_free(&names);
    return o;
}

enum outcome sandbox_get(struct desk *d, const char *const *words)
{
    struct chest c;

    STEP(sandbox_read(d, words[0], &c));
    print_one(d, sandbox_object(&c));
    chest_close(&c);
    return OUTCOME_DONE;
}

enum outcome sandbox_env(struct desk *d, const char *const *words)
{
    struct chest c;
    char *text;

    STEP(envfile_paths_ok(d->order));
    STEP(sandbox_read(d, words[0], &c));
    if (d->json) {
        print_quiet(d, envfile_json(d->order, &c));
    } else {
        text = envfile_text(d->order, &c);
        print_text(d, "env", text);
        free(text);
    }
    chest_close(&c);
    return OUTCOME_DONE;
}

enum outcome sandbox_ca(struct desk *d, const char *const *words)
{
    struct chest c;

    STEP(sandbox_read(d, words[0], &c));
    print_text(d, "ca", json_text_of(c.policy, "ca"));
    chest_close(&c);
    return OUTCOME_DONE;
}

/* --- the end -------------------------------------------------------------------------------------------- */

/* A record that does not open can be deleted all the same: its addresses are unknown, so their keys stay behind. */
enum outcome sandbox_delete(struct desk *d, const char *const *words)
{
    const char *id = words[0];
    struct chest c = {0};
    int64_t ends_ms = NAMESET_NEVER;
    enum outcome o = record_id_ok(slice_text(id)) ? chest_read(d, true, id, &c) : OUTCOME_NOT_FOUND;

    if (o == OUTCOME_FAILED && db_gone(d->db))
        return o;
    if (o == OUTCOME_NOT_FOUND)
        STEP(nameset_ends(d, DB_SANDBOXES, id, &ends_ms));
    if (ends_ms == NAMESET_NONE)
        return sandbox_missing(id);
    o = entry_remove(d, id, c.policy);
    chest_close(&c);
    if (o == OUTCOME_DONE)
        print_quiet(d, json_pack("{s:s}", "id", id));
    return o;
}

/* --- a later end ---------------------------------------------------------------------------------------- */

static int64_t ca_end_ms(const char *pem)
{
    BIO *in = BIO_new_mem_buf(pem, -1);
    X509 *cert = in ? PEM_read_bio_X509(in, NULL, NULL, NULL) : NULL;
    struct tm end;
    int64_t end_ms = 0;

    if (cert && ASN1_TIME_to_tm(X509_get0_notAfter(cert), &end) == 1)
        end_ms = (int64_t)timegm(&end) * 1000;
    X509_free(cert);
    BIO_free(in);
    return end_ms;
}

bool sandbox_ca_lasts(const struct chest *c, int64_t until_ms)
{
    return until_ms <= ca_end_ms(json_text_of(c->policy, "ca"));
}

struct extending {
    int64_t expires_ms;
    json_t *result;
};

static enum outcome extend_edit(struct desk *d, void *cookie, struct chest *c, bool *changed)
{
    struct extending *e = cookie;

    json_object_set_new(c->policy, "expiresAt", json_integer((json_int_t)e->expires_ms));
    chest_touch(d, c->policy);
    json_decref(e->result);
    e->result = sandbox_object(c);
    *changed = true;
    return OUTCOME_DONE;
}

/* An expired sandbox may have lost its addresses to another: they are claimed before it lives again. Until its record is
 * written names and addresses stand as long as the later of both ends asks. */
static enum outcome extend_prepare(struct desk *d, const char *id, int64_t expires_ms)
{
    struct chest c;
    int64_t before_ms;
    enum outcome o;

    STEP(sandbox_read(d, id, &c));
    before_ms = json_number_of(c.policy, "expiresAt");
    if (before_ms && before_ms < expires_ms)
        json_object_set_new(c.policy, "expiresAt", json_integer((json_int_t)expires_ms));
    if (sandbox_ca_lasts(&c, expires_ms))
        o = entry_name(d, &c);
    else
        o = outcome_say(OUTCOME_REFUSED, "sandbox %s: its CA would end before it does, and can't be extended",
                        id);
    if (o == OUTCOME_DONE)
        o = entry_claim(d, &c);
    chest_close(&c);
    return o;
}

static enum outcome extend_run(struct desk *d, struct extending *e, const char *id)
{
    enum outcome o;

    STEP(extend_prepare(d, id, e->expires_ms));
    o = chest_edit(d, true, id, extend_edit, e);
    if (o == OUTCOME_NOT_FOUND)
        return sandbox_missing(id);
    STEP(o);
    STEP(db_tell_sandbox(d->db, id));
    return entry_affirm(d, id);
}

enum outcome sandbox_extend(struct desk *d, const char *const *words)
{
    struct extending e = {0};
    uint64_t ttl_s = 0;
    enum outcome o;

    STEP(order_number(d->order, OPTION_TTL, (uint64_t)SANDBOX_DAYS_MAX * DAY_S, &ttl_s));
    if (ttl_s == 0)
        return outcome_say(OUTCOME_USAGE, "--ttl SECONDS is needed");
    e.expires_ms = d->now_ms + (int64_t)ttl_s * 1000;
    o = extend_run(d, &e, words[0]);
    if (o == OUTCOME_DONE)
        print_quiet(d, e.result);
    else
        json_decref(e.result);
    return o;
}

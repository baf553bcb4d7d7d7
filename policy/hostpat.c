#include "hostpat.h"
#include "ip.h"
#include <idn2.h>
#include <libpsl.h>
#include <stdio.h>
#include <stdlib.h>

#define LABEL_MAX 63

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static bool is_hex(uint8_t c)
{
    return is_digit(c) || (octet_lower(c) >= 'a' && octet_lower(c) <= 'f');
}

static bool label_ok(struct slice label)
{
    if (label.len == 0 || label.len > LABEL_MAX || label.at[0] == '-' || label.at[label.len - 1] == '-')
        return false;
    for (size_t i = 0; i < label.len; i++) {
        uint8_t c = octet_lower(label.at[i]);

        if (!(c >= 'a' && c <= 'z') && !is_digit(c) && c != '-' && c != '_')
            return false;
    }
    return true;
}

/* WHATWG URL s.3.5, "ends in a number checker": such a last label makes the whole an address, well formed or not. */
static bool label_is_number(struct slice label)
{
    bool hex = label.len >= 2 && label.at[0] == '0' && octet_lower(label.at[1]) == 'x';

    for (size_t i = hex ? 2 : 0; i < label.len; i++)
        if (hex ? !is_hex(label.at[i]) : !is_digit(label.at[i]))
            return false;
    return true;
}

enum fault host_canonical(struct slice wire, struct host *out)
{
    struct slice label = SLICE_NONE, rest;

    if (wire.len && wire.at[wire.len - 1] == '.')
        wire.len--;
    if (wire.len == 0 || wire.len > HOST_MAX)
        return FAULT_INVALID;
    for (rest = wire;; rest = slice_drop(rest, label.len + 1)) {
        label = slice_first(rest, slice_find(rest, '.'));
        if (!label_ok(label))
            return FAULT_INVALID;
        if (label.len == rest.len)
            break;
    }
    if (label_is_number(label))
        return FAULT_INVALID;
    for (size_t i = 0; i < wire.len; i++)
        out->name[i] = (char)octet_lower(wire.at[i]);
    out->name[wire.len] = 0;
    out->len = (uint8_t)wire.len;
    out->literal = false;
    return FAULT_NONE;
}

struct host *host_keep(const struct host *from)
{
    struct host *kept = malloc(offsetof(struct host, name) + from->len + 1);

    if (kept)
        host_copy(kept, from);
    return kept;
}

enum fault host_literal(struct slice text, struct host *out)
{
    struct ip ip;

    if (text.len && text.at[0] == '[') {
        /* RFC 3986 s.3.2.2: brackets hold a v6 address, never a dotted quad. */
        if (text.at[text.len - 1] != ']' || slice_find(text, ':') == text.len)
            return FAULT_INVALID;
        text = slice_of(text.at + 1, text.len - 2);
    }
    TRY(ip_parse(text, &ip));
    out->len = (uint8_t)ip_text(ip, out->name);
    out->literal = true;
    return FAULT_NONE;
}

enum fault host_port(struct slice text, struct host *out, uint16_t *port)
{
    const uint8_t *colon = text.len ? memrchr(text.at, ':', text.len) : NULL;
    struct slice name = slice_first(text, colon ? (size_t)(colon - text.at) : 0);
    struct slice digits = slice_drop(text, name.len + 1);
    uint64_t number;

    if (!slice_number(digits, UINT16_MAX, &number) || digits.at[0] == '0')
        return FAULT_INVALID;
    if (slice_find(name, ':') < name.len && name.at[0] != '[')
        return FAULT_INVALID;
    *port = (uint16_t)number;
    return host_canonical(name, out) == FAULT_NONE ? FAULT_NONE : host_literal(name, out);
}

/* --- lists ---------------------------------------------------------------------------------------------- */

enum kind { KIND_NAME, KIND_BELOW, KIND_LITERAL, KIND_COUNT };

struct hostlist {
    bool any;
    size_t count;
    struct run {
        struct slice *at; /* sorted */
        size_t n;
    } runs[KIND_COUNT];
    struct slice *patterns; /* what the runs are cut from */
    uint8_t *text;
};

static int slice_order(const void *a, const void *b)
{
    const struct slice *x = a, *y = b;
    int order = memcmp(x->at, y->at, x->len < y->len ? x->len : y->len);

    return order ? order : (x->len > y->len) - (x->len < y->len);
}

/* The kind of ${pattern}, which must stand in canonical form already; *key is what is compared. */
static enum fault pattern_kind(struct slice pattern, enum kind *kind, struct slice *key)
{
    struct host h;
    bool below = slice_starts(pattern, SLICE("*."));

    *key = below ? slice_drop(pattern, 2) : pattern;
    if (host_canonical(*key, &h) == FAULT_NONE)
        *kind = below ? KIND_BELOW : KIND_NAME;
    else if (!below && host_literal(*key, &h) == FAULT_NONE)
        *kind = KIND_LITERAL;
    else
        return FAULT_INVALID;
    return slice_equal(host_name(&h), *key) ? FAULT_NONE : FAULT_INVALID;
}

static enum fault hostlist_count_kinds(struct hostlist *l, const struct slice *patterns, size_t n,
                                       size_t *octets)
{
    for (size_t i = 0; i < n; i++) {
        enum kind kind;
        struct slice key;

        if (slice_equal(patterns[i], SLICE("*"))) {
            l->any = true;
            continue;
        }
        TRY(pattern_kind(patterns[i], &kind, &key));
        l->runs[kind].n++;
        *octets += key.len;
    }
    return FAULT_NONE;
}

static enum fault hostlist_fill(struct hostlist *l, const struct slice *patterns, size_t n, size_t octets)
{
    size_t at = 0, begin = 0;

    /* One more, so that an empty list needs no case of its own. */
    l->text = malloc(octets + 1);
    l->patterns = calloc(n + 1, sizeof *l->patterns);
    if (!l->text || !l->patterns)
        return FAULT_NO_MEMORY;
    for (size_t kind = 0; kind < KIND_COUNT; kind++) {
        l->runs[kind].at = l->patterns + begin;
        begin += l->runs[kind].n;
        l->runs[kind].n = 0;
    }
    for (size_t i = 0; i < n; i++) {
        enum kind kind;
        struct slice key;

        if (slice_equal(patterns[i], SLICE("*")))
            continue;
        TRY(pattern_kind(patterns[i], &kind, &key));
        memcpy(l->text + at, key.at, key.len);
        l->runs[kind].at[l->runs[kind].n++] = slice_of(l->text + at, key.len);
        at += key.len;
    }
    for (size_t kind = 0; kind < KIND_COUNT; kind++)
        qsort(l->runs[kind].at, l->runs[kind].n, sizeof(struct slice), slice_order);
    return FAULT_NONE;
}

enum fault hostlist_new(const struct slice *patterns, size_t n, struct hostlist **out)
{
    struct hostlist *l = calloc(1, sizeof *l);
    size_t octets = 0;
    enum fault why;

    if (!l)
        return FAULT_NO_MEMORY;
    l->count = n;
    why = hostlist_count_kinds(l, patterns, n, &octets);
    if (why == FAULT_NONE)
        why = hostlist_fill(l, patterns, n, octets);
    if (why != FAULT_NONE) {
        hostlist_free(l);
        return why;
    }
    *out = l;
    return FAULT_NONE;
}

void hostlist_free(struct hostlist *l)
{
    if (!l)
        return;
    free(l->patterns);
    free(l->text);
    free(l);
}

size_t hostlist_count(const struct hostlist *l)
{
    return l->count;
}

static bool run_has(const struct run *run, struct slice key)
{
    return run->n && bsearch(&key, run->at, run->n, sizeof key, slice_order);
}

/* The part of ${name} that stands in the run of those below it; nothing: none does. */
static struct slice below_find(const struct hostlist *l, struct slice name)
{
    for (size_t dot; (dot = slice_find(name, '.')) < name.len;) {
        name = slice_drop(name, dot + 1);
        if (run_has(&l->runs[KIND_BELOW], name))
            return name;
    }
    return SLICE_NONE;
}

bool hostlist_match(const struct hostlist *l, const struct host *h)
{
    struct slice name = host_name(h);

    if (name.len == 0)
        return false;
    if (h->literal)
        return run_has(&l->runs[KIND_LITERAL], name);
    return l->any || run_has(&l->runs[KIND_NAME], name) || below_find(l, name).len;
}

bool hostlist_rule(const struct hostlist *l, const struct host *h, char *pattern)
{
    struct slice name = host_name(h), below = below_find(l, name);

    if (!hostlist_match(l, h))
        return false;
    if (run_has(&l->runs[h->literal ? KIND_LITERAL : KIND_NAME], name))
        snprintf(pattern, HOSTPAT_TEXT, "%.*s", SLICE_PRINTF(name));
    else
        snprintf(pattern, HOSTPAT_TEXT, "*%s%.*s", below.len ? "." : "", SLICE_PRINTF(below));
    return true;
}

/* --- what an operator typed ----------------------------------------------------------------------------- */

#define TYPED_MAX 1024 /* U-labels are longer than the A-labels that they become */

static const char *typed_refused(struct slice typed)
{
    static const struct {
        char octet;
        const char *why;
    } table[] = {
        {'/', "a pattern is a host alone: no scheme, no path, no network"},
        {'@', "a pattern is a host alone: no user"},
        {'?', "a pattern is a host alone: no query"},
        {'#', "a pattern is a host alone: no fragment"},
        {'\\', "a pattern is a host alone: no backslash"},
        {',', "one pattern at a time: no comma"},
        {':', "a pattern is a host alone: no port, no scheme"},
        {'[', "brackets may only hold a v6 address"},
        {']', "brackets may only hold a v6 address"},
        {'*', "the wildcard stands alone or as the whole first label: * or *.example.com"},
    };

    if (typed.len == 0)
        return "the pattern is empty";
    if (typed.len > TYPED_MAX)
        return "the pattern is too long";
    for (size_t i = 0; i < typed.len; i++)
        if (typed.at[i] <= ' ' || typed.at[i] == 0x7f)
            return "the pattern holds a space or a control character";
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (slice_find(typed, (uint8_t)table[i].octet) < typed.len)
            return table[i].why;
    return NULL;
}

static bool is_ascii(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.at[i] >= 0x80)
            return false;
    return true;
}

static const char *typed_canonical(struct slice typed, struct host *out)
{
    /* NONTRANSITIONAL is IDNA2008 with UTS 46 mapping: what browsers resolve. It would refuse r3---sn.example, whose
     * hyphens are in use; without it, of ASCII labels only the A-labels are examined. */
    int flags = IDN2_NFC_INPUT | (is_ascii(typed) ? IDN2_NO_TR46 : IDN2_NONTRANSITIONAL);
    uint8_t word[TYPED_MAX + 1], *ascii = NULL;
    enum fault why;

    memcpy(word, typed.at, typed.len);
    word[typed.len] = 0;
    if (idn2_lookup_u8(word, &ascii, flags) != IDN2_OK)
        return "a label is not valid (IDNA2008)";
    why = host_canonical(slice_text((const char *)ascii), out);
    idn2_free(ascii);
    return why == FAULT_NONE ? NULL : "not a host name";
}

static const char *wildcard_refused(const struct host *below, const char **warning)
{
    static const psl_ctx_t *suffixes; /* kept for the life of the process */

    if (slice_find(host_name(below), '.') == below->len)
        return "a wildcard may not cover a whole top-level domain";
    if (!suffixes)
        suffixes = psl_latest(NULL);
    if (!suffixes)
        suffixes = psl_builtin();
    if (!suffixes)
        return "no public suffix list is installed, so wildcards can't be checked";
    if (psl_is_public_suffix2(suffixes, below->name, PSL_TYPE_ICANN))
        return "a wildcard may not cover a public suffix";
    if (psl_is_public_suffix2(suffixes, below->name, PSL_TYPE_PRIVATE))
        *warning = "this wildcard covers names that belong to many different people";
    return NULL;
}

const char *hostpat_check(struct slice pattern, char *out, const char **warning)
{
    struct host h;
    bool below = slice_starts(pattern, SLICE("*."));
    struct slice typed = below ? slice_drop(pattern, 2) : pattern;
    const char *why = NULL;

    *warning = NULL;
    if (slice_equal(pattern, SLICE("*"))) {
        memcpy(out, "*", sizeof "*");
        return NULL;
    }
    if (below || host_literal(pattern, &h) != FAULT_NONE) {
        why = typed_refused(typed);
        if (!why)
            why = typed_canonical(typed, &h);
        if (!why && below)
            why = wildcard_refused(&h, warning);
    }
    if (why)
        return why;
    memcpy(out, "*.", 2);
    memcpy(out + (below ? 2 : 0), h.name, (size_t)h.len + 1);
    return NULL;
}

#include "hostpat.h"
#include <stdlib.h>

/*
 * Lines of octets: the first is a host, the others are patterns. Names, lists and matches are compared with the
 * plainest reading of the contract; what an operator may type must be fit for a list.
 */
#define PATTERNS_MAX 64

#define MUST(holds)   \
    do {              \
        if (!(holds)) \
            abort();  \
    } while (0)

static void name_check(struct slice wire, const struct host *h)
{
    struct host again;

    MUST(h->len > 0 && h->len == strlen(h->name) && h->len <= HOST_MAX);
    MUST(wire.len == h->len || (wire.len == h->len + 1u && wire.at[h->len] == '.'));
    MUST(slice_equal_nocase(slice_first(wire, h->len), host_name(h)));
    MUST(strspn(h->name, "abcdefghijklmnopqrstuvwxyz0123456789-_.") == h->len);
    MUST(!strstr(h->name, "..") && h->name[0] != '.' && h->name[h->len - 1] != '.');
    MUST(!strstr(h->name, ".-") && !strstr(h->name, "-.") && h->name[0] != '-');
    MUST(host_canonical(host_name(h), &again) == FAULT_NONE && strcmp(again.name, h->name) == 0);
    MUST(host_literal(host_name(h), &again) != FAULT_NONE); /* never an address as well */
}

static void literal_check(const struct host *h)
{
    struct host again;

    MUST(host_literal(host_name(h), &again) == FAULT_NONE && strcmp(again.name, h->name) == 0);
    MUST(host_canonical(host_name(h), &again) != FAULT_NONE);
}

static bool naive_ok(struct slice p)
{
    struct host h;
    bool below = slice_starts(p, SLICE("*."));

    if (slice_equal(p, SLICE("*")))
        return true;
    if (below)
        p = slice_drop(p, 2);
    if (host_canonical(p, &h) != FAULT_NONE && (below || host_literal(p, &h) != FAULT_NONE))
        return false;
    return slice_equal(p, host_name(&h));
}

static bool naive_covers(struct slice p, const struct host *h)
{
    if (slice_equal(p, host_name(h)))
        return true;
    if (h->literal)
        return false;
    if (slice_equal(p, SLICE("*")))
        return true;
    return slice_starts(p, SLICE("*.")) && h->len > p.len - 1 && slice_ends(host_name(h), slice_drop(p, 1));
}

static void typed_check(struct slice typed)
{
    char out[HOST_MAX + 3];
    const char *warning;
    struct hostlist *l;
    struct slice got;

    if (hostpat_check(typed, out, &warning))
        return;
    got = slice_text(out);
    MUST(got.len < sizeof out && hostlist_new(&got, 1, &l) == FAULT_NONE);
    hostlist_free(l);
}

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len)
{
    struct slice patterns[PATTERNS_MAX], rest = slice_of(at, len), wire;
    struct hostlist *l = NULL;
    struct host h;
    bool known = true, ok = true, covered = false;
    size_t n = 0;

    wire = slice_first(rest, slice_find(rest, '\n'));
    rest = slice_drop(rest, wire.len + 1);
    while (rest.len && n < PATTERNS_MAX) {
        patterns[n] = slice_first(rest, slice_find(rest, '\n'));
        rest = slice_drop(rest, patterns[n].len + 1);
        ok = ok && naive_ok(patterns[n++]);
    }
    if (host_canonical(wire, &h) == FAULT_NONE)
        name_check(wire, &h);
    else if (host_literal(wire, &h) == FAULT_NONE)
        literal_check(&h);
    else
        known = false;
    MUST((hostlist_new(patterns, n, &l) == FAULT_NONE) == ok);
    if (ok) {
        for (size_t i = 0; known && i < n; i++)
            covered = covered || naive_covers(patterns[i], &h);
        MUST(!known || hostlist_match(l, &h) == covered);
        MUST(hostlist_count(l) == n);
    }
    hostlist_free(l);
    for (size_t i = 0; i < n; i++)
        typed_check(patterns[i]);
    typed_check(wire);
    return 0;
}

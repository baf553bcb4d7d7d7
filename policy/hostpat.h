#pragma once
#include "fault.h"
#include "slice.h"

/*
 * hostpat - host names on the wire, and the patterns that lists are made of.
 *
 *   Layer   service (policy).
 *   Why     one canonical form, made in one place: what is matched is what is resolved, dialled, verified and logged.
 *   Bounds  a name has at most HOST_MAX octets. Matching costs the logarithm of the list, times the labels of the name.
 */
#define HOST_MAX 253

struct host {
    uint8_t len;             /* 0: none */
    bool literal;            /* an address: matched only by the same address, never by '*' or an empty list */
    char name[HOST_MAX + 1]; /* canonical, NUL-terminated; a v6 literal stands without brackets */
};

/* The name of ${h}; nothing of NULL. */
static inline struct slice host_name(const struct host *h)
{
    return h ? slice_of(h->name, h->len) : SLICE_NONE;
}

/* host_copy(to, from): its name's octets alone. */
static inline void host_copy(struct host *to, const struct host *from)
{
    memcpy(to, from, offsetof(struct host, name) + from->len + 1);
}

/* host_keep(from): a copy that takes no more memory than its name, for what is kept by thousands; never to be assigned,
 * only host_copied. free() ends it. NULL: out of memory. */
struct host *host_keep(const struct host *from);

/*
 * host_canonical(wire, out): a name as it came in SNI or Host.
 *   Gives   lower case, one trailing dot removed.
 *   Fails   FAULT_INVALID: empty, longer than HOST_MAX, a label empty or over 63 octets or with anything but letters,
 *           digits, '-' (not at its ends) and '_'; or a last label that is all digits or 0x-hex, which some resolver
 *           somewhere reads as an address (WHATWG URL s.3.5). Address literals are refused: see host_literal.
 */
enum fault host_canonical(struct slice wire, struct host *out) CHECKED;

/* host_literal(text, out): an address as text, v6 with or without brackets, in canonical form. Fails FAULT_INVALID. */
enum fault host_literal(struct slice text, struct host *out) CHECKED;

/* host_port(text, out, port): HOST:PORT, the host in either form, a v6 literal in brackets only, or its last group could be
 * read as a port. Fails FAULT_INVALID: also a port of 0, over 65535 or with a zero in front. */
enum fault host_port(struct slice text, struct host *out, uint16_t *port) CHECKED;

/* A list of patterns, sorted; empty means what the caller says it means. */
struct hostlist;

/*
 * hostlist_new(patterns, n, out): from "host", "*.below", "*" and address literals, in canonical form.
 *   Owns    nothing of ${patterns} afterwards.
 *   Fails   FAULT_INVALID: a pattern that is none of these (any invalid entry fails the whole list, closed);
 *           FAULT_NO_MEMORY.
 */
enum fault hostlist_new(const struct slice *patterns, size_t n, struct hostlist **out) CHECKED;
void hostlist_free(struct hostlist *l);
size_t hostlist_count(const struct hostlist *l);

/*
 * hostlist_match(l, h): does one pattern of ${l} cover ${h}? "*.x" covers one or more labels below x, never x itself;
 *   "*" every name; a literal only the same literal. An empty list covers nothing.
 */
bool hostlist_match(const struct hostlist *l, const struct host *h);

/* hostlist_rule(l, h, pattern): the same, and the narrowest pattern that covers it, HOSTPAT_TEXT octets. */
#define HOSTPAT_TEXT (HOST_MAX + sizeof("*."))
bool hostlist_rule(const struct hostlist *l, const struct host *h, char *pattern);

/*
 * hostpat_check(pattern, out, warning): what an operator typed, made canonical: U-labels become A-labels (IDNA2008),
 *   upper case lower, one trailing dot is removed.
 *   Gives   out       canonical pattern, NUL-terminated, HOST_MAX + 3 octets.
 *           *warning  a sentence when the pattern is legal but wide (a private public suffix), else NULL.
 *   Fails   a static sentence that says why it is refused (scheme, port, path, inner wildcard, a wildcard over a single
 *           label or an ICANN public suffix, bad label); NULL when it is accepted.
 *   Costs   loads the public suffix list at first use: for osbctl only, never on the data path.
 */
const char *hostpat_check(struct slice pattern, char *out, const char **warning);

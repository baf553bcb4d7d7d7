#pragma once
#include "patterns.h"
#include "scrub.h"
#include "spelling.h"
#include <stdlib.h>

/*
 * scrubref - what scrub must make of a text, found out plainly; and scrub itself, fed as relay feeds a filter.
 *
 *   Why     the unit tests and the fuzzer hold the same thing against the same reference.
 */
#define REF_PATTERNS 512
#define REF_OCTETS   ((size_t)1 << 20)
#define REF_TEXT     ((size_t)1 << 16)

struct reference {
    struct slice pattern[REF_PATTERNS];
    size_t patterns, octets, longest;
    uint8_t pool[REF_OCTETS];
};

static inline void ref_demand(bool held)
{
    if (!held)
        abort();
}

/* For values without blanks around them and of a length that needs no pieces. */
static inline void ref_add(struct reference *r, struct slice value)
{
    for (size_t i = 0; value.len >= SCRUB_LEAST && i < SPELLINGS; i++) {
        uint8_t *at = r->pool + r->octets;
        size_t n = spelling_write(i, value, NULL);

        if (n == 0)
            continue;
        ref_demand(r->patterns < REF_PATTERNS && r->octets + n <= REF_OCTETS);
        ref_demand(spelling_write(i, value, at) == n);
        r->pattern[r->patterns++] = slice_of(at, n);
        r->octets += n;
        r->longest = n > r->longest ? n : r->longest;
    }
}

/* Spellings that are the same may be looked at once: at the first. */
static inline bool ref_first(const struct reference *r, size_t pattern)
{
    for (size_t i = 0; i < pattern; i++)
        if (slice_equal(r->pattern[i], r->pattern[pattern]))
            return false;
    return true;
}

/* Mask what whole patterns cover; gives the number of masks. */
static inline size_t ref_mask(const struct reference *r, struct slice text, uint8_t *out)
{
    static bool covered[REF_TEXT];
    size_t run = 0, masks = 0;

    memset(covered, 0, text.len);
    for (size_t at = 0; at < text.len; at++)
        for (size_t i = 0; i < r->patterns; i++)
            if (slice_starts(slice_drop(text, at), r->pattern[i]))
                memset(covered + at, true, r->pattern[i].len);
    for (size_t at = 0; at < text.len; at++) {
        run = covered[at] ? run + 1 : 0;
        masks += run == 1;
        out[at] = run == 0 ? text.at[at] : run <= 12 ? (uint8_t) "osb_redacted"[run - 1] : '*';
    }
    return masks;
}

/* Are the first ${n} octets of ${got} as ${want} has them, but for less than a step of what was no whole value yet when it
 * was let go: there they are as they were said? */
static inline bool ref_agrees(const uint8_t *got, const uint8_t *want, const uint8_t *said, size_t n)
{
    size_t bare = 0;

    for (size_t i = 0; i < n; i++) {
        bare = got[i] == want[i] ? 0 : bare + 1;
        if (bare == PATTERN_STEP || (bare && got[i] != said[i]))
            return false;
    }
    return true;
}

/* One stream through a scrub: what is left over is fed again, in memory of its own so that no octet too many is read. */
struct scrubbed {
    struct scrub scrub;
    struct buf out;
    size_t fed, held, released;
    uint8_t said[REF_TEXT], text[REF_TEXT]; /* what was fed, and what is out */
};

static inline void scrubbed_begin(struct scrubbed *s, const struct scrubs *set, enum media media, size_t room)
{
    scrub_begin(&s->scrub, set, media);
    s->out = (struct buf){0};
    s->fed = s->held = s->released = 0;
    ref_demand(buf_open(&s->out, room) == FAULT_NONE);
}

/* Feed ${in} behind what is left over, until nothing more comes out; false: the filter broke its contract. */
static inline bool scrubbed_feed(struct scrubbed *s, struct slice in, bool last)
{
    enum fault f = FAULT_FULL;
    size_t used, len = s->held + in.len;
    uint8_t *run = malloc(len ? len : 1);
    bool kept = run != NULL;

    ref_demand(kept && s->fed + in.len <= REF_TEXT);
    if (s->held)
        memcpy(run, s->said + s->fed - s->held, s->held);
    if (in.len) {
        memcpy(run + s->held, in.at, in.len);
        memcpy(s->said + s->fed, in.at, in.len);
    }
    s->fed += in.len;
    for (size_t at = 0; kept && f == FAULT_FULL; at += used) {
        f = s->scrub.filter.feed(&s->scrub.filter, slice_of(run + at, len - at), last, &s->out, &used);
        struct slice got = buf_held(&s->out);

        kept = used <= len - at && got.len <= len - at &&
               (f == FAULT_FULL ? buf_free(&s->out) == 0 : f == FAULT_NONE);
        memcpy(s->text + s->released, got.at, got.len);
        s->released += got.len;
        s->held = len - at - used;
        /* Before its time goes only what a message is waited for. */
        kept = kept && (s->scrub.enveloped ? s->released >= s->fed - s->held && s->released <= s->fed
                                           : s->released == s->fed - s->held);
        buf_take(&s->out, got.len);
    }
    free(run);
    return kept && s->held <= (last ? 0 : s->scrub.filter.hold);
}

static inline void scrubbed_end(struct scrubbed *s)
{
    buf_close(&s->out);
}

#include "standing.h"
#include "seek.h"
#include "subst.h"
#include <assert.h>

void standing_begin(struct standing *s, enum media media, struct slice boundary)
{
    *s = (struct standing){.state = STANDING_WHOLE};
    ground_begin(&s->ground, media);
    if (media != MEDIA_MULTIPART)
        return;
    assert(boundary.len > 0 && boundary.len <= MEDIA_BOUNDARY_MAX);
    memcpy(s->delimiter, "\r\n--", 4);
    memcpy(s->delimiter + 4, boundary.at, boundary.len);
    s->delimiter_octets = 4 + boundary.len;
    s->matched = 2; /* the first line has no CRLF before it */
    s->state = STANDING_PREAMBLE;
}

static struct slice delimiter_of(const struct standing *s)
{
    return slice_of(s->delimiter, s->delimiter_octets);
}

/* --- the parts' heads ------------------------------------------------------------------------------------- */

/* Two types, or a line that is no field: readers may differ. */
static void field_judge(struct standing *s)
{
    struct slice field = slice_of(s->field, s->field_octets);
    size_t colon = slice_find(field, ':');
    struct slice name = slice_trim(slice_first(field, colon)),
                 value = slice_trim(slice_drop(field, colon + 1));

    bool cut = s->field_octets == STANDING_FIELD; /* what is behind that may be what some reader goes by */

    s->field_octets = 0;
    if (colon == field.len) {
        s->state = STANDING_LOST;
    } else if (slice_equal_nocase(name, SLICE("Content-Type"))) {
        if (s->part != MEDIA_BINARY)
            s->part = s->typed || cut ? MEDIA_BINARY : media_of(value);
        s->typed = true;
    } else if (slice_equal_nocase(name, SLICE("Content-Transfer-Encoding"))) {
        if (cut || (!slice_equal_nocase(value, SLICE("7bit")) && !slice_equal_nocase(value, SLICE("8bit")) &&
                    !slice_equal_nocase(value, SLICE("binary"))))
            s->part = MEDIA_BINARY;
    }
}

static void part_begin(struct standing *s)
{
    ground_begin(&s->ground, s->part == MEDIA_MULTIPART ? MEDIA_TEXT : s->part);
    s->matched = 2; /* the CRLF that ends the head may be that of a delimiter */
    s->state = STANDING_PART;
}

/* The line before is judged when this one does not go on with it (RFC 5322 s.2.2.3). */
static void line_end(struct standing *s)
{
    bool empty = !s->line_begun;

    s->cr = s->line_begun = false;
    if (!empty)
        return;
    if (s->field_octets)
        field_judge(s);
    if (s->state == STANDING_HEAD)
        part_begin(s);
}

static void head_octet(struct standing *s, uint8_t c)
{
    if (c == '\n' && s->cr) {
        line_end(s);
        return;
    }
    if (c == '\n' || s->cr) {
        s->state = STANDING_LOST;
        return;
    }
    if (c == '\r') {
        s->cr = true;
        return;
    }
    if (!s->line_begun && c != ' ' && c != '\t' && s->field_octets)
        field_judge(s);
    s->line_begun = true;
    if (s->field_octets < STANDING_FIELD)
        s->field[s->field_octets++] = c;
}

/* Behind a delimiter: blanks and CRLF, or the end of it all, or something that some reader may take for a delimiter. */
static void delimiter_octet(struct standing *s, uint8_t c)
{
    if (s->cr && c == '\n') {
        s->cr = false;
        s->state = STANDING_HEAD;
    } else if (!s->cr && c == '\r') {
        s->cr = true;
    } else if (s->cr || (c != ' ' && c != '\t')) {
        s->state = STANDING_LOST;
    }
}

/* --- what goes by ----------------------------------------------------------------------------------------- */

/* In a part, or before the first: behind the next delimiter, or all of ${octets}. */
static size_t body_pass(struct standing *s, struct slice octets)
{
    size_t n = seek_on(octets, delimiter_of(s), &s->matched);

    if (s->state == STANDING_PART)
        ground_pass(&s->ground, slice_first(octets, n));
    if (s->matched == s->delimiter_octets) {
        s->state = STANDING_LINE;
        s->matched = 0;
        s->typed = s->line_begun = s->cr = false;
        s->field_octets = 0;
        s->part = MEDIA_TEXT;
    }
    return n;
}

void standing_pass(struct standing *s, struct slice octets)
{
    if (s->state == STANDING_WHOLE) {
        ground_pass(&s->ground, octets);
        return;
    }
    while (octets.len && s->state != STANDING_LOST) {
        size_t n = 1;

        if (s->state == STANDING_LINE)
            delimiter_octet(s, octets.at[0]);
        else if (s->state == STANDING_HEAD)
            head_octet(s, octets.at[0]);
        else
            n = body_pass(s, octets);
        octets = slice_drop(octets, n);
    }
}

/* --- what comes ------------------------------------------------------------------------------------------- */

/* Does ${text} begin ${in}? FAULT_AGAIN: it may. */
static enum fault begins(struct slice in, struct slice text, bool last, bool *yes)
{
    struct slice seen = slice_first(in, text.len);

    *yes = slice_equal(seen, text);
    return !*yes && !last && slice_starts(text, seen) ? FAULT_AGAIN : FAULT_NONE;
}

/* Does ${behind} begin with a delimiter that nobody can doubt? Padding is not looked for: that would have no bound. */
static enum fault part_ends(const struct standing *s, struct slice behind, bool last, bool *yes)
{
    bool closed;

    TRY(begins(behind, delimiter_of(s), last, yes));
    if (!*yes)
        return FAULT_NONE;
    behind = slice_drop(behind, s->delimiter_octets);
    TRY(begins(behind, SLICE("\r\n"), last, yes));
    TRY(begins(behind, SLICE("--"), last, &closed));
    *yes = *yes || closed;
    return FAULT_NONE;
}

enum fault standing_at(const struct standing *s, struct slice rest, bool last, struct where *out)
{
    struct slice behind = slice_drop(rest, SUBST_TOKEN);
    bool delimiter = false, ends;

    if (s->state == STANDING_WHOLE)
        return ground_at(&s->ground, behind, last, out);
    *out = (struct where){.barred = true};
    if (s->state != STANDING_PART)
        return FAULT_NONE;
    if (s->matched) /* a boundary may have a token in it */
        TRY(begins(rest, slice_drop(delimiter_of(s), s->matched), last, &delimiter));
    if (delimiter)
        return FAULT_NONE;
    TRY(part_ends(s, behind, last, &ends));
    TRY(ground_at(&s->ground, ends ? SLICE_NONE : behind, last || ends, out));
    out->alone = out->alone || (s->ground.empty && ends);
    return FAULT_NONE;
}

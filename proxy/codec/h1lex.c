#include "h1lex.h"
#include "msg.h"
#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* Where the first CR, LF or NUL of ${s} is; s.len where there is none. */
static size_t breaker_find(struct slice s)
{
    size_t at = 0;

#ifdef __SSE2__
    const __m128i cr = _mm_set1_epi8('\r'), lf = _mm_set1_epi8('\n'), nul = _mm_setzero_si128();

    for (; at + 16 <= s.len; at += 16) {
        __m128i run = _mm_loadu_si128((const __m128i *)(const void *)(s.at + at));
        __m128i hits = _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(run, cr), _mm_cmpeq_epi8(run, lf)),
                                    _mm_cmpeq_epi8(run, nul));
        unsigned bits = (unsigned)_mm_movemask_epi8(hits);

        if (bits)
            return at + (size_t)__builtin_ctz(bits);
    }
#endif
    while (at < s.len && s.at[at] != '\r' && s.at[at] != '\n' && s.at[at] != '\0')
        at++;
    return at;
}

enum fault h1lex_end(struct slice in, size_t *from, size_t *end)
{
    for (;;) {
        *from += breaker_find(slice_drop(in, *from));
        if (*from < in.len && in.at[*from] != '\r')
            return FAULT_BAD_REQUEST;
        if (in.len - *from < 2)
            return FAULT_AGAIN;
        if (in.at[*from + 1] != '\n')
            return FAULT_BAD_REQUEST;
        /* Nothing stands on this line: it follows another line's LF at once, or is the first. */
        if (*from == 0 || in.at[*from - 1] == '\n') {
            *end = *from + 2;
            return FAULT_NONE;
        }
        *from += 2;
    }
}

/* The next line of ${head}, without its CR LF; false at the empty one, which must be the last. */
static enum fault line_take(struct slice *head, struct slice *line)
{
    *line = slice_first(*head, slice_find(*head, '\n'));
    if (line->len == head->len || line->len == 0 || line->at[line->len - 1] != '\r')
        return FAULT_BAD_REQUEST;
    *head = slice_drop(*head, line->len + 1);
    line->len--;
    if (line->len > 0)
        return FAULT_NONE;
    return head->len == 0 ? FAULT_END : FAULT_BAD_REQUEST;
}

static bool version_ok(struct slice s)
{
    return slice_equal(s, SLICE("HTTP/1.1")) || slice_equal(s, SLICE("HTTP/1.0"));
}

static bool request_line_ok(struct slice line)
{
    struct slice method = slice_first(line, slice_find(line, ' ')), rest = slice_drop(line, method.len + 1);
    struct slice target = slice_first(rest, slice_find(rest, ' '));

    return field_name_ok(method) && target.len > 0 && octets_are(target, OCTET_TARGET) &&
           version_ok(slice_drop(rest, target.len + 1));
}

static bool status_line_ok(struct slice line)
{
    struct slice version = slice_first(line, slice_find(line, ' ')), rest = slice_drop(line, version.len + 1);
    struct slice reason = slice_drop(rest, 4);
    uint64_t status;

    return version_ok(version) && rest.len >= 4 && rest.at[3] == ' ' &&
           slice_number(slice_first(rest, 3), 999, &status) && octets_are(reason, OCTET_VALUE) &&
           (reason.len == 0 || (reason.at[0] != ' ' && reason.at[0] != '\t'));
}

enum fault h1lex_fields(struct slice section, size_t *lines)
{
    for (size_t n = 0;; n++) {
        struct slice line;
        enum fault why = line_take(&section, &line);
        size_t colon;

        if (why == FAULT_END) {
            *lines = n;
            return FAULT_NONE;
        }
        TRY(why);
        colon = slice_find(line, ':');
        /* A folded line fails here too: a blank is no tchar. */
        if (colon == line.len || !field_name_ok(slice_first(line, colon)) ||
            !octets_are(slice_drop(line, colon + 1), OCTET_VALUE))
            return FAULT_BAD_REQUEST;
    }
}

enum fault h1lex_screen(struct slice head, bool request, size_t *lines)
{
    struct slice first;

    if (line_take(&head, &first) != FAULT_NONE)
        return FAULT_BAD_REQUEST;
    if (!(request ? request_line_ok(first) : status_line_ok(first)))
        return FAULT_BAD_REQUEST;
    return h1lex_fields(head, lines);
}

bool h1lex_next(struct slice *section, struct slice *name, struct slice *value)
{
    struct slice line = slice_first(*section, slice_find(*section, '\r'));

    if (line.len == 0)
        return false;
    *name = slice_first(line, slice_find(line, ':'));
    *value = slice_trim(slice_drop(line, name->len + 1));
    *section = slice_drop(*section, line.len + 2);
    return true;
}

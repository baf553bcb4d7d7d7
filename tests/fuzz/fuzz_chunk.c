#include "chunk.h"
#include <stdlib.h>

/*
 * The chunked coding, cut where the input says, against a reader of the whole by the letter of RFC 9112 s.7.1.
 */
#define BODY_OCTETS 65536

struct outcome {
    enum fault why;
    size_t len, used;
    uint8_t body[BODY_OCTETS];
};

static int hex_value(uint8_t c)
{
    const char *digits = "0123456789abcdef", *hit = c ? strchr(digits, octet_lower(c)) : NULL;

    return hit ? (int)(hit - digits) : -1;
}

/* One line of size and extension; FAULT_AGAIN when the input ends inside it. */
static enum fault naive_line(struct slice in, size_t *at, uint64_t *size, unsigned *extensions)
{
    size_t digits = 0, extension = 0;

    *size = 0;
    for (; *at < in.len && hex_value(in.at[*at]) >= 0; ++*at, digits++) {
        __extension__ unsigned __int128 wide =
            (unsigned __int128)*size * 16 + (unsigned)hex_value(in.at[*at]);

        if (digits == 16 || wide > UINT64_C(1) << 62)
            return FAULT_BAD_REQUEST;
        *size = (uint64_t)wide;
    }
    if (*at == in.len)
        return FAULT_AGAIN;
    if (digits == 0)
        return FAULT_BAD_REQUEST;
    if (in.at[*at] == ';')
        for (++*at; *at < in.len && in.at[*at] != '\r'; ++*at) {
            uint8_t c = in.at[*at];

            if ((c < ' ' && c != '\t') || c == 0x7f || ++extension > 1024 || ++*extensions > 16384)
                return FAULT_BAD_REQUEST;
        }
    for (const char *want = "\r\n"; *want; want++, ++*at) {
        if (*at == in.len)
            return FAULT_AGAIN;
        if (in.at[*at] != (uint8_t)*want)
            return FAULT_BAD_REQUEST;
    }
    return FAULT_NONE;
}

static void naive(struct slice in, struct outcome *got)
{
    unsigned extensions = 0;
    uint64_t size;
    size_t at = 0;

    got->len = 0;
    for (;;) {
        got->why = naive_line(in, &at, &size, &extensions);
        if (got->why == FAULT_NONE && size == 0)
            got->why = FAULT_END;
        if (got->why != FAULT_NONE)
            break;
        for (; size > 0 && at < in.len; size--)
            got->body[got->len++] = in.at[at++];
        for (const char *want = "\r\n"; *want && got->why == FAULT_NONE; want++) {
            if (at == in.len)
                got->why = FAULT_AGAIN;
            else if (in.at[at++] != (uint8_t)*want)
                got->why = FAULT_BAD_REQUEST;
        }
        if (got->why != FAULT_NONE)
            break;
    }
    got->used = at;
}

static void cut(struct slice in, size_t piece, struct outcome *got)
{
    struct chunk c;
    size_t held = 0;

    chunk_begin(&c);
    got->len = got->used = 0;
    for (;;) {
        struct slice rest = slice_drop(slice_first(in, held), got->used), run;
        size_t skip;

        got->why = chunk_next(&c, rest, &skip, &run);
        if (skip + run.len > rest.len || (got->why == FAULT_NONE) != (run.len > 0))
            abort();
        got->used += skip;
        if (got->why == FAULT_AGAIN && held < in.len) {
            held = held + piece < in.len ? held + piece : in.len;
            continue;
        }
        if (got->why != FAULT_NONE)
            return;
        /* A caller may use less than the run. */
        run = slice_first(run, piece);
        memcpy(got->body + got->len, run.at, run.len);
        got->len += run.len;
        got->used += run.len;
        chunk_took(&c, run.len);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len)
{
    static struct outcome want, got;
    struct slice in = slice_of(at, len);

    if (len == 0 || len > BODY_OCTETS)
        return 0;
    in = slice_drop(in, 1);
    naive(in, &want);
    cut(in, at[0] + 1U, &got);
    if (got.why != want.why || got.len != want.len || memcmp(got.body, want.body, want.len) != 0)
        abort();
    if (got.why == FAULT_END && got.used != want.used)
        abort();
    return 0;
}

#include "chunk.h"
#include "msg.h"

#define DIGITS_MAX       16   /* leading zeros are legal, endless ones are not */
#define EXTENSION_MAX    1024 /* of a chunk */
#define EXTENSIONS_MAX   16384
#define CHUNK_OCTETS_MAX (UINT64_C(1) << 62)

void chunk_begin(struct chunk *c)
{
    *c = (struct chunk){.state = CHUNK_SIZE};
}

static enum fault size_octet(struct chunk *c, uint8_t octet)
{
    uint8_t lower = octet_lower(octet);
    uint64_t digit = octet >= '0' && octet <= '9'   ? (uint64_t)(octet - '0')
                     : lower >= 'a' && lower <= 'f' ? (uint64_t)(lower - 'a' + 10)
                                                    : 16;

    if (digit < 16) {
        if (c->digits == DIGITS_MAX || c->left > (CHUNK_OCTETS_MAX - digit) / 16)
            return FAULT_BAD_REQUEST;
        c->digits++;
        c->left = c->left * 16 + digit;
        return FAULT_NONE;
    }
    if (c->digits == 0 || (octet != '\r' && octet != ';'))
        return FAULT_BAD_REQUEST;
    c->state = octet == '\r' ? CHUNK_SIZE_LF : CHUNK_EXTENSION;
    return FAULT_NONE;
}

static enum fault extension_octet(struct chunk *c, uint8_t octet)
{
    if (octet == '\r') {
        c->state = CHUNK_SIZE_LF;
        return FAULT_NONE;
    }
    if (!(msg_octet_class[octet] & OCTET_VALUE) || ++c->extension > EXTENSION_MAX ||
        ++c->extensions > EXTENSIONS_MAX)
        return FAULT_BAD_REQUEST;
    return FAULT_NONE;
}

static enum fault exact_octet(struct chunk *c, uint8_t octet, uint8_t want, enum chunk_state next)
{
    if (octet != want)
        return FAULT_BAD_REQUEST;
    c->state = next;
    return FAULT_NONE;
}

static enum fault framing_octet(struct chunk *c, uint8_t octet)
{
    switch (c->state) {
    case CHUNK_SIZE:
        return size_octet(c, octet);
    case CHUNK_EXTENSION:
        return extension_octet(c, octet);
    case CHUNK_SIZE_LF:
        return exact_octet(c, octet, '\n', c->left ? CHUNK_DATA : CHUNK_LAST);
    case CHUNK_DATA_CR:
        return exact_octet(c, octet, '\r', CHUNK_DATA_LF);
    case CHUNK_DATA_LF:
        c->digits = c->extension = 0;
        return exact_octet(c, octet, '\n', CHUNK_SIZE);
    case CHUNK_DATA:
    case CHUNK_LAST:
        break;
    }
    return FAULT_SYSTEM;
}

enum fault chunk_next(struct chunk *c, struct slice in, size_t *skip, struct slice *run)
{
    size_t n = 0;

    *skip = 0;
    *run = SLICE_NONE;
    while (n < in.len && c->state != CHUNK_DATA && c->state != CHUNK_LAST)
        TRY(framing_octet(c, in.at[n++]));
    *skip = n;
    if (c->state == CHUNK_LAST)
        return FAULT_END;
    if (n == in.len)
        return FAULT_AGAIN;
    in = slice_drop(in, n);
    *run = slice_of(in.at, in.len < c->left ? in.len : (size_t)c->left);
    return FAULT_NONE;
}

void chunk_took(struct chunk *c, size_t n)
{
    if (c->state != CHUNK_DATA)
        return;
    c->left -= n < c->left ? n : c->left;
    if (c->left == 0)
        c->state = CHUNK_DATA_CR;
}

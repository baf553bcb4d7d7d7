#include "basic.h"
#include <sodium.h>

static const struct slice scheme = {(const uint8_t *)"Basic ", 6};

enum fault basic_open(struct slice value, struct buf *credentials)
{
    struct slice code = slice_drop(value, scheme.len);
    size_t n = 0;

    if (!slice_equal_nocase(slice_first(value, scheme.len), scheme) || code.len == 0)
        return FAULT_NOT_FOUND;
    TRY(buf_open(credentials, code.len));
    if (sodium_base642bin(credentials->base, credentials->cap, (const char *)code.at, code.len, NULL, &n,
                          NULL, sodium_base64_VARIANT_ORIGINAL) != 0) {
        buf_fill(credentials, n);
        buf_close(credentials);
        return FAULT_NOT_FOUND;
    }
    buf_fill(credentials, n);
    return FAULT_NONE;
}

size_t basic_octets(size_t n)
{
    return scheme.len + (n + 2) / 3 * 4;
}

enum fault basic_write(struct slice credentials, struct buf *out)
{
    size_t octets = basic_octets(credentials.len);

    if (buf_free(out) < octets + 1) /* sodium ends its text with a NUL */
        return FAULT_FULL;
    TRY(buf_append(out, scheme));
    struct iovec room = buf_room(out);

    if (room.iov_len < octets - scheme.len + 1) {
        buf_front(out);
        room = buf_room(out);
    }
    sodium_bin2base64(room.iov_base, room.iov_len, credentials.at, credentials.len,
                      sodium_base64_VARIANT_ORIGINAL);
    buf_fill(out, octets - scheme.len);
    return FAULT_NONE;
}

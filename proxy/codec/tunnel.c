#include "tunnel.h"
#include "h1lex.h"
#include "msg.h"

static enum fault head_end(struct slice in, size_t *looked)
{
    size_t end;
    enum fault why = h1lex_end(slice_first(in, TUNNEL_OCTETS), looked, &end);

    if (why == FAULT_AGAIN && in.len >= TUNNEL_OCTETS)
        return FAULT_HEAD_TOO_LARGE;
    TRY(why);
    return end == in.len ? FAULT_NONE : FAULT_BAD_REQUEST;
}

/* Clients leave the port out of Host where it is the scheme's own. */
static bool host_agrees(struct slice host, struct slice target)
{
    const uint8_t *colon = memrchr(target.at, ':', target.len);

    return slice_equal_nocase(host, target) ||
           (colon && slice_equal_nocase(host, slice_first(target, (size_t)(colon - target.at))));
}

static enum fault fields_check(struct slice section, struct slice target, size_t *hosts)
{
    struct slice name, value;

    *hosts = 0;
    while (h1lex_next(&section, &name, &value)) {
        switch (field_identify(name)) {
        case FIELD_HOST:
            if (++*hosts > 1 || !host_agrees(value, target))
                return FAULT_BAD_REQUEST;
            break;
        case FIELD_CONTENT_LENGTH:
        case FIELD_TRANSFER_ENCODING:
            return FAULT_BAD_REQUEST;
        default:
            break;
        }
    }
    return FAULT_NONE;
}

enum fault tunnel_read(struct slice in, size_t *looked, struct slice *target)
{
    struct slice line, rest;
    size_t lines, hosts;

    TRY(head_end(in, looked));
    TRY(h1lex_screen(in, true, &lines));
    line = slice_first(in, slice_find(in, '\r'));
    rest = slice_drop(line, slice_find(line, ' ') + 1);
    if (!slice_starts(line, SLICE("CONNECT ")))
        return FAULT_METHOD_NOT_ALLOWED;
    *target = slice_first(rest, slice_find(rest, ' '));
    if (slice_find(*target, ':') == target->len || !octets_are(*target, OCTET_AUTHORITY))
        return FAULT_BAD_REQUEST;
    TRY(fields_check(slice_drop(in, line.len + 2), *target, &hosts));
    return hosts == 0 && slice_ends(line, SLICE("1.1")) ? FAULT_BAD_REQUEST : FAULT_NONE;
}

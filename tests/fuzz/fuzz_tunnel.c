#include "tunnel.h"
#include <stdlib.h>

/*
 * A CONNECT, cut where the input says: what is held so far changes no verdict, and what is granted is one whole head.
 */
static void demand(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t len)
{
    struct slice in = slice_of(octets + 1, len ? len - 1 : 0), target = SLICE_NONE, again;
    size_t cut = len ? octets[0] * in.len / 255 : 0, looked = 0, fresh = 0;

    if (len == 0)
        return 0;
    enum fault first = tunnel_read(slice_first(in, cut), &looked, &target);

    if (first != FAULT_AGAIN) /* refused for good; or octets behind a head that was whole */
        looked = 0;
    enum fault why = tunnel_read(in, &looked, &target), whole = tunnel_read(in, &fresh, &again);

    demand(why == whole);
    demand(first == FAULT_AGAIN || why != FAULT_NONE || cut == in.len);
    if (why == FAULT_NONE) {
        demand(in.len <= TUNNEL_OCTETS && slice_starts(in, SLICE("CONNECT ")) &&
               slice_ends(in, SLICE("\r\n\r\n")));
        demand(slice_equal(target, again) && target.at == in.at + 8 && target.len > 0);
        demand(slice_find(target, ' ') == target.len && slice_find(target, '@') == target.len);
    }
    return 0;
}

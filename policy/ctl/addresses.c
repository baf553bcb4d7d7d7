#include "addresses.h"

bool addresses_have(const struct ip *list, size_t n, struct ip ip)
{
    for (size_t i = 0; i < n; i++)
        if (ip_equal(list[i], ip))
            return true;
    return false;
}

enum outcome addresses_take(const struct desk *d, struct ip *out, size_t *n)
{
    const char *text;

    *n = 0;
    for (size_t i = 0; (text = order_value(d->order, OPTION_IP, i)); i++) {
        struct ip ip;

        if (ip_parse(slice_text(text), &ip) != FAULT_NONE)
            return outcome_say(OUTCOME_REFUSED, "--ip %s is no address", text);
        if (addresses_have(out, *n, ip))
            continue;
        if (*n == RECORD_ADDRESSES_MAX)
            return outcome_say(OUTCOME_REFUSED, "a sandbox has at most %d addresses", RECORD_ADDRESSES_MAX);
        out[(*n)++] = ip;
    }
    return *n ? OUTCOME_DONE : outcome_say(OUTCOME_USAGE, "--ip ADDRESS is needed");
}

json_t *addresses_json(const struct ip *list, size_t n)
{
    json_t *array = json_array();
    char text[IP_TEXT];

    for (size_t i = 0; i < n; i++) {
        ip_text(list[i], text);
        json_array_append_new(array, json_string(text));
    }
    return array;
}

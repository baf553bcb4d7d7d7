#include "places.h"

static bool array_has(const json_t *array, const char *text)
{
    size_t i;
    json_t *element;

    json_array_foreach (array, i, element) {
        if (strcmp(json_string_value(element), text) == 0)
            return true;
    }
    return false;
}

enum outcome hosts_take(const struct order *order, enum option option, json_t **out)
{
    json_t *hosts = json_array();
    const char *pattern;

    for (size_t i = 0; (pattern = order_value(order, option, i)); i++) {
        char canonical[HOST_MAX + 3];
        const char *warning = NULL, *why = hostpat_check(slice_text(pattern), canonical, &warning);

        if (why) {
            json_decref(hosts);
            return outcome_say(OUTCOME_REFUSED, "host %s: %s", pattern, why);
        }
        if (warning)
            outcome_advise("host %s: %s", pattern, warning);
        if (!array_has(hosts, canonical))
            json_array_append_new(hosts, json_string(canonical));
    }
    *out = hosts;
    return OUTCOME_DONE;
}

enum outcome places_take(const struct order *order, unsigned *out)
{
    const char *text;
    unsigned places = 0;
    enum place place;

    for (size_t i = 0; (text = order_value(order, OPTION_IN, i)); i++) {
        if (place_parse(slice_text(text), &place) != FAULT_NONE)
            return outcome_say(OUTCOME_REFUSED, "--in %s: header, basic, body, field or url is needed", text);
        places |= 1u << place;
    }
    if (places)
        *out = places;
    return OUTCOME_DONE;
}

json_t *places_json(unsigned places)
{
    json_t *names = json_array();

    for (int p = 0; p < PLACE_COUNT; p++)
        if (places >> p & 1)
            json_array_append_new(names, json_string(place_name((enum place)p)));
    return names;
}

unsigned places_of_json(const json_t *places)
{
    unsigned bits = 0;
    size_t i;
    json_t *name;
    enum place place;

    json_array_foreach (places, i, name) {
        if (place_parse(slice_text(json_string_value(name)), &place) == FAULT_NONE)
            bits |= 1u << place;
    }
    return bits;
}

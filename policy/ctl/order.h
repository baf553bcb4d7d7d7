#pragma once
#include "outcome.h"
#include "slice.h"

/*
 * order - what the command line asks for: words and options, in any sequence.
 *
 *   Layer   program (osbctl).
 *   Why     options may stand before or after the verb, and one that the verb does not take must not be ignored.
 *   Bounds  borrows argv.
 */
enum option {
#define OPTION(id, name, value, repeats, scope) OPTION_##id,
#include "option.def"
#undef OPTION
    OPTION_COUNT
};

typedef uint64_t option_set;
#define OPT(id) ((option_set)1 << OPTION_##id)

#define ORDER_WORDS_MAX 8

struct order {
    const char *words[ORDER_WORDS_MAX];
    size_t word_count;
    option_set given;
    struct {
        enum option option;
        const char *value; /* NULL for a flag */
    } * options;
    size_t option_count;
};

/* order_parse(argc, argv, out): Fails OUTCOME_USAGE: an unknown option, a value missing or too much, a repeat. */
enum outcome order_parse(int argc, char **argv, struct order *out) CHECKED;
void order_close(struct order *o);

static inline bool order_has(const struct order *o, enum option option)
{
    return o->given >> option & 1;
}

/* order_value(o, option, n): the ${n}th value given for it; NULL where there are no more. */
const char *order_value(const struct order *o, enum option option, size_t n);

/* order_only(o, allowed): no option but these and the ones of every verb. Fails OUTCOME_USAGE. */
enum outcome order_only(const struct order *o, option_set allowed) CHECKED;

/* order_number(o, option, most, out): 1 to ${most}; *out stays where the option is not given. Fails OUTCOME_REFUSED. */
enum outcome order_number(const struct order *o, enum option option, uint64_t most, uint64_t *out) CHECKED;

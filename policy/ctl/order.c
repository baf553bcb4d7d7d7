#include "order.h"
#include <stdlib.h>

enum scope { SCOPE_ALWAYS, SCOPE_VERB };

static const struct option_row {
    const char *name;
    bool takes_value, may_repeat;
    enum scope scope;
} option_table[OPTION_COUNT] = {
#define VALUE                                   true
#define FLAG                                    false
#define MANY                                    true
#define ONCE                                    false
#define OPTION(id, name, value, repeats, scope) {name, value, repeats, SCOPE_##scope},
#include "option.def"
#undef OPTION
#undef VALUE
#undef FLAG
#undef MANY
#undef ONCE
};

static const struct {
    const char *text;
    enum option option;
} short_table[] = {{"-c", OPTION_CONFIG}, {"-h", OPTION_HELP}};

/* "--name", "--name=value" or a short one: the row, and the value where it stands behind '='. */
static bool option_find(const char *text, enum option *out, const char **value)
{
    struct slice name = slice_drop(slice_text(text), 2);
    size_t end = slice_find(name, '=');

    *value = NULL;
    for (size_t i = 0; i < sizeof short_table / sizeof *short_table; i++)
        if (strcmp(text, short_table[i].text) == 0) {
            *out = short_table[i].option;
            return true;
        }
    if (text[1] != '-')
        return false;
    if (end < name.len)
        *value = text + 2 + end + 1;
    for (int i = 0; i < OPTION_COUNT; i++)
        if (slice_equal(slice_first(name, end), slice_text(option_table[i].name))) {
            *out = (enum option)i;
            return true;
        }
    return false;
}

/* What stands at argv[*at], and its value behind it; *at moves to the last argument that was used. */
static enum outcome option_take(int argc, char **argv, int *at, struct order *out)
{
    const char *value;
    enum option option;

    if (!option_find(argv[*at], &option, &value))
        return outcome_say(OUTCOME_USAGE, "there is no option %s; see osbctl --help", argv[*at]);
    const struct option_row *row = &option_table[option];

    if (!row->takes_value && value)
        return outcome_say(OUTCOME_USAGE, "--%s takes no value", row->name);
    if (row->takes_value && !value) {
        if (*at + 1 >= argc)
            return outcome_say(OUTCOME_USAGE, "--%s needs a value", row->name);
        value = argv[++*at];
    }
    if (!row->may_repeat && order_has(out, option))
        return outcome_say(OUTCOME_USAGE, "--%s is given twice", row->name);
    out->given |= (option_set)1 << option;
    out->options[out->option_count].option = option;
    out->options[out->option_count++].value = value;
    return OUTCOME_DONE;
}

enum outcome order_parse(int argc, char **argv, struct order *out)
{
    bool words_only = false;

    *out = (struct order){.options = demand((size_t)argc * sizeof *out->options)};
    for (int i = 1; i < argc; i++) {
        if (!words_only && strcmp(argv[i], "--") == 0) {
            words_only = true;
        } else if (!words_only && argv[i][0] == '-' && argv[i][1]) {
            STEP(option_take(argc, argv, &i, out));
        } else {
            if (out->word_count == ORDER_WORDS_MAX)
                return outcome_say(OUTCOME_USAGE, "too many arguments at '%s'", argv[i]);
            out->words[out->word_count++] = argv[i];
        }
    }
    return OUTCOME_DONE;
}

void order_close(struct order *o)
{
    free(o->options);
    *o = (struct order){0};
}

const char *order_value(const struct order *o, enum option option, size_t n)
{
    for (size_t i = 0; i < o->option_count; i++)
        if (o->options[i].option == option && n-- == 0)
            return o->options[i].value;
    return NULL;
}

enum outcome order_only(const struct order *o, option_set allowed)
{
    for (int i = 0; i < OPTION_COUNT; i++)
        if (option_table[i].scope == SCOPE_VERB && (o->given & ~allowed) >> i & 1)
            return outcome_say(OUTCOME_USAGE, "this verb takes no --%s", option_table[i].name);
    return OUTCOME_DONE;
}

enum outcome order_number(const struct order *o, enum option option, uint64_t most, uint64_t *out)
{
    const char *text = order_value(o, option, 0);
    uint64_t number;

    if (!text)
        return OUTCOME_DONE;
    if (!slice_number(slice_text(text), most, &number) || number == 0)
        return outcome_say(OUTCOME_REFUSED, "--%s %s: a number from 1 to %llu is needed",
                           option_table[option].name, text, (unsigned long long)most);
    *out = number;
    return OUTCOME_DONE;
}

#include "argument.h"
#include "slice.h"
#include <stdio.h>
#include <stdlib.h>

struct unit {
    struct slice name;
    uint64_t factor;
};

static const struct unit unit_time[] = {
    {SLICE("ms"), 1}, {SLICE("s"), 1000}, {SLICE("m"), 60000}, {SLICE("h"), 3600000}, {SLICE(""), 1000},
};
static const struct unit unit_size[] = {
    {SLICE("KiB"), 1 << 10},
    {SLICE("MiB"), 1 << 20},
    {SLICE("GiB"), 1 << 30},
    {SLICE(""), 1},
};
static const struct unit unit_none[] = {{SLICE(""), 1}};

static bool number_read(const char *text, const struct unit *units, size_t count, uint64_t most,
                        uint64_t *out)
{
    struct slice s = slice_text(text);
    uint64_t number;

    for (size_t i = 0; i < count; i++) {
        if (!slice_ends(s, units[i].name))
            continue;
        if (!slice_number(slice_first(s, s.len - units[i].name.len), most / units[i].factor, &number))
            return false;
        *out = number * units[i].factor;
        return true;
    }
    return false;
}

static bool switch_read(const char *text, bool *out)
{
    *out = strcmp(text, "on") == 0;
    return *out || strcmp(text, "off") == 0;
}

static bool list_add(struct argument_list *list, const char *text, int argc)
{
    if (!list->at)
        list->at = calloc((size_t)argc, sizeof *list->at);
    if (!list->at)
        return false;
    list->at[list->count++] = text;
    return true;
}

static bool argument_store(const struct argument *row, const char *text, int argc, void *into)
{
    void *at = (uint8_t *)into + row->at;

#define COUNT(array) (sizeof(array) / sizeof *(array))
    switch (row->kind) {
    case ARGUMENT_FLAG:
        *(bool *)at = true;
        return true;
    case ARGUMENT_SWITCH:
        return switch_read(text, at);
    case ARGUMENT_NUMBER:
        return number_read(text, unit_none, COUNT(unit_none), row->most, at);
    case ARGUMENT_TIME:
        return number_read(text, unit_time, COUNT(unit_time), row->most, at);
    case ARGUMENT_SIZE:
        return number_read(text, unit_size, COUNT(unit_size), row->most, at);
    case ARGUMENT_TEXT:
        *(const char **)at = text;
        return true;
    case ARGUMENT_LIST:
        return list_add(at, text, argc);
    }
#undef COUNT
    return false;
}

static void help_write(const struct argument_table *table)
{
    char left[64];

    printf("%s\n", table->usage);
    for (size_t i = 0; i < table->count; i++) {
        const struct argument *row = &table->rows[i];

        if (!*row->name)
            continue;
        snprintf(left, sizeof left, "--%s%s%s", row->name, row->value ? " " : "",
                 row->value ? row->value : "");
        printf("  %-26s %s\n", left, row->help);
    }
}

static const struct argument *argument_find(const struct argument_table *table, struct slice name)
{
    for (size_t i = 0; i < table->count; i++)
        if (slice_equal(slice_text(table->rows[i].name), name))
            return &table->rows[i];
    return NULL;
}

static enum argument_end argument_wrong(const char *what, const char *text)
{
    fprintf(stderr, "osb-bench: %s: %s (see --help)\n", text, what);
    return ARGUMENT_WRONG;
}

enum argument_end argument_read(const struct argument_table *table, int argc, char **argv, void *into)
{
    uint64_t given = 0;

    for (int i = 1; i < argc; i++) {
        const char *word = argv[i], *value = word;
        bool option = strncmp(word, "--", 2) == 0 && word[2];
        struct slice name = option ? slice_text(word + 2) : SLICE("");
        size_t equal = slice_find(name, '=');
        const struct argument *row = argument_find(table, slice_first(name, equal));
        uint64_t bit;

        if (option && strcmp(word, "--help") == 0) {
            help_write(table);
            return ARGUMENT_HELP;
        }
        if (!row)
            return argument_wrong("there is no such option", word);
        bit = row->kind == ARGUMENT_LIST ? 0 : (uint64_t)1 << (row - table->rows);
        if (given & bit)
            return argument_wrong("it can be given only once", word);
        given |= bit;
        if (option && equal < name.len) {
            if (row->kind == ARGUMENT_FLAG)
                return argument_wrong("it takes no value", word);
            value = word + 2 + equal + 1;
        } else if (option && row->kind != ARGUMENT_FLAG) {
            if (++i == argc)
                return argument_wrong("it needs a value", word);
            value = argv[i];
        }
        if (!argument_store(row, value, argc, into))
            return argument_wrong("the value is outside what it may be", word);
    }
    return ARGUMENT_GO;
}

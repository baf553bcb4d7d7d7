#include "print.h"
#include "clock.h"
#include <stdio.h>
#include <stdlib.h>

static void json_put(json_t *value)
{
    json_dumpf(value, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(value);
}

/* A secret stands in lists by its name, everything else is text. An empty field would break the columns. */
static const char *element_text(const json_t *value)
{
    const char *text = json_string_value(json_is_object(value) ? json_object_get(value, "name") : value);

    return text && *text ? text : "-";
}

static void value_put(const json_t *value)
{
    size_t i;
    json_t *element;

    if (json_is_boolean(value)) {
        fputs(json_is_true(value) ? "on" : "off", stdout);
        return;
    }
    if (json_is_integer(value)) {
        printf("%" JSON_INTEGER_FORMAT, json_integer_value(value));
        return;
    }
    if (!json_is_array(value) || json_array_size(value) == 0) {
        fputs(element_text(value), stdout);
        return;
    }
    json_array_foreach (value, i, element) {
        if (i)
            putchar(',');
        fputs(element_text(element), stdout);
    }
}

void print_quiet(const struct desk *d, json_t *object)
{
    if (d->json)
        json_put(object);
    else
        json_decref(object);
}

void print_made(const struct desk *d, json_t *object)
{
    if (!d->json)
        puts(element_text(json_object_get(object, "id")));
    print_quiet(d, object);
}

void print_one(const struct desk *d, json_t *object)
{
    const char *key;
    json_t *value;

    if (!d->json)
        json_object_foreach (object, key, value) {
            printf("%s\t", key);
            value_put(value);
            putchar('\n');
        }
    print_quiet(d, object);
}

struct line {
    json_t *object;
    const char *first;
};

static int line_compare(const void *a, const void *b)
{
    return strcmp(((const struct line *)a)->first, ((const struct line *)b)->first);
}

/* Redis gives sets in no order; people and diffs want one. */
static json_t *array_sort(json_t *array, const char *column)
{
    size_t n = json_array_size(array);
    struct line *lines = demand(n * sizeof *lines);
    json_t *sorted = json_array();

    for (size_t i = 0; i < n; i++) {
        lines[i].object = json_array_get(array, i);
        lines[i].first = element_text(json_object_get(lines[i].object, column));
    }
    qsort(lines, n, sizeof *lines, line_compare);
    for (size_t i = 0; i < n; i++)
        json_array_append(sorted, lines[i].object);
    free(lines);
    json_decref(array);
    return sorted;
}

void print_begin(const struct desk *d, const char *const *columns, struct listing *out)
{
    *out = (struct listing){d, columns, 0};
}

static void row_put(const struct listing *l, const json_t *object)
{
    if (l->d->json) {
        fputs(l->rows ? ",\n  " : "[\n  ", stdout);
        json_dumpf(object, stdout, 0);
        return;
    }
    for (size_t c = 0; l->columns[c]; c++) {
        if (c)
            putchar('\t');
        value_put(json_object_get(object, l->columns[c]));
    }
    putchar('\n');
}

void print_row(struct listing *l, json_t *object)
{
    row_put(l, object);
    l->rows++;
    json_decref(object);
}

void print_end(struct listing *l)
{
    if (l->d->json)
        puts(l->rows ? "\n]" : "[]");
}

void print_list(const struct desk *d, json_t *array, const char *const *columns)
{
    struct listing l;
    size_t i;
    json_t *object;

    array = array_sort(array, columns[0]);
    print_begin(d, columns, &l);
    json_array_foreach (array, i, object)
        print_row(&l, json_incref(object));
    print_end(&l);
    json_decref(array);
}

void print_text(const struct desk *d, const char *key, const char *text)
{
    if (d->json)
        json_put(json_pack("{s:s}", key, text));
    else
        fputs(text, stdout);
}

json_t *print_time(int64_t ms)
{
    char text[CLOCK_RFC3339];

    if (ms == 0)
        return json_null();
    clock_rfc3339(ms, text);
    return json_string(text);
}

#include "outcome.h"
#include "progress.h"
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void line_write(const char *format, va_list arguments)
{
    char line[1000];

    if (vsnprintf(line, sizeof line, format, arguments) < 0)
        return;
    for (char *c = line; *c; c++)
        if (*c < ' ' || *c > '~')
            *c = '?';
    progress_hide();
    fprintf(stderr, "osbctl: %s\n", line);
}

enum outcome outcome_say(enum outcome o, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    line_write(format, arguments);
    va_end(arguments);
    return o;
}

void outcome_advise(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    line_write(format, arguments);
    va_end(arguments);
}

enum outcome outcome_fault(enum fault f, const char *what)
{
    if (f == FAULT_NONE)
        return OUTCOME_DONE;
    return outcome_say(OUTCOME_FAILED, "%s: %s", what, fault_table[f].meaning);
}

void *demand(size_t octets)
{
    void *got = malloc(octets ? octets : 1);

    if (got)
        return got;
    fputs("osbctl: out of memory\n", stderr);
    exit(OUTCOME_FAILED);
}

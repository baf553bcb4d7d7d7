#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * argument - a command line read by a table, and the help that the same table gives.
 *
 *   Layer   program (osb-bench).
 *   Why     an option, its limits and its help stand in one row and can't disagree.
 *   Bounds  --name VALUE or --name=VALUE; all but lists at most once.
 */
enum argument_kind {
    ARGUMENT_FLAG,   /* bool, takes no value */
    ARGUMENT_SWITCH, /* bool, on|off */
    ARGUMENT_NUMBER, /* uint64_t */
    ARGUMENT_TIME,   /* uint64_t of milliseconds; ms s m h, bare: seconds */
    ARGUMENT_SIZE,   /* uint64_t of octets; KiB MiB GiB */
    ARGUMENT_TEXT,   /* const char * */
    ARGUMENT_LIST    /* struct argument_list; with an empty name: what is no option */
};

struct argument_list {
    const char **at;
    size_t count;
};

struct argument {
    const char *name;
    enum argument_kind kind;
    size_t at; /* offset in the structure that is filled */
    uint64_t most;
    const char *value; /* as the help calls it */
    const char *help;
};

struct argument_table {
    const char *usage; /* what stands above the options */
    const struct argument *rows;
    size_t count; /* at most 64 */
};

enum argument_end { ARGUMENT_GO, ARGUMENT_HELP, ARGUMENT_WRONG };

/*
 * argument_read(table, argc, argv, into): fill ${into} from argv[1] on.
 *   Gives   ARGUMENT_HELP: it was asked for, and printed.  ARGUMENT_WRONG: said on stderr.
 *   Owns    texts are borrowed from ${argv}; lists are allocated and stay until the end of the program.
 */
enum argument_end argument_read(const struct argument_table *table, int argc, char **argv, void *into);

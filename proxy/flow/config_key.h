#pragma once
#include "config.h"

/*
 * config_key - the table of keys: what each accepts, where it goes, and what holds when the file is silent.
 *
 *   Layer   flow; a part of config, which alone uses it (and its test).
 *   Why     a key is one row; the reader of lines knows none of them.
 */
struct config_key {
    const char *name;
    const char *preset; /* as it would stand in the file; NULL: none, or config computes it */
    const char *form;   /* what is accepted, said behind "must be "; choices are separated by '|' */

    /* Gives NULL, or ${form}, or another static sentence that says what is wrong; never a part of the value. */
    const char *(*read)(const struct config_key *key, struct slice value, struct config *out);
    size_t at;               /* offset of the member of struct config */
    size_t room;             /* octets of a text; elements of a list */
    size_t count;            /* offset of a list's count */
    uint64_t least, most;    /* of a number, in its member's unit */
    const char *environment; /* the variable that is asked where the file is silent; NULL: none */
    const char *full;        /* said when a list has no room left; NULL: the usual sentence */
    bool required;           /* must be given */
    bool many;               /* may repeat, and adds up */
    bool off;                /* a list that the word "off" empties */
};

#define CONFIG_KEYS_MAX 64
extern const struct config_key config_key_table[];
extern const size_t config_key_count;

/* config_key_find(name): NULL when there is no such key. */
const struct config_key *config_key_find(struct slice name);

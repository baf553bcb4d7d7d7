#pragma once
#include "fault.h"
#include "slice.h"

/*
 * diag - one line to stderr for the operator: what, where, which numbers.
 *
 *   Layer   base.
 *   Why     it takes literals, slices and numbers and nothing else; a secret converts to none of these, so printing
 *           one does not compile. Peers' octets are escaped, so a line can't be forged.
 *   Bounds  a line is cut at 1,000 octets; writing never fails loudly and is never retried.
 *
 *   DIAG(WARN, "the record does not open", DIAG_TEXT("sandbox", id), DIAG_NUMBER("key", 3));
 *   prints  osb-proxy[812]: warning: the record does not open sandbox="sb1" key=3
 */
enum diag_level { DIAG_ERROR, DIAG_WARN, DIAG_NOTE };

struct diag_item {
    const char *name; /* NULL ends the list */
    struct slice text;
    int64_t number;
    bool is_number;
};

#define DIAG_TEXT(name, slice)    ((struct diag_item){name, slice, 0, false})
#define DIAG_NUMBER(name, number) ((struct diag_item){name, SLICE_NONE, (int64_t)(number), true})
#define DIAG_FAULT(fault)         DIAG_TEXT("fault", slice_text(fault_table[fault].name))
#define DIAG_ERRNO(number)        DIAG_TEXT("errno", slice_text(strerrorname_np(number)))

#define DIAG(level, text, ...) \
    diag_write(DIAG_##level, text, (const struct diag_item[]){__VA_ARGS__ __VA_OPT__(, ){0}})

/* diag_name(program): the word in front of each line. Borrowed forever. */
void diag_name(const char *program);

void diag_write(enum diag_level level, const char *text, const struct diag_item *items);

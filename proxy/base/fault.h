#pragma once
#include <stdbool.h>

/*
 * fault - the closed enum of failures and its one table.
 *
 *   Layer   base.
 *   Why     blame, HTTP status, contract code and TLS alert are looked up, never decided twice.
 *   Bounds  no text of a peer is ever part of a fault.
 */
enum fault {
#define FAULT(name, blame, status, code, alert, meaning) FAULT_##name,
#include "fault.def"
#undef FAULT
    FAULT_COUNT
};

enum blame {
    BLAME_NOBODY,
    BLAME_CLIENT,
    BLAME_POLICY,
    BLAME_UPSTREAM,
    BLAME_STORE,
    BLAME_LOCAL,
    BLAME_CALLER
};

struct fault_row {
    const char *name;    /* as in the source, for our own logs */
    const char *code;    /* the contract's code: audit's reason, X-Osb-Error, a metric's label */
    const char *meaning; /* one sentence without a full stop */
    enum blame blame;
    int status; /* HTTP status, 0 where no answer is possible */
    int alert;  /* TLS alert, 0: none of its own */
};

extern const struct fault_row fault_table[FAULT_COUNT];

/* What policy refuses, or the client brought about, is counted as blocked; all else as an error. */
static inline bool fault_blocks(enum fault f)
{
    return fault_table[f].blame == BLAME_POLICY || fault_table[f].blame == BLAME_CLIENT;
}

#define CHECKED __attribute__((warn_unused_result))

/* The only control-flow macro: pass a fault on to the caller. */
#define TRY(call)                       \
    do {                                \
        enum fault try_fault_ = (call); \
        if (try_fault_ != FAULT_NONE)   \
            return try_fault_;          \
    } while (0)

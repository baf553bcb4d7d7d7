#pragma once
#include "fault.h"
#include <stddef.h>

/*
 * outcome - how a command ends: the exit code, and one line on stderr that says why.
 *
 *   Layer   program (osbctl).
 *   Why     scripts read the code, people the line; both are decided where the failure is understood.
 *   Bounds  a line is cut at 1,000 octets and holds printable ASCII only, so no name can forge a second one.
 */
enum outcome { OUTCOME_DONE, OUTCOME_FAILED, OUTCOME_USAGE, OUTCOME_NOT_FOUND, OUTCOME_REFUSED };

/* outcome_say(o, format, ...): "osbctl: " and the line, on stderr. Gives ${o}. */
enum outcome outcome_say(enum outcome o, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* outcome_advise(format, ...): the same line, but nothing has failed. */
void outcome_advise(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* outcome_fault(f, what): the exit code of a fault of the layers below; says what ${what} met. FAULT_NONE is done. */
enum outcome outcome_fault(enum fault f, const char *what) CHECKED;

/* As TRY, for outcomes. */
#define STEP(call)                         \
    do {                                   \
        enum outcome step_ended_ = (call); \
        if (step_ended_ != OUTCOME_DONE)   \
            return step_ended_;            \
    } while (0)

/* demand(octets): malloc that ends the program where there is no memory: nothing is half done that can't be run again. */
void *demand(size_t octets);

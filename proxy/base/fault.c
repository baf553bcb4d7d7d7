#include "fault.h"

const struct fault_row fault_table[FAULT_COUNT] = {
#define FAULT(name, blame, status, code, alert, meaning) {#name, code, meaning, BLAME_##blame, status, alert},
#include "fault.def"
#undef FAULT
};

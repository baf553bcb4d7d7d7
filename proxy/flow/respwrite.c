#include "respwrite.h"
#include <stdio.h>

#define HEAD_OCTETS sizeof("$18446744073709551615\r\n") /* with a NUL */

static uint8_t *head_write(uint8_t *into, char kind, size_t n)
{
    return into + snprintf((char *)into, HEAD_OCTETS, "%c%zu\r\n", kind, n);
}

enum fault respwrite_command(struct buf *out, const struct slice *argv, size_t argc)
{
    size_t most = HEAD_OCTETS;

    for (size_t i = 0; i < argc; i++) {
        if (argv[i].len > out->cap)
            return FAULT_FULL;
        most += HEAD_OCTETS + argv[i].len + 2;
    }
    uint8_t *into = buf_claim(out, most), *at = into;

    if (!into)
        return FAULT_FULL;
    at = head_write(at, '*', argc);
    for (size_t i = 0; i < argc; i++) {
        at = head_write(at, '$', argv[i].len);
        if (argv[i].len)
            memcpy(at, argv[i].at, argv[i].len);
        at += argv[i].len;
        memcpy(at, "\r\n", 2);
        at += 2;
    }
    buf_fill(out, (size_t)(at - into));
    return FAULT_NONE;
}

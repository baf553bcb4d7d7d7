#pragma once
#include <stddef.h>
#include <stdint.h>

/*
 * decimal - a number as digits.
 *
 *   Layer   base.
 *   Why     several are written per request; printf takes longer for one than everything around it.
 */
#define DECIMAL_MAX 20

/* decimal_put(n, out): the digits of ${n}, at least one, at ${out}: up to DECIMAL_MAX octets, no NUL. Gives how many. */
static inline size_t decimal_put(uint64_t n, char *out)
{
    char digits[DECIMAL_MAX];
    size_t at = sizeof digits;

    do
        digits[--at] = (char)('0' + n % 10);
    while (n /= 10);
    for (size_t i = at; i < sizeof digits; i++)
        *out++ = digits[i];
    return sizeof digits - at;
}

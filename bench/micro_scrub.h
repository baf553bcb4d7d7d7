#pragma once
#include <stddef.h>
#include <stdint.h>

/*
 * micro_scrub - the rows of micro that look for values in an answer.
 *
 *   Layer   programs.
 *   Why     what is searched for, and what makes the search slow, is a matter of its own.
 */
#define SCRUB_BODY_OCTETS ((size_t)16 << 10)
#define SCRUB_BODY_KIB    ((double)SCRUB_BODY_OCTETS / 1024)

void micro_scrub_stage(void);

/* Text without a value in it, searched for 1, 10 and 200 values. */
void micro_scrub_1(uint64_t times);
void micro_scrub_10(uint64_t times);
void micro_scrub_200(uint64_t times);

/* 10 values, and text that is nothing but beginnings of them: 15 octets of each; all but the last octet. */
void micro_scrub_begun(uint64_t times);
void micro_scrub_cut(uint64_t times);

/* One of 10 values in each KiB. */
void micro_scrub_hits(uint64_t times);

/* A set of three values, made and dropped. */
void micro_scrub_set(uint64_t times);

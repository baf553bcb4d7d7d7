#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * account - what the kernel says that processes used: processor time and memory.
 *
 *   Layer   program (osb-bench).
 *   Why     the generator shares its cores with what it measures; requests per second say little there, processor
 *           time per request says what a request costs.
 *   Bounds  ACCOUNT_PROCESSES in one tree. A tree is a process and all that descends from it at that moment.
 */
#define ACCOUNT_PROCESSES 512

struct account_process {
    pid_t pid;
    uint64_t run_ns;                   /* of all threads, by the scheduler's clock */
    uint64_t user_ticks, system_ticks; /* of the process, ended threads included */
};

struct account {
    size_t count; /* 0: the process is not there */
    struct account_process processes[ACCOUNT_PROCESSES];
};

struct account_use {
    double cpu_s, user_s, system_s;
    bool gone; /* a process ended in between: its time is missing */
};

/* account_take(pid, out): a snapshot of the tree below ${pid}. */
void account_take(pid_t pid, struct account *out);

struct account_use account_between(const struct account *before, const struct account *after);

/* account_pss_kib(a): memory of the tree as it is now, shared pages divided by those who share them; -1 where the kernel
 * doesn't tell. */
int64_t account_pss_kib(const struct account *a);

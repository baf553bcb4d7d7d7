#pragma once
#include "fault.h"
#include <stdbool.h>
#include <sys/types.h>

/*
 * privilege - the rights that a worker gives up for good.
 *
 *   Layer   program.  Used by: master.
 *   Why     a worker reads what hostile sandboxes write: it keeps no right that it does not need, and
 *           nothing that it holds gets into a core file or under a debugger.
 *   Bounds  PRIVILEGE_GROUPS supplementary groups, those that the user has in the system's table (Redis'
 *           socket is often open to a group only).
 */
#define PRIVILEGE_GROUPS 64

struct privilege {
    bool change; /* false: the process stays who it is */
    uid_t uid;
    gid_t gid;
    gid_t groups[PRIVILEGE_GROUPS];
    int group_count;
};

/*
 * privilege_find(user, group, out): look the names up, in the master, so that a slip is found before
 * anything listens.
 *   Takes   user    empty: no change, then ${group} must be empty too.
 *           group   empty: the user's own.
 *   Fails   FAULT_INVALID, and diag has said why: an unknown name, or a change that only root may make.
 */
enum fault privilege_find(const char *user, const char *group, struct privilege *out) CHECKED;

/*
 * privilege_drop(p): become that user, check that there is no way back, and gain no rights by exec ever
 * after.
 *   Fails   FAULT_SYSTEM, and diag has said why: the process must end.
 */
enum fault privilege_drop(const struct privilege *p) CHECKED;

/* privilege_confine(): no core file, not dumpable, for this process and those it forks. Fails
 * FAULT_SYSTEM. */
enum fault privilege_confine(void) CHECKED;

#include "privilege.h"
#include "diag.h"
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

static enum fault failed(const char *what)
{
    DIAG(ERROR, what, DIAG_ERRNO(errno));
    return FAULT_SYSTEM;
}

enum fault privilege_find(const char *user, const char *group, struct privilege *out)
{
    const struct passwd *pw;
    const struct group *gr;

    *out = (struct privilege){.change = false};
    if (!*user) {
        if (!*group)
            return FAULT_NONE;
        DIAG(ERROR, "a group is configured without a user", DIAG_TEXT("group", slice_text(group)));
        return FAULT_INVALID;
    }
    pw = getpwnam(user);
    if (!pw) {
        DIAG(ERROR, "there is no such user", DIAG_TEXT("user", slice_text(user)));
        return FAULT_INVALID;
    }
    out->uid = pw->pw_uid;
    out->gid = pw->pw_gid;
    if (*group) {
        gr = getgrnam(group);
        if (!gr) {
            DIAG(ERROR, "there is no such group", DIAG_TEXT("group", slice_text(group)));
            return FAULT_INVALID;
        }
        out->gid = gr->gr_gid;
    }
    out->change = geteuid() == 0 || geteuid() != out->uid || getegid() != out->gid;
    if (out->change && geteuid() != 0) {
        DIAG(ERROR, "only root can run the workers as another user", DIAG_TEXT("user", slice_text(user)));
        return FAULT_INVALID;
    }
    out->group_count = PRIVILEGE_GROUPS;
    if (getgrouplist(user, out->gid, out->groups, &out->group_count) < 0) {
        DIAG(ERROR, "the user has too many groups", DIAG_TEXT("user", slice_text(user)));
        return FAULT_INVALID;
    }
    return FAULT_NONE;
}

static enum fault become(const struct privilege *p)
{
    uid_t real, effective, saved;
    gid_t real_gid, effective_gid, saved_gid;

    if (setgroups((size_t)p->group_count, p->groups) < 0)
        return failed("the groups can't be set");
    if (setresgid(p->gid, p->gid, p->gid) < 0)
        return failed("the group can't be set");
    if (setresuid(p->uid, p->uid, p->uid) < 0)
        return failed("the user can't be set");
    if (getresuid(&real, &effective, &saved) < 0 || getresgid(&real_gid, &effective_gid, &saved_gid) < 0)
        return failed("the rights can't be read");
    if (real != p->uid || effective != p->uid || saved != p->uid || real_gid != p->gid ||
        effective_gid != p->gid || saved_gid != p->gid) {
        DIAG(ERROR, "the rights are not those that were asked for");
        return FAULT_SYSTEM;
    }
    if (p->uid != 0 && (seteuid(0) == 0 || setegid(0) == 0)) {
        DIAG(ERROR, "the rights of root could be taken back");
        return FAULT_SYSTEM;
    }
    return FAULT_NONE;
}

enum fault privilege_drop(const struct privilege *p)
{
    if (p->change)
        TRY(become(p));
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return failed("the right to gain rights can't be given up");
    return privilege_confine(); /* the change of user has reset the flag */
}

enum fault privilege_confine(void)
{
    const struct rlimit none = {0, 0};

    if (setrlimit(RLIMIT_CORE, &none) < 0)
        return failed("core files can't be turned off");
    /* A core_pattern that is a pipe ignores the limit, but not this flag (core(5)). */
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
        return failed("the process can't be made undumpable");
    return FAULT_NONE;
}

#include "account.h"
#include "slice.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define FILE_OCTETS 4096

static struct slice file_read(const char *path, char *into)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n;

    if (fd < 0)
        return SLICE_NONE;
    n = read(fd, into, FILE_OCTETS);
    close(fd);
    return n > 0 ? slice_of(into, (size_t)n) : SLICE_NONE;
}

/* The ${at}-th word, counted from 0, as a number; 0 where there is none. */
static uint64_t word_number(struct slice s, size_t at)
{
    uint64_t number = 0;

    for (; at; at--)
        s = slice_drop(s, slice_find(s, ' ') + 1);
    s = slice_first(s, slice_find(s, ' '));
    s = slice_first(s, slice_find(s, '\n'));
    return slice_number(s, UINT64_MAX, &number) ? number : 0;
}

/* The words behind the command's name, which may hold spaces and brackets itself: proc(5), /proc/pid/stat. */
static struct slice stat_words(pid_t pid, char *into)
{
    char path[64];
    struct slice s;
    size_t end;

    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    s = file_read(path, into);
    for (end = s.len; end && s.at[end - 1] != ')'; end--)
        continue;
    return slice_drop(s, end + 1);
}

enum { STAT_PARENT = 1, STAT_USER = 11, STAT_SYSTEM = 12 };

static uint64_t threads_run_ns(pid_t pid)
{
    char path[64 + 256], text[FILE_OCTETS];
    uint64_t sum = 0;
    struct dirent *entry;
    DIR *tasks;

    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    tasks = opendir(path);
    if (!tasks)
        return 0;
    while ((entry = readdir(tasks))) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "/proc/%d/task/%s/schedstat", (int)pid, entry->d_name);
        sum += word_number(file_read(path, text), 0);
    }
    closedir(tasks);
    return sum;
}

static void process_add(struct account *a, pid_t pid)
{
    char text[FILE_OCTETS];
    struct slice words = stat_words(pid, text);

    if (words.len == 0 || a->count == ACCOUNT_PROCESSES)
        return;
    a->processes[a->count++] = (struct account_process){.pid = pid,
                                                        .run_ns = threads_run_ns(pid),
                                                        .user_ticks = word_number(words, STAT_USER),
                                                        .system_ticks = word_number(words, STAT_SYSTEM)};
}

static const struct account_process *process_find(const struct account *a, pid_t pid)
{
    for (size_t i = 0; i < a->count; i++)
        if (a->processes[i].pid == pid)
            return &a->processes[i];
    return NULL;
}

/* One pass over all processes: add those whose parent is in the tree. Gives whether there were any. */
static bool children_add(struct account *a)
{
    char text[FILE_OCTETS];
    size_t before = a->count;
    struct dirent *entry;
    DIR *all = opendir("/proc");

    while (all && (entry = readdir(all))) {
        uint64_t pid, parent;

        if (!slice_number(slice_text(entry->d_name), INT32_MAX, &pid) || process_find(a, (pid_t)pid))
            continue;
        parent = word_number(stat_words((pid_t)pid, text), STAT_PARENT);
        if (process_find(a, (pid_t)parent))
            process_add(a, (pid_t)pid);
    }
    if (all)
        closedir(all);
    return a->count > before;
}

void account_take(pid_t pid, struct account *out)
{
    out->count = 0;
    process_add(out, pid);
    while (out->count && children_add(out))
        continue;
}

static uint64_t grown(uint64_t before, uint64_t after)
{
    return after > before ? after - before : 0;
}

struct account_use account_between(const struct account *before, const struct account *after)
{
    static const struct account_process none;
    struct account_use use = {.gone = after->count == 0};
    double tick_s = 1.0 / (double)sysconf(_SC_CLK_TCK);

    for (size_t i = 0; i < after->count; i++) {
        const struct account_process *now = &after->processes[i], *was = process_find(before, now->pid);

        if (!was)
            was = &none;
        use.cpu_s += (double)grown(was->run_ns, now->run_ns) / 1e9;
        use.user_s += (double)grown(was->user_ticks, now->user_ticks) * tick_s;
        use.system_s += (double)grown(was->system_ticks, now->system_ticks) * tick_s;
    }
    for (size_t i = 0; i < before->count; i++)
        use.gone = use.gone || !process_find(after, before->processes[i].pid);
    if (use.cpu_s <= 0) /* a kernel without scheduler statistics */
        use.cpu_s = use.user_s + use.system_s;
    return use;
}

int64_t account_pss_kib(const struct account *a)
{
    int64_t sum = 0;

    for (size_t i = 0; i < a->count; i++) {
        char path[64], text[FILE_OCTETS];
        struct slice s;
        uint64_t kib;

        snprintf(path, sizeof path, "/proc/%d/smaps_rollup", (int)a->processes[i].pid);
        s = file_read(path, text);
        while (s.len && !slice_starts(s, SLICE("Pss:")))
            s = slice_drop(s, slice_find(s, '\n') + 1);
        s = slice_trim(slice_drop(s, 4));
        if (!slice_number(slice_first(s, slice_find(s, ' ')), INT64_MAX / 2, &kib))
            return -1;
        sum += (int64_t)kib;
    }
    return sum;
}

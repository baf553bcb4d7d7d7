#include "progress.h"
#include "clock.h"
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

static struct {
    const char *doing; /* NULL: no bar */
    size_t done, total;
    int64_t due_ms; /* drawn no earlier */
    bool drawn;
} bar;

/* With a comma before every third digit. */
static const char *number_text(size_t n, char out[static 32])
{
    char *at = out + 31;

    *at = 0;
    for (int digits = 0; digits == 0 || n; digits++, n /= 10) {
        if (digits && digits % 3 == 0)
            *--at = ',';
        *--at = (char)('0' + n % 10);
    }
    return at;
}

/* One write: what is said in between by others stands on a line of its own. */
static void bar_draw(void)
{
    static const char full[] = "####################", empty[] = "--------------------";
    size_t done = bar.done < bar.total ? bar.done : bar.total,
           tenths = bar.total ? done * 1000 / bar.total : 1000;
    int marks = (int)(tenths * PROGRESS_WIDTH / 1000);
    char text[PROGRESS_OCTETS], of[32], all[32];

    snprintf(text, sizeof text, "\r%s  %s of %s [%.*s%.*s] %zu %%\033[K", bar.doing, number_text(done, of),
             number_text(bar.total, all), marks, full, PROGRESS_WIDTH - marks, empty, tenths / 10);
    fputs(text, stderr);
    fflush(stderr);
    bar.drawn = true;
}

void progress_begin(const char *doing, size_t total)
{
    progress_end();
    if (!doing || !isatty(STDERR_FILENO))
        return;
    bar.doing = doing;
    bar.total = total;
    bar.done = 0;
    bar.due_ms = clock_mono_ms() + PROGRESS_QUIET_MS;
}

void progress_add(size_t n)
{
    int64_t now_ms;

    if (!bar.doing)
        return;
    bar.done += n;
    now_ms = clock_mono_ms();
    if (now_ms < bar.due_ms)
        return;
    bar_draw();
    bar.due_ms = now_ms + PROGRESS_EVERY_MS;
}

void progress_hide(void)
{
    if (bar.drawn)
        fputs("\r\033[K", stderr);
    bar.drawn = false;
}

void progress_end(void)
{
    progress_hide();
    bar.doing = NULL;
}

#include "diag.h"
#include <stdio.h>
#include <unistd.h>

static const char *diag_program = "osb";

struct line {
    char text[1000];
    size_t len;
};

static void line_text(struct line *l, const char *text)
{
    for (; *text && l->len < sizeof l->text - 1; text++)
        l->text[l->len++] = *text;
}

static void line_quoted(struct line *l, struct slice s)
{
    char hex[5];

    line_text(l, "\"");
    for (size_t i = 0; i < s.len; i++) {
        if (s.at[i] >= 0x20 && s.at[i] < 0x7f && s.at[i] != '"' && s.at[i] != '\\')
            snprintf(hex, sizeof hex, "%c", s.at[i]);
        else
            snprintf(hex, sizeof hex, "\\x%02x", s.at[i]);
        line_text(l, hex);
    }
    line_text(l, "\"");
}

void diag_name(const char *program)
{
    diag_program = program;
}

void diag_write(enum diag_level level, const char *text, const struct diag_item *items)
{
    static const char *const word[] = {"error", "warning", "note"};
    struct line l = {.len = 0};
    char number[32];

    line_text(&l, diag_program);
    snprintf(number, sizeof number, "[%d]: ", (int)getpid());
    line_text(&l, number);
    line_text(&l, word[level]);
    line_text(&l, ": ");
    line_text(&l, text);
    for (; items->name; items++) {
        line_text(&l, " ");
        line_text(&l, items->name);
        line_text(&l, "=");
        if (items->is_number) {
            snprintf(number, sizeof number, "%lld", (long long)items->number);
            line_text(&l, number);
        } else {
            line_quoted(&l, items->text);
        }
    }
    l.text[l.len++] = '\n';
    if (write(STDERR_FILENO, l.text, l.len) < 0)
        return; /* nobody is left to be told */
}

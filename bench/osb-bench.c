#include "load.h"
#include "origin.h"
#include "report.h"
#include <signal.h>
#include <stdio.h>
#include <string.h>

static const struct verb {
    const char *name;
    int (*run)(int argc, char **argv);
} verbs[] = {{"load", load_main}, {"origin", origin_main}, {"report", report_main}};

static const char usage[] =
    "usage: osb-bench load   --url URL [OPTION]...               send requests and measure\n"
    "       osb-bench origin --listen ADDR:PORT --cert FILE --key FILE [OPTION]...\n"
    "                                                            a TLS origin that costs little\n"
    "       osb-bench report --out FILE.html JSON...             results as one page\n"
    "       osb-bench VERB --help | --help | --version\n";

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; argc > 1 && i < sizeof verbs / sizeof *verbs; i++)
        if (strcmp(argv[1], verbs[i].name) == 0)
            return verbs[i].run(argc - 1, argv + 1);
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        puts("osb-bench " OSB_VERSION);
        return 0;
    }
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        fputs(usage, stdout);
        return 0;
    }
    fputs(usage, stderr);
    return 2;
}

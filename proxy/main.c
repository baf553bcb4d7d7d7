#include "diag.h"
#include "master.h"
#include <fcntl.h>
#include <getopt.h>
#include <stdlib.h>
#include <unistd.h>

enum { EXIT_DONE, EXIT_FAILED, EXIT_USAGE, EXIT_REFUSED = 4 };

enum { OPTION_CHECK = 256, OPTION_SET, OPTION_HELP, OPTION_VERSION };

static const struct option options[] = {
    {"config", required_argument, NULL, 'c'},       {"check", no_argument, NULL, OPTION_CHECK},
    {"set", required_argument, NULL, OPTION_SET},   {"help", no_argument, NULL, OPTION_HELP},
    {"version", no_argument, NULL, OPTION_VERSION}, {0},
};

static void usage_write(FILE *to)
{
    fputs("usage: osb-proxy -c FILE [--check] [--set KEY=VALUE]...\n"
          "       osb-proxy --help | --version\n"
          "\n"
          "  -c, --config FILE   the configuration, see osb-proxy(8)\n"
          "  --check             read it, say what is wrong where, and exit 0 or 4\n"
          "  --set KEY=VALUE     as if it stood behind the file's last line\n",
          to);
}

/* A missing standard descriptor would be the next socket's, and a peer would read our messages. */
static bool standard_fds_fill(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    return fd >= 0 && close(fd) == 0;
}

static int config_check(struct config *config, const struct master_source *source)
{
    if (config_read(source->path, source->sets, source->set_count, config, stderr) != FAULT_NONE)
        return EXIT_REFUSED;
    printf("%s: ok\n", source->path);
    return fflush(stdout) == 0 ? EXIT_DONE : EXIT_FAILED;
}

static int proxy_run(struct config *config, const struct master_source *source)
{
    enum fault why = config_read(source->path, source->sets, source->set_count, config, stderr);

    if (why != FAULT_NONE)
        return why == FAULT_INVALID ? EXIT_REFUSED : EXIT_FAILED;
    return master_run(config, source);
}

/* Gives true when ${code} is the program's end already. */
static bool options_read(int argc, char **argv, struct master_source *source, const char **sets, bool *check,
                         int *code)
{
    int option;

    *code = EXIT_USAGE;
    while ((option = getopt_long(argc, argv, "c:", options, NULL)) != -1) {
        if (option == 'c') {
            source->path = optarg;
        } else if (option == OPTION_SET) {
            sets[source->set_count++] = optarg;
        } else if (option == OPTION_CHECK) {
            *check = true;
        } else if (option == OPTION_HELP) {
            usage_write(stdout);
            *code = EXIT_DONE;
            return true;
        } else if (option == OPTION_VERSION) {
            puts("osb-proxy " OSB_VERSION);
            *code = EXIT_DONE;
            return true;
        } else {
            usage_write(stderr);
            return true;
        }
    }
    if (optind == argc && source->path)
        return false;
    usage_write(stderr);
    return true;
}

int main(int argc, char **argv)
{
    static struct config config;
    const char **sets;
    struct master_source source = {.path = NULL};
    bool check = false;
    int code;

    diag_name("osb-proxy");
    if (!standard_fds_fill())
        return EXIT_FAILED;
    sets = calloc((size_t)argc + 1, sizeof *sets); /* there are never more of them than arguments */
    if (!sets)
        return EXIT_FAILED;
    source.sets = sets;
    if (!options_read(argc, argv, &source, sets, &check, &code))
        code = check ? config_check(&config, &source) : proxy_run(&config, &source);
    free(sets);
    return code;
}

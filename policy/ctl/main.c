#include "diag.h"
#include "tlsio.h"
#include "verbs.h"
#include <jansson.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define FILES (OPT(ENV_FILE) | OPT(CA_FILE) | OPT(BUNDLE_FILE) | OPT(CA_PATH) | OPT(BUNDLE_PATH))
#define RULES (OPT(SANDBOX_IF) | OPT(IP) | OPT(PORT) | OPT(HTTP_PORT) | OPT(DNS))

static const struct verb {
    const char *noun, *action; /* action NULL: one word is enough */
    verb_fn *run;
    size_t word_count;
    bool needs_redis;
    option_set options;
    const char *usage;
} verb_table[] = {
    {"key", "init", key_init, 1, false, 0, "FILE"},
    {"key", "rotate", key_rotate, 0, true, OPT(STAGE), "[--stage]"},
    {"key", "list", key_list, 0, true, 0, ""},
    {"key", "drop", key_drop, 1, true, 0, "KEY-ID"},
    {"store", "create", store_create, 1, true, OPT(EGRESS_ALLOW) | OPT(EGRESS_ANY) | OPT(SCRUB),
     "NAME [--egress-allow HOST]... [--egress-any] [--scrub on|off]"},
    {"store", "list", store_list, 0, true, 0, ""},
    {"store", "get", store_get, 1, true, 0, "STORE"},
    {"store", "update", store_update, 1, true, OPT(NAME) | OPT(EGRESS_ALLOW) | OPT(EGRESS_ANY) | OPT(SCRUB),
     "STORE [--name N] [--egress-allow HOST]... [--egress-any] [--scrub on|off]"},
    {"store", "delete", store_delete, 1, true, OPT(REVOKE), "STORE [--revoke]"},
    {"secret", "set", secret_set, 2, true, OPT(VALUE_FILE) | OPT(ALLOW_HOST) | OPT(ANY_HOST) | OPT(IN),
     "STORE NAME --value-file FILE|- [--allow-host HOST]... [--any-host] [--in PLACE]..."},
    {"secret", "list", secret_list, 1, true, 0, "STORE"},
    {"secret", "get", secret_get, 2, true, 0, "STORE NAME"},
    {"secret", "delete", secret_delete, 2, true, 0, "STORE NAME"},
    {"sandbox", "create", sandbox_create, 1, true, OPT(IP) | OPT(STORE) | OPT(TTL) | FILES,
     "ID --ip ADDR... [--store STORE]... [--ttl SECONDS] [--env-file FILE] [--ca-file FILE]\n"
     "                  [--bundle-file FILE] [--ca-path P] [--bundle-path P]"},
    {"sandbox", "fork", sandbox_fork, 1, true, OPT(FROM) | OPT(IP) | OPT(STORE) | OPT(TTL) | FILES,
     "ID --from ID --ip ADDR... [--store STORE]... [--ttl SECONDS] [the same file options]"},
    {"sandbox", "move", sandbox_move, 1, true, OPT(IP), "ID --ip ADDR... [--zone ZONE]"},
    {"sandbox", "list", sandbox_list, 0, true, 0, ""},
    {"sandbox", "get", sandbox_get, 1, true, 0, "ID"},
    {"sandbox", "env", sandbox_env, 1, true, OPT(CA_PATH) | OPT(BUNDLE_PATH),
     "ID [--ca-path P] [--bundle-path P]"},
    {"sandbox", "ca", sandbox_ca, 1, true, 0, "ID"},
    {"sandbox", "extend", sandbox_extend, 1, true, OPT(TTL), "ID --ttl SECONDS"},
    {"sandbox", "delete", sandbox_delete, 1, true, 0, "ID"},
    {"rules", "nft", rules_nft, 0, false, RULES,
     "--sandbox-if IF --ip ADDR... [--port P] [--http-port P] [--dns ADDR]"},
    {"rules", "iptables", rules_iptables, 0, false, RULES,
     "--sandbox-if IF --ip ADDR... [--port P] [--http-port P] [--dns ADDR]"},
    {"check", NULL, sandbox_check, 0, true, OPT(SANDBOX) | OPT(HOST) | OPT(SECRET) | OPT(IN),
     "--sandbox ID --host HOST [--secret NAME] [--in PLACE]..."},
    {"status", NULL, status_show, 0, false, 0, ""},
    {"top", NULL, top_show, 0, false, 0, ""},
    {"backup", NULL, backup_write, 0, true, 0, "> FILE"},
    {"restore", NULL, restore_read, 0, true, 0, "< FILE"},
    {"redis-acl", NULL, acl_print, 0, false, 0, ""},
};

#define VERB_COUNT (sizeof verb_table / sizeof *verb_table)

static void help_print(void)
{
    puts("osbctl [-c FILE] [--redis URL] [--key-file FILE] [--zone ZONE] [--json] VERB...\n");
    for (size_t i = 0; i < VERB_COUNT; i++)
        printf("  %s%s%s %s\n", verb_table[i].noun, verb_table[i].action ? " " : "",
               verb_table[i].action ? verb_table[i].action : "", verb_table[i].usage);
    puts("\nAn option beats OSB_REDIS_URL, OSB_KEY_FILE and OSB_ZONE; these beat the redis, key_file and "
         "zone lines\n"
         "of -c FILE. A STORE is a name or an id, a PLACE is header, basic, body, field or url.\n"
         "Exit codes: 0 done, 1 failed, 2 usage, 3 not found, 4 refused.");
}

static const struct verb *verb_find(const struct order *o)
{
    for (size_t i = 0; o->word_count && i < VERB_COUNT; i++) {
        const struct verb *v = &verb_table[i];

        if (strcmp(o->words[0], v->noun) == 0 &&
            (!v->action || (o->word_count > 1 && strcmp(o->words[1], v->action) == 0)))
            return v;
    }
    return NULL;
}

static enum outcome verb_run(const struct verb *v, const struct order *order)
{
    size_t own = v->action ? 2 : 1;
    struct desk d;
    enum outcome o, closed;

    if (order->word_count - own != v->word_count)
        return outcome_say(OUTCOME_USAGE, "usage: osbctl %s %s %s", v->noun, v->action ? v->action : "",
                           v->usage);
    STEP(order_only(order, v->options));
    o = desk_settle(order, &d);
    if (o == OUTCOME_DONE && v->needs_redis)
        o = desk_open(&d);
    if (o == OUTCOME_DONE)
        o = v->run(&d, order->words + own);
    closed = desk_close(&d);
    return o == OUTCOME_DONE ? closed : o;
}

static enum outcome order_run(const struct order *order)
{
    const struct verb *v = verb_find(order);

    if (order_has(order, OPTION_HELP)) {
        help_print();
        return OUTCOME_DONE;
    }
    if (order_has(order, OPTION_VERSION)) {
        puts("osbctl " OSB_VERSION);
        return OUTCOME_DONE;
    }
    if (!v)
        return outcome_say(OUTCOME_USAGE, "%s; see osbctl --help",
                           order->word_count ? "no such verb" : "a verb is needed");
    return verb_run(v, order);
}

/* No core file: values pass through this process. It stays dumpable, or /dev/fd/N could not be a --value-file. */
static void process_close_in(void)
{
    const struct rlimit none = {0};

    setrlimit(RLIMIT_CORE, &none);
    signal(SIGPIPE, SIG_IGN);
    umask(077);
}

int main(int argc, char **argv)
{
    struct order order = {0};
    enum outcome o;

    process_close_in();
    diag_name("osbctl");
    json_set_alloc_funcs(demand, free);
    tlsio_library_open();
    if (sodium_init() < 0)
        return (int)outcome_say(OUTCOME_FAILED, "no random numbers can be had");
    o = order_parse(argc, argv, &order);
    if (o == OUTCOME_DONE)
        o = order_run(&order);
    order_close(&order);
    if ((fflush(stdout) != 0 || ferror(stdout)) && o == OUTCOME_DONE)
        o = outcome_say(OUTCOME_FAILED, "the answer can't be written");
    return (int)o;
}

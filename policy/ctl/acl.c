#include "print.h"
#include "verbs.h"
#include <stdio.h>

/*
 * What the two programs ask of Redis and nothing else; the tests run all of both as these users. What a script calls is
 * asked for as well: Redis runs it with its user's rights. The proxy can't write, so a worker that was taken over can't.
 */
#define PROXY_RULES \
    "reset on %R~osb:* &osb:changes +get +hgetall +subscribe +ping +role +select +readwrite +asking"
#define OSBCTL_RULES                                                                                       \
    "reset on ~osb:* &osb:changes +eval +get +set +del +exists +pexpireat +persist +hkeys +hget +hgetall " \
    "+hset +hdel "                                                                                         \
    "+hvals "                                                                                              \
    "+zadd +zrem +zremrangebyscore +zscore +zscan +zcount +zrange +publish +wait "                         \
    "+ping +role +info +select +readwrite +asking"

enum outcome acl_print(struct desk *d, const char *const *words)
{
    (void)words;
    if (d->json) {
        print_quiet(d, json_pack("{s:s, s:s}", "osb-proxy", PROXY_RULES, "osbctl", OSBCTL_RULES));
        return OUTCOME_DONE;
    }
    puts("ACL SETUSER osb-proxy " PROXY_RULES);
    puts("ACL SETUSER osbctl " OSBCTL_RULES);
    outcome_advise("neither has a password yet, so nobody can log in: add >PASSWORD to each line");
    return OUTCOME_DONE;
}

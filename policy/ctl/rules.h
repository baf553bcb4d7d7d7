#pragma once
#include "desk.h"

/*
 * rules - the firewall rules that bind a sandbox's addresses to its interface and lead it to the proxy.
 *
 *   Layer   program (osbctl).
 *   Why     the proxy believes the source address; these rules make it believable. Whatever is not said is dropped.
 */
#define RULES_IF_MAX 15 /* IFNAMSIZ less the NUL */

struct rules {
    const char *interface;
    struct ip sources[2][64]; /* of v4, of v6 */
    size_t source_count[2];
    uint64_t port, http_port;
    struct ip dns;
    bool has_dns;
};

enum family { FAMILY_V4, FAMILY_V6 };
#define FAMILY_COUNT 2

/* rules_take(order, out): Fails OUTCOME_USAGE, OUTCOME_REFUSED. */
enum outcome rules_take(const struct order *order, struct rules *out) CHECKED;

/* rules_has_dns(r, f): is the one name server of family ${f}? */
bool rules_has_dns(const struct rules *r, enum family f);

/* rules_print(d, text): and free ${text}. */
void rules_print(const struct desk *d, char *text);

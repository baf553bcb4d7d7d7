#include "authority.h"
#include "creation.h"
#include "sandboxes.h"
#include "verbs.h"
#include <stdlib.h>

/* Its CA lives longer than any sandbox may: neither extend nor fork meets its end. */
static enum outcome ca_draw(struct desk *d, struct creation *k)
{
    struct secret *key;
    char *pem;
    enum outcome o;

    STEP(outcome_fault(authority_new(slice_text(k->id), d->now_ms, SANDBOX_DAYS_MAX, &pem, &key),
                       "the sandbox's CA"));
    o = creation_ca(d, k, pem, key);
    secret_free(key);
    free(pem);
    return o;
}

enum outcome sandbox_create(struct desk *d, const char *const *words)
{
    struct creation k;
    enum outcome o = creation_take(d, words[0], NULL, &k);

    if (o == OUTCOME_DONE)
        o = ca_draw(d, &k);
    if (o == OUTCOME_DONE)
        o = creation_end(d, &k);
    chest_close(&k.chest);
    return o;
}

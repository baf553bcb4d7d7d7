#include "keys.h"
#include "diag.h"

#define RELOAD_MS 1000

enum fault keys_load(struct worker *w)
{
    const char *why_text = NULL;
    struct keyring *fresh = NULL;
    enum fault why = keyring_load(w->config->key_file, &fresh, &why_text);

    if (why != FAULT_NONE) {
        DIAG(ERROR, "the key file can't be used", DIAG_TEXT("file", slice_text(w->config->key_file)),
             DIAG_TEXT("why", slice_text(why_text)));
        return why;
    }
    keyring_free(w->keys);
    w->keys = fresh;
    return FAULT_NONE;
}

enum fault keys_reload(struct worker *w)
{
    if (worker_now_ms(w) - w->keys_again_ms < RELOAD_MS)
        return FAULT_KEY_UNKNOWN;
    w->keys_again_ms = worker_now_ms(w); /* also when it fails: a broken file is not read for every record */
    return keys_load(w);
}

#pragma once
#include "outcome.h"
#include "slice.h"
#include <stdbool.h>

/*
 * page - a page of the proxy's own server on this host: /readyz, /metrics, /sandboxes.
 *
 *   Layer   program (osbctl).
 *   Bounds  PAGE_TIMEOUT_MS in all, PAGE_OCTETS_MAX. The other end is the proxy, or whoever the operator named as admin:
 *           what it says is read as strictly as anybody's.
 */
#define PAGE_TIMEOUT_MS 5000
#define PAGE_OCTETS_MAX ((size_t)32 << 20)
#define PAGE_WHY        160

struct page {
    int status;
    struct slice body;
    char *octets; /* what body lies in */
};

/*
 * page_fetch(admin, path, out, why): GET ${path} of the server at ${admin}, unix:PATH or ADDRESS:PORT.
 *   Gives   *out, page_close() it; or false, and what went wrong in ${why}, PAGE_WHY octets.
 */
bool page_fetch(const char *admin, const char *path, struct page *out, char *why);
void page_close(struct page *p);

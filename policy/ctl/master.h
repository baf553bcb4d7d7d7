#pragma once
#include "dial.h"
#include "outcome.h"

/*
 * master - finds the server that takes writes: the first of the addresses, as ROLE or a Sentinel says.
 *
 *   Layer   program (osbctl).
 *   Why     the address of yesterday's master may be a replica's today, and a write to one is lost or refused.
 *   Bounds  each server once, DIAL_TIMEOUT_MS for each step.
 */

/*
 * master_find(urls, n, tls, d, url, place): connect and log in.
 *   Takes   tls    for rediss://; may be NULL where there is none.
 *   Gives   ${d}   open. *url  the one of ${urls} that led there. ${place}: the server; host "" for a unix socket.
 *   Fails   OUTCOME_FAILED: one line with what each of them said.
 */
enum outcome master_find(const struct redis_url *urls, size_t n, SSL_CTX *tls, struct dial *d,
                         const struct redis_url **url, struct redis_place *place) CHECKED;

/*
 * master_owes(urls, n, url, tls): is there a replica that the master at ${url}, whose ROLE lists none, ought to have?
 *   Gives   true: its Sentinel knows one that lives, as when another was promoted and this one does not know it yet; or
 *           another of ${urls} is one. What the master takes now may be lost.
 *   Costs   a connection to each that is asked.
 */
bool master_owes(const struct redis_url *urls, size_t n, const struct redis_url *url, SSL_CTX *tls);

/* dial_login(d, url): AUTH and SELECT as ${url} says. ${d}->why is set where the server refuses. */
bool dial_login(struct dial *d, const struct redis_url *url) CHECKED;

#pragma once
#include "exchange.h"

/*
 * judge - a request's head before policy, door by door, before anything leaves this house.
 *
 *   Layer   flow.
 *   Why     the order of the doors is the contract's (section 2), and is read here in one screen.
 */

/*
 * judge_request(x): host allowed, authority the connection's, rate, plain HTTP, tokens in the head; then the body's plan.
 *   Takes   x->request and x->record.
 *   Gives   x->host, x->grants and x->fills with the tokens of the head counted, x->scrubs, x->plan.
 *   Fails   the faults that the client is told: contract section 4.
 */
enum fault judge_request(struct exchange *x) CHECKED;

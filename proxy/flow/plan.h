#pragma once
#include "exchange.h"

/*
 * plan - what becomes of a request's body.
 *
 *   Layer   flow.
 *   Why     which path each kind of body takes is one table.
 *
 *   a secret may go into this host's bodies?  type    coding   framing                  plan
 *   no                                        any     any      any                      verbatim
 *   yes                                       binary  any      any                      verbatim
 *   yes                                       text    some     any                      verbatim
 *   yes                                       text    none     a length <= body_memory  counted first, exact new length
 *   yes                                       text    none     a longer length          verbatim
 *   yes                                       text    none     none (chunked, stream)   substituted as it streams
 *   With denied_token = block every host's bodies are looked at as if a secret could go there.
 */
enum body_plan plan_body(const struct head *request, unsigned places, bool block, size_t body_memory);

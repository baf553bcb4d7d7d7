#pragma once
#include "exchange.h"

/*
 * plan - what becomes of a request's body.
 *
 *   Layer   flow.
 *   Why     which path each kind of body takes is one table.
 *
 *   a secret may go into this host's bodies?  type    coding   framing                 plan
 *   no                                        any     any      any                     verbatim
 *   yes                                       binary  any      any                     verbatim
 *   yes                                       text    unknown  any                     verbatim
 *   yes                                       text    any      a length > body_spool   verbatim
 *   yes                                       text    none     a length <= body_spool  counted first, exact new length
 *   yes                                       text    none     none (chunked, stream)  substituted as it streams
 *   yes                                       text    known    other                   opened: as counted, and sent on
 *                                                                                      uncoded if a token was in it;
 *                                                                                      verbatim once it proves longer
 *                                                                                      than body_spool
 *   With denied_token = block every host's bodies are looked at as if a secret could go there.
 */
enum body_plan plan_body(const struct head *request, enum media media, bool looks, uint64_t body_spool);

#pragma once
#include "exchange.h"

/*
 * tell - what this house itself says to a client on one stream, and the audit's line where no exchange stood for one.
 *
 *   Layer   flow.
 *   Why     a refusal reads the same whether its stream is a whole connection or one of many.
 *   Bounds  ANSWER_OCTETS for a moment.
 */

/* What is told, and to whom. */
struct telling {
    const struct exchange_client *client;
    const struct exchange *exchange; /* that failed; NULL: its request's head already did */
    enum fault why;
    struct slice request_id;
};

/*
 * tell(t, close): the whole answer into the client's stream.
 *   Takes   *close  the connection is to end behind it; the answer says so.
 *   Gives   *close  true also where the fault asks for that.
 *   Fails   FAULT_FULL  nothing is written: again when there is room. Else the stream can't be used any more.
 */
enum fault tell(const struct telling *t, bool *close) CHECKED;

/* tell_audit(w, t, status): the line of a refusal without an exchange. client->sandbox may be NULL here. */
void tell_audit(const struct worker *w, const struct telling *t, int status);

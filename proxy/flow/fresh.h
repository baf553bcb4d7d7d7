#pragma once
#include "asks.h"
#include "waits.h"

/*
 * fresh - is what we hold of a sandbox what Redis holds?
 *
 *   Layer   flow.
 *   Why     a change is in force at the next request after it was announced; Redis must not be asked for each request,
 *           nor all at once for each of ten thousand sandboxes that nobody speaks for just now.
 *   Bounds  one question at a time for a sandbox. An announced change is read at once where connections are open, else at
 *           the next use or in a sweep. A record is checked again before it is cache_ttl old, serves at most cache_stale
 *           while Redis is away, and not at all once a change was announced and can't be read.
 *   Source  contract section 8.
 */
struct sandbox;

/* What was told of a record, and how much of it is in what was read. */
struct news {
    unsigned told, asked,
        read; /* so far; before the running question was sent; before the last answer's was */
};

struct fresh {
    struct ask ask;
    struct who_waits waits;
    struct news changes; /* announced: unread, the record is not to be used */
    struct news doubts;  /* announcements may have been missed: unread, it is as a stale one */
    uint64_t floor;      /* of the running question */
    int64_t checked_ms;  /* when the record was last seen to be the one in Redis */
    int64_t used_ms;
    enum fault
        refused; /* why what Redis holds now is not taken: nothing is decided on the old record any more */
};

void fresh_begin(struct sandbox *s);

/* fresh_ask(s, from, wait): as who_fresh. */
enum fault fresh_ask(struct sandbox *s, struct ip from, struct who_wait *wait) CHECKED;

/* fresh_changed(s): a change was announced. fresh_doubt(s): some may have been missed. fresh_resolve(s): read what is unread
 * of a sandbox that has connections. */
void fresh_changed(struct sandbox *s);
void fresh_doubt(struct sandbox *s);
void fresh_resolve(struct sandbox *s);

/* fresh_learned(s): the record is the one that Redis holds now. */
void fresh_learned(struct sandbox *s);

/* fresh_usable(s): may be decided on its record, though Redis is away? */
bool fresh_usable(const struct sandbox *s);

/* fresh_idle_ms(s): how long it has served nobody; -1: it serves somebody now, or is being read. */
int64_t fresh_idle_ms(const struct sandbox *s);

/* fresh_upkeep(s, spare): once a second.
 *   Takes   spare  how many more may be read, or forgotten, for which there is nobody now; counted down.
 *   Gives   false: it has expired, or serves nobody and is not worth its memory. It is to be forgotten. */
bool fresh_upkeep(struct sandbox *s, unsigned *spare);

/* fresh_late(wait): it has waited long enough; told. For struct waitroom. */
void fresh_late(struct who_wait *wait);

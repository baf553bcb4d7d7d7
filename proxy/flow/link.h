#pragma once
#include "buf.h"
#include "tlsio.h"
#include "turn.h"
#include <ev.h>
#include <sys/queue.h>

/*
 * link - one socket with its TLS and its two buffers, on the loop.
 *
 *   Layer   flow.
 *   Why     both sides of the house move octets in the same way: read what there is room for, write what is held, and
 *           compute from that what to wait for. A room above never touches a socket.
 *   Bounds  two buffers of LINK_OCTETS, held only while something is in them or is awaited; an idle link has none. Where
 *           octets come faster than that, and go as fast, of LINK_BULK_OCTETS: a system call for four records, not for each.
 */
#define LINK_OCTETS      16384 /* the plaintext of one full TLS record */
#define LINK_BULK_OCTETS 65536 /* of a buffer through which much passes */

TAILQ_HEAD(links, link); /* all of a worker's */

struct link {
    struct ev_loop *loop;
    struct links *links;
    struct turn *turn;
    struct soon again;
    TAILQ_ENTRY(link) list;
    ev_io io;
    int fd;                 /* -1: closed */
    bool secure;            /* octets go through tls */
    bool busy;              /* something happened since the last sweep */
    bool rested;            /* TLS' buffers were given back since */
    bool bulk_in, bulk_out; /* the last buffer was full: the next one is a large one */
    bool drained;      /* the socket gave less than was asked for: nothing is left until the next event */
    bool eof;          /* the peer ended, cleanly, behind what is held in ${in} */
    enum fault broken; /* NONE while it can be read */
    bool mute;         /* it can't be written any more; what is still to be read may explain why */
    struct tlsio tls;
    struct buf in, out; /* plaintext; closed while empty */
    struct buf unsent;  /* records that the socket had no room for; they go first */
    bool lazy;          /* ${unsent} is the handshake's last word: it waits for company */
    bool last;          /* nothing follows what ${out} holds */
    bool ended, finned; /* close_notify, and FIN, were written */
    void (*on_event)(struct link *l);
};

/* link_open(l, turn, links, fd, on_event): take ${fd} over; not yet secure, waits for nothing until armed. */
void link_open(struct link *l, struct turn *turn, struct links *links, int fd,
               void (*on_event)(struct link *l));

/* links_sweep(links): links on which nothing happened since the last sweep give TLS' own buffers back. To be called about
 * once a second: soon enough for memory, and never for a connection at work. */
void links_sweep(struct links *links);

/* link_wire(l): the transport for tlsio_server and tlsio_client; then set secure. */
struct wire link_wire(struct link *l);

/*
 * link_read(l): as much plaintext as is there and fits into ${in}.
 *   Gives   octets read. eof and broken say how it ended. Opens ${in} where it is closed.
 */
size_t link_read(struct link *l);

/* link_write(l): as much of ${out} as the socket takes; what a mute link is given is dropped. Gives octets written; closes
 * ${out} once it is empty. */
size_t link_write(struct link *l);

/* link_unsent(l): octets that the kernel has not taken yet, or the end behind them? */
bool link_unsent(const struct link *l);

/* link_room(l): ${out}, opened where it is closed; FAULT_NO_MEMORY. */
enum fault link_room(struct link *l) CHECKED;

/*
 * link_arm(l, read): wait for what makes sense: octets to come where ${read} and there is room, room on the socket where
 *   octets are held back. While a handshake runs, for what TLS asks.
 */
void link_arm(struct link *l, bool read);

/*
 * link_shake(l, why): tlsio_shake, with the records of a flight in one system call. What TLS 1.3 writes last (the server's
 *   ticket, the client's Finished) goes out with the first message: nobody waits for it before that.
 *   Fails   as tlsio_shake.
 */
enum fault link_shake(struct link *l, const char **why) CHECKED;

/* link_arm_shake(l): wait for what the handshake asks. */
void link_arm_shake(struct link *l);

/* link_again(l): on_event comes once more before the loop sleeps, behind what other links have to do in this turn (fairness,
 * octets held by TLS, many exchanges that were woken). Harmless twice. */
void link_again(struct link *l);

/*
 * link_end(l): what is held in ${out}, close_notify and FIN, in one system call where they fit; call again while
 *   link_unsent.
 *   Gives   octets of ${out} written. Harmless twice.
 */
size_t link_end(struct link *l);

/* link_last(l): nothing follows what is held in ${out}: link_write ends this direction as link_end does. The other one goes
 * on. */
void link_last(struct link *l);

/* link_close(l): everything freed. Harmless twice. */
void link_close(struct link *l);

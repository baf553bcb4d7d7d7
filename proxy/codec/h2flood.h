#pragma once
#include <stdbool.h>
#include <stdint.h>

/*
 * h2flood - what one connection may ask of us without asking for anything: a budget of frames and one of resets.
 *
 *   Layer   codec.  Used by: h2.
 *   Why     a PING costs its sender as little as us; only messages and octets of bodies earn the right to more of them.
 *   Bounds  arithmetic on its own three numbers.
 *   Source  CVE-2019-9511 to 9518 (floods), CVE-2023-44487 (rapid reset), CVE-2025-8671 (the peer provokes our resets).
 */
struct h2_flood {
    int64_t filled_ms;
    uint32_t frames_milli, resets_milli; /* thousandths left */
    uint32_t share;                      /* how many clients' worth */
};

/* h2_flood_begin(f, share, now_ms): full budgets. ${share}: 1 for a client, 4 for an upstream that serves many clients. */
void h2_flood_begin(struct h2_flood *f, uint32_t share, int64_t now_ms);

/* h2_flood_frame(f, type, now_ms): a frame of any type begins; SETTINGS cost 8, since each is applied to all streams, all
 * others 1. False: the budget is spent, the connection should end with ENHANCE_YOUR_CALM. */
bool h2_flood_frame(struct h2_flood *f, uint8_t type, int64_t now_ms);

/* h2_flood_earn(f, n): what is no flood. Padding earns nothing. */
enum {
    H2_EARN_CONTENT = 3, /* a run of a body's octets came */
    H2_EARN_SENT = 4,    /* a DATA frame with octets was sent: its credit will come in frames */
    H2_EARN_HEAD = 16    /* a request's head is whole */
};
void h2_flood_earn(struct h2_flood *f, uint32_t n);

/* h2_flood_reset(f, now_ms): the peer reset a stream that was not fully answered, or made us reset one. False: as above. */
bool h2_flood_reset(struct h2_flood *f, int64_t now_ms);

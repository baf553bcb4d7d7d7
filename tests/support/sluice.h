#pragma once
#include "stream.h"
#include <check.h>
#include <stdlib.h>

/*
 * sluice - the two streams between which relay moves a body: a spring, which gives it in runs of scripted sizes, and a
 * basin, which has scripted room.
 *
 *   Why     what a relay does must not depend on where runs are cut or where there is no room.
 *   Bounds  each run, and each room, is in memory of its own, no octet longer: who reads or writes beyond it is found.
 */
#define BASIN_OCTETS ((size_t)1 << 18)

/* Sizes in turn, and again from the first. */
#define SIZES_MOST 8
struct sizes {
    size_t at[SIZES_MOST];
    size_t count, turn;
};
#define SIZES(...) ((struct sizes){{__VA_ARGS__}, sizeof((size_t[]){__VA_ARGS__}) / sizeof(size_t), 0})

static inline size_t size_next(struct sizes *s)
{
    return s->at[s->turn++ % s->count];
}

struct spring {
    struct stream stream;
    struct slice left;  /* of the body */
    struct sizes sizes; /* 0: AGAIN */
    uint8_t *run;       /* what is here */
    size_t here;
    unsigned asks;
    enum fault end; /* what comes behind the last octet */
};

static inline struct spring *spring_of(struct stream *s)
{
    return (struct spring *)(void *)s;
}

static inline void spring_run(struct spring *s, size_t octets)
{
    free(s->run);
    s->run = octets ? malloc(octets) : NULL;
    s->here = octets;
    if (octets)
        memcpy(s->run, s->left.at, octets);
}

static inline enum fault spring_body(struct stream *stream, struct slice *run)
{
    struct spring *s = spring_of(stream);

    s->asks++;
    if (s->here == 0) {
        if (s->left.len == 0)
            return s->end;
        size_t octets = size_next(&s->sizes);

        if (octets == 0)
            return FAULT_AGAIN;
        spring_run(s, octets < s->left.len ? octets : s->left.len);
    }
    *run = slice_of(s->run, s->here);
    return FAULT_NONE;
}

static inline void spring_took(struct stream *stream, size_t n)
{
    struct spring *s = spring_of(stream);

    ck_assert_msg(n <= s->here, "more was taken than was there");
    s->left = slice_drop(s->left, n);
    spring_run(s, s->here - n);
}

static inline void spring_open(struct spring *s, struct slice body, struct sizes sizes)
{
    static const struct stream_ops ops = {.body = spring_body, .took = spring_took};

    *s = (struct spring){.stream = {&ops, "spring"}, .left = body, .sizes = sizes, .end = FAULT_END};
}

static inline void spring_close(struct spring *s)
{
    spring_run(s, 0);
}

struct basin {
    struct stream stream;
    struct sizes rooms;
    size_t room_octets; /* 0: ${why} */
    enum fault why;
    struct buf room;
    size_t before; /* octets that somebody else has left in it */
    unsigned asks;
    size_t octets;
    uint8_t text[BASIN_OCTETS];
};

static inline struct basin *basin_of(struct stream *s)
{
    return (struct basin *)(void *)s;
}

static inline enum fault basin_room(struct stream *stream, struct buf **out)
{
    struct basin *b = basin_of(stream);

    b->asks++;
    ck_assert_msg(!b->room.base, "it was not said what was written");
    if (b->room_octets == 0)
        return b->why;
    b->before = b->asks % 3;
    TRY(buf_open(&b->room, b->before + b->room_octets));
    buf_fill(&b->room, b->before);
    *out = &b->room;
    return FAULT_NONE;
}

static inline void basin_wrote(struct stream *stream, size_t n)
{
    struct basin *b = basin_of(stream);
    struct slice got = slice_drop(buf_held(&b->room), b->before);

    ck_assert_msg(got.len == n, "it was said that other octets were written than were");
    ck_assert_msg(b->octets + n <= BASIN_OCTETS, "more was written than there is");
    memcpy(b->text + b->octets, got.at, n);
    b->octets += n;
    b->room_octets -= n;
    buf_close(&b->room);
}

/* Somebody was told FULL, and waited. */
static inline void basin_drain(struct basin *b)
{
    b->room_octets = size_next(&b->rooms);
}

static inline void basin_open(struct basin *b, struct sizes rooms)
{
    static const struct stream_ops ops = {.room = basin_room, .wrote = basin_wrote};

    b->stream = (struct stream){&ops, "basin"};
    b->rooms = rooms;
    b->why = FAULT_FULL;
    b->room = (struct buf){0};
    b->asks = 0;
    b->octets = 0;
    basin_drain(b);
}

#include "micro_scrub.h"
#include "micro.h"
#include "scrub.h"
#include <stdio.h>

#define COUNT(table) (sizeof(table) / sizeof *(table))

#define VALUES     200
#define VALUE_ROOM 64

static uint8_t text[SCRUB_BODY_OCTETS], begun[SCRUB_BODY_OCTETS], cut[SCRUB_BODY_OCTETS],
    hits[SCRUB_BODY_OCTETS];
static char values[VALUES][VALUE_ROOM];
static struct secret *secrets[VALUES];
static struct scrubs *set_1, *set_10, *set_200;
static struct buf out;

static void feed(const struct scrubs *set, const uint8_t *body, uint64_t times)
{
    for (uint64_t i = 0; i < times; i++) {
        struct scrub s;
        size_t done;

        scrub_begin(&s, set, MEDIA_TEXT);
        micro_must(s.filter.feed(&s.filter, slice_of(body, SCRUB_BODY_OCTETS), true, &out, &done) ==
                       FAULT_NONE,
                   "scrub gave a fault");
        micro_must(done == SCRUB_BODY_OCTETS, "scrub left something over");
        out.head = out.tail = 0; /* buf_take would wipe as well: that is not scrub's cost */
    }
}

void micro_scrub_1(uint64_t times)
{
    feed(set_1, text, times);
}

void micro_scrub_10(uint64_t times)
{
    feed(set_10, text, times);
}

void micro_scrub_200(uint64_t times)
{
    feed(set_200, text, times);
}

void micro_scrub_begun(uint64_t times)
{
    feed(set_10, begun, times);
}

void micro_scrub_cut(uint64_t times)
{
    feed(set_10, cut, times);
}

void micro_scrub_hits(uint64_t times)
{
    feed(set_10, hits, times);
}

static struct scrubs *set_of(size_t n)
{
    struct scrubs *set = NULL;

    micro_must(scrubs_new((const struct secret *const *)secrets, n, NULL, &set) == FAULT_NONE, "scrubs_new");
    return set;
}

void micro_scrub_set(uint64_t times)
{
    for (uint64_t i = 0; i < times; i++)
        scrubs_drop(set_of(3));
}

/* The same in every run, so that runs compare. */
static uint32_t turn(uint32_t below)
{
    static uint64_t state = 88172645463325252u;

    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 33) % below;
}

/* Keys with a few octets that JSON, URLs and forms spell in their own ways: nearly every spelling is a pattern. */
static void stage_values(void)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=&";

    for (size_t i = 0; i < VALUES; i++) {
        size_t n = (size_t)snprintf(values[i], VALUE_ROOM, "key/\"%zu\"+", i);

        while (n < 48)
            values[i][n++] = letters[turn(sizeof letters - 1)];
        micro_must(secret_new(slice_text(values[i]), &secrets[i]) == FAULT_NONE, "secret_new");
    }
    set_1 = set_of(1);
    set_10 = set_of(10);
    set_200 = set_of(VALUES);
}

/* Beginnings of the first 10 values, of ${octets} each, and one that is wrong. */
static void stage_begun(uint8_t *body, size_t octets)
{
    for (size_t at = 0, i = 0; at < SCRUB_BODY_OCTETS; at += octets + 1, i++) {
        size_t room = SCRUB_BODY_OCTETS - at, n = octets < room ? octets : room;

        memcpy(body + at, values[i % 10], n);
        if (n < room)
            body[at + n] = '.';
    }
}

void micro_scrub_stage(void)
{
    static const char *const words[] = {"the ",     "\"role\":", "\"user\", ", "sandbox ",
                                        "of ",      "lading\\n", "{\"id\":\"", "},\n",
                                        "content ", "key/",      "12345 ",     "text"};

    for (size_t n = 0; n < SCRUB_BODY_OCTETS;) {
        const char *word = words[turn(COUNT(words))];

        for (; *word && n < SCRUB_BODY_OCTETS; word++)
            text[n++] = (uint8_t)*word;
    }
    stage_values();
    stage_begun(begun, 15);
    stage_begun(cut, 47);
    memcpy(hits, text, SCRUB_BODY_OCTETS);
    for (size_t at = 512, i = 0; at + 48 < SCRUB_BODY_OCTETS; at += 1024, i++)
        memcpy(hits + at, values[i % 10], 48);
    micro_must(buf_open(&out, 2 * SCRUB_BODY_OCTETS) == FAULT_NONE, "buf_open");
}

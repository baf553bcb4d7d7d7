#include "../support/medley.h"
#include <stdlib.h>

/*
 * Octets that steer, then a body: told in random cuts what goes by, a standing must say of each token what a reference says
 * that reads the whole body from its beginning; however much is seen of what is behind the token.
 */
#define STEER 16
#define MOST  ((size_t)2048)

static void demand(bool held)
{
    if (!held)
        abort();
}

static bool where_same(struct where a, struct where b)
{
    return a.barred == b.barred && (a.barred || (a.escape == b.escape && a.alone == b.alone));
}

static void ask(const struct standing *s, struct slice rest, size_t seen, struct where want)
{
    struct where got;

    demand(standing_at(s, rest, true, &got) == FAULT_NONE && where_same(got, want));
    if (SUBST_TOKEN + seen >= rest.len)
        return;
    enum fault why = standing_at(s, slice_first(rest, SUBST_TOKEN + seen), false, &got);

    demand(why == FAULT_NONE || (why == FAULT_AGAIN && seen < STANDING_AHEAD));
    demand(why == FAULT_AGAIN || where_same(got, want));
}

static void stand(const uint8_t *steer, enum media media, struct slice body)
{
    struct standing s;
    size_t passed = 0;
    unsigned turn = 0;

    standing_begin(&s, media, SLICE(MEDLEY_BOUNDARY));
    for (size_t at = 0; at + SUBST_TOKEN <= body.len; at++) {
        if (!naive_token(slice_drop(body, at)))
            continue;
        while (passed < at) {
            struct slice piece =
                slice_first(slice_of(body.at + passed, at - passed), 1u + steer[turn++ % STEER]);

            standing_pass(&s, piece);
            passed += piece.len;
        }
        ask(&s, slice_drop(body, at), steer[turn++ % STEER] % (STANDING_AHEAD + 2),
            naive_where(media, SLICE(MEDLEY_BOUNDARY), body, at));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t len)
{
    static char text[MOST];

    if (len < STEER)
        return 0;
    struct slice body = slice_first(slice_of(octets + STEER, len - STEER), MOST);

    for (unsigned media = MEDIA_TEXT; media <= MEDIA_BINARY; media++) {
        stand(octets, media, body);
        stand(octets, media, slice_of(text, medley_from(body, media, text, MOST)));
    }
    return 0;
}

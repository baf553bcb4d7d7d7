#include "../support/scrubref.h"

/*
 * Octets that steer, then a recipe of text: literal octets, whole spellings, beginnings of them. Fed in cuts that the
 * first octets say through a buffer of the size they say, as text and as gRPC, it must become what the reference makes
 * of it; as gRPC, but for less than a step in front of the end of a message.
 */
#define STEER 16
#define SETS  4

static const char *const values[SETS][5] = {
    {"abababababababab", "ababababababababab", "aaaaaaaaaaaaaaaab", "bbbbbbbbbbbbbbbbbbbbbbbb"},
    {"k/<\">&'+ \xc3\xa9\\~*9x", "k/<\">&'+ \xc3\xa9\\~*9xyz", "sk-0123456789abcdef"},
    {"ab\nab\n\nab\r\nabababab", "ab\nab\nab\nab\nab\nab", "a\n\n\n\nb\n\n\n\n\r\n\r\nc\nabcdef"},
    {"-- BEGIN --\nabcdefabcdefabcdef\nabcdef\n--- END --", "abcdefabcdefabcdef", "abcdef abcdef abcdef"},
};

static struct scrubs *sets[SETS];
static struct reference refs[SETS];

static void sets_make(void)
{
    ref_demand(secret_arena_open((size_t)1 << 22) == FAULT_NONE);
    for (size_t i = 0; i < SETS; i++) {
        struct secret *secret[5];
        size_t n = 0;

        for (; values[i][n]; n++) {
            ref_demand(secret_new(slice_text(values[i][n]), &secret[n]) == FAULT_NONE);
            ref_add(&refs[i], slice_text(values[i][n]));
        }
        ref_demand(scrubs_new((const struct secret *const *)secret, n, NULL, &sets[i]) == FAULT_NONE &&
                   sets[i]);
        while (n)
            secret_free(secret[--n]);
    }
}

/* Below 0x80 an octet is itself; else it and the next one name a spelling and how much of it. */
static struct slice text_make(const struct reference *r, struct slice recipe, uint8_t *text)
{
    size_t n = 0;

    for (size_t i = 0; i < recipe.len && n + r->longest < REF_TEXT / 8; i++) {
        if (recipe.at[i] < 0x80 || i + 1 == recipe.len) {
            text[n++] = recipe.at[i];
            continue;
        }
        struct slice pattern = r->pattern[(size_t)(recipe.at[i] & 0x7f) % r->patterns];
        size_t cut = recipe.at[++i];

        pattern = cut & 1 ? pattern : slice_first(pattern, cut / 2);
        memcpy(text + n, pattern.at, pattern.len);
        n += pattern.len;
    }
    return slice_of(text, n);
}

static void feed(const uint8_t *steer, size_t set, enum media media, struct slice text)
{
    static struct scrubbed s;
    static uint8_t want[REF_TEXT];
    size_t masks = ref_mask(&refs[set], text, want), turn = 0;

    scrubbed_begin(&s, sets[set], media, 1 + (size_t)steer[STEER - 1] * 4);
    for (size_t at = 0, n; at < text.len; at += n) {
        n = 1u + steer[turn++ % (STEER - 1)];
        n = n < text.len - at ? n : text.len - at;
        ref_demand(scrubbed_feed(&s, slice_of(text.at + at, n), at + n == text.len && turn % 2));
    }
    ref_demand(scrubbed_feed(&s, SLICE(""), true));
    ref_demand(s.released == text.len && s.scrub.hits == masks);
    ref_demand(media == MEDIA_GRPC ? ref_agrees(s.text, want, text.at, text.len)
                                   : memcmp(s.text, want, text.len) == 0);
    scrubbed_end(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t len)
{
    static uint8_t text[REF_TEXT], want[REF_TEXT];

    if (!sets[0])
        sets_make();
    if (len < STEER + 1)
        return 0;
    size_t set = octets[STEER] % SETS;
    struct slice made = text_make(&refs[set], slice_of(octets + STEER + 1, len - STEER - 1), text);

    feed(octets, set, MEDIA_TEXT, made);
    feed(octets, set, MEDIA_GRPC, made);
    size_t masks = ref_mask(&refs[set], made, want);

    ref_demand(scrubs_seen(sets[set], made) == (masks > 0));
    ref_demand(scrubs_mask(sets[set], text, made.len) == masks && memcmp(text, want, made.len) == 0);
    return 0;
}

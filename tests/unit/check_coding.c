#include "coding.h"
#include "packing.h"
#include <check.h>
#include <stdio.h>
#include <string.h>

#define EACH(table) for (size_t i = 0; i < sizeof table / sizeof *table; i++)
#define ROOM        (64 * 1024)
#define PLENTY      (UINT64_C(1) << 40)

/* Feed ${in} in pieces of ${piece} octets through a buffer of ${cap}; what comes is appended to ${text}. */
static enum fault feed_on(struct decoder *d, struct slice in, size_t piece, size_t cap, uint8_t *text,
                          size_t *len)
{
    struct buf out = {0};
    enum fault why = FAULT_NONE;
    size_t used;

    ck_assert_int_eq(buf_open(&out, cap), FAULT_NONE);
    while (in.len || why == FAULT_FULL) {
        why = decoder_feed(d, slice_first(in, piece), &out, &used);
        in = slice_drop(in, used);
        if (text)
            memcpy(text + *len, buf_held(&out).at, buf_held(&out).len);
        *len += buf_held(&out).len;
        buf_take(&out, buf_held(&out).len);
        if (why != FAULT_NONE && why != FAULT_END && why != FAULT_FULL)
            break;
    }
    buf_close(&out);
    return why;
}

static enum fault feed(enum coding coding, struct slice in, size_t piece, size_t cap, uint8_t *text,
                       size_t *len)
{
    struct purse purse = {.memory = PLENTY, .disk = PLENTY};
    struct decoder *d;
    enum fault why;

    *len = 0;
    ck_assert_int_eq(decoder_new(coding, &purse, &d), FAULT_NONE);
    why = feed_on(d, in, piece, cap, text, len);
    decoder_free(d);
    ck_assert_msg(purse.memory == PLENTY, "%lld octets of the purse were not repaid",
                  (long long)(PLENTY - purse.memory));
    return why;
}

/* Octets that repeat themselves somewhat, so that each coding has literals and copies. */
static void scribble(uint8_t *at, size_t len, unsigned seed)
{
    for (size_t i = 0; i < len; i++) {
        seed = seed * 1103515245 + 12345;
        at[i] = i > 100 && seed >> 28 ? at[i - 1 - (seed >> 16) % 97] : (uint8_t)(seed >> 16);
    }
}

static const struct {
    const char *text;
    enum coding coding;
} names[] = {
    {"", CODING_IDENTITY},           {"identity", CODING_IDENTITY}, {"Identity", CODING_IDENTITY},
    {"gzip", CODING_GZIP},           {"GZip", CODING_GZIP},         {"x-gzip", CODING_GZIP},
    {" gzip\t", CODING_GZIP},        {"deflate", CODING_DEFLATE},   {"br", CODING_BR},
    {"zstd", CODING_ZSTD},           {"gzip, br", CODING_UNKNOWN},  {"gzip,gzip", CODING_UNKNOWN},
    {"gzip,", CODING_UNKNOWN},       {",gzip", CODING_UNKNOWN},     {"identity, gzip", CODING_UNKNOWN},
    {"compress", CODING_UNKNOWN},    {"x-deflate", CODING_UNKNOWN}, {"brotli", CODING_UNKNOWN},
    {"gzipx", CODING_UNKNOWN},       {"gzi", CODING_UNKNOWN},       {"gz ip", CODING_UNKNOWN},
    {"gzip;q=1", CODING_UNKNOWN},    {"\"gzip\"", CODING_UNKNOWN},  {"dcb", CODING_UNKNOWN},
    {"aws-chunked", CODING_UNKNOWN}, {"*", CODING_UNKNOWN},
};

START_TEST(a_list_or_an_unheard_of_name_is_unknown)
{
    EACH(names)
    {
        ck_assert_msg(coding_of(slice_text(names[i].text)) == names[i].coding, "'%s' is %d", names[i].text,
                      coding_of(slice_text(names[i].text)));
    }
}
END_TEST

#define GZ    "\x1f\x8b\x08"
#define HELLO "\xcb\x48\xcd\xc9\xc9\x07\x00" /* deflate of "hello" */
#define WHOLE GZ "\0\0\0\0\0\0\x03" HELLO "\x86\xa6\x10\x36\x05\0\0\0"
#define FRAME "\x28\xb5\x2f\xfd"

static const struct {
    enum coding coding;
    struct slice in;
    const char *what;
} refused[] = {
    {CODING_GZIP, SLICE("\x1f\x8c\x08\0\0\0\0\0\0\x03" HELLO), "another magic"},
    {CODING_GZIP, SLICE("\x1f\x9d\x90hello"), "compress"},
    {CODING_GZIP, SLICE("\x78\x9c" HELLO "\x06\x2c\x02\x15"), "zlib's wrapping"},
    {CODING_GZIP, SLICE(GZ "\xe0\0\0\0\0\0\x03" HELLO), "reserved flags"},
    {CODING_GZIP, SLICE("\x1f\x8b\x07\0\0\0\0\0\0\x03" HELLO), "another method"},
    {CODING_GZIP, SLICE(GZ "\x02\0\0\0\0\0\x03\x01\x02" HELLO), "a wrong checksum of the header"},
    {CODING_GZIP, SLICE(GZ "\0\0\0\0\0\0\x03" HELLO "\x87\xa6\x10\x36\x05\0\0\0"), "a wrong checksum"},
    {CODING_GZIP, SLICE(GZ "\0\0\0\0\0\0\x03" HELLO "\x86\xa6\x10\x36\x06\0\0\0"), "a wrong length"},
    {CODING_GZIP, SLICE(WHOLE "\0"), "a NUL behind the end"},
    {CODING_GZIP, SLICE(WHOLE "hello"), "text behind the end"},
    {CODING_GZIP, SLICE(WHOLE "\x1f\x8b\x07\0"), "half a member behind the end"},
    {CODING_GZIP, SLICE(GZ "\0\0\0\0\0\0\x03\x07"), "a block of no type"},
    {CODING_DEFLATE, SLICE("\x78\xbb\0\0\0\x01" HELLO), "a dictionary"},
    {CODING_DEFLATE, SLICE("\x78\x9d" HELLO), "a wrong check of the header"},
    {CODING_DEFLATE, SLICE("\x78\x9c" HELLO "\x07\x2c\x02\x15"), "a wrong checksum"},
    {CODING_DEFLATE, SLICE("\x78\x9c" HELLO "\x06\x2c\x02\x15\0"), "a NUL behind the end"},
    {CODING_DEFLATE, SLICE("\x78\x9c" HELLO "\x06\x2c\x02\x15\x78\x9c" HELLO "\x06\x2c\x02\x15"),
     "another stream"},
    {CODING_DEFLATE, SLICE(WHOLE), "gzip"},
    {CODING_DEFLATE, SLICE(HELLO "x"), "raw, and an octet behind the end"},
    {CODING_DEFLATE, SLICE(HELLO HELLO), "raw, twice"},
    {CODING_DEFLATE, SLICE("\x03\x02"), "raw, a distance of nothing"},
    {CODING_DEFLATE, SLICE("hello, this is not packed"), "plain text"},
    {CODING_BR, SLICE("\x0b\x02\x80hello\x03\0"), "a NUL behind the end"},
    {CODING_BR, SLICE("\x0b\x02\x80hello\x03\x0b\x02\x80hello\x03"), "twice"},
    {CODING_BR, SLICE("\x11\x1e\0\0\0\0\0"), "a large window"},
    {CODING_BR, SLICE(WHOLE), "gzip"},
    {CODING_ZSTD, SLICE("\x29\xb5\x2f\xfd\x04\0\x01\0\0"), "another magic"},
    {CODING_ZSTD, SLICE("\x27\xb5\x2f\xfd\x04\0\x01\0\0"), "what was zstd 0.7"},
    {CODING_ZSTD, SLICE("\x25\xb5\x2f\xfd\x04\0\x01\0\0"), "what was zstd 0.5"},
    {CODING_ZSTD, SLICE("\xfd\x2f\xb5\x1e\x04\0\x01\0\0"), "what was zstd 0.1"},
    {CODING_ZSTD, SLICE("\x37\xa4\x30\xec\x04\0\x01\0\0"), "a dictionary"},
    {CODING_ZSTD, SLICE(FRAME "\x21\x07\x05\x29\0\0hello"), "of a dictionary"},
    {CODING_ZSTD, SLICE(FRAME "\x08\0\x29\0\0hello"), "a reserved bit"},
    {CODING_ZSTD, SLICE(FRAME "\0\x69\x29\0\0hello"), "a window of more than 8 MiB"},
    {CODING_ZSTD, SLICE(FRAME "\0\x70\x29\0\0hello"), "a window of 16 MiB"},
    {CODING_ZSTD, SLICE(FRAME "\xa0\x01\0\x80\0\x29\0\0hello"), "one segment of more than 8 MiB"},
    {CODING_ZSTD, SLICE(FRAME "\0\xff\x29\0\0hello"), "the largest window"},
    {CODING_ZSTD, SLICE(FRAME "\0\x58\x2f\0\0hello"), "a block of no type"},
    {CODING_ZSTD, SLICE(FRAME "\x04\x58\x29\0\0hello\0\0\0\0"), "a wrong checksum"},
    {CODING_ZSTD, SLICE(FRAME "\x20\x06\x29\0\0hello"), "a wrong length"},
    {CODING_ZSTD, SLICE(FRAME "\x20\x05\x29\0\0hello\0"), "a NUL behind the end"},
    {CODING_ZSTD, SLICE(FRAME "\x20\x05\x29\0\0hello" FRAME "\x08\0"), "half a frame behind the end"},
    {CODING_ZSTD, SLICE("\x50\x2a\x4d\x19\0\0\0\0"), "another magic of what is skipped"},
};

START_TEST(what_is_outside_a_coding_is_refused_at_every_cut)
{
    uint8_t text[256];
    size_t len;

    EACH(refused)
    {
        for (size_t piece = 1; piece <= refused[i].in.len; piece++) {
            enum fault why = feed(refused[i].coding, refused[i].in, piece, 16, text, &len);

            ck_assert_msg(why == FAULT_INVALID, "%s, in pieces of %zu: %s", refused[i].what, piece,
                          fault_table[why].name);
        }
    }
}
END_TEST

static const struct {
    enum coding coding;
    struct slice in;
    const char *text;
} accepted[] = {
    {CODING_GZIP, SLICE(WHOLE), "hello"},
    {CODING_GZIP, SLICE(WHOLE WHOLE WHOLE), "hellohellohello"},
    {CODING_GZIP, SLICE(GZ "\0\0\0\0\0\0\x03\x03\0\0\0\0\0\0\0\0\0"), ""},
    {CODING_GZIP, SLICE(GZ "\x0c\0\0\0\0\0\x03\x02\0xyname\0" HELLO "\x86\xa6\x10\x36\x05\0\0\0"), "hello"},
    {CODING_DEFLATE, SLICE("\x78\x9c" HELLO "\x06\x2c\x02\x15"), "hello"},
    {CODING_DEFLATE, SLICE("\x08\x1d" HELLO "\x06\x2c\x02\x15"), "hello"},
    {CODING_DEFLATE, SLICE(HELLO), "hello"},
    {CODING_DEFLATE, SLICE("\x01\x05\0\xfa\xffhello"), "hello"},
    {CODING_DEFLATE, SLICE("\x03\0"), ""},
    {CODING_BR, SLICE("\x0b\x02\x80hello\x03"), "hello"},
    {CODING_BR, SLICE("\x06"), ""},
    {CODING_ZSTD, SLICE(FRAME "\x20\x05\x29\0\0hello"), "hello"},
    {CODING_ZSTD, SLICE(FRAME "\0\x68\x29\0\0hello"), "hello"}, /* a window of 8 MiB */
    {CODING_ZSTD, SLICE(FRAME "\x20\x05\x29\0\0hello" FRAME "\x20\x05\x29\0\0hello"), "hellohello"},
    {CODING_ZSTD,
     SLICE("\x5f\x2a\x4d\x18\x03\0\0\0abc" FRAME "\x20\x05\x29\0\0hello\x50\x2a\x4d\x18\0\0\0\0"), "hello"},
    {CODING_ZSTD, SLICE("\x50\x2a\x4d\x18\0\0\0\0"), ""},
};

START_TEST(what_a_coding_allows_is_read_at_every_cut)
{
    uint8_t text[256];
    size_t len;

    EACH(accepted)
    {
        for (size_t piece = 1; piece <= accepted[i].in.len; piece++) {
            enum fault why = feed(accepted[i].coding, accepted[i].in, piece, 1, text, &len);

            ck_assert_msg(why == FAULT_END, "row %zu, in pieces of %zu: %s", i, piece, fault_table[why].name);
            ck_assert_msg(len == strlen(accepted[i].text) && memcmp(text, accepted[i].text, len) == 0,
                          "row %zu, in pieces of %zu: %zu octets", i, piece, len);
        }
    }
}
END_TEST

/* One packing of one text, by the loop test's number. */
static struct slice packed(int how, uint8_t *text, size_t len, uint8_t *into)
{
    scribble(text, len, (unsigned)how + 1);
    return slice_of(into, pack((enum packing)how, slice_of(text, len), into, pack_room(len)));
}

START_TEST(a_text_is_the_same_at_every_cut_and_through_every_buffer)
{
    static uint8_t text[ROOM], into[ROOM * 2], back[ROOM];
    static const size_t sizes[] = {1, 2, 3, 5, 7, 64, 1000, ROOM * 2};

    for (size_t n = 0; n <= ROOM; n = n * 3 + 1) {
        struct slice in = packed(_i, text, n, into);

        EACH(sizes)
        {
            for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
                size_t len;
                enum fault why = feed(packing_table[_i].coding, in, sizes[i], sizes[k], back, &len);

                ck_assert_msg(why == FAULT_END && len == n && memcmp(text, back, n) == 0,
                              "%s of %zu, in pieces of %zu, out by %zu: %s, %zu octets",
                              packing_table[_i].name, n, sizes[i], sizes[k], fault_table[why].name, len);
            }
        }
    }
}
END_TEST

START_TEST(what_is_cut_short_is_not_whole)
{
    static uint8_t text[3000], into[8000], back[3000];
    struct slice in = packed(_i, text, sizeof text, into);
    size_t len;

    for (size_t cut = 1; cut < in.len; cut++) {
        enum fault why = feed(packing_table[_i].coding, slice_first(in, cut), cut, ROOM, back, &len);

        ck_assert_msg(why == FAULT_NONE && memcmp(text, back, len) == 0, "%s cut at %zu of %zu: %s",
                      packing_table[_i].name, cut, in.len, fault_table[why].name);
    }
}
END_TEST

START_TEST(a_flipped_bit_never_makes_another_text_where_there_is_a_checksum)
{
    static uint8_t text[700], into[2000], back[ROOM];
    struct slice in = packed(_i, text, sizeof text, into);
    size_t len;

    for (size_t bit = 0; bit < in.len * 8; bit++) {
        into[bit / 8] ^= (uint8_t)(1u << bit % 8);

        enum fault why = feed(packing_table[_i].coding, in, in.len, ROOM, NULL, &len);

        ck_assert_msg(why == FAULT_INVALID || why == FAULT_NONE || why == FAULT_END, "bit %zu: %s", bit,
                      fault_table[why].name);
        if (why == FAULT_END && packing_table[_i].checked) {
            (void)feed(packing_table[_i].coding, in, in.len, ROOM, back, &len);
            ck_assert_msg(len == 0 || (len == sizeof text && memcmp(text, back, len) == 0),
                          "%s, bit %zu: another text of %zu octets", packing_table[_i].name, bit, len);
        }
        into[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}
END_TEST

START_TEST(nothing_goes_on_after_a_fault)
{
    struct decoder *d;
    size_t len = 0;

    ck_assert_int_eq(decoder_new(CODING_GZIP, NULL, &d), FAULT_NONE);
    ck_assert_int_eq(feed_on(d, SLICE("hello"), 5, 16, NULL, &len), FAULT_INVALID);
    ck_assert_int_eq(feed_on(d, SLICE(WHOLE), 5, 16, NULL, &len), FAULT_INVALID);
    ck_assert_uint_eq(len, 0);
    decoder_free(d);
    decoder_free(NULL);
}
END_TEST

/* --- what an encoder has flushed is given, be it ever so little ------------------------------------------- */

struct flushing {
    z_stream zlib;
    BrotliEncoderState *br;
    ZSTD_CCtx *zstd;
};

static size_t flush(struct flushing *f, int how, struct slice text, uint8_t *out, size_t room)
{
    size_t left = room;

    if (how == PACK_BR) {
        ck_assert(BrotliEncoderCompressStream(f->br, BROTLI_OPERATION_FLUSH, &text.len, &text.at, &left, &out,
                                              NULL));
    } else if (how == PACK_ZSTD) {
        ZSTD_inBuffer from = {text.at, text.len, 0};
        ZSTD_outBuffer to = {out, room, 0};

        ck_assert_uint_eq(ZSTD_compressStream2(f->zstd, &to, &from, ZSTD_e_flush), 0);
        left = room - to.pos;
    } else {
        f->zlib.next_in = text.at;
        f->zlib.avail_in = (unsigned)text.len;
        f->zlib.next_out = out;
        f->zlib.avail_out = (unsigned)room;
        ck_assert_int_eq(deflate(&f->zlib, Z_SYNC_FLUSH), Z_OK);
        left = f->zlib.avail_out;
    }
    return room - left;
}

START_TEST(an_event_is_given_as_soon_as_it_was_flushed)
{
    struct flushing f = {.br = BrotliEncoderCreateInstance(NULL, NULL, NULL), .zstd = ZSTD_createCCtx()};
    struct slice event = SLICE("data: one\n\n");
    struct decoder *d;
    uint8_t out[256], text[256];

    ck_assert_int_eq(deflateInit2(&f.zlib, 6, Z_DEFLATED,
                                  _i == PACK_GZIP  ? 16 + MAX_WBITS
                                  : _i == PACK_RAW ? -MAX_WBITS
                                                   : MAX_WBITS,
                                  8, Z_DEFAULT_STRATEGY),
                     Z_OK);
    ck_assert_int_eq(decoder_new(packing_table[_i].coding, NULL, &d), FAULT_NONE);
    for (unsigned n = 0; n < 50; n++) {
        size_t len = 0, octets = flush(&f, _i, event, out, sizeof out);

        ck_assert_int_eq(feed_on(d, slice_of(out, octets), 3, 64, text, &len), FAULT_NONE);
        ck_assert_msg(len == event.len && memcmp(text, event.at, len) == 0, "event %u: %zu octets", n, len);
    }
    decoder_free(d);
    deflateEnd(&f.zlib);
    BrotliEncoderDestroyInstance(f.br);
    ZSTD_freeCCtx(f.zstd);
}
END_TEST

/* --- memory ------------------------------------------------------------------------------------------------ */

static enum fault feed_within(int how, struct slice in, uint64_t budget)
{
    struct purse purse = {.memory = budget, .disk = 0};
    struct decoder *d;
    size_t len = 0;
    enum fault why = decoder_new(packing_table[how].coding, &purse, &d);

    if (why == FAULT_NONE) {
        why = feed_on(d, in, 65536, 16384, NULL, &len);
        decoder_free(d);
    }
    ck_assert_uint_eq(purse.memory, budget);
    return why;
}

/* The largest window each coding knows, filled with what can't be packed; for br in pieces that grow, each of which has the
 * library build a window anew. */
static size_t pack_widely(int how, struct slice text, uint8_t *out, size_t room)
{
    BrotliEncoderState *br;
    size_t left = room, piece = 1024;

    if (how == PACK_ZSTD)
        return pack_zstd(1, 23, text, out, room);
    if (how != PACK_BR)
        return pack((enum packing)how, text, out, room);
    br = BrotliEncoderCreateInstance(NULL, NULL, NULL);
    BrotliEncoderSetParameter(br, BROTLI_PARAM_QUALITY, 0);
    BrotliEncoderSetParameter(br, BROTLI_PARAM_LGWIN, 24);
    for (; text.len; piece *= 2) {
        struct slice now = slice_first(text, piece);

        text = slice_drop(text, now.len);
        ck_assert(BrotliEncoderCompressStream(br, text.len ? BROTLI_OPERATION_FLUSH : BROTLI_OPERATION_FINISH,
                                              &now.len, &now.at, &left, &out, NULL));
        ck_assert_uint_eq(now.len, 0);
    }
    BrotliEncoderDestroyInstance(br);
    return room - left;
}

START_TEST(a_decoder_needs_no_more_memory_than_its_header_says)
{
    size_t n = _i == PACK_BR ? 20u << 20 : _i == PACK_ZSTD ? 10u << 20 : 100000;
    uint8_t *text = malloc(n), *into = malloc(pack_room(n));
    uint64_t least = 1024, most = packing_table[_i].memory;
    struct slice in;
    enum fault why;

    ck_assert(text && into);
    for (size_t i = 0, seed = 7; i < n; i++, seed = seed * 6364136223846793005 + 1442695040888963407)
        text[i] = (uint8_t)(seed >> 56);
    in = slice_of(into, pack_widely(_i, slice_of(text, n), into, pack_room(n)));
    why = feed_within(_i, in, most);
    ck_assert_msg(why == FAULT_END, "%s with %llu octets: %s", packing_table[_i].name,
                  (unsigned long long)most, fault_table[why].name);
    while (least + least / 256 < most) {
        uint64_t middle = (least + most) / 2;

        why = feed_within(_i, in, middle);
        ck_assert_msg(why == FAULT_END || why == FAULT_NO_MEMORY, "%s with %llu octets: %s",
                      packing_table[_i].name, (unsigned long long)middle, fault_table[why].name);
        *(why == FAULT_END ? &most : &least) = middle;
    }
    if (getenv("CK_VERBOSITY"))
        printf("%s needs %llu octets\n", packing_table[_i].name, (unsigned long long)most);
    free(text);
    free(into);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("coding");
    TCase *t = tcase_create("coding");
    SRunner *r;
    int failed;

    tcase_set_timeout(t, 60);
    tcase_add_test(t, a_list_or_an_unheard_of_name_is_unknown);
    tcase_add_test(t, what_is_outside_a_coding_is_refused_at_every_cut);
    tcase_add_test(t, nothing_goes_on_after_a_fault);
    tcase_add_loop_test(t, what_is_cut_short_is_not_whole, 0, PACKINGS);
    tcase_add_loop_test(t, a_flipped_bit_never_makes_another_text_where_there_is_a_checksum, 0, PACKINGS);
    tcase_add_test(t, what_a_coding_allows_is_read_at_every_cut);
    tcase_add_loop_test(t, a_text_is_the_same_at_every_cut_and_through_every_buffer, 0, PACKINGS);
    tcase_add_loop_test(t, an_event_is_given_as_soon_as_it_was_flushed, 0, PACKINGS);
    tcase_add_loop_test(t, a_decoder_needs_no_more_memory_than_its_header_says, 0, PACKINGS);
    suite_add_tcase(s, t);
    r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

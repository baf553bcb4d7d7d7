#include "medley.h"
#include <check.h>
#include <stdlib.h>

#define COUNT(table) (sizeof(table) / sizeof *(table))
#define T            MEDLEY_TOKEN
#define BOUNDARY     "b=1"
#define D            "\r\n--" BOUNDARY

static const char *const names[] = {"text", "JSON", "form", "XML", "multipart", "gRPC", "binary"};

static bool where_same(struct where a, struct where b)
{
    return a.barred == b.barred && (a.barred || (a.escape == b.escape && a.alone == b.alone));
}

/* Asked with each number of octets behind the token, the answer is the one that the end gives, or that more are needed. */
static struct where ask(const struct standing *s, struct slice rest)
{
    struct where final, early;

    ck_assert_int_eq(standing_at(s, rest, true, &final), FAULT_NONE);
    for (size_t n = SUBST_TOKEN; n <= rest.len && n <= SUBST_TOKEN + STANDING_AHEAD; n++) {
        enum fault why = standing_at(s, slice_first(rest, n), false, &early);

        ck_assert_msg(why == FAULT_NONE || n < SUBST_TOKEN + STANDING_AHEAD, "%zu octets: %s", n,
                      fault_table[why].name);
        ck_assert_msg(why == FAULT_AGAIN || (why == FAULT_NONE && where_same(early, final)),
                      "at '%.*s': another answer with %zu octets", SLICE_PRINTF(rest), n);
    }
    return final;
}

/* Where the token at ${at} stands, when all before it went by in pieces of ${piece} octets behind a first of ${first}. */
static struct where stand(enum media media, struct slice boundary, struct slice body, size_t at, size_t first,
                          size_t piece)
{
    struct standing s;
    struct slice before = slice_first(body, at);

    standing_begin(&s, media, boundary);
    standing_pass(&s, slice_first(before, first));
    for (before = slice_drop(before, first); before.len; before = slice_drop(before, piece))
        standing_pass(&s, slice_first(before, piece));
    return ask(&s, slice_drop(body, at));
}

static void expect(enum media media, struct slice boundary, struct slice body, size_t at, struct where want)
{
    for (size_t first = 0; first <= at; first++)
        for (size_t piece = 1; piece < 500; piece = piece * 8 + 1) {
            struct where got = stand(media, boundary, body, at, first, piece);

            ck_assert_msg(
                where_same(got, want),
                "%s '%.*s' at %zu, cut at %zu, then pieces of %zu: escape %d, alone %d, barred %d, not "
                "%d, %d, %d",
                names[media], SLICE_PRINTF(body), at, first, piece, got.escape, got.alone, got.barred,
                want.escape, want.alone, want.barred);
        }
}

struct row {
    enum media media;
    const char *body; /* its last token is asked for */
    struct where where;
};

static void table_expect(const struct row *table, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct slice body = slice_text(table[i].body);
        size_t at = body.len;

        while (!naive_token(slice_drop(body, at)))
            at--;
        struct where naive = naive_where(table[i].media, SLICE(BOUNDARY), body, at);

        expect(table[i].media, SLICE(BOUNDARY), body, at, table[i].where);
        ck_assert_msg(where_same(naive, table[i].where),
                      "'%s': the reference says escape %d, alone %d, barred %d", table[i].body, naive.escape,
                      naive.alone, naive.barred);
    }
}

#define BARRED                   \
    {                            \
        ESCAPE_NONE, false, true \
    }
#define IN(how)                    \
    {                              \
        ESCAPE_##how, false, false \
    }
#define ALONE_IN(how)             \
    {                             \
        ESCAPE_##how, true, false \
    }
#define HEAD(type) D "\r\nContent-Disposition: form-data; name=\"a\"\r\nContent-Type: " type "\r\n\r\n"
#define PART(head) D "\r\n" head "\r\n\r\n"

START_TEST(nothing_is_put_where_it_must_not_be)
{
    static const struct row table[] = {
        {MEDIA_BINARY, T, BARRED},
        {MEDIA_GRPC, "a" T, BARRED},
        {MEDIA_JSON, "\"\\" T "\"", BARRED},
        {MEDIA_JSON, "\"\\\\\\" T "\"", BARRED},
        {MEDIA_MULTIPART, T, BARRED},
        {MEDIA_MULTIPART, "preamble\r\n" T D "\r\n\r\nx" D "--", BARRED},
        {MEDIA_MULTIPART, "--" BOUNDARY T, BARRED},
        {MEDIA_MULTIPART, "--" BOUNDARY "\n\n" T, BARRED},
        {MEDIA_MULTIPART, "x--" BOUNDARY "\r\n\r\n" T D "--", BARRED},
        {MEDIA_MULTIPART, "\n--" BOUNDARY "\r\n\r\n" T D "--", BARRED},
        {MEDIA_MULTIPART, "--" BOUNDARY "\r\n" T, BARRED},
        {MEDIA_MULTIPART, "--" BOUNDARY "\r\nContent-Disposition: form-data; name=\"" T, BARRED},
        {MEDIA_MULTIPART, "--" BOUNDARY "\r\nA: b\r\n" T "\r\n\r\n" D "--", BARRED},
        {MEDIA_MULTIPART, HEAD("image/png") T D "--", BARRED},
        {MEDIA_MULTIPART, HEAD("application/octet-stream") "\r\n" T D "--", BARRED},
        {MEDIA_MULTIPART, HEAD("application/grpc") T D "--", BARRED},
        {MEDIA_MULTIPART, PART("Content-Transfer-Encoding: base64") T D "--", BARRED},
        {MEDIA_MULTIPART, PART("content-transfer-encoding:quoted-printable") T D "--", BARRED},
        {MEDIA_MULTIPART, PART("Content-Type: text/plain\r\nContent-Type: text/plain") T D "--", BARRED},
        {MEDIA_MULTIPART, PART("no field") T D "--", BARRED},
        {MEDIA_MULTIPART, PART("A: b\n") T D "--", BARRED},
        {MEDIA_MULTIPART, PART("A: b\n\nc: d") T D "--", BARRED},
        {MEDIA_MULTIPART, PART("A: b\rc: d") T D "--", BARRED},
        {MEDIA_MULTIPART, PART("A: b") "x" D "--\r\n" T, BARRED},
        {MEDIA_MULTIPART, PART("A: b") "x" D "--\r\n" D "\r\n\r\n" T, BARRED},
        {MEDIA_MULTIPART, PART("A: b") "x" D "-\r\n\r\n" T, BARRED},
        {MEDIA_MULTIPART, PART("A: b") "x" D "x\r\n\r\n" T, BARRED},
        {MEDIA_MULTIPART, PART("A: b") "x" D " \r \n\r\n" T, BARRED},
        {MEDIA_MULTIPART, PART("A: b") "x" D " - \r\n\r\n" T, BARRED},
    };

    table_expect(table, COUNT(table));
}
END_TEST

START_TEST(a_document_says_how_its_values_are_written)
{
    static const struct row table[] = {
        {MEDIA_TEXT, T, IN(NONE)},
        {MEDIA_TEXT, "\"" T "\"", IN(NONE)},
        {MEDIA_JSON, T, IN(NONE)},
        {MEDIA_JSON, "{\"a\":" T "}", IN(NONE)},
        {MEDIA_JSON, "{\"a\":\"" T "\"}", ALONE_IN(JSON)},
        {MEDIA_JSON, "{\"" T "\":1}", ALONE_IN(JSON)},
        {MEDIA_JSON, "{\"a\":\"" T, IN(JSON)},
        {MEDIA_JSON, "{\"a\":\"" T " \"}", IN(JSON)},
        {MEDIA_JSON, "{\"a\":\"" T "\\\"\"}", IN(JSON)},
        {MEDIA_JSON, "{\"a\":\" " T "\"}", IN(JSON)},
        {MEDIA_JSON, "{\"a\":\"\\\"" T "\"}", IN(JSON)},
        {MEDIA_JSON, "{\"a\":\"\\\\\\\"" T "\"}", IN(JSON)},
        {MEDIA_JSON, "{\"a\":\"\\\\\"" T "\"}", IN(NONE)},
        {MEDIA_JSON, "{\"a\":\"\",\"b\":\"" T "\"}", ALONE_IN(JSON)},
        {MEDIA_JSON, "\"\"" T "\"", IN(NONE)},
        {MEDIA_JSON, "\"" T T "\"", IN(JSON)},
        {MEDIA_FORM, T, ALONE_IN(PERCENT)},
        {MEDIA_FORM, "a=" T, ALONE_IN(PERCENT)},
        {MEDIA_FORM, "a=" T "&b=c", ALONE_IN(PERCENT)},
        {MEDIA_FORM, "a=b&" T "=c", ALONE_IN(PERCENT)},
        {MEDIA_FORM, "a=b&" T, ALONE_IN(PERCENT)},
        {MEDIA_FORM, "&" T "&", ALONE_IN(PERCENT)},
        {MEDIA_FORM, "a=b=" T, IN(PERCENT)},
        {MEDIA_FORM, "a==" T, IN(PERCENT)},
        {MEDIA_FORM, "a=" T "=", IN(PERCENT)},
        {MEDIA_FORM, "a=x" T, IN(PERCENT)},
        {MEDIA_FORM, "a=" T "\n", IN(PERCENT)},
        {MEDIA_FORM, "a=" T T, IN(PERCENT)},
        {MEDIA_FORM, "a=b&&=" T "&", ALONE_IN(PERCENT)},
        {MEDIA_XML, T, ALONE_IN(XML)},
        {MEDIA_XML, "<a>" T "</a>", ALONE_IN(XML)},
        {MEDIA_XML, "<a>" T, ALONE_IN(XML)},
        {MEDIA_XML, "<a> " T "</a>", IN(XML)},
        {MEDIA_XML, "<a>" T " </a>", IN(XML)},
        {MEDIA_XML, "<a b=\"" T "\"/>", IN(XML)},
        {MEDIA_XML, "<![CDATA[" T "]]>", IN(NONE)},
        {MEDIA_XML, "<![CDATA[<a>" T "</a>]]>", IN(NONE)},
        {MEDIA_XML, "<![CDATA[]]" T "</a>]]>", IN(NONE)},
        {MEDIA_XML, "<![CDATA[]]]>" T "</a>", IN(XML)},
        {MEDIA_XML, "<a>say <!-- -->" T "</a>", IN(XML)},
        {MEDIA_XML, "<a>" T "<!-- --> aloud</a>", IN(XML)},
        {MEDIA_XML, "<a><?x?>" T "</a>", IN(XML)},
        {MEDIA_XML, "<a><b/>" T "</a>", IN(XML)},
        {MEDIA_XML, "<a></b>" T "</a>", IN(XML)},
        {MEDIA_XML, "<>" T "</a>", IN(XML)},
        {MEDIA_XML, "<a>" T "<", IN(XML)},
        {MEDIA_XML, "<![CDATA[]>]]x>" T "<", IN(NONE)},
        {MEDIA_XML, "<<![CDATA[" T, IN(NONE)},
        {MEDIA_XML, "<![CDAT<![CDATA[" T, IN(NONE)},
        {MEDIA_XML, "<![cdata[" T, IN(XML)},
        {MEDIA_XML, "<![CDATA[x]]><![CDATA[" T, IN(NONE)},
    };

    table_expect(table, COUNT(table));
}
END_TEST

START_TEST(a_part_is_read_by_its_own_type)
{
    static const struct row table[] = {
        {MEDIA_MULTIPART, "--" BOUNDARY "\r\n\r\n" T D "--", ALONE_IN(NONE)},
        {MEDIA_MULTIPART, "preamble" D "\r\n\r\n" T D "--", ALONE_IN(NONE)},
        {MEDIA_MULTIPART, "--" BOUNDARY " \t\r\nA: b\r\n\r\n" T D "\r\n", ALONE_IN(NONE)},
        {MEDIA_MULTIPART, PART("A: b") D "\r\n\r\n" T D "--", ALONE_IN(NONE)},
        {MEDIA_MULTIPART, PART("A: b") T D " \r\n", IN(NONE)}, /* padding has no bound */
        {MEDIA_MULTIPART, PART("A: b") T D "x", IN(NONE)},
        {MEDIA_MULTIPART, PART("A: b") T D "-", IN(NONE)},
        {MEDIA_MULTIPART, PART("A: b") T D, IN(NONE)},
        {MEDIA_MULTIPART, PART("A: b") T, IN(NONE)},
        {MEDIA_MULTIPART, PART("A: b") T "\r\n--b=", IN(NONE)},
        {MEDIA_MULTIPART, PART("A: b") T "\r\n" D "--", IN(NONE)},
        {MEDIA_MULTIPART, PART("A: b") "\r\n" T D "--", IN(NONE)},
        {MEDIA_MULTIPART, PART("A: b") "x" T D "--", IN(NONE)},
        {MEDIA_MULTIPART, PART("A: b") "\r\n--b=" T D "--", IN(NONE)},
        {MEDIA_MULTIPART, HEAD("application/json") "{\"a\":\"" T "\"}" D "--", ALONE_IN(JSON)},
        {MEDIA_MULTIPART, HEAD("application/json") "{\"a\":\"x" T "\"}" D "--", IN(JSON)},
        {MEDIA_MULTIPART, HEAD("application/json") T D "--", ALONE_IN(NONE)},
        {MEDIA_MULTIPART, HEAD("application/json") "\"" T D "--", IN(JSON)},
        {MEDIA_MULTIPART, HEAD("application/json") "\"" D "\r\n\r\n" T "\"" D "--", IN(NONE)},
        {MEDIA_MULTIPART, HEAD("application/json") "\"\r\n--b=\"" D "\r\n\r\n\"" T, IN(NONE)},
        {MEDIA_MULTIPART, HEAD("application/json; charset=utf-8") "\"\r\n--b" T, IN(JSON)},
        {MEDIA_MULTIPART, HEAD("application/x-www-form-urlencoded") "a=" T D "--", ALONE_IN(PERCENT)},
        {MEDIA_MULTIPART, HEAD("application/x-www-form-urlencoded") "a=" T D "x", IN(PERCENT)},
        {MEDIA_MULTIPART, HEAD("application/xml") "<a>" T D "\r\n", ALONE_IN(XML)},
        {MEDIA_MULTIPART, HEAD("application/xml") "<![CDATA[" D "\r\n\r\n" T, IN(NONE)},
        {MEDIA_MULTIPART, HEAD("multipart/mixed; boundary=x") "--x\r\n\r\n" T "\r\n--x--" D "--", IN(NONE)},
        {MEDIA_MULTIPART, PART("CONTENT-TYPE :\tApplication/JSON ") "\"" T "\"" D, ALONE_IN(JSON)},
        {MEDIA_MULTIPART, PART("Content-Type:\r\n application/json") "\"" T "\"" D, ALONE_IN(JSON)},
        {MEDIA_MULTIPART, PART("Content-Type: a/\r\n b\r\n\tc") "\"" T "\"" D, IN(NONE)},
        {MEDIA_MULTIPART, PART("Content-Transfer-Encoding: 8BIT") T D "--", ALONE_IN(NONE)},
        {MEDIA_MULTIPART, PART("Content-Transfer-Encoding: binary") T D "--", ALONE_IN(NONE)},
        {MEDIA_MULTIPART, HEAD("image/png") "\x89" D "\r\n\r\n" T D "--", ALONE_IN(NONE)},
    };

    table_expect(table, COUNT(table));
}
END_TEST

/* A part with a field of ${octets} before its type, and a type of as many. */
static struct where stand_long(size_t field, size_t type, size_t piece)
{
    char body[20000] = "--" BOUNDARY "\r\nX: ";
    size_t n = strlen(body);

    while (n < field)
        body[n++] = 'x';
    n += (size_t)sprintf(body + n, "\r\nContent-Type: application/json; x=");
    for (size_t end = n + type; n < end;)
        body[n++] = 'x';
    n += (size_t)sprintf(body + n, "\r\n\r\n\"" T "\"" D "--");
    return stand(MEDIA_MULTIPART, SLICE(BOUNDARY), slice_of(body, n), n - strlen(T "\"" D "--"), 0, piece);
}

START_TEST(a_long_field_is_passed_over_but_a_long_type_is_none_to_go_by)
{
    for (size_t piece = 1; piece < 20000; piece = piece * 3 + 1) {
        struct where got = stand_long(10000, 9, piece);

        ck_assert_msg(got.escape == ESCAPE_JSON && got.alone && !got.barred, "pieces of %zu", piece);
        ck_assert_msg(stand_long(20, 9000, piece).barred, "a long type, pieces of %zu", piece);
    }
}
END_TEST

START_TEST(a_token_in_a_boundary_is_barred)
{
    static const char *const boundaries[] = {T, "x" T, T "x", "x" T "0123456789abcdefghijklmnop",
                                             "osb_sealed_"};

    for (size_t i = 0; i < COUNT(boundaries); i++) {
        struct slice boundary = slice_text(boundaries[i]);
        char body[1000];
        size_t n =
            (size_t)sprintf(body, "--%s\r\n\r\n" T "x\r\n--%s" T "\r\n\r\n" T, boundaries[i], boundaries[i]);

        for (size_t at = 0; at < n; at++) {
            struct where want = naive_where(MEDIA_MULTIPART, boundary, slice_of(body, n), at);

            if (!naive_token(slice_of(body + at, n - at)))
                continue;
            ck_assert_msg(want.barred == (at != 6 + boundary.len), "'%s' at %zu", body, at);
            expect(MEDIA_MULTIPART, boundary, slice_of(body, n), at, want);
        }
    }
}
END_TEST

START_TEST(random_bodies_stand_as_the_reference_says)
{
    uint64_t seed = 1;
    unsigned seen[3] = {0};
    char text[700];

    for (unsigned i = 0; i < 5000; i++) {
        enum media media = i % (MEDIA_MULTIPART + 1);
        struct slice body = slice_of(text, medley(&seed, media, text, medley_draw(&seed, sizeof text)));

        for (size_t at = 0; at + SUBST_TOKEN <= body.len; at++) {
            if (!naive_token(slice_drop(body, at)))
                continue;
            struct where want = naive_where(media, SLICE(MEDLEY_BOUNDARY), body, at);
            size_t first = medley_draw(&seed, 600), piece = 1 + medley_draw(&seed, 100);
            struct where got = stand(media, SLICE(MEDLEY_BOUNDARY), body, at, first, piece);

            ck_assert_msg(
                where_same(got, want),
                "%s '%.*s' at %zu, cut at %zu, then %zu: escape %d, alone %d, barred %d, not %d, %d, %d",
                names[media], SLICE_PRINTF(body), at, first, piece, got.escape, got.alone, got.barred,
                want.escape, want.alone, want.barred);
            seen[got.barred ? 2 : got.alone]++;
        }
    }
    for (size_t i = 0; i < COUNT(seen); i++)
        ck_assert_msg(seen[i] > 300, "only %u of kind %zu", seen[i], i);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("standing");
    TCase *tc = tcase_create("standing");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tc);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, nothing_is_put_where_it_must_not_be);
    tcase_add_test(tc, a_document_says_how_its_values_are_written);
    tcase_add_test(tc, a_part_is_read_by_its_own_type);
    tcase_add_test(tc, a_long_field_is_passed_over_but_a_long_type_is_none_to_go_by);
    tcase_add_test(tc, a_token_in_a_boundary_is_barred);
    tcase_add_test(tc, random_bodies_stand_as_the_reference_says);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

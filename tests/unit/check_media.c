#include "media.h"
#include <check.h>
#include <stdlib.h>

#define COUNT(table) (sizeof(table) / sizeof *(table))
#define SEVENTY      "0123456789012345678901234567890123456789012345678901234567890123456789"

START_TEST(what_can_be_no_boundary_is_none)
{
    static const char *const table[] = {
        "",
        "multipart/form-data",
        "multipart/form-data;",
        "multipart/form-data; boundary",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=\"\"",
        "multipart/form-data; boundary=\"",
        "multipart/form-data; boundary=\"x",
        "multipart/form-data; boundary=x\"",
        "multipart/form-data; boundary=\"x\\\"",
        "multipart/form-data; boundary=\"x\\y\"",
        "multipart/form-data; boundary=\"x \"",
        "multipart/form-data; boundary=x y",
        "multipart/form-data; boundary=x\ty",
        "multipart/form-data; boundary=x, y=z\x80",
        "multipart/form-data; boundary=a*b",
        "multipart/form-data; boundary=\"x\ry\"",
        "multipart/form-data; boundary=" SEVENTY "0",
        "multipart/form-data; boundary=x; boundary=x",
        "multipart/form-data; boundary=x; BOUNDARY=y",
        "multipart/form-data; boundary=x; boundary=",
        "multipart/form-data; boundary*=x",
        "multipart/form-data; boundary =x",
        "multipart/form-data; a=\"; boundary=x\"",
        "multipart/form-data; a=\"\\\"; boundary=x\"",
        "multipart/form-data; a=\"; boundary=x",
    };

    for (size_t i = 0; i < COUNT(table); i++) {
        struct slice got = media_boundary(slice_text(table[i]));

        ck_assert_msg(got.len == 0, "'%s': '%.*s'", table[i], SLICE_PRINTF(got));
        ck_assert_int_eq(media_of(slice_text(table[i])), MEDIA_TEXT);
    }
}
END_TEST

START_TEST(a_boundary_is_found)
{
    static const struct {
        const char *type, *boundary;
    } table[] = {
        {"multipart/form-data; boundary=x", "x"},
        {"multipart/form-data;boundary=x", "x"},
        {"Multipart/Form-Data ; \t BOUNDARY=x ;", "x"},
        {"multipart/mixed; boundary=\"x\"", "x"},
        {"multipart/mixed; boundary=\"x y\"", "x y"},
        {"multipart/mixed; a=b; boundary=x; c=d", "x"},
        {"multipart/mixed; a=\"b;c\\\";\"; boundary=x", "x"},
        {"multipart/mixed; boundary=----=_Part_1/(2):3?", "----=_Part_1/(2):3?"},
        {"multipart/mixed; boundary=\"'()+_,-./:=?\"", "'()+_,-./:=?"},
        {"multipart/mixed; boundary=" SEVENTY, SEVENTY},
        {"multipart/mixed; boundary=osb_sealed_0123456789abcdef0123456789abcdef",
         "osb_sealed_0123456789abcdef0123456789abcdef"},
    };

    for (size_t i = 0; i < COUNT(table); i++) {
        struct slice got = media_boundary(slice_text(table[i].type));

        ck_assert_msg(slice_equal(got, slice_text(table[i].boundary)), "'%s': '%.*s'", table[i].type,
                      SLICE_PRINTF(got));
        ck_assert_int_eq(media_of(slice_text(table[i].type)), MEDIA_MULTIPART);
    }
}
END_TEST

static const struct {
    enum media media;
    const char *type;
} types[] = {
    {MEDIA_TEXT, ""},
    {MEDIA_TEXT, ";"},
    {MEDIA_TEXT, "text/plain"},
    {MEDIA_TEXT, "text/plain; a=application/json"},
    {MEDIA_TEXT, "json"},
    {MEDIA_TEXT, "application/javascript"},
    {MEDIA_TEXT, "application/jsonx"},
    {MEDIA_TEXT, "application/xmlx"},
    {MEDIA_TEXT, "text/event-stream"},
    {MEDIA_TEXT, "application/graphql"},
    {MEDIA_TEXT, "multipart/form-data"},
    {MEDIA_TEXT, "application/x-www-form-urlencoded2"},
    {MEDIA_JSON, "application/json"},
    {MEDIA_JSON, "APPLICATION/JSON"},
    {MEDIA_JSON, " \tapplication/json \t; charset=utf-8"},
    {MEDIA_JSON, "application/json;charset=utf-8"},
    {MEDIA_JSON, "text/json"},
    {MEDIA_JSON, "application/vnd.api+json"},
    {MEDIA_JSON, "application/x-ndjson"},
    {MEDIA_JSON, "application/ndjson"},
    {MEDIA_JSON, "application/jsonl"},
    {MEDIA_JSON, "application/jsonlines"},
    {MEDIA_JSON, "application/json-seq"},
    {MEDIA_JSON, "application/geo+json-seq"},
    {MEDIA_JSON, "application/x-amz-json-1.1"},
    {MEDIA_JSON, "application/csp-report"},
    {MEDIA_FORM, "application/x-www-form-urlencoded"},
    {MEDIA_FORM, "application/X-WWW-Form-URLencoded; charset=UTF-8"},
    {MEDIA_XML, "application/xml"},
    {MEDIA_XML, "text/xml; charset=utf-8"},
    {MEDIA_XML, "text/html"},
    {MEDIA_XML, "application/soap+xml; action=\"a;b\""},
    {MEDIA_XML, "application/xhtml+xml"},
    {MEDIA_GRPC, "application/grpc"},
    {MEDIA_GRPC, "application/grpc+proto"},
    {MEDIA_GRPC, "application/grpc+json"},
    {MEDIA_BINARY, "application/grpc-web-text"},
    {MEDIA_GRPC, "application/connect+json"},
    {MEDIA_BINARY, "image/png"},
    {MEDIA_BINARY, "image/svg+xml"},
    {MEDIA_BINARY, "audio/ogg"},
    {MEDIA_BINARY, "Video/mp4"},
    {MEDIA_BINARY, "font/woff2"},
    {MEDIA_BINARY, "application/octet-stream"},
    {MEDIA_BINARY, "application/zip"},
    {MEDIA_BINARY, "application/gzip"},
    {MEDIA_BINARY, "application/x-gzip"},
    {MEDIA_BINARY, "application/x-tar"},
    {MEDIA_BINARY, "application/pdf"},
    {MEDIA_BINARY, "application/protobuf"},
    {MEDIA_BINARY, "application/x-protobuf; messageType=a.b"},
    {MEDIA_BINARY, "application/vnd.google.protobuf"},
    {MEDIA_BINARY, "application/proto"},
    {MEDIA_BINARY, "application/wasm"},
    {MEDIA_BINARY, "application/msgpack"},
    {MEDIA_BINARY, "application/cbor"},
    {MEDIA_BINARY, "application/senml+cbor"},
    {MEDIA_BINARY, "application/x-git-receive-pack-request"},
};

START_TEST(a_body_is_what_its_type_says)
{
    for (size_t i = 0; i < COUNT(types); i++) {
        enum media got = media_of(slice_text(types[i].type));

        ck_assert_msg(got == types[i].media, "'%s': %d, not %d", types[i].type, got, types[i].media);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("media");
    TCase *tc = tcase_create("media");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tc);
    tcase_add_test(tc, what_can_be_no_boundary_is_none);
    tcase_add_test(tc, a_boundary_is_found);
    tcase_add_test(tc, a_body_is_what_its_type_says);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

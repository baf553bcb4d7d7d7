#include "plan.h"
#include <check.h>
#include <stdlib.h>

#define COUNT(table) (sizeof(table) / sizeof *(table))
#define SPOOL        UINT64_C(67108864)

static const char *const plan_names[] = {
    [PLAN_NONE] = "none",   [PLAN_VERBATIM] = "verbatim", [PLAN_STREAM] = "stream",
    [PLAN_COUNT] = "count", [PLAN_OPEN] = "open",
};

/* The table of plan.h, and each of its borders. */
static const struct row {
    bool looks;
    enum media media;
    const char *coding, *another; /* Content-Encoding, once or twice; NULL: no such field */
    enum body_kind body;
    uint64_t length;
    enum body_plan plan;
} table[] = {
    /* nothing to be planned */
    {true, MEDIA_TEXT, NULL, NULL, BODY_NONE, 0, PLAN_NONE},
    {true, MEDIA_TEXT, NULL, NULL, BODY_LENGTH, 0, PLAN_NONE},
    {true, MEDIA_TEXT, "gzip", NULL, BODY_NONE, 0, PLAN_NONE},
    {true, MEDIA_TEXT, "gzip", NULL, BODY_LENGTH, 0, PLAN_NONE},
    {false, MEDIA_BINARY, NULL, NULL, BODY_LENGTH, 0, PLAN_NONE},
    {false, MEDIA_TEXT, NULL, NULL, BODY_NONE, 0, PLAN_NONE},

    /* no secret may go there */
    {false, MEDIA_TEXT, NULL, NULL, BODY_STREAM, 0, PLAN_VERBATIM},
    {false, MEDIA_JSON, NULL, NULL, BODY_LENGTH, 1, PLAN_VERBATIM},
    {false, MEDIA_JSON, "gzip", NULL, BODY_LENGTH, 1, PLAN_VERBATIM},
    {false, MEDIA_TEXT, "br", NULL, BODY_STREAM, 0, PLAN_VERBATIM},

    /* no text */
    {true, MEDIA_BINARY, NULL, NULL, BODY_STREAM, 0, PLAN_VERBATIM},
    {true, MEDIA_BINARY, NULL, NULL, BODY_LENGTH, 1, PLAN_VERBATIM},
    {true, MEDIA_BINARY, "gzip", NULL, BODY_LENGTH, 1, PLAN_VERBATIM},
    {true, MEDIA_GRPC, NULL, NULL, BODY_STREAM, 0, PLAN_VERBATIM},
    {true, MEDIA_GRPC, "identity", NULL, BODY_LENGTH, 1, PLAN_VERBATIM},

    /* a coding that is not known; two of them */
    {true, MEDIA_TEXT, "compress", NULL, BODY_STREAM, 0, PLAN_VERBATIM},
    {true, MEDIA_TEXT, "compress", NULL, BODY_LENGTH, 1, PLAN_VERBATIM},
    {true, MEDIA_TEXT, "gzip, br", NULL, BODY_STREAM, 0, PLAN_VERBATIM},
    {true, MEDIA_TEXT, "gzip", "br", BODY_STREAM, 0, PLAN_VERBATIM},
    {true, MEDIA_TEXT, "gzip", "identity", BODY_LENGTH, 1, PLAN_VERBATIM},
    {true, MEDIA_TEXT, "identity", "gzip", BODY_LENGTH, 1, PLAN_VERBATIM},
    {true, MEDIA_TEXT, "identity", "identity", BODY_LENGTH, 1, PLAN_VERBATIM},
    {true, MEDIA_TEXT, "", "gzip", BODY_STREAM, 0, PLAN_VERBATIM},

    /* as long as may be, and longer */
    {true, MEDIA_TEXT, NULL, NULL, BODY_LENGTH, SPOOL + 1, PLAN_VERBATIM},
    {true, MEDIA_TEXT, "gzip", NULL, BODY_LENGTH, SPOOL + 1, PLAN_VERBATIM},
    {true, MEDIA_TEXT, NULL, NULL, BODY_LENGTH, UINT64_MAX, PLAN_VERBATIM},
    {true, MEDIA_TEXT, NULL, NULL, BODY_LENGTH, SPOOL, PLAN_COUNT},
    {true, MEDIA_TEXT, "gzip", NULL, BODY_LENGTH, SPOOL, PLAN_OPEN},

    /* text that is not coded */
    {true, MEDIA_TEXT, NULL, NULL, BODY_LENGTH, 1, PLAN_COUNT},
    {true, MEDIA_JSON, NULL, NULL, BODY_LENGTH, 1, PLAN_COUNT},
    {true, MEDIA_FORM, "", NULL, BODY_LENGTH, 1, PLAN_COUNT},
    {true, MEDIA_XML, "identity", NULL, BODY_LENGTH, 1, PLAN_COUNT},
    {true, MEDIA_MULTIPART, "Identity", NULL, BODY_LENGTH, 1, PLAN_COUNT},
    {true, MEDIA_TEXT, NULL, NULL, BODY_STREAM, 0, PLAN_STREAM},
    {true, MEDIA_JSON, NULL, NULL, BODY_STREAM, SPOOL + 1, PLAN_STREAM}, /* it has no length */
    {true, MEDIA_MULTIPART, "identity", NULL, BODY_STREAM, 0, PLAN_STREAM},

    /* text that is coded */
    {true, MEDIA_TEXT, "gzip", NULL, BODY_LENGTH, 1, PLAN_OPEN},
    {true, MEDIA_JSON, "x-gzip", NULL, BODY_STREAM, 0, PLAN_OPEN},
    {true, MEDIA_FORM, "deflate", NULL, BODY_LENGTH, 1, PLAN_OPEN},
    {true, MEDIA_XML, "br", NULL, BODY_STREAM, 0, PLAN_OPEN},
    {true, MEDIA_MULTIPART, "ZSTD", NULL, BODY_LENGTH, 1, PLAN_OPEN},
};

static void coded(struct head *h, const char *coding)
{
    if (coding)
        ck_assert_int_eq(head_add(h, FIELD_CONTENT_ENCODING, slice_text(coding)), FAULT_NONE);
}

START_TEST(each_kind_of_body_takes_its_path)
{
    for (size_t i = 0; i < COUNT(table); i++) {
        struct head h;

        head_begin(&h);
        h.body = table[i].body;
        h.length = table[i].length;
        coded(&h, table[i].coding);
        coded(&h, table[i].another);
        enum body_plan plan = plan_body(&h, table[i].media, table[i].looks, SPOOL);

        ck_assert_msg(plan == table[i].plan, "row %zu: %s, not %s", i, plan_names[plan],
                      plan_names[table[i].plan]);
    }
}
END_TEST

/* A spool for nothing at all: what has a length goes by untouched, what streams is not spooled. */
START_TEST(without_a_spool_nothing_is_counted)
{
    struct head h;

    head_begin(&h);
    h.body = BODY_LENGTH;
    h.length = 1;
    ck_assert_int_eq(plan_body(&h, MEDIA_TEXT, true, 0), PLAN_VERBATIM);
    h.body = BODY_STREAM;
    ck_assert_int_eq(plan_body(&h, MEDIA_TEXT, true, 0), PLAN_STREAM);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("plan");
    TCase *tc = tcase_create("plan");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tc);
    tcase_add_test(tc, each_kind_of_body_takes_its_path);
    tcase_add_test(tc, without_a_spool_nothing_is_counted);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

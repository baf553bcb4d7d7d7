#include "msg.h"
#include <check.h>
#include <ctype.h>
#include <stdlib.h>

static struct head head;

START_TEST(every_field_is_known_in_any_case)
{
    for (unsigned id = FIELD_OTHER + 1; id < FIELD_COUNT; id++) {
        struct slice name = field_table[id].name;
        uint8_t upper[64];

        for (size_t i = 0; i < name.len; i++)
            upper[i] = (uint8_t)toupper(name.at[i]);
        ck_assert_uint_eq(field_identify(name), id);
        ck_assert_uint_eq(field_identify(slice_of(upper, name.len)), id);
        for (size_t i = 0; i < name.len; i++) {
            upper[i] ^= 0x80;
            ck_assert_uint_eq(field_identify(slice_of(upper, name.len)), FIELD_OTHER);
            upper[i] ^= 0x80;
        }
        ck_assert_uint_eq(field_identify(slice_first(name, name.len - 1)), FIELD_OTHER);
    }
}
END_TEST

START_TEST(other_names_are_no_field)
{
    const char *names[] = {"",
                           "x",
                           "hos",
                           "host ",
                           "hosts",
                           "Transfer_Encoding",
                           "te\t",
                           "content-lengt\xe8",
                           "content_length",
                           "transfer-encodin",
                           "x-a-name-that-is-longer-than-any-that-we-know-of"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        ck_assert_msg(field_identify(slice_text(names[i])) == FIELD_OTHER, "'%s' is known", names[i]);
}
END_TEST

START_TEST(members_and_framing_are_fixed_and_kept_from_trailers)
{
    for (unsigned id = 0; id < FIELD_COUNT; id++) {
        unsigned traits = field_table[id].traits;

        if (traits & (TRAIT_HOP | TRAIT_MEMBER))
            ck_assert_msg(traits & TRAIT_NO_TRAILER, "%s may stand in a trailer",
                          (const char *)field_table[id].name.at);
        if (traits & TRAIT_MEMBER)
            ck_assert_uint_eq(traits & (TRAIT_FIXED | TRAIT_GUARDED), TRAIT_FIXED | TRAIT_GUARDED);
    }
}
END_TEST

/* The table of classes against the grammar, written out once more. */
START_TEST(octet_classes_are_those_of_the_rfc)
{
    for (int c = 0; c < 256; c++) {
        bool ascii = c > 0x20 && c < 0x7f, alnum = ascii && isalnum(c);
        unsigned want = 0;

        want |= alnum || (ascii && strchr("!#$%&'*+-.^_`|~", c)) ? OCTET_TCHAR : 0;
        want |= c == '\t' || (c >= 0x20 && c != 0x7f) ? OCTET_VALUE : 0;
        want |= ascii && !strchr("#\\\"<>^`{|}", c) ? OCTET_TARGET : 0;
        want |= alnum || (ascii && strchr("-._~!$&'()*+,;=%:[]", c)) ? OCTET_AUTHORITY : 0;
        ck_assert_msg(msg_octet_class[c] == want, "octet 0x%02x is %u, not %u", (unsigned)c,
                      msg_octet_class[c], want);
    }
}
END_TEST

START_TEST(names_and_values_outside_the_grammar_are_refused)
{
    const struct slice names[] = {SLICE(""),    SLICE(" a"),   SLICE("a "), SLICE("a:"),
                                  SLICE("a\0"), SLICE("\x80"), SLICE("a/b")};
    const struct slice values[] = {SLICE(" a"),   SLICE("a "),   SLICE("\ta"),  SLICE("a\t"),   SLICE("a\0b"),
                                   SLICE("a\rb"), SLICE("a\nb"), SLICE("\x7f"), SLICE("a\x0b"), SLICE(" ")};
    const struct slice fine[] = {SLICE(""), SLICE("a b"), SLICE("a\tb"), SLICE("\x85"), SLICE("\xa0 \xff")};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        ck_assert_msg(!field_name_ok(names[i]), "name row %zu passes", i);
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        ck_assert_msg(!field_value_ok(values[i]), "value row %zu passes", i);
    for (size_t i = 0; i < sizeof fine / sizeof *fine; i++)
        ck_assert_msg(field_value_ok(fine[i]), "value row %zu is refused", i);
    ck_assert(field_name_ok(SLICE("X-a!#$%&'*+-.^_`|~9")));
}
END_TEST

START_TEST(a_full_head_takes_no_more_fields)
{
    head_begin(&head);
    for (size_t i = 0; i < MSG_FIELDS_MAX; i++)
        ck_assert_int_eq(head_add(&head, FIELD_DATE, SLICE("x")), FAULT_NONE);
    ck_assert_int_eq(head_add(&head, FIELD_DATE, SLICE("x")), FAULT_HEAD_TOO_LARGE);
    ck_assert_uint_eq(head_count(&head, FIELD_DATE), MSG_FIELDS_MAX);
    head_begin(&head);
    ck_assert_uint_eq(head.fields, 0);
}
END_TEST

START_TEST(removal_keeps_the_order_of_the_rest)
{
    const enum field_id ids[] = {FIELD_DIGEST, FIELD_ACCEPT,      FIELD_CONTENT_MD5,
                                 FIELD_DATE,   FIELD_REPR_DIGEST, FIELD_COOKIE};
    static struct head copy;

    head_begin(&head);
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
        ck_assert_int_eq(head_add(&head, ids[i], SLICE("x")), FAULT_NONE);
    head.status = 200;
    head.minor = 1;
    head_copy(&copy, &head);
    head_copy(&copy, &copy);
    head_remove(&copy, TRAIT_DIGEST);
    ck_assert_uint_eq(copy.fields, 3);
    ck_assert_uint_eq(copy.field[0].id, FIELD_ACCEPT);
    ck_assert_uint_eq(copy.field[1].id, FIELD_DATE);
    ck_assert_uint_eq(copy.field[2].id, FIELD_COOKIE);
    ck_assert_int_eq(copy.status, 200);
    ck_assert_int_eq(copy.minor, 1);
    ck_assert_uint_eq(head.fields, 6);
    ck_assert_ptr_null(head_find(&copy, FIELD_DIGEST));
    ck_assert_ptr_eq(head_find(&copy, FIELD_DATE), &copy.field[1]);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("msg");
    TCase *t = tcase_create("msg");
    SRunner *r;
    int failed;

    tcase_add_test(t, other_names_are_no_field);
    tcase_add_test(t, every_field_is_known_in_any_case);
    tcase_add_test(t, members_and_framing_are_fixed_and_kept_from_trailers);
    tcase_add_test(t, octet_classes_are_those_of_the_rfc);
    tcase_add_test(t, names_and_values_outside_the_grammar_are_refused);
    tcase_add_test(t, a_full_head_takes_no_more_fields);
    tcase_add_test(t, removal_keeps_the_order_of_the_rest);
    suite_add_tcase(s, t);
    r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#include "redisurl.h"
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#define LONG_NAME                                                                                            \
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" \
    "aaaaaa"

static struct redis_url url;

static const struct {
    const char *text, *want;
} wrong[] = {
    {"", "must be unix:PATH"},
    {"hunter2", "must be unix:PATH"},
    {"REDIS://h", "must be unix:PATH"},
    {" redis://h", "must be unix:PATH"},
    {"http://h", "must be unix:PATH"},
    {"redis:h", "must be unix:PATH"},
    {"unix:", "must have a path of 1 to 107 octets"},
    {"unix:/" LONG_NAME, "must have a path of 1 to 107 octets"},
    {"redis://", "has no valid host"},
    {"redis:///1", "has no valid host"},
    {"redis://:6379", "has no valid host"},
    {"redis://hunter2@h", "must have user:password"},
    {"redis://u:hunter2%0@h", "has a password that is too long or badly"},
    {"redis://u:hunter2%00@h", "has a password that is too long or badly"},
    {"redis://u:hunter2%@h", "has a password that is too long or badly"},
    {"redis://u%zz:hunter2@h", "has a user that is too long or badly"},
    {"redis://" LONG_NAME LONG_NAME ":hunter2@h", "has a user that is too long or badly"},
    {"redis://u:hunter2@h:0", "has no valid port"},
    {"redis://u:hunter2@h:6379x", "has no valid port"},
    {"redis://u:hunter2@h:65536", "has no valid port"},
    {"redis://u:hunter2@h:", "has no valid port"},
    {"redis://u:hunter2@", "has no valid host"},
    {"redis://u:hunter2@a b", "has no valid host"},
    {"redis://u:hunter2@a,b", "has no valid host"},
    {"redis://u:hunter2@[::1", "has no valid host"},
    {"redis://u:hunter2@[::1]6379", "has no valid port"},
    {"redis://u:hunter2@::1", "has no valid host"},
    {"redis://u:hunter2@1.2.3", "has no valid host"},
    {"redis://u:hunter2@h/1/2", "has no valid database number"},
    {"redis://u:hunter2@h/65536", "has no valid database number"},
    {"redis://u:hunter2@h/x", "has no valid database number"},
    {"redis://u:hunter2@h?db=1", "has no valid host"},
    {"rediss://u:hunter2@h:0", "has no valid port"},
    {"sentinel://u:hunter2@h", "must have the master's name"},
    {"sentinel://u:hunter2@h/", "must have the master's name"},
    {"sentinel://u:hunter2@h/a b", "must have the master's name"},
    {"sentinel://u:hunter2@h/-a", "must have the master's name"},
    {"sentinel://u:hunter2@h/main/x", "has no valid database number"},
    {"sentinel://u:hunter2@h/main/1/2", "has no valid database number"},
    {"sentinel:///main", "has no valid host"},
    {"sentinel://h,/main", "has no valid host"},
    {"sentinel://,h/main", "has no valid host"},
    {"sentinel://h,,i/main", "has no valid host"},
    {"sentinel://h:1,i:0/main", "has no valid port"},
    {"sentinel://h,redis://i/main", "must have the master's name"},
    {"sentinel://u:hunter2@a,b,c,d,e,f,g,h,i/main", "names too many sentinels"},
};

START_TEST(what_is_no_address_of_redis_is_refused_and_nothing_is_kept)
{
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        const char *why = redisurl_parse(slice_text(wrong[i].text), &url);

        ck_assert_msg(why && strncmp(why, wrong[i].want, strlen(wrong[i].want)) == 0, "'%s': said '%s'",
                      wrong[i].text, why ? why : "nothing");
        for (size_t k = 0; k < sizeof url; k++)
            ck_assert_msg(((const char *)&url)[k] == 0, "'%s': something is still held", wrong[i].text);
    }
    ck_assert_ptr_nonnull(redisurl_parse(SLICE("unix:/a\0b"), &url));
    ck_assert_ptr_nonnull(redisurl_parse(SLICE("redis://:a\0b@h"), &url));
}
END_TEST

static const struct {
    const char *text, *user, *password, *shown;
} right[] = {
    {"unix:/run/redis.sock", "", "", "unix:/run/redis.sock"},
    {"unix:a b@c", "", "", "unix:a b@c"},
    {"redis://redis", "", "", "redis://redis:6379"},
    {"redis://10.0.0.1/", "", "", "redis://10.0.0.1:6379"},
    {"redis://:p@w@h.test:1/2", "", "p@w", "redis://h.test:1/2"},
    {"redis://u:@H.Test.", "u", "", "redis://h.test:6379"},
    {"redis://a%40b:p%3Aw:%2f@[::1]:7000/15", "a@b", "p:w:/", "redis://[::1]:7000/15"},
    {"rediss://u:p@h", "u", "p", "rediss://h:6379"},
    {"sentinel://h/main", "", "", "sentinel://h:26379/main"},
    {"sentinel://u:p,q@h:1,[fd00::1],10.0.0.1:65535/my-master_1.a/3", "u", "p,q",
     "sentinel://h:1,[fd00::1]:26379,10.0.0.1:65535/my-master_1.a/3"},
    {"sentinel://a,b,c,d,e,f,g,h/main/0", "", "",
     "sentinel://a:26379,b:26379,c:26379,d:26379,e:26379,f:26379,g:26379,h:26379/main"},
};

START_TEST(each_form_is_read_whole_and_shown_without_its_password)
{
    char shown[REDIS_URL_TEXT];

    for (size_t i = 0; i < sizeof right / sizeof *right; i++) {
        const char *why = redisurl_parse(slice_text(right[i].text), &url);

        ck_assert_msg(!why, "'%s': said '%s'", right[i].text, why);
        ck_assert_str_eq(url.user, right[i].user);
        ck_assert_str_eq(url.password, right[i].password);
        redisurl_text(&url, shown);
        ck_assert_str_eq(shown, right[i].shown);
        ck_assert_int_eq(url.tls, strncmp(right[i].text, "rediss:", 7) == 0);
    }
}
END_TEST

START_TEST(the_longest_text_has_room)
{
    char name[HOST_MAX + 1], text[4096], shown[REDIS_URL_TEXT];
    size_t n = (size_t)snprintf(text, sizeof text, "sentinel://");

    for (size_t i = 0; i < HOST_MAX; i++)
        name[i] = i % 64 == 63 ? '.' : 'a';
    name[HOST_MAX] = 0;
    for (int i = 0; i < REDIS_PLACES_MAX; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%s:65535", i ? "," : "", name);
    snprintf(text + n, sizeof text - n, "/%.128s/65535", LONG_NAME LONG_NAME);
    ck_assert_ptr_null(redisurl_parse(slice_text(text), &url));
    redisurl_text(&url, shown);
    ck_assert_str_eq(shown, text);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("redisurl");
    TCase *tc = tcase_create("redisurl");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tc);
    tcase_add_test(tc, what_is_no_address_of_redis_is_refused_and_nothing_is_kept);
    tcase_add_test(tc, each_form_is_read_whole_and_shown_without_its_password);
    tcase_add_test(tc, the_longest_text_has_room);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

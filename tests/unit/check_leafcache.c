#include "clock.h"
#include "leafcache.h"
#include "table.h"
#include <check.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

#define HOUR_MS ((int64_t)3600 * 1000)

static bool always(void *cookie)
{
    (void)cookie;
    return true;
}

static bool never(void *cookie)
{
    (void)cookie;
    return false;
}

static bool count_down(void *cookie)
{
    unsigned *left = cookie;

    return *left > 0 && (*left)--;
}

static struct party {
    char *pem;
    struct secret *key;
    struct authority a;
    struct leafcache *c;
} party[2];
static int64_t now_ms;

static void draw(void)
{
    ck_assert_int_eq(secret_arena_open(1 << 20), FAULT_NONE);
    table_seed();
    now_ms = clock_wall_ms();
    for (int i = 0; i < 2; i++) {
        struct party *p = &party[i];

        ck_assert_int_eq(authority_new(SLICE("sb"), now_ms, 30, &p->pem, &p->key), FAULT_NONE);
        ck_assert_int_eq(authority_open(slice_text(p->pem), p->key, &p->a), FAULT_NONE);
        ck_assert_int_eq(leafcache_new(&p->c), FAULT_NONE);
    }
}

static void undraw(void)
{
    for (int i = 0; i < 2; i++) {
        leafcache_free(party[i].c);
        authority_close(&party[i].a);
        free(party[i].pem);
        secret_free(party[i].key);
    }
}

/* Ask ${c} for a numbered name; tells whether it was minted. */
static bool ask(struct party *p, unsigned n, X509 **out)
{
    char name[32];
    bool minted;
    int len = snprintf(name, sizeof name, "n%u.test", n);

    ck_assert_int_eq(
        leafcache_get(p->c, &p->a, slice_of(name, (size_t)len), false, always, NULL, now_ms, out, &minted),
        FAULT_NONE);
    ck_assert_int_eq(X509_check_host(*out, name, 0, 0, NULL), 1);
    return minted;
}

START_TEST(a_signature_is_asked_for_only_when_it_is_needed)
{
    struct party *p = &party[0];
    unsigned left = 2;
    bool minted;
    X509 *x;
    static const struct {
        const char *name;
        enum fault want;
    } table[] = {{"a.test", FAULT_NONE}, {"a.test", FAULT_NONE},         {"b.test", FAULT_NONE},
                 {"a.test", FAULT_NONE}, {"c.test", FAULT_NAME_REFUSED}, {"b.test", FAULT_NONE}};

    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        enum fault f = leafcache_get(p->c, &p->a, slice_text(table[i].name), false, count_down, &left, now_ms,
                                     &x, &minted);

        ck_assert_msg(f == table[i].want, "row %zu: %s", i, fault_table[f].name);
    }
    ck_assert_uint_eq(left, 0);
}
END_TEST

START_TEST(a_name_that_can_not_be_a_host_is_refused)
{
    static const struct slice bad[] = {SLICE_NONE, {(const uint8_t *)"*.a", 3}, {(const uint8_t *)"a\0b", 3}};
    X509 *x;
    bool minted;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_int_eq(
            leafcache_get(party[0].c, &party[0].a, bad[i], false, always, NULL, now_ms, &x, &minted),
            FAULT_INVALID);
}
END_TEST

START_TEST(a_second_look_is_a_hit_until_an_hour_before_the_end)
{
    X509 *first, *x;

    ck_assert(ask(&party[0], 1, &first));
    ck_assert(!ask(&party[0], 1, &x));
    ck_assert_ptr_eq(x, first);
    now_ms += LEAF_DAYS * 24 * HOUR_MS - HOUR_MS - 2000;
    ck_assert(!ask(&party[0], 1, &x));
    now_ms += 3000;
    ck_assert(ask(&party[0], 1, &x));
    ck_assert(!ask(&party[0], 1, &x));
}
END_TEST

START_TEST(an_old_leaf_outlasts_a_spent_budget_but_not_its_end)
{
    struct party *p = &party[0];
    bool minted;
    X509 *x;

    ask(p, 1, &x);
    now_ms += LEAF_DAYS * 24 * HOUR_MS - HOUR_MS / 2;
    ck_assert_int_eq(leafcache_get(p->c, &p->a, SLICE("n1.test"), false, never, NULL, now_ms, &x, &minted),
                     FAULT_NONE);
    ck_assert(!minted);
    now_ms += HOUR_MS;
    ck_assert_int_eq(leafcache_get(p->c, &p->a, SLICE("n1.test"), false, never, NULL, now_ms, &x, &minted),
                     FAULT_NAME_REFUSED);
}
END_TEST

START_TEST(a_name_and_an_address_are_not_the_same)
{
    X509 *name, *address;
    bool minted;
    struct party *p = &party[0];

    ck_assert_int_eq(
        leafcache_get(p->c, &p->a, SLICE("192.0.2.1"), false, always, NULL, now_ms, &name, &minted),
        FAULT_NONE);
    X509_up_ref(name);
    ck_assert_int_eq(
        leafcache_get(p->c, &p->a, SLICE("192.0.2.1"), true, always, NULL, now_ms, &address, &minted),
        FAULT_NONE);
    ck_assert(minted);
    ck_assert_ptr_ne(name, address);
    X509_free(name);
}
END_TEST

START_TEST(the_least_recently_used_goes_first)
{
    X509 *x;

    for (unsigned n = 0; n < LEAFCACHE_MAX; n++)
        ck_assert(ask(&party[0], n, &x));
    ck_assert(!ask(&party[0], 0, &x)); /* used again: 1 is the oldest now */
    ck_assert(ask(&party[0], LEAFCACHE_MAX, &x));
    for (unsigned n = 2; n <= LEAFCACHE_MAX; n++)
        ck_assert_msg(!ask(&party[0], n, &x), "%u was dropped", n);
    ck_assert(!ask(&party[0], 0, &x));
    ck_assert(ask(&party[0], 1, &x));
}
END_TEST

START_TEST(two_sandboxes_never_share_a_leaf)
{
    X509 *x;

    for (unsigned i = 0; i < 2000; i++) {
        struct party *p = &party[i & 1];

        ask(p, i / 2 % 3, &x);
        ck_assert_int_eq(X509_verify(x, p->a.key), 1);
    }
    /* Even one cache asked for another authority gives nothing of the first. */
    ck_assert_int_eq(ask(&party[0], 0, &x), false);
    struct party mixed = {.a = party[1].a, .c = party[0].c};

    ck_assert(ask(&mixed, 0, &x));
    ck_assert_int_eq(X509_verify(x, party[1].a.key), 1);
}
END_TEST

START_TEST(a_leaf_that_is_used_often_is_settled_and_stays_the_same)
{
    X509 *x, *first;
    unsigned settled = 0;

    ask(&party[0], 1, &first);
    X509_up_ref(first);
    for (unsigned i = 0; i < 20; i++) {
        ck_assert(!ask(&party[0], 1, &x));
        ck_assert_int_eq(X509_cmp(x, first), 0);
        ck_assert_int_eq(X509_verify(x, party[0].a.key), 1);
        ck_assert_int_eq(X509_check_private_key(x, party[0].a.leaf_key), 1);
        settled += x != first;
    }
    ck_assert_msg(settled > 0 && settled < 20, "settled for %u of 20 uses", settled);
    X509_free(first);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("leafcache");
    TCase *tc = tcase_create("leafcache");
    SRunner *runner = srunner_create(s);

    tcase_add_checked_fixture(tc, draw, undraw);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, a_signature_is_asked_for_only_when_it_is_needed);
    tcase_add_test(tc, a_name_that_can_not_be_a_host_is_refused);
    tcase_add_test(tc, a_second_look_is_a_hit_until_an_hour_before_the_end);
    tcase_add_test(tc, an_old_leaf_outlasts_a_spent_budget_but_not_its_end);
    tcase_add_test(tc, a_name_and_an_address_are_not_the_same);
    tcase_add_test(tc, the_least_recently_used_goes_first);
    tcase_add_test(tc, two_sandboxes_never_share_a_leaf);
    tcase_add_test(tc, a_leaf_that_is_used_often_is_settled_and_stays_the_same);
    suite_add_tcase(s, tc);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);

    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

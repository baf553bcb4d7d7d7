#include "tlsmem.h"
#include <check.h>
#include <openssl/crypto.h>
#include <stdint.h>
#include <stdlib.h>

#define COUNT(table) (sizeof(table) / sizeof *(table))

/* Under AddressSanitizer the blocks are the heap's, and the same must hold. */
static void open_slots(void)
{
    static bool tried;

    if (!tried)
        (void)tlsmem_open();
    tried = true;
}

static void fill(uint8_t *at, size_t octets, uint8_t with)
{
    for (size_t i = 0; i < octets; i++)
        at[i] = with;
}

static size_t same(const uint8_t *at, size_t octets, uint8_t with)
{
    size_t i = 0;

    while (i < octets && at[i] == with)
        i++;
    return i;
}

/* Blocks of all sizes around the slots' are taken, grown, shrunk and given: none loses an octet or meets another. */
START_TEST(blocks_keep_what_is_in_them)
{
    static const size_t sizes[] = {1, 100, 16383, 16384, 16720, 22000, 22528, 22529, 24576, 70000};
    uint8_t *live[32] = {0};
    size_t octets[32] = {0};

    open_slots();
    srand(11);
    for (int turn = 0; turn < 20000; turn++) {
        size_t i = (size_t)rand() % COUNT(live), want = sizes[(size_t)rand() % COUNT(sizes)];
        size_t kept = want < octets[i] ? want : octets[i];

        if (turn % 1000 == 0)
            tlsmem_trim();
        if (live[i] && rand() % 3 == 0) {
            OPENSSL_free(live[i]);
            live[i] = NULL;
            octets[i] = 0;
            continue;
        }
        live[i] = OPENSSL_realloc(live[i], want);
        ck_assert_ptr_nonnull(live[i]);
        ck_assert_msg(same(live[i], kept, (uint8_t)i) == kept, "turn %d: block %zu lost octet %zu of %zu",
                      turn, i, same(live[i], kept, (uint8_t)i), kept);
        fill(live[i], want, (uint8_t)i);
        octets[i] = want;
    }
    for (size_t i = 0; i < COUNT(live); i++)
        OPENSSL_free(live[i]);
}
END_TEST

START_TEST(when_no_slot_is_left_the_heap_serves)
{
    static void *taken[TLSMEM_SLOTS + 8];

    open_slots();
    for (size_t i = 0; i < COUNT(taken); i++) {
        taken[i] = OPENSSL_malloc(17000);
        ck_assert_msg(taken[i] != NULL, "block %zu", i);
    }
    for (size_t i = 0; i < COUNT(taken); i++)
        OPENSSL_free(taken[i]);
    tlsmem_trim();
    tlsmem_trim();
    taken[0] = OPENSSL_malloc(17000);
    ck_assert_ptr_nonnull(taken[0]);
    fill(taken[0], 17000, 1);
    OPENSSL_free(taken[0]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tlsmem");
    TCase *tc = tcase_create("tlsmem");

    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, blocks_keep_what_is_in_them);
    tcase_add_test(tc, when_no_slot_is_left_the_heap_serves);
    suite_add_tcase(suite, tc);

    SRunner *runner = srunner_create(suite);

    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);

    srunner_free(runner);
    return failed != 0;
}

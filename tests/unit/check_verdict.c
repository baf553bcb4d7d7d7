#include "verdict.h"
#include <check.h>
#include <stdlib.h>

#define COUNT(table) (sizeof(table) / sizeof *(table))

#define T1 "osb_sealed_11111111111111111111111111111111"
#define T2 "osb_sealed_22222222222222222222222222222222"

static struct host host_of(const char *text)
{
    struct host h;

    if (host_literal(slice_text(text), &h) != FAULT_NONE)
        ck_assert_msg(host_canonical(slice_text(text), &h) == FAULT_NONE, "no host: %s", text);
    return h;
}

static struct ip ip_of(const char *text)
{
    struct ip ip;

    ck_assert_msg(ip_parse(slice_text(text), &ip) == FAULT_NONE, "no address: %s", text);
    return ip;
}

/* One pattern, or none for NULL. */
static struct hostlist *list_of(const char *pattern)
{
    struct slice s = slice_text(pattern);
    struct hostlist *l = NULL;

    ck_assert_int_eq(hostlist_new(&s, pattern ? 1 : 0, &l), FAULT_NONE);
    return l;
}

/* A record of one store and two secrets; the verdicts need no more of it. */
static struct record_store store;
static struct record_secret secrets[2];
static struct record record;

static void record_make(const char *egress, const char *hosts_one, const char *hosts_two)
{
    store = (struct record_store){.egress = list_of(egress)};
    secrets[0] = (struct record_secret){
        .name = "ONE", .token = T1, .store = &store, .hosts = list_of(hosts_one), .places = PLACES_DEFAULT};
    secrets[1] = (struct record_secret){
        .name = "TWO", .token = T2, .store = &store, .hosts = list_of(hosts_two), .places = 1u << PLACE_URL};
    record = (struct record){.references = 1,
                             .addresses = {ip_of("10.0.0.7")},
                             .address_count = 1,
                             .stores = &store,
                             .store_count = 1,
                             .egress = list_of(egress),
                             .secrets = secrets,
                             .secret_count = 2};
}

static void record_unmake(void)
{
    hostlist_free(store.egress);
    hostlist_free(record.egress);
    hostlist_free(secrets[0].hosts);
    hostlist_free(secrets[1].hosts);
}

/* --- hosts and secrets ---------------------------------------------------------------------------------- */

START_TEST(a_record_serves_its_own_addresses_until_it_expires)
{
    record_make(NULL, NULL, NULL);
    record.expires_ms = 1000;
    ck_assert_int_eq(verdict_alive(&record, ip_of("10.0.0.8"), 0), FAULT_UNKNOWN_SOURCE);
    ck_assert_int_eq(verdict_alive(&record, ip_of("10.0.0.8"), 2000), FAULT_UNKNOWN_SOURCE);
    ck_assert_int_eq(verdict_alive(&record, ip_of("10.0.0.7"), 1000), FAULT_REVOKED);
    ck_assert_int_eq(verdict_alive(&record, ip_of("10.0.0.7"), INT64_MAX), FAULT_REVOKED);
    ck_assert_int_eq(verdict_alive(&record, ip_of("10.0.0.7"), 999), FAULT_NONE);
    ck_assert_int_eq(verdict_alive(&record, ip_of("::ffff:10.0.0.7"), 999), FAULT_NONE);
    record.expires_ms = 0;
    ck_assert_int_eq(verdict_alive(&record, ip_of("10.0.0.7"), INT64_MAX), FAULT_NONE);
    record_unmake();
}
END_TEST

START_TEST(hosts_are_reached_and_secrets_given_as_the_lists_say)
{
    static const struct {
        const char *egress, *hosts, *host;
        bool reached, given;
    } table[] = {
        {"api.test", NULL, "evil.test", false, false},
        {"api.test", NULL, "1.2.3.4", false, false},
        {NULL, NULL, "1.2.3.4", false, false}, /* an address is no name */
        {"*", "*", "1.2.3.4", false, false},
        {"*.wild.test", NULL, "wild.test", false, false},
        {"api.test", "b.test", "api.test", true, false},
        {"api.test", "b.test", "b.test", false, true},
        {NULL, "b.test", "api.test", true, false},
        {NULL, "b.test", "b.test", true, true},
        {NULL, NULL, "api.test", true, true},
        {"api.test", NULL, "api.test", true, true},
        {"*.wild.test", NULL, "a.wild.test", true, true},
        {"1.2.3.4", NULL, "1.2.3.4", true, true},
        {"*", "1.2.3.4", "1.2.3.4", false, true},
    };

    for (size_t i = 0; i < COUNT(table); i++) {
        struct host h = host_of(table[i].host);
        struct secret_set given;

        record_make(table[i].egress, table[i].hosts, "none.test");
        ck_assert_msg((verdict_host(&record, &h) == FAULT_NONE) == table[i].reached, "host, row %zu", i);
        ck_assert_msg(verdict_secret(&secrets[0], &h) == table[i].given, "secret, row %zu", i);
        ck_assert_uint_eq(verdict_places(&record, &h, &given), table[i].given ? PLACES_DEFAULT : 0);
        ck_assert_uint_eq(given.bits[0], table[i].given);
        record.store_count = 0; /* without a store nothing may be reached */
        ck_assert_int_eq(verdict_host(&record, &h), FAULT_HOST_NOT_ALLOWED);
        record_unmake();
    }
    record_make(NULL, NULL, NULL);
    ck_assert_int_eq(verdict_host(&record, &(struct host){0}), FAULT_HOST_NOT_ALLOWED);
    ck_assert(!verdict_secret(&secrets[0], &(struct host){0}));
    record_unmake();
}
END_TEST

START_TEST(tokens_are_granted_to_their_host_in_their_place)
{
    struct slice unknown = SLICE("osb_sealed_33333333333333333333333333333333");
    struct host api = host_of("api.test"), both = host_of("both.test"), evil = host_of("evil.test");
    const struct record_secret *s = &secrets[0];
    struct secret_set given;

    record_make(NULL, "api.test", "*");
    ck_assert_int_eq(verdict_token(&record, unknown, &api, PLACE_HEADER, &s), TOKEN_UNKNOWN);
    ck_assert_ptr_null(s);
    ck_assert_int_eq(verdict_token(&record, SLICE(T1), &evil, PLACE_HEADER, &s), TOKEN_WRONG_HOST);
    ck_assert_int_eq(verdict_token(&record, SLICE(T1), &evil, PLACE_URL, &s), TOKEN_WRONG_HOST);
    ck_assert_ptr_eq(s, &secrets[0]);
    for (unsigned p = 0; p < PLACE_COUNT; p++) {
        bool usual = PLACES_DEFAULT >> p & 1;

        ck_assert_int_eq(verdict_token(&record, SLICE(T1), &api, (enum place)p, &s),
                         usual ? TOKEN_GRANTED : TOKEN_WRONG_PLACE);
        ck_assert_int_eq(verdict_token(&record, SLICE(T2), &both, (enum place)p, &s),
                         p == PLACE_URL ? TOKEN_GRANTED : TOKEN_WRONG_PLACE);
        ck_assert_ptr_eq(s, &secrets[1]);
    }
    ck_assert_uint_eq(verdict_places(&record, &api, &given), PLACES_DEFAULT | 1u << PLACE_URL);
    ck_assert_uint_eq(given.bits[0], 3);
    ck_assert_uint_eq(verdict_places(&record, &both, &given), 1u << PLACE_URL);
    ck_assert_uint_eq(given.bits[0], 2);
    record_unmake();
}
END_TEST

/* --- authorities ---------------------------------------------------------------------------------------- */

static const struct {
    struct slice value;
    const char *host;
    uint16_t port;
    enum fault want;
} authorities[] = {
    {SLICE(""), "api.test", 443, FAULT_BAD_REQUEST},
    {SLICE(":"), "api.test", 443, FAULT_BAD_REQUEST},
    {SLICE(":443"), "api.test", 443, FAULT_BAD_REQUEST},
    {SLICE("api.test, evil.test"), "api.test", 443, FAULT_BAD_REQUEST},
    {SLICE("api.test,api.test"), "api.test", 443, FAULT_BAD_REQUEST},
    {SLICE("api.test@evil.test"), "api.test", 443, FAULT_BAD_REQUEST},
    {SLICE("evil.test@api.test"), "api.test", 443, FAULT_BAD_REQUEST},
    {SLICE("u:p@api.test"), "api.test", 443, FAULT_BAD_REQUEST},
    {SLICE("api.test#evil"), "api.test", 443, FAULT_BAD_REQUEST},
    {SLICE("api.test/evil"), "api.test", 443, FAULT_BAD_REQUEST},
    {SLICE("api.test?"), "api.test", 443, FAULT_BAD_REQUEST},
    {SLICE("api.test:443abc"), "api.test", 443, FAULT_BAD_REQUEST},
    {SLICE("api.test:"), "api.test", 443, FAULT_BAD_REQUEST},
    {SLICE("api.test:0443"), "api.test", 443, FAULT_BAD_REQUEST},
    {SLICE("api.test:+443"), "api.test", 443, FAULT_BAD_REQUEST},
    {SLICE("api.test: 443"), "api.test", 443, FAULT_BAD_REQUEST},
    {SLICE("api.test:443:443"), "api.test", 443, FAULT_BAD_REQUEST},
    {SLICE("api.test:65979"), "api.test", 443, FAULT_BAD_REQUEST}, /* 443 + 65536 */
    {SLICE("api.test:18446744073709552059"), "api.test", 443, FAULT_BAD_REQUEST},
    {SLICE(" api.test"), "api.test", 443, FAULT_BAD_REQUEST},
    {SLICE("api.test\t"), "api.test", 443, FAULT_BAD_REQUEST},
    {SLICE("api.test\0"), "api.test", 443, FAULT_BAD_REQUEST},
    {SLICE("api.test:443\0"), "api.test", 443, FAULT_BAD_REQUEST},
    {SLICE("api.test.."), "api.test", 443, FAULT_BAD_REQUEST},
    {SLICE("\xd0\xb0pi.test"), "api.test", 443, FAULT_BAD_REQUEST},
    {SLICE("[api.test]"), "api.test", 443, FAULT_BAD_REQUEST},
    {SLICE("[evil.test]"), "api.test", 443, FAULT_BAD_REQUEST},
    {SLICE("[api.test"), "api.test", 443, FAULT_BAD_REQUEST},
    {SLICE("[1.2.3.4]"), "1.2.3.4", 443, FAULT_BAD_REQUEST},
    {SLICE("1.2.3.4."), "1.2.3.4", 443, FAULT_BAD_REQUEST},
    {SLICE("0x1020304"), "1.2.3.4", 443, FAULT_BAD_REQUEST},
    {SLICE("2001:db8::1"), "2001:db8::1", 443, FAULT_BAD_REQUEST},
    {SLICE("[2001:db8::1]443"), "2001:db8::1", 443, FAULT_BAD_REQUEST},
    {SLICE("[2001:db8::1]:"), "2001:db8::1", 443, FAULT_BAD_REQUEST},
    {SLICE("[2001:db8::1%25lo]"), "2001:db8::1", 443, FAULT_BAD_REQUEST},
    {SLICE("evil.test"), "api.test", 443, FAULT_HOST_MISMATCH},
    {SLICE("evil.test."), "api.test", 443, FAULT_HOST_MISMATCH},
    {SLICE("a.api.test"), "api.test", 443, FAULT_HOST_MISMATCH},
    {SLICE("1.2.3.4"), "api.test", 443, FAULT_HOST_MISMATCH},
    {SLICE("api.test"), "1.2.3.4", 443, FAULT_HOST_MISMATCH},
    {SLICE("[2001:db8::2]"), "2001:db8::1", 443, FAULT_HOST_MISMATCH},
    {SLICE("api.test:8443"), "api.test", 443, FAULT_HOST_MISMATCH},
    {SLICE("api.test:443"), "api.test", 8443, FAULT_HOST_MISMATCH},
    {SLICE("api.test"), "api.test", 443, FAULT_NONE},
    {SLICE("api.test:443"), "api.test", 443, FAULT_NONE},
    {SLICE("api.test"), "api.test", 8443, FAULT_NONE},
    {SLICE("api.test:8443"), "api.test", 8443, FAULT_NONE},
    {SLICE("API.TeSt"), "api.test", 443, FAULT_NONE},
    {SLICE("api.test."), "api.test", 443, FAULT_NONE},
    {SLICE("api.test.:443"), "api.test.", 443, FAULT_NONE},
    {SLICE("1.2.3.4:443"), "1.2.3.4", 443, FAULT_NONE},
    {SLICE("[2001:DB8::0:1]"), "2001:db8::1", 443, FAULT_NONE},
    {SLICE("[2001:db8::1]:443"), "2001:db8::1", 443, FAULT_NONE},
};

START_TEST(a_host_has_the_same_while_nothing_of_its_own_changes)
{
    enum change { NOTHING, ROTATED, REPLACED, NARROWED, WIDENED, PLACED, DELETED, UNLISTED, NO_STORE };
    static const struct {
        size_t secret; /* that changes: the first is of api.test, the second of other.test */
        enum change change;
        bool same;
    } table[] = {
        {0, ROTATED, false}, {0, REPLACED, false}, {0, NARROWED, false}, {0, PLACED, false},
        {0, DELETED, false}, {1, WIDENED, false},  {0, UNLISTED, false}, {0, NO_STORE, false},
        {0, NOTHING, true},  {1, ROTATED, true},   {1, REPLACED, true},  {1, NARROWED, true},
        {1, PLACED, true},   {1, DELETED, true},   {0, WIDENED, true},
    };
    struct host api = host_of("api.test");
    struct hostlist *narrow = list_of("narrow.test"), *wide = list_of("*.test");

    record_make("*.test", "api.test", "other.test");
    for (size_t i = 0; i < COUNT(table); i++) {
        struct record_secret changed[] = {secrets[0], secrets[1]}, *one = &changed[table[i].secret];
        struct record now = record;

        now.secrets = changed;
        switch (table[i].change) {
        case NOTHING:
            break;
        case ROTATED:
            one->version++;
            break;
        case REPLACED:
            one->token[TOKEN_LEN - 1] ^= 4;
            break; /* in order still */
        case NARROWED:
            one->hosts = narrow;
            break;
        case WIDENED:
            one->hosts = wide;
            break;
        case PLACED:
            one->places ^= 1u << PLACE_FIELD;
            break;
        case DELETED:
            *one = changed[1];
            now.secret_count = 1;
            break;
        case UNLISTED:
            now.egress = narrow;
            break;
        case NO_STORE:
            now.store_count = 0;
            break;
        }
        ck_assert_msg(verdict_same(&record, &now, &api) == table[i].same, "row %zu", i);
        ck_assert_msg(verdict_same(&now, &record, &api) == table[i].same || table[i].change >= UNLISTED,
                      "row %zu, the other way", i);
    }
    record_unmake();
    hostlist_free(narrow);
    hostlist_free(wide);
}
END_TEST

START_TEST(an_authority_names_the_host_and_no_other_port)
{
    for (size_t i = 0; i < COUNT(authorities); i++) {
        struct host h = host_of(authorities[i].host);
        enum fault got = verdict_authority(authorities[i].value, &h, authorities[i].port);

        ck_assert_msg(got == authorities[i].want, "%.*s for %s: %s", SLICE_PRINTF(authorities[i].value),
                      authorities[i].host, fault_table[got].name);
    }
}
END_TEST

/* --- addresses ------------------------------------------------------------------------------------------ */

static const char *const local[] = {
    "0.0.0.0",         "0.255.255.255",   "10.0.0.0",        "10.255.255.255", "100.64.0.0",
    "100.127.255.255", "127.0.0.1",       "127.255.255.255", "169.254.0.0",    "169.254.169.254",
    "169.254.255.255", "172.16.0.0",      "172.31.255.255",  "192.0.0.0",      "192.0.0.192",
    "192.168.0.0",     "192.168.255.255", "198.18.0.0",      "198.19.255.255", "224.0.0.1",
    "239.255.255.255", "240.0.0.1",       "255.255.255.255", "192.88.99.1",
};

static const char *const global[] = {
    "1.0.0.0",         "1.1.1.1",       "9.255.255.255",   "11.0.0.0",    "100.63.255.255", "100.128.0.0",
    "126.255.255.255", "128.0.0.0",     "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0",
    "192.0.1.0",       "192.0.2.1",     "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0",
    "198.51.100.7",    "203.0.113.200", "223.255.255.255",
};

/* ${v4} as it stands alone (which is v4-mapped), v4-compatible, in NAT64, 6to4 and Teredo. */
enum { FORMS = 5 };
static struct ip form_of(const char *v4, unsigned form)
{
    static const struct {
        uint8_t head[4];
        unsigned at;
        uint8_t flip;
    } table[FORMS] = {
        {{0}, 12, 0},
        {{0}, 12, 0},
        {{0x00, 0x64, 0xff, 0x9b}, 12, 0},
        {{0x20, 0x02}, 2, 0},
        {{0x20, 0x01, 0, 0}, 12, 0xff},
    };
    struct ip plain = ip_of(v4), ip = {{0}};

    if (form == 0)
        return plain;
    memcpy(ip.at, table[form].head, 4);
    for (unsigned i = 0; i < 4; i++)
        ip.at[table[form].at + i] = plain.at[12 + i] ^ table[form].flip;
    return ip;
}

START_TEST(v4_addresses_are_judged_alike_in_every_dress)
{
    char text[IP_TEXT];

    for (unsigned form = 0; form < FORMS; form++) {
        for (size_t i = 0; i < COUNT(local); i++) {
            ip_text(form_of(local[i], form), text);
            ck_assert_msg(verdict_address(form_of(local[i], form), NULL, 0) == FAULT_ADDRESS_NOT_ALLOWED,
                          "allowed: %s (%s)", text, local[i]);
        }
        for (size_t i = 0; i < COUNT(global); i++) {
            ip_text(form_of(global[i], form), text);
            ck_assert_msg(verdict_address(form_of(global[i], form), NULL, 0) == FAULT_NONE,
                          "refused: %s (%s)", text, global[i]);
        }
    }
}
END_TEST

START_TEST(v6_addresses_are_global_or_refused)
{
    static const struct {
        const char *ip;
        enum fault want;
    } table[] = {
        {"::", FAULT_ADDRESS_NOT_ALLOWED},
        {"::1", FAULT_ADDRESS_NOT_ALLOWED},
        {"::ffff:10.0.0.1", FAULT_ADDRESS_NOT_ALLOWED},
        {"::10.0.0.1", FAULT_ADDRESS_NOT_ALLOWED},
        {"64:ff9b::a00:1", FAULT_ADDRESS_NOT_ALLOWED},
        {"64:ff9b:1::1", FAULT_ADDRESS_NOT_ALLOWED},
        {"64:ff9b:1::101:101", FAULT_ADDRESS_NOT_ALLOWED},
        {"64:ff9b::1:101:101", FAULT_ADDRESS_NOT_ALLOWED},
        {"2002:a00:1::", FAULT_ADDRESS_NOT_ALLOWED},
        {"2002:7f00:1::1", FAULT_ADDRESS_NOT_ALLOWED},
        {"2001:0:101:101::f5ff:fffe", FAULT_ADDRESS_NOT_ALLOWED}, /* 10.0.0.1 */
        {"2001::", FAULT_ADDRESS_NOT_ALLOWED},                    /* 255.255.255.255 */
        {"2001:2::1", FAULT_ADDRESS_NOT_ALLOWED},
        {"2001:10::1", FAULT_ADDRESS_NOT_ALLOWED},
        {"2001:1ff:ffff::1", FAULT_ADDRESS_NOT_ALLOWED},
        {"100::1", FAULT_ADDRESS_NOT_ALLOWED},
        {"100:0:0:1::1", FAULT_ADDRESS_NOT_ALLOWED},
        {"fe80::1", FAULT_ADDRESS_NOT_ALLOWED},
        {"fec0::1", FAULT_ADDRESS_NOT_ALLOWED},
        {"fc00::1", FAULT_ADDRESS_NOT_ALLOWED},
        {"fd00:ec2::254", FAULT_ADDRESS_NOT_ALLOWED},
        {"ff02::1", FAULT_ADDRESS_NOT_ALLOWED},
        {"ff0e::1", FAULT_ADDRESS_NOT_ALLOWED},
        {"5f00::1", FAULT_ADDRESS_NOT_ALLOWED},
        {"4000::1", FAULT_ADDRESS_NOT_ALLOWED},
        {"1fff::1", FAULT_ADDRESS_NOT_ALLOWED},
        {"2001:200::1", FAULT_NONE},
        {"2001:db8::1", FAULT_NONE},
        {"2606:4700::1111", FAULT_NONE},
        {"3fff::1", FAULT_NONE},
        {"2001:0:a00:1::fefe:fefe", FAULT_NONE}, /* 1.1.1.1 */
    };

    for (size_t i = 0; i < COUNT(table); i++)
        ck_assert_msg(verdict_address(ip_of(table[i].ip), NULL, 0) == table[i].want, "wrong: %s",
                      table[i].ip);
}
END_TEST

START_TEST(an_operator_lifts_the_refusal_of_what_the_list_holds)
{
    struct net allow[3];
    static const struct {
        const char *ip;
        enum fault want;
    } table[] = {
        {"10.2.0.0", FAULT_ADDRESS_NOT_ALLOWED},
        {"127.0.0.2", FAULT_ADDRESS_NOT_ALLOWED},
        {"fd01::1", FAULT_ADDRESS_NOT_ALLOWED},
        {"64:ff9b::a02:1", FAULT_ADDRESS_NOT_ALLOWED},
        {"10.1.255.255", FAULT_NONE},
        {"::ffff:10.1.0.1", FAULT_NONE},
        {"64:ff9b::a01:1", FAULT_NONE},
        {"2002:a01:1::", FAULT_NONE},
        {"127.0.0.1", FAULT_NONE},
        {"fd00::1", FAULT_NONE},
        {"1.1.1.1", FAULT_NONE},
    };

    ck_assert_int_eq(net_parse(SLICE("10.1.0.0/16"), &allow[0]), FAULT_NONE);
    ck_assert_int_eq(net_parse(SLICE("127.0.0.1"), &allow[1]), FAULT_NONE);
    ck_assert_int_eq(net_parse(SLICE("fd00::/16"), &allow[2]), FAULT_NONE);
    for (size_t i = 0; i < COUNT(table); i++)
        ck_assert_msg(verdict_address(ip_of(table[i].ip), allow, 3) == table[i].want, "wrong: %s",
                      table[i].ip);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("verdict");
    TCase *tc = tcase_create("verdict");
    SRunner *runner;
    int failed;

    tcase_add_test(tc, a_record_serves_its_own_addresses_until_it_expires);
    tcase_add_test(tc, hosts_are_reached_and_secrets_given_as_the_lists_say);
    tcase_add_test(tc, tokens_are_granted_to_their_host_in_their_place);
    tcase_add_test(tc, a_host_has_the_same_while_nothing_of_its_own_changes);
    tcase_add_test(tc, an_authority_names_the_host_and_no_other_port);
    tcase_add_test(tc, v4_addresses_are_judged_alike_in_every_dress);
    tcase_add_test(tc, v6_addresses_are_global_or_refused);
    tcase_add_test(tc, an_operator_lifts_the_refusal_of_what_the_list_holds);
    suite_add_tcase(s, tc);
    runner = srunner_create(s);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

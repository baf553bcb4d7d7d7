#include "record.h"
#include "store.h"
#include <check.h>
#include <sodium.h>
#include <stdlib.h>
#include <unistd.h>

#define COUNT(table) (sizeof(table) / sizeof *(table))

#define ID    "sb1"
#define S1    "11111111-1111-4111-8111-111111111111"
#define S2    "22222222-2222-4222-8222-222222222222"
#define T1    "osb_sealed_1111111111111111111111111111111f"
#define T2    "osb_sealed_0222222222222222222222222222222f"
#define VALUE "value-of-"

static const char good[] =
    "{\"id\":\"" ID "\",\"zone\":\"default\",\"addresses\":[\"10.0.0.7\",\"fd00::7\"],\"createdAt\":1000,"
    "\"expiresAt\":2000,\"version\":3,\"ca\":\"-----PEM-----\","
    "\"stores\":[{\"id\":\"" S1
    "\",\"name\":\"main store\",\"egress\":[\"api.test\",\"*.wild.test\"],\"scrub\":true},"
    "{\"id\":\"" S2 "\",\"name\":\"other\",\"egress\":[],\"scrub\":false}],"
    "\"secrets\":[{\"name\":\"ONE\",\"token\":\"" T1 "\",\"store\":\"" S1
    "\",\"hosts\":[\"api.test\",\"b.test\"],"
    "\"places\":[\"header\",\"body\"],\"version\":5},"
    "{\"name\":\"TWO\",\"token\":\"" T2 "\",\"store\":\"" S2
    "\",\"hosts\":[],\"places\":[\"url\"],\"version\":6}]}";

static struct keyring *keys;

/* What Redis would hold: the parts and the octets that they are cut from. */
struct sealed {
    char policy[8192];
    struct buf octets;
    struct record_part parts[8];
    size_t n;
};

static void setup(void)
{
    char path[] = "/tmp/check_record.XXXXXX";
    uint8_t key[2 * SEAL_KEY_OCTETS];
    const char *why = "";
    int fd = mkstemp(path);

    for (size_t i = 0; i < sizeof key; i++)
        key[i] = (uint8_t)i;
    ck_assert_int_eq(secret_arena_open(1 << 20), FAULT_NONE);
    ck_assert_int_eq(write(fd, key, sizeof key), (ssize_t)sizeof key);
    close(fd);
    ck_assert_msg(keyring_load(path, &keys, &why) == FAULT_NONE, "%s", why);
    unlink(path);
}

static void teardown(void)
{
    keyring_free(keys);
    ck_assert_msg(secret_arena_used() == 0, "%zu octets left in the arena", secret_arena_used());
}

/* The octets appended since ${from} become the value of ${field}. */
static void part_add(struct sealed *s, const char *field, size_t from)
{
    s->parts[s->n].field = slice_text(field);
    s->parts[s->n++].value = slice_drop(buf_held(&s->octets), from);
}

static void secret_seal(struct sealed *s, const json_t *object, struct slice owner, const char *value)
{
    static char fields[4][RECORD_NAME_MAX + 8];
    char *field = fields[s->n % 4];
    json_t *text;
    size_t i, from = buf_held(&s->octets).len;
    struct secret *plain;
    struct value_binding b = {
        .sandbox = true,
        .owner = owner,
        .name = slice_text(json_string_value(json_object_get(object, "name"))),
        .token = slice_text(json_string_value(json_object_get(object, "token"))),
        .hosts = json_object_get(object, "hosts"),
        .version = (uint64_t)json_integer_value(json_object_get(object, "version")),
    };

    json_array_foreach (json_object_get(object, "places"), i, text) {
        enum place p;

        if (json_is_string(text) && place_parse(slice_text(json_string_value(text)), &p) == FAULT_NONE)
            b.places |= 1u << p;
    }
    ck_assert_int_eq(secret_new(slice_text(value), &plain), FAULT_NONE);
    if (value_seal(keys, &b, plain, &s->octets) == FAULT_NONE) {
        memcpy(field, "value:", 6);
        memcpy(field + 6, b.name.at ? (const char *)b.name.at : "", b.name.len + (b.name.at != NULL));
        part_add(s, field, from);
    }
    secret_free(plain);
}

/* All that a careless writer with the keys would write for ${policy}, however wrong that is. */
static void seal_all(struct sealed *s, const char *policy)
{
    json_t *root, *object;
    struct secret *key;
    size_t i, from;
    struct slice owner;

    memset(s, 0, sizeof *s);
    ck_assert_uint_lt(strlen(policy), sizeof s->policy);
    strncpy(s->policy, policy, sizeof s->policy - 1);
    ck_assert_int_eq(buf_open(&s->octets, 4096), FAULT_NONE);
    s->parts[s->n++] = (struct record_part){SLICE("policy"), slice_text(s->policy)};
    ck_assert_int_eq(policy_tag(keys, true, slice_text(s->policy), &s->octets), FAULT_NONE);
    part_add(s, "tag", 0);
    root = json_loads(policy, 0, NULL);
    owner = slice_text(json_string_value(json_object_get(root, "id")));
    from = buf_held(&s->octets).len;
    ck_assert_int_eq(secret_new(SLICE("key"), &key), FAULT_NONE);
    ck_assert_int_eq(store_ca_key_seal(keys, owner,
                                       slice_text(json_string_value(json_object_get(root, "ca"))), key,
                                       &s->octets),
                     FAULT_NONE);
    secret_free(key);
    part_add(s, "ca", from);
    json_array_foreach (json_object_get(root, "secrets"), i, object)
        secret_seal(s, object, owner, i ? VALUE "two" : VALUE "one");
    json_decref(root);
}

static enum fault open_all(const struct sealed *s, struct record **out)
{
    return record_open(keys, SLICE(ID), s->parts, s->n, out);
}

/* ${text} with the first ${from} in it made ${to}. */
static const char *replaced(const char *text, const char *from, const char *to)
{
    static char out[8192];
    const char *at = strstr(text, from);

    ck_assert_msg(at != NULL, "no %s in the policy", from);
    ck_assert_uint_lt(strlen(text) + strlen(to), sizeof out);
    memcpy(out, text, (size_t)(at - text));
    memcpy(out + (at - text), to, strlen(to));
    memcpy(out + (at - text) + strlen(to), at + strlen(from), strlen(at + strlen(from)) + 1);
    return out;
}

static enum fault value_is(void *cookie, struct slice value)
{
    return slice_equal(value, slice_text(cookie)) ? FAULT_NONE : FAULT_INVALID;
}

/* --- shapes --------------------------------------------------------------------------------------------- */

static const char *const other_shapes[][2] = {
    {"{\"id\":\"sb1\"", "[\"id\""}, /* no JSON at all */
    {"\"id\":\"sb1\"", "\"id\":\"sb2\""},
    {"\"id\":\"sb1\"", "\"id\":\"-b1\""},
    {"\"id\":\"sb1\"", "\"id\":7"},
    {"\"id\":\"sb1\",", ""},
    {"\"id\":\"sb1\",", "\"id\":\"sb1\",\"id\":\"sb1\","},
    {"\"id\":\"sb1\",", "\"id\":\"sb1\",\"more\":1,"},
    {"\"zone\":\"default\"", "\"zone\":\"\""},
    {"\"zone\":\"default\"", "\"zone\":\"a b\""},
    {"\"10.0.0.7\"", "\"10.0.0.07\""},
    {"\"10.0.0.7\"", "\"10.0.0.0/8\""},
    {"\"10.0.0.7\"", "1"},
    {"[\"10.0.0.7\",\"fd00::7\"]", "\"10.0.0.7\""},
    {"\"createdAt\":1000", "\"createdAt\":-1"},
    {"\"createdAt\":1000", "\"createdAt\":1000.5"},
    {"\"expiresAt\":2000", "\"expiresAt\":\"2000\""},
    {"\"expiresAt\":2000", "\"expiresAt\":null"},
    {"\"expiresAt\":2000", "\"expiresAt\":18446744073709551616"},
    {"\"version\":3", "\"version\":true"},
    {"-----PEM-----", ""},
    {"-----PEM-----", "a\\u0000b"},
    {"\"stores\":[{", "\"stores\":[[],{"},
    {"\"egress\":[],\"scrub\":false}",
     "\"egress\":[],\"scrub\":false},{\"id\":\"" S2 "\",\"name\":\"third\",\"egress\":[],\"scrub\":true}"},
    {"\"id\":\"" S1, "\"id\":\"x" S1},
    {"\"id\":\"11111111-1", "\"id\":\"1111111A-1"},
    {"\"name\":\"main store\"", "\"name\":\"main\\tstore\""},
    {"\"name\":\"main store\"", "\"name\":\"\""},
    {"\"egress\":[\"api.test\"", "\"egress\":[\"Api.test\""},
    {"\"egress\":[\"api.test\"", "\"egress\":[\"https://api.test\""},
    {"\"egress\":[\"api.test\"", "\"egress\":[\"\""},
    {"\"egress\":[\"api.test\"", "\"egress\":[null"},
    {"\"egress\":[]", "\"egress\":null"},
    {"\"egress\":[],", ""},
    {"\"scrub\":true", "\"scrub\":1"},
    {"\"name\":\"ONE\"", "\"name\":\"1NE\""},
    {"\"name\":\"ONE\"", "\"name\":\"O-E\""},
    {"\"name\":\"ONE\"", "\"name\":\"TWO\""},
    {"\"token\":\"" T1, "\"token\":\"" T2},
    {"\"token\":\"" T1, "\"token\":\"" T1 "0"},
    {"\"token\":\"osb_sealed_1", "\"token\":\"osb_sealed_A"},
    {"\"store\":\"" S1, "\"store\":\"33333333-3333-4333-8333-333333333333"},
    {"\"store\":\"" S1 "\"", "\"store\":1"},
    {"\"hosts\":[\"api.test\",", "\"hosts\":[\"a.*.test\","},
    {"\"hosts\":[\"api.test\",", "\"hosts\":[\"api.test.\","},
    {"\"places\":[\"header\",", "\"places\":[\"Header\","},
    {"\"places\":[\"header\",", "\"places\":[\"body\","},
    {"\"places\":[\"header\",", "\"places\":[7,"},
    {"\"places\":[\"url\"]", "\"places\":[]"},
    {"\"places\":[\"url\"]", "\"places\":31"},
    {"\"version\":5", "\"version\":-5"},
    {"\"version\":5", "\"version\":5,\"note\":\"\""},
    {"}]}", "}]} x"},
};

START_TEST(an_authentic_policy_of_another_shape_is_refused)
{
    struct record *r = NULL;
    struct sealed s;

    for (size_t i = 0; i < COUNT(other_shapes); i++) {
        enum fault why;

        seal_all(&s, replaced(good, other_shapes[i][0], other_shapes[i][1]));
        why = open_all(&s, &r);
        ck_assert_msg(why == FAULT_INVALID, "%s for %s: %s", other_shapes[i][1], other_shapes[i][0],
                      fault_table[why].name);
        ck_assert_ptr_null(r);
        buf_close(&s.octets);
    }
}
END_TEST

START_TEST(a_record_opens_as_it_was_written)
{
    struct record *r = NULL;
    struct sealed s;
    struct ip ip;

    seal_all(&s, good);
    ck_assert_int_eq(open_all(&s, &r), FAULT_NONE);
    ck_assert_str_eq(r->id, ID);
    ck_assert_str_eq(r->zone, "default");
    ck_assert_int_eq(r->created_ms, 1000);
    ck_assert_int_eq(r->expires_ms, 2000);
    ck_assert_uint_eq(r->version, 3);
    ck_assert_str_eq(r->ca_pem, "-----PEM-----");
    ck_assert_int_eq(secret_lend(r->ca_key, value_is, (char[]){"key"}), FAULT_NONE);
    ck_assert_uint_eq(r->store_count, 2);
    ck_assert_str_eq(r->stores[0].name, "main store");
    ck_assert(r->stores[0].scrub && !r->stores[1].scrub);
    ck_assert_uint_eq(hostlist_count(r->stores[1].egress), 0);
    ck_assert_uint_eq(hostlist_count(r->egress), 2);
    ck_assert_uint_eq(r->secret_count, 2);
    ck_assert_str_eq(r->secrets[0].name, "TWO"); /* sorted by token */
    ck_assert_ptr_eq(r->secrets[0].store, &r->stores[1]);
    ck_assert_uint_eq(r->secrets[0].places, 1u << PLACE_URL);
    ck_assert_uint_eq(r->secrets[1].places, 1u << PLACE_HEADER | 1u << PLACE_BODY);
    ck_assert_uint_eq(r->secrets[1].version, 5);
    ck_assert_int_eq(secret_lend(r->secrets[0].value, value_is, (char[]){VALUE "two"}), FAULT_NONE);
    ck_assert_int_eq(secret_lend(r->secrets[1].value, value_is, (char[]){VALUE "one"}), FAULT_NONE);
    ck_assert_ptr_eq(record_secret_of(r, SLICE(T1)), &r->secrets[1]);
    ck_assert_ptr_eq(record_secret_of(r, SLICE(T2)), &r->secrets[0]);
    ck_assert_ptr_null(record_secret_of(r, SLICE("osb_sealed_00000000000000000000000000000000")));
    ck_assert_ptr_null(record_secret_of(r, SLICE(T1 "0")));
    ck_assert_ptr_null(record_secret_of(r, SLICE_NONE));
    ck_assert_int_eq(ip_parse(SLICE("::ffff:10.0.0.7"), &ip), FAULT_NONE);
    ck_assert(record_has_address(r, ip));
    ck_assert_int_eq(ip_parse(SLICE("10.0.0.8"), &ip), FAULT_NONE);
    ck_assert(!record_has_address(r, ip));
    ck_assert_ptr_eq(record_hold(r), r);
    record_drop(r);
    ck_assert_str_eq(r->id, ID);
    record_drop(r);
    record_drop(NULL);
    buf_close(&s.octets);
}
END_TEST

START_TEST(a_record_without_stores_or_secrets_opens)
{
    struct record *r = NULL;
    struct sealed s;

    seal_all(&s, "{\"id\":\"" ID
                 "\",\"zone\":\"z\",\"addresses\":[],\"createdAt\":0,\"expiresAt\":0,\"version\":0,"
                 "\"ca\":\"x\",\"stores\":[],\"secrets\":[]}");
    ck_assert_int_eq(open_all(&s, &r), FAULT_NONE);
    ck_assert_uint_eq(r->store_count + r->secret_count + r->address_count, 0);
    ck_assert_ptr_null(record_secret_of(r, SLICE(T1)));
    record_drop(r);
    buf_close(&s.octets);
}
END_TEST

/* --- forgery -------------------------------------------------------------------------------------------- */

START_TEST(every_octet_of_every_part_counts)
{
    struct record *r = NULL;
    struct sealed s;

    seal_all(&s, good);
    for (size_t i = 0; i < s.n; i++)
        for (size_t at = 0; at < s.parts[i].value.len; at++) {
            uint8_t *octet = (uint8_t *)(uintptr_t)s.parts[i].value.at + at;
            enum fault why;

            *octet ^= 1;
            why = open_all(&s, &r);
            ck_assert_msg(why == FAULT_FORGED || why == FAULT_KEY_UNKNOWN, "part %zu octet %zu: %s", i, at,
                          fault_table[why].name);
            *octet ^= 1;
        }
    ck_assert_ptr_null(r);
    buf_close(&s.octets);
}
END_TEST

START_TEST(a_widened_policy_is_forged)
{
    static const char *const table[][2] = {
        {"\"hosts\":[\"api.test\"", "\"hosts\":[\"evil.test\",\"api.test\""},
        {"\"hosts\":[\"api.test\",\"b.test\"]", "\"hosts\":[\"b.test\",\"api.test\"]"},
        {"\"egress\":[\"api.test\",", "\"egress\":["},
        {"\"scrub\":true", "\"scrub\":false"},
        {"\"expiresAt\":2000", "\"expiresAt\":0"},
        {"\"places\":[\"header\",", "\"places\":[\"url\","},
        {"\"version\":3", "\"version\":4"},
        {"\"10.0.0.7\"", "\"10.0.0.8\""},
        {"{\"id\"", " {\"id\""},
    };
    struct record *r = NULL;
    struct sealed s;

    for (size_t i = 0; i < COUNT(table); i++) {
        seal_all(&s, good);
        s.parts[0].value = slice_text(replaced(good, table[i][0], table[i][1]));
        ck_assert_msg(open_all(&s, &r) == FAULT_FORGED, "accepted: %s", table[i][1]);
        buf_close(&s.octets);
    }
    ck_assert_ptr_null(r);
}
END_TEST

/* A policy that verifies still opens no value of another name, token, list, place, version, sandbox or store. */
START_TEST(swapped_parts_are_forged)
{
    static const char *const table[][2] = {
        {"", ""},
        {"\"id\":\"sb1\"", "\"id\":\"sb2\""},
        {"\"token\":\"osb_sealed_1", "\"token\":\"osb_sealed_2"},
        {"\"hosts\":[\"api.test\",", "\"hosts\":[\"apj.test\","},
        {"\"hosts\":[\"api.test\",\"b.test\"]", "\"hosts\":[\"b.test\",\"api.test\"]"},
        {"\"hosts\":[\"api.test\",\"b.test\"]", "\"hosts\":[]"},
        {"\"places\":[\"header\",", "\"places\":[\"url\","},
        {"\"version\":5", "\"version\":4"},
    };
    struct record *r = NULL;
    struct sealed s, other;

    seal_all(&s, good);
    for (size_t i = 0; i < COUNT(table); i++) {
        struct slice mine = s.parts[3].value;

        seal_all(&other, replaced(good, table[i][0], table[i][1]));
        s.parts[3].value = other.parts[i ? 3 : 4].value; /* the first row: the other secret's value */
        ck_assert_msg(open_all(&s, &r) == FAULT_FORGED, "opened in spite of %s", table[i][1]);
        s.parts[3].value = mine;
        buf_close(&other.octets);
    }
    seal_all(&other, replaced(good, "-----PEM", "-----pem"));
    s.parts[2].value = other.parts[2].value;
    ck_assert_int_eq(open_all(&s, &r), FAULT_FORGED);
    s.parts[2].value = s.parts[1].value;
    ck_assert_int_eq(open_all(&s, &r), FAULT_FORGED);
    ck_assert_ptr_null(r);
    buf_close(&other.octets);
    buf_close(&s.octets);
}
END_TEST

START_TEST(parts_must_be_all_there_and_no_others)
{
    struct record_part many[RECORD_SECRETS_MAX + 4] = {{{0}, {0}}};
    struct record *r = NULL;
    struct sealed s;

    seal_all(&s, good);
    ck_assert_int_eq(record_open(keys, SLICE(ID), NULL, 0, &r), FAULT_NOT_FOUND);
    ck_assert_int_eq(record_open(keys, SLICE(ID), many, COUNT(many), &r), FAULT_INVALID);
    ck_assert_int_eq(record_open(keys, SLICE("sb2"), s.parts, s.n, &r), FAULT_INVALID);
    for (size_t i = 0; i < s.n; i++) {
        struct record_part gone = s.parts[i];

        s.parts[i] = s.parts[s.n - 1]; /* one missing */
        s.n--;
        ck_assert_msg(open_all(&s, &r) == FAULT_INVALID, "opened without part %zu", i);
        s.n++;
        s.parts[i] = s.parts[i ? 0 : 1]; /* one twice */
        ck_assert_msg(open_all(&s, &r) == FAULT_INVALID, "opened without part %zu, one twice", i);
        s.parts[i] = gone;
        s.parts[i].field = SLICE("value:");
        ck_assert_msg(open_all(&s, &r) == FAULT_INVALID, "opened with part %zu by another name", i);
        s.parts[i] = gone;
    }
    s.parts[s.n++] = (struct record_part){SLICE("value:MORE"), SLICE("x")};
    ck_assert_int_eq(open_all(&s, &r), FAULT_INVALID);
    s.n--;
    for (size_t i = 0; i < s.n / 2; i++) { /* any order is right */
        struct record_part p = s.parts[i];

        s.parts[i] = s.parts[s.n - 1 - i];
        s.parts[s.n - 1 - i] = p;
    }
    ck_assert_int_eq(open_all(&s, &r), FAULT_NONE);
    record_drop(r);
    buf_close(&s.octets);
}
END_TEST

/* --- grammars ------------------------------------------------------------------------------------------- */

START_TEST(ids_and_names_keep_to_their_grammar)
{
    static const struct {
        struct slice text;
        bool id, name;
    } table[] = {
        {SLICE(""), false, false},          {SLICE("-a"), false, false},    {SLICE(".a"), false, false},
        {SLICE("a b"), false, false},       {SLICE("a/b"), false, false},   {SLICE("a\0"), false, false},
        {SLICE("a\xc3\xa4"), false, false}, {SLICE("a:b"), false, false},   {SLICE("a\n"), false, false},
        {SLICE("1a"), true, false},         {SLICE("a-b"), true, false},    {SLICE("a.b"), true, false},
        {SLICE("_a1"), true, true},         {SLICE("API_KEY"), true, true}, {SLICE("x"), true, true},
    };
    char longest[RECORD_ID_MAX + 1];

    for (size_t i = 0; i < COUNT(table); i++) {
        ck_assert_msg(record_id_ok(table[i].text) == table[i].id, "id %zu", i);
        ck_assert_msg(record_name_ok(table[i].text) == table[i].name, "name %zu", i);
    }
    memset(longest, 'a', sizeof longest);
    ck_assert(record_id_ok(slice_of(longest, RECORD_ID_MAX)) &&
              record_name_ok(slice_of(longest, RECORD_NAME_MAX)));
    ck_assert(!record_id_ok(slice_of(longest, RECORD_ID_MAX + 1)));
    ck_assert(!record_name_ok(slice_of(longest, RECORD_NAME_MAX + 1)));
}
END_TEST

START_TEST(places_have_one_name_each)
{
    static const char *const refused[] = {"", "Header", "headers", "head", "header ", "bodyurl"};
    enum place p;

    for (size_t i = 0; i < COUNT(refused); i++)
        ck_assert_int_eq(place_parse(slice_text(refused[i]), &p), FAULT_INVALID);
    for (unsigned i = 0; i < PLACE_COUNT; i++) {
        ck_assert_int_eq(place_parse(slice_text(place_name((enum place)i)), &p), FAULT_NONE);
        ck_assert_uint_eq(p, i);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("record");
    TCase *tc = tcase_create("record");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, an_authentic_policy_of_another_shape_is_refused);
    tcase_add_test(tc, a_record_opens_as_it_was_written);
    tcase_add_test(tc, a_record_without_stores_or_secrets_opens);
    tcase_add_test(tc, every_octet_of_every_part_counts);
    tcase_add_test(tc, a_widened_policy_is_forged);
    tcase_add_test(tc, swapped_parts_are_forged);
    tcase_add_test(tc, parts_must_be_all_there_and_no_others);
    tcase_add_test(tc, ids_and_names_keep_to_their_grammar);
    tcase_add_test(tc, places_have_one_name_each);
    suite_add_tcase(s, tc);
    runner = srunner_create(s);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

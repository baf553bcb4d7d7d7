#include "tlspair.h"
#include <openssl/x509v3.h>

/* --- the ClientHello ------------------------------------------------------------------------------------ */

static int name_add(SSL *ssl, unsigned type, unsigned where, const uint8_t **out, size_t *len, X509 *x,
                    size_t at, int *alert, void *cookie)
{
    const struct slice *bad = cookie;

    (void)ssl, (void)type, (void)where, (void)x, (void)at, (void)alert;
    *out = bad->at;
    *len = bad->len;
    return 1;
}

static void hello_bend(struct pair *p, struct slice was, struct slice now)
{
    uint8_t *at = memmem(p->to_server.held, p->to_server.len, was.at, was.len);

    ck_assert_ptr_nonnull(at);
    memcpy(at, now.at, now.len);
}

START_TEST(a_server_name_that_is_malformed_is_refused)
{
    /* The extension of abcdefghij is 00 0d | 00 | 00 0a | 10 octets; each neighbour has the same length. */
    static const struct slice bad[] = {OCTETS("\0\x0e\0\0\x0a"
                                              "abcdefghij"),
                                       OCTETS("\0\x0c\0\0\x0a"
                                              "abcdefghij"),
                                       OCTETS("\x01\x0d\0\0\x0a"
                                              "abcdefghij"),
                                       OCTETS("\0\x0d\x01\0\x0a"
                                              "abcdefghij"),
                                       OCTETS("\0\x0d\0\0\x09"
                                              "abcdefghij"),
                                       OCTETS("\0\x0d\0\0\x0b"
                                              "abcdefghij"),
                                       OCTETS("\0\x0d\0\0\0"
                                              "abcdefghij"),
                                       OCTETS("\0\x0d\0\0\x03"
                                              "abc\0\0\x04"
                                              "defg"),
                                       OCTETS("\0\0\0\0\x0a"
                                              "abcdefghij"),
                                       OCTETS("\0\x08\0\0\x05"
                                              "abcdefghij"),
                                       OCTETS("\0\x0d\0\x01\x0a"
                                              "abcdefghij")};
    struct pair *p = pair_new(&a);
    struct outcome o;

    pair_client(p, "abcdefghij", false, NULL);
    SSL_set_info_callback(p->client.ssl, alert_note);
    ck_assert_int_eq(tlsio_shake(&p->client, &p->client_why), FAULT_AGAIN);
    hello_bend(p,
               (struct slice)OCTETS("\0\x0d\0\0\x0a"
                                    "abcdefghij"),
               bad[_i]);
    o = pair_shake(p);
    ck_assert_msg(o.server == FAULT_CLIENT_TLS, "extension %d: %s", _i, fault_table[o.server].name);
    ck_assert_int_eq(alert_seen, SSL_AD_DECODE_ERROR);
    ck_assert_uint_eq(p->hellos, 0);
    pair_drop(p);
}
END_TEST

START_TEST(an_empty_server_name_extension_is_refused)
{
    static const struct slice bad[] = {
        {(const uint8_t *)"", 0}, OCTETS("\0\0"), OCTETS("\0\x03\0\0\0"), OCTETS("\0\x01\0")};
    SSL_CTX *raw = SSL_CTX_new(TLS_client_method());
    SSL_CTX *was = client_ctx;
    struct pair *p = pair_new(&a);

    /* Our own client can't say it, so another extension of it is turned into this one. */
    SSL_CTX_add_custom_ext(raw, 0x1234, SSL_EXT_CLIENT_HELLO, name_add, NULL, (void *)(uintptr_t)&bad[_i],
                           NULL, NULL);
    client_ctx = raw;
    pair_client(p, "192.0.2.1", true, NULL);
    SSL_set_info_callback(p->client.ssl, alert_note);
    ck_assert_int_eq(tlsio_shake(&p->client, &p->client_why), FAULT_AGAIN);
    uint8_t was_type[4] = {0x12, 0x34, 0, (uint8_t)bad[_i].len},
            now_type[4] = {0, 0, 0, (uint8_t)bad[_i].len};

    hello_bend(p, slice_of(was_type, 4), slice_of(now_type, 4));
    ck_assert_int_eq(pair_shake(p).server, FAULT_CLIENT_TLS);
    ck_assert_int_eq(alert_seen, SSL_AD_DECODE_ERROR);
    ck_assert_uint_eq(p->hellos, 0);
    pair_drop(p);
    client_ctx = was;
    SSL_CTX_free(raw);
}
END_TEST

START_TEST(what_is_no_hello_is_refused)
{
    static const struct {
        struct slice octets;
        const char *why;
    } row[] = {{OCTETS("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), "the peer does not speak TLS"},
               {OCTETS("\x80\x1c\x01\x03\x03\0\x03\0\0\0\x10\0\xc0\x2b"
                       "0123456789abcdef"),
                "the hello is of SSL 2"},
               {OCTETS("\x16\x03\x01\xff\xff\x01\0\0\0"), "the handshake failed"}};

    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        struct pair *p = pair_new(&a);

        memcpy(p->to_server.held, row[i].octets.at, row[i].octets.len);
        p->to_server.len = row[i].octets.len;
        ck_assert_int_eq(tlsio_shake(&p->server, &p->server_why), FAULT_CLIENT_TLS);
        ck_assert_str_eq(p->server_why, row[i].why);
        ck_assert_uint_eq(p->hellos, 0);
        pair_drop(p);
    }
}
END_TEST

START_TEST(the_fault_of_hello_ends_the_handshake_with_its_alert)
{
    static const struct {
        enum fault fault;
        int alert;
    } row[] = {
        {FAULT_NAME_REFUSED, 112}, {FAULT_NO_MEMORY, 80}, {FAULT_REVOKED, 40}, {FAULT_UNKNOWN_SOURCE, 40}};

    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        struct pair *p = pair_new(&a);

        p->refusal = row[i].fault;
        pair_client(p, NAME, false, NULL);
        SSL_set_info_callback(p->client.ssl, alert_note);
        struct outcome o = pair_shake(p);

        ck_assert_msg(o.server == row[i].fault, "got %s", fault_table[o.server].name);
        ck_assert_int_eq(o.client, FAULT_UPSTREAM_TLS);
        ck_assert_int_eq(alert_seen, row[i].alert);
        ck_assert_int_eq(tlsio_shake(&p->server, &p->server_why), row[i].fault);
        pair_drop(p);
    }
}
END_TEST

START_TEST(no_server_name_is_an_empty_name)
{
    struct pair *p = pair_new(&a);

    p->leaf_name = "192.0.2.1";
    pair_client(p, "192.0.2.1", true, NULL);
    struct outcome o = pair_shake(p);

    ck_assert_int_eq(o.server, FAULT_NONE);
    ck_assert_msg(o.client == FAULT_NONE, "%s", p->client_why);
    ck_assert_str_eq(p->asked, "");
    pair_drop(p);
}
END_TEST

/* After a HelloRetryRequest the name must be the same; hello is asked once. */
START_TEST(a_second_hello_can_not_change_the_name)
{
    struct pair *p = pair_new(&a);

    SSL_set1_groups_list(p->server.ssl, "P-384"); /* no key share for it in the first hello */
    pair_client(p, NAME, false, NULL);
    ck_assert_int_eq(tlsio_shake(&p->client, &p->client_why), FAULT_AGAIN);
    ck_assert_int_eq(tlsio_shake(&p->server, &p->server_why), FAULT_AGAIN);
    ck_assert_uint_eq(p->hellos, 1);
    ck_assert_int_eq(tlsio_shake(&p->client, &p->client_why), FAULT_AGAIN);
    if (_i)
        hello_bend(p, SLICE(NAME), SLICE("xpi.test"));
    struct outcome o = pair_shake(p);

    ck_assert_int_eq(o.server, _i ? FAULT_CLIENT_TLS : FAULT_NONE);
    if (_i)
        ck_assert_str_eq(p->server_why, "the server name changed");
    ck_assert_uint_eq(p->hellos, 1);
    pair_drop(p);
}
END_TEST

static const struct {
    struct slice offer;
    bool good;
    const char *chosen;
} alpns[] = {{{NULL, 0}, true, ""},
             {OCTETS("\x08http/1.1"), true, "http/1.1"},
             {OCTETS("\x02h2\x08http/1.1"), true, "h2"},
             {OCTETS("\x08http/1.1\x02h2"), true, "h2"},
             {OCTETS("\x02h2"), true, "h2"},
             {OCTETS("\x0a"
                     "acme-tls/1"),
              false, ""},
             {OCTETS("\x08http/1.0"), false, ""},
             {OCTETS("\x09http/1.1x"), false, ""},
             {OCTETS("\x07http/1."), false, ""},
             {OCTETS("\x03h2c"), false, ""},
             {OCTETS("\x05h2-14"), false, ""}};

START_TEST(only_h2_and_http1_are_chosen_h2_first)
{
    struct pair *p = pair_new(&a);
    struct slice offer = alpns[_i].offer;
    const uint8_t *chosen;
    unsigned len;

    pair_client(p, NAME, false, NULL);
    SSL_set_alpn_protos(p->client.ssl, offer.at, (unsigned)offer.len);
    SSL_set_info_callback(p->client.ssl, alert_note);
    struct outcome o = pair_shake(p);

    ck_assert_int_eq(o.server, alpns[_i].good ? FAULT_NONE : FAULT_CLIENT_TLS);
    if (!alpns[_i].good)
        ck_assert_int_eq(alert_seen, SSL_AD_NO_APPLICATION_PROTOCOL);
    SSL_get0_alpn_selected(p->server.ssl, &chosen, &len);
    ck_assert_msg(slice_equal(slice_of(chosen, len), slice_text(alpns[_i].chosen)), "'%.*s'", (int)len,
                  chosen);
    pair_drop(p);
}
END_TEST

static int alpn_force(SSL *ssl, const uint8_t **out, uint8_t *len, const uint8_t *in, unsigned in_len,
                      void *cookie)
{
    (void)ssl, (void)in, (void)in_len, (void)cookie;
    *out = (const uint8_t *)"h2";
    *len = 2;
    return SSL_TLSEXT_ERR_OK;
}

START_TEST(an_upstream_that_chooses_another_protocol_is_refused)
{
    SSL_CTX_set_alpn_select_cb(a.ctx, alpn_force, NULL);
    struct pair *p = pair_new(&a);
    size_t n;

    pair_client(p, NAME, false, NULL);
    ck_assert_int_eq(pair_shake(p).client, FAULT_UPSTREAM_TLS);
    ck_assert_ptr_nonnull(p->client_why);
    ck_assert_int_eq(tlsio_write(&p->client, SLICE("x"), &n), FAULT_CLIENT_GONE);
    pair_drop(p);
}
END_TEST

static const struct {
    int least, most;
    const char *suites;
    bool server_old, good;
} versions[] = {{TLS1_3_VERSION, TLS1_3_VERSION, NULL, false, true},
                {TLS1_2_VERSION, TLS1_2_VERSION, NULL, false, true},
                {TLS1_VERSION, TLS1_1_VERSION, "DEFAULT@SECLEVEL=0", false, false},
                {TLS1_2_VERSION, TLS1_2_VERSION, "AES128-SHA:AES128-GCM-SHA256", false, false},
                {TLS1_2_VERSION, TLS1_2_VERSION, "ECDHE-ECDSA-AES128-SHA", false, false},
                {TLS1_2_VERSION, TLS1_2_VERSION, "DHE-RSA-AES128-GCM-SHA256", false, false},
                {TLS1_VERSION, TLS1_1_VERSION, "DEFAULT@SECLEVEL=0", true, false},
                {TLS1_2_VERSION, TLS1_2_VERSION, "AES128-SHA:AES128-GCM-SHA256", true, false},
                {TLS1_2_VERSION, TLS1_2_VERSION, "ECDHE-ECDSA-AES128-SHA", true, false}};

START_TEST(old_versions_and_suites_are_refused_by_both_sides)
{
    struct pair *p = pair_new(&a);

    pair_client(p, NAME, false, NULL);
    SSL *old = versions[_i].server_old ? p->server.ssl : p->client.ssl;

    SSL_set_security_level(old, 0);
    SSL_set_min_proto_version(old, versions[_i].least);
    SSL_set_max_proto_version(old, versions[_i].most);
    if (versions[_i].suites)
        ck_assert_int_eq(SSL_set_cipher_list(old, versions[_i].suites), 1);
    struct outcome o = pair_shake(p);

    ck_assert_msg((o.server == FAULT_NONE && o.client == FAULT_NONE) == versions[_i].good, "row %d: %s, %s",
                  _i, fault_table[o.server].name, fault_table[o.client].name);
    if (!versions[_i].good)
        ck_assert(p->server_why && p->client_why);
    pair_drop(p);
}
END_TEST

/* --- the upstream's certificate ------------------------------------------------------------------------- */

/* A row that says nothing more has P-256, SHA-256, A's signature and dates around now. */
static const struct {
    const char *what, *san, *usage, *why; /* why NULL: good */
    const char *basic, *key_usage, *cn;
    int64_t minted_days;
    int rsa_bits;
    bool sha1, of_b, literal;
} certs[] = {
    {"plain", "DNS:api.test", "serverAuth", NULL, .basic = "CA:FALSE"},
    {"no EKU", "DNS:api.test", NULL, NULL, .basic = "CA:FALSE"},
    {"no basicConstraints", "DNS:api.test", "serverAuth", NULL, .basic = NULL},
    {"several names", "DNS:x.test,DNS:api.test", "serverAuth,clientAuth", NULL, .basic = NULL},
    {"RSA 2048", "DNS:api.test", "serverAuth", NULL, .rsa_bits = 2048},
    {"address", "IP:192.0.2.1", "serverAuth", NULL, .literal = true},
    {"another CA", "DNS:api.test", "serverAuth", "unable to get local issuer certificate", .of_b = true},
    {"expired", "DNS:api.test", "serverAuth", "certificate has expired", .minted_days = -30},
    {"not yet", "DNS:api.test", "serverAuth", "certificate is not yet valid", .minted_days = 30},
    {"another name", "DNS:other.test", "serverAuth", "hostname mismatch", .cn = NULL},
    {"below the name", "DNS:x.api.test", "serverAuth", "hostname mismatch", .cn = NULL},
    {"CN only", NULL, "serverAuth", "hostname mismatch", .cn = "api.test"},
    {"CN beside a SAN", "DNS:other.test", "serverAuth", "hostname mismatch", .cn = "api.test"},
    {"wildcard of a single label", "DNS:*.test", "serverAuth", "hostname mismatch", .cn = NULL},
    {"part wildcard", "DNS:a*.test", "serverAuth", "hostname mismatch", .cn = NULL},
    {"two wildcards", "DNS:*.*.test", "serverAuth", "hostname mismatch", .cn = NULL},
    {"mail", "email:api.test@api.test", "serverAuth", "hostname mismatch", .cn = NULL},
    {"address as a name", "DNS:192.0.2.1", "serverAuth", "IP address mismatch", .literal = true},
    {"another address", "IP:192.0.2.2", "serverAuth", "IP address mismatch", .literal = true},
    {"clientAuth only", "DNS:api.test", "clientAuth", "unsuitable certificate purpose", .cn = NULL},
    {"any usage", "DNS:api.test", "anyExtendedKeyUsage", "unsuitable certificate purpose", .cn = NULL},
    {"a CA", "DNS:api.test", "serverAuth", "the certificate is a CA's, not a server's",
     .basic = "critical,CA:TRUE", .key_usage = "critical,keyCertSign,digitalSignature"},
    {"RSA 1024", "DNS:api.test", "serverAuth", "EE certificate key too weak", .rsa_bits = 1024},
    {"SHA-1", "DNS:api.test", "serverAuth", "CA signature digest algorithm too weak", .sha1 = true},
};

static void extension_put(X509 *x, X509 *issuer, int nid, const char *text)
{
    X509V3_CTX around;

    if (!text)
        return;
    X509V3_set_ctx(&around, issuer, x, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &around, nid, text);

    ck_assert_msg(e != NULL, "%s", text);
    X509_add_ext(x, e, -1);
    X509_EXTENSION_free(e);
}

static X509 *cert_make(int row, EVP_PKEY *key)
{
    struct authority *by = certs[row].of_b ? &b.a : &a.a;
    X509 *x = X509_new();

    X509_set_version(x, X509_VERSION_3);
    authority_serial(x);
    authority_dates(x, clock_wall_ms() + certs[row].minted_days * DAY_MS, 3);
    X509_set_issuer_name(x, X509_get_subject_name(by->cert));
    X509_set_pubkey(x, key);
    const char *cn = certs[row].cn ? certs[row].cn : "x";

    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC, (const uint8_t *)cn, -1, -1, 0);
    extension_put(x, by->cert, NID_basic_constraints, certs[row].basic);
    extension_put(x, by->cert, NID_key_usage, certs[row].key_usage);
    extension_put(x, by->cert, NID_ext_key_usage, certs[row].usage);
    extension_put(x, by->cert, NID_subject_alt_name, certs[row].san);
    extension_put(x, by->cert, NID_subject_key_identifier, "hash");
    extension_put(x, by->cert, NID_authority_key_identifier, "keyid:always");
    ck_assert_int_gt(X509_sign(x, by->key, certs[row].sha1 ? EVP_sha1() : EVP_sha256()), 0);
    return x;
}

START_TEST(a_certificate_counts_only_when_all_of_it_is_right)
{
    struct pair *p = pair_new(&a);
    EVP_PKEY *key = certs[_i].rsa_bits ? EVP_RSA_gen((unsigned)certs[_i].rsa_bits) : EVP_EC_gen("P-256");
    size_t n = 0;

    p->leaf_key = key;
    SSL_set_security_level(p->server.ssl, 0);
    p->leaf = cert_make(_i, key);
    pair_client(p, certs[_i].literal ? "192.0.2.1" : NAME, certs[_i].literal, NULL);
    struct outcome o = pair_shake(p);

    ck_assert_msg(o.client == (certs[_i].why ? FAULT_UPSTREAM_TLS : FAULT_NONE), "%s: %s", certs[_i].what,
                  fault_table[o.client].name);
    if (certs[_i].why) {
        ck_assert_str_eq(p->client_why, certs[_i].why);
        ck_assert_int_eq(tlsio_write(&p->client, SLICE("GET"), &n), FAULT_CLIENT_GONE);
        ck_assert_uint_eq(n, 0);
    }
    pair_drop(p);
    EVP_PKEY_free(key);
}
END_TEST

START_TEST(a_ca_file_without_certificates_is_refused)
{
    SSL_CTX *ctx = NULL;

    ck_assert_int_eq(tlsio_client_ctx("/dev/null", &ctx), FAULT_INVALID);
    ck_assert_int_eq(tlsio_client_ctx("/nowhere/at/all", &ctx), FAULT_INVALID);
    ck_assert_ptr_null(ctx);
}
END_TEST

/* --- tickets -------------------------------------------------------------------------------------------- */

static const struct {
    const char *what, *name;
    int to; /* 0: A itself; 1: another worker's context of A; 2: another sandbox by the same CA */
    bool resumed;
} tickets[] = {{"its own", NAME, 0, true},
               {"another worker's", NAME, 1, true},
               {"another sandbox's", NAME, 2, false},
               {"for another name", "other.test", 0, false}};

START_TEST(a_ticket_is_good_for_its_sandbox_and_name_only)
{
    int version = _i % 2 ? TLS1_2_VERSION : TLS1_3_VERSION, row = _i / 2;
    SSL_CTX *twin;

    ck_assert_int_eq(tlsio_server_ctx(&twin), FAULT_NONE);
    ck_assert_int_eq(tlsio_server_tickets(twin, slice_of(root, sizeof root),
                                          tickets[row].to == 2 ? SLICE("sandbox-x") : SLICE("sandbox-a")),
                     FAULT_NONE);
    struct sandbox other = a;

    other.ctx = twin;
    SSL_CTX_set_max_proto_version(client_ctx, version);
    struct pair *p = pair_joined(&a, NAME, NULL);

    tlsio_close(&p->client); /* no close_notify: the session is good all the same */
    pair_drop(p);
    ck_assert_ptr_nonnull(kept);
    SSL_SESSION *session = kept;

    kept = NULL;
    p = pair_new(tickets[row].to ? &other : &a);
    p->leaf_name = tickets[row].name;
    pair_client(p, NAME, false, session);
    if (strcmp(tickets[row].name, NAME) != 0) { /* a client that lies about the session's name */
        SSL_set_tlsext_host_name(p->client.ssl, tickets[row].name);
        SSL_set1_host(p->client.ssl, tickets[row].name);
    }
    struct outcome o = pair_shake(p);

    ck_assert_msg(o.server == FAULT_NONE && o.client == FAULT_NONE, "%s: %s", tickets[row].what,
                  p->client_why);
    ck_assert_msg(tlsio_resumed(&p->server) == tickets[row].resumed, "%s, %x", tickets[row].what,
                  (unsigned)version);
    ck_assert_str_eq(p->asked, tickets[row].name);
    pair_drop(p);
    SSL_SESSION_free(session);
    SSL_CTX_free(twin);
}
END_TEST

START_TEST(a_session_is_offered_only_where_its_certificate_proves_the_name)
{
    struct pair *p = pair_joined(&a, NAME, NULL);

    pair_drop(p);
    ck_assert_ptr_nonnull(kept);
    p = pair_new(&a);
    pair_client(p, "other.test", false, kept);
    ck_assert_ptr_null(SSL_get0_session(p->client.ssl));
    pair_drop(p);
}
END_TEST

START_TEST(a_ticket_root_of_another_length_is_refused)
{
    ck_assert_int_eq(tlsio_server_tickets(a.ctx, slice_of(root, 31), SLICE("x")), FAULT_INVALID);
    ck_assert_int_eq(tlsio_server_tickets(a.ctx, SLICE_NONE, SLICE("x")), FAULT_INVALID);
}
END_TEST

START_TEST(one_ticket_a_handshake_and_the_owner_is_known)
{
    struct pair *p = pair_joined(&a, NAME, NULL);
    int owner;

    ck_assert_uint_eq(SSL_get_num_tickets(p->server.ssl), 1);
    ck_assert_uint_eq(SSL_get_max_early_data(p->server.ssl), 0);
    ck_assert_ptr_null(tlsio_owner(p->client.ssl));
    tlsio_owner_set(&p->client, &owner);
    ck_assert_ptr_eq(tlsio_owner(p->client.ssl), &owner);
    pair_drop(p);
}
END_TEST

static void tests_add(TCase *tc)
{
    tcase_add_loop_test(tc, a_server_name_that_is_malformed_is_refused, 0, 11);
    tcase_add_loop_test(tc, an_empty_server_name_extension_is_refused, 0, 4);
    tcase_add_test(tc, the_fault_of_hello_ends_the_handshake_with_its_alert);
    tcase_add_test(tc, no_server_name_is_an_empty_name);
    tcase_add_loop_test(tc, a_second_hello_can_not_change_the_name, 0, 2);
    tcase_add_loop_test(tc, only_h2_and_http1_are_chosen_h2_first, 0, (int)(sizeof alpns / sizeof *alpns));
    tcase_add_test(tc, an_upstream_that_chooses_another_protocol_is_refused);
    tcase_add_loop_test(tc, old_versions_and_suites_are_refused_by_both_sides, 0,
                        (int)(sizeof versions / sizeof *versions));
    tcase_add_loop_test(tc, a_certificate_counts_only_when_all_of_it_is_right, 0,
                        (int)(sizeof certs / sizeof *certs));
    tcase_add_test(tc, a_ca_file_without_certificates_is_refused);
    tcase_add_test(tc, what_is_no_hello_is_refused);
    tcase_add_loop_test(tc, a_ticket_is_good_for_its_sandbox_and_name_only, 0,
                        2 * (int)(sizeof tickets / sizeof *tickets));
    tcase_add_test(tc, a_session_is_offered_only_where_its_certificate_proves_the_name);
    tcase_add_test(tc, a_ticket_root_of_another_length_is_refused);
    tcase_add_test(tc, one_ticket_a_handshake_and_the_owner_is_known);
}

int main(void)
{
    Suite *s = suite_create("tlsctx");
    TCase *tc = tcase_create("tlsctx");
    SRunner *runner = srunner_create(s);

    tcase_add_checked_fixture(tc, draw, undraw);
    tcase_set_timeout(tc, 60);
    tests_add(tc);
    suite_add_tcase(s, tc);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);

    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

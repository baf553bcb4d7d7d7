#include "tlspair.h"

/* --- octets --------------------------------------------------------------------------------------------- */

static const struct {
    size_t room, step;
} wires[] = {{PIPE_OCTETS, PIPE_OCTETS}, {PIPE_OCTETS, 1}, {1, 1}, {7, 3}, {300, 300}};

static void push(struct tlsio *from, struct tlsio *to, size_t total, size_t chunk)
{
    uint8_t *sent = malloc(total), *got = malloc(total + 1);
    size_t out = 0, in = 0, n;

    for (size_t i = 0; i < total; i++)
        sent[i] = (uint8_t)(i * 7 + i / 251);
    for (int turn = 0; in < total; turn++) {
        ck_assert_msg(turn < 4000000, "stuck at %zu of %zu", in, total);
        if (out < total) {
            enum fault f = tlsio_write(from, slice_of(sent + out, total - out), &n);

            ck_assert_msg(f == FAULT_NONE || (f == FAULT_AGAIN && from->wants_out), "write: %s",
                          fault_table[f].name);
            out += n;
        }
        size_t room = total + 1 - in < chunk ? total + 1 - in : chunk;
        enum fault f = tlsio_read(to, (struct iovec){got + in, room}, &n);

        ck_assert_msg(f == FAULT_NONE ? n == room : f == FAULT_AGAIN && to->wants_in, "read: %s",
                      fault_table[f].name);
        if (tlsio_pending(to))
            ck_assert_int_eq(f, FAULT_NONE);
        in += n;
    }
    ck_assert_mem_eq(sent, got, total);
    free(sent);
    free(got);
}

START_TEST(octets_arrive_in_order_over_any_wire)
{
    struct pair *p = pair_new(&a);

    p->to_server.room = p->to_client.room = wires[_i / 2].room;
    p->to_server.step = p->to_client.step = wires[_i / 2].step;
    pair_client(p, NAME, false, NULL);
    if (_i % 2)
        SSL_set_max_proto_version(p->client.ssl, TLS1_2_VERSION);
    struct outcome o = pair_shake(p);

    ck_assert_msg(o.server == FAULT_NONE && o.client == FAULT_NONE, "%s, %s", fault_table[o.server].name,
                  fault_table[o.client].name);
    ck_assert_str_eq(p->asked, NAME);
    push(&p->client, &p->server, 40000, 16384);
    push(&p->server, &p->client, 40000, 1000);
    push(&p->client, &p->server, 300, 1);
    pair_drop(p);
}
END_TEST

START_TEST(a_clean_end_and_a_cut_are_told_apart)
{
    uint8_t got[64];
    size_t n;

    for (int cut = 0; cut < 2; cut++) {
        struct pair *p = pair_joined(&a, NAME, NULL);

        ck_assert_int_eq(tlsio_write(&p->client, SLICE("last"), &n), FAULT_NONE);
        if (!cut)
            tlsio_end(&p->client);
        tlsio_end(cut ? &(struct tlsio){0} : &p->client); /* twice, or on none, is harmless */
        p->to_server.cut = true;
        enum fault f = tlsio_read(&p->server, (struct iovec){got, sizeof got}, &n);

        ck_assert_uint_eq(n, 4);
        ck_assert_int_eq(f, cut ? FAULT_CLIENT_GONE : FAULT_END);
        ck_assert_int_eq(p->server.ended, !cut);
        ck_assert_int_eq(tlsio_read(&p->server, (struct iovec){got, sizeof got}, &n), f); /* it stays so */
        ck_assert_uint_eq(n, 0);
        if (!cut) { /* half closed: the other way is still open */
            ck_assert_int_eq(tlsio_write(&p->server, SLICE("more"), &n), FAULT_NONE);
            ck_assert_int_eq(tlsio_read(&p->client, (struct iovec){got, sizeof got}, &n), FAULT_AGAIN);
            ck_assert_uint_eq(n, 4);
        }
        pair_drop(p);
    }
}
END_TEST

START_TEST(a_record_that_was_altered_ends_the_connection)
{
    struct pair *p = pair_joined(&a, NAME, NULL);
    uint8_t got[64];
    size_t n;

    ck_assert_int_eq(tlsio_write(&p->client, SLICE("octets"), &n), FAULT_NONE);
    p->to_server.held[p->to_server.len - 1] ^= 1;
    ck_assert_int_eq(tlsio_read(&p->server, (struct iovec){got, sizeof got}, &n), FAULT_CLIENT_GONE);
    ck_assert_uint_eq(n, 0);
    ck_assert_int_eq(tlsio_write(&p->server, SLICE("x"), &n), FAULT_CLIENT_GONE);
    pair_drop(p);
}
END_TEST

START_TEST(a_wire_that_ends_in_the_handshake_is_a_failure)
{
    struct pair *p = pair_new(&a);

    pair_client(p, NAME, false, NULL);
    ck_assert_int_eq(tlsio_shake(&p->client, &p->client_why), FAULT_AGAIN);
    p->to_client.cut = p->to_server.cut = true;
    p->to_server.len -= 10;
    ck_assert_int_eq(tlsio_shake(&p->client, &p->client_why), FAULT_UPSTREAM_TLS);
    ck_assert_str_eq(p->client_why, "the peer closed during the handshake");
    ck_assert_int_eq(tlsio_shake(&p->server, &p->server_why), FAULT_CLIENT_TLS);
    ck_assert_str_eq(p->server_why, "the peer closed during the handshake");
    pair_drop(p);
}
END_TEST

START_TEST(key_updates_without_end_are_cut_off_but_a_few_are_served)
{
    struct pair *p = pair_joined(&a, NAME, NULL);
    uint8_t got[64];
    size_t n;
    enum fault f = FAULT_AGAIN;
    int sent = 0;

    for (; sent < 200 && f == FAULT_AGAIN; sent++) {
        if (sent == 20) { /* real octets between them set the count back */
            ck_assert_int_eq(tlsio_write(&p->client, SLICE("x"), &n), FAULT_NONE);
            ck_assert_int_eq(tlsio_read(&p->server, (struct iovec){got, sizeof got}, &n), FAULT_AGAIN);
            ck_assert_uint_eq(n, 1);
        }
        SSL_key_update(p->client.ssl, SSL_KEY_UPDATE_NOT_REQUESTED);
        SSL_do_handshake(p->client.ssl);
        f = tlsio_read(&p->server, (struct iovec){got, sizeof got}, &n);
    }
    ck_assert_int_eq(f, FAULT_CLIENT_GONE);
    ck_assert_int_gt(sent, 50);
    ck_assert_int_lt(sent, 60);
    pair_drop(p);
}
END_TEST

static void tests_add(TCase *tc)
{
    tcase_add_loop_test(tc, octets_arrive_in_order_over_any_wire, 0, 2 * (int)(sizeof wires / sizeof *wires));
    tcase_add_test(tc, a_clean_end_and_a_cut_are_told_apart);
    tcase_add_test(tc, a_record_that_was_altered_ends_the_connection);
    tcase_add_test(tc, a_wire_that_ends_in_the_handshake_is_a_failure);
    tcase_add_test(tc, key_updates_without_end_are_cut_off_but_a_few_are_served);
}

int main(void)
{
    Suite *s = suite_create("tlsio");
    TCase *tc = tcase_create("tlsio");
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

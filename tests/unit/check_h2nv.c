#include "h2heads.h"
#include "h2mem.h"
#include <check.h>
#include <stdlib.h>

#define EACH(table) for (size_t i = 0; i < sizeof table / sizeof *table; i++)

static const struct h1_limits limits = {65536, MSG_FIELDS_MAX};
static struct head sent, got;
static struct h2_nv list;

/* --- what HPACK may index ------------------------------------------------------------------------------- */

/* One field through a compressor; gives the first octet of what it wrote, and the table's octets. */
static uint8_t deflated(nghttp2_hd_deflater *deflater, const nghttp2_nv *nv, size_t *table)
{
    uint8_t octets[512];
    ssize_t n = nghttp2_hd_deflate_hd(deflater, octets, sizeof octets, nv, 1);

    ck_assert_int_gt(n, 0);
    *table = nghttp2_hd_deflate_get_dynamic_table_size(deflater);
    return octets[0];
}

static const struct {
    const char *name, *value;
    bool sensitive, never;
} indexed[] = {
    {"authorization", "Bearer x", false, true},
    {"proxy-authorization", "Basic x", false, true},
    {"cookie", "a=b", false, true},
    {"set-cookie", "a=b", false, true},
    {"x-api-key", "value", true, true},
    {"content-type", "value", true, true},
    {"accept", "*/*", true, true},
    {"x-api-key", "sealed", false, false},
    {"accept", "*/*", false, false},
    {"user-agent", "a", false, false},
};

START_TEST(a_field_that_holds_a_value_or_a_credential_is_never_indexed)
{
    EACH(indexed)
    {
        struct slice name = slice_text(indexed[i].name);
        struct field f = {name, slice_text(indexed[i].value), field_identify(name), indexed[i].sensitive};
        nghttp2_hd_deflater *deflater;
        nghttp2_nv nv;
        size_t empty, table;
        struct buf kept = {0};
        size_t count;

        ck_assert_int_eq(nghttp2_hd_deflate_new2(&deflater, 4096, h2mem()), 0);
        empty = nghttp2_hd_deflate_get_dynamic_table_size(deflater);
        head_begin(&sent);
        sent.field[sent.fields++] = f;
        sent.status = 200;
        /* The field of a proxy's hop is not sent at all. */
        if (h2_nv_response(&sent, &list) == 1) {
            ck_assert_int_eq(f.id, FIELD_PROXY_AUTHORIZATION);
            nghttp2_hd_deflate_del(deflater);
            continue;
        }
        nv = list.at[1];
        /* The library has a rule of its own for some of them; ours must not lean on it. */
        ck_assert_msg(!(nv.flags & NGHTTP2_NV_FLAG_NO_INDEX) == !indexed[i].never, "row %zu: flags %02x", i,
                      nv.flags);
        for (unsigned twice = 0; twice < 2; twice++) {
            uint8_t first = deflated(deflater, &nv, &table);

            ck_assert_msg((first >> 4 == 1) == indexed[i].never, "row %zu: first octet %02x", i, first);
            ck_assert_msg((table == empty) == indexed[i].never, "row %zu: %zu octets in the table", i, table);
        }
        /* Trailers, where it may stand there. */
        ck_assert_int_eq(h2_nv_trailers(&sent, &kept, &count), FAULT_NONE);
        if (count > 0)
            ck_assert_int_eq(h2_nv_kept(&kept)[0].flags & NGHTTP2_NV_FLAG_NO_INDEX,
                             indexed[i].never ? NGHTTP2_NV_FLAG_NO_INDEX : 0);
        buf_close(&kept);
        nghttp2_hd_deflate_del(deflater);
    }
}
END_TEST

/* --- there and back ------------------------------------------------------------------------------------- */

/* Two sessions in memory; what one sends is what h2field collects at the other. */
struct wire {
    nghttp2_session *client, *server;
    struct h2_fields fields;
    enum h2_section section;
    bool ended;
};

static int on_begin(nghttp2_session *session, const nghttp2_frame *frame, void *cookie)
{
    struct wire *w = cookie;

    (void)session;
    if (frame->hd.type == NGHTTP2_HEADERS)
        h2_fields_begin(&w->fields, w->section);
    return 0;
}

static int on_field(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                    size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags, void *cookie)
{
    struct wire *w = cookie;

    (void)session, (void)flags;
    w->ended = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
    h2_fields_add(&w->fields, &limits, slice_of(name, name_len), slice_of(value, value_len));
    return 0;
}

static int on_invalid(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                      size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags, void *cookie)
{
    (void)session, (void)frame, (void)value, (void)value_len, (void)flags, (void)cookie;
    ck_abort_msg("nghttp2 would not take %.*s", (int)name_len, (const char *)name);
    return 0;
}

static void wire_open(struct wire *w)
{
    nghttp2_session_callbacks *calls;

    *w = (struct wire){0};
    ck_assert_int_eq(nghttp2_session_callbacks_new(&calls), 0);
    nghttp2_session_callbacks_set_on_begin_headers_callback(calls, on_begin);
    nghttp2_session_callbacks_set_on_header_callback(calls, on_field);
    nghttp2_session_callbacks_set_on_invalid_header_callback(calls, on_invalid);
    ck_assert_int_eq(nghttp2_session_client_new3(&w->client, calls, w, NULL, h2mem()), 0);
    ck_assert_int_eq(nghttp2_session_server_new3(&w->server, calls, w, NULL, h2mem()), 0);
    nghttp2_session_callbacks_del(calls);
    ck_assert_int_eq(nghttp2_submit_settings(w->client, 0, NULL, 0), 0);
    ck_assert_int_eq(nghttp2_submit_settings(w->server, 0, NULL, 0), 0);
}

static void wire_close(struct wire *w)
{
    nghttp2_session_del(w->client);
    nghttp2_session_del(w->server);
    h2_fields_wipe(&w->fields);
}

static void wire_pass(nghttp2_session *from, nghttp2_session *to)
{
    const uint8_t *at;
    ssize_t n;

    while ((n = nghttp2_session_mem_send(from, &at)) > 0)
        ck_assert_int_eq(nghttp2_session_mem_recv(to, at, (size_t)n), n);
    ck_assert_int_eq(n, 0);
}

static ssize_t body_later(nghttp2_session *session, int32_t id, uint8_t *at, size_t room, uint32_t *flags,
                          nghttp2_data_source *source, void *cookie)
{
    (void)session, (void)id, (void)at, (void)room, (void)flags, (void)source, (void)cookie;
    return NGHTTP2_ERR_DEFERRED;
}

static nghttp2_data_provider *body_of(const struct head *h)
{
    static nghttp2_data_provider later = {.read_callback = body_later};

    return h->body == BODY_NONE || (h->body == BODY_LENGTH && h->length == 0) ? NULL : &later;
}

/* A request of ${h}; gives its stream. */
static int32_t wire_request(struct wire *w, const struct head *h)
{
    size_t n = h2_nv_request(h, &list);
    int32_t id = nghttp2_submit_request(w->client, NULL, list.at, n, body_of(h), NULL);

    ck_assert_int_gt(id, 0);
    w->section = H2_REQUEST;
    wire_pass(w->client, w->server);
    return id;
}

static void same(const char *what, size_t i)
{
    ck_assert_msg(!heads_differ(&sent, &got), "%s %zu: %s", what, i, heads_differ(&sent, &got));
}

static const char *const requests[] = {
    "GET / HTTP/1.1\r\nHost: api.test\r\n\r\n",
    "GET /v1?x=%20 HTTP/1.1\r\nhOST: api.test:443\r\nX-Empty:\r\nCOOKIE: a=b; c\r\nCookie2: x\r\n\r\n",
    "HEAD /a HTTP/1.1\r\nHost: a\r\nAccept: a\r\nACCEPT: b\r\nTransfer_Encoding: x\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: TE, X-Drop\r\nX-Drop: 1\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\nKeep-Alive: "
    "5\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4611686018427387903\r\nExpect: 100-continue\r\n\r\n",
    "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nAuthorization: Bearer x\r\nProxy-Connection: "
    "x\r\n\r\n",
    "M-SEARCH / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\nX-A: \xa0\xff\tb\r\n\r\n",
};

START_TEST(a_request_comes_out_of_hpack_as_it_went_in)
{
    struct wire w;

    wire_open(&w);
    EACH(requests)
    for (unsigned twice = 0; twice < 2; twice++) { /* the second out of the tables, where it may */
        struct h1_reader r = {0};
        size_t used;

        ck_assert_int_eq(h1_read_request(&r, &limits, slice_text(requests[i]), &sent, &used), FAULT_NONE);
        sent.upgrade = false; /* not granted, and gone */
        wire_request(&w, &sent);
        ck_assert_int_eq(h2_fields_head(&w.fields, w.ended, false, &got), FAULT_NONE);
        same("request", i);
        ck_assert(slice_equal(got.scheme, SLICE("https")));
    }
    wire_close(&w);
}
END_TEST

static const struct {
    const char *text;
    bool head_only;
} responses[] = {
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nServer: a\r\nSet-Cookie: a=b\r\nSET-COOKIE: c\r\n\r\n", false},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: X-Drop\r\nX-Drop: 1\r\nX-Keep:\r\n\r\n",
     false},
    {"HTTP/1.0 404 Not Found\r\nContent-Type: text/plain\r\n\r\n", false},
    {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false},
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", true},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", true},
    {"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nETag: x\r\n\r\n", false},
    {"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", false},
    {"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", false},
    {"HTTP/1.1 100 Continue\r\n\r\n", false},
};

START_TEST(a_response_comes_out_of_hpack_as_it_went_in)
{
    static struct head request;
    struct wire w;

    wire_open(&w);
    request.target = SLICE("/");
    request.authority = SLICE("a");
    EACH(responses)
    {
        struct h1_reader r = {0};
        bool bodiless, head_only = responses[i].head_only;
        int32_t id;
        size_t used, n;

        ck_assert_int_eq(
            h1_read_response(&r, &limits, slice_text(responses[i].text), head_only, &sent, &used),
            FAULT_NONE);
        bodiless = head_only || sent.status == 304 || sent.status == 204;
        sent.minor = 1; /* of h1's hop */
        request.method = head_only ? SLICE("HEAD") : SLICE("GET");
        id = wire_request(&w, &request);
        n = h2_nv_response(&sent, &list);
        if (sent.status < 200)
            ck_assert_int_eq(nghttp2_submit_headers(w.server, 0, id, NULL, list.at, n, NULL), 0);
        else
            ck_assert_int_eq(
                nghttp2_submit_response(w.server, id, list.at, n, bodiless ? NULL : body_of(&sent)), 0);
        w.section = H2_RESPONSE;
        wire_pass(w.server, w.client);
        ck_assert_int_eq(h2_fields_head(&w.fields, w.ended, head_only, &got), FAULT_NONE);
        same("response", i);
    }
    wire_close(&w);
}
END_TEST

START_TEST(trailers_outlive_the_head_that_they_came_from)
{
    struct slice names[] = {SLICE("Grpc-Status"), SLICE("Connection"), SLICE("grpc-message"), SLICE("Cookie"),
                            SLICE("Digest")};
    char values[] = "0bmcd";
    struct wire w;
    struct buf kept = {0};
    size_t count;
    int32_t id;

    wire_open(&w);
    head_begin(&sent);
    ck_assert_int_eq(h2_nv_trailers(&sent, &kept, &count), FAULT_NONE);
    ck_assert(count == 0 && kept.base == NULL);
    EACH(names)
    sent.field[sent.fields++] =
        (struct field){names[i], slice_of(values + i, i == 2 ? 0 : 1), field_identify(names[i]), i == 4};
    ck_assert_int_eq(h2_nv_trailers(&sent, &kept, &count), FAULT_NONE);
    ck_assert_uint_eq(count, 3);
    ck_assert_int_eq(h2_nv_kept(&kept)[2].flags & NGHTTP2_NV_FLAG_NO_INDEX, NGHTTP2_NV_FLAG_NO_INDEX);
    memset(values, 'x', sizeof values);
    head_begin(&sent);
    sent.method = SLICE("POST");
    sent.target = SLICE("/");
    sent.authority = SLICE("a");
    sent.body = BODY_STREAM;
    id = wire_request(&w, &sent);
    ck_assert_int_eq(nghttp2_submit_trailer(w.client, id, h2_nv_kept(&kept), count), 0);
    w.section = H2_TRAILERS;
    wire_pass(w.client, w.server);
    ck_assert_int_eq(h2_fields_head(&w.fields, w.ended, false, &got), FAULT_NONE);
    ck_assert_uint_eq(got.fields, 3);
    ck_assert(slice_equal(got.field[0].name, SLICE("grpc-status")) &&
              slice_equal(got.field[0].value, SLICE("0")));
    ck_assert(slice_equal(got.field[1].name, SLICE("grpc-message")) && got.field[1].value.len == 0);
    ck_assert(slice_equal(got.field[2].name, SLICE("digest")) && slice_equal(got.field[2].value, SLICE("d")));
    buf_close(&kept);
    wire_close(&w);
}
END_TEST

/* A head that a rule let through by mistake still frames nothing here. */
START_TEST(what_belongs_to_the_hop_is_never_sent)
{
    head_begin(&sent);
    for (unsigned id = FIELD_OTHER + 1; id < FIELD_COUNT; id++)
        ck_assert_int_eq(head_add(&sent, (enum field_id)id, SLICE("x")), FAULT_NONE);
    sent.status = 200;
    for (size_t n = h2_nv_response(&sent, &list), i = 1; i < n; i++) {
        enum field_id id = field_identify(slice_of(list.at[i].name, list.at[i].namelen));

        ck_assert_msg(!(field_table[id].traits & (TRAIT_HOP | TRAIT_MEMBER)), "%.*s", (int)list.at[i].namelen,
                      (const char *)list.at[i].name);
    }
    ck_assert_uint_le(h2_nv_request(&sent, &list), sent.fields + 4);
    head_begin(&sent);
    sent.body = BODY_LENGTH;
    for (sent.status = 103; sent.status <= 204; sent.status += 101)
        ck_assert_uint_eq(h2_nv_response(&sent, &list), 1);
}
END_TEST

/* The most that a head can hold fits. */
START_TEST(a_full_head_fits)
{
    head_begin(&sent);
    for (unsigned i = 0; i < MSG_FIELDS_MAX; i++)
        ck_assert_int_eq(head_add(&sent, FIELD_ACCEPT, SLICE("x")), FAULT_NONE);
    sent.expect_continue = sent.te_trailers = true;
    sent.body = BODY_LENGTH;
    sent.length = UINT64_MAX;
    ck_assert_uint_eq(h2_nv_request(&sent, &list), MSG_FIELDS_MAX + 7);
    ck_assert_uint_eq(list.at[MSG_FIELDS_MAX + 6].valuelen, 20);
}
END_TEST

START_TEST(memory_that_grows_keeps_what_it_held)
{
    nghttp2_mem *mem = h2mem();
    uint8_t *at = mem->realloc(NULL, 100, mem->mem_user_data), *zeroed;

    ck_assert_ptr_nonnull(at);
    memset(at, 7, 100);
    at = mem->realloc(at, 100000, mem->mem_user_data);
    ck_assert(at[0] == 7 && at[99] == 7);
    at = mem->realloc(at, 10, mem->mem_user_data);
    ck_assert(at[0] == 7 && at[9] == 7);
    mem->free(at, mem->mem_user_data);
    mem->free(NULL, mem->mem_user_data);
    zeroed = mem->calloc(10, 10, mem->mem_user_data);
    ck_assert_int_eq(zeroed[99], 0);
    mem->free(zeroed, mem->mem_user_data);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("h2nv");
    TCase *tc = tcase_create("fields");
    SRunner *run = srunner_create(s);
    int failed;

    tcase_add_test(tc, a_field_that_holds_a_value_or_a_credential_is_never_indexed);
    tcase_add_test(tc, a_request_comes_out_of_hpack_as_it_went_in);
    tcase_add_test(tc, a_response_comes_out_of_hpack_as_it_went_in);
    tcase_add_test(tc, trailers_outlive_the_head_that_they_came_from);
    tcase_add_test(tc, what_belongs_to_the_hop_is_never_sent);
    tcase_add_test(tc, a_full_head_fits);
    tcase_add_test(tc, memory_that_grows_keeps_what_it_held);
    suite_add_tcase(s, tc);
    srunner_run_all(run, CK_ENV);
    failed = srunner_ntests_failed(run);
    srunner_free(run);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#include "h2pair.h"
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#define CANARY_OCTETS 24

/* How often it stands in what this process may write, but for where it is kept. */
static size_t memory_finds(const uint8_t *canary)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    int memory = open("/proc/self/mem", O_RDONLY);
    static uint8_t block[1 << 16];
    size_t found = 0, overlap = CANARY_OCTETS - 1;
    char line[512];

    ck_assert(maps && memory >= 0);
    while (fgets(line, sizeof line, maps)) {
        uint64_t from, to;
        char rights[5];

        if (sscanf(line, "%lx-%lx %4s", &from, &to, rights) != 3 || rights[1] != 'w' || to - from > 1 << 28)
            continue;
        for (uint64_t at = from; at < to; at += sizeof block - overlap) {
            if (at <= (uint64_t)(uintptr_t)block + sizeof block &&
                at + sizeof block >= (uint64_t)(uintptr_t)block)
                continue;
            ssize_t n = pread(memory, block, sizeof block, (off_t)at);
            const uint8_t *hit = block;

            while (n > 0 && (hit = memmem(hit, (size_t)(block + n - hit), canary, CANARY_OCTETS))) {
                uint64_t where = at + (uint64_t)(hit - block);

                found += where != (uint64_t)(uintptr_t)canary;
                hit++;
            }
        }
    }
    explicit_bzero(block, sizeof block);
    fclose(maps);
    close(memory);
    return found;
}

START_TEST(a_value_is_nowhere_once_it_is_sent)
{
    struct buf b = {0};
    struct h2stream *first;
    struct end *e = client_alone(&b, &first);
    struct h2stream *s = &e->stream[e->streams++];
    uint8_t *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct head h = request_of("POST", BODY_STREAM, 0), trailers;
    uint8_t *value = page + 100;

    for (size_t i = 0; i < CANARY_OCTETS; i++)
        value[i] = (uint8_t)('{' + (i * 7 + 3) % 2); /* long in Huffman's code: sent as it is */
    h.field[h.fields++] =
        (struct field){SLICE("x-api-key"), slice_of(value, CANARY_OCTETS), FIELD_OTHER, true};
    h.field[h.fields++] =
        (struct field){SLICE("authorization"), slice_of(value, CANARY_OCTETS), FIELD_AUTHORIZATION, false};
    ck_assert_int_eq(h2stream_open(s, &e->h2), FAULT_NONE);
    ck_assert_int_eq(s->stream.ops->write_head(&s->stream, &h), FAULT_NONE);
    ck_assert_uint_ge(memory_finds(value), 2); /* in what goes to the link: the search does find */
    ck_assert_uint_eq(body_write(s, slice_of(value, CANARY_OCTETS)), CANARY_OCTETS);
    head_begin(&trailers);
    trailers.field[trailers.fields++] =
        (struct field){SLICE("x-sum"), slice_of(value, CANARY_OCTETS), FIELD_OTHER, true};
    ck_assert_int_eq(s->stream.ops->write_end(&s->stream, &trailers), FAULT_NONE);
    ck_assert_int_eq(h2_drain(&e->h2, &e->out), FAULT_NONE);
    ck_assert_uint_ge(memory_finds(value), 4);
    buf_close(&e->out);
    h2stream_close(s, H2_CANCEL);
    buf_trim();
    size_t found = memory_finds(value);

    ck_assert_msg(found == 0, "found %zu times", found);
    explicit_bzero(page, 4096);
    munmap(page, 4096);
    alone_drop(e, &b);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("h2value");
    TCase *t = tcase_create("h2value");
    SRunner *r;
    int failed;

    tcase_set_timeout(t, 120);
    tcase_add_test(t, a_value_is_nowhere_once_it_is_sent);
    suite_add_tcase(s, t);
    r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#pragma once
#include "realredis.h"
#include "redisurl.h"
#include "respserver.h"

/*
 * redisbed - what the tests of links to Redis share: a loop, a folder, servers, and what stderr was told.
 */
#define PATIENCE_S   10.0 /* of a test for any one event */
#define TIMEOUT_MS   60   /* of a command, against a scripted server */
#define SERVERS      4
#define COUNT(table) (int)(sizeof(table) / sizeof *(table))

static struct ev_loop *loop;
static char dir[] = "/tmp/check_redis.XXXXXX", socket_path[64], stderr_path[64];
static struct server servers[SERVERS];

static inline void bed_make(void)
{
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(socket_path, sizeof socket_path, "%s/redis.sock", dir);
    snprintf(stderr_path, sizeof stderr_path, "%s/stderr", dir);
    loop = ev_loop_new(EVFLAG_AUTO);
    int fd = open(stderr_path, O_RDWR | O_CREAT | O_CLOEXEC | O_APPEND, 0600);

    dup2(fd, STDERR_FILENO);
    close(fd);
}

static inline void bed_clear(void)
{
    char command[128];

    for (size_t i = 0; i < SERVERS; i++)
        server_stop(&servers[i]);
    ev_loop_destroy(loop);
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    ck_assert_int_eq(system(command), 0);
}

static inline const char *said(void)
{
    static char text[65536];
    FILE *f = fopen(stderr_path, "r");
    size_t n = fread(text, 1, sizeof text - 1, f);

    fclose(f);
    text[n] = 0;
    return text;
}

static inline void on_too_late(struct ev_loop *l, ev_timer *w, int events)
{
    (void)l;
    (void)events;
    *(bool *)w->data = true;
}

/* Run the loop until ${count} has reached ${want}; what it then is. */
static inline unsigned wait_for(const unsigned *count, unsigned want, double patience_s)
{
    bool late = false;
    ev_timer limit;

    ev_now_update(loop);
    ev_timer_init(&limit, on_too_late, patience_s, 0);
    limit.data = &late;
    ev_timer_start(loop, &limit);
    while (*count < want && !late)
        ev_run(loop, EVRUN_ONCE);
    ev_timer_stop(loop, &limit);
    return *count;
}

#define WAIT(count, want) ck_assert_uint_eq(wait_for(&(count), want, PATIENCE_S), want)

static inline struct redis_url url_of(const char *form, ...) __attribute__((format(printf, 1, 2)));
static inline struct redis_url url_of(const char *form, ...)
{
    struct redis_url url;
    char text[512];
    va_list with;

    va_start(with, form);
    vsnprintf(text, sizeof text, form, with);
    va_end(with);
    const char *why = redisurl_parse(slice_text(text), &url);

    ck_assert_msg(why == NULL, "%s %s", text, why);
    return url;
}

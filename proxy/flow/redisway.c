#include "redisway.h"
#include <sys/un.h>

void redisway_begin(struct redisway *w)
{
    w->url = w->place = w->address = 0;
    w->named = false;
    w->master = (struct redis_place){.port = 0};
}

static void unix_stop(const struct redis_url *url, struct redisstop *out)
{
    struct sockaddr_un *un = (void *)&out->address;

    un->sun_family = AF_UNIX;
    memcpy(un->sun_path, url->unix_path, sizeof un->sun_path);
    out->len = sizeof *un;
}

/* The next address of ${place}. When all were tried the name itself is doubted. */
static bool place_stop(struct redisway *w, const struct redis_place *place, struct redisstop *out)
{
    struct ip ip[REDISHOSTS_ADDRESSES];
    size_t n = redishosts_find(w->hosts, place->host, ip);

    if (w->address >= n) {
        redishosts_doubt(w->hosts, place->host);
        w->address = 0;
        return false;
    }
    out->place = *place;
    out->len = endpoint_sockaddr((struct endpoint){ip[w->address++], place->port}, &out->address);
    return true;
}

static const struct redis_place *place_now(const struct redisway *w, const struct redis_url *url)
{
    return &url->places[(w->first[w->url] + w->place) % url->place_count];
}

bool redisway_next(struct redisway *w, struct redisstop *out)
{
    *out = (struct redisstop){.url = NULL};
    for (; w->url < w->count; w->url++, w->place = 0) {
        const struct redis_url *url = &w->urls[w->url];

        out->url = url;
        if (*url->unix_path && w->place++ == 0) {
            unix_stop(url, out);
            return true;
        }
        for (; w->place < url->place_count; w->place++) {
            if (w->named && place_stop(w, &w->master, out))
                return true;
            out->sentinel = *url->sentinel != 0;
            if (!w->named && place_stop(w, place_now(w, url), out))
                return true;
            w->named = false;
        }
    }
    return false;
}

static bool place_same(const struct redis_place *a, const struct redis_place *b)
{
    return a->port == b->port && slice_equal(slice_text(a->host), slice_text(b->host));
}

void redisway_named(struct redisway *w, const struct redis_place *master)
{
    w->address = 0;
    if (place_same(&w->master, master)) {
        w->place++;
        return;
    }
    w->master = *master;
    w->named = true;
}

void redisway_arrived(struct redisway *w)
{
    const struct redis_url *url = &w->urls[w->url];

    if (*url->sentinel)
        w->first[w->url] = (w->first[w->url] + w->place) % url->place_count;
}

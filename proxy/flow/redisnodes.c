#include "redisnodes.h"
#include <sodium.h>
#include <stdlib.h>

struct redisnodes {
    struct ev_loop *loop;
    struct redislink_aim aim;
    redisnode_fn *state;
    void *cookie;
    uint64_t uses;
    struct redisnode *node[REDISNODES_MAX];
    uint8_t seat[REDIS_SLOTS]; /* 0: not known; else the node's place in ${node}, from 1 */
};

static void node_free(struct redisnode *node)
{
    redislink_free(node->link);
    sodium_memzero(&node->url, sizeof node->url);
    free(node);
}

static void node_forget(struct redisnodes *n, size_t i)
{
    for (size_t slot = 0; slot < REDIS_SLOTS; slot++)
        if (n->seat[slot] == i + 1)
            n->seat[slot] = 0;
    node_free(n->node[i]);
    n->node[i] = NULL;
}

static void node_state(void *cookie, bool up)
{
    struct redisnode *node = cookie;

    (void)up;
    node->told = true;
    node->of->state(node->of->cookie, node);
}

static struct redisnode *node_new(struct redisnodes *n, const struct redis_place *place,
                                  const struct redis_url *like)
{
    struct redisnode *node = calloc(1, sizeof *node);
    struct redislink_aim aim = n->aim;

    if (!node)
        return NULL;
    node->of = n;
    node->url = *like;
    node->url.unix_path[0] = node->url.sentinel[0] = 0;
    node->url.places[0] = *place;
    node->url.place_count = 1;
    aim.urls = &node->url;
    aim.count = 1;
    if (redislink_new(n->loop, &aim, (struct redislink_events){.state = node_state, .cookie = node},
                      &node->link) == FAULT_NONE)
        return node;
    node_free(node);
    return NULL;
}

enum fault redisnodes_new(struct ev_loop *loop, const struct redislink_aim *aim, redisnode_fn *state,
                          void *cookie, struct redisnodes **out)
{
    struct redisnodes *n = calloc(1, sizeof *n);

    if (!n)
        return FAULT_NO_MEMORY;
    n->loop = loop;
    n->aim = *aim;
    n->state = state;
    n->cookie = cookie;
    *out = n;
    return FAULT_NONE;
}

void redisnodes_free(struct redisnodes *n)
{
    if (!n)
        return;
    for (size_t i = 0; i < REDISNODES_MAX; i++)
        if (n->node[i])
            node_free(n->node[i]);
    free(n);
}

static bool node_is(const struct redisnode *node, const struct redis_place *place)
{
    const struct redis_place *own = &node->url.places[0];

    return own->port == place->port && slice_equal(slice_text(own->host), slice_text(place->host));
}

/* Where a new node goes. */
static struct redisnode **seat_find(struct redisnodes *n)
{
    size_t oldest = REDISNODES_MAX;

    for (size_t i = 0; i < REDISNODES_MAX; i++) {
        if (!n->node[i])
            return &n->node[i];
        if (n->node[i]->errands == 0 &&
            (oldest == REDISNODES_MAX || n->node[i]->used < n->node[oldest]->used))
            oldest = i;
    }
    if (oldest == REDISNODES_MAX)
        return NULL;
    node_forget(n, oldest);
    return &n->node[oldest];
}

struct redisnode *redisnodes_find(struct redisnodes *n, const struct redis_place *place,
                                  const struct redis_url *like)
{
    struct redisnode **seat;

    for (size_t i = 0; i < REDISNODES_MAX; i++)
        if (n->node[i] && node_is(n->node[i], place)) {
            n->node[i]->used = ++n->uses;
            return n->node[i];
        }
    if (!(seat = seat_find(n)) || !(*seat = node_new(n, place, like)))
        return NULL;
    (*seat)->used = ++n->uses;
    return *seat;
}

void redisnodes_assign(struct redisnodes *n, unsigned slot, struct redisnode *node)
{
    struct redisnode *old = redisnodes_at(n, slot);

    if (old == node)
        return;
    if (old && old->told && !redislink_up(old->link) && old->errands == 0)
        node_forget(n, n->seat[slot] - 1u);
    for (size_t i = 0; i < REDISNODES_MAX; i++)
        if (n->node[i] == node)
            n->seat[slot] = (uint8_t)(i + 1);
}

struct redisnode *redisnodes_at(const struct redisnodes *n, unsigned slot)
{
    return n->seat[slot] ? n->node[n->seat[slot] - 1] : NULL;
}

struct redisnode *redisnodes_any(const struct redisnodes *n)
{
    for (size_t i = 0; i < REDISNODES_MAX; i++)
        if (n->node[i] && redislink_up(n->node[i]->link))
            return n->node[i];
    return NULL;
}

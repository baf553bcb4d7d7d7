#include "request.h"
#include "buf.h"
#include <stdio.h>
#include <stdlib.h>

struct body_type {
    const char *word, *media;
    struct slice before, token_before, token_after, after; /* around the tokens, and behind the filling */
};

static const struct body_type body_types[] = {
    {"json", "application/json", SLICE("{\"model\":\"bench\","), SLICE("\"key\":\""), SLICE("\","),
     SLICE("\"}")},
    {"text", "text/plain", SLICE(""), SLICE("key="), SLICE("\n"), SLICE("\n")},
    {"binary", "application/octet-stream", SLICE(""), SLICE("\x01\x02"), SLICE("\xff"), SLICE("\xfe")},
};
static const struct slice json_filling = SLICE("\"pad\":\"");

/* What is being rendered. A fault is kept and found at the end: rendering is not the place that is measured. */
struct draft {
    const struct loadplan *plan;
    const struct body_type *type;
    request_token_fn *token;
    void *cookie;
    struct buf out;
    bool full, token_missing;
};

static void draft_slice(struct draft *d, struct slice s)
{
    d->full = d->full || buf_append(&d->out, s) != FAULT_NONE;
}

static void draft_text(struct draft *d, const char *text)
{
    draft_slice(d, slice_text(text));
}

static void draft_number(struct draft *d, const char *format, uint64_t number)
{
    char text[64];

    snprintf(text, sizeof text, format, number);
    draft_text(d, text);
}

/* The ${at}-th token of the plan where it belongs to ${place}; else NULL. */
static const char *draft_token(struct draft *d, size_t at, const char *place)
{
    const struct loadplan *plan = d->plan;
    const char *token;

    if (strcmp(at < plan->token_in.count ? plan->token_in.at[at] : "header", place) != 0)
        return NULL;
    token = d->token(d->cookie, plan->token.at[at]);
    d->token_missing = d->token_missing || !token;
    return token;
}

/* Letters for text, octets of no text for binary: neither can look like a token. */
static struct slice filling(bool binary)
{
    static uint8_t octets[2][REQUEST_BLOCK];

    if (!octets[binary][0])
        for (size_t i = 0; i < REQUEST_BLOCK; i++)
            octets[binary][i] = binary ? (uint8_t)(0x80 | (i * 167 >> 3)) : (uint8_t)('a' + i % 23);
    return slice_of(octets[binary], REQUEST_BLOCK);
}

static struct slice chunk_block(bool binary)
{
    static uint8_t octets[2][REQUEST_BLOCK + 8];
    struct slice from = filling(binary);

    memcpy(octets[binary], "4000\r\n", 6); /* 16,384 */
    memcpy(octets[binary] + 6, from.at, from.len);
    memcpy(octets[binary] + 6 + from.len, "\r\n", 2);
    return slice_of(octets[binary], sizeof octets[binary]);
}

/* A copy of the block with the plan's first token in it, once in --token-every octets. */
static void block_render(struct draft *d, struct request *out)
{
    const char *token = d->token(d->cookie, d->plan->token.at[0]);
    size_t every = (size_t)d->plan->token_every, len = token ? strlen(token) : 0;
    size_t ahead = d->plan->chunked ? sizeof "4000\r\n" - 1 : 0;

    d->token_missing = d->token_missing || !token;
    d->full = d->full || len + 2 > every;
    out->own_block = malloc(out->block.len);
    if (!out->own_block || d->full || d->token_missing)
        return;
    memcpy(out->own_block, out->block.at, out->block.len);
    for (size_t at = 0; at + every <= REQUEST_BLOCK; at += every) {
        uint8_t *to = out->own_block + ahead + at;

        to[0] = to[len + 1] = ' ';
        memcpy(to + 1, token, len);
    }
    out->block.at = out->own_block;
}

static void target_render(struct draft *d)
{
    bool query = strchr(d->plan->target, '?') != NULL;

    draft_text(d, d->plan->target);
    for (size_t i = 0; i < d->plan->token.count; i++) {
        const char *token = draft_token(d, i, "url");

        if (!token)
            continue;
        draft_text(d, query ? "&key=" : "?key=");
        draft_text(d, token);
        query = true;
    }
}

static void head_render(struct draft *d)
{
    const struct loadplan *plan = d->plan;
    bool bearer = true;

    draft_text(d, plan->method);
    draft_text(d, " ");
    target_render(d);
    draft_text(d, " HTTP/1.1\r\nhost: ");
    draft_text(d, plan->host);
    if (plan->port != 443 && !plan->connect)
        draft_number(d, ":%lu", plan->port);
    draft_text(d, "\r\nuser-agent: osb-bench\r\naccept: */*\r\n");
    for (size_t i = 0; i < plan->token.count; i++) {
        const char *token = draft_token(d, i, "header");

        if (!token)
            continue;
        if (bearer)
            draft_text(d, "authorization: Bearer ");
        else
            draft_number(d, "x-key-%lu: ", i);
        draft_text(d, token);
        draft_text(d, "\r\n");
        bearer = false;
    }
    for (uint64_t i = 0; i < plan->fields; i++) {
        draft_number(d, "x-field-%lu: ", i);
        draft_slice(d, slice_first(filling(false), 32));
        draft_text(d, "\r\n");
    }
    if (!plan->keepalive)
        draft_text(d, "connection: close\r\n");
    if (plan->body_given) {
        draft_text(d, "content-type: ");
        draft_text(d, d->type->media);
        draft_text(d, "\r\n");
        if (plan->chunked)
            draft_text(d, "transfer-encoding: chunked\r\n");
        else
            draft_number(d, "content-length: %lu\r\n", plan->body_octets);
    }
    draft_text(d, "\r\n");
}

static void body_start_render(struct draft *d)
{
    draft_slice(d, d->type->before);
    for (size_t i = 0; i < d->plan->token.count; i++) {
        const char *token = draft_token(d, i, "body");

        if (!token)
            continue;
        draft_slice(d, d->type->token_before);
        draft_text(d, token);
        draft_slice(d, d->type->token_after);
    }
    if (strcmp(d->type->word, "json") == 0)
        draft_slice(d, json_filling);
}

static bool body_has_token(const struct loadplan *plan)
{
    for (size_t i = 0; i < plan->token_in.count; i++)
        if (strcmp(plan->token_in.at[i], "body") == 0)
            return true;
    return false;
}

/* Small bodies that can't hold the frame are only filling. */
static const char *body_render(struct draft *d, struct request *out)
{
    const struct loadplan *plan = d->plan;
    struct draft start = {.plan = plan, .type = d->type, .token = d->token, .cookie = d->cookie};
    bool binary = strcmp(plan->body_type, "binary") == 0;
    struct slice after = d->type->after, frame;
    uint64_t pad;
    char last[sizeof out->last];

    if (buf_open(&start.out, REQUEST_HEAD_MAX) != FAULT_NONE)
        return "there is no memory";
    body_start_render(&start);
    d->full = d->full || start.full;
    d->token_missing = d->token_missing || start.token_missing;
    frame = buf_held(&start.out);
    if (frame.len + after.len > plan->body_octets) {
        if (body_has_token(plan)) {
            buf_close(&start.out);
            return "--body is too small for the tokens in it";
        }
        frame = after = SLICE_NONE;
    }
    pad = plan->body_octets - frame.len - after.len;
    out->block_count = pad / REQUEST_BLOCK;
    out->block = plan->chunked ? chunk_block(binary) : filling(binary);
    if (plan->token_every)
        block_render(d, out);
    pad %= REQUEST_BLOCK;
    if (plan->chunked && frame.len + pad)
        draft_number(d, "%lx\r\n", frame.len + pad);
    draft_slice(d, frame);
    draft_slice(d, slice_first(filling(binary), (size_t)pad));
    if (plan->chunked && frame.len + pad)
        draft_text(d, "\r\n");
    buf_close(&start.out);
    if (!plan->chunked)
        out->last_octets = (size_t)snprintf(last, sizeof last, "%.*s", SLICE_PRINTF(after));
    else if (after.len)
        out->last_octets =
            (size_t)snprintf(last, sizeof last, "%zx\r\n%.*s\r\n0\r\n\r\n", after.len, SLICE_PRINTF(after));
    else
        out->last_octets = (size_t)snprintf(last, sizeof last, "0\r\n\r\n");
    if (out->block_count == 0) { /* one piece, so one record */
        draft_slice(d, slice_of(last, out->last_octets));
        out->last_octets = 0;
    }
    memcpy(out->last, last, out->last_octets);
    return NULL;
}

const char *request_open(const struct loadplan *plan, request_token_fn *token, void *cookie,
                         struct request *out)
{
    struct draft d = {.plan = plan, .type = body_types, .token = token, .cookie = cookie};
    const char *wrong = NULL;
    struct slice held;

    *out = (struct request){.first = NULL};
    while (strcmp(d.type->word, plan->body_type) != 0)
        d.type++;
    if (buf_open(&d.out, 2 * REQUEST_HEAD_MAX + REQUEST_BLOCK) != FAULT_NONE)
        return "there is no memory";
    head_render(&d);
    if (plan->body_given)
        wrong = body_render(&d, out);
    else if (body_has_token(plan))
        wrong = "--token-in body needs a --body";
    if (d.full)
        wrong = "the request's head is too large, or a token for --token-every";
    if (d.token_missing)
        wrong = "--token: a @NAME that the --env file does not have";
    held = buf_held(&d.out);
    out->first = wrong ? NULL : malloc(held.len);
    if (!wrong && (!out->first || (plan->token_every && plan->body_given && !out->own_block)))
        wrong = "there is no memory";
    if (!wrong) {
        memcpy(out->first, held.at, held.len);
        out->first_octets = held.len;
        out->octets = held.len + out->block.len * out->block_count + out->last_octets;
    }
    buf_close(&d.out);
    return wrong;
}

void request_close(struct request *r)
{
    free(r->first);
    free(r->own_block);
    r->first = r->own_block = NULL;
}

struct slice request_at(const struct request *r, uint64_t position)
{
    uint64_t blocks = r->block.len * r->block_count;

    if (position < r->first_octets)
        return slice_of(r->first + position, (size_t)(r->first_octets - position));
    position -= r->first_octets;
    if (position < blocks)
        return slice_drop(r->block, (size_t)(position % r->block.len));
    position -= blocks;
    return slice_of(r->last + position, r->last_octets - (size_t)position);
}

#pragma once
#include "redisurl.h"
#include "tlsio.h"
#include <hiredis/hiredis.h>

/*
 * dial - one blocking connection to one server of Redis: socket or TLS, commands out, answers in.
 *
 *   Layer   program (osbctl).
 *   Why     hiredis' own connections have no TLS; its parser and its formatter need none of theirs.
 *   Bounds  DIAL_TIMEOUT_MS for connecting and greeting, for sending, and for each answer; DIAL_ANSWER_OCTETS for one.
 *           What is sent waits in DIAL_OUT_OCTETS until that is full or an answer is asked for.
 *   Fails   every function: false, ${why} says what happened; the connection is then of no more use.
 */
#define DIAL_TIMEOUT_MS    5000
#define DIAL_OUT_OCTETS    ((size_t)64 << 10)
#define DIAL_ANSWER_OCTETS ((size_t)64 << 20)
#define DIAL_WHY           160

/* It stays at its place from dial_open() to dial_close(). */
struct dial {
    int fd; /* -1: none */
    struct tlsio tls;
    redisReader *reader;
    uint8_t *out;
    size_t out_len;
    size_t answer_octets; /* of the answer that is coming in */
    char why[DIAL_WHY];
};

/*
 * dial_open(d, unix_path, place, tls): connect, and with ${tls} shake hands: ${place}'s name is verified.
 *   Takes   unix_path  "": ${place} it is. tls  NULL: plain.
 *   Fails   ${d}->why is set, and there is nothing to close.
 */
bool dial_open(struct dial *d, const char *unix_path, const struct redis_place *place, SSL_CTX *tls) CHECKED;

/* dial_close(d): harmless twice; what waited to be sent is wiped, for it may have held a password. */
void dial_close(struct dial *d);

/* dial_send(d, octets): a command that redisFormatCommandArgv() made. */
bool dial_send(struct dial *d, struct slice octets) CHECKED;

/* dial_take(d, out): the next answer, which is the caller's (freeReplyObject); it may be an error's. */
bool dial_take(struct dial *d, redisReply **out) CHECKED;

/* dial_ask(d, words, n, out): both. */
bool dial_ask(struct dial *d, const struct slice *words, size_t n, redisReply **out) CHECKED;

/* command_format(words, n): for dial_send(); to be freed by command_free(), which wipes. */
struct slice command_format(const struct slice *words, size_t n);
void command_free(struct slice octets);

#pragma once
#include "buf.h"
#include "fault.h"
#include "slice.h"

/*
 * msg - the one model of a message: head, body octets, trailers, end.
 *
 *   Layer   codec.
 *   Why     h1 and h2 both turn octets into it and back, so any client protocol meets any upstream protocol, and every
 *           rule is written once.
 *   Bounds  MSG_FIELDS_MAX fields. Slices are borrowed from the buffer that the head was read from.
 *
 * A head holds end-to-end fields only. What belongs to one hop (Connection and what it names, Keep-Alive,
 * Proxy-Connection, TE, Transfer-Encoding, Upgrade, HTTP2-Settings), Host and Content-Length are taken out by the reader,
 * are said by the members below, and are written anew by the writer.
 */
#define MSG_FIELDS_MAX 256

enum field_id {
#define FIELD(id, name, traits) FIELD_##id,
#include "field.def"
#undef FIELD
    FIELD_COUNT
};

/* Traits of a field, as bits. */
enum {
    TRAIT_HOP = 1,        /* of one hop: never forwarded */
    TRAIT_FIXED = 2,      /* no token is replaced in it (contract section 3) */
    TRAIT_NO_TRAILER = 4, /* refused in a trailer section (RFC 9110 s.6.5.1) */
    TRAIT_DIGEST = 8,     /* dropped from a request whose body was changed */
    TRAIT_GUARDED = 16,   /* end-to-end although Connection may name it: naming it is refused */
    TRAIT_DETOUR = 64,    /* of a response: would lead the client to where no redirect reaches (RFC 7838) */
    TRAIT_MEMBER = 32,    /* a member of head says it: never in head.field */
    TRAIT_PART = 128,     /* of a request: asks for a part of an answer */
    TRAIT_ACCEPTS = 256,  /* of a request: names the codings that the answer may have */
    TRAIT_CODING = 512,   /* names the coding that the body has */
    TRAIT_EXTENDS = 1024  /* agrees that a WebSocket's frames mean something else (RFC 6455 s.9) */
};

struct field {
    struct slice name, value;
    enum field_id id; /* FIELD_OTHER: not one that we know */
    bool sensitive;   /* holds a value: HPACK must never index it */
};

enum body_kind {
    BODY_NONE,
    BODY_LENGTH, /* exactly head.length octets */
    BODY_STREAM  /* until the stream says so: chunked, close-delimited, DATA frames */
};

struct head {
    /* request */
    struct slice method, target; /* target in origin-form, or "*" */
    struct slice authority;      /* Host or :authority as sent; empty: none */
    struct slice scheme;         /* absolute-form or :scheme; empty where the form had none */
    bool target_sensitive;       /* the target holds a value: HPACK must never index it */
    /* response */
    int status;
    struct slice reason; /* h1 only */
    /* both */
    struct field field[MSG_FIELDS_MAX];
    size_t fields;
    enum body_kind body;
    uint64_t length; /* of BODY_LENGTH */
    bool expect_continue;
    bool te_trailers; /* the client said that it reads trailers */
    bool upgrade;     /* asked for another protocol; not granted: goes on without */
    bool websocket;   /* h1: asked for this one, as RFC 6455 s.4.1 has it; or, of a 101: granted */
    bool close;       /* the hop ends after this exchange */
    uint8_t minor;    /* h1: 0 or 1 */
};

/* head_begin(h): an empty head, at the cost of its members alone: the array is not touched. */
void head_begin(struct head *h);

/* HEAD_UNSET: for a head on the stack of a path that runs per message. The compiler would clear its 10 KiB each time;
 * head_begin, which every reader calls first, sets all that is read without being written. */
#define HEAD_UNSET __attribute__((uninitialized))

/* field_identify(name): which field it is, any case. Costs one look at the few of the same length. */
enum field_id field_identify(struct slice name);

struct field_row {
    struct slice name; /* lower case */
    unsigned traits;
};
extern const struct field_row field_table[FIELD_COUNT];

/* head_find(h, id): the first field of this id, NULL if none. head_count(h, id): how many. */
const struct field *head_find(const struct head *h, enum field_id id);
size_t head_count(const struct head *h, enum field_id id);

/* head_value(h, id): the value of the first field of this id, empty if there is none. */
struct slice head_value(const struct head *h, enum field_id id);

/* head_add(h, id, value): append a field that we know. Fails FAULT_HEAD_TOO_LARGE. */
enum fault head_add(struct head *h, enum field_id id, struct slice value) CHECKED;

/* head_remove(h, trait): take out all fields with one of these traits. */
void head_remove(struct head *h, unsigned traits);

/* head_copy(to, from): the fields in use only; slices are shared. */
void head_copy(struct head *to, const struct head *from);

/* What an octet may be part of, as bits of msg_octet_class. */
enum {
    OCTET_TCHAR = 1,    /* of a token (RFC 9110 s.5.6.2) */
    OCTET_VALUE = 2,    /* of a field's value: no control but HTAB */
    OCTET_TARGET = 4,   /* of a request-target: visible ASCII that RFC 3986 knows, no fragment */
    OCTET_AUTHORITY = 8 /* of a host and a port (RFC 3986 s.3.2.2): so no userinfo */
};
extern const uint8_t msg_octet_class[256];

/* octets_are(s, class): every octet of ${s} is of this class; true of none. */
static inline bool octets_are(struct slice s, unsigned class)
{
    unsigned all = class;

    for (size_t i = 0; i < s.len; i++)
        all &= msg_octet_class[s.at[i]];
    return all == class;
}

/* octets_are_lower(s): no letter of ${s} is upper-case, as HTTP/2 wants names (RFC 9113 s.8.2.1). */
static inline bool octets_are_lower(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if (octet_lower(s.at[i]) != s.at[i])
            return false;
    return true;
}

/* head_save(h, into): copy what ${h}'s slices point to into ${into} (closed; opened here, the caller closes it), and point
 * them there: for a head that must outlive its stream's buffer. Fails FAULT_NO_MEMORY. */
enum fault head_save(struct head *h, struct buf *into) CHECKED;

/* Grammar shared by h1 and h2 (RFC 9110 s.5.1, s.5.5): a name of tchars; a value without NUL, CR, LF or other controls
 * than HTAB, no blank at either end. */
bool field_name_ok(struct slice name);
bool field_value_ok(struct slice value);

#include "plan.h"

/* Media types whose octets are never text; by prefix, lower case (contract section 3). */
static const char *const binary_types[] = {
    "image/",
    "audio/",
    "video/",
    "font/",
    "application/octet-stream",
    "application/zip",
    "application/gzip",
    "application/x-gzip",
    "application/x-tar",
    "application/pdf",
    "application/protobuf",
    "application/x-protobuf",
    "application/vnd.google.protobuf",
    "application/grpc",
    "application/wasm",
};

static bool type_is_binary(struct slice type)
{
    for (size_t i = 0; i < sizeof binary_types / sizeof *binary_types; i++) {
        struct slice prefix = slice_text(binary_types[i]);

        if (slice_equal_nocase(slice_first(type, prefix.len), prefix))
            return true;
    }
    return false;
}

static bool is_text(const struct head *request)
{
    const struct field *type = head_find(request, FIELD_CONTENT_TYPE);
    const struct field *coding = head_find(request, FIELD_CONTENT_ENCODING);

    if (coding && !slice_equal_nocase(coding->value, SLICE("identity")))
        return false;
    return !type || !type_is_binary(type->value);
}

enum body_plan plan_body(const struct head *request, unsigned places, bool block, size_t body_memory)
{
    bool wanted = block || places & (1u << PLACE_BODY | 1u << PLACE_FIELD);

    if (request->body == BODY_NONE || (request->body == BODY_LENGTH && request->length == 0))
        return PLAN_NONE;
    if (!wanted || !is_text(request))
        return PLAN_VERBATIM;
    if (request->body == BODY_STREAM)
        return PLAN_STREAM;
    return request->length <= body_memory ? PLAN_COUNT : PLAN_VERBATIM;
}

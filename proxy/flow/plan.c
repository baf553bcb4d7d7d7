#include "plan.h"

#define TEXT(text)                                \
    {                                             \
        (const uint8_t *)(text), sizeof(text) - 1 \
    }

/* Media types whose octets are never text (contract section 3): by prefix, lower case. */
static const struct slice binary_types[] = {TEXT("image/"), TEXT("audio/"), TEXT("video/"), TEXT("font/")};
static const struct slice binary_applications[] = {
    TEXT("octet-stream"),
    TEXT("zip"),
    TEXT("gzip"),
    TEXT("x-gzip"),
    TEXT("x-tar"),
    TEXT("pdf"),
    TEXT("protobuf"),
    TEXT("x-protobuf"),
    TEXT("grpc"),
    TEXT("wasm"),
    TEXT("vnd.google.protobuf"),
};

static bool starts_with_one(struct slice text, const struct slice *prefixes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (slice_equal_nocase(slice_first(text, prefixes[i].len), prefixes[i]))
            return true;
    return false;
}

static bool type_is_binary(struct slice type)
{
    const struct slice application = SLICE("application/");

    if (slice_equal_nocase(slice_first(type, application.len), application))
        return starts_with_one(slice_drop(type, application.len), binary_applications,
                               sizeof binary_applications / sizeof *binary_applications);
    return starts_with_one(type, binary_types, sizeof binary_types / sizeof *binary_types);
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

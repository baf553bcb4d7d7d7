#include "plan.h"
#include "coding.h"

static bool is_text(enum media media)
{
    return media != MEDIA_BINARY && media != MEDIA_GRPC;
}

enum body_plan plan_body(const struct head *request, enum media media, bool looks, uint64_t body_spool)
{
    if (request->body == BODY_NONE || (request->body == BODY_LENGTH && request->length == 0))
        return PLAN_NONE;
    if (!looks || !is_text(media))
        return PLAN_VERBATIM;
    enum coding coding = head_coding(request);

    if (coding == CODING_UNKNOWN)
        return PLAN_VERBATIM;
    if (request->body == BODY_LENGTH && request->length > body_spool)
        return PLAN_VERBATIM;
    if (coding != CODING_IDENTITY)
        return PLAN_OPEN;
    return request->body == BODY_STREAM ? PLAN_STREAM : PLAN_COUNT;
}

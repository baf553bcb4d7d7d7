#include "reason.h"

/* By class and number; the gaps are not registered. */
static const char *const continues[] = {"Continue", [3] = "Early Hints"};
static const char *const succeeds[] = {"OK",
                                       "Created",
                                       "Accepted",
                                       "Non-Authoritative Information",
                                       "No Content",
                                       "Reset Content",
                                       "Partial Content",
                                       "Multi-Status",
                                       "Already Reported",
                                       [26] = "IM Used"};
static const char *const redirects[] = {
    "Multiple Choices",         "Moved Permanently", "Found", "See Other", "Not Modified", "Use Proxy",
    [7] = "Temporary Redirect", "Permanent Redirect"};
static const char *const blames_client[] = {"Bad Request",
                                            "Unauthorized",
                                            "Payment Required",
                                            "Forbidden",
                                            "Not Found",
                                            "Method Not Allowed",
                                            "Not Acceptable",
                                            "Proxy Authentication Required",
                                            "Request Timeout",
                                            "Conflict",
                                            "Gone",
                                            "Length Required",
                                            "Precondition Failed",
                                            "Content Too Large",
                                            "URI Too Long",
                                            "Unsupported Media Type",
                                            "Range Not Satisfiable",
                                            "Expectation Failed",
                                            [21] = "Misdirected Request",
                                            "Unprocessable Content",
                                            "Locked",
                                            "Failed Dependency",
                                            "Too Early",
                                            "Upgrade Required",
                                            [28] = "Precondition Required",
                                            "Too Many Requests",
                                            [31] = "Request Header Fields Too Large",
                                            [51] = "Unavailable For Legal Reasons"};
static const char *const blames_server[] = {"Internal Server Error",
                                            "Not Implemented",
                                            "Bad Gateway",
                                            "Service Unavailable",
                                            "Gateway Timeout",
                                            "HTTP Version Not Supported",
                                            "Variant Also Negotiates",
                                            "Insufficient Storage",
                                            "Loop Detected",
                                            [11] = "Network Authentication Required"};

#define CLASS(phrases)                               \
    {                                                \
        phrases, sizeof(phrases) / sizeof *(phrases) \
    }

struct slice reason_of(int status)
{
    static const struct {
        const char *const *phrase;
        size_t count;
    } classes[] = {{NULL, 0},        CLASS(continues),     CLASS(succeeds),
                   CLASS(redirects), CLASS(blames_client), CLASS(blames_server)};
    size_t class = (size_t)(status / 100), number = (size_t)(status % 100);

    if (status < 0 || class >= sizeof classes / sizeof *classes || number >= classes[class].count)
        return SLICE_NONE;
    return slice_text(classes[class].phrase[number]);
}

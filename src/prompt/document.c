/*
 * A text that has to be one JSON object, and why it is none.
 */
#include "check.h"

#include "seedancefs/base/err.h"
#include "seedancefs/base/text.h"

#include <stdio.h>
#include <string.h>

const struct json_limits document_limits = {
    .max_bytes = PROMPT_BYTES_MAX,
    .max_depth = 32,
    .max_nodes = 4096,
};

/* Turns the result of json_parse() into the words of the report. */
static int report_json(struct prompt_report *report, int code, const struct json_error *error)
{
    char sentence[sizeof(error->sentence) + 32];
    (void)snprintf(sentence, sizeof(sentence), "%s.", error->sentence);
    switch (code) {
    case -ERR_JSON_INCOMPLETE:
        return report_one(report, "incomplete", error, sentence, code);
    case -ERR_JSON_SYNTAX:
        return report_one(report, "syntax", error, sentence, -ERR_PROMPT_INVALID);
    case -ERR_JSON_LIMIT:
        return report_one(report, "limit", error, sentence, -ERR_PROMPT_INVALID);
    default:
        return code;
    }
}

static const char byte_order_mark[] = "\xef\xbb\xbf";
enum { MARK_BYTES = sizeof(byte_order_mark) - 1 };

size_t prompt_mark_bytes(const char *bytes, size_t len)
{
    return len >= MARK_BYTES && memcmp(bytes, byte_order_mark, MARK_BYTES) == 0 ? MARK_BYTES : 0;
}

/* Of a byte order mark that is still being written. */
static bool is_half_mark(const char *bytes, size_t len)
{
    return len < MARK_BYTES && memcmp(bytes, byte_order_mark, len) == 0;
}

/* Text that is not an object is refused at its first byte. True when `bytes` begin with something
 * else. */
static bool is_no_object(const char *bytes, size_t len, struct json_error *place)
{
    size_t at = 0;
    while (at < len && memchr(" \t\r\n", bytes[at], 4))
        at++;
    text_place_find(bytes, at, &place->line, &place->column);
    return at < len && bytes[at] != '{';
}

int document_parse(const char *bytes, size_t len, const char *example,
                   struct json_document **document, struct prompt_report *report)
{
    struct json_error error;
    size_t mark = prompt_mark_bytes(bytes, len);
    bytes += mark;
    len -= mark;
    if (is_half_mark(bytes, len))
        len = 0;
    if (is_no_object(bytes, len, &error)) {
        char sentence[256];
        (void)snprintf(sentence, sizeof(sentence), "must be one JSON object, as in %s.", example);
        return report_one(report, "type", &error, sentence, -ERR_PROMPT_INVALID);
    }
    int r = json_parse(bytes, len, &document_limits, document, &error);
    return r < 0 ? report_json(report, r, &error) : 0;
}

/*
 * Retry-After, alone or beside a Date: line 1 of the input is the value, line 2 the Date. A wait is
 * never negative, never more than an hour, and a number of seconds is exactly that.
 */
#include "fuzz.h"

#include "seedancefs/net/http.h"

#define WALL_MS INT64_C(1795420800000) /* 2026-11-23T08:00:00Z */

enum { WAIT_MAX_MS = 3600 * 1000 };

static void line_copy(struct fuzz_reader *reader, char *out, size_t room)
{
    size_t len = 0;
    const uint8_t *end = reader->left ? memchr(reader->at, '\n', reader->left) : NULL;
    size_t line = end ? (size_t)(end - reader->at) : reader->left;
    const uint8_t *text = fuzz_take_span(reader, line, &len);
    if (end)
        (void)fuzz_take_byte(reader);
    if (len >= room)
        len = room - 1;
    if (len > 0)
        memcpy(out, text, len);
    out[len] = '\0';
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_reader reader = {data, size};
    struct http_response response = {.status = 429, .content_length = -1};
    line_copy(&reader, response.retry_after, sizeof(response.retry_after));
    line_copy(&reader, response.date, sizeof(response.date));
    int64_t wait_ms = http_retry_after_ms(&response, WALL_MS);
    FUZZ_REQUIRE(wait_ms >= -1 && wait_ms <= WAIT_MAX_MS, "%lld ms for \"%s\"", (long long)wait_ms,
                 response.retry_after);

    const char *text = response.retry_after;
    size_t digits = strspn(text, "0123456789");
    if (digits > 0 && text[digits] == '\0') {
        double seconds = strtod(text, NULL);
        int64_t expected = seconds < 3600 ? (int64_t)seconds * 1000 : WAIT_MAX_MS;
        FUZZ_REQUIRE(wait_ms == expected, "%lld ms for \"%s\"", (long long)wait_ms, text);
    } else if (!strchr("MTWFS", text[0]) || text[0] == '\0') {
        FUZZ_REQUIRE(wait_ms == -1, "%lld ms for the junk \"%s\"", (long long)wait_ms, text);
    }
    return 0;
}

#include "net/http_head.h"

#include "seedancefs/base/err.h"
#include "seedancefs/base/number.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { RETRY_AFTER_MAX_MS = 3600 * 1000 };

#define DATE_MAX_S INT64_C(253402300799) /* the year of an HTTP-date has four digits */

struct span {
    const char *text;
    size_t len;
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* A token of RFC 9110, section 5.6.2. */
static bool is_token_char(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c));
}

static bool span_is(struct span span, const char *word)
{
    return span.len == strlen(word) && strncasecmp(span.text, word, span.len) == 0;
}

/* Cuts a value that is too long: no rule looks at the end of such a value. */
static void span_copy(struct span span, char *out, size_t size)
{
    size_t len = min_size(span.len, size - 1);
    memcpy(out, span.text, len);
    out[len] = '\0';
}

static int take_status_line(struct http_head *head, struct span line,
                            struct http_response *response)
{
    if (line.len < 5 || strncmp(line.text, "HTTP/", 5) != 0)
        return -ERR_HTTP_MALFORMED;
    const char *blank = memchr(line.text, ' ', line.len);
    size_t left = blank ? line.len - (size_t)(blank - line.text) : 0;
    if (left < 4 || !is_digit(blank[1]) || !is_digit(blank[2]) || !is_digit(blank[3]) ||
        (left > 4 && blank[4] != ' '))
        return -ERR_HTTP_MALFORMED;
    int status = (blank[1] - '0') * 100 + (blank[2] - '0') * 10 + (blank[3] - '0');
    /* 101 changes the protocol, which was not requested. */
    if (status < 100 || status > 599 || status == 101)
        return -ERR_HTTP_MALFORMED;
    head->is_interim = status < 200;
    if (!head->is_interim)
        response->status = status;
    head->place = HTTP_HEAD_FIELDS;
    return 0;
}

static int take_content_length(struct http_head *head, struct span value,
                               struct http_response *response)
{
    int64_t length = 0;
    if (value.len == 0 || value.len > 18)
        return -ERR_HTTP_MALFORMED;
    for (size_t i = 0; i < value.len; i++) {
        if (!is_digit(value.text[i]))
            return -ERR_HTTP_MALFORMED;
        length = length * 10 + (value.text[i] - '0');
    }
    if (head->has_content_length && response->content_length != length)
        return -ERR_HTTP_MALFORMED;
    head->has_content_length = true;
    response->content_length = length;
    return 0;
}

static int take_transfer_encoding(struct http_head *head, struct span value)
{
    /* libcurl would also decode a gzip that was not requested. */
    if (!span_is(value, "chunked") && !span_is(value, "identity"))
        return -ERR_HTTP_MALFORMED;
    head->is_chunked = head->is_chunked || span_is(value, "chunked");
    return 0;
}

struct text_field {
    const char *name;
    size_t offset;
    size_t size;
};

#define TEXT_FIELD(name, member)                                                                   \
    {                                                                                              \
        name, offsetof(struct http_response, member), sizeof(((struct http_response *)0)->member)  \
    }

static const struct text_field text_fields[] = {
    TEXT_FIELD("Content-Range", content_range),
    TEXT_FIELD("Content-Type", content_type),
    TEXT_FIELD("ETag", etag),
    TEXT_FIELD("Location", location),
    TEXT_FIELD("Retry-After", retry_after),
    TEXT_FIELD("Date", date),
    TEXT_FIELD("X-Request-Id", request_id),
    TEXT_FIELD("X-Tt-Logid", request_id),
    TEXT_FIELD("X-Tos-Request-Id", request_id),
};

static int take_text_field(struct http_head *head, struct span name, struct span value,
                           struct http_response *response)
{
    for (size_t i = 0; i < ARRAY_COUNT(text_fields); i++) {
        const struct text_field *field = &text_fields[i];
        if (!span_is(name, field->name))
            continue;
        char *out = (char *)response + field->offset;
        /* A cut Location would lead elsewhere. Two Content-Ranges name no range, even if the
         * first is empty. */
        bool *has_one = out == response->location        ? &head->has_location
                        : out == response->content_range ? &response->has_content_range
                                                         : NULL;
        if (has_one && (*has_one || value.len >= field->size))
            return -ERR_HTTP_MALFORMED;
        if (has_one)
            *has_one = true;
        if (out[0] == '\0')
            span_copy(value, out, field->size);
    }
    return 0;
}

static int take_field(struct http_head *head, struct span line, struct http_response *response)
{
    /* A line that begins with a blank has no name. Obsolete folding (RFC 9112, section 5.2) could
     * continue a Content-Encoding, and no real server sends it. From 8.18 on libcurl joins such lines
     * before we see them. */
    size_t name_len = 0;
    while (name_len < line.len && is_token_char(line.text[name_len]))
        name_len++;
    if (name_len == 0 || name_len == line.len || line.text[name_len] != ':')
        return -ERR_HTTP_MALFORMED;
    struct span name = {line.text, name_len};
    struct span value = {line.text + name_len + 1, line.len - name_len - 1};
    while (value.len > 0 && (value.text[0] == ' ' || value.text[0] == '\t')) {
        value.text++;
        value.len--;
    }
    while (value.len > 0 && (value.text[value.len - 1] == ' ' || value.text[value.len - 1] == '\t'))
        value.len--;
    if (head->is_interim)
        return 0;
    if (span_is(name, "Content-Length"))
        return take_content_length(head, value, response);
    if (span_is(name, "Transfer-Encoding"))
        return take_transfer_encoding(head, value);
    if (span_is(name, "Content-Encoding"))
        return value.len == 0 || span_is(value, "identity") ? 0 : -ERR_HTTP_MALFORMED;
    return take_text_field(head, name, value, response);
}

static int end_head(struct http_head *head, struct http_response *response)
{
    if (head->is_interim) {
        head->place = HTTP_HEAD_STATUS;
        return 0;
    }
    /* RFC 9112, section 6.3: chunks give the length; Content-Length is ignored. */
    if (head->is_chunked)
        response->content_length = -1;
    head->place = HTTP_HEAD_BODY;
    return 1;
}

int http_head_line(struct http_head *head, const char *line, size_t len,
                   struct http_response *response)
{
    head->bytes += len;
    head->lines++;
    if (head->bytes > HTTP_HEAD_BYTES_MAX || head->lines > HTTP_HEAD_LINES_MAX)
        return -ERR_HTTP_MALFORMED;
    if (len > 0 && line[len - 1] == '\n')
        len--;
    if (len > 0 && line[len - 1] == '\r')
        len--;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)line[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return -ERR_HTTP_MALFORMED;
    }
    struct span span = {line, len};
    switch (head->place) {
    case HTTP_HEAD_STATUS:
        return take_status_line(head, span, response);
    case HTTP_HEAD_FIELDS:
        return len == 0 ? end_head(head, response) : take_field(head, span, response);
    case HTTP_HEAD_BODY: /* no trailer matters to us */
        break;
    }
    return 0;
}

/* Returns milliseconds; -1 when the text is no date. curl_getdate() accepts years of any length. */
static int64_t date_parse_ms(const char *text)
{
    time_t seconds = curl_getdate(text, NULL);
    return seconds < 0 || seconds > DATE_MAX_S ? -1 : (int64_t)seconds * 1000;
}

int64_t http_date_ms(const struct http_response *response)
{
    return response->date[0] ? date_parse_ms(response->date) : -1;
}

int64_t http_retry_after_ms(const struct http_response *response, int64_t wall_ms)
{
    const char *text = response->retry_after;
    int64_t wait_ms = 0;
    if (is_digit(text[0])) {
        for (const char *p = text; *p; p++) {
            if (!is_digit(*p))
                return -1;
            if (wait_ms <= RETRY_AFTER_MAX_MS)
                wait_ms = wait_ms * 10 + (int64_t)(*p - '0') * 1000;
        }
        return min_int64(wait_ms, RETRY_AFTER_MAX_MS);
    }
    /* Each form of HTTP-date (RFC 9110, section 5.6.7) begins with a weekday and contains a time of
     * day. curl_getdate() accepts more. */
    if (strspn(text, "MTWFS") == 0 || !strchr(text, ':'))
        return -1;
    int64_t until_ms = date_parse_ms(text);
    if (until_ms < 0)
        return -1;
    /* Both dates come from the server's clock, so ours may be wrong. */
    int64_t now_ms = http_date_ms(response);
    wait_ms = until_ms - (now_ms > 0 ? now_ms : wall_ms);
    return clamp_int64(wait_ms, 0, RETRY_AFTER_MAX_MS);
}

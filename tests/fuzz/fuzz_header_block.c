/*
 * The head of a response, line by line as libcurl hands it over. What is accepted is read a second
 * time here, in the plainest way, and must mean the same.
 */
#include "fuzz.h"

#include "net/http_head.h"
#include "seedancefs/base/err.h"

#include <strings.h>

struct line {
    const char *text;
    size_t len; /* with its line end */
};

static bool line_next(struct fuzz_reader *reader, struct line *line)
{
    if (reader->left == 0)
        return false;
    const uint8_t *end = memchr(reader->at, '\n', reader->left);
    size_t most = end ? (size_t)(end - reader->at) + 1 : reader->left;
    line->text = (const char *)fuzz_take_span(reader, most, &line->len);
    return true;
}

/* The value when the line is that field, else NULL. */
static const char *value_of(const struct line *line, const char *name, size_t *len)
{
    size_t name_len = strlen(name);
    if (line->len <= name_len || strncasecmp(line->text, name, name_len) != 0 ||
        line->text[name_len] != ':')
        return NULL;
    const char *value = line->text + name_len + 1;
    size_t left = line->len - name_len - 1;
    while (left > 0 && strchr(" \t", value[0])) {
        value++;
        left--;
    }
    while (left > 0 && strchr(" \t\r\n", value[left - 1]))
        left--;
    *len = left;
    return value;
}

/* One field of an accepted head. */
static void require_field(const struct line *line, const struct http_head *head,
                          const struct http_response *response)
{
    size_t len = 0;
    const char *value = value_of(line, "Content-Length", &len);
    if (value) {
        FUZZ_REQUIRE(len > 0 && len == strspn(value, "0123456789"), "junk as Content-Length");
        FUZZ_REQUIRE(head->is_chunked || response->content_length == strtoll(value, NULL, 10),
                     "two lengths, or another one");
    }
    value = value_of(line, "Content-Encoding", &len);
    FUZZ_REQUIRE(!value || len == 0 || (len == 8 && strncasecmp(value, "identity", len) == 0),
                 "an encoding nobody asked for");
    value = value_of(line, "Content-Range", &len);
    FUZZ_REQUIRE(!value || (strlen(response->content_range) == len &&
                            memcmp(response->content_range, value, len) == 0),
                 "two ranges, or a cut one");
    value = value_of(line, "Location", &len);
    FUZZ_REQUIRE(!value || (strlen(response->location) == len &&
                            memcmp(response->location, value, len) == 0),
                 "two places, or a cut one");
}

static void require_texts(const struct http_response *response)
{
    const char *texts[] = {response->content_range, response->content_type, response->etag,
                           response->location,      response->retry_after,  response->date,
                           response->request_id};
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        for (const char *p = texts[i]; *p; p++)
            FUZZ_REQUIRE((unsigned char)*p >= 0x20 || *p == '\t', "a control character in text %zu",
                         i);
    }
    FUZZ_REQUIRE(response->content_length >= -1, "a negative length");
    FUZZ_REQUIRE(response->content_range[0] == '\0' || response->has_content_range,
                 "a silent range");
}

/* The fields of the final head, which is the last one: interim heads end with an empty line,
 * too. */
static void require_head(const uint8_t *data, size_t used, const struct http_head *head,
                         const struct http_response *response)
{
    struct fuzz_reader reader = {data, used};
    struct line line;
    bool is_final = false;
    FUZZ_REQUIRE(response->status >= 200 && response->status <= 599, "status %d", response->status);
    FUZZ_REQUIRE(used <= HTTP_HEAD_BYTES_MAX, "%zu bytes", used);
    FUZZ_REQUIRE(memchr(data, '\0', used) == NULL, "a NUL");
    while (line_next(&reader, &line)) {
        if (line.len > 9 && strncmp(line.text, "HTTP/", 5) == 0) {
            const char *blank = memchr(line.text, ' ', line.len);
            is_final = is_final || (blank && blank[1] != '1');
        } else if (is_final) {
            require_field(&line, head, response);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_reader reader = {data, size};
    struct http_head head = {.place = HTTP_HEAD_STATUS};
    struct http_response response = {.content_length = -1};
    struct line line;
    int r = 0;
    while (r == 0 && line_next(&reader, &line)) {
        char *copy = fuzz_bytes((const uint8_t *)line.text, line.len);
        r = http_head_line(&head, copy, line.len, &response);
        free(copy);
        FUZZ_REQUIRE(r == 0 || r == 1 || r == -ERR_HTTP_MALFORMED, "result %d", r);
    }
    require_texts(&response);
    if (r == 1)
        require_head(data, size - reader.left, &head, &response);
    (void)http_retry_after_ms(&response, 0);
    return 0;
}

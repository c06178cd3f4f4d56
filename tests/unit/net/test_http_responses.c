/* Each response that is wrong as HTTP, and what becomes of it. */
#include "http_client.h"

#define OK_HEAD "HTTP/1.1 200 OK\r\n"

struct row {
    const char *name;
    struct raw_response response;
    int result;
    const char *body; /* what was delivered; NULL: anything */
};

static const char nul_in_header[] = OK_HEAD "X-A: a\0b\r\nContent-Length: 2\r\n\r\n{}";

static const struct row rows[] = {
    {"plain", {OK_HEAD "Content-Length: 2\r\n\r\n{}", 0, RAW_CLOSE}, 0, "{}"},
    {"until the end", {OK_HEAD "\r\n{}", 0, RAW_CLOSE}, 0, "{}"},
    {"chunks",
     {OK_HEAD "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n", 0, RAW_KEEP},
     0,
     "{}"},
    {"a trailer",
     {OK_HEAD "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nContent-Length: 9\r\n\r\n", 0,
      RAW_KEEP},
     0,
     "{}"},
    {"no body", {"HTTP/1.1 204 No Content\r\n\r\n", 0, RAW_KEEP}, 0, ""},
    {"empty body", {OK_HEAD "Content-Length: 0\r\n\r\n", 0, RAW_KEEP}, 0, ""},
    {"interim heads",
     {"HTTP/1.1 100 Continue\r\nContent-Length: 9\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n" OK_HEAD
      "Content-Length: 2\r\n\r\n{}",
      0, RAW_KEEP},
     0,
     "{}"},
    {"identity",
     {OK_HEAD "Content-Encoding: identity\r\nContent-Length: 2\r\n\r\n{}", 0, RAW_KEEP},
     0,
     "{}"},
    {"equal lengths",
     {OK_HEAD "Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}", 0, RAW_KEEP},
     0,
     "{}"},
    {"closed before the response", {"", 0, RAW_CLOSE}, -ERR_HTTP_BROKEN, ""},
    {"reset before the response", {"", 0, RAW_RESET}, -ERR_HTTP_BROKEN, ""},
    {"closed in the status line", {"HTTP/1.1 2", 0, RAW_CLOSE}, -ERR_HTTP_BROKEN, ""},
    {"closed in the head", {OK_HEAD "Content-Le", 0, RAW_CLOSE}, -ERR_HTTP_BROKEN, ""},
    {"reset in the head", {OK_HEAD "Content-Le", 0, RAW_RESET}, -ERR_HTTP_BROKEN, ""},
    {"closed after the head",
     {OK_HEAD "Content-Length: 2\r\n\r\n", 0, RAW_CLOSE},
     -ERR_HTTP_BROKEN,
     ""},
    {"closed in the body",
     {OK_HEAD "Content-Length: 3\r\n\r\n{}", 0, RAW_CLOSE},
     -ERR_HTTP_BROKEN,
     "{}"},
    {"reset in the body",
     {OK_HEAD "Content-Length: 3\r\n\r\n{}", 0, RAW_RESET},
     -ERR_HTTP_BROKEN,
     NULL},
    {"closed in the chunks",
     {OK_HEAD "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", 0, RAW_CLOSE},
     -ERR_HTTP_BROKEN,
     NULL},
    {"a bad chunk",
     {OK_HEAD "Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n", 0, RAW_KEEP},
     -ERR_HTTP_BROKEN,
     ""},
    {"more than its length",
     {OK_HEAD "Content-Length: 2\r\n\r\n{}more", 0, RAW_KEEP},
     -ERR_HTTP_MALFORMED,
     ""},
    {"more than no body",
     {OK_HEAD "Content-Length: 0\r\n\r\nmore", 0, RAW_KEEP},
     -ERR_HTTP_MALFORMED,
     ""},
    {"more than its length, then the end",
     {OK_HEAD "Content-Length: 2\r\n\r\n{}more", 0, RAW_CLOSE},
     -ERR_HTTP_MALFORMED,
     ""},
    {"different lengths",
     {OK_HEAD "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", 0, RAW_KEEP},
     -ERR_HTTP_MALFORMED,
     ""},
    {"a negative length",
     {OK_HEAD "Content-Length: -2\r\n\r\n{}", 0, RAW_KEEP},
     -ERR_HTTP_MALFORMED,
     ""},
    {"a length of junk",
     {OK_HEAD "Content-Length: two\r\n\r\n{}", 0, RAW_KEEP},
     -ERR_HTTP_MALFORMED,
     ""},
    {"a list of lengths",
     {OK_HEAD "Content-Length: 2, 2\r\n\r\n{}", 0, RAW_KEEP},
     -ERR_HTTP_MALFORMED,
     ""},
    {"a length beyond int64",
     {OK_HEAD "Content-Length: 99999999999999999999\r\n\r\n{}", 0, RAW_KEEP},
     -ERR_HTTP_MALFORMED,
     ""},
    {"a length beyond the limit",
     {OK_HEAD "Content-Length: 999999999999\r\n\r\n{}", 0, RAW_KEEP},
     -ERR_HTTP_TOO_LARGE,
     ""},
    {"gzip",
     {OK_HEAD "Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}", 0, RAW_KEEP},
     -ERR_HTTP_MALFORMED,
     ""},
    {"gzip as transfer encoding",
     {OK_HEAD "Transfer-Encoding: gzip\r\n\r\n{}", 0, RAW_CLOSE},
     -ERR_HTTP_MALFORMED,
     ""},
    {"NUL in a header",
     {nul_in_header, sizeof(nul_in_header) - 1, RAW_KEEP},
     -ERR_HTTP_MALFORMED,
     ""},
    {"CR in a header",
     {OK_HEAD "X-A: a\rb\r\nContent-Length: 2\r\n\r\n{}", 0, RAW_KEEP},
     -ERR_HTTP_MALFORMED,
     ""},
    {"a header without a colon",
     {OK_HEAD "X-A\r\nContent-Length: 2\r\n\r\n{}", 0, RAW_KEEP},
     -ERR_HTTP_MALFORMED,
     ""},
    {"a blank before the colon",
     {OK_HEAD "Content-Length : 2\r\n\r\n{}", 0, RAW_KEEP},
     -ERR_HTTP_MALFORMED,
     ""},
    {"no status line", {"{\"id\":\"cgt-1\"}\r\n\r\n", 0, RAW_CLOSE}, -ERR_HTTP_MALFORMED, ""},
    {"a bad status", {"HTTP/1.1 99999 Wow\r\n\r\n", 0, RAW_CLOSE}, -ERR_HTTP_MALFORMED, ""},
    {"another protocol",
     {"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n", 0, RAW_CLOSE},
     -ERR_HTTP_MALFORMED,
     ""},
};

static int run_response(struct client *client, const struct raw_response *response)
{
    static struct raw_server server;
    raw_server_start(&server, response, 1);
    client_init(client, server.port);
    client->request.is_single_attempt = true;
    client->request.method = HTTP_POST;
    client->request.body = "{}";
    client->request.body_len = 2;
    client->request.content_type = "application/json";
    int result = client_run(client);
    assert_int_equal(atomic_load(&server.requests), 1);
    raw_server_stop(&server);
    return result;
}

static void test_http_answers__each_response_has_its_result(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct client client;
        int result = run_response(&client, &rows[i].response);
        if (result != rows[i].result)
            fail_msg("%s: %s, not %s", rows[i].name, err_name(result), err_name(rows[i].result));
        if (rows[i].body && strcmp(buf_text(&client.body), rows[i].body) != 0)
            fail_msg("%s: delivered '%s'", rows[i].name, buf_text(&client.body));
        assert_int_equal(client.response.body_bytes, client.body.len);
        assert_true(client.response.is_sent);
        client_fini(&client);
    }
}

/* Newer versions of libcurl join the lines before we see them (RFC 9112, section 5.2); older ones
 * do not, and we refuse such a head. Either way nothing is hidden from us. */
static void test_http_answers__a_folded_header_hides_nothing(void **state)
{
    static const struct raw_response harmless = {
        OK_HEAD "X-A: a\r\n b\r\nContent-Length: 2\r\n\r\n{}", 0, RAW_KEEP};
    static const struct raw_response responses[] = {
        {OK_HEAD "Content-Encoding: identity\r\n gzip\r\nContent-Length: 2\r\n\r\n{}", 0, RAW_KEEP},
        {OK_HEAD "Content-Encoding:\r\n\tgzip\r\nContent-Length: 2\r\n\r\n{}", 0, RAW_KEEP},
        {OK_HEAD "Transfer-Encoding:\r\n gzip\r\n\r\n{}", 0, RAW_CLOSE},
        {OK_HEAD "Content-Length: 2\r\n 3\r\n\r\n{}", 0, RAW_KEEP},
        {OK_HEAD "Content-Length: 2\r\nContent-Length:\r\n 3\r\n\r\n{}", 0, RAW_KEEP},
    };
    struct client client;
    char version[HTTP_VERSION_SIZE];
    (void)state;
    http_library_version(version);
    assert_int_equal(run_response(&client, &harmless),
                     strverscmp(version, "libcurl 8.18") >= 0 ? 0 : -ERR_HTTP_MALFORMED);
    client_fini(&client);
    for (size_t i = 0; i < ARRAY_COUNT(responses); i++) {
        assert_int_equal(run_response(&client, &responses[i]), -ERR_HTTP_MALFORMED);
        assert_int_equal(client.body.len, 0);
        client_fini(&client);
    }
}

/* Builds a response whose head is `count` times `line`. */
static struct raw_response long_head(struct buf *out, const char *line, size_t count,
                                     const char *tail)
{
    buf_init(out, 64 << 20);
    (void)buf_add_text(out, OK_HEAD);
    for (size_t i = 0; i < count; i++)
        (void)buf_add_text(out, line);
    (void)buf_add_text(out, tail);
    assert_int_equal(out->error, 0);
    return (struct raw_response){out->data, out->len, RAW_CLOSE};
}

static void test_http_answers__a_head_has_a_size_and_a_count(void **state)
{
    (void)state;
    static const char tail[] = "\r\nContent-Length: 2\r\n\r\n{}";
    char line_4k[4097];
    memset(line_4k, 'a', sizeof(line_4k) - 3);
    memcpy(line_4k, "X-A: ", 5);
    memcpy(line_4k + sizeof(line_4k) - 3, "\r\n", 3);
    const struct {
        const char *line;
        size_t count;
        const char *tail;
        int result;
    } cases[] = {
        {"X-A: b\r\n", 197, "Content-Length: 2\r\n\r\n{}", 0},
        {"X-A: b\r\n", 198, "Content-Length: 2\r\n\r\n{}", -ERR_HTTP_MALFORMED},
        {"X-A: b\r\n", 100000, "Content-Length: 2\r\n\r\n{}", -ERR_HTTP_MALFORMED},
        {line_4k, 15, "Content-Length: 2\r\n\r\n{}", 0},
        {line_4k, 16, "Content-Length: 2\r\n\r\n{}", -ERR_HTTP_MALFORMED},
        {"X-Long:aaaaaaaaa", 1, tail, 0},
        {"X-Long:aaaaaaaaa", 65536, tail, -ERR_HTTP_MALFORMED}, /* one line of 1 MB */
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct client client;
        struct buf bytes;
        struct raw_response response =
            long_head(&bytes, cases[i].line, cases[i].count, cases[i].tail);
        int result = run_response(&client, &response);
        if (result != cases[i].result)
            fail_msg("row %zu: %s", i, err_name(result));
        client_fini(&client);
        buf_fini(&bytes);
    }
}

static void test_http_answers__a_body_beyond_the_limit_is_not_delivered(void **state)
{
    (void)state;
    struct buf bytes;
    buf_init(&bytes, 64 << 20);
    (void)buf_add_text(&bytes, OK_HEAD "\r\n");
    for (int i = 0; i < (2 << 20) / 16; i++)
        (void)buf_add_text(&bytes, "0123456789abcdef");
    struct raw_response response = {bytes.data, bytes.len, RAW_CLOSE};
    struct client client;
    assert_int_equal(run_response(&client, &response), -ERR_HTTP_TOO_LARGE);
    assert_true(client.body.len <= client.request.body_limit);
    client_fini(&client);
    buf_fini(&bytes);
}

static void test_http_answers__the_head_is_told_before_the_body(void **state)
{
    (void)state;
    static const struct raw_response response = {
        "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-1/10\r\nContent-Type: video/mp4\r\n"
        "ETag: \"abc\"\r\nRetry-After: 7\r\nDate: Mon, 23 Nov 2026 08:00:00 GMT\r\n"
        "X-Tos-Request-Id: r-1\r\nLocation: /x\r\nContent-Length: 2\r\n\r\nhi",
        0, RAW_CLOSE};
    struct client client;
    assert_int_equal(run_response(&client, &response), 0);
    assert_int_equal(client.heads, 1);
    assert_int_equal(client.response.status, 206);
    assert_int_equal(client.response.content_length, 2);
    assert_true(client.response.has_content_range);
    assert_string_equal(client.response.content_range, "bytes 0-1/10");
    assert_string_equal(client.response.content_type, "video/mp4");
    assert_string_equal(client.response.etag, "\"abc\"");
    assert_string_equal(client.response.retry_after, "7");
    assert_string_equal(client.response.date, "Mon, 23 Nov 2026 08:00:00 GMT");
    assert_string_equal(client.response.request_id, "r-1");
    assert_string_equal(client.response.location, "/x");
    client_fini(&client);
}

/* RFC 9112, section 6.3: what comes behind a body belongs to nobody, least of all to the next
 * request. */
static void test_http_answers__more_than_its_length_is_dropped_with_the_connection(void **state)
{
    (void)state;
    static const struct raw_response responses[] = {
        {OK_HEAD "Content-Length: 2\r\n\r\n{}HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
         0, RAW_KEEP},
        {OK_HEAD "Content-Length: 2\r\n\r\n[]", 0, RAW_KEEP}};
    static struct raw_server server;
    struct client client;
    raw_server_start(&server, responses, 2);
    client_init(&client, server.port);
    assert_int_equal(client_run(&client), 0);
    assert_string_equal(buf_text(&client.body), "{}");
    assert_int_equal(client_run(&client), 0);
    assert_string_equal(buf_text(&client.body), "{}[]");
    assert_int_equal(atomic_load(&server.connections), 2);
    client_fini(&client);
    raw_server_stop(&server);
}

static void test_http_answers__a_redirect_is_not_followed(void **state)
{
    (void)state;
    static const struct raw_response response = {
        "HTTP/1.1 307 Moved\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n", 0, RAW_KEEP};
    struct client client;
    assert_int_equal(run_response(&client, &response), 0);
    assert_int_equal(client.response.status, 307);
    client_fini(&client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_http_answers__each_response_has_its_result),
        cmocka_unit_test(test_http_answers__a_folded_header_hides_nothing),
        cmocka_unit_test(test_http_answers__a_head_has_a_size_and_a_count),
        cmocka_unit_test(test_http_answers__a_body_beyond_the_limit_is_not_delivered),
        cmocka_unit_test(test_http_answers__the_head_is_told_before_the_body),
        cmocka_unit_test(test_http_answers__more_than_its_length_is_dropped_with_the_connection),
        cmocka_unit_test(test_http_answers__a_redirect_is_not_followed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

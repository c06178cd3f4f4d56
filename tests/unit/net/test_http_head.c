#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "net/http_head.h"
#include "seedancefs/base/attributes.h"
#include "seedancefs/base/err.h"

#include <stdio.h>
#include <string.h>

static void test_http_head__a_head_is_read_line_by_line(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "HTTP/2 103 \r\n",    "Content-Length: 9\r\n", "\r\n", "HTTP/2 200\r\n",
        "etag: \"a\" \t\r\n", "X-Tt-Logid: l\n",       "\r\n", "content-length: 7\r\n",
    };
    struct http_head head = {0};
    struct http_response response = {.content_length = -1};
    for (size_t i = 0; i < ARRAY_COUNT(lines); i++)
        assert_int_equal(http_head_line(&head, lines[i], strlen(lines[i]), &response), i == 6);
    assert_int_equal(response.status, 200);
    assert_int_equal(response.content_length, -1);
    assert_string_equal(response.etag, "\"a\"");
    assert_string_equal(response.request_id, "l");
}

static void test_http_head__a_status_line_is_strict(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        int status;
    } rows[] = {
        {"HTTP/1.1 200 OK\r\n", 200},
        {"HTTP/1.0 599 \r\n", 599},
        {"HTTP/1.1 200\n", 200},
        {"HTTP/1.1 99 OK\r\n", -1},
        {"HTTP/1.1 1000 OK\r\n", -1},
        {"HTTP/1.1 600 OK\r\n", -1},
        {"HTTP/1.1 2x0 OK\r\n", -1},
        {"HTTP/1.1\r\n", -1},
        {"ICY 200 OK\r\n", -1},
        {"HTTP/1.1 101 No\r\n", -1},
        {"\r\n", -1},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct http_head head = {0};
        struct http_response response = {0};
        int r = http_head_line(&head, rows[i].line, strlen(rows[i].line), &response);
        assert_int_equal(r, rows[i].status < 0 ? -ERR_HTTP_MALFORMED : 0);
        if (r == 0)
            assert_int_equal(response.status, rows[i].status);
    }
}

static int field(struct http_response *response, const char *first, const char *second)
{
    struct http_head head = {.place = HTTP_HEAD_FIELDS};
    int r = http_head_line(&head, first, strlen(first), response);
    return r < 0 || !second ? r : http_head_line(&head, second, strlen(second), response);
}

static void test_http_head__a_value_that_matters_is_never_cut(void **state)
{
    (void)state;
    char line[6000] = "Location: https://e.com/";
    struct http_response response = {0};
    memset(line + strlen(line), 'a', 5000);
    assert_int_equal(field(&response, line, NULL), -ERR_HTTP_MALFORMED);
    memcpy(line, "Content-Type: ", 14);
    assert_int_equal(field(&response, line, NULL), 0);
    assert_int_equal(strlen(response.content_type), sizeof(response.content_type) - 1);
    assert_int_equal(field(&response, "Content-Range: bytes 0-1/2", "Content-Range: bytes 0-1/2"),
                     -ERR_HTTP_MALFORMED);
    response = (struct http_response){0};
    assert_int_equal(field(&response, "Content-Range:", "Content-Range: bytes 0-1/2"),
                     -ERR_HTTP_MALFORMED);
    assert_int_equal(field(&response, "Location:", "Location: https://e.com/"),
                     -ERR_HTTP_MALFORMED);
}

static void test_http_head__retry_after_is_seconds_or_a_date(void **state)
{
    (void)state;
    const int64_t now_ms = 1795420800000; /* 2026-11-23T08:00:00Z */
    static const struct {
        const char *text, *date;
        int64_t wait_ms;
    } rows[] = {
        {"", "", -1},
        {"0", "", 0},
        {"120", "", 120000},
        {"3600", "", 3600000},
        {"3601", "", 3600000},
        {"1000000000", "", 3600000},
        {"99999999999999999999999999999999", "", 3600000},
        {"-5", "", -1},
        {"1.5", "", -1},
        {"5 s", "", -1},
        {"soon", "", -1},
        {"tomorrow", "", -1},
        {"Mon, 23 Nov 2026 08:00:30 GMT", "", 30000},
        {"Monday, 23-Nov-26 08:00:30 GMT", "", 30000},
        {"Mon Nov 23 08:00:30 2026", "", 30000},
        {"Mon, 23 Nov 2026 07:00:00 GMT", "", 0},
        {"Mon, 23 Nov 2099 08:00:00 GMT", "", 3600000},
        {"Mon, 99 Foo 2026 08:00:30 GMT", "", -1},
        {"Fri, 31 Dec 9999 23:59:59 GMT", "", 3600000},
        {"Mon Nov 23 555555555 08:06", "", -1},
        {"Mon, 23 Nov 2026 08:00:30 GMT", "Mon Nov 23 555555555 08:06", 30000},
        /* By the server's own clock, whatever ours says. */
        {"Sun, 22 Nov 2026 08:00:30 GMT", "Sun, 22 Nov 2026 08:00:00 GMT", 30000},
        {"Mon, 23 Nov 2026 08:00:30 GMT", "junk", 30000},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct http_response response = {0};
        (void)snprintf(response.retry_after, sizeof(response.retry_after), "%s", rows[i].text);
        (void)snprintf(response.date, sizeof(response.date), "%s", rows[i].date);
        if (http_retry_after_ms(&response, now_ms) != rows[i].wait_ms)
            fail_msg("%s: %lld", rows[i].text, (long long)http_retry_after_ms(&response, now_ms));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_http_head__a_head_is_read_line_by_line),
        cmocka_unit_test(test_http_head__a_status_line_is_strict),
        cmocka_unit_test(test_http_head__a_value_that_matters_is_never_cut),
        cmocka_unit_test(test_http_head__retry_after_is_seconds_or_a_date),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

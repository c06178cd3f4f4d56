/* What is believed of a response's head: tables of {head, verdict}. */
#include "media/content_range.h"
#include "media/range_check.h"
#include "seedancefs/base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void test_content_range__is_read_strictly(void **state)
{
    static const struct {
        const char *text;
        int64_t first; /* -1: refused */
        int64_t last;
        int64_t total;
    } rows[] = {
        {"bytes 0-0/1", 0, 0, 1},
        {"bytes 5-9/10", 5, 9, 10},
        {"BYTES 5-9/10", 5, 9, 10},
        {"bytes 007-9/10", 7, 9, 10},
        {"bytes 0-9223372036854775806/9223372036854775807", 0, INT64_MAX - 1, INT64_MAX},
        {"bytes 0-9223372036854775807/9223372036854775808", -1, 0, 0},
        {"bytes 0-9/18446744073709551626", -1, 0, 0},
        {"bytes 0-9/99999999999999999999999999999999", -1, 0, 0},
        {"", -1, 0, 0},
        {"bytes", -1, 0, 0},
        {"bytes ", -1, 0, 0},
        {"bytes=0-0/1", -1, 0, 0},
        {"bytes 0-0", -1, 0, 0},
        {"bytes 0-0/", -1, 0, 0},
        {"bytes 0-0/*", -1, 0, 0},
        {"bytes */10", -1, 0, 0},
        {"bytes 0-/10", -1, 0, 0},
        {"bytes -5/10", -1, 0, 0},
        {"bytes -1-5/10", -1, 0, 0},
        {"bytes 0--5/10", -1, 0, 0},
        {"bytes +0-5/10", -1, 0, 0},
        {"bytes 0x0-0x5/10", -1, 0, 0},
        {"bytes 9-5/10", -1, 0, 0},
        {"bytes 0-10/10", -1, 0, 0},
        {"bytes 0-0/0", -1, 0, 0},
        {"bytes  0-0/1", -1, 0, 0},
        {"bytes 0 -0/1", -1, 0, 0},
        {"bytes 0- 0/1", -1, 0, 0},
        {"bytes 0-0 /1", -1, 0, 0},
        {"bytes 0-0/ 1", -1, 0, 0},
        {"bytes 0-0/1 ", -1, 0, 0},
        {"bytes 0-0/1, bytes 2-3/4", -1, 0, 0},
        {"bytes 0-0/1\n", -1, 0, 0},
        {"items 0-0/1", -1, 0, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct content_range range = {-7, -7, -7};
        int r = content_range_parse(rows[i].text, &range);
        if (r != (rows[i].first < 0 ? -EBADMSG : 0))
            fail_msg("\"%s\": %d", rows[i].text, r);
        assert_int_equal(range.first, r < 0 ? -7 : rows[i].first);
        assert_int_equal(range.last, r < 0 ? -7 : rows[i].last);
        assert_int_equal(range.total, r < 0 ? -7 : rows[i].total);
    }
}

/* The request is bytes=100-199 of 1,000; the ETag of what we have is in the row. */
static void test_response__is_judged_by_its_head(void **state)
{
    static const struct {
        int status;
        const char *content_range; /* NULL: none */
        int64_t length;
        const char *type;
        const char *etag;
        const char *known;
        enum range_verdict verdict;
        int result;
    } rows[] = {
        {206, "bytes 100-199/1000", 100, "", "\"a\"", "\"a\"", RANGE_PART, 0},
        {206, "bytes 100-199/1000", -1, "", "\"a\"", "\"a\"", RANGE_PART, 0},
        {206, "bytes 100-199/1000", 100, "", "", "", RANGE_PART, 0},
        {206, "bytes 100-199/1000", 100, "", "\"new\"", "", RANGE_PART, 0},
        {206, "bytes 100-199/1000", 99, "", "", "", RANGE_RETRY, -ERR_MEDIA_RESPONSE},
        {206, "bytes 100-199/1000", 101, "", "", "", RANGE_RETRY, -ERR_MEDIA_RESPONSE},
        {206, "bytes 100-198/1000", 99, "", "", "", RANGE_RETRY, -ERR_MEDIA_RESPONSE},
        {206, "bytes 101-199/1000", 99, "", "", "", RANGE_RETRY, -ERR_MEDIA_RESPONSE},
        {206, "bytes 0-99/1000", 100, "", "", "", RANGE_RETRY, -ERR_MEDIA_RESPONSE},
        {206, "bytes 100-199/*", 100, "", "", "", RANGE_RETRY, -ERR_MEDIA_RESPONSE},
        {206, NULL, 100, "", "", "", RANGE_RETRY, -ERR_MEDIA_RESPONSE},
        {206, "bytes 100-199/1000", 100, "Multipart/byteranges", "", "", RANGE_RETRY,
         -ERR_MEDIA_RESPONSE},
        {206, "bytes 100-199/1000", 100, "", "\"b\"", "\"a\"", RANGE_CHANGED, -ERR_MEDIA_CHANGED},
        {206, "bytes 100-199/1000", 100, "", "", "\"a\"", RANGE_RETRY, -ERR_MEDIA_RESPONSE},
        {206, "bytes 100-199/1000", 100, "", "W/\"a\"", "\"a\"", RANGE_RETRY, -ERR_MEDIA_RESPONSE},
        {206, "bytes 100-199/1001", 100, "", "", "", RANGE_CHANGED, -ERR_MEDIA_CHANGED},
        {206, "bytes 100-199/1001", 100, "", "\"a\"", "\"a\"", RANGE_RETRY, -ERR_MEDIA_RESPONSE},
        {206, "bytes 100-199/68719476737", 100, "", "", "", RANGE_FAILED, -ERR_MEDIA_RESPONSE},
        {200, NULL, 1000, "video/mp4", "\"a\"", "\"a\"", RANGE_WHOLE, 0},
        {200, NULL, -1, "video/mp4", "\"a\"", "\"a\"", RANGE_RETRY, -ERR_MEDIA_RESPONSE},
        {200, NULL, 999, "video/mp4", "\"a\"", "\"a\"", RANGE_RETRY, -ERR_MEDIA_RESPONSE},
        {200, NULL, 999, "video/mp4", "\"b\"", "\"a\"", RANGE_CHANGED, -ERR_MEDIA_CHANGED},
        {200, NULL, 999, "video/mp4", "", "", RANGE_RETRY, -ERR_MEDIA_RESPONSE},
        {200, NULL, 1000, "text/html; charset=utf-8", "", "", RANGE_RETRY, -ERR_MEDIA_RESPONSE},
        {200, "bytes 100-199/1000", 100, "", "", "", RANGE_RETRY, -ERR_MEDIA_RESPONSE},
        {204, NULL, 0, "", "", "", RANGE_RETRY, -ERR_MEDIA_RESPONSE},
        {301, NULL, 0, "", "", "", RANGE_REDIRECT, -ERR_URL_REFUSED},
        {302, NULL, 0, "", "", "", RANGE_REDIRECT, -ERR_URL_REFUSED},
        {303, NULL, 0, "", "", "", RANGE_REDIRECT, -ERR_URL_REFUSED},
        {304, NULL, 0, "", "", "", RANGE_RETRY, -ERR_MEDIA_RESPONSE},
        {307, NULL, 0, "", "", "", RANGE_REDIRECT, -ERR_URL_REFUSED},
        {308, NULL, 0, "", "", "", RANGE_REDIRECT, -ERR_URL_REFUSED},
        {400, NULL, 0, "", "", "", RANGE_FAILED, -ERR_MEDIA_STATUS},
        {401, NULL, 0, "", "", "", RANGE_REFUSED, -ERR_MEDIA_EXPIRED},
        {402, NULL, 0, "", "", "", RANGE_REFUSED, -ERR_MEDIA_EXPIRED},
        {403, NULL, 0, "", "", "", RANGE_REFUSED, -ERR_MEDIA_EXPIRED},
        {404, NULL, 0, "", "", "", RANGE_REFUSED, -ERR_MEDIA_GONE},
        {408, NULL, 0, "", "", "", RANGE_RETRY, -ERR_MEDIA_STATUS},
        {410, NULL, 0, "", "", "", RANGE_REFUSED, -ERR_MEDIA_GONE},
        {416, "bytes */1000", 0, "", "", "", RANGE_FAILED, -ERR_MEDIA_RESPONSE},
        {429, NULL, 0, "", "", "", RANGE_RETRY, -ERR_MEDIA_STATUS},
        {500, NULL, 0, "", "", "", RANGE_RETRY, -ERR_MEDIA_STATUS},
        {503, NULL, 0, "", "", "", RANGE_RETRY, -ERR_MEDIA_STATUS},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct http_response response = {.status = rows[i].status,
                                         .content_length = rows[i].length};
        struct range_request wish = {
            .first = 100, .last = 199, .size = 1000, .etag = rows[i].known};
        response.has_content_range = rows[i].content_range != NULL;
        (void)snprintf(response.content_range, sizeof(response.content_range), "%s",
                       rows[i].content_range ? rows[i].content_range : "");
        (void)snprintf(response.content_type, sizeof(response.content_type), "%s", rows[i].type);
        (void)snprintf(response.etag, sizeof(response.etag), "%s", rows[i].etag);
        struct range_check found = range_check_response(&wish, &response);
        if (found.verdict != rows[i].verdict || found.result != rows[i].result)
            fail_msg("row %zu: verdict %d, result %d", i, (int)found.verdict, found.result);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_content_range__is_read_strictly),
        cmocka_unit_test(test_response__is_judged_by_its_head),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

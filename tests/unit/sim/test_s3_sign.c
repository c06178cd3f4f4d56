/* sim: which presigned requests the object store takes. */
#include "sim/s3_sign.h"

#include "seedancefs/base/cleanup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>

#define SIGNED_MS INT64_C(1369353600000) /* 20130524T000000Z */

/* docs.aws.amazon.com, "Authenticating Requests: Using Query Parameters". */
#define EXAMPLE                                                                                    \
    "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524"  \
    "%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400"             \
    "&X-Amz-SignedHeaders=host"                                                                    \
    "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"

/* A request with two headers of one name, blanks, empty and equal parameters; computed with Python's
 * hmac. */
#define HARD                                                                                       \
    "/b/a%20b/%C3%BC%2B(1).png?X-Amz-Algorithm=AWS4-HMAC-SHA256&b=&a=2&a=1+1&a-b=%2f"              \
    "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"            \
    "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400"                                             \
    "&X-Amz-SignedHeaders=content-md5%3Bhost%3Bif-none-match%3Bx-amz-meta-a"                       \
    "&X-Amz-Signature=7265cde63a03758b9423f4212e600a794ddfd3b8f67f3473994ad22e1dc60679"

static char host_name[] = "Host", host[] = "examplebucket.s3.amazonaws.com";
static char condition_name[] = "If-None-Match", star[] = "*";
static char md5_name[] = "content-MD5", md5[] = "1B2M2Y8AsgTpgAmY7PhCfg==";
static char meta_name[] = "X-Amz-Meta-A", blanks[] = "  two \t words  ", more[] = "more";

static struct header headers[] = {
    {host_name, host},   {condition_name, star}, {md5_name, md5},
    {meta_name, blanks}, {meta_name, more},
};

static enum s3_verdict verify(const char *method, const char *uri, size_t header_count,
                              int64_t now_ms)
{
    const struct s3_credentials credentials = {"AKIAIOSFODNN7EXAMPLE",
                                               "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"};
    CLEANUP(s3_target_fini) struct s3_target target = {0};
    assert_int_equal(s3_target_parse(uri, &target), 0);
    const struct s3_request request = {method, &target, headers, header_count};
    return s3_verify(&request, &credentials, now_ms);
}

static char *replace(const char *text, const char *old, const char *new)
{
    const char *at = strstr(text, old);
    assert_non_null(at);
    return mem_format("%.*s%s%s", (int)(at - text), text, new, at + strlen(old));
}

static void test_s3_sign__the_documented_example_is_good(void **state UNUSED)
{
    assert_int_equal(verify("GET", EXAMPLE, 1, SIGNED_MS + 1000), S3_GOOD);
}

static void test_s3_sign__text_is_brought_into_the_canonical_form(void **state UNUSED)
{
    assert_int_equal(verify("PUT", HARD, ARRAY_COUNT(headers), SIGNED_MS), S3_GOOD);
    CLEANUP_FREE char *other = replace(HARD, "a=1+1", "a=1-1");
    assert_int_equal(verify("PUT", other, ARRAY_COUNT(headers), SIGNED_MS), S3_FORGED);
    blanks[2] = 'T';
    assert_int_equal(verify("PUT", HARD, ARRAY_COUNT(headers), SIGNED_MS), S3_FORGED);
    blanks[2] = 't';
    assert_int_equal(verify("PUT", HARD, ARRAY_COUNT(headers) - 1, SIGNED_MS), S3_FORGED);
}

static void test_s3_sign__what_the_signature_covers_cannot_be_changed(void **state UNUSED)
{
    static const struct {
        const char *old, *new;
        enum s3_verdict verdict;
    } rows[] = {
        {"/test.txt", "/test.tx", S3_FORGED},
        {"Expires=86400", "Expires=86401", S3_FORGED},
        {"20130524T000000Z", "20130524T000001Z", S3_FORGED},
        {"us-east-1", "us-east-2", S3_FORGED},
        {"f604d404", "f604d405", S3_FORGED},
        {"f604d404", "f604d40", S3_FORGED},
        {"EXAMPLE%2F", "EXAMPLF%2F", S3_UNKNOWN_KEY},
        {"?", "?more=1&", S3_FORGED},
    };
    assert_int_equal(verify("PUT", EXAMPLE, 1, SIGNED_MS), S3_FORGED);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        CLEANUP_FREE char *uri = replace(EXAMPLE, rows[i].old, rows[i].new);
        assert_int_equal(verify("GET", uri, 1, SIGNED_MS), rows[i].verdict);
    }
    host[0] = 'f';
    assert_int_equal(verify("GET", EXAMPLE, 1, SIGNED_MS), S3_FORGED);
    host[0] = 'e';
}

static void test_s3_sign__missing_and_impossible_parameters_are_refused(void **state UNUSED)
{
    static const struct {
        const char *old, *new;
        enum s3_verdict verdict;
    } rows[] = {
        {"X-Amz-Algorithm=", "x=", S3_UNSIGNED},
        {"X-Amz-Credential=", "x=", S3_UNSIGNED},
        {"X-Amz-Date=", "x=", S3_UNSIGNED},
        {"X-Amz-Expires=", "x=", S3_UNSIGNED},
        {"X-Amz-SignedHeaders=", "x=", S3_UNSIGNED},
        {"X-Amz-Signature=", "x=", S3_UNSIGNED},
        {"AWS4-HMAC-SHA256", "AWS4-HMAC-SHA1", S3_MALFORMED},
        {"20130524T000000Z", "20130524", S3_MALFORMED},
        {"20130524T000000Z", "20130524T00000ZZ", S3_MALFORMED},
        {"20130524%2Fus", "20130525%2Fus", S3_MALFORMED},
        {"%2Fs3%2F", "%2Fec2%2F", S3_MALFORMED},
        {"%2Fus-east-1", "", S3_MALFORMED},
        {"%2F20130524%2Fus-east-1", "", S3_MALFORMED},
        {"AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request", "", S3_MALFORMED},
        {"=86400", "=0", S3_MALFORMED},
        {"=86400", "=604801", S3_MALFORMED},
        {"=86400", "=", S3_MALFORMED},
        {"=86400", "=-1", S3_MALFORMED},
        {"=86400", "=604800", S3_FORGED},
        {"SignedHeaders=host", "SignedHeaders=", S3_HEADER_UNSIGNED},
        {"SignedHeaders=host", "SignedHeaders=;;", S3_HEADER_UNSIGNED},
        {"SignedHeaders=host", "SignedHeaders=host%3Brange", S3_FORGED},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        CLEANUP_FREE char *uri = replace(EXAMPLE, rows[i].old, rows[i].new);
        enum s3_verdict verdict = verify("GET", uri, 1, SIGNED_MS);
        if (verdict != rows[i].verdict)
            fail_msg("%s: %s", uri, s3_verdict_name(verdict));
    }
}

static void test_s3_sign__it_holds_from_15_minutes_before_until_it_expires(void **state UNUSED)
{
    assert_int_equal(verify("GET", EXAMPLE, 1, SIGNED_MS - S3_SKEW_MAX_MS), S3_GOOD);
    assert_int_equal(verify("GET", EXAMPLE, 1, SIGNED_MS - S3_SKEW_MAX_MS - 1), S3_SKEWED);
    assert_int_equal(verify("GET", EXAMPLE, 1, SIGNED_MS + 86400000 - 1), S3_GOOD);
    assert_int_equal(verify("GET", EXAMPLE, 1, SIGNED_MS + 86400000), S3_EXPIRED);
}

static void test_s3_sign__headers_that_change_the_request_must_be_signed(void **state UNUSED)
{
    assert_int_equal(verify("GET", EXAMPLE, 2, SIGNED_MS), S3_HEADER_UNSIGNED);
    static const char *const parts[] = {"content-md5%3B", "host%3B", "if-none-match%3B",
                                        "%3Bx-amz-meta-a"};
    for (size_t i = 0; i < ARRAY_COUNT(parts); i++) {
        CLEANUP_FREE char *uri = replace(HARD, parts[i], "");
        assert_int_equal(verify("PUT", uri, ARRAY_COUNT(headers), SIGNED_MS), S3_HEADER_UNSIGNED);
    }
}

static void test_s3_sign__each_refusal_is_one_of_s3(void **state UNUSED)
{
    static const struct {
        enum s3_verdict verdict;
        int status;
        const char *code;
    } rows[] = {
        {S3_UNSIGNED, 403, "AccessDenied"},
        {S3_MALFORMED, 400, "AuthorizationQueryParametersError"},
        {S3_UNKNOWN_KEY, 403, "InvalidAccessKeyId"},
        {S3_SKEWED, 403, "RequestTimeTooSkewed"},
        {S3_EXPIRED, 403, "AccessDenied"},
        {S3_HEADER_UNSIGNED, 403, "AccessDenied"},
        {S3_FORGED, 403, "SignatureDoesNotMatch"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        CLEANUP(response_fini) struct response response = {0};
        s3_verdict_response(rows[i].verdict, &response);
        assert_int_equal(response.status, rows[i].status);
        CLEANUP_FREE char *code = mem_format("<Error><Code>%s</Code><Message>", rows[i].code);
        assert_non_null(strstr(response.body.data, code));
    }
    CLEANUP(response_fini) struct response good = {0};
    s3_verdict_response(S3_GOOD, &good);
    assert_int_equal(good.status, 0);
}

static void test_s3_target__text_is_decoded_or_refused(void **state UNUSED)
{
    CLEANUP(s3_target_fini) struct s3_target target = {0};
    assert_int_equal(s3_target_parse("/b/a+b%2F%c3%BC?a=1+2%2B&&b&c==&a=3", &target), 0);
    assert_string_equal(target.path, "/b/a+b/ü");
    assert_int_equal(target.parameter_count, 4);
    assert_string_equal(s3_target_get(&target, "a"), "1 2+");
    assert_string_equal(s3_target_get(&target, "b"), "");
    assert_string_equal(s3_target_get(&target, "c"), "=");
    assert_null(s3_target_get(&target, "d"));
    static const char *const bad[] = {"/%", "/%4", "/%4g", "/%00", "/%ff", "/?a=%", "/?%00=a"};
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        struct s3_target refused = {0};
        assert_int_equal(s3_target_parse(bad[i], &refused), -EINVAL);
        assert_null(refused.path);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_s3_sign__the_documented_example_is_good),
        cmocka_unit_test(test_s3_sign__text_is_brought_into_the_canonical_form),
        cmocka_unit_test(test_s3_sign__what_the_signature_covers_cannot_be_changed),
        cmocka_unit_test(test_s3_sign__missing_and_impossible_parameters_are_refused),
        cmocka_unit_test(test_s3_sign__it_holds_from_15_minutes_before_until_it_expires),
        cmocka_unit_test(test_s3_sign__headers_that_change_the_request_must_be_signed),
        cmocka_unit_test(test_s3_sign__each_refusal_is_one_of_s3),
        cmocka_unit_test(test_s3_target__text_is_decoded_or_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "objects/objects_private.h"

#include <string.h>

/* The example of AWS's documentation: "Authenticating Requests: Using Query Parameters". */
static void test_sign__the_documented_example(void **state)
{
    (void)state;
    char endpoint[] = "https://examplebucket.s3.amazonaws.com";
    char region[] = "us-east-1";
    const struct objects_place place = {.endpoint = endpoint, .region = region};
    struct objects_credentials credentials = {0};
    const struct sign_header host = {"host", "examplebucket.s3.amazonaws.com"};
    const struct sign_request request = {.method = "GET",
                                         .path = "/test.txt",
                                         .headers = &host,
                                         .header_count = 1,
                                         .wall_ms = INT64_C(1369353600) * 1000,
                                         .life_ms = 86400 * 1000};
    struct buf url = {.limit = 4096};
    assert_int_equal(secret_init(&credentials.key_id, "AKIAIOSFODNN7EXAMPLE", 20), 0);
    assert_int_equal(
        secret_init(&credentials.secret, "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", 40), 0);
    assert_int_equal(sign_url_add(&url, &place, &credentials, &request), 0);
    assert_string_equal(
        buf_text(&url),
        "https://examplebucket.s3.amazonaws.com/test.txt"
        "?X-Amz-Algorithm=AWS4-HMAC-SHA256"
        "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
        "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
        "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404");
    buf_fini(&url);
    objects_credentials_fini(&credentials);
}

static void test_sign__paths_are_encoded_byte_by_byte(void **state)
{
    (void)state;
    struct buf path = {.limit = 256};
    assert_int_equal(sign_path_add(&path, "a/b c+d%\xc3\xa4~_-."), 0);
    assert_string_equal(buf_text(&path), "a/b%20c%2Bd%25%C3%A4~_-.");
    buf_fini(&path);
}

static const struct {
    const char *text;
    const char *bucket; /* NULL: refused */
    const char *prefix;
    const char *endpoint;
    const char *host;
    const char *region;
} places[] = {
    {"s3://films", "films", "", "https://s3.us-east-1.amazonaws.com", "s3.us-east-1.amazonaws.com",
     "us-east-1"},
    {"s3://films?region=eu-west-1", "films", "", "https://s3.eu-west-1.amazonaws.com",
     "s3.eu-west-1.amazonaws.com", "eu-west-1"},
    {"s3://films/a%20b/c/?endpoint=https://S3.Example.com:443/&region=x", "films", "a b/c/",
     "https://s3.example.com", "s3.example.com", "x"},
    {"s3://films/?endpoint=http%3A%2F%2F127.0.0.1%3A8080", "films", "", "http://127.0.0.1:8080",
     "127.0.0.1:8080", "us-east-1"},
    {"s3://films//a//?endpoint=https://store.local:9000", "films", "a/", "https://store.local:9000",
     "store.local:9000", "us-east-1"},
    {.text = "films"},
    {.text = "https://films"},
    {.text = "s3://"},
    {.text = "s3:///a"},
    {.text = "s3://KEY:secret@films"},
    {.text = "s3://films/../other"},
    {.text = "s3://films/a//b"},
    {.text = "s3://films/a%0ab"},
    {.text = "s3://films/a%2"},
    {.text = "s3://films/a%00b"},
    {.text = "s3://films?endpoint=http://s3.example.com"},
    {.text = "s3://films?endpoint=https://s3.example.com/path"},
    {.text = "s3://films?endpoint=https://u:p@s3.example.com"},
    {.text = "s3://films?endpoint=https://a.example&endpoint=https://b.example"},
    {.text = "s3://films?endpoint=https://10.0.0.5:9000"},
    {.text = "s3://films?region="},
    {.text = "s3://films?region=a/b"},
    {.text = "s3://films?acl=public"},
    {.text = "s3://films?region"},
};

static void test_place__addresses_of_buckets(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(places); i++) {
        struct objects_place place = {0};
        char why[OBJECTS_WHY_SIZE];
        int r = objects_place_parse(places[i].text, &place, why);
        if (!places[i].bucket) {
            if (r == 0 || why[0] == '\0')
                fail_msg("%s: not refused, or without a sentence", places[i].text);
            continue;
        }
        if (r < 0)
            fail_msg("%s: %s", places[i].text, why);
        assert_string_equal(place.bucket, places[i].bucket);
        assert_string_equal(place.prefix, places[i].prefix);
        assert_string_equal(place.endpoint, places[i].endpoint);
        assert_string_equal(place.host, places[i].host);
        assert_string_equal(place.region, places[i].region);
        objects_place_fini(&place);
    }
}

static const struct {
    const char *text;
    const char *key_id; /* NULL: there are none */
    const char *secret;
    const char *token;
} files[] = {
    {"aws_access_key_id=K\naws_secret_access_key=S\n", "K", "S", NULL},
    {"[default]\naws_access_key_id = K\r\naws_secret_access_key = S/+=\naws_session_token=T==\n",
     "K", "S/+=", "T=="},
    {"[work]\naws_access_key_id=W\naws_secret_access_key=WS\n[default]\n aws_access_key_id=K\n"
     "aws_secret_access_key=S",
     "K", "S", NULL},
    {"# comment\nexport AWS_ACCESS_KEY_ID=K\nexport AWS_SECRET_ACCESS_KEY=S\n", "K", "S", NULL},
    {.text = "[work]\naws_access_key_id=W\naws_secret_access_key=WS\n"},
    {.text = "aws_access_key_id=K\n"},
    {.text = "aws_access_key_id=\naws_secret_access_key=S\n"},
    {.text = "aws_access_key_id=a b\naws_secret_access_key=S\n"},
    {.text = ""},
};

static void test_place__credentials(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(files); i++) {
        struct objects_credentials found = {0};
        int r = objects_credentials_parse(files[i].text, strlen(files[i].text), &found);
        assert_int_equal(r < 0, files[i].key_id == NULL);
        if (r < 0)
            continue;
        assert_string_equal(found.key_id.text, files[i].key_id);
        assert_string_equal(found.secret.text, files[i].secret);
        assert_int_equal(secret_is_set(&found.token), files[i].token != NULL);
        if (files[i].token)
            assert_string_equal(found.token.text, files[i].token);
        objects_credentials_fini(&found);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sign__the_documented_example),
        cmocka_unit_test(test_sign__paths_are_encoded_byte_by_byte),
        cmocka_unit_test(test_place__addresses_of_buckets),
        cmocka_unit_test(test_place__credentials),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

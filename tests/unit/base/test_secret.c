/* base/secret: what may be a key, and that nothing is left of it. */
#include "seedancefs/base/secret.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void test_secret__a_key_is_one_printable_word(void **state UNUSED)
{
    static const struct {
        const char *text;
        const char *expected; /* NULL: refused */
    } rows[] = {
        {"th-abc", "th-abc"}, {" th-abc\r\n", "th-abc"},
        {"\n\tx\t", "x"},     {"!~", "!~"},
        {"", NULL},           {" \n", NULL},
        {"a b", NULL},        {"a\nb", NULL},
        {"a\x7f", NULL},      {"\xc3\xa4", NULL},
        {"a\x01", NULL},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct secret secret = {0};
        int r = secret_init(&secret, rows[i].text, strlen(rows[i].text));
        assert_int_equal(r, rows[i].expected ? 0 : -EINVAL);
        assert_int_equal(secret_is_set(&secret), rows[i].expected != NULL);
        if (rows[i].expected) {
            assert_string_equal(secret.text, rows[i].expected);
            assert_int_equal(secret.len, strlen(rows[i].expected));
        }
        secret_fini(&secret);
        assert_false(secret_is_set(&secret));
        secret_fini(&secret);
    }
    struct secret secret = {0};
    assert_int_equal(secret_init(&secret, "a\0b", 3), -EINVAL);
}

static void test_secret__a_key_has_at_most_4096_bytes(void **state UNUSED)
{
    struct secret secret = {0};
    char *text = malloc(4098);
    assert_non_null(text);
    memset(text, 'x', 4098);
    text[4096] = '\n';
    assert_int_equal(secret_init(&secret, text, 4097), 0); /* exact: no NUL behind it */
    secret_fini(&secret);
    text[4096] = 'x';
    assert_int_equal(secret_init(&secret, text, 4097), -EINVAL);
    assert_false(secret_is_set(&secret));
    free(text);
}

static void test_secret__a_text_that_says_it_is_masked(void **state UNUSED)
{
    static const struct {
        const char *key, *text, *expected;
    } rows[] = {
        {"th-12345", "", ""},
        {"th-12345", "th-12345", "********"},
        {"th-12345", "a th-12345, th-12345b", "a ********, ********b"},
        {"th-12345", "th-1234", "th-1234"},
        {"th-12345", "th-th-12345", "th-********"},
        {"aaaaaaaa", "aaaaaaaaaaaaaaaaaaaa", "****************aaaa"},
        {"short", "a short word", "a short word"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct secret secret;
        char text[64];
        (void)snprintf(text, sizeof(text), "%s", rows[i].text);
        assert_int_equal(secret_init(&secret, rows[i].key, strlen(rows[i].key)), 0);
        secret_mask(&secret, text, strlen(text));
        assert_string_equal(text, rows[i].expected);
        secret_fini(&secret);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_secret__a_key_is_one_printable_word),
        cmocka_unit_test(test_secret__a_key_has_at_most_4096_bytes),
        cmocka_unit_test(test_secret__a_text_that_says_it_is_masked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

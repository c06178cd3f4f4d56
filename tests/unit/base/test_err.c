/* base/err: each code has one errno, one name and one sentence. */
#include "seedancefs/base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <limits.h>
#include <string.h>

static void test_err__our_codes_have_their_row(void **state UNUSED)
{
    static const struct {
        int code;
        int errno_value;
        const char *name;
        bool is_retryable;
    } rows[] = {
#define X(name, errno_value, retry, sentence) {-ERR_##name, errno_value, #name, retry},
        ERR_TABLE(X)
#undef X
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        assert_int_equal(err_errno(rows[i].code), rows[i].errno_value);
        assert_string_equal(err_name(rows[i].code), rows[i].name);
        assert_int_equal(err_is_retryable(rows[i].code), rows[i].is_retryable);
        const char *sentence = err_sentence(rows[i].code);
        assert_true(strlen(sentence) > 10);
        assert_true(sentence[strlen(sentence) - 1] != '.');
        for (size_t k = i + 1; k < ARRAY_COUNT(rows); k++)
            assert_string_not_equal(sentence, err_sentence(rows[k].code));
    }
}

static void test_err__plain_errnos_and_strangers_are_told_apart(void **state UNUSED)
{
    static const struct {
        int code;
        int errno_value;
        const char *name;
        bool is_retryable;
    } rows[] = {
        {0, 0, "OK", false},
        {5, 0, "OK", false},
        {-ENOSPC, ENOSPC, "ENOSPC", false},
        {-EINTR, EINTR, "EINTR", true},
        {-EAGAIN, EAGAIN, "EAGAIN", true},
        {-ERR_BASE, EIO, "UNKNOWN", false},
        {-ERR_END, EIO, "UNKNOWN", false},
        {-ERR_END - 1, EIO, "UNKNOWN", false},
        {-INT_MAX, EIO, "UNKNOWN", false},
        {INT_MIN, EIO, "UNKNOWN", false},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        assert_int_equal(err_errno(rows[i].code), rows[i].errno_value);
        assert_string_equal(err_name(rows[i].code), rows[i].name);
        assert_int_equal(err_is_retryable(rows[i].code), rows[i].is_retryable);
        assert_non_null(err_sentence(rows[i].code));
    }
    assert_non_null(err_sentence(-9999)); /* an errno that nobody has */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_err__our_codes_have_their_row),
        cmocka_unit_test(test_err__plain_errnos_and_strangers_are_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

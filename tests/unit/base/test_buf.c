/* base/buf: its cap holds, its first error sticks, its text ends with a NUL. */
#include "seedancefs/base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static void test_buf__it_grows_to_its_cap_and_no_further(void **state UNUSED)
{
    static const size_t limits[] = {0, 1, 63, 64, 65, 1000, 4096};
    for (size_t i = 0; i < ARRAY_COUNT(limits); i++) {
        struct buf b;
        buf_init(&b, limits[i]);
        for (size_t k = 0; k < limits[i]; k++) {
            assert_int_equal(buf_add_char(&b, (char)('a' + k % 26)), 0);
            assert_int_equal(b.data[b.len], 0);
        }
        assert_int_equal(b.len, limits[i]);
        assert_true(b.capacity <= limits[i] + 1);
        assert_int_equal(buf_add_char(&b, 'x'), -EFBIG);
        assert_int_equal(b.len, limits[i]);
        assert_int_equal(buf_add(&b, "", 0), -EFBIG); /* it sticks */
        assert_int_equal(b.error, -EFBIG);
        buf_clear(&b);
        assert_int_equal(b.error, 0);
        assert_string_equal(buf_text(&b), "");
        assert_int_equal(buf_add(&b, "", 0), 0);
        buf_fini(&b);
        assert_null(b.data);
    }
}

static void test_buf__sizes_that_wrap_around_are_refused(void **state UNUSED)
{
    struct buf b;
    buf_init(&b, 100);
    assert_int_equal(buf_add_text(&b, "hello"), 0);
    assert_int_equal(buf_reserve(&b, SIZE_MAX), -EFBIG);
    buf_clear(&b);
    assert_int_equal(buf_add_text(&b, "hello"), 0);
    assert_int_equal(buf_reserve(&b, SIZE_MAX - 4), -EFBIG);
    assert_string_equal(buf_text(&b), "hello");
    buf_fini(&b);
}

static void test_buf__formats_and_bytes_follow_each_other(void **state UNUSED)
{
    struct buf b;
    buf_init(&b, 200);
    assert_string_equal(buf_text(&b), "");
    assert_int_equal(buf_addf(&b, "%s-%d", "a", 5), 0);
    assert_int_equal(buf_add(&b, "\0x", 2), 0);
    assert_int_equal(buf_addf(&b, "%0100d", 1), 0);
    assert_int_equal(b.len, 3 + 2 + 100);
    assert_memory_equal(b.data, "a-5\0x00", 7);
    assert_int_equal(buf_addf(&b, "%0200d", 1), -EFBIG);
    assert_int_equal(b.len, 105);
    buf_fini(&b);
}

static void test_buf__taking_gives_the_bytes_away(void **state UNUSED)
{
    struct buf b;
    buf_init(&b, 10);
    char *text = buf_take(&b);
    assert_string_equal(text, "");
    free(text);
    assert_int_equal(buf_add_text(&b, "abc"), 0);
    text = buf_take(&b);
    assert_string_equal(text, "abc");
    free(text);
    assert_int_equal(b.len, 0);
    assert_int_equal(b.limit, 10);
    assert_int_equal(buf_add_text(&b, "0123456789"), 0);
    buf_fini(&b);
    struct buf zero = {0};
    assert_int_equal(buf_add_char(&zero, 'x'), -EFBIG);
    assert_null(buf_take(&zero)); /* after an error there is nothing to take */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_buf__it_grows_to_its_cap_and_no_further),
        cmocka_unit_test(test_buf__sizes_that_wrap_around_are_refused),
        cmocka_unit_test(test_buf__formats_and_bytes_follow_each_other),
        cmocka_unit_test(test_buf__taking_gives_the_bytes_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

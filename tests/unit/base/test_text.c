/* base/text: times, money, sizes, UTF-8 and names, in tables. */
#include "seedancefs/base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void test_text__times_are_rfc_3339_in_utc(void **state UNUSED)
{
    static const struct {
        int64_t ms;
        const char *expected;
    } rows[] = {
        {0, "1970-01-01T00:00:00.000Z"},
        {1, "1970-01-01T00:00:00.001Z"},
        {-1, "1969-12-31T23:59:59.999Z"},
        {-1000, "1969-12-31T23:59:59.000Z"},
        {-62135596800000, "0001-01-01T00:00:00.000Z"},
        {951782399999, "2000-02-28T23:59:59.999Z"},
        {951782400000, "2000-02-29T00:00:00.000Z"},
        {1795420800123, "2026-11-23T08:00:00.123Z"},
        {253402300799999, "9999-12-31T23:59:59.999Z"},
    };
    char out[TEXT_TIME_SIZE];
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        text_time_rfc3339(rows[i].ms, out);
        if (rows[i].ms == -62135596800000) /* how many digits a small year has is the library's */
            assert_non_null(strstr(out, "1-01-01T00:00:00.000Z"));
        else
            assert_string_equal(out, rows[i].expected);
    }
    /* Times that no calendar reaches end somewhere inside the array. */
    text_time_rfc3339(INT64_MAX, out);
    assert_true(strlen(out) < sizeof(out));
    text_time_rfc3339(INT64_MIN, out);
    assert_true(strlen(out) < sizeof(out));
}

static void test_text__money_is_shown_with_the_decimals_it_has(void **state UNUSED)
{
    static const struct {
        int64_t micros;
        const char *expected;
    } rows[] = {
        {0, "0.00"},
        {1, "0.000001"},
        {10000, "0.01"},
        {1500000, "1.50"},
        {1500001, "1.500001"},
        {1234500, "1.2345"},
        {-1, "-0.000001"},
        {-2000000, "-2.00"},
        {120000000, "120.00"},
        {INT64_MAX, "9223372036854.775807"},
        {INT64_MIN, "-9223372036854.775808"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        char out[TEXT_MONEY_SIZE];
        int64_t back = -7;
        text_usd(rows[i].micros, out);
        assert_string_equal(out, rows[i].expected);
        if (rows[i].micros < 0) {
            assert_int_equal(text_usd_parse(out, &back), -EINVAL);
            assert_int_equal(back, -7);
        } else {
            assert_int_equal(text_usd_parse(out, &back), 0);
            assert_true(back == rows[i].micros);
        }
    }
    srandom(1);
    for (int i = 0; i < 10000; i++) {
        char out[TEXT_MONEY_SIZE];
        int64_t back;
        int64_t value = (int64_t)(((uint64_t)random() << 32 ^ (uint64_t)random()) >> (i % 60 + 2));
        text_usd(value, out);
        assert_int_equal(text_usd_parse(out, &back), 0);
        assert_true(back == value);
    }
}

static void test_text__money_is_read_strictly(void **state UNUSED)
{
    static const struct {
        const char *text;
        int expected;
        int64_t micros;
    } rows[] = {
        {"0", 0, 0},
        {"12.50", 0, 12500000},
        {"007", 0, 7000000},
        {".5", 0, 500000},
        {"0.000001", 0, 1},
        {"9223372036854.775807", 0, INT64_MAX},
        {"9223372036854.775808", -ERANGE, 0},
        {"9223372036855", -ERANGE, 0},
        {"99999999999999999999999", -ERANGE, 0},
        {"", -EINVAL, 0},
        {".", -EINVAL, 0},
        {"1.", -EINVAL, 0},
        {"1.2.3", -EINVAL, 0},
        {"1.0000001", -EINVAL, 0},
        {"-1", -EINVAL, 0},
        {"+1", -EINVAL, 0},
        {" 1", -EINVAL, 0},
        {"1 ", -EINVAL, 0},
        {"1e3", -EINVAL, 0},
        {"1,5", -EINVAL, 0},
        {"$5", -EINVAL, 0},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        int64_t micros = -7;
        assert_int_equal(text_usd_parse(rows[i].text, &micros), rows[i].expected);
        assert_true(micros == (rows[i].expected ? -7 : rows[i].micros));
    }
}

static void test_text__sizes_take_one_binary_unit(void **state UNUSED)
{
    static const struct {
        const char *text;
        int expected;
        int64_t bytes;
    } rows[] = {
        {"0", 0, 0},
        {"1", 0, 1},
        {"64M", 0, 64 << 20},
        {"64m", 0, 64 << 20},
        {"1k", 0, 1024},
        {"3G", 0, INT64_C(3) << 30},
        {"2T", 0, INT64_C(2) << 40},
        {"8388607T", 0, INT64_C(8388607) << 40},
        {"8388608T", -ERANGE, 0},
        {"9223372036854775808", -ERANGE, 0},
        {"99999999999999999999K", -ERANGE, 0},
        {"", -EINVAL, 0},
        {"M", -EINVAL, 0},
        {"1.5G", -EINVAL, 0},
        {"1KB", -EINVAL, 0},
        {"1P", -EINVAL, 0},
        {"-1", -EINVAL, 0},
        {" 1", -EINVAL, 0},
        {"1 K", -EINVAL, 0},
        {"1{", -EINVAL, 0},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        int64_t bytes = -7;
        assert_int_equal(text_size_parse(rows[i].text, &bytes), rows[i].expected);
        assert_true(bytes == (rows[i].expected ? -7 : rows[i].bytes));
    }
}

static void test_text__utf8_is_what_rfc_3629_allows(void **state UNUSED)
{
#define T(text, valid)                                                                             \
    {                                                                                              \
        text, sizeof(text) - 1, valid                                                              \
    }
    static const struct {
        const char *text;
        size_t len;
        bool is_valid;
    } rows[] = {
        T("", true),
        T("a\0b", true),
        T("\x7f", true),
        T("\x80", false),
        T("\xbf", false),
        T("\xc0\x80", false), /* overlong */
        T("\xc1\xbf", false),
        T("\xc2\x80", true),
        T("\xdf\xbf", true),
        T("\xe0\x80\x80", false),
        T("\xe0\x9f\xbf", false),
        T("\xe0\xa0\x80", true),
        T("\xed\x9f\xbf", true),
        T("\xed\xa0\x80", false), /* surrogates */
        T("\xed\xbf\xbf", false),
        T("\xee\x80\x80", true),
        T("\xef\xbb\xbf", true), /* a byte order mark is a character here */
        T("\xef\xbf\xbf", true),
        T("\xf0\x80\x80\x80", false),
        T("\xf0\x8f\xbf\xbf", false),
        T("\xf0\x90\x80\x80", true),
        T("\xf4\x8f\xbf\xbf", true),
        T("\xf4\x90\x80\x80", false), /* beyond U+10FFFF */
        T("\xf5\x80\x80\x80", false),
        T("\xf8\x88\x80\x80\x80", false),
        T("\xff", false),
        T("\xc2", false), /* cut */
        T("\xe2\x82", false),
        T("\xf0\x9f\x98", false),
        T("\xc2"
          "a",
          false),
        T("\xe2\x82"
          "a",
          false),
        T("a\xe2\x82\xac\xf0\x9f\x98\x80z", true),
    };
#undef T
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        char *exact = malloc(rows[i].len ? rows[i].len : 1); /* the sanitizer guards its end */
        assert_non_null(exact);
        memcpy(exact, rows[i].text, rows[i].len);
        assert_int_equal(text_is_utf8(exact, rows[i].len), rows[i].is_valid);
        free(exact);
    }
}

/* Every code point, encoded by a second hand, and everything one byte away from nothing. */
static void test_text__every_code_point_but_surrogates_is_accepted(void **state UNUSED)
{
    for (unsigned c = 0; c <= 0x110000; c++) {
        char s[4];
        size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
        if (n == 1)
            s[0] = (char)c;
        else
            s[0] = (char)((0xF00 >> n & 0xFF) | c >> (6 * (n - 1)));
        for (size_t i = 1; i < n; i++)
            s[i] = (char)(0x80 | (c >> (6 * (n - 1 - i)) & 0x3F));
        bool is_valid = c <= 0x10FFFF && (c < 0xD800 || c > 0xDFFF);
        if (text_is_utf8(s, n) != is_valid)
            fail_msg("U+%04X", c);
    }
}

static void test_text__names_are_checked(void **state UNUSED)
{
    char longest[TEXT_NAME_MAX + 2];
    memset(longest, 'x', sizeof(longest));
    longest[TEXT_NAME_MAX + 1] = '\0';
    const struct {
        const char *name;
        int expected;
    } rows[] = {
        {"a", 0},
        {"a b", 0},
        {".hidden", 0},
        {"...", 0},
        {"\xe2\x82\xac", 0},
        {"\xc2\xa0", 0},
        {longest + 1, 0},
        {longest, -ENAMETOOLONG},
        {"", -EINVAL},
        {".", -EINVAL},
        {"..", -EINVAL},
        {"a/b", -EINVAL},
        {"/", -EINVAL},
        {"a\n", -EINVAL},
        {"\x1f", -EINVAL},
        {"\x7f", -EINVAL},
        {"\xc2\x80", -EINVAL},
        {"x\xc2\x9f", -EINVAL},
        {"\xff", -EILSEQ},
        {"a\xc2", -EILSEQ},
        {"\xed\xa0\x80", -EILSEQ},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
        assert_int_equal(text_name_check(rows[i].name), rows[i].expected);
}

static void test_text__a_sentence_ends_with_one_full_stop(void **state UNUSED)
{
    static const struct {
        const char *text;
        const char *expected;
    } rows[] = {{"", "."}, {"a", "."}, {"a.", ""}, {"a!", ""}, {"a?", ""}, {"a. b", "."}};
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
        assert_string_equal(text_full_stop(rows[i].text), rows[i].expected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text__times_are_rfc_3339_in_utc),
        cmocka_unit_test(test_text__money_is_shown_with_the_decimals_it_has),
        cmocka_unit_test(test_text__money_is_read_strictly),
        cmocka_unit_test(test_text__sizes_take_one_binary_unit),
        cmocka_unit_test(test_text__utf8_is_what_rfc_3629_allows),
        cmocka_unit_test(test_text__every_code_point_but_surrogates_is_accepted),
        cmocka_unit_test(test_text__names_are_checked),
        cmocka_unit_test(test_text__a_sentence_ends_with_one_full_stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* base/text: times, money, sizes, UTF-8 and names, in tables. */
#include "seedancefs/base/text.h"

#include "seedancefs/base/buf.h"

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
    assert_int_equal(TEXT_NAME_MAX, 255); /* as on other filesystems */
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

/* `text` may have a NUL in it: its size is that of the literal. */
#define TEXT(literal) literal, sizeof(literal) - 1

struct shown_row {
    const char *text;
    size_t len;
    const char *expected;
};

static void test_text__control_characters_are_shown_as_escapes(void **state UNUSED)
{
    static const struct shown_row rows[] = {
        {TEXT(""), ""},
        {TEXT("plain \\ text\n\tmore"), "plain \\ text\n\tmore"},
        {TEXT("\x1b[31mred\x07"), "\\u001b[31mred\\u0007"},
        {TEXT("a\0b\x7f"), "a\\u0000b\\u007f"},
        {TEXT("a\r\nb\rc\r"), "a\nb\\u000dc\\u000d"},
        {TEXT("\xc2\x9b"
              "31m \xc2\x80\xc2\xa0"),
         "\\u009b31m \\u0080\xc2\xa0"},
        {TEXT("\x9b"
              "31m\xff\xc3"),
         "\\x9b31m\\xff\\xc3"},
        {TEXT("\xed\xa0\x80\xc0\x9b"), "\\xed\\xa0\\x80\\xc0\\x9b"},
        {TEXT("\xe2\x80\xae\xe2\x80\xa7\xe2\x81\xa6\xe2\x80\xa8"),
         "\\u202e\xe2\x80\xa7\\u2066\\u2028"},
        {TEXT("猫 🐈 é"), "猫 🐈 é"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct buf out;
        buf_init(&out, 1024);
        assert_int_equal(text_add_escaped(&out, rows[i].text, rows[i].len), 0);
        assert_string_equal(buf_text(&out), rows[i].expected);
        buf_fini(&out);
    }
}

static void test_text__secrets_of_urls_are_not_shown(void **state UNUSED)
{
    static const struct shown_row rows[] = {
        {TEXT("https://a.b/c.mp4?X-Tos-Signature=1&x=2"), "https://a.b/c.mp4…"},
        {TEXT("https://a.b/c.mp4#access_token=1"), "https://a.b/c.mp4…"},
        {TEXT("https://user:pass@word@a.b:1/c@d"), "https://…@a.b:1/c@d"},
        {TEXT("(http://u@a.b?x=1) two s3://k/x?y#z end"), "(http://…@a.b… two s3://k/x… end"},
        {TEXT("https://a.b/c ? # a@b"), "https://a.b/c ? # a@b"},
        {TEXT("why? because: //x?y"), "why? because: //x?y"},
        {TEXT("<a href=\"https://a/b?c\">x</a>"), "<a href=\"https://a/b…\">x</a>"},
        /* JSON, with whatever may be escaped in it. */
        {TEXT("{\"u\":\"https:\\/\\/a\\/b\\u003Fc\\u0026d\"}"), "{\"u\":\"https:\\/\\/a\\/b…\"}"},
        {TEXT("{\"u\":\"\\u0068ttps\\u003a\\u002F\\u002fa?c\",\"v\":\"w?x\"}"),
         "{\"u\":\"\\u0068ttps\\u003a\\u002F\\u002fa…\",\"v\":\"w?x\"}"},
        {TEXT("\"see \\\"https://a?b\\\"&sig=1 and\\nhttps://a?b\\nthen "
              "\\u003chttps://a?b\\u003e\\u0020.\""),
         "\"see \\\"https://a… and\\nhttps://a…\\nthen \\u003chttps://a…\\u0020.\""},
        {TEXT("<a href='HTTPS://a/b?<c>&d'>x</a> y?z"), "<a href='HTTPS://a/b… y?z"},
        {TEXT("https://a/b?\x1b[31m\nhttps://a/\x1b"), "https://a/b…\nhttps://a/\\u001b"},
        {TEXT("https://a/猫?名=猫&sig=1 猫"), "https://a/猫… 猫"},
        {TEXT("https://"), "https://"},
        {TEXT("https://a?"), "https://a…"},
        {TEXT("https://a\\"), "https://a\\"},
        {TEXT("https://a?\\u00"), "https://a…"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct buf out;
        char copy[256] = "";
        buf_init(&out, 1024);
        assert_int_equal(text_add_shown(&out, rows[i].text, rows[i].len), 0);
        assert_string_equal(buf_text(&out), rows[i].expected);
        assert_int_equal(text_has_url_secret(rows[i].text, rows[i].len),
                         strstr(rows[i].expected, "…") != NULL);
        /* Masked it is as long as before, and nothing of it is left. */
        memcpy(copy, rows[i].text, rows[i].len);
        text_mask_url_secrets(copy, rows[i].len);
        assert_int_equal(strlen(copy), rows[i].len);
        assert_int_equal(strchr(copy, '*') != NULL, strstr(rows[i].expected, "…") != NULL);
        assert_false(text_has_url_secret(copy, rows[i].len) && !strchr(copy, '@'));
        buf_fini(&out);
    }
}

/* A signature must not be seen wherever the text is cut off. */
static void test_text__a_cut_off_url_shows_nothing_of_its_query(void **state UNUSED)
{
    static const char text[] = "x \"https:\\/\\/a.b/c\\u003fSECRET=SECRET\" y";
    for (size_t len = 0; len < sizeof(text); len++) {
        struct buf out;
        buf_init(&out, 1024);
        assert_int_equal(text_add_shown(&out, text, len), 0);
        assert_null(strstr(buf_text(&out), "S"));
        buf_fini(&out);
    }
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
        cmocka_unit_test(test_text__control_characters_are_shown_as_escapes),
        cmocka_unit_test(test_text__secrets_of_urls_are_not_shown),
        cmocka_unit_test(test_text__a_cut_off_url_shows_nothing_of_its_query),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* base/json: what is accepted, what is refused and where, and what is written. */
#include "seedancefs/base/err.h"
#include "seedancefs/base/file.h"
#include "seedancefs/base/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

static int verdict(const char *text, size_t len, struct json_error *error)
{
    /* An exact copy without NUL, so that the sanitizer sees any read behind the end. */
    char *exact = malloc(len ? len : 1);
    assert_non_null(exact);
    if (len)
        memcpy(exact, text, len);
    struct json_document *document = NULL;
    int r = json_parse(exact, len, NULL, &document, error);
    free(exact);
    assert_true((r == 0) == (document != NULL));
    json_document_free(document);
    return r;
}

static void test_json__tells_right_wrong_and_unfinished_apart(void **state UNUSED)
{
#define T(text) text, sizeof(text) - 1
    static const struct {
        const char *text;
        size_t len;
        int expected;
        unsigned line;
        unsigned column;
    } cases[] = {
        {T("{}"), 0, 0, 0},
        {T(" [1, -0.5e+3, \"x\", true, false, null] \n"), 0, 0, 0},
        {T("\"\\ud83d\\ude00 \xf0\x9f\x98\x80\""), 0, 0, 0},
        {T("12"), 0, 0, 0},
        {T(""), -ERR_JSON_INCOMPLETE, 1, 1},
        {T(" \n "), -ERR_JSON_INCOMPLETE, 2, 2},
        {T("{\"a\": tr"), -ERR_JSON_INCOMPLETE, 1, 9},
        {T("\"\xf0\x9f"), -ERR_JSON_INCOMPLETE, 1, 2},
        {T("\"\\ud83d"), -ERR_JSON_INCOMPLETE, 1, 8},
        {T("-"), -ERR_JSON_INCOMPLETE, 1, 2},
        {T("[1e"), -ERR_JSON_INCOMPLETE, 1, 4},
        {T("{} x"), -ERR_JSON_SYNTAX, 1, 4},
        {T("{}{}"), -ERR_JSON_SYNTAX, 1, 3},
        {T("\xef\xbb\xbf{}"), -ERR_JSON_SYNTAX, 1, 1},
        {T("[1,]"), -ERR_JSON_SYNTAX, 1, 4},
        {T("{\"a\":1,}"), -ERR_JSON_SYNTAX, 1, 8},
        {T("{\n  \"\xc3\xa4\xc3\xb6\" 1}"), -ERR_JSON_SYNTAX, 2, 8},
        {T("{\"a\":1 \"b\":2}"), -ERR_JSON_SYNTAX, 1, 8},
        {T("{\"a\":1,\n \"a\":2}"), -ERR_JSON_SYNTAX, 2, 2},
        {T("{\"a\":1,\"\\u0061\""), -ERR_JSON_SYNTAX, 1, 8},
        {T("{\"\xc3\xa9\":1,\"\\u00E9\":2}"), -ERR_JSON_SYNTAX, 1, 8},
        {T("{\"\xf0\x9f\x98\x80\":1,\"\\ud83d\\uDE00\":2}"), -ERR_JSON_SYNTAX, 1, 8},
        {T("{\"a\":{\"a\":1},\"A\":{\"a\":1}}"), 0, 0, 0},
        {T("[01]"), -ERR_JSON_SYNTAX, 1, 3},
        {T("[1e999]"), -ERR_JSON_SYNTAX, 1, 2},
        {T("[-1e999"), -ERR_JSON_SYNTAX, 1, 2},
        {T("[1.]"), -ERR_JSON_SYNTAX, 1, 4},
        {T("[+1]"), -ERR_JSON_SYNTAX, 1, 2},
        {T("[NaN]"), -ERR_JSON_SYNTAX, 1, 2},
        {T("[0x10]"), -ERR_JSON_SYNTAX, 1, 3},
        {T("[truE]"), -ERR_JSON_SYNTAX, 1, 2},
        {T("['a']"), -ERR_JSON_SYNTAX, 1, 2},
        {T("[\"\\u0000\"]"), -ERR_JSON_SYNTAX, 1, 9},
        {T("[\"a\0b\"]"), -ERR_JSON_SYNTAX, 1, 4},
        {T("[1]\0"), -ERR_JSON_SYNTAX, 1, 4},
        {T("[\"\\ud800\"]"), -ERR_JSON_SYNTAX, 1, 9},
        {T("[\"\\ud800\\u0041\"]"), -ERR_JSON_SYNTAX, 1, 15},
        {T("[\"\\udc00\"]"), -ERR_JSON_SYNTAX, 1, 9},
        {T("[\"\\x\"]"), -ERR_JSON_SYNTAX, 1, 4},
        {T("[\"a\nb\"]"), -ERR_JSON_SYNTAX, 1, 4},
        {T("[\"\xc0\xaf\"]"), -ERR_JSON_SYNTAX, 1, 3},
        {T("[\"\xed\xa0\x80\"]"), -ERR_JSON_SYNTAX, 1, 3},
        {T("[\"\xf4\x90\x80\x80\"]"), -ERR_JSON_SYNTAX, 1, 3},
        {T("[\"\xff\"]"), -ERR_JSON_SYNTAX, 1, 3},
        {T("]"), -ERR_JSON_SYNTAX, 1, 1},
        {T("[0.00000000000000000000000000000000000000000000000000000000000000000]"),
         -ERR_JSON_LIMIT, 1, 2},
        {T("[1000000000000000000000000000000000000000000000000000000000000000000]"),
         -ERR_JSON_LIMIT, 1, 2},
    };
#undef T
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct json_error error = {0};
        int r = verdict(cases[i].text, cases[i].len, &error);
        if (r != cases[i].expected || error.line != cases[i].line ||
            error.column != cases[i].column)
            fail_msg("%s: %s at %u:%u (%s)", cases[i].text, err_name(r), error.line, error.column,
                     error.sentence);
    }
}

static void test_json__says_what_is_wrong_in_words(void **state UNUSED)
{
    static const struct {
        const char *text;
        const char *sentence;
    } cases[] = {
        {"{\"a\": 1 \"b\": 2}", "expected ',' or '}' after the value"},
        {"{\"prompt\": 1, \"prompt\": 2}", "the key \"prompt\" appears twice"},
        {"{\"a\"", "the text ends too early: a key is without its value"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct json_error error;
        assert_true(verdict(cases[i].text, strlen(cases[i].text), &error) < 0);
        assert_string_equal(error.sentence, cases[i].sentence);
    }
}

static void test_json__every_prefix_is_unfinished_until_the_last_byte(void **state UNUSED)
{
    static const char text[] =
        " {\"a\\n\\u00e9\": [1.5e-3, {\"b\": \"\xf0\x9f\x98\x80\\ud83d\\ude00\"}], \"c\": true, "
        "\"d\": null, \"e\": [], \"f\": {}, \"g\": false}";
    size_t len = sizeof(text) - 1;
    for (size_t i = 0; i < len; i++)
        assert_int_equal(verdict(text, i, NULL), -ERR_JSON_INCOMPLETE);
    assert_int_equal(verdict(text, len, NULL), 0);
}

static void test_json__caps_bytes_depth_and_nodes(void **state UNUSED)
{
    char deep[2 * 33 + 1];
    memset(deep, '[', 33);
    memset(deep + 33, ']', 33);
    assert_int_equal(verdict(deep, 66, NULL), -ERR_JSON_LIMIT);
    assert_int_equal(verdict(deep + 1, 64, NULL), 0);

    char many[2 * 4096 + 2];
    for (size_t i = 0; i < 4096; i++)
        memcpy(many + 1 + 2 * i, "0,", 2);
    many[0] = '[';
    many[2 * 4095] = ']'; /* 4,095 items and the array itself */
    assert_int_equal(verdict(many, 2 * 4095 + 1, NULL), 0);
    many[2 * 4095] = ',';
    many[2 * 4096] = ']';
    assert_int_equal(verdict(many, 2 * 4096 + 1, NULL), -ERR_JSON_LIMIT);

    const struct json_limits tiny = {.max_bytes = 4, .max_depth = 4, .max_nodes = 4};
    struct json_document *document;
    struct json_error error;
    assert_int_equal(json_parse("[1,2]", 5, &tiny, &document, &error), -ERR_JSON_LIMIT);
    /* Full, and still not closed: no more bytes may come. */
    assert_int_equal(json_parse("[1,2", 4, &tiny, &document, &error), -ERR_JSON_LIMIT);
    assert_int_equal(json_parse("[1,", 3, &tiny, &document, &error), -ERR_JSON_INCOMPLETE);
}

static void test_json__lends_values_and_their_places(void **state UNUSED)
{
    static const char text[] = "{\"s\": \"a\\tb\", \"S\": 1,\n"
                               " \"n\": [9223372036854775807, 5.0, 5.5, 1e30, -0,\n"
                               " 9223372036854775808], \"t\": true, \"o\": {\"x\": null}}";
    struct json_document *document;
    assert_int_equal(json_parse(text, sizeof(text) - 1, NULL, &document, NULL), 0);
    const struct json *root = json_document_root(document);
    assert_int_equal(json_child_count(root), 5);
    assert_string_equal(json_text_get(json_member_get(root, "s")), "a\tb");
    assert_null(json_text_get(json_member_get(root, "S")));
    assert_null(json_member_get(root, "x"));
    assert_null(json_key_get(root));

    static const struct {
        bool is_int;
        int64_t value;
    } numbers[] = {{true, INT64_MAX}, {true, 5}, {false, 0}, {false, 0}, {true, 0}, {false, 0}};
    const struct json *array = json_member_get(root, "n");
    size_t i = 0;
    JSON_FOR_EACH (item, array) {
        int64_t value = -7;
        assert_int_equal(json_int64_get(item, &value), numbers[i].is_int);
        assert_true(value == (numbers[i].is_int ? numbers[i].value : -7));
        i++;
    }
    assert_int_equal(i, 6);

    bool flag = false;
    assert_true(json_bool_get(json_member_get(root, "t"), &flag) && flag);
    assert_false(json_bool_get(array, &flag));
    unsigned line;
    unsigned column;
    json_position(array, &line, &column);
    assert_true(line == 2 && column == 7);
    json_key_position(array, &line, &column);
    assert_true(line == 2 && column == 2);
    json_position(json_member_get(json_member_get(root, "o"), "x"), &line, &column);
    assert_true(line == 3 && column == 46);
    document = json_document_free(document);
    assert_null(document);
}

static void write_sample(struct buf *out, enum json_style style)
{
    struct json_writer w;
    json_writer_init(&w, out, style);
    json_write_object_begin(&w);
    json_write_member_string(&w, "s", "q\" \\ \n\x01\x7f\xff\xc3\xa9\xe2\x82");
    json_write_member_string(&w, "none", NULL);
    json_write_key(&w, "a");
    json_write_array_begin(&w);
    json_write_int64(&w, INT64_MIN);
    json_write_bool(&w, false);
    json_write_raw(&w, "1.50");
    json_write_object_begin(&w);
    json_write_object_end(&w);
    json_write_array_end(&w);
    json_write_object_end(&w);
}

static void test_json__writes_compact_and_pretty(void **state UNUSED)
{
    struct buf out;
    buf_init(&out, 4096);
    write_sample(&out, JSON_COMPACT);
    assert_string_equal(
        buf_text(&out),
        "{\"s\":\"q\\\" \\\\ \\n\\u0001\x7f\xef\xbf\xbd\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd\","
        "\"none\":null,\"a\":[-9223372036854775808,false,1.50,{}]}");
    assert_int_equal(verdict(out.data, out.len, NULL), 0);
    buf_clear(&out);
    write_sample(&out, JSON_PRETTY);
    assert_non_null(strstr(buf_text(&out), "\",\n  \"none\": null,\n  \"a\": [\n    -92233"));
    assert_non_null(strstr(buf_text(&out), "    {}\n  ]\n}"));
    buf_fini(&out);
}

static void test_json__writer_reports_misuse(void **state UNUSED)
{
    struct buf out;
    buf_init(&out, 4096);
    struct json_writer w;
    json_writer_init(&w, &out, JSON_COMPACT);
    json_write_object_begin(&w);
    json_write_int64(&w, 1);
    assert_int_equal(out.error, -EINVAL);
    buf_fini(&out);
}

static void test_json__writes_a_parsed_value_back_as_it_was(void **state UNUSED)
{
    static const char text[] = "{\"a\":[12345678901234567890,1.0,-0,\"x\\n\"],\"b\":{\"c\":null}}";
    struct json_document *document;
    assert_int_equal(json_parse(text, sizeof(text) - 1, NULL, &document, NULL), 0);
    struct buf out;
    buf_init(&out, 4096);
    struct json_writer w;
    json_writer_init(&w, &out, JSON_COMPACT);
    json_write_node(&w, json_document_root(document));
    assert_string_equal(buf_text(&out), text);
    buf_fini(&out);
    json_document_free(document);
}

static void test_json__fixtures_get_the_verdict_in_their_name(void **state UNUSED)
{
    DIR *directory = opendir("tests/fixtures/json");
    assert_non_null(directory);
    size_t seen = 0;
    for (struct dirent *e = readdir(directory); e; e = readdir(directory)) {
        bool is_valid = strncmp(e->d_name, "valid-", 6) == 0;
        if (!is_valid && strncmp(e->d_name, "invalid-", 8) != 0)
            continue;
        struct buf text;
        buf_init(&text, 1024 * 1024);
        assert_int_equal(file_read_all_at(dirfd(directory), e->d_name, &text), 0);
        int r = verdict(buf_text(&text), text.len, NULL);
        if ((r == 0) != is_valid)
            fail_msg("%s: %s", e->d_name, err_name(r));
        buf_fini(&text);
        seen++;
    }
    (void)closedir(directory);
    assert_true(seen >= 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json__tells_right_wrong_and_unfinished_apart),
        cmocka_unit_test(test_json__says_what_is_wrong_in_words),
        cmocka_unit_test(test_json__every_prefix_is_unfinished_until_the_last_byte),
        cmocka_unit_test(test_json__caps_bytes_depth_and_nodes),
        cmocka_unit_test(test_json__lends_values_and_their_places),
        cmocka_unit_test(test_json__writes_compact_and_pretty),
        cmocka_unit_test(test_json__writer_reports_misuse),
        cmocka_unit_test(test_json__writes_a_parsed_value_back_as_it_was),
        cmocka_unit_test(test_json__fixtures_get_the_verdict_in_their_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* sim: what the object store keeps, and how it lists that. */
#include "sim/object.h"
#include "sim/s3_list.h"

#include "seedancefs/base/cleanup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

static struct object_table table;

static void put(const char *key, const char *text)
{
    struct buf bytes = SIM_BUF;
    (void)buf_add_text(&bytes, text);
    struct object *object = object_new(key, NULL, &bytes);
    object_put(&table, object);
    object_unref(object);
}

static int forget(void **state UNUSED)
{
    object_remove_all(&table);
    free(table.sorted);
    table = (struct object_table){0};
    return 0;
}

static void test_object__it_has_bytes_sum_and_type(void **state UNUSED)
{
    struct buf bytes = SIM_BUF;
    (void)buf_add(&bytes, "a\0b", 3);
    struct object *object = object_new("k", "image/png", &bytes);
    assert_int_equal(object->len, 3);
    assert_memory_equal(object->data, "a\0b", 3);
    assert_string_equal(object->md5_hex, "70350f6027bce3713f6b76473084309b");
    assert_string_equal(object->content_type, "image/png");
    object_unref(object);
    put("empty", "");
    assert_string_equal(object_find(&table, "empty")->md5_hex, "d41d8cd98f00b204e9800998ecf8427e");
    assert_string_equal(object_find(&table, "empty")->content_type, "binary/octet-stream");
}

static void test_object__another_put_replaces_it_and_counts(void **state UNUSED)
{
    put("k", "one");
    struct object *old = object_ref(object_find(&table, "k"));
    put("k", "two");
    assert_int_equal(table.count, 1);
    assert_string_equal(object_find(&table, "k")->data, "two");
    assert_int_equal(object_find(&table, "k")->puts, 2);
    assert_string_equal(old->data, "one"); /* a response may still send it */
    object_unref(old);
    assert_true(object_remove(&table, "k"));
    assert_false(object_remove(&table, "k"));
    put("k", "three");
    assert_int_equal(object_find(&table, "k")->puts, 1);
}

/* Against a plain list of which keys are there. */
static void test_object__the_table_is_in_the_order_of_bytes(void **state UNUSED)
{
    enum { KEYS = 300, STEPS = 20000 };
    bool is_there[KEYS] = {false};
    uint64_t random = 1;
    for (int step = 0; step < STEPS; step++) {
        uint64_t draw = random_next(&random);
        size_t n = (size_t)(draw % KEYS);
        CLEANUP_FREE char *key = mem_format("%zu%c", n, 'a' + (char)(n % 7));
        if ((draw >> 32) % 2 == 0) {
            put(key, "");
            is_there[n] = true;
        } else {
            assert_int_equal(object_remove(&table, key), is_there[n]);
            is_there[n] = false;
        }
        assert_int_equal(object_find(&table, key) != NULL, is_there[n]);
    }
    size_t count = 0;
    for (size_t n = 0; n < KEYS; n++)
        count += is_there[n];
    assert_int_equal(table.count, count);
    for (size_t i = 1; i < table.count; i++)
        assert_true(strcmp(table.sorted[i - 1]->key, table.sorted[i]->key) < 0);
    put("\xc3\xbc", ""); /* behind all of ASCII */
    assert_string_equal(table.sorted[table.count - 1]->key, "\xc3\xbc");
}

/* The XML; lent until the next list. */
static const char *list(const char *query)
{
    static char text[8192];
    CLEANUP(response_fini) struct response response = {0};
    CLEANUP(s3_target_fini) struct s3_target target = {0};
    CLEANUP_FREE char *uri = mem_format("/bucket?%s", query);
    assert_int_equal(s3_target_parse(uri, &target), 0);
    s3_list(&table, "bucket", &target, &response);
    assert_true(response.body.size < sizeof(text));
    (void)snprintf(text, sizeof(text), "%d %s", response.status, response.body.data);
    return text;
}

/* The keys of the list, each followed by a blank, and "+" if it says that there are more. */
static const char *keys(const char *query)
{
    static char found[1024];
    const char *xml = list(query);
    size_t len = 0;
    assert_memory_equal(xml, "200 <?xml ", 10);
    for (const char *at = xml; (at = strstr(at, "<Key>")) != NULL;) {
        at += strlen("<Key>");
        len +=
            (size_t)snprintf(found + len, sizeof(found) - len, "%.*s ", (int)strcspn(at, "<"), at);
    }
    bool is_truncated = strstr(xml, "<IsTruncated>true<") != NULL;
    assert_int_equal(strstr(xml, "<NextContinuationToken>") != NULL, is_truncated);
    (void)snprintf(found + len, sizeof(found) - len, "%s", is_truncated ? "+" : "");
    return found;
}

static void test_s3_list__prefix_start_and_count_select(void **state UNUSED)
{
    static const struct {
        const char *query, *keys;
    } rows[] = {
        {"list-type=2", "a a/1 a/2 a/3 b "},
        {"list-type=2&prefix=a/", "a/1 a/2 a/3 "},
        {"list-type=2&prefix=c", ""},
        {"list-type=2&prefix=a/&start-after=a/1", "a/2 a/3 "},
        {"list-type=2&start-after=a/0", "a/1 a/2 a/3 b "},
        {"list-type=2&prefix=a/&start-after=0", "a/1 a/2 a/3 "},
        {"list-type=2&prefix=a/&start-after=b", ""},
        {"list-type=2&max-keys=5", "a a/1 a/2 a/3 b "},
        {"list-type=2&max-keys=4", "a a/1 a/2 a/3 +"},
        {"list-type=2&max-keys=1&prefix=b", "b "},
        {"list-type=2&max-keys=3&prefix=a/", "a/1 a/2 a/3 "},
        {"list-type=2&max-keys=0", ""},
        {"list-type=2&continuation-token=YS8x", "a/2 a/3 b "},
        {"list-type=2&continuation-token=YS8x&start-after=a/2", "a/2 a/3 b "},
    };
    static const char *const all[] = {"b", "a/2", "a", "a/3", "a/1"};
    for (size_t i = 0; i < ARRAY_COUNT(all); i++)
        put(all[i], "");
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        const char *found = keys(rows[i].query);
        if (strcmp(found, rows[i].keys) != 0)
            fail_msg("%s: %s", rows[i].query, found);
    }
}

static void test_s3_list__a_thousand_keys_are_the_most(void **state UNUSED)
{
    for (int i = 0; i < 1001; i++) {
        CLEANUP_FREE char *key = mem_format("%04d", i);
        put(key, "");
    }
    CLEANUP(response_fini) struct response response = {0};
    CLEANUP(s3_target_fini) struct s3_target target = {0};
    assert_int_equal(s3_target_parse("/?list-type=2&max-keys=5000", &target), 0);
    s3_list(&table, "bucket", &target, &response);
    assert_non_null(strstr(response.body.data, "<KeyCount>1000</KeyCount><MaxKeys>1000</MaxKeys>"));
    /* base64 of 0999 */
    assert_non_null(
        strstr(response.body.data, "<NextContinuationToken>MDk5OQ==</NextContinuationToken>"));
}

static void test_s3_list__an_entry_has_sum_size_and_time_and_is_escaped(void **state UNUSED)
{
    put("<&\"\x01 \xc3\xbc>", "123");
    const char *xml = list("list-type=2");
    assert_non_null(strstr(xml, "<Name>bucket</Name>"));
    assert_non_null(
        strstr(xml, "<Key>&#x3C;&#x26;&#x22;&#x1; \xc3\xbc&#x3E;</Key><LastModified>2"));
    assert_non_null(strstr(xml, "<ETag>&quot;202cb962ac59075b964b07152d234b70&quot;</ETag>"
                                "<Size>3</Size>"));
    xml = list("list-type=2&encoding-type=url&prefix=%3C");
    assert_non_null(strstr(xml, "<Key>%3C%26%22%01%20%C3%BC%3E</Key>"));
    assert_non_null(strstr(xml, "<Prefix>%3C</Prefix>"));
}

static void test_s3_list__what_it_does_not_know_is_refused(void **state UNUSED)
{
    static const char *const bad[] = {
        "",
        "list-type=1",
        "list-type=2&max-keys=x",
        "list-type=2&max-keys=-1",
        "list-type=2&max-keys=9999999999",
        "list-type=2&continuation-token=%2B",
        "list-type=2&continuation-token=",
    };
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        const char *xml = list(bad[i]);
        assert_memory_equal(xml, "400 ", 4);
        assert_non_null(strstr(xml, "<Code>InvalidArgument</Code>"));
    }
    assert_memory_equal(list("list-type=2&delimiter=/"), "501 ", 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_object__it_has_bytes_sum_and_type, forget),
        cmocka_unit_test_teardown(test_object__another_put_replaces_it_and_counts, forget),
        cmocka_unit_test_teardown(test_object__the_table_is_in_the_order_of_bytes, forget),
        cmocka_unit_test_teardown(test_s3_list__prefix_start_and_count_select, forget),
        cmocka_unit_test_teardown(test_s3_list__a_thousand_keys_are_the_most, forget),
        cmocka_unit_test_teardown(test_s3_list__an_entry_has_sum_size_and_time_and_is_escaped,
                                  forget),
        cmocka_unit_test_teardown(test_s3_list__what_it_does_not_know_is_refused, forget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

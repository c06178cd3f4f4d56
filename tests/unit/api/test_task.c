#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "seedancefs/api/task.h"
#include "seedancefs/base/err.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct task_row {
    const char *body;
    int result;
    const char *id;
    enum api_task_status status;
    const char *video_url; /* NULL: none */
    int64_t duration_ms;
};

static const struct task_row task_rows[] = {
    {"{\"id\":\"cgt-1\",\"object\":\"video.generation.task\",\"model\":\"m\",\"status\":\"queued\","
     "\"created\":1795420800}",
     0, "cgt-1", API_TASK_QUEUED, NULL, -1},
    {"{\"id\":\"cgt-1\",\"status\":\"running\",\"new\":{\"field\":[1]}}", 0, "cgt-1",
     API_TASK_RUNNING, NULL, -1},
    {"{\"id\":\"a\",\"status\":\"succeeded\",\"data\":[{\"video_url\":\"https://e/v.mp4\","
     "\"cover_image_url\":\"\"}],\"usage\":{\"video_duration\":5}}",
     0, "a", API_TASK_SUCCEEDED, "https://e/v.mp4", 5000},
    {"{\"id\":\"a\",\"status\":\"succeeded\",\"content\":{\"video_url\":\"https://e/v.mp4\"},"
     "\"usage\":{\"video_duration\":5.0416}}",
     0, "a", API_TASK_SUCCEEDED, "https://e/v.mp4", 5042},
    {"{\"id\":\"a\",\"status\":\"succeeded\",\"data\":{\"video_url\":\"https://e/v.mp4\"}}", 0, "a",
     API_TASK_SUCCEEDED, "https://e/v.mp4", -1},
    {"{\"id\":\"a\",\"status\":\"succeeded\",\"data\":[]}", 0, "a", API_TASK_SUCCEEDED, NULL, -1},
    {"{\"id\":\"a\",\"status\":\"succeeded\",\"data\":[null],\"usage\":{\"video_duration\":-3}}", 0,
     "a", API_TASK_SUCCEEDED, NULL, -1},
    {"{\"id\":\"a\",\"status\":\"succeeded\",\"data\":[{\"video_url\":null}],"
     "\"usage\":{\"video_duration\":\"5\"}}",
     0, "a", API_TASK_SUCCEEDED, NULL, -1},
    {"{\"id\":\"a\",\"usage\":{\"video_duration\":1e300}}", 0, "a", API_TASK_UNKNOWN, NULL, -1},
    {"{\"id\":\"a\",\"status\":\"cancelled\"}", 0, "a", API_TASK_CANCELLED, NULL, -1},
    {"{\"id\":\"a\",\"status\":\"expired\"}", 0, "a", API_TASK_EXPIRED, NULL, -1},
    {"{\"id\":\"a\",\"status\":\"Queued\"}", 0, "a", API_TASK_UNKNOWN, NULL, -1},
    {"{\"id\":\"a\",\"status\":\"dreaming\"}", 0, "a", API_TASK_UNKNOWN, NULL, -1},
    {"{\"id\":\"a\",\"status\":7,\"model\":7,\"created\":\"now\"}", 0, "a", API_TASK_UNKNOWN, NULL,
     -1},
    {"{\"id\":\"a\",\"data\":[{\"cover_image_url\":5}]}", 0, "a", API_TASK_UNKNOWN, NULL, -1},
    /* no task */
    {"", -ERR_JSON_INCOMPLETE, NULL, 0, NULL, 0},
    {"{\"id\":\"a\"", -ERR_JSON_INCOMPLETE, NULL, 0, NULL, 0},
    {"<html>502</html>", -ERR_JSON_SYNTAX, NULL, 0, NULL, 0},
    {"{\"id\":\"a\"} x", -ERR_JSON_SYNTAX, NULL, 0, NULL, 0},
    {"{\"id\":\"a\",\"id\":\"b\"}", -ERR_JSON_SYNTAX, NULL, 0, NULL, 0},
    {"\xef\xbb\xbf{\"id\":\"a\"}", -ERR_JSON_SYNTAX, NULL, 0, NULL, 0},
    {"{\"id\":\"a\\u0000b\"}", -ERR_JSON_SYNTAX, NULL, 0, NULL, 0},
    {"{\"id\":\"\xff\"}", -ERR_JSON_SYNTAX, NULL, 0, NULL, 0},
    {"{}", -EINVAL, NULL, 0, NULL, 0},
    {"[]", -EINVAL, NULL, 0, NULL, 0},
    {"null", -EINVAL, NULL, 0, NULL, 0},
    {"{\"id\":null}", -EINVAL, NULL, 0, NULL, 0},
    {"{\"id\":\"\"}", -EINVAL, NULL, 0, NULL, 0},
    {"{\"id\":5}", -EINVAL, NULL, 0, NULL, 0},
    {"{\"id\":\"a/b\"}", -EINVAL, NULL, 0, NULL, 0},
    {"{\"ID\":\"a\"}", -EINVAL, NULL, 0, NULL, 0},
    {"{\"id\":\"a\",\"data\":[{\"video_url\":5}]}", -EINVAL, NULL, 0, NULL, 0},
    {"{\"id\":\"a\",\"data\":[{\"video_url\":[\"https://e/\"]}]}", -EINVAL, NULL, 0, NULL, 0},
    {"{\"id\":\"a\",\"content\":{\"video_url\":{}}}", -EINVAL, NULL, 0, NULL, 0},
};

static void test_task__each_body_has_its_meaning(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(task_rows); i++) {
        const struct task_row *row = &task_rows[i];
        struct api_task task;
        api_task_init(&task);
        int r = api_task_decode(row->body, strlen(row->body), &task);
        if (r != row->result)
            fail_msg("%s: %s", row->body, err_name(r));
        if (r == 0) {
            assert_string_equal(task.id, row->id);
            assert_int_equal(task.status, row->status);
            assert_int_equal(task.video_duration_ms, row->duration_ms);
            assert_int_equal(task.video_url != NULL, row->video_url != NULL);
            if (row->video_url)
                assert_string_equal(task.video_url, row->video_url);
        } else {
            assert_null(task.id);
            assert_int_equal(task.created_s, -1);
        }
        api_task_fini(&task);
    }
}

static void test_task__all_fields_are_read(void **state)
{
    (void)state;
    static const char body[] =
        "{\"id\":\"cgt-1\",\"model\":\"doubao-seedance-2.0\",\"status\":\"failed\","
        "\"created\":1795420800,\"data\":[{\"cover_image_url\":\"https://e/c.jpg\"}],"
        "\"error\":{\"code\":\"OutputVideoSensitiveContentDetected\","
        "\"message\":\"may be\\nsensitive. Request id: 0217abc\"}}";
    struct api_task task;
    api_task_init(&task);
    assert_int_equal(api_task_decode(body, sizeof(body) - 1, &task), 0);
    assert_string_equal(task.model, "doubao-seedance-2.0");
    assert_string_equal(task.status_word, "failed");
    assert_int_equal(task.created_s, 1795420800);
    assert_string_equal(task.cover_image_url, "https://e/c.jpg");
    assert_string_equal(task.error_code, "OutputVideoSensitiveContentDetected");
    assert_string_equal(task.error_message, "may be sensitive. Request id: 0217abc");
    assert_string_equal(task.error_request_id, "0217abc");
    /* Decoding again replaces it all; a failure leaves it untouched. */
    assert_int_equal(api_task_decode("{}", 2, &task), -EINVAL);
    assert_string_equal(task.id, "cgt-1");
    assert_int_equal(api_task_decode("{\"id\":\"b\",\"message\":\"fine\"}", 27, &task), 0);
    assert_string_equal(task.id, "b");
    assert_null(task.model);
    assert_string_equal(task.error_message, "");
    api_task_fini(&task);
}

static void test_task__a_body_has_a_size_and_a_depth(void **state)
{
    (void)state;
    char *body = malloc(API_BODY_MAX + 2);
    struct api_task task;
    api_task_init(&task);
    memset(body, ' ', API_BODY_MAX + 1);
    memcpy(body, "{\"id\":\"a\"}", 10);
    assert_int_equal(api_task_decode(body, API_BODY_MAX, &task), 0);
    assert_int_equal(api_task_decode(body, API_BODY_MAX + 1, &task), -ERR_JSON_LIMIT);
    memset(body, '[', 100000);
    assert_int_equal(api_task_decode(body, 100000, &task), -ERR_JSON_LIMIT);
    api_task_fini(&task);
    free(body);
}

static void test_task__an_id_is_one_segment_of_a_path(void **state)
{
    (void)state;
    static const char *const good[] = {"a", "cgt-20261123-x_y.z~1", "...", "a:b@c!$&()*+,;=", "1"};
    static const char *const bad[] = {"",         ".",    "..",  "a/b", "/",   "a?b",
                                      "a#b",      "a%2f", "a b", " a",  "a\n", "a\x7f",
                                      "\xc3\xa4", "a\\b", "a\"", "\t"};
    for (size_t i = 0; i < ARRAY_COUNT(good); i++)
        assert_int_equal(api_task_id_check(good[i]), 0);
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
        assert_int_equal(api_task_id_check(bad[i]), -EINVAL);
    char id[API_ID_MAX + 2];
    memset(id, 'a', sizeof(id));
    id[API_ID_MAX + 1] = '\0';
    assert_int_equal(api_task_id_check(id), -EINVAL);
    id[API_ID_MAX] = '\0';
    assert_int_equal(api_task_id_check(id), 0);
}

static void test_task__each_status_has_its_word(void **state)
{
    (void)state;
    assert_string_equal(api_task_status_to_text(API_TASK_QUEUED), "queued");
    assert_string_equal(api_task_status_to_text(API_TASK_UNKNOWN), "unknown");
    for (int s = API_TASK_QUEUED; s <= API_TASK_UNKNOWN; s++) {
        bool is_final = s != API_TASK_QUEUED && s != API_TASK_RUNNING && s != API_TASK_UNKNOWN;
        assert_int_equal(api_task_status_is_final((enum api_task_status)s), is_final);
    }
    assert_int_equal(api_url_expires_at_ms(NULL), -1);
}

static void test_task__each_error_shape_is_read(void **state)
{
    (void)state;
    static const struct {
        const char *body, *code, *message, *request_id;
    } rows[] = {
        {"{\"error\":{\"code\":\"InvalidParameter.Duration\",\"message\":\"bad\",\"param\":\"d\","
         "\"type\":\"BadRequest\"}}",
         "InvalidParameter.Duration", "bad", ""},
        {"{\"error\":{\"code\":null,\"message\":\"m\",\"type\":\"invalid_request_error\"}}",
         "invalid_request_error", "m", ""},
        {"{\"error\":{\"code\":1001,\"message\":\"m. Request ID: 0217-a_b.\"}}", "1001",
         "m. Request ID: 0217-a_b.", "0217-a_b"},
        {"{\"error\":\"no money\"}", "", "no money", ""},
        {"{\"error\":\"no. request_id:77\"}", "", "no. request_id:77", "77"},
        {"{\"code\":40001,\"message\":\"m\",\"request_id\":\"r\"}", "40001", "m", "r"},
        {"{\"message\":\"m\"}", "", "m", ""},
        {"{\"msg\":\"m\",\"RequestId\":12}", "", "m", "12"},
        {"{\"detail\":\"d\"}", "", "d", ""},
        {"{\"error\":{\"message\":\"inner\"},\"message\":\"outer\",\"code\":\"c\"}", "c", "inner",
         ""},
        {"{\"error\":{\"message\":\"a\\r\\nlevel=error\\u001b[31m\\u0085\\u2028\\u202ez\"}}", "",
         "a  level=error [31m   z", ""},
        {"{\"error\":{\"message\":\"\\u9519\\u8bef\"}}", "", "\xe9\x94\x99\xe8\xaf\xaf", ""},
        {"{\"error\":[1,2]}", "", "", ""},
        {"{\"error\":null}", "", "", ""},
        {"{\"error\":{\"message\":{\"a\":1}}}", "", "", ""},
        {"<html>nginx</html>", "", "", ""},
        {"{\"error\":\"cut", "", "", ""},
        {"[]", "", "", ""},
        {"", "", "", ""},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct api_error error;
        api_error_decode(rows[i].body, strlen(rows[i].body), &error);
        assert_string_equal(error.code, rows[i].code);
        assert_string_equal(error.message, rows[i].message);
        assert_string_equal(error.request_id, rows[i].request_id);
    }
}

static void test_task__a_long_message_is_cut_between_characters(void **state)
{
    (void)state;
    char body[8000] = "{\"error\":\"";
    struct api_error error;
    for (int i = 0; i < 1000; i++)
        strcat(body, "\xe9\x94\x99");
    strcat(body, " Request id: r9\"}");
    api_error_decode(body, strlen(body), &error);
    assert_int_equal(strlen(error.message), 1023); /* 341 characters of three bytes */
    assert_string_equal(error.request_id, "r9");
    memset(body + 10, 'a', 3000);
    api_error_decode(body, strlen(body), &error);
    assert_int_equal(strlen(error.message), API_MESSAGE_SIZE - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_task__each_body_has_its_meaning),
        cmocka_unit_test(test_task__all_fields_are_read),
        cmocka_unit_test(test_task__a_body_has_a_size_and_a_depth),
        cmocka_unit_test(test_task__an_id_is_one_segment_of_a_path),
        cmocka_unit_test(test_task__each_status_has_its_word),
        cmocka_unit_test(test_task__each_error_shape_is_read),
        cmocka_unit_test(test_task__a_long_message_is_cut_between_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

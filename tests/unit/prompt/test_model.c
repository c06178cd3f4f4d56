/* prompt/model: rates and estimates. */
#include "seedancefs/prompt/model.h"

#include "seedancefs/base/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>

static void test_model__estimates_input_and_output_at_the_models_rate(void **state UNUSED)
{
    static const struct {
        const char *model;
        const char *resolution;
        int64_t output_ms;
        int64_t input_ms;
        int64_t expected;
    } cases[] = {
        {"doubao-seedance-2.0", "720p", 10000, 5000, 3000000}, /* the documentation's example */
        {"doubao-seedance-2.0", "480p", 5000, 0, 600000},
        {"doubao-seedance-2.0-fast", "720p", 5000, 0, 800000},
        {"doubao-seedance-2.0-fast", "480p", 15000, 15000, 3000000},
        {"another", "480p", 1000, 0, 200000}, /* the dearest */
        {"doubao-seedance-2.0", "1080p", 1000, 0, -EINVAL},
        {"doubao-seedance-2.0", "720p", -1, 0, -EINVAL},
        {"doubao-seedance-2.0", "720p", INT64_MAX, 1, -ERANGE},
        {"doubao-seedance-2.0", "720p", INT64_MAX / 2, 0, -ERANGE},
        {"doubao-seedance-2.0", "720p", 0, 0, 0},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++)
        assert_true(model_estimate_usd_micros(model_find(cases[i].model), cases[i].resolution,
                                              cases[i].output_ms,
                                              cases[i].input_ms) == cases[i].expected);
}

static void test_model__estimate_is_rounded_up(void **state UNUSED)
{
    const struct model odd = {"odd", {{"720p", 1001}, {"480p", 1}}};
    assert_true(model_estimate_usd_micros(&odd, "720p", 1, 0) == 2);
    assert_true(model_estimate_usd_micros(&odd, "480p", 1, 0) == 1);
}

static void test_model__renders_json_for_people(void **state UNUSED)
{
    for (size_t i = 0; i < model_count(); i++) {
        struct buf out;
        buf_init(&out, 65536);
        model_render_json(model_at(i), &out);
        struct json_document *document;
        assert_int_equal(json_parse(out.data, out.len, NULL, &document, NULL), 0);
        const struct json *root = json_document_root(document);
        assert_string_equal(json_text_get(json_member_get(root, "model")), model_at(i)->name);
        if (i == 0)
            assert_string_equal(
                json_text_get(json_member_get(json_member_get(root, "usd_per_second"), "720p")),
                "0.20");
        json_document_free(document);
        buf_fini(&out);
    }
    assert_null(model_at(model_count()));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_model__estimates_input_and_output_at_the_models_rate),
        cmocka_unit_test(test_model__estimate_is_rounded_up),
        cmocka_unit_test(test_model__renders_json_for_people),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* prompt/model: rates and estimates, and the files that models are. */
#include "seedancefs/prompt/model.h"

#include "seedancefs/base/cleanup.h"
#include "seedancefs/base/err.h"
#include "seedancefs/base/file.h"
#include "seedancefs/base/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static struct models *models_make(void)
{
    struct models *models = NULL;
    assert_int_equal(models_new(&models), 0);
    return models;
}

static int add(struct models *models, const char *name, const char *text,
               struct prompt_report *report)
{
    char file_name[128];
    (void)snprintf(file_name, sizeof(file_name), "%s.json", name);
    return models_add(models, file_name, text, strlen(text), report);
}

static void add_good(struct models *models, const char *name, const char *text)
{
    struct prompt_report report;
    prompt_report_init(&report);
    int r = add(models, name, text, &report);
    if (r < 0)
        fail_msg("%s: %s", text, report.count ? report.problems[0].sentence : "?");
    prompt_report_fini(&report);
}

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
    struct models *models = models_make();
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++)
        assert_true(models_estimate_usd_micros(models, models_find(models, cases[i].model),
                                               cases[i].resolution, cases[i].output_ms,
                                               cases[i].input_ms) == cases[i].expected);
    models_free(models);
}

static void test_model__estimate_is_rounded_up(void **state UNUSED)
{
    struct models *models = models_make();
    add_good(models, "odd",
             "{\"usd_per_second\": {\"720p\": \"0.001001\", \"480p\": \"0.000001\"}}");
    const struct model *odd = models_find(models, "odd");
    assert_true(models_estimate_usd_micros(models, odd, "720p", 1, 0) == 2);
    assert_true(models_estimate_usd_micros(models, odd, "480p", 1, 0) == 1);
    models_free(models);
}

static void test_model__a_dearer_file_makes_the_unknown_dearer(void **state UNUSED)
{
    struct models *models = models_make();
    add_good(models, "dear", "{\"usd_per_second\": {\"720p\": \"2.50\"}}");
    assert_true(models_estimate_usd_micros(models, NULL, "720p", 1000, 0) == 2500000);
    models_free(models);
}

/* The documented file says everything, in the order and form in which the mount shows it. */
static void test_model__the_documented_one_is_shown_as_it_was_written(void **state UNUSED)
{
    struct models *models = models_make();
    CLEANUP(buf_fini) struct buf out = {.limit = 65536};
    CLEANUP(buf_fini) struct buf file = {.limit = 65536};
    assert_int_equal(file_read_all("src/prompt/models/doubao-seedance-2.0.json", &file), 0);
    model_render_json(models_find(models, MODEL_DEFAULT_NAME), true, &out);
    assert_string_equal(buf_text(&out), buf_text(&file));
    assert_null(models_at(models, models_count(models)));
    models_free(models);
}

/* So a file can be copied out of the mount, changed, and given to --models. */
static void test_model__what_is_shown_is_accepted_and_means_the_same(void **state UNUSED)
{
    static const char *const texts[] = {
        "{\"usd_per_second\": {\"720p\": \"1\"}}",
        "{\"model\": \"new\", \"is_default\": false, \"currency\": \"USD\", "
        "\"usd_per_second\": {\"1080p\": \"0.500001\", \"4k\": \"12.34\"}, \"parameters\": {"
        "\"duration\": {\"min\": 2, \"max\": 30, \"auto\": true, \"default\": -1}, "
        "\"resolution\": {\"values\": [\"4k\", \"1080p\"], \"default\": \"4k\"}, "
        "\"aspect_ratio\": {\"values\": [\"2:1\"], \"default\": \"2:1\"}, "
        "\"image_urls\": {\"max_count\": 0, \"max_ratio\": 3.125}, "
        "\"audio_urls\": {\"min_seconds\": 1.5, \"max_seconds_in_all\": 30}, "
        "\"generate_audio\": {\"default\": false}}}",
    };
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        struct models *models = models_make();
        CLEANUP(buf_fini) struct buf first = {.limit = 65536};
        CLEANUP(buf_fini) struct buf second = {.limit = 65536};
        add_good(models, "new", texts[i]);
        model_render_json(models_find(models, "new"), false, &first);
        add_good(models, "new", buf_text(&first));
        model_render_json(models_find(models, "new"), false, &second);
        assert_int_equal(second.error, 0);
        assert_string_equal(buf_text(&first), buf_text(&second));
        assert_int_equal(models_count(models), 3);
        models_free(models);
    }
}

static void test_model__a_file_replaces_the_documented_model_of_its_name(void **state UNUSED)
{
    struct models *models = models_make();
    add_good(models, "doubao-seedance-2.0", "{\"usd_per_second\": {\"720p\": \"0.25\"}}");
    const struct model *model = models_find(models, "doubao-seedance-2.0");
    assert_int_equal(models_count(models), 2);
    assert_true(models_estimate_usd_micros(models, model, "720p", 4000, 0) == 1000000);
    assert_true(models_estimate_usd_micros(models, model, "480p", 4000, 0) == -EINVAL);
    /* Everything else is as documented, also for a file that comes later. */
    assert_int_equal(model->duration_max_s, 15);
    add_good(models, "later", "{\"usd_per_second\": {\"480p\": \"1\"}}");
    model = models_find(models, "later");
    assert_string_equal(model->resolution, "480p"); /* the only one */
    assert_string_equal(model->aspect_ratios[6], "21:9");
    assert_ptr_equal(models_rules(models, "other"), models_find(models, MODEL_DEFAULT_NAME));
    assert_ptr_equal(models_rules(models, NULL), models_find(models, MODEL_DEFAULT_NAME));
    assert_ptr_equal(models_rules(models, "later"), model);
    models_free(models);
}

#define PRICE "\"usd_per_second\": {\"720p\": \"0.20\"}"
#define PARAMETERS(text) "{" PRICE ",\n \"parameters\": {" text "}}"

static void test_model__each_mistake_has_its_place(void **state UNUSED)
{
    static const struct {
        const char *text;
        const char *field;
        unsigned line, column;
        const char *sentence; /* part of it */
    } rows[] = {
        {"", "", 1, 1, "ends too early"},
        {"{\n \"usd_per_second\": {", "", 2, 21, "ends too early"},
        {"[]", "", 1, 1, "one JSON object"},
        {"{" PRICE "} x", "", 1, 38, "behind the end"},
        {"{" PRICE ",\n" PRICE "}", "", 2, 1, "twice"},
        {"{}", "usd_per_second", 1, 1, "is missing. Give a price"},
        {"{\"usd_per_second\": {}}", "usd_per_second", 1, 20, "is empty"},
        {"{\"usd_per_second\": 0.2}", "usd_per_second", 1, 20, "must be an object"},
        {"{\"usd_per_second\": {\"720p\": 0.20}}", "usd_per_second.720p", 1, 29,
         "must be a string, but is a number. Put it in double quotes."},
        {"{\"usd_per_second\": {\"720p\": \"1e3\"}}", "usd_per_second.720p", 1, 29,
         "as in \"0.20\""},
        {"{\"usd_per_second\": {\"720p\": \"$0.20\"}}", "usd_per_second.720p", 1, 29,
         "but is \"$0.20\""},
        {"{\"usd_per_second\": {\"720p\": \"-1\"}}", "usd_per_second.720p", 1, 29, "dollars"},
        {"{\"usd_per_second\": {\"720p\": \"0,20\"}}", "usd_per_second.720p", 1, 29, "dollars"},
        {"{\"usd_per_second\": {\"720p\": \"0.1234567\"}}", "usd_per_second.720p", 1, 29,
         "at most six decimals"},
        {"{\"usd_per_second\": {\"720p\": \"0.00\"}}", "usd_per_second.720p", 1, 29, "more than 0"},
        {"{\"usd_per_second\": {\"720p\": \"1000.01\"}}", "usd_per_second.720p", 1, 29,
         "at most 1000"},
        {"{\"usd_per_second\": {\"720p\": \"99999999999999999999\"}}", "usd_per_second.720p", 1, 29,
         "at most 1000"},
        {"{\"usd_per_second\": {\"7 20p\": \"1\"}}", "usd_per_second", 1, 30, "visible characters"},
        {"{\"usd_per_second\": {\"\": \"1\"}}", "usd_per_second", 1, 25, "visible characters"},
        {"{" PRICE ", \"curency\": \"USD\"}", "curency", 1, 38, "did you mean \"currency\"?"},
        {"{" PRICE ", \"discount\": 1}", "discount", 1, 38,
         "Known here are model, is_default, currency, usd_per_second, parameters."},
        {"{" PRICE ", \"currency\": \"EUR\"}", "currency", 1, 50, "must be \"USD\""},
        {"{" PRICE ", \"model\": \"other\"}", "model", 1, 47,
         "must be \"new\", the name of the file without .json, but is \"other\"."},
        {"{" PRICE ", \"is_default\": \"yes\"}", "is_default", 1, 52, "must be a boolean"},
        {"{" PRICE ", \"parameters\": []}", "parameters", 1, 52, "must be an object"},
        {PARAMETERS("\"durations\": {}"), "parameters.durations", 2, 17,
         "did you mean \"duration\"?"},
        {PARAMETERS("\"duration\": 5"), "parameters.duration", 2, 29, "must be an object"},
        {PARAMETERS("\"duration\": {\"maximum\": 5}"), "parameters.duration.maximum", 2, 30,
         "Known here are unit, min, max, auto, default."},
        {PARAMETERS("\"duration\": {\"unit\": \"frames\"}"), "parameters.duration.unit", 2, 38,
         "must be \"seconds\""},
        {PARAMETERS("\"duration\": {\"max\": \"30\"}"), "parameters.duration.max", 2, 37,
         "without the quotes"},
        {PARAMETERS("\"duration\": {\"max\": 12.5}"), "parameters.duration.max", 2, 37,
         "whole number, but is 12.5"},
        {PARAMETERS("\"duration\": {\"max\": 3601}"), "parameters.duration.max", 2, 37,
         "from 1 to 3600, but is 3601"},
        {PARAMETERS("\"duration\": {\"max\": 3}"), "parameters.duration.max", 2, 37,
         "is less than min"},
        {PARAMETERS("\"duration\": {\"min\": 16}"), "parameters.duration.max", 2, 37,
         "is less than min"},
        {PARAMETERS("\"duration\": {\"min\": 6}"), "parameters.duration.default", 1, 1,
         "is missing, and the usual 5 is not among"},
        {PARAMETERS("\"duration\": {\"default\": 16}"), "parameters.duration.default", 2, 41,
         "16 is not among"},
        {PARAMETERS("\"duration\": {\"default\": -1}"), "parameters.duration.default", 2, 41,
         "-1 is not among"},
        {PARAMETERS("\"duration\": {\"auto\": 1}"), "parameters.duration.auto", 2, 38, "boolean"},
        {PARAMETERS("\"resolution\": {\"values\": [\"480p\", \"720p\"]}"),
         "parameters.resolution.values", 2, 42, "\"480p\" has no price"},
        {PARAMETERS("\"resolution\": {\"values\": [\"480p\"]}"), "parameters.resolution.values", 2,
         42, "\"480p\" has no price"},
        {PARAMETERS("\"resolution\": {\"values\": []}"), "parameters.resolution.values", 2, 42,
         "is empty"},
        {PARAMETERS("\"resolution\": {\"values\": \"720p\"}"), "parameters.resolution.values", 2,
         42, "square brackets"},
        {PARAMETERS("\"resolution\": {\"values\": [720]}"), "parameters.resolution.values", 2, 43,
         "must be a string"},
        {PARAMETERS("\"resolution\": {\"values\": [\"720p\", \"720p\"]}"),
         "parameters.resolution.values", 2, 51, "twice"},
        {PARAMETERS("\"resolution\": {\"default\": \"1080p\"}"), "parameters.resolution.default", 2,
         43, "1080p is not among"},
        {"{\"usd_per_second\": {\"1080p\": \"1\", \"4k\": \"2\"}}", "parameters.resolution.default",
         1, 1, "is missing, and the usual 720p is not among"},
        {PARAMETERS("\"aspect_ratio\": {\"values\": [\"16:9\"]}"),
         "parameters.aspect_ratio.default", 1, 1, "the usual adaptive"},
        {PARAMETERS("\"image_urls\": {\"local_files\": false}"),
         "parameters.image_urls.local_files", 2, 47, "must be true"},
        {PARAMETERS("\"image_urls\": {\"max_count\": 65}"), "parameters.image_urls.max_count", 2,
         45, "from 0 to 64"},
        {PARAMETERS("\"image_urls\": {\"max_bytes\": 67108865}"), "parameters.image_urls.max_bytes",
         2, 45, "from 1 to 67108864"},
        {PARAMETERS("\"image_urls\": {\"max_ratio\": 2.5555}"), "parameters.image_urls.max_ratio",
         2, 45, "at most three decimals"},
        {PARAMETERS("\"image_urls\": {\"max_ratio\": 1e300}"), "parameters.image_urls.max_ratio", 2,
         45, "from 0 to 1000"},
        {PARAMETERS("\"image_urls\": {\"min_seconds\": 2}"), "parameters.image_urls.min_seconds", 2,
         32, "unknown member"},
        {PARAMETERS("\"video_urls\": {\"min_fps\": 61}"), "parameters.video_urls.max_fps", 2, 43,
         "is less than min_fps"},
        {PARAMETERS("\"watermark\": {\"default\": null}"), "parameters.watermark.default", 2, 42,
         "must be a boolean, but is null"},
    };
    struct models *models = models_make();
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct prompt_report report;
        prompt_report_init(&report);
        int r = add(models, "new", rows[i].text, &report);
        const struct prompt_problem *problem = report.problems;
        if (r != -ERR_PROMPT_INVALID || report.count == 0 ||
            strcmp(problem->field, rows[i].field) != 0 || problem->line != rows[i].line ||
            problem->column != rows[i].column || !strstr(problem->sentence, rows[i].sentence))
            fail_msg("%s: %d, %u:%u %s: %s", rows[i].text, r, report.count ? problem->line : 0,
                     report.count ? problem->column : 0, report.count ? problem->field : "?",
                     report.count ? problem->sentence : "?");
        assert_int_equal(models_count(models), 2);
        assert_null(models_find(models, "new"));
        prompt_report_fini(&report);
    }
    models_free(models);
}

static void test_model__every_mistake_of_a_file_is_said(void **state UNUSED)
{
    struct models *models = models_make();
    struct prompt_report report;
    prompt_report_init(&report);
    int r = add(models, "new",
                "{\"usd_per_second\": {\"720p\": \"free\"}, \"parameters\": {\"duration\": "
                "{\"min\": \"4\", \"mox\": 3}}}",
                &report);
    assert_int_equal(r, -ERR_PROMPT_INVALID);
    assert_int_equal(report.count, 3);
    prompt_report_fini(&report);
    models_free(models);
}

static void test_model__a_file_is_called_like_its_model(void **state UNUSED)
{
    static const char *const names[] = {"", ".hidden", "a b", "a,b", "a\"b", "ä", "a\nb"};
    char long_name[MODEL_NAME_MAX + 2];
    struct models *models = models_make();
    struct prompt_report report;
    prompt_report_init(&report);
    for (size_t i = 0; i < ARRAY_COUNT(names); i++)
        assert_int_equal(add(models, names[i], "{" PRICE "}", &report), -ERR_PROMPT_INVALID);
    memset(long_name, 'x', sizeof(long_name));
    long_name[MODEL_NAME_MAX + 1] = '\0';
    assert_int_equal(add(models, long_name, "{" PRICE "}", &report), -ERR_PROMPT_INVALID);
    assert_int_equal(report.count, 1);
    assert_non_null(strstr(report.problems[0].sentence, "MODEL.json"));
    long_name[MODEL_NAME_MAX] = '\0';
    assert_int_equal(add(models, long_name, "{" PRICE "}", &report), 0);
    assert_int_equal(models_add(models, "x", "{}", 2, &report), -ERR_PROMPT_INVALID);
    prompt_report_fini(&report);
    models_free(models);
}

static void test_model__there_is_a_limit_to_models(void **state UNUSED)
{
    struct models *models = models_make();
    struct prompt_report report;
    char name[32];
    prompt_report_init(&report);
    for (int i = 2; i < MODELS_MAX; i++) {
        (void)snprintf(name, sizeof(name), "m%d", i);
        assert_int_equal(add(models, name, "{" PRICE "}", &report), 0);
    }
    assert_int_equal(add(models, "one-more", "{" PRICE "}", &report), -E2BIG);
    assert_int_equal(add(models, "m2", "{" PRICE "}", &report), 0);
    assert_int_equal(models_count(models), MODELS_MAX);
    prompt_report_fini(&report);
    models_free(models);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_model__estimates_input_and_output_at_the_models_rate),
        cmocka_unit_test(test_model__estimate_is_rounded_up),
        cmocka_unit_test(test_model__a_dearer_file_makes_the_unknown_dearer),
        cmocka_unit_test(test_model__the_documented_one_is_shown_as_it_was_written),
        cmocka_unit_test(test_model__what_is_shown_is_accepted_and_means_the_same),
        cmocka_unit_test(test_model__a_file_replaces_the_documented_model_of_its_name),
        cmocka_unit_test(test_model__each_mistake_has_its_place),
        cmocka_unit_test(test_model__every_mistake_of_a_file_is_said),
        cmocka_unit_test(test_model__a_file_is_called_like_its_model),
        cmocka_unit_test(test_model__there_is_a_limit_to_models),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

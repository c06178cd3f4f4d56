/* prompt: each request is checked by the rules of its own model, and priced by it. */
#include "seedancefs/base/err.h"
#include "seedancefs/prompt/defaults.h"
#include "seedancefs/prompt/model.h"
#include "seedancefs/prompt/prompt.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static struct models *models;

static void model_add(const char *name, const char *text)
{
    struct prompt_report report;
    char file_name[128];
    prompt_report_init(&report);
    (void)snprintf(file_name, sizeof(file_name), "%s.json", name);
    if (models_add(models, file_name, text, strlen(text), &report) < 0)
        fail_msg("%s", report.count ? report.problems[0].sentence : "?");
    prompt_report_fini(&report);
}

static int models_setup(void **state UNUSED)
{
    if (models_new(&models) < 0)
        return -1;
    model_add("open",
              "{\"usd_per_second\": {\"1080p\": \"0.50\", \"720p\": \"0.30\"}, \"parameters\": {"
              "\"prompt\": {\"advised_words\": 2}, "
              "\"duration\": {\"min\": 2, \"max\": 30, \"auto\": true, \"default\": -1}, "
              "\"resolution\": {\"default\": \"1080p\"}, "
              "\"aspect_ratio\": {\"values\": [\"2:1\", \"1:1\"], \"default\": \"2:1\"}, "
              "\"image_urls\": {\"max_count\": 1, \"max_bytes\": 4}, "
              "\"video_urls\": {\"max_count\": 5, \"min_seconds\": 1, \"max_seconds\": 20}, "
              "\"audio_urls\": {\"max_count\": 0}, "
              "\"input_video_duration\": {\"min\": 1, \"max\": 40}, "
              "\"generate_audio\": {\"default\": false}, \"watermark\": {\"default\": true}}}");
    return 0;
}

static int models_teardown(void **state UNUSED)
{
    models = models_free(models);
    return 0;
}

struct row {
    const char *text;
    const char *body;     /* part of it; NULL: it is refused */
    const char *sentence; /* part of a problem; NULL: there is none */
    int64_t usd_micros;
};

static void row_check(const struct row *row, const struct prompt_settings *settings)
{
    struct prompt_report report;
    struct prompt *prompt = NULL;
    prompt_report_init(&report);
    int r = prompt_check(row->text, strlen(row->text), settings, &prompt, &report);
    const char *sentence = report.count ? report.problems[0].sentence : NULL;
    bool is_said = !row->sentence && !sentence;
    for (size_t i = 0; i < report.count && row->sentence; i++)
        is_said = is_said || strstr(report.problems[i].sentence, row->sentence);
    bool is_sent = row->body ? r == 0 && strstr(prompt->body, row->body) : r != 0;
    if (!is_said || !is_sent || (prompt && prompt->estimate_usd_micros != row->usd_micros))
        fail_msg("%s: %d, %s, %s, %lld", row->text, r, prompt ? prompt->body : "nothing",
                 sentence ? sentence : "no problem",
                 prompt ? (long long)prompt->estimate_usd_micros : -1);
    prompt_free(prompt);
    prompt_report_fini(&report);
}

/* JSON has no order: the model may come after what it decides about. */
static void test_rules__a_request_is_checked_by_its_own_model(void **state UNUSED)
{
    static const struct row rows[] = {
        {"{\"prompt\": \"x\", \"model\": \"open\"}",
         "\"duration\":-1,\"resolution\":\"1080p\",\"aspect_ratio\":\"2:1\",\"generate_audio\":"
         "false,\"watermark\":true}",
         NULL, 15000000},
        {"{\"duration\": 30, \"resolution\": \"720p\", \"prompt\": \"x\", \"model\": \"open\"}",
         "\"duration\":30,", NULL, 9000000},
        {"{\"duration\": -1, \"prompt\": \"x\", \"model\": \"open\"}", "\"duration\":-1,", NULL,
         15000000},
        {"{\"duration\": 2, \"prompt\": \"x\", \"model\": \"open\"}", "\"duration\":2,", NULL,
         1000000},
        {"{\"duration\": 1, \"prompt\": \"x\", \"model\": \"open\"}", NULL,
         "must be from 2 to 30 seconds, or -1 for a length that the model chooses, but is 1.", 0},
        {"{\"duration\": 31, \"prompt\": \"x\", \"model\": \"open\"}", NULL, "2 to 30", 0},
        {"{\"duration\": -2, \"prompt\": \"x\", \"model\": \"open\"}", NULL, "but is -2.", 0},
        {"{\"duration\": -1.5, \"prompt\": \"x\", \"model\": \"open\"}", NULL, "but is -1.5.", 0},
        {"{\"duration\": -1, \"prompt\": \"x\"}", NULL, "must be from 4 to 15 seconds, but is -1.",
         0},
        {"{\"resolution\": \"480p\", \"prompt\": \"x\", \"model\": \"open\"}", NULL,
         "must be \"1080p\" or \"720p\", but is \"480p\".", 0},
        {"{\"resolution\": \"1080p\", \"prompt\": \"x\"}", NULL, "must be \"480p\" or \"720p\"", 0},
        {"{\"aspect_ratio\": \"16:9\", \"prompt\": \"x\", \"model\": \"open\"}", NULL,
         "must be \"2:1\" or \"1:1\"", 0},
        {"{\"prompt\": \"one two three\", \"model\": \"open\"}", "one two", "at most 2", 15000000},
        {"{\"prompt\": \"x\", \"model\": \"open\", \"image_urls\": [\"https://a/1\", "
         "\"https://a/2\"]}",
         NULL, "has 2 addresses; the service accepts at most 1.", 0},
        {"{\"prompt\": \"x\", \"model\": \"open\", \"image_url\": "
         "\"data:image/png;base64,iVBORw0KGgo=\"}",
         NULL, "accepts at most 4.", 0},
        {"{\"prompt\": \"x\", \"model\": \"open\", \"audio_url\": \"https://a/1\"}", NULL,
         "open takes no audio.", 0},
        {"{\"prompt\": \"x\", \"model\": \"open\", \"duration\": 2, \"video_urls\": "
         "[\"https://a/1\", \"https://a/2\"], \"video_durations\": [20, 1]}",
         "[20,1]", NULL, 11500000},
        {"{\"prompt\": \"x\", \"model\": \"open\", \"video_url\": \"https://a/1\", "
         "\"video_durations\": [20.5]}",
         NULL, "must be from 1 to 20 seconds", 0},
        {"{\"prompt\": \"x\", \"model\": \"open\", \"video_urls\": [\"https://a/1\", "
         "\"https://a/2\", \"https://a/3\"], \"video_durations\": [20, 20, 1]}",
         NULL, "accepts 40 seconds of input video in all", 0},
        {"{\"prompt\": \"x\", \"model\": \"open\", \"video_url\": \"https://a/1\", "
         "\"input_video_duration\": 41}",
         NULL, "must be from 1 to 40 seconds", 0},
        /* The worst case is counted: 30 s of output, 40 s of input. */
        {"{\"prompt\": \"x\", \"model\": \"open\", \"video_url\": \"https://a/1\"}", "https://a/1",
         "counts 40 seconds", 35000000},
        {"{\"prompt\": \"x\", \"model\": \"opne\"}", NULL,
         "the known models are \"doubao-seedance-2.0\", \"doubao-seedance-2.0-fast\", \"open\". "
         "Did you mean \"open\"?",
         0},
        {"{\"prompt\": \"x\", \"model\": 5}", NULL, "must be a string", 0},
    };
    const struct prompt_settings settings = {.models = models};
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
        row_check(&rows[i], &settings);
}

static void
test_rules__an_unknown_model_has_the_usual_rules_and_the_highest_price(void **state UNUSED)
{
    static const struct row rows[] = {
        {"{\"prompt\": \"x\", \"model\": \"other\"}", "\"duration\":5,\"resolution\":\"720p\"",
         "the estimate counts the highest known rate", 2500000},
        {"{\"prompt\": \"x\", \"model\": \"other\", \"duration\": 30}", NULL, "4 to 15", 0},
        {"{\"prompt\": \"x\", \"model\": \"other\", \"duration\": -1}", NULL, "4 to 15", 0},
    };
    const struct prompt_settings settings = {.models = models, .allow_unknown = true};
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
        row_check(&rows[i], &settings);
}

static void test_rules__the_mounts_model_decides_where_the_prompt_names_none(void **state UNUSED)
{
    static const struct row rows[] = {
        {"{\"prompt\": \"x\"}", "\"duration\":-1,\"resolution\":\"1080p\"", NULL, 15000000},
        {"{\"prompt\": \"x\", \"model\": \"doubao-seedance-2.0\"}",
         "\"duration\":5,\"resolution\":\"720p\"", NULL, 1000000},
    };
    const struct prompt_settings settings = {.models = models, .default_model = "open"};
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
        row_check(&rows[i], &settings);
}

static void
test_rules__defaults_are_checked_by_their_model_and_again_by_the_prompts(void **state UNUSED)
{
    static const char good[] = "{\"duration\": 25, \"aspect_ratio\": \"2:1\", \"resolution\": "
                               "\"1080p\", \"model\": \"open\"}";
    static const struct row rows[] = {
        {"{\"prompt\": \"x\"}", "\"duration\":25,\"resolution\":\"1080p\"", NULL, 12500000},
        {"{\"prompt\": \"x\", \"model\": \"doubao-seedance-2.0\"}", NULL,
         "is \"1080p\" in defaults.json, but doubao-seedance-2.0 takes \"480p\" or \"720p\". Give "
         "this prompt one of its own.",
         0},
        {"{\"prompt\": \"x\", \"model\": \"doubao-seedance-2.0\", \"resolution\": \"480p\", "
         "\"aspect_ratio\": \"1:1\"}",
         NULL,
         "is 25 in defaults.json, but doubao-seedance-2.0 takes 4 to 15 seconds. Give this prompt "
         "one of its own.",
         0},
        {"{\"prompt\": \"x\", \"model\": \"doubao-seedance-2.0\", \"resolution\": \"480p\", "
         "\"aspect_ratio\": \"1:1\", \"duration\": 5}",
         "\"duration\":5", NULL, 600000},
    };
    static const char *const bad[] = {"{\"duration\": 25}", "{\"duration\": -1}",
                                      "{\"resolution\": \"1080p\"}",
                                      "{\"model\": \"open\", \"resolution\": \"480p\"}"};
    struct prompt_settings settings = {.models = models};
    struct prompt_defaults defaults = {0};
    struct prompt_report report;
    prompt_report_init(&report);
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
        assert_int_equal(
            prompt_defaults_check(bad[i], strlen(bad[i]), &settings, &defaults, &report),
            -ERR_PROMPT_INVALID);
    assert_int_equal(prompt_defaults_check(good, strlen(good), &settings, &defaults, &report), 0);
    settings.defaults = &defaults;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
        row_check(&rows[i], &settings);
    prompt_defaults_fini(&defaults);
    prompt_report_fini(&report);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules__a_request_is_checked_by_its_own_model),
        cmocka_unit_test(test_rules__an_unknown_model_has_the_usual_rules_and_the_highest_price),
        cmocka_unit_test(test_rules__the_mounts_model_decides_where_the_prompt_names_none),
        cmocka_unit_test(test_rules__defaults_are_checked_by_their_model_and_again_by_the_prompts),
    };
    return cmocka_run_group_tests(tests, models_setup, models_teardown);
}

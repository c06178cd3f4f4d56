/* defaults.json: what may stand in it, and what it does to a prompt. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "seedancefs/base/err.h"
#include "seedancefs/prompt/defaults.h"
#include "seedancefs/prompt/model.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static struct models *models; /* made in main() */
static struct prompt_settings plain = {.default_model = NULL};
static struct prompt_settings lenient = {.allow_unknown = true};

static void test_defaults__only_what_every_request_has_is_accepted(void **state UNUSED)
{
    static const struct {
        const char *text;
        const struct prompt_settings *settings;
        int expected;
        const char *sentence; /* part of the first problem */
    } rows[] = {
        {"", &plain, 0, NULL},
        {" \n", &plain, 0, NULL},
        {"{}", &plain, 0, NULL},
        {"{\"model\": \"doubao-seedance-2.0-fast\", \"duration\": 15, \"resolution\": \"480p\", "
         "\"aspect_ratio\": \"1:1\", \"generate_audio\": false, \"watermark\": true}",
         &plain, 0, NULL},
        {"{\"duration\": 8", &plain, -ERR_JSON_INCOMPLETE, "too early"},
        {"{\"duration\": }", &plain, -ERR_PROMPT_INVALID, ""},
        {"[]", &plain, -ERR_PROMPT_INVALID, "must be one JSON object, as in {\"duration\": 8}."},
        {"A cat", &plain, -ERR_PROMPT_INVALID, "one JSON object"},
        {"{\"duration\": 8}{}", &plain, -ERR_PROMPT_INVALID, ""},
        {"{\"duration\": 3}", &plain, -ERR_PROMPT_INVALID, "from 4 to 15"},
        {"{\"duration\": \"8\"}", &plain, -ERR_PROMPT_INVALID, "without the quotes"},
        {"{\"duration\": 8, \"duration\": 9}", &plain, -ERR_PROMPT_INVALID, ""},
        {"{\"duraton\": 8}", &plain, -ERR_PROMPT_INVALID, "did you mean \"duration\"?"},
        {"{\"duraton\": 8}", &lenient, -ERR_PROMPT_INVALID, "did you mean \"duration\"?"},
        {"{\"ratio\": \"1:1\"}", &plain, -ERR_PROMPT_INVALID, "aspect_ratio"},
        {"{\"resolution\": \"1080p\"}", &plain, -ERR_PROMPT_INVALID, "must be"},
        {"{\"model\": \"x\"}", &plain, -ERR_PROMPT_INVALID,
         "there is no model \"x\"; the known models are"},
        {"{\"model\": \"x\"}", &lenient, 0, NULL},
        {"{\"aspect_ratio\": \"2:1\"}", &lenient, 0, NULL},
        {"{\"prompt\": \"x\"}", &plain, -ERR_PROMPT_INVALID, "has no default"},
        {"{\"image_url\": \"https://a/b\"}", &plain, -ERR_PROMPT_INVALID, "has no default"},
        {"{\"video_urls\": []}", &plain, -ERR_PROMPT_INVALID, "has no default"},
        {"{\"content\": []}", &lenient, -ERR_PROMPT_INVALID, "has no default"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct prompt_defaults defaults = {0};
        struct prompt_report report;
        prompt_report_init(&report);
        assert_int_equal(prompt_defaults_check(rows[i].text, strlen(rows[i].text), rows[i].settings,
                                               &defaults, &report),
                         rows[i].expected);
        assert_int_equal(report.errors > 0, rows[i].expected < 0);
        if (rows[i].sentence)
            assert_non_null(strstr(report.problems[0].sentence, rows[i].sentence));
        if (rows[i].sentence)
            assert_true(report.problems[0].line == 1 && report.problems[0].column > 0);
        if (rows[i].expected < 0)
            assert_null(defaults.model);
        prompt_defaults_fini(&defaults);
        prompt_report_fini(&report);
    }
}

/* Each field: the prompt's value, else the user's default, else the service's. */
static void test_defaults__a_prompt_has_the_last_word(void **state UNUSED)
{
    static const struct {
        const char *name;
        const char *service;
        const char *user;
        const char *own;
    } fields[] = {
        {"model", "\"doubao-seedance-2.0\"", "\"doubao-seedance-2.0-fast\"",
         "\"doubao-seedance-2.0\""},
        {"duration", "5", "15", "4"},
        {"resolution", "\"720p\"", "\"480p\"", "\"720p\""},
        {"aspect_ratio", "\"adaptive\"", "\"9:16\"", "\"adaptive\""},
        {"generate_audio", "true", "false", "true"},
        {"watermark", "false", "true", "false"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(fields); i++) {
        for (unsigned which = 0; which < 4; which++) {
            bool is_default = which & 1;
            bool is_own = which & 2;
            char text[256];
            char expected[128];
            struct prompt_report report;
            struct prompt_defaults defaults = {0};
            struct prompt *prompt = NULL;
            prompt_report_init(&report);
            (void)snprintf(text, sizeof(text), "{\"%s\":%s}", fields[i].name, fields[i].user);
            assert_int_equal(prompt_defaults_check(text, strlen(text), &plain, &defaults, &report),
                             0);
            struct prompt_settings settings = {.models = models,
                                               .defaults = is_default ? &defaults : NULL};
            (void)snprintf(text, sizeof(text), "{\"prompt\":\"x\",\"%s\":%s}", fields[i].name,
                           fields[i].own);
            if (!is_own)
                (void)snprintf(text, sizeof(text), "{\"prompt\":\"x\"}");
            assert_int_equal(prompt_check(text, strlen(text), &settings, &prompt, &report), 0);
            (void)snprintf(expected, sizeof(expected), "\"%s\":%s", fields[i].name,
                           is_own       ? fields[i].own
                           : is_default ? fields[i].user
                                        : fields[i].service);
            assert_non_null(strstr(prompt->body, expected));
            prompt_free(prompt);
            prompt_defaults_fini(&defaults);
            prompt_report_fini(&report);
        }
    }
}

static void test_defaults__they_count_in_the_estimate_and_for_plain_text(void **state UNUSED)
{
    static const char text[] = "{\"duration\": 10, \"resolution\": \"480p\"}";
    struct prompt_report report;
    struct prompt_defaults defaults = {0};
    struct prompt *prompt = NULL;
    prompt_report_init(&report);
    assert_int_equal(prompt_defaults_check(text, strlen(text), &plain, &defaults, &report), 0);
    /* The default of the command line is the weaker one, and stays where the file has none. */
    struct prompt_settings settings = {
        .models = models, .defaults = &defaults, .default_model = "doubao-seedance-2.0-fast"};
    assert_int_equal(prompt_check_text("A cat", 5, &settings, &prompt, &report), 0);
    assert_int_equal(prompt->estimate_usd_micros, 1000000);
    assert_int_equal(prompt->duration_s, 10);
    assert_string_equal(prompt->model, "doubao-seedance-2.0-fast");
    prompt_free(prompt);
    prompt_defaults_fini(&defaults);
    prompt_report_fini(&report);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults__only_what_every_request_has_is_accepted),
        cmocka_unit_test(test_defaults__a_prompt_has_the_last_word),
        cmocka_unit_test(test_defaults__they_count_in_the_estimate_and_for_plain_text),
    };
    assert(models_new(&models) == 0);
    plain.models = lenient.models = models;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    models_free(models);
    return failed;
}

/* prompt: which requests are accepted, what is said about the others, and what is sent. */
#include "seedancefs/base/err.h"
#include "seedancefs/base/file.h"
#include "seedancefs/base/json.h"
#include "seedancefs/prompt/model.h"
#include "seedancefs/prompt/prompt.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <assert.h>
#include <cmocka.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char png[] = "\x89PNG\r\n\x1a\n0123456789";

static int read_media(void *context UNUSED, const char *name, enum prompt_media media UNUSED,
                      size_t max_bytes, struct buf *out, struct prompt_found *found)
{
    /* What is filled in later: other jobs' videos, of which only the first has a known length. */
    static const struct {
        const char *path;
        struct prompt_found found;
    } later[] = {
        {"../shot-1/output.mp4", {.number = 7, .media = PROMPT_VIDEO, .length_ms = 5042}},
        {"../shot-2/output.mp4", {.number = 8, .media = PROMPT_VIDEO, .length_ms = -1}},
        {"../long/output.mp4", {.number = 9, .media = PROMPT_VIDEO, .length_ms = 11000}},
        {"../shot-1/last_frame.png", {.number = 0, .media = PROMPT_IMAGE, .length_ms = -1}},
    };
    for (size_t i = 0; i < ARRAY_COUNT(later); i++) {
        if (strcmp(name, later[i].path) == 0) {
            *found = later[i].found;
            return 0;
        }
    }
    if (strcmp(name, "../shot-0/output.mp4") == 0) {
        found->why = "shot-0 → shot-9 → shot-0 is a circle.";
        return -ELOOP;
    }
    if (strcmp(name, "first.png") == 0 || strcmp(name, "really.wav") == 0)
        return buf_add(out, png, sizeof(png) - 1);
    if (strcmp(name, "large.png") == 0) { /* 20 MiB, 27 MiB as base64: two fit, three do not */
        size_t len = 20 * 1024 * 1024;
        if (buf_add(out, png, sizeof(png) - 1) < 0 || buf_reserve(out, len) < 0)
            return out->error;
        memset(out->data + out->len, 'x', len);
        out->len += len;
        return 0;
    }
    if (strcmp(name, "voice.mp3") == 0)
        return buf_add(out, "ID3\x04voice of a cat", 18);
    if (strcmp(name, "big.png") == 0)
        return max_bytes < 40u * 1024 * 1024 ? -EFBIG : 0;
    return strcmp(name, "secret.png") == 0 ? -EACCES : -ENOENT;
}

static struct models *models; /* made in main() */
static struct prompt_settings plain = {.default_model = NULL};
static struct prompt_settings lenient = {.allow_unknown = true};
static struct prompt_settings with_media = {.read_media = read_media};

static const struct prompt_problem *problem_find(const struct prompt_report *report,
                                                 const char *field, const char *rule)
{
    for (size_t i = 0; i < report->count; i++) {
        if (strcmp(report->problems[i].field, field) == 0 &&
            strcmp(report->problems[i].rule, rule) == 0)
            return &report->problems[i];
    }
    return NULL;
}

static int check(const char *text, size_t len, const struct prompt_settings *settings,
                 struct prompt **prompt, struct prompt_report *report)
{
    char *exact = malloc(len ? len : 1);
    assert_non_null(exact);
    memcpy(exact, text, len);
    int r = prompt_check(exact, len, settings, prompt, report);
    free(exact);
    return r;
}

#define P "{\"prompt\":\"x\","
#define A "\"https://a.b/"
#define IMG(role) "{\"type\":\"image_url\",\"image_url\":{\"url\":" A "i\"}" role "}"
#define ROLE(name) ",\"role\":\"" name "\""

struct rule_case {
    const char *text;
    const char *field; /* NULL: accepted without any problem */
    const char *rule;
    unsigned column; /* 0: not looked at */
};

static void run_cases(const struct rule_case *cases, size_t count, bool is_warning)
{
    for (size_t i = 0; i < count; i++) {
        struct prompt_report report;
        prompt_report_init(&report);
        struct prompt *prompt = NULL;
        int r = check(cases[i].text, strlen(cases[i].text), &with_media, &prompt, &report);
        const struct prompt_problem *p =
            cases[i].field ? problem_find(&report, cases[i].field, cases[i].rule) : NULL;
        bool is_right = cases[i].field ? p && p->is_warning == is_warning &&
                                             r == (is_warning ? 0 : -ERR_PROMPT_INVALID) &&
                                             (cases[i].column == 0 || p->column == cases[i].column)
                                       : r == 0 && report.count == 0;
        if (!is_right) {
            struct buf out;
            buf_init(&out, 65536);
            prompt_report_render(&report, "prompt.json", &out);
            fail_msg("%s\n%s\n%s", cases[i].text, err_name(r), buf_text(&out));
        }
        assert_true((r == 0) == (prompt != NULL));
        prompt_free(prompt);
        prompt_report_fini(&report);
    }
}

static void test_prompt__accepts_what_the_documentation_allows(void **state UNUSED)
{
    static const struct rule_case cases[] = {
        {"{\"prompt\":\"A cat\"}", NULL, NULL, 0},
        {P "\"duration\":4}", NULL, NULL, 0},
        {P "\"duration\":15.0}", NULL, NULL, 0},
        {P "\"resolution\":\"480p\",\"aspect_ratio\":\"21:9\"}", NULL, NULL, 0},
        {P "\"model\":\"doubao-seedance-2.0-fast\"}", NULL, NULL, 0},
        {P "\"image_urls\":[" A "1\"," A "2\"]}", NULL, NULL, 0},
        {P "\"image_url\":\"first.png\",\"audio_url\":\"voice.mp3\"}", NULL, NULL, 0},
        {P "\"image_url\":\"data:image/png;base64,iVBORw0KGgo=\"}", NULL, NULL, 0},
        {P "\"video_url\":" A "v\",\"input_video_duration\":5}", NULL, NULL, 0},
        {P "\"video_urls\":[" A "v\"," A "w\"],\"video_durations\":[2,13],"
           "\"input_video_duration\":15}",
         NULL, NULL, 0},
        {P "\"content\":[" IMG(ROLE("first_frame")) "," IMG(ROLE("last_frame")) "]}", NULL, NULL,
         0},
        {P "\"first_frame\":" A "1\"}", NULL, NULL, 0},
        {P "\"first_frame\":\"first.png\",\"last_frame\":" A "2\"}", NULL, NULL, 0},
        {P "\"first_frame\":" A "1\",\"content\":[" IMG(ROLE("last_frame")) "]}", NULL, NULL, 0},
        {P "\"content\":[" IMG(ROLE("reference_image")) ",{\"type\":\"audio_url\",\"audio_url\":"
                                                        "{\"url\":" A
                                                        "a\"},\"role\":\"reference_audio\"}]}",
         NULL, NULL, 0},
        {P "\"generate_audio\":false,\"watermark\":true}", NULL, NULL, 0},
    };
    run_cases(cases, ARRAY_COUNT(cases), false);
}

static void test_prompt__refuses_what_breaks_a_rule(void **state UNUSED)
{
    static const struct rule_case cases[] = {
        {"{}", "prompt", "missing", 1},
        {"{\"prompt\":\" \\n\"}", "prompt", "missing", 11},
        {"{\"prompt\":7}", "prompt", "type", 11},
        {P "\"duration\":40}", "duration", "range", 26},
        {P "\"image_urls\":[\"large.png\",\"large.png\",\"large.png\"]}", "image_urls[2]", "size",
         0},
        {P "\"image_url\":" A "i\",\"audio_url\":\"large.png\"}", "audio_url", "size", 0},
        {P "\"duration\":3}", "duration", "range", 0},
        {P "\"duration\":-1}", "duration", "range", 0},
        {P "\"duration\":5.5}", "duration", "integer", 0},
        {P "\"duration\":\"5\"}", "duration", "type", 0},
        {P "\"duration\":null}", "duration", "type", 0},
        {P "\"duraton\":5}", "duraton", "unknown-field", 15},
        {P "\"seed\":5}", "seed", "unknown-field", 0},
        {P "\"resolution\":\"1080p\"}", "resolution", "value", 0},
        {P "\"aspect_ratio\":\"2:1\"}", "aspect_ratio", "value", 0},
        {P "\"model\":\"seedance\"}", "model", "unknown-model", 0},
        {P "\"watermark\":1}", "watermark", "type", 0},
        {P "\"generate_audio\":\"true\"}", "generate_audio", "type", 0},
        {P "\"image_url\":[" A "1\"]}", "image_url", "type", 0},
        {P "\"image_urls\":" A "1\"}", "image_urls", "type", 0},
        {P "\"image_urls\":[]}", "image_urls", "count", 0},
        {P "\"image_urls\":[" A "1\",\"ftp://a/b\"]}", "image_urls[1]", "url", 0},
        {P "\"image_urls\":[1]}", "image_urls[0]", "type", 0},
        {P "\"image_url\":\"https:///x\"}", "image_url", "url", 0},
        {P "\"image_url\":\"https://u@:8/x\"}", "image_url", "url", 0},
        {P "\"image_url\":\"https:a.b\"}", "image_url", "url", 0},
        {P "\"image_url\":\"https://a.b/c d\"}", "image_url", "url", 0},
        {P "\"image_url\":\"\"}", "image_url", "url", 0},
        {P "\"image_url\":\"a/b.png\"}", "image_url", "file", 0},
        {P "\"image_url\":\"/etc/b.png\"}", "image_url", "url", 0},
        {P "\"image_url\":\"../../assets/\"}", "image_url", "url", 0},
        {P "\"image_url\":\"asset://\"}", "image_url", "url", 0},
        {P "\"image_url\":\"../b.png\"}", "image_url", "file", 0},
        {P "\"image_url\":\"none.png\"}", "image_url", "file", 0},
        {P "\"image_url\":\"secret.png\"}", "image_url", "file", 0},
        {P "\"image_url\":\"big.png\"}", "image_url", "size", 0},
        {P "\"image_url\":\"voice.mp3\"}", "image_url", "media-type", 0},
        {P "\"image_url\":" A "i\",\"audio_url\":\"really.wav\"}", "audio_url", "media-type", 0},
        {P "\"image_url\":\"data:image/png;base64,AAAA\"}", "image_url", "media-type", 0},
        {P "\"image_url\":\"data:image/png;base64,iVBORw0KGg\"}", "image_url", "url", 0},
        {P "\"image_url\":\"data:image/png,iVBORw0KGgo=\"}", "image_url", "url", 0},
        {P "\"image_url\":\"data:audio/wav;base64,iVBORw0KGgo=\"}", "image_url", "url", 0},
        {P "\"video_url\":\"data:video/mp4;base64,AAAA\"}", "video_url", "url", 0},
        {P "\"video_url\":\"clip.mp4\"}", "video_url", "file", 0},
        {P "\"video_urls\":[" A "1\"," A "2\"," A "3\"," A "4\"]}", "video_urls", "count", 0},
        {P "\"image_url\":" A "1\",\"image_urls\":[" A "2\"]}", "image_urls", "exclusive", 0},
        {P "\"audio_url\":" A "1\"}", "audio_url", "missing", 0},
        {P "\"video_durations\":[5]}", "video_durations", "missing", 0},
        {P "\"input_video_duration\":5}", "input_video_duration", "missing", 0},
        {P "\"video_url\":" A "1\",\"video_durations\":[5,5]}", "video_durations", "count", 0},
        {P "\"video_url\":" A "1\",\"video_durations\":[1]}", "video_durations[0]", "range", 0},
        {P "\"video_urls\":[" A "1\"," A "2\"],\"video_durations\":[9,9]}", "video_durations",
         "range", 0},
        {P "\"video_url\":" A "1\",\"video_durations\":[5],\"input_video_duration\":6}",
         "input_video_duration", "exclusive", 0},
        {P "\"video_urls\":[" A "1\"," A "2\"],\"input_video_duration\":3}", "input_video_duration",
         "range", 0},
        {P "\"content\":{}}", "content", "type", 0},
        {P "\"content\":[]}", "content", "count", 0},
        {P "\"content\":[" IMG("") "],\"image_url\":" A "1\"}", "image_url", "exclusive", 0},
        {P "\"content\":[" IMG("") "," IMG("") "]}", "content[0].role", "missing", 0},
        {P "\"content\":[" IMG(ROLE("last_frame")) "]}", "content[0].role", "missing", 0},
        {P "\"content\":[" IMG(ROLE("first")) "]}", "content[0].role", "value", 0},
        {P "\"content\":[" IMG(ROLE("reference_video")) "]}", "content[0].role", "role", 0},
        {P "\"content\":[" IMG(ROLE("first_frame")) "," IMG(ROLE("first_frame")) "]}",
         "content[0].role", "count", 0},
        {P "\"content\":[" IMG(ROLE("first_frame")) "," IMG(ROLE("reference_image")) "]}",
         "content[0].role", "exclusive", 0},
        {P "\"first_frame\":" A "1\",\"content\":[" IMG(ROLE("first_frame")) "]}", "first_frame",
         "count", 0},
        {P "\"first_frame\":" A "1\",\"content\":[" IMG(ROLE("reference_image")) "]}",
         "first_frame", "exclusive", 0},
        {P "\"first_frame\":" A "1\",\"content\":[" IMG("") "]}", "content[0].role", "missing", 0},
        {P "\"first_frame\":" A "1\",\"image_url\":" A "2\"}", "first_frame", "exclusive", 0},
        {P "\"first_frame\":" A "1\",\"video_urls\":[" A "2\"],\"input_video_duration\":5}",
         "first_frame", "exclusive", 0},
        {P "\"last_frame\":" A "1\"}", "last_frame", "missing", 0},
        {P "\"first_frame\":[" A "1\"]}", "first_frame", "type", 0},
        {P "\"first_frame\":7}", "first_frame", "type", 0},
        {P "\"content\":[{\"type\":\"text\",\"text\":\"x\"}]}", "content[0].type", "value", 0},
        {P "\"content\":[{\"image_url\":{\"url\":" A "1\"}}]}", "content[0].type", "missing", 0},
        {P "\"content\":[{\"type\":\"image_url\",\"image_url\":" A "1\"}]}", "content[0].image_url",
         "type", 0},
        {P "\"content\":[{\"type\":\"image_url\",\"image_url\":{\"ulr\":" A "1\"}}]}",
         "content[0].image_url.ulr", "unknown-field", 0},
        {P "\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":\"x:y\"}}]}",
         "content[0].image_url.url", "url", 0},
        {P "\"content\":[{\"type\":\"audio_url\",\"audio_url\":{\"url\":" A "1\"}}]}", "content",
         "missing", 0},
        {"[1,", "", "type", 1},
        {"A cat", "", "type", 1},
        {"\"a", "", "type", 1},
        {"{\"prompt\": \"x\"} tail", "", "syntax", 17},
        {"{\"prompt\": \"x\", \"prompt\": \"y\"}", "", "syntax", 17},
    };
    run_cases(cases, ARRAY_COUNT(cases), false);
}

static void test_prompt__warns_and_still_accepts(void **state UNUSED)
{
    static const struct rule_case cases[] = {
        {"{\"prompt\":\"a cat --dur 10\"}", "prompt", "parameter", 11},
        {"{\"prompt\":\"--RATIO=16:9 a cat\"}", "prompt", "parameter", 0},
        {P "\"video_url\":" A "v\"}", "input_video_duration", "estimate", 0},
        {P "\"content\":[" IMG("") "]}", "content[0].role", "role", 0},
        {P "\"image_url\":\"http://localhost:8/x.png\"}", "image_url", "url", 0},
        {P "\"image_url\":\"asset://id-1\"}", "image_url", "url", 0},
    };
    run_cases(cases, ARRAY_COUNT(cases), true);
}

static void test_prompt__lists_every_mistake_in_the_order_of_the_text(void **state UNUSED)
{
    static const char text[] = "{\n  \"duraton\": 5,\n  \"duration\": 40,\n"
                               "  \"image_urls\": [\"https://a.b/1\", \"nope/\"]\n}\n";
    struct prompt_report report;
    prompt_report_init(&report);
    struct prompt *prompt = NULL;
    assert_int_equal(check(text, strlen(text), &plain, &prompt, &report), -ERR_PROMPT_INVALID);
    struct buf out;
    buf_init(&out, 65536);
    prompt_report_render(&report, "prompt.json", &out);
    assert_string_equal(
        buf_text(&out),
        "prompt.json: line 1, column 1: prompt: is missing. Describe the video: {\"prompt\": \"A "
        "cat surfing at sunset\"}.\n"
        "prompt.json: line 2, column 3: duraton: unknown field; did you mean \"duration\"?\n"
        "prompt.json: line 3, column 15: duration: must be from 4 to 15 seconds, but is 40. Choose "
        "a duration in between; longer videos are made of several jobs.\n"
        "prompt.json: line 4, column 35: image_urls[1]: \"nope/\" is neither an address nor the "
        "path of a file in this mount. Write https://…, or copy the file beside prompt.json and "
        "write its name alone.\n");
    buf_fini(&out);
    prompt_report_fini(&report);
}

static void test_prompt__a_role_is_not_said_to_be_undocumented(void **state UNUSED)
{
    static const struct {
        const char *name;
        const char *type;
    } rows[] = {{"reference_image", "image_url"},
                {"reference_video", "video_url"},
                {"reference_audio", "audio_url"}};
    for (size_t i = 0; i < 2 * ARRAY_COUNT(rows); i++) {
        char text[128];
        char expected[256];
        struct prompt_report report;
        struct prompt *prompt = NULL;
        const char *name = rows[i / 2].name;
        const char *type = rows[i / 2].type;
        (void)snprintf(text, sizeof(text), "{\"prompt\": \"x\", \"%s\": \"first.png\"}", name);
        (void)snprintf(expected, sizeof(expected),
                       "is a role in \"content\": {\"type\": \"%s\", \"%s\": {\"url\": \"…\"}, "
                       "\"role\": \"%s\"}.",
                       type, type, name);
        prompt_report_init(&report);
        int r = check(text, strlen(text), i % 2 ? &lenient : &plain, &prompt, &report);
        assert_int_equal(r, i % 2 ? 0 : -ERR_PROMPT_INVALID);
        const struct prompt_problem *problem = problem_find(&report, name, "unknown-field");
        assert_non_null(problem);
        assert_non_null(strstr(problem->sentence, expected));
        assert_null(strstr(problem->sentence, "documentation"));
        prompt_free(prompt);
        prompt_report_fini(&report);
    }
}

static void test_prompt__a_flood_of_problems_is_bounded(void **state UNUSED)
{
    struct buf text;
    buf_init(&text, 65536);
    (void)buf_add_char(&text, '{');
    for (int i = 0; i < 200; i++)
        (void)buf_addf(&text, "\"unknown%d\":1,", i);
    (void)buf_add_text(&text, "\"prompt\":\"x\"}");
    struct prompt_report report;
    prompt_report_init(&report);
    struct prompt *prompt = NULL;
    assert_int_equal(check(text.data, text.len, &plain, &prompt, &report), -ERR_PROMPT_INVALID);
    assert_int_equal(report.count, PROMPT_PROBLEMS_MAX);
    assert_int_equal(report.errors, 200);
    /* Warnings never hide an error. */
    text.data[text.len - 3] = ' ';
    assert_int_equal(check(text.data, text.len, &lenient, &prompt, &report), -ERR_PROMPT_INVALID);
    assert_non_null(problem_find(&report, "prompt", "missing"));
    prompt_report_fini(&report);
    buf_fini(&text);
}

static void test_prompt__body_has_a_fixed_order_and_the_defaults(void **state UNUSED)
{
    static const char text[] = "{\"zoom\": 1.50, \"watermark\": true, \"image_url\": \"first.png\","
                               " \"prompt\": \"A \\u732b\", \"extra\": {\"b\": [1]}}";
    const struct prompt_settings settings = {
        .models = models, .allow_unknown = true, .read_media = read_media};
    struct prompt_report report;
    prompt_report_init(&report);
    struct prompt *prompt = NULL;
    assert_int_equal(check(text, strlen(text), &settings, &prompt, &report), 0);
    assert_string_equal(
        prompt->body,
        "{\"model\":\"doubao-seedance-2.0\",\"prompt\":\"A \xe7\x8c\xab\",\"duration\":5,"
        "\"resolution\":\"720p\",\"aspect_ratio\":\"adaptive\",\"image_url\":\"data:image/png;"
        "base64,iVBORw0KGgowMTIzNDU2Nzg5\",\"generate_audio\":true,\"watermark\":true,"
        "\"zoom\":1.50,\"extra\":{\"b\":[1]}}");
    assert_int_equal(prompt->body_len, strlen(prompt->body));
    assert_non_null(strstr(prompt->display, "  \"image_url\": \"first.png\""));
    assert_int_equal(report.warnings, 2);
    assert_true(prompt->estimate_usd_micros == 1000000);
    assert_false(prompt->has_unread_media);
    prompt_free(prompt);
    prompt_report_fini(&report);
}

static void test_prompt__frames_are_items_of_content(void **state UNUSED)
{
    static const char text[] =
        "{\"prompt\": \"x\", \"last_frame\": \"https://a.b/l\", \"first_frame\": \"first.png\"}";
    struct prompt_report report;
    struct prompt *prompt = NULL;
    prompt_report_init(&report);
    assert_int_equal(check(text, strlen(text), &with_media, &prompt, &report), 0);
    assert_non_null(
        strstr(prompt->body,
               "\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/png;"
               "base64,iVBORw0KGgowMTIzNDU2Nzg5\"},\"role\":\"first_frame\"},{\"type\":"
               "\"image_url\",\"image_url\":{\"url\":\"https://a.b/l\"},\"role\":\"last_"
               "frame\"}]"));
    assert_null(strstr(prompt->body, "\"first_frame\":"));
    prompt_report_fini(&report);
    prompt_free(prompt);
}

static void test_prompt__counts_input_video_and_unknown_models_at_the_worst(void **state UNUSED)
{
    static const struct {
        const char *text;
        int64_t input_ms;
        int64_t usd_micros;
        bool is_unknown;
    } cases[] = {
        {P "\"duration\":10,\"video_url\":" A "v\",\"input_video_duration\":5}", 5000, 3000000,
         false},
        {P "\"video_url\":" A "v\"}", 15000, 4000000, true},
        {P "\"video_url\":" A "v\",\"video_durations\":[2.3]}", 2300, 1460000, false},
        {P "\"model\":\"future\",\"resolution\":\"480p\"}", 0, 1000000, false},
        {P "\"content\":[{\"type\":\"video_url\",\"video_url\":{\"url\":" A "v\"},\"role\":"
           "\"reference_video\"}]}",
         15000, 4000000, true},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct prompt_report report;
        prompt_report_init(&report);
        struct prompt *prompt = NULL;
        assert_int_equal(check(cases[i].text, strlen(cases[i].text), &lenient, &prompt, &report),
                         0);
        assert_true(prompt->input_video_ms == cases[i].input_ms);
        assert_true(prompt->estimate_usd_micros == cases[i].usd_micros);
        assert_true(prompt->input_video_is_unknown == cases[i].is_unknown);
        prompt_free(prompt);
        prompt_report_fini(&report);
    }
}

static void test_prompt__without_reader_local_names_are_checked_by_form(void **state UNUSED)
{
    static const char text[] = P "\"image_url\":\"none.png\"}";
    struct prompt_report report;
    prompt_report_init(&report);
    struct prompt *prompt = NULL;
    assert_int_equal(check(text, strlen(text), &plain, &prompt, &report), 0);
    assert_true(prompt->has_unread_media);
    prompt_free(prompt);
    prompt_report_fini(&report);
}

static const struct prompt_input *input_get(const struct prompt *prompt, const char *field)
{
    for (size_t i = 0; i < prompt->input_count; i++) {
        if (strcmp(prompt->inputs[i].field, field) == 0)
            return &prompt->inputs[i];
    }
    return NULL;
}

/* The body has an empty string for each file that is filled in later, and says where it is. */
static void test_prompt__what_comes_later_leaves_its_place(void **state UNUSED)
{
    static const char text[] =
        P "\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":\"first.png\"},"
          "\"role\":\"reference_image\"},{\"type\":\"video_url\",\"role\":\"reference_video\","
          "\"video_url\":{\"url\":\"../shot-1/output.mp4\"}}]}";
    struct prompt_report report;
    prompt_report_init(&report);
    struct prompt *prompt = NULL;
    assert_int_equal(check(text, strlen(text), &with_media, &prompt, &report), 0);
    assert_int_equal(report.warnings, 0);
    assert_int_equal(prompt->input_count, 3);
    const struct prompt_input *video = input_get(prompt, "content[1].video_url.url");
    const struct prompt_input *image = input_get(prompt, "content[0].image_url.url");
    const struct prompt_input *lengths = input_get(prompt, "video_durations");
    assert_non_null(video);
    assert_non_null(image);
    assert_non_null(lengths);
    assert_int_equal(video->number, 7);
    assert_string_equal(video->path, "../shot-1/output.mp4");
    assert_memory_equal(prompt->body + video->body_offset, "\"\"}", 3);
    assert_int_equal(image->number, PROMPT_INLINE);
    assert_memory_equal(prompt->body + image->body_offset, "\"data:image/png;base64,", 23);
    assert_int_equal(lengths->number, PROMPT_DURATIONS);
    assert_memory_equal(prompt->body + lengths->body_offset - 18, "\"video_durations\":\"\"", 20);
    assert_true(prompt->input_video_ms == 5042);
    assert_false(prompt->input_video_is_unknown);
    assert_non_null(strstr(prompt->display, "\"../shot-1/output.mp4\""));
    assert_null(strstr(prompt->display, "video_durations"));
    prompt_free(prompt);
    prompt_report_fini(&report);
}

static void test_prompt__lengths_of_other_jobs_are_counted(void **state UNUSED)
{
    static const struct {
        const char *text;
        int expected;
        const char *field; /* of a problem; NULL: none */
        const char *rule;
        int64_t input_ms;
        bool is_filled_in;
    } cases[] = {
        {P "\"video_url\":\"../shot-1/output.mp4\"}", 0, NULL, NULL, 5042, true},
        {P "\"video_url\":\"../shot-2/output.mp4\"}", 0, "input_video_duration", "estimate", 15000,
         true},
        {P "\"video_urls\":[\"../shot-1/output.mp4\",\"https://example.com/a.mp4\"]}", 0,
         "input_video_duration", "estimate", 15000, false},
        {P "\"video_url\":\"../shot-1/output.mp4\",\"video_durations\":[5]}", 0, NULL, NULL, 5000,
         false},
        {P "\"video_url\":\"../shot-1/output.mp4\",\"video_durations\":[8]}", 0, "video_durations",
         "value", 8000, false},
        {P "\"video_urls\":[\"../shot-1/output.mp4\",\"../long/output.mp4\"]}", -ERR_PROMPT_INVALID,
         "video_urls", "range", 0, false},
        {P "\"video_url\":\"../shot-0/output.mp4\"}", -ERR_PROMPT_INVALID, "video_url", "file", 0,
         false},
        {P "\"video_url\":\"../shot-1/last_frame.png\"}", -ERR_PROMPT_INVALID, "video_url",
         "media-type", 0, false},
        {P "\"first_frame\":\"../shot-1/output.mp4\"}", -ERR_PROMPT_INVALID, "first_frame",
         "media-type", 0, false},
        {P "\"first_frame\":\"../shot-1/last_frame.png\"}", 0, NULL, NULL, 0, false},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct prompt_report report;
        prompt_report_init(&report);
        struct prompt *prompt = NULL;
        const char *text = cases[i].text;
        assert_int_equal(check(text, strlen(text), &with_media, &prompt, &report),
                         cases[i].expected);
        if (cases[i].field)
            assert_non_null(problem_find(&report, cases[i].field, cases[i].rule));
        else
            assert_int_equal(report.warnings, 0);
        if (prompt) {
            assert_true(prompt->input_video_ms == cases[i].input_ms);
            assert_int_equal(input_get(prompt, "video_durations") != NULL, cases[i].is_filled_in);
        }
        prompt_free(prompt);
        prompt_report_fini(&report);
    }
}

static void test_prompt__plain_text_is_the_prompt_alone(void **state UNUSED)
{
    static const struct {
        const char *text;
        int expected;
        const char *prompt;
    } cases[] = {
        {"A \"cat\"\nsurfing\n", 0, "A \"cat\"\nsurfing"},
        {"  x", 0, "x"},
        {"", -ERR_JSON_INCOMPLETE, NULL},
        {" \n", -ERR_JSON_INCOMPLETE, NULL},
        {"caf\xc3", -ERR_JSON_INCOMPLETE, NULL},
        {"caf\xe9 x", -ERR_PROMPT_INVALID, NULL},
        {"\xef\xbb\xbf x\r\n", 0, "x"},
        {"\xef\xbb", -ERR_JSON_INCOMPLETE, NULL},
        {" {\"prompt\": \"x\"}\n", -ERR_JSON_INCOMPLETE, NULL},
        {"{\"prompt\": \"x\"} as a neon sign", 0, "{\"prompt\": \"x\"} as a neon sign"},
        {"{\"shot\": \"wide\"}", 0, "{\"shot\": \"wide\"}"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct prompt_report report;
        prompt_report_init(&report);
        struct prompt *prompt = NULL;
        assert_int_equal(
            prompt_check_text(cases[i].text, strlen(cases[i].text), &plain, &prompt, &report),
            cases[i].expected);
        if (cases[i].prompt)
            assert_string_equal(prompt->text, cases[i].prompt);
        prompt_free(prompt);
        prompt_report_fini(&report);
    }
}

/* Calls `visit` with the content of each fixture; returns how many there are. */
static size_t each_fixture(void (*visit)(const char *name, const struct buf *text, bool is_valid))
{
    DIR *directory = opendir("tests/fixtures/prompt");
    assert_non_null(directory);
    size_t seen = 0;
    for (struct dirent *e = readdir(directory); e; e = readdir(directory)) {
        bool is_valid = strncmp(e->d_name, "valid-", 6) == 0;
        if (!is_valid && strncmp(e->d_name, "invalid-", 8) != 0)
            continue;
        struct buf text;
        buf_init(&text, 1024 * 1024);
        assert_int_equal(file_read_all_at(dirfd(directory), e->d_name, &text), 0);
        visit(e->d_name, &text, is_valid);
        buf_fini(&text);
        seen++;
    }
    (void)closedir(directory);
    return seen;
}

static size_t len_to_last_brace(const struct buf *text)
{
    const char *brace = memrchr(text->data, '}', text->len);
    return brace ? (size_t)(brace + 1 - text->data) : text->len;
}

static void visit_fixture(const char *name, const struct buf *text, bool is_valid)
{
    struct prompt_report report;
    prompt_report_init(&report);
    struct prompt *prompt = NULL;
    int r = check(text->data, text->len, &plain, &prompt, &report);
    if (r != (is_valid ? 0 : -ERR_PROMPT_INVALID))
        fail_msg("%s: %s", name, err_name(r));
    assert_true(is_valid || report.errors > 0);
    prompt_free(prompt);
    /* Up to the last brace a valid object may still become right, and no other is ever accepted. */
    size_t end = is_valid ? len_to_last_brace(text) : text->len;
    for (size_t len = 0; len < end; len++) {
        r = prompt_check(text->data, len, &plain, &prompt, &report);
        bool is_right = is_valid ? r == -ERR_JSON_INCOMPLETE
                                 : r == -ERR_JSON_INCOMPLETE || r == -ERR_PROMPT_INVALID;
        /* An object with junk behind it was right before the junk. */
        if (!is_right && r == 0 && !is_valid && strstr(name, "behind")) {
            prompt_free(prompt);
            is_right = true;
        }
        if (!is_right)
            fail_msg("%s: %zu bytes: %s", name, len, err_name(r));
    }
    prompt_report_fini(&report);
}

static void test_prompt__fixtures_and_their_prefixes_get_the_right_verdict(void **state UNUSED)
{
    assert_true(each_fixture(visit_fixture) >= 20);
}

static uint32_t seed = 20261123;

static uint32_t next_random(uint32_t below)
{
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    return seed % below;
}

static void mutate(char *text, size_t *len, size_t capacity)
{
    static const char pool[] = "{}[]\",:\\u0019e.-tfn \n\xc3\xa9\xff/;=";
    for (uint32_t edits = 1 + next_random(4); edits > 0; edits--) {
        size_t at = next_random((uint32_t)*len);
        size_t span = 1 + next_random(8);
        char c = pool[next_random(sizeof(pool))]; /* the NUL at its end, too */
        switch (next_random(4)) {
        case 0:
            text[at] = c;
            break;
        case 1: /* cut */
            if (at + span < *len) {
                memmove(text + at, text + at + span, *len - at - span);
                *len -= span;
            }
            break;
        case 2: /* double */
            if (at + span < *len && *len + span < capacity) {
                memmove(text + at + span, text + at, *len - at);
                *len += span;
            }
            break;
        default:
            text[at] = (char)next_random(256);
            break;
        }
    }
}

enum { MUTATIONS_PER_FIXTURE = 800 };

static size_t mutations;
static size_t accepted;

static void visit_mutations(const char *name, const struct buf *text, bool is_valid UNUSED)
{
    char work[8192];
    struct prompt_report report;
    prompt_report_init(&report);
    for (int i = 0; i < MUTATIONS_PER_FIXTURE && text->len < 4096; i++) {
        size_t len = text->len;
        memcpy(work, text->data, len);
        mutate(work, &len, sizeof(work));
        struct prompt *prompt = NULL;
        int r = check(work, len, next_random(2) ? &lenient : &with_media, &prompt, &report);
        mutations++;
        if (r < 0) {
            assert_true(r == -ERR_JSON_INCOMPLETE || r == -ERR_PROMPT_INVALID);
            assert_true(report.count > 0 && prompt == NULL);
            continue;
        }
        accepted++;
        struct prompt *again = NULL;
        if (prompt_check(prompt->body, prompt->body_len, &lenient, &again, &report) < 0)
            fail_msg("%s: the body is not accepted: %s", name, prompt->body);
        assert_string_equal(again->body, prompt->body);
        prompt_free(again);
        prompt_free(prompt);
    }
    prompt_report_fini(&report);
}

static void test_prompt__no_mutation_crashes_and_accepted_bodies_are_stable(void **state UNUSED)
{
    (void)each_fixture(visit_mutations);
    print_message("%zu mutations, %zu accepted\n", mutations, accepted);
    assert_true(mutations >= 20000 && accepted > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_prompt__accepts_what_the_documentation_allows),
        cmocka_unit_test(test_prompt__refuses_what_breaks_a_rule),
        cmocka_unit_test(test_prompt__warns_and_still_accepts),
        cmocka_unit_test(test_prompt__lists_every_mistake_in_the_order_of_the_text),
        cmocka_unit_test(test_prompt__a_role_is_not_said_to_be_undocumented),
        cmocka_unit_test(test_prompt__a_flood_of_problems_is_bounded),
        cmocka_unit_test(test_prompt__body_has_a_fixed_order_and_the_defaults),
        cmocka_unit_test(test_prompt__frames_are_items_of_content),
        cmocka_unit_test(test_prompt__counts_input_video_and_unknown_models_at_the_worst),
        cmocka_unit_test(test_prompt__without_reader_local_names_are_checked_by_form),
        cmocka_unit_test(test_prompt__what_comes_later_leaves_its_place),
        cmocka_unit_test(test_prompt__lengths_of_other_jobs_are_counted),
        cmocka_unit_test(test_prompt__plain_text_is_the_prompt_alone),
        cmocka_unit_test(test_prompt__fixtures_and_their_prefixes_get_the_right_verdict),
        cmocka_unit_test(test_prompt__no_mutation_crashes_and_accepted_bodies_are_stable),
    };
    assert(models_new(&models) == 0);
    plain.models = lenient.models = with_media.models = models;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    models_free(models);
    return failed;
}

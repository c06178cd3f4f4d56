/*
 * prompt.json, read in every way the program reads it: as it stands, with unknown fields let
 * through, with local media beside it, as prompt.txt, and as defaults.json.
 */
#include "fuzz.h"

#include "seedancefs/base/err.h"
#include "seedancefs/base/json.h"
#include "seedancefs/prompt/defaults.h"
#include "seedancefs/prompt/model.h"
#include "seedancefs/prompt/prompt.h"

enum { PROMPT_DEPTH_MAX = 32, RENDERED_MAX = 1 << 20 };

typedef int check_fn(const char *bytes, size_t len, const struct prompt_settings *settings,
                     struct prompt **prompt, struct prompt_report *report);

/* "NAME.png" and "NAME.mp3" are there, "NAME.mp4" will be; so is an image of a gigabyte. */
static int media_read(void *context UNUSED, const char *file_name, enum prompt_media media UNUSED,
                      size_t max_bytes, struct buf *out, struct prompt_found *found)
{
    size_t len = strlen(file_name);
    FUZZ_REQUIRE(len > 0 && file_name[0] != '/' && file_name[len - 1] != '/',
                 "no path of a file, seen from a job: %s", file_name);
    const char *dot = strrchr(file_name, '.');
    if (dot && strcmp(dot, ".mp4") == 0) {
        *found = (struct prompt_found){.number = 1, .media = PROMPT_VIDEO, .length_ms = 5000};
        return 0;
    }
    if (dot && strcmp(dot, ".png") == 0)
        return buf_add(out, "\x89PNG\r\n\x1a\nIHDR", 12);
    if (dot && strcmp(dot, ".mp3") == 0)
        return buf_add(out, "ID3\4", 4);
    if (dot && strcmp(dot, ".big") == 0)
        return max_bytes < (1 << 30) ? -EFBIG : 0;
    return -ENOENT;
}

static struct prompt_settings strict = {.default_model = NULL};
static struct prompt_settings lenient = {.default_model = "doubao-seedance-2.0-fast",
                                         .allow_unknown = true};
static struct prompt_settings with_media = {.read_media = media_read};

/* The documented ones, and one that is a file. */
static void models_make(void)
{
    static const char open[] =
        "{\"usd_per_second\":{\"1080p\":\"0.5\"},\"parameters\":{\"duration\":{\"min\":2,"
        "\"max\":30,\"auto\":true,\"default\":-1},\"audio_urls\":{\"max_count\":0}}}";
    static struct models *models;
    struct prompt_report report;
    if (models)
        return;
    prompt_report_init(&report);
    FUZZ_REQUIRE(models_new(&models) == 0, "no models");
    FUZZ_REQUIRE(models_add(models, "open.json", open, strlen(open), &report) == 0, "no model");
    prompt_report_fini(&report);
    strict.models = lenient.models = with_media.models = models;
}

static size_t lines_count(const char *bytes, size_t len)
{
    size_t lines = 1;
    for (size_t i = 0; i < len; i++)
        lines += bytes[i] == '\n';
    return lines;
}

/* Code points of a line and the place behind it; a broken byte counts as one. */
static size_t columns_count(const char *bytes, size_t len, size_t line)
{
    size_t columns = 1;
    for (size_t i = 0, at = 1; i < len && at <= line; i++) {
        if (at == line && ((unsigned char)bytes[i] & 0xc0) != 0x80)
            columns++;
        at += bytes[i] == '\n';
    }
    return columns;
}

static void require_report(const struct prompt_report *report, const char *bytes, size_t len)
{
    struct buf out;
    FUZZ_REQUIRE(report->count <= PROMPT_PROBLEMS_MAX, "%zu problems", report->count);
    FUZZ_REQUIRE(report->count <= report->errors + report->warnings, "more than there are");
    for (size_t i = 0; i < report->count; i++) {
        const struct prompt_problem *problem = &report->problems[i];
        FUZZ_REQUIRE(problem->rule && problem->sentence[0], "a problem without words");
        fuzz_require_line(problem->sentence, "sentence");
        fuzz_require_line(problem->field, "field");
        FUZZ_REQUIRE((problem->line == 0) == (problem->column == 0), "half a place");
        FUZZ_REQUIRE(problem->line <= lines_count(bytes, len), "line %u", problem->line);
        FUZZ_REQUIRE(problem->line == 0 ||
                         problem->column <= columns_count(bytes, len, problem->line),
                     "line %u, column %u: %s", problem->line, problem->column, problem->sentence);
    }
    buf_init(&out, RENDERED_MAX);
    prompt_report_render(report, "prompt.json", &out);
    FUZZ_REQUIRE(out.error == 0 && strlen(buf_text(&out)) == out.len, "not rendered");
    FUZZ_REQUIRE(fuzz_is_utf8(buf_text(&out), out.len), "rendered, not UTF-8");
    FUZZ_REQUIRE((out.len > 0) == (report->count > 0), "nothing to show for it");
    buf_fini(&out);
}

static void require_json_object(const char *text, size_t len)
{
    static const struct json_limits limits = {
        .max_bytes = 2 * PROMPT_BYTES_MAX, .max_depth = PROMPT_DEPTH_MAX + 8, .max_nodes = 65536};
    struct json_document *document = NULL;
    FUZZ_REQUIRE(json_parse(text, len, &limits, &document, NULL) == 0, "no JSON: %.200s", text);
    FUZZ_REQUIRE(json_type_get(json_document_root(document)) == JSON_OBJECT, "no object");
    json_document_free(document);
    fuzz_require_strict_json(text, len, PROMPT_DEPTH_MAX + 8);
}

/* What was accepted is accepted again in the form in which it is sent, and stays as it is. */
static void require_prompt(const struct prompt *prompt, const struct prompt_settings *settings)
{
    struct prompt_report report;
    struct prompt *again = NULL;
    FUZZ_REQUIRE(prompt->estimate_usd_micros > 0, "costs %lld",
                 (long long)prompt->estimate_usd_micros);
    FUZZ_REQUIRE(prompt->longest_s >= 1 && prompt->longest_s <= 60 &&
                     (prompt->duration_s == prompt->longest_s || prompt->duration_s == -1),
                 "lasts %lld s", (long long)prompt->duration_s);
    FUZZ_REQUIRE(prompt->input_video_ms >= 0, "%lld ms of input",
                 (long long)prompt->input_video_ms);
    FUZZ_REQUIRE(strlen(prompt->body) == prompt->body_len &&
                     strlen(prompt->display) == prompt->display_len,
                 "a NUL in it");
    require_json_object(prompt->body, prompt->body_len);
    require_json_object(prompt->display, prompt->display_len);
    for (size_t i = 0; i < prompt->input_count; i++) {
        FUZZ_REQUIRE(prompt->body[prompt->inputs[i].body_offset] == '"', "no string at its place");
        if (prompt->inputs[i].number != PROMPT_INLINE)
            return; /* the body is not complete yet */
    }
    prompt_report_init(&report);
    int r = prompt_check(prompt->body, prompt->body_len, settings, &again, &report);
    FUZZ_REQUIRE(r == 0, "the body is refused (%d): %.300s: %s", r, prompt->body,
                 report.count ? report.problems[0].sentence : "");
    FUZZ_REQUIRE(strcmp(prompt->body, again->body) == 0, "another body:\n%s\n%s", prompt->body,
                 again->body);
    FUZZ_REQUIRE(prompt->estimate_usd_micros == again->estimate_usd_micros, "another cost");
    prompt_free(again);
    prompt_report_fini(&report);
}

static int check(check_fn *fn, const char *bytes, size_t len,
                 const struct prompt_settings *settings, struct prompt **prompt)
{
    struct prompt_report report;
    char *copy = fuzz_bytes((const uint8_t *)bytes, len);
    *prompt = NULL;
    prompt_report_init(&report);
    int r = fn(copy, len, settings, prompt, &report);
    FUZZ_REQUIRE(r == 0 || r == -ERR_JSON_INCOMPLETE || r == -ERR_PROMPT_INVALID, "result %d", r);
    FUZZ_REQUIRE((r == 0) == (report.errors == 0), "result %d with %zu errors", r, report.errors);
    FUZZ_REQUIRE((r == 0) == (*prompt != NULL), "result %d with another prompt", r);
    FUZZ_REQUIRE(r != -ERR_JSON_INCOMPLETE ||
                     (report.count == 1 && strcmp(report.problems[0].rule, "incomplete") == 0),
                 "incomplete without saying so");
    require_report(&report, bytes, len);
    prompt_report_fini(&report);
    free(copy);
    return r;
}

/* An early report stands: nothing that is refused at `len` bytes can be put right by the bytes
 * behind it. So a refusal of any beginning is one of the whole. */
static void require_monotone(check_fn *fn, const char *bytes, size_t len,
                             const struct prompt_settings *settings, int result)
{
    struct prompt *prompt;
    size_t step = len / 6 + 1;
    for (size_t part = len % step; part < len; part += step) {
        int r = check(fn, bytes, part, settings, &prompt);
        prompt_free(prompt);
        FUZZ_REQUIRE(r != -ERR_PROMPT_INVALID || result == r,
                     "refused at %zu of %zu bytes, then %d", part, len, result);
    }
}

static void check_text(const char *bytes, size_t len)
{
    struct prompt *prompt;
    int r = check(prompt_check_text, bytes, len, &strict, &prompt);
    if (r == 0) {
        FUZZ_REQUIRE(!memchr(bytes, '\0', len) && fuzz_is_utf8(bytes, len), "bytes of no text");
        require_prompt(prompt, &strict);
    }
    require_monotone(prompt_check_text, bytes, len, &strict, r);
    prompt_free(prompt);
}

/* What is accepted as defaults makes every request acceptable that would be so without them. */
static void check_defaults(const char *bytes, size_t len, const struct prompt_settings *settings)
{
    static const char text[] = "{\"prompt\":\"x\"}";
    struct prompt_defaults defaults = {0};
    struct prompt_report report;
    struct prompt *prompt = NULL;
    char *copy = fuzz_bytes((const uint8_t *)bytes, len);
    prompt_report_init(&report);
    int r = prompt_defaults_check(copy, len, settings, &defaults, &report);
    FUZZ_REQUIRE(r == 0 || r == -ERR_JSON_INCOMPLETE || r == -ERR_PROMPT_INVALID, "result %d", r);
    FUZZ_REQUIRE((r == 0) == (report.errors == 0), "result %d with %zu errors", r, report.errors);
    require_report(&report, bytes, len);
    if (r == 0) {
        struct prompt_settings with = *settings;
        with.defaults = &defaults;
        r = prompt_check(text, sizeof(text) - 1, &with, &prompt, &report);
        FUZZ_REQUIRE(r == 0, "defaults that refuse a request: %d", r);
        require_prompt(prompt, settings);
        prompt_free(prompt);
    }
    prompt_defaults_fini(&defaults);
    prompt_report_fini(&report);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct prompt *prompt;
    struct prompt *other;
    models_make();
    const char *bytes = size ? (const char *)data : "";
    int r = check(prompt_check, bytes, size, &strict, &prompt);
    if (r == 0) {
        fuzz_require_strict_json(bytes, size, PROMPT_DEPTH_MAX);
        require_prompt(prompt, &strict);
    }
    require_monotone(prompt_check, bytes, size, &strict, r);

    int lenient_r = check(prompt_check, bytes, size, &lenient, &other);
    FUZZ_REQUIRE(r != 0 || lenient_r == 0, "allowing the unknown refuses the known");
    if (lenient_r == 0)
        require_prompt(other, &lenient);
    prompt_free(other);

    int media_r = check(prompt_check, bytes, size, &with_media, &other);
    FUZZ_REQUIRE(r == 0 || media_r != 0, "media makes it right");
    if (media_r == 0) {
        FUZZ_REQUIRE(!other->has_unread_media, "media was not read");
        FUZZ_REQUIRE(prompt->has_unread_media || strcmp(prompt->body, other->body) == 0,
                     "another body without local media");
        require_prompt(other, &with_media);
    }
    prompt_free(other);
    prompt_free(prompt);
    check_text(bytes, size);
    check_defaults(bytes, size, &strict);
    check_defaults(bytes, size, &lenient);
    return 0;
}

#include "seedancefs/prompt/prompt.h"

#include "check.h"

#include "seedancefs/base/err.h"
#include "seedancefs/base/number.h"
#include "seedancefs/base/table.h"
#include "seedancefs/base/text.h"
#include "seedancefs/prompt/defaults.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The display form has the indentation on top of what the body may have. */
enum { DISPLAY_BYTES_MAX = PROMPT_BYTES_MAX + PROMPT_BYTES_MAX / 2 };

struct prompt *prompt_free(struct prompt *prompt)
{
    if (prompt) {
        free(prompt->model);
        free(prompt->resolution);
        free(prompt->aspect_ratio);
        free(prompt->text);
        free(prompt->body);
        free(prompt->display);
        for (size_t i = 0; i < prompt->input_count; i++)
            free(prompt->inputs[i].path);
        free(prompt->inputs);
        free(prompt);
    }
    return NULL;
}

/* An incomplete buffer frees itself; the caller frees an incomplete prompt. */
static int render(const struct check *c, bool is_display, size_t limit, char **text, size_t *len)
{
    struct buf out;
    buf_init(&out, limit);
    body_render(c, &out, is_display);
    int r = out.error;
    if (r == 0) {
        *len = out.len;
        *text = buf_take(&out);
    }
    buf_fini(&out);
    return r;
}

static void count_input(struct prompt *prompt, const struct check *c)
{
    if (c->counts[MEDIA_VIDEO] == 0)
        return;
    prompt->input_video_ms = max_int64(c->input_ms, c->durations_ms);
    if (prompt->input_video_ms < 0 && c->found_lengths == c->counts[MEDIA_VIDEO])
        prompt->input_video_ms = c->found_ms;
    if (prompt->input_video_ms < 0) {
        prompt->input_video_is_unknown = true;
        prompt->input_video_ms = c->rules->media[MEDIA_VIDEO].max_all_ms;
    }
}

static enum prompt_hold hold_get(const struct check *c)
{
    const struct prompt_defaults *defaults = c->settings->defaults;
    if (json_member_get(c->root, "hold"))
        return c->hold ? PROMPT_HOLD_YES : PROMPT_HOLD_NO;
    return defaults && defaults->hold ? PROMPT_HOLD_YES : PROMPT_HOLD_UNSAID;
}

static int input_compare(const void *a, const void *b)
{
    const struct prompt_input *left = a;
    const struct prompt_input *right = b;
    return left->body_offset < right->body_offset ? -1 : 1;
}

/* After the body was rendered, which has given each its place. */
static int inputs_fill(struct prompt *prompt, const struct check *c)
{
    const struct local_file *file;
    size_t count = 0;
    LL_COUNT(c->files, file, count);
    prompt->inputs = count > 0 ? calloc(count, sizeof(*prompt->inputs)) : NULL;
    if (count > 0 && !prompt->inputs)
        return -ENOMEM;
    LL_FOREACH (c->files, file) {
        struct prompt_input *input = &prompt->inputs[prompt->input_count++];
        *input = (struct prompt_input){.number = file->number,
                                       .media = (enum prompt_media)file->kind,
                                       .body_offset = file->body_offset,
                                       .path = strdup(file->node ? json_text_get(file->node) : "")};
        (void)snprintf(input->field, sizeof(input->field), "%s",
                       file->node ? file->field : "video_durations");
        if (!input->path)
            return -ENOMEM;
    }
    if (count > 0)
        qsort(prompt->inputs, count, sizeof(*prompt->inputs), input_compare);
    return 0;
}

static int prompt_fill(struct prompt *prompt, struct check *c)
{
    prompt->model = strdup(c->model_name);
    prompt->resolution = strdup(c->resolution);
    prompt->aspect_ratio = strdup(c->aspect_ratio);
    prompt->text = strdup(c->text);
    if (!prompt->model || !prompt->resolution || !prompt->aspect_ratio || !prompt->text)
        return -ENOMEM;
    prompt->duration_s = c->duration_s;
    prompt->model_is_unknown = !c->model;
    prompt->has_unread_media = c->has_unread_media;
    prompt->hold = hold_get(c);
    count_input(prompt, c);
    prompt->longest_s = c->duration_s < 0 ? c->rules->duration_max_s : c->duration_s;
    prompt->estimate_usd_micros =
        models_estimate_usd_micros(c->settings->models, c->model, c->resolution,
                                   prompt->longest_s * 1000, prompt->input_video_ms);
    if (prompt->estimate_usd_micros < 0)
        return (int)prompt->estimate_usd_micros;

    int r = render(c, false, PROMPT_BYTES_MAX, &prompt->body, &prompt->body_len);
    if (r == -EFBIG)
        return report_one(c->report, "size", NULL,
                          "the request exceeds 64 MB, the most the service accepts. Use smaller "
                          "files, or https:// addresses.",
                          -ERR_PROMPT_INVALID);
    if (r == 0)
        r = render(c, true, DISPLAY_BYTES_MAX, &prompt->display, &prompt->display_len);
    return r == 0 ? inputs_fill(prompt, c) : r;
}

static int prompt_make(struct check *c, struct prompt **prompt)
{
    check_run(c);
    if (c->error)
        return c->error;
    if (c->report->errors > 0)
        return -ERR_PROMPT_INVALID;
    struct prompt *made = calloc(1, sizeof(*made));
    if (!made)
        return -ENOMEM;
    int r = prompt_fill(made, c);
    if (r < 0) {
        prompt_free(made);
        return r;
    }
    *prompt = made;
    return 0;
}

int prompt_check(const char *bytes, size_t len, const struct prompt_settings *settings,
                 struct prompt **prompt, struct prompt_report *report)
{
    report_clear(report);
    struct json_document *document;
    int r = document_parse(bytes, len,
                           "{\"prompt\": \"A cat surfing at sunset\"}. Plain text belongs in "
                           "prompt.txt",
                           &document, report);
    if (r < 0)
        return r;

    struct check c;
    check_init(&c, json_document_root(document), settings, report);
    r = prompt_make(&c, prompt);
    report_sort(report);
    check_fini(&c);
    json_document_free(document);
    return r;
}

/* The number of bytes of a UTF-8 sequence that the end of the text cuts off; 0: none. */
static size_t cut_off_bytes(const char *text, size_t len)
{
    for (size_t back = 1; back <= 3 && back <= len; back++) {
        unsigned char byte = (unsigned char)text[len - back];
        if ((byte & 0xc0) == 0x80)
            continue;
        size_t need = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc2 ? 2 : 1;
        return need > back && byte <= 0xf4 ? back : 0;
    }
    return 0;
}

static bool is_text_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* A user who has confused the two files would pay for a video of braces. */
static bool is_request(const char *text, size_t len)
{
    struct json_document *document;
    if (text[0] != '{' || json_parse(text, len, &document_limits, &document, NULL) < 0)
        return false;
    bool has_prompt = json_member_get(json_document_root(document), "prompt") != NULL;
    json_document_free(document);
    return has_prompt;
}

int prompt_check_text(const char *text, size_t len, const struct prompt_settings *settings,
                      struct prompt **prompt, struct prompt_report *report)
{
    report_clear(report);
    size_t cut = cut_off_bytes(text, len);
    if (memchr(text, '\0', len) || !text_is_utf8(text, len - cut))
        return report_one(report, "syntax", NULL, "the text is not valid UTF-8.",
                          -ERR_PROMPT_INVALID);
    size_t mark = prompt_mark_bytes(text, len);
    text += mark;
    len -= mark;
    while (len > 0 && is_text_blank(text[len - 1]))
        len--;
    for (; len > 0 && is_text_blank(text[0]); len--)
        text++;
    if (len == 0 || cut > 0)
        return report_one(report, "incomplete", NULL, "the text is empty or cut off.",
                          -ERR_JSON_INCOMPLETE);

    /* Incomplete rather than invalid: with more text after it, it would be a prompt. */
    if (is_request(text, len))
        return report_one(report, "incomplete", NULL,
                          "the text is a JSON object with a prompt in it. That belongs in "
                          "prompt.json; this file has only the text of the prompt.",
                          -ERR_JSON_INCOMPLETE);

    struct buf json;
    buf_init(&json, PROMPT_BYTES_MAX);
    (void)buf_add_text(&json, "{\"prompt\":");
    json_escape(&json, text, len);
    (void)buf_add_char(&json, '}');
    int r = json.error;
    if (r == -EFBIG)
        r = report_one(report, "limit", NULL, "the text is longer than 64 MB.",
                       -ERR_PROMPT_INVALID);
    else if (r == 0)
        r = prompt_check(buf_text(&json), json.len, settings, prompt, report);
    buf_fini(&json);
    for (size_t i = 0; i < report->count; i++) {
        report->problems[i].line = 0;
        report->problems[i].column = 0;
    }
    return r;
}

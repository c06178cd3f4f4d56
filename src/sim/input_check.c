#include "sim/input_check.h"

#include "sim/fetch.h"
#include "sim/media_file.h"
#include "sim/url.h"

#include "seedancefs/base/cleanup.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* A clip is one frame longer than its duration. */
#define SECONDS_SLACK 0.2
#define DECLARED_SLACK 0.5
#define RATE_SLACK 0.05

static int refuse(struct response *error, const char *field, const char *format, ...)
    PRINTF_LIKE(3, 4);

/* "The video at `video_urls[0]` …": the message names the input, param its field. */
static int refuse(struct response *error, const char *field, const char *format, ...)
{
    struct buf message = SIM_BUF;
    va_list arguments;
    va_start(arguments, format);
    (void)buf_addv(&message, format, arguments);
    va_end(arguments);
    CLEANUP_FREE char *param = mem_dup(field, strcspn(field, "["));
    response_api_error(error, 400, "InvalidParameter", text_whole(&message), param);
    buf_fini(&message);
    return -EINVAL;
}

static int refuse_input(struct response *error, const struct input *input, const char *format, ...)
    PRINTF_LIKE(3, 4);

static int refuse_input(struct response *error, const struct input *input, const char *format, ...)
{
    struct buf what = SIM_BUF;
    va_list arguments;
    va_start(arguments, format);
    (void)buf_addv(&what, format, arguments);
    va_end(arguments);
    int r = refuse(error, input->field, "The %s at `%s` %s.", input_kind_name(input->kind),
                   input->field, text_whole(&what));
    buf_fini(&what);
    return r;
}

static int refuse_download(struct response *error, const struct input *input, int result)
{
    CLEANUP_FREE char *why = mem_format("%d", result);
    return refuse(error, input->field, "The %s at `%s` could not be downloaded: %s",
                  input_kind_name(input->kind), input->field, result > 0 ? why : strerror(-result));
}

static bool is_kind_of(enum input_kind kind, const char *type)
{
    bool is_audio = strcmp(type, "wav") == 0 || strcmp(type, "mp3") == 0;
    bool is_video = strcmp(type, "mp4") == 0;
    return kind == INPUT_AUDIO ? is_audio : kind == INPUT_VIDEO ? is_video : !is_audio && !is_video;
}

/* Whether "data:image/jpg;…" says what the bytes are. */
static bool is_declared_type(const char *url, const char *type)
{
    static const char *const others[][2] = {
        {"jpg", "jpeg"},  {"heic", "heif"},    {"wave", "wav"},
        {"x-wav", "wav"}, {"vnd.wave", "wav"}, {"mpeg", "mp3"},
    };
    const char *slash = strchr(url, '/');
    if (slash == NULL)
        return false;
    CLEANUP_FREE char *name = mem_dup(slash + 1, strcspn(slash + 1, ";,"));
    for (size_t i = 0; i < ARRAY_COUNT(others); i++)
        if (strcasecmp(name, others[i][0]) == 0)
            return strcmp(type, others[i][1]) == 0;
    return strcasecmp(name, type) == 0;
}

static int check_sides(const struct input *input, uint64_t width, uint64_t height,
                       struct response *error)
{
    const struct media_rule *rule = input->rule;
    double x = (double)width;
    double y = (double)height;
    if (fmin(x, y) < rule->side_min || fmax(x, y) > rule->side_max)
        return refuse_input(error, input, "must have sides of %g to %g pixels", rule->side_min,
                            rule->side_max);
    if (x < rule->ratio_min * y || x > rule->ratio_max * y)
        return refuse_input(error, input, "must have a ratio of width to height from %g to %g",
                            rule->ratio_min, rule->ratio_max);
    return 0;
}

static int check_seconds(const struct input *input, struct response *error)
{
    const struct media_rule *rule = input->rule;
    if (input->seconds < rule->seconds_min - SECONDS_SLACK ||
        input->seconds > rule->seconds_max + SECONDS_SLACK)
        return refuse_input(error, input, "must have a length of %g to %g seconds",
                            rule->seconds_min, rule->seconds_max);
    return 0;
}

static int check_probe(struct input *input, const struct media_probe *probe, struct response *error)
{
    if (input->kind != INPUT_AUDIO && probe->width == 0)
        return refuse_input(error, input, "cannot be decoded");
    if (input->kind != INPUT_AUDIO && check_sides(input, probe->width, probe->height, error) < 0)
        return -EINVAL;
    if (input->kind == INPUT_IMAGE)
        return 0;
    input->seconds = probe->seconds;
    if (check_seconds(input, error) < 0)
        return -EINVAL;
    if (input->kind == INPUT_AUDIO)
        return 0;
    if (strcmp(probe->codec, "h264") != 0 && strcmp(probe->codec, "hevc") != 0)
        return refuse_input(error, input, "must be H.264 or H.265");
    if (probe->frames_per_s < input->rule->rate_min - RATE_SLACK ||
        probe->frames_per_s > input->rule->rate_max + RATE_SLACK)
        return refuse_input(error, input, "must have %g to %g frames per second",
                            input->rule->rate_min, input->rule->rate_max);
    return 0;
}

/* Looks at the bytes: their type, the sides in their header, and what ffprobe says. */
static int check_file(struct input *input, struct response *error)
{
    const unsigned char *bytes = (const unsigned char *)input->content;
    const char *type = media_file_type(bytes, (size_t)input->bytes);
    if (type == NULL || !is_kind_of(input->kind, type))
        return refuse_input(error, input, "has a format that is not supported");
    if (input->form == INPUT_DATA && !is_declared_type(input->url, type))
        return refuse_input(error, input, "is not of the media type that its data: URL says");
    if (input->width > 0 && check_sides(input, input->width, input->height, error) < 0)
        return -EINVAL;
    struct media_probe probe;
    int r = media_file_probe(bytes, (size_t)input->bytes, &probe);
    if (r == -EINVAL)
        return refuse_input(error, input, "cannot be decoded");
    return r < 0 ? 0 : check_probe(input, &probe, error);
}

static int check_data(struct input *input, const struct input_source *source,
                      struct response *error)
{
    if (input->kind == INPUT_VIDEO)
        return refuse_input(error, input, "must be a public URL");
    if (!input->has_bytes)
        return refuse_input(error, input, "is not valid base64");
    if ((double)input->bytes > input->rule->bytes_max)
        return refuse_input(error, input, "is too large");
    return source->is_strict ? check_file(input, error) : 0;
}

static int check_own(struct input *input, const struct input_source *source, struct response *error)
{
    if (url_check_address(input->url, clock_now_ms()) != URL_GOOD)
        return refuse_download(error, input, 403);
    double seconds = source->task_seconds(source->context, input->task_id, input->is_cover);
    if (seconds < 0)
        return refuse_download(error, input, 404);
    if (input->kind != (input->is_cover ? INPUT_IMAGE : INPUT_VIDEO))
        return refuse_input(error, input, "has a format that is not supported");
    if (input->is_cover)
        return 0;
    input->seconds = seconds;
    return check_seconds(input, error);
}

static int check_fetched(struct input *input, int64_t until_us, struct response *error)
{
    int64_t own_until_us = clock_monotonic_us() + (int64_t)FETCH_MAX_MS * 1000;
    struct buf body = SIM_BUF;
    input->form = INPUT_FETCHED;
    int status = fetch_file(input->url, (size_t)input->rule->bytes_max,
                            own_until_us < until_us ? own_until_us : until_us, &body);
    if (status == -EFBIG)
        return refuse_input(error, input, "is too large");
    if (status != 200)
        return refuse_download(error, input, status);
    size_t len = body.len;
    input_set_content(input, text_take(&body), len);
    return check_file(input, error);
}

/* In all, where the length of each is known; where it is not, the declared one counts. */
static int check_sum(const struct inputs *inputs, enum input_kind kind, const cJSON *declared,
                     struct response *error)
{
    double sum = 0;
    double max = 0;
    int n = 0;
    const char *field = NULL;
    for (size_t i = 0; i < inputs->count; i++) {
        const struct input *input = &inputs->items[i];
        if (input->kind != kind)
            continue;
        const cJSON *item = cJSON_GetArrayItem(declared, n++);
        if (field == NULL)
            field = input->field;
        max = input->rule->seconds_sum_max;
        sum += input->seconds > 0 ? input->seconds : cJSON_IsNumber(item) ? item->valuedouble : 0;
    }
    if (field == NULL || sum <= max + SECONDS_SLACK)
        return 0;
    return refuse(error, field, "The %ss have %.1f seconds in all; at most %g are allowed.",
                  input_kind_name(kind), sum, max);
}

/* What the client says about the lengths, which it pays for. */
static int check_declared(const struct inputs *inputs, const cJSON *root, struct response *error)
{
    const cJSON *each = cJSON_GetObjectItemCaseSensitive(root, "video_durations");
    const cJSON *all = cJSON_GetObjectItemCaseSensitive(root, "input_video_duration");
    double sum = 0;
    bool is_known = true;
    int n = 0;
    for (size_t i = 0; i < inputs->count; i++) {
        const struct input *input = &inputs->items[i];
        if (input->kind != INPUT_VIDEO)
            continue;
        const cJSON *item = cJSON_GetArrayItem(each, n++);
        is_known = is_known && input->seconds > 0;
        sum += input->seconds;
        if (item != NULL && input->seconds > 0 &&
            fabs(item->valuedouble - input->seconds) > DECLARED_SLACK)
            return refuse(error, "video_durations",
                          "The video at `%s` has %.1f seconds, but %.1f are declared.",
                          input->field, input->seconds, item->valuedouble);
    }
    if (n > 0 && is_known && all != NULL && fabs(all->valuedouble - sum) > DECLARED_SLACK)
        return refuse(error, "input_video_duration",
                      "The videos have %.1f seconds in all, but %.1f are declared.", sum,
                      all->valuedouble);
    return 0;
}

int inputs_check(struct inputs *inputs, const cJSON *root, const struct model *model,
                 const struct input_source *source, struct response *error)
{
    int64_t until_us = clock_monotonic_us() + (int64_t)FETCH_ALL_MAX_MS * 1000;
    for (size_t i = 0; i < inputs->count; i++) {
        struct input *input = &inputs->items[i];
        int r = 0;
        input->rule = &model->media[input->kind];
        if (input->form == INPUT_DATA)
            r = check_data(input, source, error);
        else if (input->form == INPUT_OWN)
            r = check_own(input, source, error);
        else if (fetch_is_local(input->url))
            r = check_fetched(input, until_us, error);
        if (r < 0)
            return r;
    }
    if (check_declared(inputs, root, error) < 0)
        return -EINVAL;
    const cJSON *durations = cJSON_GetObjectItemCaseSensitive(root, "video_durations");
    int r = check_sum(inputs, INPUT_VIDEO, durations, error);
    return r < 0 ? r : check_sum(inputs, INPUT_AUDIO, NULL, error);
}

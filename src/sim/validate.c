#include "sim/validate.h"

#include "seedancefs/base/cleanup.h"
#include "seedancefs/base/text.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The frame by which each of three clips is longer than its duration. */
#define SECONDS_SLACK 0.2

/* How many inputs of each kind a request has, and the lengths that it declares. */
struct input_counts {
    const struct model *model;       /* of the request; of an unknown one the documented */
    unsigned images, videos, audios; /* references, or without a role */
    unsigned first_frames, last_frames;
    double video_seconds;      /* input_video_duration */
    double video_each_seconds; /* the sum of video_durations */
};

static bool is_url(const cJSON *item, const char *data_prefix)
{
    const char *s = cJSON_GetStringValue(item);
    if (s == NULL)
        return false;
    return strncmp(s, "https://", 8) == 0 || strncmp(s, "http://", 7) == 0 ||
           (data_prefix != NULL && strncmp(s, data_prefix, strlen(data_prefix)) == 0);
}

static bool check_text(const cJSON *item, struct input_counts *inputs)
{
    (void)inputs;
    return cJSON_IsString(item) && item->valuestring[0] != '\0';
}

static bool check_duration(const cJSON *item, struct input_counts *inputs)
{
    const struct model *model = inputs->model;
    double s = cJSON_IsNumber(item) ? item->valuedouble : 0;
    return (s == -1 && model->is_auto) || (s >= model->duration_min && s <= model->duration_max);
}

static bool check_resolution(const cJSON *item, struct input_counts *inputs)
{
    const char *s = cJSON_GetStringValue(item);
    return s != NULL && cJSON_GetObjectItemCaseSensitive(inputs->model->resolutions, s) != NULL;
}

static bool check_ratio(const cJSON *item, struct input_counts *inputs)
{
    const char *s = cJSON_GetStringValue(item);
    const cJSON *one;
    cJSON_ArrayForEach(one, inputs->model->ratios)
    {
        if (s != NULL && strcmp(s, one->valuestring) == 0)
            return true;
    }
    return false;
}

static bool check_flag(const cJSON *item, struct input_counts *inputs)
{
    (void)inputs;
    return cJSON_IsBool(item);
}

static bool check_urls(const cJSON *item, const char *data_prefix, unsigned *count)
{
    if (!cJSON_IsArray(item)) {
        ++*count;
        return is_url(item, data_prefix);
    }
    const cJSON *one;
    cJSON_ArrayForEach(one, item)
    {
        ++*count;
        if (!is_url(one, data_prefix))
            return false;
    }
    return true;
}

static bool check_images(const cJSON *item, struct input_counts *inputs)
{
    return check_urls(item, "data:image/", &inputs->images);
}

static bool check_videos(const cJSON *item, struct input_counts *inputs)
{
    return check_urls(item, NULL, &inputs->videos);
}

static bool check_audios(const cJSON *item, struct input_counts *inputs)
{
    return check_urls(item, "data:audio/", &inputs->audios);
}

static bool check_video_seconds(const cJSON *item, struct input_counts *inputs)
{
    inputs->video_seconds = cJSON_IsNumber(item) ? item->valuedouble : -1;
    return inputs->video_seconds > 0;
}

static bool check_video_durations(const cJSON *item, struct input_counts *inputs)
{
    if (!cJSON_IsArray(item))
        return false;
    const cJSON *one;
    cJSON_ArrayForEach(one, item)
    {
        if (!cJSON_IsNumber(one) || one->valuedouble <= 0)
            return false;
        inputs->video_each_seconds += one->valuedouble;
    }
    return true;
}

/* One element of content: {"type":"image_url","image_url":{"url":…},"role":…}. */
static bool check_content_item(const cJSON *item, struct input_counts *inputs)
{
    const cJSON *type = cJSON_GetObjectItemCaseSensitive(item, "type");
    const cJSON *role_item = cJSON_GetObjectItemCaseSensitive(item, "role");
    const char *kind = cJSON_GetStringValue(type);
    const char *role = cJSON_GetStringValue(role_item);
    if (kind == NULL || (role_item != NULL && role == NULL))
        return false;
    if (strcmp(kind, "text") == 0)
        return check_text(cJSON_GetObjectItemCaseSensitive(item, "text"), inputs);
    const struct {
        const char *kind, *role, *data_prefix;
        unsigned *count;
    } roles[] = {
        {"image_url", "first_frame", "data:image/", &inputs->first_frames},
        {"image_url", "last_frame", "data:image/", &inputs->last_frames},
        {"image_url", "reference_image", "data:image/", &inputs->images},
        {"video_url", "reference_video", NULL, &inputs->videos},
        {"audio_url", "reference_audio", "data:audio/", &inputs->audios},
    };
    for (size_t i = ARRAY_COUNT(roles); i-- > 0;) {
        if (strcmp(kind, roles[i].kind) != 0 || (role != NULL && strcmp(role, roles[i].role) != 0))
            continue;
        ++*roles[i].count;
        const cJSON *nested = cJSON_GetObjectItemCaseSensitive(item, kind);
        return is_url(cJSON_GetObjectItemCaseSensitive(nested, "url"), roles[i].data_prefix);
    }
    return false;
}

static bool check_content(const cJSON *item, struct input_counts *inputs)
{
    if (!cJSON_IsArray(item))
        return false;
    const cJSON *one;
    cJSON_ArrayForEach(one, item)
    {
        if (!check_content_item(one, inputs))
            return false;
    }
    return true;
}

static const struct {
    const char *name;
    bool required;
    bool (*check)(const cJSON *item, struct input_counts *inputs);
    const char *rule;
} parameters[] = {
    {"model", true, check_text, "a model's name is expected"},
    {"prompt", true, check_text, "a string that is not empty is expected"},
    {"duration", false, check_duration, "it is not a length of this model"},
    {"resolution", false, check_resolution, "it is not a resolution of this model"},
    {"aspect_ratio", false, check_ratio, "it is not a ratio of this model"},
    {"image_url", false, check_images, "a URL or a data: URL of an image is expected"},
    {"image_urls", false, check_images, "URLs or data: URLs of images are expected"},
    {"video_url", false, check_videos, "a public URL is expected"},
    {"video_urls", false, check_videos, "public URLs are expected"},
    {"audio_url", false, check_audios, "a URL is expected"},
    {"audio_urls", false, check_audios, "URLs are expected"},
    {"input_video_duration", false, check_video_seconds, "a positive number is expected"},
    {"video_durations", false, check_video_durations, "positive numbers are expected"},
    {"generate_audio", false, check_flag, "a boolean is expected"},
    {"watermark", false, check_flag, "a boolean is expected"},
    {"content", false, check_content, "elements with type, URL and role are expected"},
};

static int refuse(struct response *error, const char *code, const char *param, const char *rule)
{
    char *message =
        mem_format("The parameter `%s` specified in the request is not valid: %s.", param, rule);
    response_api_error(error, 400, code, message, param);
    free(message);
    return -EINVAL;
}

static int check_combination(const struct input_counts *in, struct response *error)
{
    const struct media_rule *media = in->model->media;
    double seconds_max = media[INPUT_VIDEO].seconds_sum_max + SECONDS_SLACK;
    CLEANUP_FREE char *too_long =
        mem_format("at most %g seconds are allowed", media[INPUT_VIDEO].seconds_sum_max);
    bool frames = in->first_frames > 0 || in->last_frames > 0;
    const struct {
        bool wrong;
        const char *param, *rule;
    } rules[] = {
        {in->first_frames > 1, "content", "there can be one first_frame only"},
        {in->last_frames > 1, "content", "there can be one last_frame only"},
        {in->last_frames > in->first_frames, "content", "last_frame needs first_frame"},
        {in->images > media[INPUT_IMAGE].count_max, "image_urls", "there are too many images"},
        {in->videos > media[INPUT_VIDEO].count_max, "video_urls", "there are too many videos"},
        {in->audios > media[INPUT_AUDIO].count_max, "audio_urls", "there are too many audios"},
        {in->video_seconds > seconds_max, "input_video_duration", too_long},
        {in->video_each_seconds > seconds_max, "video_durations", too_long},
        {frames && in->images + in->videos + in->audios > 0, "content",
         "frames and references cannot be mixed"},
        {in->audios > 0 && in->images + in->videos == 0, "audio_urls",
         "audio needs an image or a video"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rules); i++)
        if (rules[i].wrong)
            return refuse(error, "InvalidParameter", rules[i].param, rules[i].rule);
    return 0;
}

static const struct model *model_of(const cJSON *root)
{
    const cJSON *name = cJSON_GetObjectItemCaseSensitive(root, "model");
    return model_find(cJSON_GetStringValue(name));
}

static int check_parameters(const cJSON *root, struct response *error)
{
    const struct model *model = model_of(root);
    struct input_counts inputs = {.model =
                                      model != NULL ? model : model_find("doubao-seedance-2.0")};
    for (size_t i = 0; i < ARRAY_COUNT(parameters); i++) {
        const char *name = parameters[i].name;
        const cJSON *item = cJSON_GetObjectItemCaseSensitive(root, name);
        if (item == NULL && parameters[i].required)
            return refuse(error, "MissingParameter", name, "it is required");
        if (item != NULL && !parameters[i].check(item, &inputs))
            return refuse(error, "InvalidParameter", name, parameters[i].rule);
    }
    return check_combination(&inputs, error);
}

static int check_model(const struct model *model, struct response *error)
{
    if (model != NULL)
        return 0;
    response_api_error(error, 404, "InvalidEndpointOrModel.NotFound",
                       "The model or endpoint does not exist or you do not have access to it.",
                       "model");
    return -EINVAL;
}

/* Finds "[[name=" and passes the text up to "]]" to the reader. */
static int read_words(const char *prompt, struct create_request *out)
{
    out->fails = strstr(prompt, "[[fail]]") != NULL;
    out->no_cover = strstr(prompt, "[[nocover]]") != NULL;
    out->seconds = -1;
    const char *word = strstr(prompt, "[[seconds=");
    if (word != NULL) {
        char *end = NULL;
        out->seconds = strtod(word + 10, &end);
        if (strncmp(end, "]]", 2) != 0 || !(out->seconds >= 0 && out->seconds < 1e9))
            return -EINVAL;
    }
    word = strstr(prompt, "[[video_bytes=");
    const char *end = word != NULL ? strstr(word, "]]") : NULL;
    if (end == NULL)
        return word == NULL ? 0 : -EINVAL;
    char *size = mem_dup(word + 14, (size_t)(end - word) - 14);
    int64_t bytes = 0;
    int r = text_size_parse(size, &bytes);
    out->video_bytes = (uint64_t)bytes;
    free(size);
    return r;
}

/* The body's JSON, which may only be an object in UTF-8. NULL: it is something else. */
static cJSON *parse_body(const struct buf *body)
{
    const char *json = buf_text(body);
    cJSON *root = cJSON_ParseWithOpts(json, NULL, true);
    if (cJSON_IsObject(root) && strlen(json) == body->len && text_is_utf8(json, body->len))
        return root;
    cJSON_Delete(root);
    return NULL;
}

static int create_request_fill(struct create_request *out, const cJSON *root,
                               struct response *error)
{
    const cJSON *duration = cJSON_GetObjectItemCaseSensitive(root, "duration");
    const struct model *model = model_of(root);
    const char *prompt = cJSON_GetObjectItemCaseSensitive(root, "prompt")->valuestring;
    *out = (struct create_request){
        .model = mem_strdup(cJSON_GetObjectItemCaseSensitive(root, "model")->valuestring),
        .prompt = mem_strdup(prompt),
        .duration_s = duration != NULL ? duration->valuedouble : model->duration_default,
    };
    if (out->duration_s < 0) /* as the prompt will have it */
        out->duration_s = model->duration_min +
                          (double)(text_hash(prompt, strlen(prompt)) %
                                   (uint64_t)(model->duration_max - model->duration_min + 1));
    if (read_words(prompt, out) == 0)
        return 0;
    create_request_fini(out);
    return refuse(error, "InvalidParameter", "prompt", "a [[word]] of the simulator is wrong");
}

int create_request_parse(const struct buf *body, const struct input_source *source,
                         struct create_request *out, struct inputs *inputs, struct response *error)
{
    if (body->len > REQUEST_BODY_DOCUMENTED_MAX) {
        response_default_api_error(error, 413);
        return -EINVAL;
    }
    cJSON *root = parse_body(body);
    if (root == NULL)
        return refuse(error, "InvalidParameter", "body", "a JSON object is expected");
    inputs_collect(inputs, root);
    int r = check_parameters(root, error);
    if (r == 0)
        r = check_model(model_of(root), error);
    if (r == 0)
        r = inputs_check(inputs, root, model_of(root), source, error);
    if (r == 0)
        r = create_request_fill(out, root, error);
    inputs_seal(inputs);
    cJSON_Delete(root);
    return r;
}

void create_request_fini(struct create_request *request)
{
    free(request->model);
    free(request->prompt);
    *request = (struct create_request){0};
}

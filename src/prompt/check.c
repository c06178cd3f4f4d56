/*
 * One run: each member goes to the check of its field. Then the rules between fields are checked.
 */
#include "check.h"

#include "seedancefs/base/nearest.h"
#include "seedancefs/base/number.h"
#include "seedancefs/base/table.h"
#include "seedancefs/prompt/defaults.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    DECLARED_SLACK_MS = 100, /* people round to a tenth of a second */
    FOUND_SLACK_MS = 500,    /* and leave out the last frame */
    NAMES_MAX = 32,
};

/* The prompt's own, else that of defaults.json, else that of the mount. */
static void model_choose(struct check *c)
{
    const struct prompt_settings *settings = c->settings;
    const struct prompt_defaults *defaults = settings->defaults;
    const struct json *node = json_member_get(c->root, "model");
    c->model_name = node                          ? json_text_get(node)
                    : defaults && defaults->model ? defaults->model
                    : settings->default_model     ? settings->default_model
                                                  : MODEL_DEFAULT_NAME;
    c->model = c->model_name ? models_find(settings->models, c->model_name) : NULL;
    c->rules = models_rules(settings->models, c->model_name);
}

void check_init(struct check *c, const struct json *root, const struct prompt_settings *settings,
                struct prompt_report *report)
{
    const struct prompt_defaults *defaults = settings->defaults;
    *c = (struct check){
        .settings = settings,
        .report = report,
        .root = root,
        .durations_ms = -1,
        .input_ms = -1,
    };
    model_choose(c);
    c->resolution = c->rules->resolution;
    c->aspect_ratio = c->rules->aspect_ratio;
    c->duration_s = c->rules->duration_s;
    c->generate_audio = c->rules->generate_audio;
    c->watermark = c->rules->watermark;
    if (!defaults)
        return;
    if (defaults->resolution)
        c->resolution = defaults->resolution;
    if (defaults->aspect_ratio)
        c->aspect_ratio = defaults->aspect_ratio;
    if (defaults->duration_s)
        c->duration_s = defaults->duration_s;
    if (defaults->has_generate_audio)
        c->generate_audio = defaults->generate_audio;
    if (defaults->has_watermark)
        c->watermark = defaults->watermark;
}

void check_fini(struct check *c)
{
    struct local_file *file;
    struct local_file *next;
    LL_FOREACH_SAFE (c->files, file, next) {
        free(file->data_url);
        free(file);
    }
    c->files = NULL;
}

static void check_members(struct check *c)
{
    const char *names[NAMES_MAX] = {NULL};
    for (size_t i = 0; i < field_count && i < NAMES_MAX - 1; i++)
        names[i] = fields[i].name;
    JSON_FOR_EACH (member, c->root) {
        const struct field *field = field_find(json_key_get(member));
        char path[PATH_SIZE];
        if (field) {
            field->check(c, field, member);
        } else {
            path_join(path, "", json_key_get(member));
            check_unknown(c, member, path, names);
        }
    }
}

void check_model_known(struct check *c)
{
    if (!c->model_name || c->model)
        return; /* known, or reported because of its type */
    const struct models *models = c->settings->models;
    const struct json *node = json_member_get(c->root, "model");
    const char *names[MODELS_MAX + 1] = {NULL};
    char list[200] = "";
    for (size_t i = 0; i < models_count(models) && i < MODELS_MAX; i++) {
        names[i] = models_at(models, i)->name;
        size_t used = strlen(list);
        (void)snprintf(list + used, sizeof(list) - used, "%s\"%s\"", i ? ", " : "", names[i]);
    }
    char word[SHOWN_SIZE];
    const char *nearest = nearest_name(c->model_name, names);
    if (c->settings->allow_unknown)
        problem_add(
            c, SEVERITY_WARNING, node, "model", "unknown-model",
            "\"%s\" is not in the service's documentation; it is sent unchanged, because unknown "
            "models are allowed; the estimate counts the highest known rate.",
            shown(c->model_name, word));
    else
        problem_add(c, SEVERITY_ERROR, node, "model", "unknown-model",
                    "there is no model \"%s\"%s; the known models are %s.%s%s%s",
                    shown(c->model_name, word), node ? "" : " (the default of this mount)", list,
                    nearest ? " Did you mean \"" : "", nearest ? nearest : "",
                    nearest ? "\"?" : "");
}

static void check_exclusive(struct check *c)
{
    const struct json *content = json_member_get(c->root, "content");
    for (size_t i = 0; i < MEDIA_KINDS; i++) {
        const struct media_rule *rule = &media_rules[i];
        const struct json *one = json_member_get(c->root, rule->one);
        const struct json *many = json_member_get(c->root, rule->many);
        if (one && many)
            problem_add_at_key(c, SEVERITY_ERROR, many, rule->many, "exclusive",
                               "is used together with \"%s\". Use one of the two.", rule->one);
        if (content && (one || many))
            problem_add_at_key(c, SEVERITY_ERROR, one ? one : many, one ? rule->one : rule->many,
                               "exclusive",
                               "is used together with \"content\". Name all media in one of the "
                               "two.");
    }
}

static void check_audio_company(struct check *c)
{
    if (c->counts[MEDIA_AUDIO] == 0 || c->counts[MEDIA_IMAGE] + c->counts[MEDIA_VIDEO] > 0)
        return;
    static const char *const holders[] = {"audio_url", "audio_urls", "content"};
    for (size_t i = 0; i < ARRAY_COUNT(holders); i++) {
        const struct json *holder = json_member_get(c->root, holders[i]);
        if (!holder)
            continue;
        problem_add_at_key(c, SEVERITY_ERROR, holder, holders[i], "missing",
                           "audio needs at least one image or video beside it.");
        return;
    }
}

/* The lengths of videos of the mount are known, or will be: those of other jobs from the service,
 * those of files by looking at them. */
static void check_found(struct check *c, const struct json *durations, const struct json *input)
{
    size_t videos = c->counts[MEDIA_VIDEO];
    int64_t declared_ms = max_int64(c->input_ms, c->durations_ms);
    int64_t max_ms = c->rules->media[MEDIA_VIDEO].max_all_ms;
    if (c->found_videos == 0 || c->found_videos < videos)
        return;
    bool is_known = c->found_lengths == videos;
    if (is_known && c->found_ms > max_ms + DECLARED_SLACK_MS * (int64_t)videos)
        problem_add(c, SEVERITY_ERROR, c->root, "video_urls", "range",
                    "the videos are %g seconds long together; the service accepts at most %g.",
                    (double)c->found_ms / 1000, (double)max_ms / 1000);
    if (is_known && declared_ms >= 0 && llabs(declared_ms - c->found_ms) > FOUND_SLACK_MS)
        problem_add(c, SEVERITY_WARNING, durations ? durations : input,
                    durations ? "video_durations" : "input_video_duration", "value",
                    "comes to %g seconds, but the videos are %g seconds long. Leave it out: "
                    "seedancefs fills it in.",
                    (double)declared_ms / 1000, (double)c->found_ms / 1000);
    static const struct local_file lengths = {.number = PROMPT_DURATIONS};
    if (!durations && !input && !c->error)
        c->error = local_file_add(c, &lengths);
}

static void check_declared(struct check *c)
{
    const struct json *durations = json_member_get(c->root, "video_durations");
    const struct json *input = json_member_get(c->root, "input_video_duration");
    const struct model_media *rules = &c->rules->media[MEDIA_VIDEO];
    size_t videos = c->counts[MEDIA_VIDEO];
    if (videos == 0) {
        if (durations)
            problem_add_at_key(c, SEVERITY_ERROR, durations, "video_durations", "missing",
                               "there is no video whose duration this could be.");
        if (input)
            problem_add_at_key(c, SEVERITY_ERROR, input, "input_video_duration", "missing",
                               "there is no video whose duration this could be.");
        return;
    }
    if (json_type_get(durations) == JSON_ARRAY && json_child_count(durations) != videos)
        problem_add(c, SEVERITY_ERROR, durations, "video_durations", "count",
                    "has %zu durations for %zu videos. Give one for each.",
                    json_child_count(durations), videos);
    if (c->input_ms >= 0 && c->input_ms < (int64_t)videos * rules->min_ms)
        problem_add(c, SEVERITY_ERROR, input, "input_video_duration", "range",
                    "is less than %g seconds for each of %zu videos.", (double)rules->min_ms / 1000,
                    videos);
    if (c->input_ms >= 0 && c->durations_ms >= 0 &&
        llabs(c->input_ms - c->durations_ms) > DECLARED_SLACK_MS)
        problem_add(c, SEVERITY_ERROR, input, "input_video_duration", "exclusive",
                    "is %g seconds, but video_durations come to %g.", (double)c->input_ms / 1000,
                    (double)c->durations_ms / 1000);
    check_found(c, durations, input);
    if (!durations && !input && c->found_lengths + c->coming_lengths < videos)
        problem_add(c, SEVERITY_WARNING, c->root, "input_video_duration", "estimate",
                    "the length of the input video is not given; the estimate counts %g seconds, "
                    "the worst case. Give the length for a better estimate.",
                    (double)rules->max_all_ms / 1000);
}

void check_run(struct check *c)
{
    check_members(c);
    check_model_known(c);
    check_defaults_fit(c);
    if (!json_member_get(c->root, "prompt"))
        problem_add(c, SEVERITY_ERROR, c->root, "prompt", "missing",
                    "is missing. Describe the video: {\"prompt\": \"A cat surfing at sunset\"}.");
    check_exclusive(c);
    check_modes(c);
    check_audio_company(c);
    check_declared(c);
}

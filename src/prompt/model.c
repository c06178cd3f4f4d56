#include "seedancefs/prompt/model.h"

#include "rules.h"

#include "seedancefs/base/json.h"
#include "seedancefs/base/number.h"
#include "seedancefs/base/text.h"

#include <errno.h>
#include <string.h>

static const struct model models[] = {
    {"doubao-seedance-2.0", {{"720p", 200000}, {"480p", 120000}}},
    {"doubao-seedance-2.0-fast", {{"720p", 160000}, {"480p", 100000}}},
};

const struct media_rule media_rules[MEDIA_KINDS] = {
    [MEDIA_IMAGE] = {"image", "image_url", "image_urls", 9, IMAGE_BYTES_MAX, true},
    [MEDIA_VIDEO] = {"video", "video_url", "video_urls", 3, VIDEO_BYTES_MAX, false},
    [MEDIA_AUDIO] = {"audio", "audio_url", "audio_urls", 3, AUDIO_BYTES_MAX, true},
};

const char *const aspect_ratios[] = {
    ASPECT_RATIO_DEFAULT, "16:9", "9:16", "1:1", "4:3", "3:4", "21:9", NULL,
};

const char *const resolutions[] = {"480p", "720p", NULL};

size_t model_count(void)
{
    return ARRAY_COUNT(models);
}

const struct model *model_at(size_t index)
{
    return index < ARRAY_COUNT(models) ? &models[index] : NULL;
}

const struct model *model_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_COUNT(models); i++) {
        if (strcmp(models[i].name, name) == 0)
            return &models[i];
    }
    return NULL;
}

/* 0 when the model does not have this resolution. */
static int64_t model_rate(const struct model *model, const char *resolution)
{
    for (size_t i = 0; i < MODEL_RATES; i++) {
        if (strcmp(model->rates[i].resolution, resolution) == 0)
            return model->rates[i].usd_micros_per_s;
    }
    return 0;
}

static int64_t dearest_rate(void)
{
    int64_t dearest = 0;
    for (size_t i = 0; i < ARRAY_COUNT(models); i++) {
        for (size_t j = 0; j < MODEL_RATES; j++)
            dearest = max_int64(dearest, models[i].rates[j].usd_micros_per_s);
    }
    return dearest;
}

int64_t model_estimate_usd_micros(const struct model *model, const char *resolution,
                                  int64_t output_ms, int64_t input_video_ms)
{
    int64_t rate = model ? model_rate(model, resolution) : dearest_rate();
    if (rate == 0 || output_ms < 0 || input_video_ms < 0)
        return -EINVAL;
    int64_t all_ms;
    int64_t product;
    if (__builtin_add_overflow(output_ms, input_video_ms, &all_ms) ||
        __builtin_mul_overflow(all_ms, rate, &product) || product > INT64_MAX - 999)
        return -ERANGE;
    return (product + 999) / 1000;
}

static void write_words(struct json_writer *w, const char *field, const char *const *words,
                        const char *preset)
{
    json_write_key(w, field);
    json_write_object_begin(w);
    json_write_key(w, "values");
    json_write_array_begin(w);
    for (; *words; words++)
        json_write_string(w, *words);
    json_write_array_end(w);
    json_write_member_string(w, "default", preset);
    json_write_object_end(w);
}

/* `preset` 0: none. */
static void write_seconds(struct json_writer *w, const char *field, int64_t min, int64_t max,
                          int64_t preset)
{
    json_write_key(w, field);
    json_write_object_begin(w);
    json_write_member_string(w, "unit", "seconds");
    json_write_member_int64(w, "min", min);
    json_write_member_int64(w, "max", max);
    if (preset)
        json_write_member_int64(w, "default", preset);
    json_write_object_end(w);
}

static void write_flag(struct json_writer *w, const char *field, bool preset)
{
    json_write_key(w, field);
    json_write_object_begin(w);
    json_write_member_bool(w, "default", preset);
    json_write_object_end(w);
}

static void write_parameters(struct json_writer *w)
{
    json_write_object_begin(w);
    json_write_key(w, "prompt");
    json_write_object_begin(w);
    json_write_member_bool(w, "required", true);
    json_write_member_int64(w, "advised_words", PROMPT_WORDS_MAX);
    json_write_object_end(w);
    write_seconds(w, "duration", DURATION_MIN_S, DURATION_MAX_S, DURATION_DEFAULT_S);
    write_words(w, "resolution", resolutions, MODEL_DEFAULT_RESOLUTION);
    write_words(w, "aspect_ratio", aspect_ratios, ASPECT_RATIO_DEFAULT);
    for (size_t i = 0; i < MEDIA_KINDS; i++) {
        json_write_key(w, media_rules[i].many);
        json_write_object_begin(w);
        json_write_member_int64(w, "max_count", media_rules[i].max_count);
        json_write_member_bool(w, "local_files", true);
        json_write_member_int64(w, "max_bytes", media_rules[i].max_bytes);
        json_write_object_end(w);
    }
    write_seconds(w, "input_video_duration", INPUT_MIN_S, INPUT_ALL_MAX_S, 0);
    write_flag(w, "generate_audio", true);
    write_flag(w, "watermark", false);
    json_write_object_end(w);
}

void model_render_json(const struct model *model, struct buf *out)
{
    struct json_writer w;
    json_writer_init(&w, out, JSON_PRETTY);
    json_write_object_begin(&w);
    json_write_member_string(&w, "model", model->name);
    json_write_member_bool(&w, "is_default", strcmp(model->name, MODEL_DEFAULT_NAME) == 0);
    json_write_member_string(&w, "currency", "USD");
    json_write_key(&w, "usd_per_second");
    json_write_object_begin(&w);
    for (size_t i = 0; i < MODEL_RATES; i++) {
        char usd[TEXT_MONEY_SIZE];
        text_usd(model->rates[i].usd_micros_per_s, usd);
        json_write_member_string(&w, model->rates[i].resolution, usd);
    }
    json_write_object_end(&w);
    json_write_key(&w, "parameters");
    write_parameters(&w);
    json_write_object_end(&w);
    (void)buf_add_char(out, '\n');
}

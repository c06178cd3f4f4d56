/*
 * What: the models of the service: what each accepts, its defaults and its prices. A model is a
 * file in the format of the mount's models/MODEL.json; the documented ones are such files, compiled
 * in. Pure: whoever has further files reads them and adds their texts.
 * Lifetime: models_new() .. models_free(). A table is filled first and then lent unchanged; to
 * replace it, fill another one. Models and their texts are lent by the table.
 * Errors: -ENOMEM, and as said below. Money is int64 micro-dollars, time int64 milliseconds.
 */
#ifndef SEEDANCEFS_PROMPT_MODEL_H
#define SEEDANCEFS_PROMPT_MODEL_H

#include "seedancefs/base/attributes.h"
#include "seedancefs/base/buf.h"
#include "seedancefs/prompt/prompt.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Always in the table. A model that is not in it is checked by the rules of this one. */
#define MODEL_DEFAULT_NAME "doubao-seedance-2.0"

enum {
    MODELS_MAX = 64,
    MODEL_NAME_MAX = 96,
    MODEL_WORD_MAX = 16,  /* bytes of a resolution or a ratio */
    MODEL_WORDS_MAX = 16, /* resolutions, and ratios */
    MODEL_FILE_BYTES_MAX = 64 * 1024,
    MODEL_MEDIA = PROMPT_AUDIO + 1,
};

/* What is accepted of one kind of media. */
struct model_media {
    int64_t max_count;                              /* of references; 0: none, not even a frame */
    int64_t max_bytes;                              /* of a file */
    int64_t advised_bytes;                          /* video: more is only a warning */
    int64_t min_pixels, max_pixels;                 /* image, video: of each side */
    int64_t min_ratio_permille, max_ratio_permille; /* the same: width to height */
    int64_t min_frames_per_1000_s, max_frames_per_1000_s; /* video */
    int64_t min_ms, max_ms;                               /* video, audio: of each */
    int64_t min_all_ms, max_all_ms;                       /* the same: of all together */
};

struct model_rate {
    const char *resolution;
    int64_t usd_micros_per_s;
};

struct model {
    char name[MODEL_NAME_MAX + 1];
    struct model_rate rates[MODEL_WORDS_MAX + 1]; /* as the lists, ended by NULL */
    const char *resolutions[MODEL_WORDS_MAX + 1];
    const char *aspect_ratios[MODEL_WORDS_MAX + 1];
    const char *resolution; /* the default, as those below */
    const char *aspect_ratio;
    int64_t duration_s; /* -1: the model chooses */
    int64_t duration_min_s, duration_max_s;
    bool is_duration_auto; /* the duration -1 is accepted: the model chooses */
    bool generate_audio;
    bool watermark;
    bool is_default;                       /* only for model_render_json(): no file decides that */
    int64_t advised_words;                 /* of the prompt; more are only a warning */
    struct model_media media[MODEL_MEDIA]; /* by enum prompt_media */
};

struct models;

/* The documented models. */
int models_new(struct models **out) NODISCARD;

/* Accepts NULL, returns NULL. */
struct models *models_free(struct models *models);

/*
 * Adds the model NAME of the file NAME.json, or replaces the one of that name. What the file leaves
 * out is as in the documented MODEL_DEFAULT_NAME. -ERR_PROMPT_INVALID: `report`, initialised by the
 * caller and emptied here first, has each mistake, and nothing has changed. -E2BIG: there are
 * MODELS_MAX models.
 */
int models_add(struct models *models, const char *file_name, const char *text, size_t len,
               struct prompt_report *report) NODISCARD;

size_t models_count(const struct models *models);

/* NULL when `index` is not below models_count(). */
const struct model *models_at(const struct models *models, size_t index);

/* The model of exactly this name; NULL when there is none. */
const struct model *models_find(const struct models *models, const char *name);

/* The rules for a model of this name: its own, or those for models that are not known. */
const struct model *models_rules(const struct models *models, const char *name);

/*
 * (input video + output) x rate, rounded up to a micro-dollar: what the service's documentation
 * says a task costs. For `model` NULL (an unknown one) the highest rate of all models counts.
 * -EINVAL for a resolution without a rate or a negative time, -ERANGE when the sum exceeds int64.
 */
int64_t models_estimate_usd_micros(const struct models *models, const struct model *model,
                                   const char *resolution, int64_t output_ms,
                                   int64_t input_video_ms) NODISCARD;

/* models/MODEL.json: everything that the program knows of the model, as a pretty JSON object and a
 * newline. models_add() accepts it. */
void model_render_json(const struct model *model, bool is_default, struct buf *out);

#endif

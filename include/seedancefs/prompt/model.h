/*
 * What: the models of the service, their resolutions and their rates, from the service's
 * documentation ("Models and rates").
 * Lifetime: static storage.
 * Errors: estimates are >= 0, or a negative code. Money is int64 micro-dollars, time int64
 * milliseconds.
 */
#ifndef SEEDANCEFS_PROMPT_MODEL_H
#define SEEDANCEFS_PROMPT_MODEL_H

#include "seedancefs/base/attributes.h"
#include "seedancefs/base/buf.h"

#include <stddef.h>
#include <stdint.h>

#define MODEL_DEFAULT_NAME "doubao-seedance-2.0"
#define MODEL_DEFAULT_RESOLUTION "720p"

enum { MODEL_RATES = 2 };

struct model_rate {
    const char *resolution;
    int64_t usd_micros_per_s;
};

struct model {
    const char *name;
    struct model_rate rates[MODEL_RATES];
};

size_t model_count(void);

/* NULL when `index` is not below model_count(). */
const struct model *model_at(size_t index);

/* The model of exactly this name; NULL when there is none. */
const struct model *model_find(const char *name);

/*
 * (input video + output) x rate, rounded up to a micro-dollar: what the service's documentation
 * says a task costs. For `model` NULL (an unknown one) the highest rate of all models counts.
 * -EINVAL for a resolution without a rate or a negative time, -ERANGE when the sum exceeds int64.
 */
int64_t model_estimate_usd_micros(const struct model *model, const char *resolution,
                                  int64_t output_ms, int64_t input_video_ms) NODISCARD;

/* models/MODEL.json: parameters, ranges and rates as a pretty JSON object and a newline. */
void model_render_json(const struct model *model, struct buf *out);

#endif

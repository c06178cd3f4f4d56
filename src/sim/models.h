/*
 * models: what the simulated service takes of each model.
 *
 * What: the documented models are in the code. --models DIR has more, in files of the format of the
 * mount's models/MODEL.json: of these the simulator has a reader of its own, which takes what it
 * needs and is not strict, because the files are what is tested elsewhere.
 * Lifetime: models_load() once; then read-only.
 * Errors: models_load() prints the error and returns -errno.
 */
#ifndef SIM_MODELS_H
#define SIM_MODELS_H

#include "sim/input.h"

#include <cjson/cJSON.h>

enum { MODEL_KINDS = 3 };

struct model {
    const char *name;
    const cJSON *tree; /* of the file, in which the next two lie */
    double duration_min, duration_max, duration_default;
    bool is_auto; /* the duration -1: the service chooses */
    const cJSON *resolutions;
    const cJSON *ratios;
    struct media_rule { /* by enum input_kind */
        double count_max, bytes_max, side_min, side_max, ratio_min, ratio_max;
        double seconds_min, seconds_max, seconds_sum_max, rate_min, rate_max;
    } media[MODEL_KINDS];
};

/* `directory` NULL: only the documented ones. */
int models_load(const char *directory) NODISCARD;

const struct model *model_find(const char *name); /* NULL: unknown */

#endif

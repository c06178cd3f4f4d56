/*
 * What: the models of the service, which the prompt layer owns, for the layers above.
 * Lifetime: static storage.
 */
#ifndef SEEDANCEFS_JOB_MODELS_H
#define SEEDANCEFS_JOB_MODELS_H

#include "seedancefs/base/buf.h"

#include <stddef.h>

size_t jobs_model_count(void);
const char *jobs_model_name(size_t index);
/* Parameters, ranges and rates as one JSON object. */
int jobs_model_render(size_t index, struct buf *out);

#endif
